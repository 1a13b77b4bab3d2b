"""Patches in the form that gpt-oss writes, V4A: parsed into operations on files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from motet.errors import PatchError

__all__ = ["AddFile", "DeleteFile", "Hunk", "HunkLine", "Operation", "UpdateFile", "parse_patch"]

_BEGIN, _END = "*** Begin Patch", "*** End Patch"
_ADD, _DELETE, _UPDATE = "*** Add File:", "*** Delete File:", "*** Update File:"
_MOVE, _END_OF_FILE = "*** Move to:", "*** End of File"
_UNIFIED = re.compile(r"^-\d+(,\d+)? \+\d+(,\d+)?( @@)?")
"""The line numbers of a unified diff, which models write behind `@@`."""
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1[ \t]*\n(.*)\n\2", re.DOTALL)


@dataclass(frozen=True, slots=True)
class HunkLine:
    """A line of a hunk."""

    mark: str
    """`" "` for context, `-` for a removed line, `+` for an added one."""
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines to find in a file, and what becomes of them."""

    number: int
    """The line of the patch on which the hunk begins, from 1."""
    headers: tuple[str, ...]
    """The texts behind `@@`: lines of the file that stand, in this order, before those of the hunk."""
    lines: tuple[HunkLine, ...]
    ends_file: bool = False
    """True if the hunk's lines are the last of the file."""


@dataclass(frozen=True, slots=True)
class AddFile:
    """A new file."""

    number: int
    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """A file to remove."""

    number: int
    path: str


@dataclass(frozen=True, slots=True)
class UpdateFile:
    """A file to change, to rename, or both."""

    number: int
    path: str
    new_path: str | None
    hunks: tuple[Hunk, ...]


Operation = AddFile | DeleteFile | UpdateFile


def parse_patch(patch: str) -> tuple[Operation, ...]:
    """The operations of a patch, in its order.

    Blank lines around the patch, a shell's here-document around it, and blanks around `***` lines are ignored. Raises
    `PatchError`, with the number of the line in `.line`.
    """
    return tuple(_Reader(patch).operations())


def _is_hunk_head(line: str) -> bool:
    return line.rstrip() == "@@" or line.startswith("@@ ")


class _Reader:
    def __init__(self, patch: str) -> None:
        heredoc = _HEREDOC.fullmatch(patch.strip())
        text = heredoc[3] if heredoc else patch
        # Other line breaks than these belong to the text of a line.
        self._lines = [line.removesuffix("\r") for line in text.split("\n")]
        # Models put blanks before the end marker. In any other line, a leading blank marks context.
        last = max([at for at, line in enumerate(self._lines) if line.strip()], default=0)
        if self._lines[last].strip() == _END:
            self._lines[last] = _END
        self._at = 0

    def _line(self) -> str | None:
        return self._lines[self._at] if self._at < len(self._lines) else None

    def _error(self, message: str, path: str | None = None) -> PatchError:
        number = min(self._at + 1, len(self._lines))
        return PatchError(f"line {number} of the patch: {message}", line=number, path=path)

    def operations(self) -> Iterator[Operation]:
        self._skip_blank_lines()
        if (self._line() or "").strip() != _BEGIN:
            raise self._error(f"a patch begins with {_BEGIN!r}, not {(self._line() or '')[:80]!r}")
        self._at += 1
        count = 0
        while (line := self._line()) is not None and line.rstrip() != _END:
            if line.strip():
                yield self._operation(line.strip())
                count += 1
            else:
                self._at += 1
        if line is None:
            raise self._error(f"the patch has no {_END!r}: it may have been cut")
        if not count:
            raise self._error(f"the patch has no operation: give {_ADD!r}, {_DELETE!r} or {_UPDATE!r} with a path")
        self._at += 1
        self._skip_blank_lines()
        if (line := self._line()) is not None:
            raise self._error(f"text behind {_END!r}: {line[:80]!r}")

    def _skip_blank_lines(self) -> None:
        while (line := self._line()) is not None and not line.strip():
            self._at += 1

    def _operation(self, line: str) -> Operation:
        for head, read in ((_ADD, self._add), (_DELETE, self._delete), (_UPDATE, self._update)):
            if line.startswith(head):
                path = line.removeprefix(head).strip()
                if not path:
                    raise self._error(f"{head!r} needs a path")
                number = self._at + 1
                self._at += 1
                return read(number, path)
        raise self._error(f"expected {_ADD!r}, {_DELETE!r}, {_UPDATE!r} or {_END!r}, not {line[:80]!r}")

    def _is_head(self) -> bool:
        """True at a line that ends an operation. Lines of a hunk and of a new file have a mark before their text."""
        line = self._line()
        return line is None or line.rstrip() == _END or line.startswith((_ADD, _DELETE, _UPDATE))

    def _add(self, number: int, path: str) -> AddFile:
        lines = []
        while not self._is_head():
            line = self._line() or ""
            if line.startswith("+"):
                lines.append(line[1:])
            elif line.strip():
                raise self._error(f"each line of the new file {path!r} begins with '+', not {line[:80]!r}", path)
            self._at += 1
        return AddFile(number, path, tuple(lines))

    def _delete(self, number: int, path: str) -> DeleteFile:
        return DeleteFile(number, path)

    def _update(self, number: int, path: str) -> UpdateFile:
        new_path = None
        if (line := self._line()) is not None and line.strip().startswith(_MOVE):
            new_path = line.strip().removeprefix(_MOVE).strip()
            if not new_path:
                raise self._error(f"{_MOVE!r} needs a path", path)
            self._at += 1
        hunks: list[Hunk] = []
        while not self._is_head():
            if not (self._line() or "").strip() and self._only_blank_lines_follow():
                self._at += 1
                continue
            hunks.append(self._hunk(path))
        if not hunks and new_path is None:
            raise PatchError(
                f"line {number} of the patch: the update of {path!r} changes nothing", line=number, path=path
            )
        return UpdateFile(number, path, new_path, tuple(hunks))

    def _only_blank_lines_follow(self) -> bool:
        at = self._at
        self._skip_blank_lines()
        is_head, self._at = self._is_head(), at
        return is_head

    def _hunk(self, path: str) -> Hunk:
        number, headers, lines, ends_file = self._at + 1, [], [], False
        while (line := self._line()) is not None and _is_hunk_head(line):
            if header := _UNIFIED.sub("", line[2:].strip()).strip():
                headers.append(header)
            self._at += 1
        while not self._is_head():
            line = self._line() or ""
            if line.rstrip() == _END_OF_FILE:
                ends_file = True
                self._at += 1
                break
            if _is_hunk_head(line) or (not line and self._only_blank_lines_follow()):
                break
            # Models leave the mark of an empty line of context out.
            mark, text = (line[0], line[1:]) if line else (" ", "")
            if mark not in " -+":
                raise self._error(f"a line of a hunk begins with ' ', '-', '+' or '@@', not {line[:80]!r}", path)
            lines.append(HunkLine(mark, text))
            self._at += 1
        if not any(line.mark != " " for line in lines):
            raise PatchError(
                f"line {number} of the patch: the hunk has no line with '-' or '+'", line=number, path=path
            )
        return Hunk(number, tuple(headers), tuple(lines), ends_file)

"""Applies patches to texts."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from motet.errors import PatchError
from motet.repository.patch import AddFile, DeleteFile, Hunk, Operation, UpdateFile, parse_patch

__all__ = ["Files", "apply_operations", "apply_patch", "normal_path"]


class Files(Protocol):
    """Texts by path."""

    def __contains__(self, path: object, /) -> bool: ...
    def __getitem__(self, path: str, /) -> str: ...
    def __setitem__(self, path: str, text: str, /) -> None: ...
    def __delitem__(self, path: str, /) -> None: ...


def apply_patch(patch: str, files: Mapping[str, str]) -> dict[str, str]:
    """The files after a patch in gpt-oss's form, V4A; `files` are texts by path and stay unchanged.

    A hunk is found by its lines, from the place of the hunk before it on: exactly, or with other blanks at the ends of
    lines, or with other quotes, dashes and spaces. Lines of context stay as the file has them, and so do its line ends.
    Raises `PatchError`, whose message names the line of the patch and the reason; then no operation was applied.
    """
    patched = {normal_path(path): text for path, text in files.items()}
    apply_operations(parse_patch(patch), patched)
    return patched


def apply_operations(operations: Sequence[Operation], files: Files) -> None:
    """Applies the operations to `files`, in their order. After a `PatchError`, some of them may be applied."""
    for operation in operations:
        path = _path(operation, operation.path)
        match operation:
            case AddFile():
                if path in files:
                    raise _error(operation, f"cannot add {path!r}, it exists: use '*** Update File:'")
                files[path] = "".join([f"{line}\n" for line in operation.lines])
            case DeleteFile():
                if path not in files:
                    raise _error(operation, f"cannot delete {path!r}: no such file")
                del files[path]
            case UpdateFile():
                _update(operation, path, files)


def _update(operation: UpdateFile, path: str, files: Files) -> None:
    if path not in files:
        raise _error(operation, f"cannot update {path!r}: no such file")
    text = patched_text(files[path], operation.hunks, path)
    if operation.new_path is None:
        files[path] = text
        return
    new_path = _path(operation, operation.new_path)
    if new_path in files and new_path != path:
        raise _error(operation, f"cannot move {path!r} to {new_path!r}: it exists")
    del files[path]
    files[new_path] = text


def _error(operation: Operation, message: str) -> PatchError:
    return PatchError(f"line {operation.number} of the patch: {message}", line=operation.number, path=operation.path)


def _path(operation: Operation, path: str) -> str:
    try:
        return normal_path(path)
    except PatchError as error:
        raise _error(operation, str(error)) from None


def normal_path(path: str) -> str:
    """A relative path without `.` and empty steps. Raises `PatchError` for an absolute path and one that leaves its
    folder."""
    normal = posixpath.normpath(path) if path.strip() else ""
    is_windows_absolute = len(path) > 1 and path[1] == ":" and path[0].isalpha()
    if normal in ("", "."):
        raise PatchError(f"{path!r} is not the path of a file", path=path)
    if path.startswith(("/", "\\")) or is_windows_absolute or "\0" in path:
        raise PatchError(f"the path {path!r} must be relative to the root", path=path)
    if ".." in path.replace("\\", "/").split("/"):
        raise PatchError(f"the path {path!r} must stay below the root: '..' is refused", path=path)
    return normal


def patched_text(text: str, hunks: Sequence[Hunk], path: str) -> str:
    """The text of a file after its hunks. Raises `PatchError`."""
    lines = text.split("\n")
    has_final_newline = lines[-1] == "" and len(lines) > 1
    if lines[-1] == "":
        lines.pop()
    has_carriage_returns = sum(line.endswith("\r") for line in lines) * 2 > len(lines)
    patched: list[str] = []
    at = 0
    for hunk in hunks:
        start = _place(lines, hunk, at, path)
        patched += lines[at:start]
        at = start
        for line in hunk.lines:
            if line.mark == "+":
                patched.append(f"{line.text}\r" if has_carriage_returns else line.text)
                continue
            if line.mark == " ":
                patched.append(lines[at])
            at += 1
    patched += lines[at:]
    return "\n".join(patched) + ("\n" if patched and (has_final_newline or not lines) else "")


def _place(lines: Sequence[str], hunk: Hunk, at: int, path: str) -> int:
    """The index of the first line of a hunk."""
    for header in hunk.headers:
        index = _find(lines, [header], at, anywhere=True)
        if index is None:
            where = "" if at == 0 else f" behind line {at}"
            raise _mismatch(hunk, path, f"{path!r} has no line {header!r}{where}, which stands behind '@@'")
        at = index + 1
    pattern = [line.text for line in hunk.lines if line.mark != "+"]
    if not pattern:
        # Only added lines: behind the header, or at the end.
        return at if hunk.headers and not hunk.ends_file else len(lines)
    starts = [len(lines) - len(pattern)] if hunk.ends_file else None
    index = _find(lines, pattern, at, starts=starts)
    if index is None and hunk.headers:
        # Models repeat the line of the header as the first line of the hunk.
        index = _find(lines, pattern, at - 1, starts=[at - 1])
    if index is None:
        raise _mismatch(hunk, path, _nearest(lines, pattern, at, hunk, path))
    return index


def _mismatch(hunk: Hunk, path: str, reason: str) -> PatchError:
    return PatchError(f"line {hunk.number} of the patch: {reason}", line=hunk.number, path=path)


def _plain(line: str) -> str:
    """A line without blanks at its ends, and with ASCII quotes, dashes and spaces."""
    return unicodedata.normalize("NFC", line).translate(_PUNCTUATION).strip()


_PUNCTUATION = {
    **dict.fromkeys(range(0x2018, 0x201C), "'"),
    **dict.fromkeys(range(0x201C, 0x2020), '"'),
    **dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-"),
    **dict.fromkeys([0xA0, *range(0x2002, 0x200B), 0x202F, 0x205F, 0x3000], " "),
}
_READINGS: tuple[Callable[[str], str], ...] = (lambda line: line, str.rstrip, str.strip, _plain)
"""How lines are compared, the strictest first."""


def _find(
    lines: Sequence[str],
    pattern: Sequence[str],
    at: int,
    *,
    starts: Sequence[int] | None = None,
    anywhere: bool = False,
) -> int | None:
    """The first index from `at` on at which the lines of the pattern stand. `starts`: the only indices to look at.
    `anywhere`: a line also matches if it contains the pattern's line."""
    candidates = range(at, len(lines) - len(pattern) + 1) if starts is None else starts
    for read in _READINGS:
        expected = [read(line) for line in pattern]
        seen = [read(line) for line in lines]
        for start in candidates:
            if start >= max(at, 0) and seen[start : start + len(expected)] == expected:
                return start
    if anywhere:
        return next((start for start in candidates if pattern[0] in lines[start]), None)
    return None


def _nearest(lines: Sequence[str], pattern: Sequence[str], at: int, hunk: Hunk, path: str) -> str:
    """Why a hunk does not match: the place at which most of its first lines stand, and the line that differs."""
    if hunk.ends_file:
        return f"the lines of the hunk are not the last ones of {path!r}"
    expected, seen = [_plain(line) for line in pattern], [_plain(line) for line in lines]
    best, length = at, 0
    for start in range(at, len(seen)):
        same = next(_different(expected, seen[start:]), len(expected))
        if same > length:
            best, length = start, same
    if not length:
        where = "" if at == 0 else f" behind line {at}"
        return f"{path!r} has no line {pattern[0]!r}{where}"
    place = best + length
    rest = f"line {place + 1} is {lines[place]!r}" if place < len(lines) else "the file ends"
    return (
        f"{path!r} has the first {length} of the hunk's {len(pattern)} lines at line {best + 1}, but then {rest} "
        f"where the hunk has {pattern[length]!r}"
    )


def _different(first: Sequence[str], second: Sequence[str]) -> Iterator[int]:
    for index, line in enumerate(first):
        if index >= len(second) or line != second[index]:
            yield index

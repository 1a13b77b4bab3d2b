"""The tools `repo_browser` and `apply_patch` of gpt-oss's training, on a directory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from motet.errors import InvalidArgumentsError, ToolConstraintError
from motet.repository.apply import normal_path
from motet.repository.directory import inner_path, patch_directory, read_text, without_root
from motet.schema.tool import Tool

__all__ = ["RepoBrowser", "patch_tool"]

MAX_ENTRIES = 1000
"""Entries of a listing; further ones are left out, with a line that says so."""
MAX_FILE_BYTES = 10_000_000
"""Size of a file to search in; larger ones are skipped."""
_HIDDEN = frozenset((".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv"))
"""Folders that listings and searches leave out."""


class RepoBrowser:
    """An implementation of gpt-oss's `repo_browser` on a directory, for `builtin_tools={"repo_browser": ...}`.

    It reads files, and with `writable=True` it patches them. Paths and symbolic links that lead out of the directory
    are refused. Folders of version control and of installed packages are left out of listings and searches.
    """

    def __init__(self, directory: str | os.PathLike[str], *, writable: bool = False) -> None:
        self._root = Path(directory).resolve()
        if not self._root.is_dir():
            raise NotADirectoryError(f"not a directory: {str(directory)!r}")
        self.apply_patch: Callable[[str], str] | None = self._patch if writable else None
        """Applies a patch; `None`: the directory is read only."""

    def print_tree(self, path: str = "", depth: int = 2) -> str:
        """The entries below `path` as an indented tree, `depth` levels deep."""
        entries = self._entries(self._folder(path), depth)
        return _listing([f"{'  ' * level}{name}" for level, name, _ in entries]) or "(empty)"

    def list_dir(self, path: str = "", depth: int = 1) -> str:
        """The paths of the entries below `path`, `depth` levels deep."""
        entries = self._entries(self._folder(path), depth)
        ends = ("", "/")
        return _listing([f"{self._relative(file)}{ends[name.endswith('/')]}" for _, name, file in entries]) or "(empty)"

    def search(self, path: str, query: str, max_results: int = 100) -> str:
        """The lines below `path` that contain `query`, as `path:line: text`. The query is a text, not a pattern."""
        if not query:
            raise ToolConstraintError("the query is empty")
        matches: list[str] = []
        for file in self._files(path):
            for number, line in enumerate(_searchable_lines(file), 1):
                if query in line:
                    matches.append(f"{self._relative(file)}:{number}: {line[:500]}")
                    if len(matches) >= max_results:
                        return "\n".join([*matches, f"(cut at max_results={max_results})"])
        return "\n".join(matches) or f"no line below {path or '.'!r} contains the text {query!r}"

    def open_file(self, path: str, line_start: int = 1, line_end: int | None = None, line_numbers: bool = False) -> str:
        """The lines `line_start` to `line_end` of a file, counted from 1, optionally with their numbers before them."""
        file = self._inner(path)
        if not file.is_file():
            raise ToolConstraintError(f"there is no file {path!r}")
        lines = read_text(path, file).split("\n")
        count = len(lines) - (lines[-1] == "")
        first, last = max(line_start, 1), count if line_end is None else min(line_end, count)
        if first > last and count:
            raise ToolConstraintError(f"{path!r} has {count} lines, none from {line_start} to {line_end or count}")
        lines = lines[first - 1 : last]
        if line_numbers:
            lines = [f"{number:6}\t{line}" for number, line in enumerate(lines, first)]
        return "\n".join(lines)

    def _patch(self, patch: str) -> str:
        return patch_directory(patch, self._root)

    def _inner(self, path: str) -> Path:
        if path.strip() in ("", ".", "./", "/"):
            return self._root
        path = without_root(path, self._root)
        return self._root if path == "." else inner_path(normal_path(path), self._root)

    def _folder(self, path: str) -> Path:
        folder = self._inner(path)
        if not folder.is_dir():
            raise ToolConstraintError(f"there is no folder {path!r}")
        return folder

    def _relative(self, file: Path) -> str:
        return file.relative_to(self._root).as_posix()

    def _entries(self, folder: Path, depth: int, level: int = 0) -> Iterator[tuple[int, str, Path]]:
        """Level, name and path of each entry, folders with a slash behind their name."""
        if level >= depth:
            return
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            is_folder = entry.is_dir() and not entry.is_symlink()
            if entry.name not in _HIDDEN:
                yield level, f"{entry.name}/" if is_folder else entry.name, entry
                if is_folder:
                    yield from self._entries(entry, depth, level + 1)

    def _files(self, path: str) -> Iterator[Path]:
        start = self._inner(path)
        if start.is_file():
            yield start
            return
        for folder, folders, names in os.walk(self._folder(path)):
            folders[:] = sorted(set(folders) - _HIDDEN)
            for name in sorted(names):
                file = Path(folder, name)
                if file.is_file() and not file.is_symlink():
                    yield file


def _listing(lines: list[str]) -> str:
    left_out = len(lines) - MAX_ENTRIES
    return "\n".join([*lines[:MAX_ENTRIES], *([f"({left_out} more)"] if left_out > 0 else [])])


def _searchable_lines(file: Path) -> list[str]:
    """The lines of a text file; none of a large or a binary one."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            return []
        return file.read_bytes().decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def patch_tool(directory: str | os.PathLike[str]) -> Tool:
    """gpt-oss's tool `apply_patch` on a directory, for `tools=`: a function of one patch, see `patch_directory`.

    Models also send the bare patch instead of JSON, and give the argument other names; both are read.
    """
    root = Path(directory).resolve()
    if not root.is_dir():
        raise NotADirectoryError(f"not a directory: {str(directory)!r}")
    parameters = {
        "type": "object",
        "properties": {"patch": {"type": "string", "description": "From '*** Begin Patch' to '*** End Patch'"}},
        "required": ["patch"],
        "additionalProperties": False,
    }
    return Tool("apply_patch", _DESCRIPTION, parameters, lambda patch: patch_directory(patch, root), _bind=_bind_patch)


_DESCRIPTION = """Patch files. A patch stands between the lines '*** Begin Patch' and '*** End Patch', and consists of:
- '*** Add File: <path>', then the lines of the new file, each behind '+';
- '*** Delete File: <path>';
- '*** Update File: <path>', optionally '*** Move to: <path>', then hunks. A hunk begins with '@@', optionally with a
  line of the file that stands before it, such as that of a function. Its lines begin with ' ' for context, '-' for a
  removed and '+' for an added line. '*** End of File' says that the hunk is at the end."""


def _bind_patch(tool: Tool, arguments: str) -> Callable[[], Any]:
    patch = _patch_text(arguments)
    return lambda: tool.function(patch)


def _patch_text(arguments: str) -> str:
    if arguments.lstrip().startswith("*** Begin Patch"):
        return arguments
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentsError(f"the arguments of apply_patch are not JSON: {error}", raw=arguments) from None
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if not isinstance(value, str):
        raise InvalidArgumentsError("apply_patch takes one text: {'patch': '*** Begin Patch ...'}", raw=arguments)
    return value

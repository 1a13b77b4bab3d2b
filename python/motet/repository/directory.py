"""A patch on the files of a directory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from motet._atomic_files import atomic_write
from motet.errors import PatchError
from motet.repository.apply import apply_operations
from motet.repository.patch import Operation, UpdateFile, parse_patch

__all__ = ["inner_path", "patch_directory", "read_text", "without_root"]


def patch_directory(patch: str, directory: str | os.PathLike[str]) -> str:
    """Applies a patch in gpt-oss's form, V4A, to the files of a directory, and returns a list of the changed ones for
    the model: `A new.py`, `M old.py` or `D gone.py`, one a line.

    Paths are relative to the directory, or absolute and in it. Refused are paths and symbolic links that lead out of
    it, and the folders of version control. Files are UTF-8. All are read and changed in memory before the first is
    written, so a patch that does not fit changes nothing. Raises `PatchError`, as `apply_patch` does.
    """
    root = Path(directory).resolve()
    if not root.is_dir():
        raise PatchError(f"not a directory: {str(directory)!r}", path=str(directory))
    files = _DirectoryFiles(root)
    apply_operations([_with_inner_paths(operation, root) for operation in parse_patch(patch)], files)
    return files.save()


def _with_inner_paths(operation: Operation, root: Path) -> Operation:
    operation = replace(operation, path=without_root(operation.path, root))
    if isinstance(operation, UpdateFile) and operation.new_path is not None:
        return replace(operation, new_path=without_root(operation.new_path, root))
    return operation


def without_root(path: str, root: Path) -> str:
    """An absolute path below the root as a relative one; any other path unchanged."""
    file = Path(path)
    is_below = file.is_absolute() and ".." not in file.parts and file.is_relative_to(root)
    return file.relative_to(root).as_posix() if is_below else path


def inner_path(path: str, root: Path) -> Path:
    """The file of a path below a resolved root. Raises `PatchError` if it leads out of it."""
    target = root / path
    try:
        is_inside = target.resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError) as error:
        raise PatchError(f"the path {path!r} cannot be read: {error}", path=path) from error
    if not is_inside:
        raise PatchError(f"the path {path!r} leads out of the root", path=path)
    return target


def read_text(path: str, file: Path) -> str:
    """The text of a file, with its line ends. Raises `PatchError` unless it is UTF-8."""
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise PatchError(f"{path!r} is not a text in UTF-8: {error}", path=path) from error
    except OSError as error:
        raise PatchError(f"{path!r} cannot be read: {error.strerror}", path=path) from error


_VERSION_CONTROL = frozenset((".git", ".hg", ".svn"))


class _DirectoryFiles:
    """The files of a directory with changes that are not written yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._changes: dict[str, str | None] = {}
        """New texts by path; `None` for a file to remove."""

    def __contains__(self, path: object, /) -> bool:
        if not isinstance(path, str):
            return False
        if path in self._changes:
            return self._changes[path] is not None
        file = inner_path(path, self._root)
        if file.exists() and not file.is_file():
            raise PatchError(f"{path!r} is not a file", path=path)
        return file.is_file()

    def __getitem__(self, path: str, /) -> str:
        text = self._changes.get(path)
        return read_text(path, inner_path(path, self._root)) if text is None else text

    def __setitem__(self, path: str, text: str, /) -> None:
        self._change(path, text)

    def __delitem__(self, path: str, /) -> None:
        self._change(path, None)

    def _change(self, path: str, text: str | None) -> None:
        # A hook or a setting of version control is a program that a later command runs.
        parts = inner_path(path, self._root).resolve().relative_to(self._root).parts
        if _VERSION_CONTROL.intersection(map(str.casefold, parts)):
            raise PatchError(f"{path!r} belongs to version control, whose files are not patched", path=path)
        self._changes[path] = text

    def save(self) -> str:
        """Writes the changes, and lists them."""
        marks = {path: self._mark(path, text) for path, text in self._changes.items()}
        texts = {inner_path(path, self._root): text for path, text in self._changes.items() if text is not None}
        try:
            for file in texts:
                file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(*texts) as writers:
                for writer, text in zip(writers, texts.values(), strict=True):
                    writer.write(text.encode("utf-8", "surrogatepass"))
            for path in [path for path, text in self._changes.items() if text is None]:
                inner_path(path, self._root).unlink(missing_ok=True)
        except OSError as error:
            raise PatchError(f"the patch fits, but a file cannot be written: {error}") from error
        return "\n".join([f"{mark} {path}" for path, mark in marks.items() if mark])

    def _mark(self, path: str, text: str | None) -> str:
        exists = inner_path(path, self._root).is_file()
        if text is None:
            return "D" if exists else ""
        return "M" if exists else "A"

"""Files that are never half: replaced as a whole, appended to by whole pieces, locked against other processes.

What is in them is not known here.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from motet.errors import DiskFullError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["PART", "Replacement", "append", "lock", "replacing", "roomy", "sweep", "sync_folder", "write_whole"]

PART = ".part"
"""How the name of a file ends that is still being written."""
_PIECE = 1 << 18
_BINARY = getattr(os, "O_BINARY", 0)
"""On Windows ends of lines would be changed otherwise."""


def write_whole(path: Path, text: str) -> None:
    """Replaces a file as a whole."""
    with replacing(path) as (file,):
        file.write(text.encode("utf-8", "surrogatepass"))


class Replacement:
    """What is going to take a file's place: written beside it, and flushed to the disk before it is renamed."""

    def __init__(self, path: Path) -> None:
        # A link stays one: the file that it leads to is replaced.
        self.path = Path(os.path.realpath(path))
        self.size = 0
        self._pieces: list[bytes] = []
        self._waiting = 0
        sweep(self.path)
        handle, name = _unfinished(self.path)
        self._handle: int | None = handle
        self._name = Path(name)
        with contextlib.suppress(OSError, AttributeError):
            os.fchmod(handle, self.path.stat().st_mode & 0o777)

    def write(self, data: bytes) -> None:
        """Adds to it; what is small is gathered."""
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= _PIECE:
            self._flush()

    def _flush(self) -> None:
        assert self._handle is not None
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        _write(self._handle, data, self.path)
        self.size += len(data)

    def seal(self) -> None:
        """All of it is on the disk when this returns."""
        assert self._handle is not None
        self._flush()
        os.fsync(self._handle)
        if fcntl is None:
            # There an open file cannot be renamed.
            self._close()

    def commit(self) -> None:
        """Takes the file's place."""
        self._name.replace(self.path)
        self._close()

    def discard(self) -> None:
        """Leaves nothing behind, unless it was committed."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self._name.unlink()

    def _close(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


def _unfinished(path: Path) -> tuple[int, str]:
    """A new file beside a file, locked as long as it is open."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        if fcntl is None:
            return handle, name
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            # Nothing can be locked here, so nobody sweeps.
            return handle, name
        else:
            if os.fstat(handle).st_nlink:
                return handle, name
        # It was swept away before it was locked.
        os.close(handle)


def sweep(path: Path) -> None:
    """Takes away what killed processes left unfinished beside a file. What somebody still writes is locked."""
    if fcntl is None:
        return
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{PART}"):
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(handle)


@contextlib.contextmanager
def replacing(*paths: Path) -> Iterator[tuple[Replacement, ...]]:
    """New contents for files, which take their places when the block ends well; else all is left as it was.

    Each file is the old one or the new one at any time, whatever fails. All are on the disk before the first is
    renamed, so only a crash between two renames leaves a new one beside an old one.
    """
    files: list[Replacement] = []
    try:
        for path in paths:
            files.append(Replacement(path))
        yield tuple(files)
        for file in files:
            file.seal()
        for file in files:
            file.commit()
    except BaseException:
        for file in files:
            file.discard()
        raise
    for folder in {file.path.parent for file in files}:
        sync_folder(folder)


@contextlib.contextmanager
def roomy(path: Path) -> Iterator[None]:
    """Raises `DiskFullError` where there is no room for what is written in the block."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskFullError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        problem = f"there is no room to write to {path}, which is as it was before"
        raise DiskFullError(problem, path=str(path)) from error


def sync_folder(folder: Path) -> None:
    """A rename is on the disk when the folder is. Where folders cannot be opened or flushed, there is no more to be
    done."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def append(handle: int, data: bytes, path: Path) -> None:
    """Adds to the end of an open file and flushes it to the disk, or adds nothing at all and raises `OSError`."""
    size = os.fstat(handle).st_size
    try:
        _write(handle, data, path)
        os.fsync(handle)
    except BaseException:
        # Half a line would swallow the next one.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


def _write(handle: int, data: bytes, path: Path) -> None:
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE]
        written = os.write(handle, piece)
        if written != len(piece):
            raise OSError(errno.ENOSPC, f"only {written} of {len(piece)} bytes were written", str(path))


def lock(path: Path, *, wait: bool, shared: bool = False) -> int:
    """An open file that nobody else has until it is closed, made if it is not there; or, `shared`, one to be read
    that nobody changes meanwhile. `wait=False` raises `BlockingIOError` instead of waiting.

    Only those who ask for the lock are kept out. Where files cannot be locked (Windows), anyone may have it.
    """
    while True:
        handle = os.open(path, (os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT | os.O_APPEND) | _BINARY, 0o600)
        try:
            if fcntl is not None:
                how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.flock(handle, how if wait else how | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                if not shared:
                    sync_folder(path.parent)
                return handle
        except BaseException:
            os.close(handle)
            raise
        # Whoever had it took it away, or put another in its place.
        os.close(handle)

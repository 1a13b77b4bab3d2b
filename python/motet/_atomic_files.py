"""Atomic replacement, atomic append and advisory locks for files."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from motet.errors import DiskFullError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "TEMP_SUFFIX",
    "AtomicWriter",
    "append",
    "atomic_files",
    "atomic_write",
    "disk_full_as_error",
    "lock",
    "lock_handle",
    "remove_stale_temp_files",
    "sync_folder",
    "write_whole",
]

TEMP_SUFFIX = ".part"
"""End of the name of a file that is not complete yet."""
_CHUNK_BYTES = 1 << 18
_BINARY = getattr(os, "O_BINARY", 0)
"""On Windows a text mode would change line ends."""


def write_whole(path: Path, text: str) -> None:
    """Replaces a file atomically by `text`, encoded as UTF-8 (lone surrogates kept)."""
    with atomic_write(path) as (file,):
        file.write(text.encode("utf-8", "surrogatepass"))


class AtomicWriter:
    """The new content of a file: written to a temporary file beside it, flushed to disk, then renamed."""

    def __init__(self, path: Path) -> None:
        # A symbolic link stays; its target is replaced.
        self.path = Path(os.path.realpath(path))
        self.size = 0
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0
        self._sealed = False
        remove_stale_temp_files(self.path)
        handle, name = _temp_file(self.path)
        self._handle: int | None = handle
        self._name = Path(name)
        with contextlib.suppress(OSError, AttributeError):
            os.fchmod(handle, self.path.stat().st_mode & 0o777)

    def write(self, data: bytes) -> None:
        """Appends data; small writes are buffered."""
        self._chunks.append(data)
        self._buffered_bytes += len(data)
        if self._buffered_bytes >= _CHUNK_BYTES:
            self._flush()

    def _flush(self) -> None:
        assert self._handle is not None
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._buffered_bytes = 0
        _write(self._handle, data, self.path)
        self.size += len(data)

    def seal(self) -> None:
        """Flushes everything to disk. Nothing is written behind it; a second call does nothing."""
        if self._sealed:
            return
        self._sealed = True
        assert self._handle is not None
        self._flush()
        os.fsync(self._handle)
        if fcntl is None:
            # Windows cannot rename an open file.
            self._close()

    def commit(self) -> None:
        """Replaces the file."""
        self._name.replace(self.path)
        self._close()

    def discard(self) -> None:
        """Removes the temporary file, unless it was committed."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self._name.unlink()

    def _close(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


def _temp_file(path: Path) -> tuple[int, str]:
    """A new temporary file beside `path`, locked while it is open."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMP_SUFFIX)
        if fcntl is None:
            return handle, name
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            # A file system without locks: temporary files are never removed as stale.
            return handle, name
        else:
            if os.fstat(handle).st_nlink:
                return handle, name
        # Another process removed the file before it was locked.
        os.close(handle)


def remove_stale_temp_files(path: Path) -> None:
    """Removes the temporary files that killed processes left beside `path`. Files of running writers are locked."""
    if fcntl is None:
        return
    for temp in path.parent.glob(f".{glob.escape(path.name)}.*{TEMP_SUFFIX}"):
        with contextlib.suppress(OSError):
            handle = os.open(temp, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                temp.unlink()
            finally:
                os.close(handle)


@contextlib.contextmanager
def atomic_write(*paths: Path) -> Iterator[tuple[AtomicWriter, ...]]:
    """Writers for new contents of files, which replace the old ones as those of `atomic_files` do."""
    with atomic_files() as new_file:
        yield tuple(map(new_file, paths))


@contextlib.contextmanager
def atomic_files() -> Iterator[Callable[[Path], AtomicWriter]]:
    """A function that makes a writer for the new content of a file; all of them replace the old contents when the block
    ends without an error. A writer may be sealed before.

    At any time each file has its complete old or its complete new content. All are on disk before the first rename, so
    only a crash between two renames leaves new and old files side by side.
    """
    files: list[AtomicWriter] = []

    def new_file(path: Path) -> AtomicWriter:
        files.append(AtomicWriter(path))
        return files[-1]

    try:
        yield new_file
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
def disk_full_as_error(path: Path) -> Iterator[None]:
    """Turns errors of a full disk or quota inside the block into `DiskFullError`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskFullError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        problem = f"no space left to write {path}; the file is unchanged"
        raise DiskFullError(problem, path=str(path)) from error


def sync_folder(folder: Path) -> None:
    """Flushes a folder, and with it the renames in it, to disk. Does nothing on systems that cannot flush folders."""
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
    """Appends to an open file and flushes it to disk. On an error, the file is as before and `OSError` is raised."""
    size = os.fstat(handle).st_size
    try:
        _write(handle, data, path)
        os.fsync(handle)
    except BaseException:
        # Truncate back: a partial line would corrupt the next record.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


def _write(handle: int, data: bytes, path: Path) -> None:
    for start in range(0, len(data), _CHUNK_BYTES):
        chunk = data[start : start + _CHUNK_BYTES]
        size = os.write(handle, chunk)
        if size != len(chunk):
            raise OSError(errno.ENOSPC, f"only {size} of {len(chunk)} bytes were written", str(path))


def lock(path: Path, *, wait: bool, shared: bool = False) -> int:
    """Opens `path` under an exclusive lock (`shared=True`: a shared one, for reading), released by closing it.

    An exclusive lock creates the file. `wait=False` raises `BlockingIOError` instead of waiting. The lock is advisory:
    it excludes only other calls of `lock`. Windows has no such locks, so there it excludes nothing.
    """
    while True:
        handle = os.open(path, (os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT | os.O_APPEND) | _BINARY, 0o600)
        try:
            lock_handle(handle, wait=wait, shared=shared)
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                if not shared:
                    sync_folder(path.parent)
                return handle
        except BaseException:
            os.close(handle)
            raise
        # The previous holder removed or replaced the file: open the current one.
        os.close(handle)


def lock_handle(handle: int, *, wait: bool, shared: bool = False) -> None:
    """Locks an open file until it is closed. `wait=False` raises `BlockingIOError` instead of waiting."""
    if fcntl is not None:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(handle, mode if wait else mode | fcntl.LOCK_NB)

"""Unpacks checkpoints: each entry is checked before it is written, and the folder appears complete or not at all."""

from __future__ import annotations

import contextlib
import gzip
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from motet.errors import ConfigError, TuneError, UnsafeArchiveError

__all__ = ["MAGIC", "unpack"]

MAGIC = {b"\x1f\x8b": ".tar.gz", b"\x28\xb5\x2f\xfd": ".tar.zst"}
"""The suffixes of compressed archives, by their first bytes."""
MAX_ENTRIES = 10_000
MAX_DEPTH = 32
MAX_HEADER = 1 << 20
"""Bytes of an extended header, which is held in memory: names have a few hundred."""
MAX_RATIO = 100
"""Decompressed bytes for each compressed one, beyond `MIN_LIMIT`. Weights shrink by less than 2, text by 10."""
MIN_LIMIT = 256 << 20
_RESERVED = '\\:*?"<>|'
"""Characters that file names cannot have on every system."""
_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python 3.11.0 to 3.11.3 have no filters; the entries are checked here in any case."""


def unpack(archive: str | Path, folder: str | Path) -> tuple[Path, ...]:
    """Unpacks a `.tar`, `.tar.gz` or `.tar.zst` into a new folder, and returns the files.

    Only files and folders below the folder are written, without owners and permissions. A path that leads elsewhere, a
    link, a device, a sparse file, a name that occurs twice, a header or a content out of all proportion to the archive
    raises `UnsafeArchiveError`, and nothing is written. Raises `ConfigError` if the folder exists, and `TuneError` for
    a damaged archive.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder} exists; unpack into a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.part"
    temporary.mkdir()
    names: list[str] = []
    try:
        limit = MIN_LIMIT + MAX_RATIO * archive.stat().st_size
        with _decompressed(archive) as inner:
            stream: Any = _Bounded(inner, limit)
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_TarInfo) as tar:
                tar.extractall(temporary, _checked(tar, names), **_FILTER)
            # The checksum of the whole is behind the last entry.
            while stream.read(1024**2):
                pass
        temporary.rename(folder)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TuneError(f"{archive} is damaged: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return tuple([folder / name for name in names])


def _checked(tar: tarfile.TarFile, names: list[str]) -> Iterator[tarfile.TarInfo]:
    """The entries, and the names of files into `names`. Raises `UnsafeArchiveError`."""
    folded: set[str] = set()
    for number, entry in enumerate(tar, 1):
        if number > MAX_ENTRIES:
            raise UnsafeArchiveError(f"more than {MAX_ENTRIES} entries in the archive", member=entry.name)
        problem = _problem(entry, folded)
        if problem is not None:
            raise UnsafeArchiveError(f"{problem} in the archive: {entry.name!r}", member=entry.name)
        if entry.isreg():
            names.append(str(PurePosixPath(entry.name)))
        entry.mode = 0o644 if entry.isreg() else 0o755
        yield entry


class _Bounded:
    """A stream that raises `UnsafeArchiveError` behind its limit."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UnsafeArchiveError(f"the archive decompresses to more than {MAX_RATIO} times its size")
        return data


class _TarInfo(tarfile.TarInfo):
    """An entry whose extended headers are bounded: tarfile reads them whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _TarInfo:
        entry = super().frombuf(buf, encoding, errors)
        if entry.size > MAX_HEADER and entry.type in _HEADER_TYPES:
            raise UnsafeArchiveError(f"an extended header of {entry.size} bytes in the archive", member=entry.name)
        return entry


_HEADER_TYPES = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


def _problem(entry: tarfile.TarInfo, folded: set[str]) -> str | None:
    name = PurePosixPath(entry.name)
    if entry.issym() or entry.islnk():
        return "link"
    if not (entry.isreg() or entry.isdir()):
        return "neither file nor folder"
    if entry.issparse():
        return "sparse file"
    is_reserved = any(c in _RESERVED or not c.isprintable() for c in entry.name)
    if name.is_absolute() or ".." in name.parts or is_reserved or not (name.parts or entry.isdir()):
        return "unsafe path"
    if len(name.parts) > MAX_DEPTH:
        return "too deep path"
    # Folders end in a slash here. On case-insensitive file systems a second file would replace the first.
    key, folders = str(name).casefold(), [f"{parent}/".casefold() for parent in name.parents if parent.name]
    folders += [f"{key}/"] if entry.isdir() else []
    if (entry.isreg() and not {key, f"{key}/"}.isdisjoint(folded)) or not {f[:-1] for f in folders}.isdisjoint(folded):
        return "duplicate path"
    folded.update(folders, () if entry.isdir() else [key])
    return None


@contextlib.contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    """The bytes of the tar, decompressed as its first bytes say."""
    with archive.open("rb") as file:
        suffix = next((suffix for magic, suffix in MAGIC.items() if file.peek(4).startswith(magic)), ".tar")
        if suffix == ".tar.gz":
            with gzip.open(file) as stream:
                yield stream  # type: ignore[misc]
        elif suffix == ".tar.zst":
            with _zstd(file) as stream:
                yield stream
        else:
            yield file


def _zstd(file: IO[bytes]) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found]
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found]
        except ImportError:
            raise ConfigError(
                f"{file.name} is compressed with zstandard, which this Python cannot read: unpack it with tar, or "
                "pip install backports.zstd"
            ) from None
    return zstd.open(file)

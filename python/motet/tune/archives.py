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
_RESERVED = '\\:*?"<>|'
"""Characters that file names cannot have on every system."""
_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python 3.11.0 to 3.11.3 have no filters; the entries are checked here in any case."""


def unpack(archive: str | Path, folder: str | Path) -> tuple[Path, ...]:
    """Unpacks a `.tar`, `.tar.gz` or `.tar.zst` into a new folder, and returns the files.

    Only files and folders below the folder are written, without owners and permissions. A path that leads elsewhere, a
    link, a device or a name that occurs twice raises `UnsafeArchiveError`, and nothing is written. Raises `ConfigError`
    if the folder exists, and `TuneError` for a damaged archive.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder} exists; unpack into a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.part"
    temporary.mkdir()
    names: list[str] = []
    try:
        with _decompressed(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
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


def _problem(entry: tarfile.TarInfo, folded: set[str]) -> str | None:
    name = PurePosixPath(entry.name)
    if entry.issym() or entry.islnk():
        return "link"
    if not (entry.isreg() or entry.isdir()):
        return "neither file nor folder"
    is_reserved = any(c in _RESERVED or not c.isprintable() for c in entry.name)
    if name.is_absolute() or ".." in name.parts or is_reserved or not (name.parts or entry.isdir()):
        return "unsafe path"
    # On case-insensitive file systems the second file would replace the first.
    key = str(name).casefold()
    if entry.isreg() and key in folded:
        return "duplicate path"
    folded.add(key)
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

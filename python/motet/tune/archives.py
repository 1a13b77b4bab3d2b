"""Checkpoints unpacked: every entry is looked at before it is written, and the folder appears as a whole or not."""

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
"""How packed files begin, and how they are called."""
MAX_ENTRIES = 10_000
_FOREIGN = '\\:*?"<>|'
"""What names of files have not, on some system."""


def unpack(archive: str | Path, folder: str | Path) -> tuple[Path, ...]:
    """Unpacks a `.tar`, `.tar.gz` or `.tar.zst` into a new folder, and gives the files.

    Only files and folders are taken, and only beneath the folder: an entry with a path that leads elsewhere, a link, a
    device, a name that comes twice raises `UnsafeArchiveError`, and then nothing is there. Rights and owners are not
    taken over. Raises `ConfigError` if the folder is there already, and `TuneError` for a damaged archive.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder} is there already; unpack into a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.part"
    beside.mkdir()
    try:
        with _opened(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as packed:
            written = list(_written(packed, beside))
            # What comes after the last entry has the checksum of the whole.
            while stream.read(1024**2):
                pass
        beside.rename(folder)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TuneError(f"{archive} is damaged: {error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return tuple([folder / name for name in written])


def _written(packed: tarfile.TarFile, folder: Path) -> Iterator[PurePosixPath]:
    """Writes the files of an archive, one after the other."""
    seen: set[str] = set()
    for number, entry in enumerate(packed, 1):
        name = _name(entry, seen)
        if number > MAX_ENTRIES:
            raise UnsafeArchiveError(f"the archive has more than {MAX_ENTRIES} entries", member=entry.name)
        place = folder.joinpath(*name.parts)
        if entry.isdir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        content = packed.extractfile(entry)
        assert content is not None, "a file has content"
        with place.open("xb") as file:
            shutil.copyfileobj(content, file, 1024**2)
        yield name


def _name(entry: tarfile.TarInfo, seen: set[str]) -> PurePosixPath:
    """Where an entry goes, below the folder. Raises `UnsafeArchiveError` for one that goes nowhere."""
    name = PurePosixPath(entry.name)
    if not (entry.isreg() or entry.isdir()):
        kind = "a link" if entry.issym() or entry.islnk() else "neither a file nor a folder"
        raise UnsafeArchiveError(f"{entry.name!r} in the archive is {kind}", member=entry.name)
    odd = any(c in _FOREIGN or not c.isprintable() for c in entry.name)
    if name.is_absolute() or ".." in name.parts or odd or not (name.parts or entry.isdir()):
        raise UnsafeArchiveError(f"{entry.name!r} in the archive is no name for a file below it", member=entry.name)
    # Where case does not count, the second would overwrite the first.
    folded = str(name).casefold()
    if entry.isreg() and folded in seen:
        raise UnsafeArchiveError(f"{entry.name!r} is in the archive twice", member=entry.name)
    seen.add(folded)
    return name


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[IO[bytes]]:
    """The tar within an archive, by how it begins and not by its name."""
    with archive.open("rb") as file:
        kind = next((kind for magic, kind in MAGIC.items() if file.peek(4).startswith(magic)), ".tar")
        if kind == ".tar.gz":
            with gzip.open(file) as stream:
                yield stream  # type: ignore[misc]
        elif kind == ".tar.zst":
            with _zstandard(file) as stream:
                yield stream
        else:
            yield file


def _zstandard(file: IO[bytes]) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found]
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found]
        except ImportError:
            raise ConfigError(
                f"{file.name} is packed with zstandard, which this Python does not know: unpack it with tar, or "
                "pip install backports.zstd"
            ) from None
    return zstd.open(file)

"""Unpacking archives: whole, or not at all."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from motet import tune
from motet.errors import (
    ConfigError,
    TuneError,
    UnsafeArchiveError,
)
from motet.tune import archives
from motet.tune.archives import unpack
from tests.support.tune_service import (
    finished_job,
    service,
)


def tar(*entries: tuple[str, bytes | tuple[bytes, str] | None], compress: bool = True) -> bytes:
    """A name with its content; `None` for a folder, or a type with a target."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                entry.type, entry.linkname = content
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return gzip.compress(packed.getvalue()) if compress else packed.getvalue()


UNSAFE = {
    "above": tar(("ok", b"1"), ("../evil", b"x")),
    "inside above": tar(("a/../../evil", b"x")),
    "absolute": tar(("/tmp/evil", b"x")),
    "backslash": tar(("..\\evil", b"x")),
    "drive": tar(("C:evil", b"x")),
    "control": tar(("a\nb", b"x")),
    "symlink": tar(("link", (tarfile.SYMTYPE, "/etc"))),
    "through a symlink": tar(("link", (tarfile.SYMTYPE, "..")), ("link/evil", b"x")),
    "hard link": tar(("link", (tarfile.LNKTYPE, "/etc/passwd"))),
    "device": tar(("dev", (tarfile.CHRTYPE, ""))),
    "pipe": tar(("pipe", (tarfile.FIFOTYPE, ""))),
    "twice": tar(("a", b"1"), ("a", b"2")),
    "twice but for case": tar(("a", b"1"), ("A", b"2")),
    "the folder itself": tar((".", b"x")),
}


def sparse_archive() -> bytes:
    """A file that claims a petabyte of zeros, in a header of 512 bytes."""
    entry = tarfile.TarInfo("sparse")
    entry.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[386:398], header[398:410] = b"00000000000\0", b"00000000000\0"
    header[483:495] = (1 << 50).to_bytes(12, "big")
    header[483] = 0x80
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + bytes(1024))


def header_archive() -> bytes:
    """A name of 2 MiB, in an extended header."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a" * (2 << 20)))
    return gzip.compress(packed.getvalue())


UNSAFE |= {
    "sparse": sparse_archive(),
    "long header": header_archive(),
    "deep": tar(("a/" * 40 + "b", b"x")),
    "file as folder": tar(("a", b"x"), ("a/b", b"x")),
    "folder as file": tar(("a/b", b"x"), ("a", b"x")),
    "folder and file": tar(("a", None), ("A", b"x")),
}


def test_archives_that_expand_out_of_proportion_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MIN_LIMIT", 1 << 20)
    (tmp_path / "a.tar.gz").write_bytes(tar(("zeros", bytes(64 << 20))))
    with pytest.raises(UnsafeArchiveError, match="100 times its size"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


@pytest.mark.parametrize("name", UNSAFE)
def test_archive_members_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "in" / "a.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(UNSAFE[name])
    with pytest.raises(UnsafeArchiveError) as caught:
        unpack(archive, tmp_path / "in" / "out")
    assert caught.value.member
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.tar.gz"]


@pytest.mark.parametrize("compress", [True, False])
def test_sound_archives_are_unpacked(tmp_path: Path, compress: bool) -> None:
    packed = tar(
        (".", None), ("./a", b"1"), ("sub", None), ("sub/b", b"2" * 70_000), ("deep/er/c", b""), compress=compress
    )
    (tmp_path / "a").write_bytes(packed)
    files = unpack(tmp_path / "a", tmp_path / "new" / "out")
    assert [str(path.relative_to(tmp_path / "new" / "out")) for path in files] == ["a", "sub/b", "deep/er/c"]
    assert files[1].read_bytes() == b"2" * 70_000
    with pytest.raises(ConfigError, match="unpack into a new folder"):
        unpack(tmp_path / "a", tmp_path / "new" / "out")


@pytest.mark.parametrize("cut", [1, 5, 40, -3, -9])
def test_damaged_archive_leaves_no_files(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a").write_bytes(tar(("a", bytes(range(256)) * 9))[:cut])
    with pytest.raises(TuneError, match="is damaged"):
        unpack(tmp_path / "a", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_missing_zstandard_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    with pytest.raises((ConfigError, TuneError)) as caught:
        unpack(tmp_path / "a", tmp_path / "out")
    assert "backports.zstd" in str(caught.value) or "damaged" in str(caught.value)


def test_checkpoint_is_unpacked_beside_its_archive(data: Path, tmp_path: Path) -> None:
    with service() as it:
        download = tune.download(finished_job(it, data), f"{tmp_path}/m/", extract=True, **it.how)
        assert [path.name for path in download.files] == ["adapter_config.json", "adapter_model.safetensors"]
        assert download.files[0].parent == download.path.with_name(download.path.name.removesuffix(".tar.gz"))
    with service(archive=UNSAFE["symlink"]) as it, pytest.raises(UnsafeArchiveError):
        tune.download(finished_job(it, data), f"{tmp_path}/n/", extract=True, **it.how)

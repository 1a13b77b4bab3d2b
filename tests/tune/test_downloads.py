"""Downloads of checkpoints: resumed, verified, and kept within their folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from motet import tune
from motet.errors import (
    ApiError,
    ConfigError,
    ConnectionFailedError,
    DownloadError,
)
from motet.testing import Fault
from tests.support.server_scripts import KEY
from tests.support.tune_service import (
    BIG,
    RESET,
    finished_job,
    service,
    status,
)


def test_checkpoint_is_downloaded(data: Path, tmp_path: Path) -> None:
    with service(archive=BIG) as it:
        job = finished_job(it, data)
        progress: list[tuple[int, int | None]] = []
        download = tune.download(job, f"{tmp_path}/models/", on_progress=lambda *some: progress.append(some), **it.how)
        assert download.path == tmp_path / "models" / "scripted_gpt-oss-120b-00000001-merged.tar.gz"
        assert download.path.read_bytes() == BIG
        assert (download.bytes, download.sha256, download.verified) == (
            len(BIG),
            hashlib.sha256(BIG).hexdigest(),
            "sha256",
        )
        assert progress[-1] == (len(BIG), len(BIG))
        assert sorted(path.name for path in download.path.parent.iterdir()) == [download.path.name]
        adapter = tune.download(job.id, tmp_path / "x.bin", kind="adapter", step=10, sha256=download.sha256, **it.how)
        assert adapter.path == tmp_path / "x.bin"


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("kind", ["reset", "close"])
def test_cut_download_is_resumed(data: Path, tmp_path: Path, kind: str, digest: bool) -> None:
    cuts = [
        Fault(kind, after=1000),
        Fault(kind, after=1),
        status(500),
        RESET,
        Fault(kind, after=0),
        Fault(kind, after=7),
    ]
    with service(archive=BIG, digest=digest, faults={"download": cuts}) as it:
        download = tune.download(finished_job(it, data), tmp_path / "m", **it.how)
        assert download.path.read_bytes() == BIG
        assert download.verified == ("sha256" if digest else "length")
        ranges = [request.headers.get("Range") for request in it.server.requests if request.path.endswith("/download")]
        assert ranges[0] is None
        assert len(ranges) == 7
        starts = [int(request.removeprefix("bytes=").rstrip("-")) for request in ranges[1:] if request]
        assert starts == sorted(starts)
        assert starts[-1] > 0


def test_download_is_resumed_by_another_process(data: Path, tmp_path: Path) -> None:
    with service(archive=BIG, faults={"download": [Fault("reset", after=2000), *[RESET] * 9]}) as it:
        job = finished_job(it, data)
        with pytest.raises(ConnectionFailedError):
            tune.download(job, tmp_path / "m", **it.how)
        assert not (tmp_path / "m").exists()
        here = (tmp_path / "m.part").stat().st_size
        assert 0 < here <= 2000
        it.training.faults.clear()
        download = tune.download(job, tmp_path / "m", **it.how)
        assert download.resumed_at == here
        assert download.path.read_bytes() == BIG
        assert [path.name for path in tmp_path.glob("m*")] == ["m"]


def test_versions_are_not_mixed_in_a_download(data: Path, tmp_path: Path) -> None:
    """The checkpoint at the service changes during a download."""
    for other in (BIG[:900] + bytes(len(BIG) - 900), BIG[:1500], BIG + b"more"):
        with service(archive=BIG, faults={"download": [Fault("reset", after=2000), *[RESET] * 9]}) as it:
            job = finished_job(it, data)
            with pytest.raises(ConnectionFailedError):
                tune.download(job, tmp_path / "m", **it.how)
            it.training.faults.clear()
            it.training.archive = other
            download = tune.download(job, tmp_path / "m", **it.how)
            assert download.path.read_bytes() == other
            assert download.resumed_at == 0


def test_server_that_mixes_versions_is_detected(data: Path, tmp_path: Path) -> None:
    """The store sends the rest of another version, and ignores If-Range."""
    other = BIG[:900] + bytes(len(BIG) - 900)
    rest = {"Content-Range": f"bytes 2000-{len(other) - 1}/{len(other)}", "ETag": '"other"'}
    mixing = Fault("status", status=206, headers=rest, body="x")
    with service(archive=BIG, faults={"download": [Fault("reset", after=2000), mixing]}) as it:
        download = tune.download(finished_job(it, data), tmp_path / "m", **it.how)
        assert (download.path.read_bytes(), download.resumed_at) == (BIG, 0)


def test_part_of_unknown_origin_is_not_resumed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "m.part").write_bytes(b"something else")
    (tmp_path / "m.part.json").write_text('{"etag": "x"')
    with service(archive=BIG) as it:
        job = finished_job(it, data)
        assert tune.download(job, tmp_path / "m", **it.how).path.read_bytes() == BIG
        # And of another checkpoint.
        (tmp_path / "m.part").write_bytes(BIG[:100])
        label = {"job": job.id, "kind": "adapter", "step": None}
        note = {"label": label, "etag": it.training.etag(), "total": len(BIG), "digest": None}
        (tmp_path / "m.part.json").write_text(json.dumps(note))
        assert tune.download(job, tmp_path / "m", **it.how).resumed_at == 0
        (tmp_path / "m.part").write_bytes(BIG[:100])
        (tmp_path / "m.part.json").write_text(json.dumps(note))
        assert tune.download(job, tmp_path / "m", kind="adapter", **it.how).resumed_at == 100


def test_wrong_checksum_replaces_no_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("what was there")
    with service(archive=BIG) as it:
        job = finished_job(it, data)
        with pytest.raises(DownloadError, match="discarded and nothing was replaced") as caught:
            tune.download(job, tmp_path / "m", sha256="0" * 64, **it.how)
        assert caught.value.found == hashlib.sha256(BIG).hexdigest()
        assert (tmp_path / "m").read_text() == "what was there"
        assert (tmp_path / "m.part").stat().st_size == 0
        # Bytes that were damaged here, in a part that is gone on with.
        note = {
            "label": {"job": job.id, "kind": "merged", "step": None},
            "etag": it.training.etag(),
            "total": len(BIG),
            "digest": None,
        }
        (tmp_path / "m.part").write_bytes(bytes(100))
        (tmp_path / "m.part.json").write_text(json.dumps(note))
        with pytest.raises(DownloadError, match="the service's is"):
            tune.download(job, tmp_path / "m", **it.how)
        assert (tmp_path / "m").read_text() == "what was there"
        assert tune.download(job, tmp_path / "m", **it.how).path.read_bytes() == BIG
        with pytest.raises(ConfigError, match="64 hexadecimal"):
            tune.download(job, tmp_path / "m", sha256="abc", **it.how)


@pytest.mark.parametrize(
    "headers", [{"Content-Range": "bytes 5-9/10"}, {"Content-Range": "bytes 0-9/10", "ETag": '"z"'}, {}], ids=str
)
def test_wrong_range_response_is_refused(data: Path, tmp_path: Path, headers: dict[str, str]) -> None:
    odd = Fault("status", status=206, headers={**headers, "Repr-Digest": "sha-256=:AAAA:"}, body="x" * 5)
    with service(archive=BIG, faults={"download": [Fault("reset", after=2000), odd]}) as it:
        job = finished_job(it, data)
        try:
            assert tune.download(job, tmp_path / "m", **it.how).path.read_bytes() in (BIG, b"xxxxx")
        except (DownloadError, ApiError):
            assert not (tmp_path / "m").exists()


def test_key_is_not_sent_to_redirect_targets(data: Path, tmp_path: Path) -> None:
    with service(archive=BIG, redirect_downloads=True, faults={"stored": [Fault("reset", after=500)]}) as it:
        download = tune.download(finished_job(it, data), tmp_path / "m", **it.how)
        assert (download.path.read_bytes(), download.verified) == (BIG, "sha256")
        stored = [request for request in it.server.requests if request.path == "/storage/checkpoint"]
        assert len(stored) == 2
        assert "Range" in stored[1].headers
        assert not any(KEY in str(request.headers) for request in stored)


@pytest.mark.parametrize("place", ["ftp://elsewhere/x", "file:///etc/passwd", ""])
def test_unsafe_redirect_targets_are_refused(data: Path, tmp_path: Path, place: str) -> None:
    with service(faults={"download": [status(302, headers={"Location": place})] * 99}) as it, pytest.raises(ApiError):
        tune.download(finished_job(it, data), tmp_path / "m", **it.how)


def test_concurrent_downloads_do_not_share_a_part(data: Path, tmp_path: Path) -> None:
    with service(archive=BIG) as it:
        job = finished_job(it, data)

        def again(*_: Any) -> None:
            with pytest.raises(ConfigError, match=r"another download writes to .*m\.part"):
                tune.download(job, tmp_path / "m", **it.how)

        assert tune.download(job, tmp_path / "m", on_progress=again, **it.how).path.read_bytes() == BIG


def test_symlink_at_the_part_is_not_followed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "m.part").symlink_to(tmp_path / "victim")
    with service(archive=BIG) as it:
        with pytest.raises(OSError):
            tune.download(finished_job(it, data), tmp_path / "m", **it.how)
        assert (tmp_path / "victim").read_text() == "mine"


def test_job_without_a_model_has_no_download(data: Path, tmp_path: Path) -> None:
    with service() as it, pytest.raises(ConfigError, match="is pending and has no model yet"):
        tune.download(it.job(data), tmp_path, **it.how)


@pytest.mark.parametrize("name", ["../../etc/model", "/etc/passwd", "a/b\x00c", "....", "é/ü", ".bashrc"])
def test_model_names_cannot_leave_the_folder(data: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    with service() as it:
        job = finished_job(it, data)
        it.training.jobs[job.id].shape["model_output_name"] = name
        download = tune.download(job.id, f"{folder}/", **it.how)
        assert download.path.parent == folder
        assert not download.path.name.startswith(".")


def test_adapter_is_downloaded_if_there_is_no_merged_model(data: Path, tmp_path: Path) -> None:
    with service() as it:
        it.training.limits["merge_output_lora"] = False
        download = tune.download(finished_job(it, data), f"{tmp_path}/m/", **it.how)
        assert download.path.name.endswith("-adapter.tar.gz")

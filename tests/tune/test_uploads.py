"""Uploads: each file once, validated, and resumed after faults."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest

import motet
from motet import tune
from motet.errors import (
    ApiError,
    AuthenticationError,
    BadPayloadError,
    ChangedFileError,
    ConfigError,
    ConnectionFailedError,
    InvalidDatasetError,
    MaxTimeError,
    ServerError,
    TuneError,
)
from motet.testing import Fault, Storage
from motet.tune import transfers
from tests.support.server_scripts import KEY
from tests.support.tune_service import HTML, LOST, OK, RESET, service, status, written


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_file_is_uploaded_once_and_validated(data: Path) -> None:
    progress: list[tuple[int, int]] = []
    states: list[str] = []
    with service() as it:
        file = tune.upload(
            data, on_progress=lambda done, all: progress.append((done, all)), on_state=states.append, **OK, **it.how
        )
        assert (file.status, file.bytes, file.lines) == ("COMPLETED", data.stat().st_size, 6)
        assert file.report is not None and file.report["valid"] is True
        assert file.name == f"train-{sha(data)[:16]}.jsonl"
        assert progress[-1] == (file.bytes, file.bytes)
        assert states == ["validation pending", "validation running"]
        # The bytes went where the service said, without the key.
        put = next(request for request in it.server.requests if request.method == "PUT")
        assert KEY not in str(put.headers)
        # The same bytes again, and under another name that means the same: nothing is sent.
        assert tune.upload(data, **OK, **it.how).id == file.id
        assert len(it.request_lines("PUT")) == 1
        assert tune.to_file(file) is file
        assert tune.to_file(file.id, **it.how) == file


def test_equal_bytes_reuse_the_uploaded_file(data: Path, tmp_path: Path) -> None:
    with service() as it:
        file = it.file(data)
        copied = tmp_path / "copy.jsonl"
        copied.write_bytes(data.read_bytes())
        assert it.file(copied).id == file.id
        assert len(it.storage.files) == len(it.request_lines("PUT")) == 1


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("reserve", RESET),
        ("reserve", status(503)),
        ("reserve", LOST),
        ("put", RESET),
        ("put", Fault("reset", after=1)),
        ("put", Fault("close", after=1)),
        ("put", status(500, body="<Error>slow down</Error>")),
        ("put", LOST),
        ("preprocess", RESET),
        ("preprocess", status(502, body="<html>")),
        ("preprocess", LOST),
        ("preprocess", HTML),
        ("retrieve_file", RESET),
        ("retrieve_file", status(500)),
        ("retrieve_file", HTML),
        ("list_files", status(500)),
        ("list_files", Fault("not_json")),
    ],
    ids=str,
)
def test_any_upload_fault_leaves_one_file(data: Path, operation: str, fault: Fault, checksums: bool) -> None:
    with service(faults={operation: [fault, fault]}, storage=Storage(knows_checksums=checksums)) as it:
        file = it.file(data)
        assert file.status == "COMPLETED"
        assert it.file(data).id == file.id
        whole = [item for item in it.storage.files.values() if item.data]
        assert [item.id for item in whole] == [file.id]
        assert whole[0].data == data.read_bytes()
        assert it.clock.slept


@pytest.mark.parametrize("operation", ["put", "preprocess"])
@pytest.mark.parametrize("fault", [RESET, status(503), status(403, body="<Error>expired</Error>")], ids=str)
def test_failed_upload_leaves_no_file(data: Path, operation: str, fault: Fault) -> None:
    with service(faults={operation: [fault] * 9}) as it:
        with pytest.raises(ApiError):
            it.file(data)
        assert it.storage.files == {}
        it.training.faults.clear()
        assert it.file(data).status == "COMPLETED"


def test_undeletable_file_is_named(data: Path) -> None:
    left = r"incomplete upload file-\w+-5c1d could not be"
    with (
        service(faults={"put": [RESET] * 9, "delete_file": [status(403)]}) as it,
        pytest.raises(ConnectionFailedError, match=left),
    ):
        it.file(data)


def test_leftovers_of_a_cut_upload_are_deleted(data: Path) -> None:
    """As after a killed process: its incomplete upload is still there."""
    with service(faults={"put": [RESET] * 9, "delete_file": [RESET]}, storage=Storage(knows_checksums=False)) as it:
        with pytest.raises(ConnectionFailedError):
            it.file(data)
        (torn,) = it.storage.files
        it.training.faults.clear()
        file = it.file(data)
        assert list(it.storage.files) == [file.id] != [torn]


def test_reservation_of_a_cut_upload_is_reclaimed(data: Path) -> None:
    with service(faults={"put": [RESET] * 9, "delete_file": [RESET]}) as it:
        with pytest.raises(ConnectionFailedError):
            it.file(data)
        it.training.faults.clear()
        before = it.clock.time
        # The service reports these bytes as known but does not have them: at first another upload may be sending them.
        file = it.file(data)
        assert it.clock.time - before > 60
        assert list(it.storage.files) == [file.id]
        assert it.storage.files[file.id].data == data.read_bytes()


def test_concurrent_equal_uploads_share_a_file(data: Path) -> None:
    with service() as it:
        files: list[tune.File] = []
        threads = [threading.Thread(target=lambda: files.append(it.file(data))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({file.id for file in files}) == 1
        assert len(files) == 4
        assert [file.data for file in it.storage.files.values()] == [data.read_bytes()]


def test_file_changed_during_upload_is_refused(data: Path) -> None:
    """The file changes between its check and its upload."""
    before = data.read_bytes()
    for change in (before[:-3] + b" }\n", before + b"{}\n", before[:40]):
        data.write_bytes(before)
        with service() as it:
            real = it.training.fault

            def changing(operation: str, change: bytes = change, real: Any = real) -> Fault | None:
                if operation == "reserve":
                    data.write_bytes(change)
                return real(operation)

            it.training.fault = changing  # type: ignore[method-assign]
            with pytest.raises(ChangedFileError, match="changed while it was checked and sent") as caught:
                it.file(data)
            assert caught.value.expected == hashlib.sha256(before).hexdigest()
            assert it.storage.files == {}
            assert not it.request_lines("POST", "preprocess")


def test_check_refuses_a_bad_file_before_sending(tmp_path: Path) -> None:
    bad = written(tmp_path / "bad.jsonl", [{"messages": [{"content": "no role"}]}])
    with service() as it:
        with pytest.raises(InvalidDatasetError, match=r"was not sent: .*motet data check"):
            tune.upload(bad, **it.how)
        assert it.server.requests == []


def test_service_refuses_a_bad_file_with_a_report(tmp_path: Path) -> None:
    some = [{"messages": [{"role": "user", "content": "Hi"}]}] * 6 + [
        {"messages": [{"role": "user"}, {"content": "?"}]}
    ]
    bad = written(tmp_path / "bad.jsonl", some)
    with service() as it:
        with pytest.raises(InvalidDatasetError, match=r"Line 7: `messages\[1\]` must contain a `role` field") as caught:
            it.file(bad)
        assert caught.value.report["error_type"] == "INVALID_FORMAT"
        # And again: the file is there, and as bad as before.
        with pytest.raises(InvalidDatasetError, match="Line 7"):
            it.file(bad)
        assert len(it.request_lines("PUT")) == 1


@pytest.mark.parametrize("report", [None, {"valid": False}, {"valid": False, "error": "odd"}, ["?"], "?"], ids=str)
def test_reports_of_any_shape_are_handled(data: Path, report: Any) -> None:
    shape = {"id": "file-1", "bytes": 3, "processing_status": "FAILED", "validation_report": report}
    with service(faults={"retrieve_file": [status(200, body=shape)] * 3}) as it:
        reason = "odd" if isinstance(report, dict) and "error" in report else "no reason given"
        with pytest.raises(InvalidDatasetError, match=reason):
            it.file(data)


@pytest.mark.parametrize("state", ["PENDING", "QUEUED", "RUNNING", "SCANNING", "pending"])
def test_slow_validation_times_out(data: Path, state: str) -> None:
    with service(storage=Storage([state] * 12)) as it:
        assert it.file(data).status == "COMPLETED"
        assert it.clock.slept == sorted(it.clock.slept)
    with service(storage=Storage([state] * 5000)) as it:
        with pytest.raises(MaxTimeError, match=r"file-.* was not validated within") as caught:
            tune.upload(data, timeout=600, **OK, **it.how)
        assert caught.value.state.id in it.storage.files
        assert ("unknown to motet" in str(caught.value)) == (state == "SCANNING")
        assert it.clock.time == 1600
        # Waiting can be gone on with; nothing is sent again.
        with pytest.raises(MaxTimeError):
            tune.upload(data, timeout=60, **OK, **it.how)
        assert len(it.request_lines("PUT")) == 1


def test_large_files_are_uploaded_in_parts(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "ONE_PIECE", 100)
    monkeypatch.setattr(transfers, "PART", 64)
    faults = {"part": [None, RESET, Fault("reset", after=10), None, LOST], "multipart": [status(500), None, LOST]}
    with service(faults=faults) as it:
        file = it.file(data)
        assert it.storage.files[file.id].data == data.read_bytes()
        assert sorted(it.storage.files[file.id].parts) == list(range(1, -(-data.stat().st_size // 64) + 1))
        assert it.file(data).id == file.id
        assert len(it.storage.files) == 1
    with service(faults={"part": [None, *[RESET] * 9]}) as it:
        with pytest.raises(ConnectionFailedError):
            it.file(data)
        assert it.storage.files == {}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("train.txt", "{}", "must be .jsonl or .parquet"),
        ("train", "{}", "must be .jsonl or .parquet"),
        ("train.jsonl", "", "must have 1 to"),
    ],
)
def test_invalid_upload_paths_are_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with service() as it:
        with pytest.raises(ConfigError, match=says):
            tune.upload(tmp_path / name, **it.how)
        with pytest.raises(FileNotFoundError):
            tune.upload(tmp_path / "none.jsonl", **it.how)
        (tmp_path / "folder.jsonl").mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match="not a file"):
            tune.upload(tmp_path / "folder.jsonl", **it.how)
        assert it.server.requests == []


HOSTILE = [
    'a"; touch pwned; ".jsonl',
    "$(touch pwned).jsonl",
    "a\nb: c.jsonl",
    "é ü 青.jsonl",
    "-rf.jsonl",
    "....jsonl",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_file_names_are_never_interpreted(tmp_path: Path, name: str) -> None:
    """Regression: an earlier program put file names and the key into a shell command."""
    data = written(tmp_path / name)
    with service() as it:
        file = it.file(data)
        assert file.name.rpartition("-")[2] == f"{sha(data)[:16]}.jsonl"
        assert set(file.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert not list(tmp_path.glob("pwned"))


@pytest.mark.parametrize("name", ["../files", "ft-1/../x", "a b", "ft-1?x=1", "ft-1#", "", "ft-1\n", "é", "x" * 300])
def test_malformed_ids_are_refused(name: str) -> None:
    with service() as it:
        for call in (tune.job, tune.cancel, tune.watch, tune.download):
            with pytest.raises(ConfigError, match="must be an id"):
                call(name, **it.how)
        assert it.server.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Location": "ftp://elsewhere/x", "X-Together-File-Id": "file-1"},
        {"Location": "http://127.0.0.1:9/x", "X-Together-File-Id": "../../etc"},
        {"Location": "http://127.0.0.1:9/x"},
        {"X-Together-File-Id": "file-1"},
        {},
    ],
    ids=str,
)
def test_invalid_upload_target_is_an_error(data: Path, headers: dict[str, str]) -> None:
    with service(faults={"reserve": [status(302, headers=headers)] * 9}) as it:
        with pytest.raises((BadPayloadError, ConfigError, ApiError)):
            it.file(data)
        assert not it.request_lines("PUT")


def test_wrong_key_is_an_authentication_error(data: Path) -> None:
    """The SDK reads it as exhausted credits."""
    with service() as it:
        it.backend.client.api_key = "tgp_v1_wrong_0123456789abcdef"
        with pytest.raises(AuthenticationError, match="check TOGETHER_API_KEY") as caught:
            it.file(data)
        assert "wrong_0123" not in str(caught.value)


def test_echoed_key_is_not_shown(data: Path) -> None:
    echoed = status(400, body={"error": {"message": f"Bearer {KEY} is odd"}})
    html = Fault("status", status=200, body=f"<html>{KEY}</html>")
    for fault in (echoed, html):
        with service(faults={"reserve": [fault] * 9, "list": [fault] * 9, "retrieve": [fault] * 9}) as it:
            for call in (
                lambda it=it: it.file(data),
                lambda it=it: tune.jobs(**it.how),
                lambda it=it: tune.job("ft-1", **it.how),
            ):
                with pytest.raises(ApiError) as caught:
                    call()
                assert KEY not in f"{caught.value!r} {caught.value.raw} {caught.value.__cause__!r}"


def test_uploaded_file_is_used_by_id(data: Path) -> None:
    with service(storage=Storage(["RUNNING"] * 4)) as it:
        file = it.file(data)
        assert tune.to_file(file.id, **it.how).status == "COMPLETED"
        with pytest.raises(motet.NotFoundError):
            tune.to_file("file-none", **it.how)


def test_file_without_validation_is_accepted(data: Path) -> None:
    """The service has no validation."""
    shape = {"id": "file-1", "bytes": 3, "filename": "x"}
    with service(faults={"preprocess": [status(200, body=shape)]}) as it:
        assert it.file(data).status is None


@pytest.mark.parametrize(
    "body", [None, [], "text", {"data": 7}, {"data": [1, None, {"id": 3}]}, {"data": None}], ids=str
)
def test_lists_of_any_shape_are_handled(data: Path, body: Any) -> None:
    fault = Fault("null") if body is None else status(200, body=json.dumps(body) if isinstance(body, str) else body)
    with service(faults={"list_files": [fault] * 9}) as it:
        try:
            assert it.file(data).status == "COMPLETED"
        except (BadPayloadError, ServerError, TuneError):
            assert not it.request_lines("PUT")

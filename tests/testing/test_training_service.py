"""Files and fine-tunes of the scripted server, asked as the SDK itself asks, and uploads with all that can go wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import together

from motet.testing import ScriptedServer, Training
from tests.support.server_scripts import KEY
from tests.support.tune_service import MODEL, RESET, written


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return written(tmp_path / "train.jsonl")


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_sdk_runs_the_whole_workflow(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from together.lib import DownloadManager

    with ScriptedServer() as server, together.Together(api_key=KEY, base_url=server.url, max_retries=0) as sdk:
        result = sdk.files.upload(data)
        assert [f"{request.method} {request.path}" for request in server.requests] == [
            "POST /v1/files",
            f"PUT /storage/{result.id}",
            f"POST /v1/files/{result.id}/preprocess",
        ]
        assert server.requests[0].body == {
            "purpose": "fine-tune",
            "file_name": "train.jsonl",
            "file_type": "jsonl",
            "checksum": sha(data),
        }
        assert "Authorization" not in server.requests[1].headers
        assert sdk.files.upload(data).id == result.id
        assert [sdk.files.retrieve(result.id).processing_status for _ in range(3)][-1] == "COMPLETED"
        assert sdk.files.list().data[0].bytes == data.stat().st_size
        assert sdk.files.content(result.id).read() == data.read_bytes()
        assert sdk.fine_tuning.model_limits(model_name=MODEL).lora_training.max_rank == 64
        job = sdk.fine_tuning.create(training_file=result.id, model=MODEL, train_on_inputs="auto")
        statuses = [sdk.fine_tuning.retrieve(job.id).status for _ in range(11)]
        assert list(dict.fromkeys(statuses)) == [
            "pending",
            "queued",
            "running",
            "compressing",
            "uploading",
            "completed",
        ]
        assert sdk.fine_tuning.list().data[0].id == job.id
        assert sdk.fine_tuning.list_events(job.id).data[-1].type == "job_complete"
        assert sdk.fine_tuning.list_metrics(job.id).metrics[0]["train/global_step"] == 1
        assert sdk.fine_tuning.list_checkpoints(job.id).data[0].step == 20
        url = f"/v1/finetune/download?ft_id={job.id}&checkpoint=merged"
        path, size = DownloadManager(sdk).download(url, tmp_path / "model", "model", fetch_metadata=True)
        assert Path(path).read_bytes() == server.training.archive
        assert size == len(server.training.archive)
        assert sdk.files.delete(result.id).deleted
        # In parts, as large files go.
        monkeypatch.setattr("together.lib.resources.files.MULTIPART_THRESHOLD_GB", 0)
        monkeypatch.setattr("together.lib.resources.files.TARGET_PART_SIZE_MB", 5)
        big = tmp_path / "big.jsonl"
        big.write_bytes(data.read_bytes() * 10_000)
        assert server.training.storage.files[sdk.files.upload(big, check=False).id].data == big.read_bytes()


def test_unknown_operations_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown operation sing; known are"):
        Training(faults={"sing": [RESET]})

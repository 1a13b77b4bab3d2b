"""Batches of the scripted server, asked as the SDK itself asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import together

from motet.testing import BatchService, Fault, ScriptedServer, batch_stages
from tests.support.server_scripts import ANSWER, KEY, PLAIN


def request(number: int, **body: Any) -> str:
    messages = [{"role": "user", "content": f"Question {number}"}]
    return json.dumps({"custom_id": f"r-{number}", "body": {"model": "m", "messages": messages, **body}})


def run(server: ScriptedServer, path: Path) -> tuple[Any, dict[str, dict[str, Any]]]:
    """The ended job, and the lines of its files by custom id."""
    with together.Together(api_key=KEY, base_url=server.url, max_retries=0) as sdk:
        file = sdk.files.upload(path, purpose="batch-api", check=False)
        job = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions").job
        assert job is not None
        assert job.id is not None
        while job.status in ("VALIDATING", "IN_PROGRESS"):
            job = sdk.batches.retrieve(job.id)
        lines: dict[str, dict[str, Any]] = {}
        for name in filter(None, (job.output_file_id, job.error_file_id)):
            data = sdk.files.content(name).read()
            lines |= {line["custom_id"]: line for line in map(json.loads, data.splitlines())}
    return job, lines


def test_sdk_runs_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_text("\n".join([request(1), request(2, temperature=-1), request(3)]) + "\n")
    script = [PLAIN, Fault("status", status=503)]
    with ScriptedServer(script, key=KEY) as server:
        job, lines = run(server, path)
        assert (job.status, job.progress) == ("COMPLETED", 100)
        assert lines["r-3"]["response"]["body"]["choices"][0]["message"]["content"] == ANSWER
        assert "temperature" in lines["r-2"]["error"]["message"]
        assert lines["r-1"]["error"]["message"] == "scripted to fail"
        assert server.batches.answered == {"r-1": 1, "r-2": 1, "r-3": 1}
        assert [*sdk_ids(server)] == [job.id]


def sdk_ids(server: ScriptedServer) -> list[str | None]:
    with together.Together(api_key=KEY, base_url=server.url) as sdk:
        return [job.id for job in sdk.batches.list()]


@pytest.mark.parametrize(("end", "count"), [("EXPIRED", 2), ("CANCELLED", 2), ("FAILED", 0)])
def test_batch_that_does_not_complete_keeps_its_answers(tmp_path: Path, end: str, count: int) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_text("".join([request(number) + "\n" for number in range(4)]))
    service = BatchService(batch_stages(end))
    with ScriptedServer(lambda _: PLAIN, key=KEY, batches=service) as server:
        job, lines = run(server, path)
        assert (job.status, len(lines)) == (end, count)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}\n", "line 1 is not a request"),
        (request(1) + "\n" + request(1) + "\n", "a custom_id occurs twice"),
        (request(1) + "\n" + request(2) + "\n" + request(3) + "\n", "3 requests, more than 2"),
    ],
)
def test_invalid_file_fails_its_batch(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_text(text)
    with ScriptedServer(lambda _: PLAIN, key=KEY, batches=BatchService(max_requests=2)) as server:
        job, lines = run(server, path)
        assert job.status == "FAILED"
        assert error in job.error
        assert lines == {}

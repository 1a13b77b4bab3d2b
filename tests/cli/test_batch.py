"""`motet batch`: a table of prompts, from its files to its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from motet import batch
from motet.testing import BatchService, BatchStage, Fault
from tests.support.batch_service import BatchServer, batch_server, prompts
from tests.support.command_line import run
from tests.support.server_scripts import KEY


@pytest.fixture
def it(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    # The jobs have ended at the first poll, so that nothing waits.
    with batch_server(service=BatchService([BatchStage("COMPLETED", 100.0)])) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.server.url)
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        yield server


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join([json.dumps({"prompt": text}) + "\n" for text in prompts(3)]))
    return path


def test_table_is_built_submitted_watched_and_collected(it: BatchServer, table: Path, tmp_path: Path) -> None:
    built = run("batch", "build", str(table), "-o", "asked", "--max-requests", "2", "--effort", "low", folder=tmp_path)
    assert built.code == 0, built.err
    assert "3 requests for /v1/chat/completions in 2 files in asked" in built.out
    assert "discount 0" in built.out
    submitted = run("batch", "submit", "asked", folder=tmp_path)
    assert "submitted 3 requests in 2 jobs" in submitted.out
    watched = run("batch", "watch", "asked", folder=tmp_path)
    assert (watched.code, watched.out) == (0, "COMPLETED, 100% of 3 requests\n")
    collected = run("batch", "collect", "asked", "-o", "answers.jsonl", folder=tmp_path)
    assert (collected.code, collected.out.splitlines()[0]) == (0, "3 of 3 answered; written to answers.jsonl")
    assert "$0.000" in collected.out
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == [f"You asked: question {number}" for number in range(3)]
    bodies = [json.loads(line)["body"] for line in (tmp_path / "asked/requests-00001.jsonl").read_text().splitlines()]
    assert {body["reasoning_effort"] for body in bodies} == {"low"}


def test_json_output_has_the_state_of_each_file(it: BatchServer, table: Path, tmp_path: Path) -> None:
    shape = json.loads(run("batch", "build", str(table), "-o", "asked", "--json", folder=tmp_path).out)
    assert (shape["requests"], shape["phase"], shape["parts"][0]["job"]) == (3, "built", None)
    lines = run("batch", "submit", "asked", "--watch", "--json", folder=tmp_path).out.splitlines()
    assert json.loads(lines[-1])["phase"] == "completed"
    collected = run("batch", "collect", "asked", "-o", "a.jsonl", "--json", folder=tmp_path)
    assert json.loads(collected.out)["answered"] == 3


def test_failed_requests_set_the_exit_code_and_are_retried(
    monkeypatch: pytest.MonkeyPatch, table: Path, tmp_path: Path
) -> None:
    script = iter([Fault("status", status=500), *["<|channel|>final<|message|>Yes<|return|>"] * 3])
    with batch_server(lambda _: next(script), service=BatchService([BatchStage("COMPLETED", 100.0)])) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.server.url)
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        run("batch", "build", str(table), "-o", "asked", folder=tmp_path)
        run("batch", "submit", "asked", "--watch", folder=tmp_path)
        collected = run("batch", "collect", "asked", "-o", "a.jsonl", folder=tmp_path)
        assert collected.code == 1
        assert "2 of 3 answered" in collected.out
        assert "1 ServerError" in collected.out
        retried = run("batch", "retry", "asked", folder=tmp_path)
        assert "1 requests in requests-00002.jsonl" in retried.out
        run("batch", "submit", "asked", "--watch", folder=tmp_path)
        assert run("batch", "collect", "asked", "-o", "a.jsonl", folder=tmp_path).code == 0
        assert set(server.service.answered.values()) == {1}


def test_results_of_another_program_are_collected(table: Path, tmp_path: Path) -> None:
    run("batch", "build", str(table), "-o", "asked", "--service", "vllm", "--price", "0.1,0.4", folder=tmp_path)
    requests = [*batch.read_requests(tmp_path / "asked/requests-00001.jsonl")]
    assert all(request.line(openai=True).startswith(b'{"custom_id"') for request in requests)
    choice = {"index": 0, "message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 70, "completion_tokens": 5, "total_tokens": 75}
    lines = [
        {
            "id": "vllm-1",
            "custom_id": request.custom_id,
            "response": {"status_code": 200, "request_id": "b", "body": {"choices": [choice], "usage": usage}},
            "error": None,
        }
        for request in requests
    ]
    (tmp_path / "out.jsonl").write_text("".join([json.dumps(line) + "\n" for line in lines]))
    command = ("batch", "collect", "asked", "-o", "a.jsonl", "--results", "out.jsonl")
    collected = run(*command, folder=tmp_path)
    assert collected.code == 0, collected.err
    assert "cost unknown" in collected.out
    assert "the discount of batches is not known" in collected.out


def test_messages_of_wrong_usage(table: Path, tmp_path: Path) -> None:
    missing = run("batch", "submit", "nothing", folder=tmp_path)
    assert (missing.code, missing.err) == (2, "motet: no such folder: 'nothing'\n")
    wrong = run("batch", "collect", "asked", "-o", "answers.txt", folder=tmp_path)
    assert wrong.err == "motet: the answers need a .parquet or .jsonl file: 'answers.txt'\n"
    lane = run("batch", "build", str(table), "-o", "asked", "--lane", "ids", folder=tmp_path)
    assert "Together's Batch API takes lane='chat' only" in lane.err
    assert run("batch", "build", str(table), "-o", "asked", folder=tmp_path).code == 0
    again = run("batch", "build", str(table), "-o", "asked", folder=tmp_path)
    assert "asked has a batch already; choose another folder" in again.err

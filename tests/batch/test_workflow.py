"""A batch from its table to its answers, through every end of its jobs and every fault of the service."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from motet import batch
from motet.errors import ApiError, ConfigError, ConnectionFailedError, MaxTimeError, RateLimitError
from motet.testing import BatchService, BatchStage, Fault, batch_stages
from tests.support.batch_service import batch_server, prompts
from tests.support.tune_service import HTML, LOST, RESET, status


def build(folder: Path, count: int = 5, **options: Any) -> batch.Batch:
    return batch.build(prompts(count), folder, **{"max_requests": 2, "current_date": "2026-11-26", **options})


def texts(results: batch.Results) -> list[str | None]:
    return [row["text"] for row in results]


def answers(count: int = 5) -> list[str]:
    return [f"You asked: question {number}" for number in range(count)]


def test_table_becomes_answers_in_its_order(tmp_path: Path) -> None:
    built = build(tmp_path / "b")
    assert [part.requests for part in built.parts] == [2, 2, 1]
    with batch_server() as it:
        sent: list[tuple[str, int, int]] = []
        submitted = it.client.submit(tmp_path / "b", on_progress=lambda *some: sent.append(some))
        assert [name for name, done, total in sent if done == total] == [part.name for part in built.parts]
        assert len(it.service.jobs) == len({job.id for job in submitted.jobs}) == 3
        changes: list[batch.Batch] = []
        ended = it.client.watch(tmp_path / "b", on_change=changes.append)
        assert ended.ended
        assert [change.share for change in changes][-1] == 1.0
        assert {change.phase for change in changes} == {"waiting", "running", "completed"}
        results = it.client.collect(tmp_path / "b")
        assert texts(results) == answers()
        row = next(iter(results))
        assert (row["reasoning"], row["finish"], row["error"]) == ("They ask question 0", "stop", None)
        tokens = row["tokens"]
        assert sum(tokens.values()) == row["output_tokens"]
        assert row["cost"] == (Decimal("0.15") * row["input_tokens"] + Decimal("0.60") * row["output_tokens"]) / 10**6
        summary = results.summary
        assert (summary.rows, summary.answered, summary.errors) == (5, 5, {})
        assert summary.cost == sum(row["cost"] for row in results)
        # All is in the folder: nothing more is requested.
        count = len(it.server.requests)
        assert texts(batch.collect(tmp_path / "b")) == answers()
        assert len(it.server.requests) == count


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("create_batch", LOST),
        ("create_batch", status(429)),
        ("create_batch", status(429, headers={"Retry-After": "7"})),
        ("create_batch", status(503)),
        ("list_batches", RESET),
        ("list_batches", HTML),
        ("retrieve_batch", RESET),
        ("retrieve_batch", status(500)),
        ("retrieve_batch", HTML),
        ("retrieve_batch", status(429)),
    ],
    ids=str,
)
def test_any_fault_of_a_job_asks_each_request_once(tmp_path: Path, operation: str, fault: Fault) -> None:
    build(tmp_path / "b")
    with batch_server(service=BatchService(faults={operation: [fault, None, fault]})) as it:
        assert texts(it.run(tmp_path / "b")) == answers()
        assert set(it.service.answered.values()) == {1}
        assert len(it.service.answered) == 5


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("reserve", LOST),
        ("put", Fault("reset", after=1)),
        ("put", status(500)),
        ("preprocess", LOST),
        ("list_files", status(503)),
        ("file_content", Fault("reset", after=10)),
        ("file_content", Fault("close", after=100)),
        ("file_content", status(500)),
        ("file_content", HTML),
    ],
    ids=str,
)
def test_any_fault_of_a_file_asks_each_request_once(tmp_path: Path, operation: str, fault: Fault) -> None:
    build(tmp_path / "b")
    with batch_server(files={operation: [fault, fault]}) as it:
        assert texts(it.run(tmp_path / "b")) == answers()
        assert set(it.service.answered.values()) == {1}


def test_unreachable_service_leaves_the_batch_to_be_continued(tmp_path: Path) -> None:
    """The request that creates the second job is not answered, and no job of it is listed."""
    build(tmp_path / "b")
    with batch_server(service=BatchService(faults={"create_batch": [None, RESET]})) as it:
        with pytest.raises(ConnectionFailedError, match="submit again, which looks for it first"):
            it.client.submit(tmp_path / "b")
        assert [part.job is not None for part in batch.Batch.load(tmp_path / "b").parts] == [True, False, False]
        with pytest.raises(ConfigError, match=r"not submitted: requests-00002.jsonl, requests-00003.jsonl"):
            it.client.watch(tmp_path / "b")
        assert texts(it.run(tmp_path / "b")) == answers()
        assert len(it.service.jobs) == len(it.uploads) == 3


class LateListService(BatchService):
    """The list has no job in its first three responses."""

    lists = 0

    def shapes(self) -> Iterator[Mapping[str, Any]]:
        self.lists += 1
        return super().shapes() if self.lists > 3 else iter(())


def test_job_that_is_listed_late_is_not_created_twice(tmp_path: Path) -> None:
    build(tmp_path / "b", count=2)
    with batch_server(service=LateListService(faults={"create_batch": [LOST]})) as it:
        with pytest.raises(ConnectionFailedError, match="submit again, which looks for it first"):
            it.client.submit(tmp_path / "b")
        assert texts(it.run(tmp_path / "b")) == answers(2)
        assert set(it.service.answered.values()) == {1}


def test_refused_job_is_an_error(tmp_path: Path) -> None:
    build(tmp_path / "b", max_requests=9)
    with batch_server(service=BatchService(faults={"create_batch": [status(429)] * 9})) as it:
        with pytest.raises(RateLimitError):
            it.client.submit(tmp_path / "b")
        assert it.service.jobs == {}
        assert len(it.clock.slept) == 4


@pytest.mark.parametrize("end", ["EXPIRED", "CANCELLED"])
def test_partial_results_are_kept_and_the_rest_retried(tmp_path: Path, end: str) -> None:
    build(tmp_path / "b", count=6, max_requests=4)
    ends = iter([end, "COMPLETED", "COMPLETED"])
    service = BatchService(lambda: batch_stages(next(ends)), share=0.5)
    with batch_server(service=service) as it:
        results = it.run(tmp_path / "b")
        assert texts(results) == [*answers(2), None, None, *answers(6)[4:]]
        summary = results.summary
        assert (summary.answered, summary.errors) == (4, {"ApiError": 2})
        assert summary.cost is not None
        assert f"is {end} and has no result for this request" in [*results][2]["error"]
        again = batch.retry(tmp_path / "b")
        assert (again.parts[-1].of, again.parts[-1].requests, again.requests) == ("requests-00001.jsonl", 2, 6)
        assert texts(it.run(tmp_path / "b")) == answers(6)
        assert set(it.service.answered.values()) == {1}
        assert len(it.service.answered) == 6
        with pytest.raises(ConfigError, match=r"all requests of the batch in .* have answers"):
            batch.retry(tmp_path / "b")


def test_failed_job_gives_its_reason_in_each_row(tmp_path: Path) -> None:
    build(tmp_path / "b", max_requests=9)
    with batch_server(service=BatchService(max_requests=3)) as it:
        results = it.run(tmp_path / "b")
        assert texts(results) == [None] * 5
        assert "the file has 5 requests, more than 3" in next(iter(results))["error"]
        assert results.summary.cost == 0


def test_error_file_gives_errors_beside_answers(tmp_path: Path) -> None:
    script = iter([Fault("status", status=503), "<|channel|>final<|message|>Yes.<|return|>"])
    build(tmp_path / "b", count=2)
    with batch_server(lambda _: next(script)) as it:
        # The service answers from the last request on.
        results = it.run(tmp_path / "b")
        assert texts(results) == ["Yes.", None]
        row = [*results][1]
        assert row["error_type"] == "ServerError"
        assert "scripted to fail" in row["error"]
        assert batch.retry(tmp_path / "b").parts[-1].requests == 1
        script = iter(["<|channel|>final<|message|>No.<|return|>"])
        assert texts(it.run(tmp_path / "b")) == ["Yes.", "No."]


def test_retry_without_errors_asks_missing_requests_alone(tmp_path: Path) -> None:
    build(tmp_path / "b", count=1)
    with batch_server(lambda _: Fault("status", status=500)) as it:
        it.run(tmp_path / "b")
        with pytest.raises(ConfigError, match="have answers"):
            batch.retry(tmp_path / "b", errors=False)


def test_cut_answer_is_kept_with_its_error_and_cost(tmp_path: Path) -> None:
    build(tmp_path / "b", count=1, max_tokens=8)
    with batch_server() as it:
        (row,) = it.run(tmp_path / "b")
        assert row["error_type"] == "TruncatedOutputError"
        assert row["reasoning"]
        assert row["cost"] > 0


def test_running_jobs_are_not_collected_and_can_be_cancelled(tmp_path: Path) -> None:
    build(tmp_path / "b", count=4, max_requests=4)
    service = BatchService([BatchStage("IN_PROGRESS", 25.0)] * 9)
    with batch_server(service=service) as it:
        it.client.submit(tmp_path / "b")
        with pytest.raises(ConfigError, match="1 of 1 jobs have not ended"):
            it.client.collect(tmp_path / "b")
        with pytest.raises(MaxTimeError) as caught:
            it.client.watch(tmp_path / "b", timeout=20)
        assert caught.value.state.share == 0.25
        cancelled = it.client.cancel(tmp_path / "b")
        assert cancelled.phase == "cancelled"
        assert texts(it.client.collect(tmp_path / "b")) == [*answers(2), None, None]


def test_unknown_status_is_waited_for(tmp_path: Path) -> None:
    build(tmp_path / "b", count=1)
    stages = [BatchStage("RESHUFFLING"), BatchStage("COMPLETED")]
    with batch_server(service=BatchService(stages)) as it:
        assert texts(it.run(tmp_path / "b")) == answers(1)


def test_lost_connection_is_reported_while_watching(tmp_path: Path) -> None:
    build(tmp_path / "b", count=1)
    with batch_server(service=BatchService(faults={"retrieve_batch": [RESET, None, RESET]})) as it:
        it.client.submit(tmp_path / "b")
        troubles: list[ApiError] = []
        changes: list[batch.Batch] = []
        it.client.watch(tmp_path / "b", on_change=changes.append, on_trouble=troubles.append)
        assert len(troubles) == 1
        assert [change.trouble is not None for change in changes] == [False, True, False, False, False]


def test_one_process_at_a_time_submits(tmp_path: Path) -> None:
    from motet.batch.folder import locked

    build(tmp_path / "b")
    with locked(tmp_path / "b"), batch_server() as it, pytest.raises(ConfigError, match="another process works"):
        it.client.submit(tmp_path / "b")


def test_answers_are_written_as_json_lines_and_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    build(tmp_path / "b")
    with batch_server() as it:
        results = it.run(tmp_path / "b")
        summary = results.write(tmp_path / "answers.jsonl")
        assert summary.answered == 5
        rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
        expected = [{**row, "cost": f"{row['cost']:f}"} for row in results]
        assert rows == expected
        results.write(tmp_path / "answers.parquet")
        table = parquet.read_table(tmp_path / "answers.parquet")
        assert table == results.to_arrow()
        assert table["text"].to_pylist() == answers()
        assert table["cost"].to_pylist() == [row["cost"] for row in results]
        assert table.schema.field("tokens").type.num_fields == 4
        assert isinstance(table, pyarrow.Table)

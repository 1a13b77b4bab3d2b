"""The Batch API of a scripted server: jobs that answer the requests of a file.

No clock moves a job: it advances by one stage each time it is polled.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from motet.testing.script import Fault
from motet.testing.server.faulty_service import FaultyService
from motet.testing.server.storage import Storage

__all__ = ["BatchJob", "BatchService", "BatchStage", "batch_stages"]

Answer: TypeAlias = Callable[[str, Mapping[str, Any]], tuple[int, Mapping[str, Any]]]
"""From the path and the body of a request to the status and the body of its response."""

_CREATED = "2026-11-21T10:{:02d}:00Z"
_ENDED = frozenset(("COMPLETED", "FAILED", "EXPIRED", "CANCELLED"))
MAX_CUSTOM_ID = 64
"""Characters, from Together's documentation."""


@dataclass(frozen=True)
class BatchStage:
    """A job as one poll shows it."""

    status: str
    progress: float = 0.0
    """Per cent of the requests."""


def batch_stages(end: str = "COMPLETED") -> tuple[BatchStage, ...]:
    """The life of a job, poll by poll, with the status `end` as the last."""
    running = [BatchStage("IN_PROGRESS", progress) for progress in (0.0, 50.0)]
    return (BatchStage("VALIDATING"), *running, BatchStage(end, 100.0 if end == "COMPLETED" else 50.0))


@dataclass
class BatchJob:
    """A job, with its JSON in `shape`."""

    shape: dict[str, Any]
    stages: list[BatchStage]
    lines: list[dict[str, Any]]
    polls: int = 0
    requests: list[str] = field(default_factory=list)
    """The custom ids of the requests that were answered."""

    @property
    def ended(self) -> bool:
        return self.shape["status"] in _ENDED


class BatchService(FaultyService):
    """The batch jobs of a scripted server.

    - `stages`: what each poll of a job shows; a function gives those of the next job.
    - `share`: the share of the requests that a job answers before it expires or is cancelled, from 0 to 1.
    - `max_requests`, `max_bytes`: of an input file; a job of a larger one fails.
    - `faults`: for each operation of `OPERATIONS`, the faults of its requests in order; `None` lets one request pass.
    """

    OPERATIONS = ("create_batch", "list_batches", "retrieve_batch", "cancel_batch")

    def __init__(
        self,
        stages: Sequence[BatchStage] | Callable[[], Sequence[BatchStage]] = batch_stages,
        *,
        share: float = 0.5,
        max_requests: int = 50_000,
        max_bytes: int = 100_000_000,
        faults: Mapping[str, Sequence[Fault | None]] | None = None,
    ) -> None:
        self.stages = stages if callable(stages) else lambda: stages
        self.share = share
        self.max_requests, self.max_bytes = max_requests, max_bytes
        self.jobs: dict[str, BatchJob] = {}
        self.answered: Counter[str] = Counter()
        """How often each custom id was answered, in all jobs."""
        super().__init__(faults)

    def create(self, body: Mapping[str, Any], storage: Storage) -> BatchJob:
        """A new job for a file."""
        file = storage.files[str(body["input_file_id"])]
        number = len(self.jobs) + 1
        shape = {
            "id": f"batch-{number:08x}-7a1b",
            "user_id": "user-1",
            "input_file_id": file.id,
            "file_size_bytes": len(file.data),
            "status": "VALIDATING",
            "job_deadline": "2026-11-22T10:00:00Z",
            "created_at": _CREATED.format(number % 60),
            "endpoint": str(body["endpoint"]),
            "progress": 0.0,
            "model_id": "",
        }
        lines, problem = self._lines(file.data)
        stages = [*self.stages()]
        if problem is not None:
            shape["error"] = problem
            stages = [BatchStage("VALIDATING"), BatchStage("FAILED")]
        job = self.jobs[str(shape["id"])] = BatchJob(shape, stages, lines)
        return job

    def _lines(self, data: bytes) -> tuple[list[dict[str, Any]], str | None]:
        """The requests of a file, and the reason why the job fails."""
        if len(data) > self.max_bytes:
            return [], f"the file has {len(data)} bytes, more than {self.max_bytes}"
        texts = data.splitlines()
        if len(texts) > self.max_requests:
            return [], f"the file has {len(texts)} requests, more than {self.max_requests}"
        lines: list[dict[str, Any]] = []
        for number, text in enumerate(texts, 1):
            try:
                line = json.loads(text)
                valid = isinstance(line["body"], dict) and 0 < len(line["custom_id"]) <= MAX_CUSTOM_ID
            except (ValueError, LookupError, TypeError):
                valid = False
            if not valid:
                return [], f"line {number} is not a request"
            lines.append(line)
        if len({line["custom_id"] for line in lines}) != len(lines):
            return [], "a custom_id occurs twice"
        return lines, None

    def poll(self, job: BatchJob, storage: Storage, answer: Answer) -> None:
        """Advances a job to its next stage. At its end the files of its results are there."""
        if job.ended:
            return
        stage = job.stages[min(job.polls, len(job.stages) - 1)]
        job.polls += 1
        job.shape |= {"status": stage.status, "progress": stage.progress}
        if job.ended:
            self._finish(job, storage, answer)

    def _finish(self, job: BatchJob, storage: Storage, answer: Answer) -> None:
        status = job.shape["status"]
        count = len(job.lines) if status == "COMPLETED" else round(len(job.lines) * self.share)
        count = 0 if status == "FAILED" else count
        # The order of the results is not that of the requests.
        outputs, errors = [], []
        for line in reversed(job.lines[:count]):
            self.answered[line["custom_id"]] += 1
            code, body = answer(job.shape["endpoint"], line["body"])
            if code < 300:
                response = {"status_code": code, "body": body}
                outputs.append({"custom_id": line["custom_id"], "response": response})
            else:
                errors.append({"custom_id": line["custom_id"], "error": dict(body.get("error") or {})})
        for name, rows in (("output_file_id", outputs), ("error_file_id", errors)):
            if rows:
                data = b"".join([json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows])
                job.shape[name] = storage.keep(f"{job.shape['id']}-{name[:-8]}.jsonl", data).id
        if status == "FAILED":
            job.shape.setdefault("error", "scripted to fail")
        job.shape["completed_at"] = "2026-11-21T11:00:00Z"

    def cancel(self, job: BatchJob) -> str | None:
        """Ends a job at the next poll. The result is an error message, if it has ended already."""
        if job.ended:
            return f"the batch is {job.shape['status']}, and cannot be cancelled"
        job.stages = [*job.stages[: job.polls], BatchStage("CANCELLED", job.shape["progress"])]
        return None

    def shapes(self) -> Iterator[Mapping[str, Any]]:
        """All jobs, as they are listed."""
        return (job.shape for job in self.jobs.values())

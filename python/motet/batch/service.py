"""Batches at a service: a function for each step, and `BatchClient`, which has them as methods."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from motet._context import Closing
from motet._retry import Clock, Retrier, RetryPolicy
from motet.batch.builder import MAX_BYTES, MAX_REQUESTS, write_parts
from motet.batch.folder import Batch, Part, locked
from motet.batch.job_states import BatchJob
from motet.batch.results import Results, unanswered
from motet.errors import ApiError, ConfigError, OverloadedError, RateLimitError
from motet.schema.output import Output
from motet.tune.monitor import follow
from motet.tune.service import Method, is_transient
from motet.tune.transfers import DownloadProgress, Transfers, UploadProgress

if TYPE_CHECKING:
    from motet.together import Backend

__all__ = ["BatchClient", "cancel", "collect", "retry", "status", "submit", "watch"]

Service: TypeAlias = "Backend | BatchClient | None"
"""Where a function sends its requests. `None`: to the service that the environment names."""

_POLICY = RetryPolicy(tries=5, max_wait=30.0, max_retry_after=600.0)
_LIST_LAG = 10.0
"""Seconds until the list of batches has a job whose creation was requested by a process that was killed, or that got no
response."""


def submit(
    folder: str | Path, *, on_progress: Callable[[str, int, int], None] | None = None, backend: Service = None
) -> Batch:
    """Uploads the files of a batch and creates a job for each.

    - `on_progress`: called with the name of a file, the bytes of it that were sent, and their total.

    Each file is uploaded once and each job created once, also after a kill: the file's hash is part of its name at the
    service, and the list of batches says whether its job exists. Raises `ApiError`; the same call continues.
    """
    with _client(backend) as client, locked(folder):
        batch = Batch.load(folder)
        for part in batch.parts:
            if part.job is None:
                batch = client.submit_part(batch, part, on_progress)
    return batch


def status(folder: str | Path, *, backend: Service = None) -> Batch:
    """The batch with the current states of its jobs."""
    with _client(backend) as client:
        return client.poll(Batch.load(folder))


def watch(
    folder: str | Path,
    *,
    on_change: Callable[[Batch], None] | None = None,
    on_trouble: Callable[[ApiError], None] | None = None,
    timeout: float | None = None,
    backend: Service = None,
) -> Batch:
    """Waits until all jobs of a batch have ended. An interrupt leaves them running.

    - `on_change`: called with the batch after each change; `.trouble` is the error of a request that failed.
    - `on_trouble`: called with each error of a request before the jobs are known.
    - `timeout`: seconds; then `MaxTimeError` is raised, with the batch in `.state`. `None`: no limit.

    Failing requests are repeated for half an hour. Raises `TuneError` for a job that stays in an unknown status for an
    hour.
    """
    with _client(backend) as client:
        return client.watch_until_ended(_submitted(folder), timeout, on_change, on_trouble)


def cancel(folder: str | Path, *, timeout: float = 300.0, backend: Service = None) -> Batch:
    """Cancels the jobs of a batch, and returns it once they have ended. Requests that were answered before are billed,
    and `collect` returns their answers. After `timeout` seconds raises `MaxTimeError`."""
    with _client(backend) as client:
        batch = client.poll(_submitted(folder))
        for job in batch.jobs:
            if not job.ended:
                client.cancel_job(job.id)
        return client.watch_until_ended(batch, timeout, None, None)


def collect(
    folder: str | Path,
    *,
    output: Any = str,
    results: Iterable[str | Path] | None = None,
    on_progress: DownloadProgress | None = None,
    backend: Service = None,
) -> Results:
    """The answers of a batch whose jobs have ended, also of those that failed, expired or were cancelled.

    - `output`: the type of the answers, as `build` was given it.
    - `results`: files that another program wrote for the requests of the folder, such as `vllm run-batch`; then no
      request is sent.
    - `on_progress`: called with the bytes of a file that arrived and their total, `None` if unknown.

    The files of the jobs are downloaded once; a cut download continues. Raises `ConfigError` for jobs that go on.
    """
    expected = Output.of(output)
    if results is not None:
        return Results(Batch.load(folder), expected, tuple(map(Path, results)))
    with locked(folder):
        batch = _submitted(folder)
        if not all(part.collected for part in batch.parts):
            with _client(backend) as client:
                batch = client.collect_parts(batch, on_progress)
    return Results(batch, expected)


def retry(folder: str | Path, *, errors: bool = True) -> Batch:
    """Writes the requests without an answer to new files, which `submit` sends; answered ones are not asked again.

    - `errors`: whether requests that failed are asked again as well, besides those without any result.

    The batch has to be collected. Raises `ConfigError` if all requests have answers.
    """
    with locked(folder):
        batch = Batch.load(folder)
        if not all(part.collected for part in batch.parts):
            raise ConfigError(f"the batch in {folder} is not collected: motet batch collect {folder}")
        for root in [part for part in batch.parts if part.of is None]:
            requests = unanswered(batch, root, errors=errors)
            first = len(batch.parts) + 1
            parts = write_parts(requests, batch.folder, batch.openai, MAX_REQUESTS, MAX_BYTES, first=first)
            batch = replace(batch, parts=(*batch.parts, *[replace(part, of=root.name) for part in parts]))
        if all(part.collected for part in batch.parts):
            raise ConfigError(f"all requests of the batch in {folder} have answers")
        batch.save()
    return batch


def _submitted(folder: str | Path) -> Batch:
    batch = Batch.load(folder)
    waiting = [part.name for part in batch.parts if part.job is None]
    if waiting:
        raise ConfigError(f"not submitted: {', '.join(waiting[:3])}; submit first: motet batch submit {folder}")
    return batch


class BatchClient(Closing):
    """A service and a clock. The methods are the functions of `motet.batch`, without their `backend`.

    - `backend`: the service; by default the one that the environment names, which the client closes.
    - `clock`: for waits and timeouts; tests replace it.
    """

    submit = Method(submit)
    status = Method(status)
    watch = Method(watch)
    cancel = Method(cancel)
    collect = Method(collect)

    def __init__(self, backend: Backend | None = None, clock: Clock | None = None) -> None:
        # The import of the SDK takes 0.3 s.
        from motet.together import Backend
        from motet.together.admin.batches import Batches
        from motet.together.admin.files import Files
        from motet.together.admin.jobs import Jobs

        self._is_owner = backend is None
        self.backend = Backend() if backend is None else backend
        self.retry = Retrier(_POLICY, is_transient, clock or Clock())
        self._batches = Batches(self.backend)
        self._transfers = Transfers(Files(self.backend, "batch-api"), Jobs(self.backend), self.retry)

    def close(self) -> None:
        if self._is_owner:
            self.backend.close()

    def submit_part(self, batch: Batch, part: Part, on_progress: Callable[[str, int, int], None] | None) -> Batch:
        """Uploads a file, and creates its job. Each step is saved."""
        is_continued = part.file is not None
        if part.file is None:
            progress: UploadProgress | None = None
            if on_progress is not None:
                progress = functools.partial(on_progress, part.name)
            file = self._transfers.upload(batch.folder / part.name, False, None, progress)
            part = replace(part, file=file.id)
            batch = batch.with_part(part)
            batch.save()
        assert part.file is not None
        batch = batch.with_part(replace(part, job=self._create(part.file, batch.url, is_continued)))
        batch.save()
        return batch

    def _create(self, file_id: str, url: str, is_continued: bool) -> BatchJob:
        """The job of a file: the one that exists, else a new one.

        A file belongs to one part, as custom ids differ between batches. So a job of it is the one that was created
        before a kill, or by a request whose response was lost. `is_continued`: there may have been such a request.
        """
        if is_continued and self._job_of(file_id) is None:
            self.retry.clock.sleep(_LIST_LAG)
        failures = 0
        while True:
            job = self._job_of(file_id)
            if job is not None:
                return job
            try:
                return BatchJob.read(self._batches.create(file_id, url))
            except ApiError as error:
                failures += 1
                wait = self.retry.wait_after(error, failures)
                if wait is None:
                    raise
                is_refusal = isinstance(error, RateLimitError | OverloadedError)
                if not is_refusal and (job := self._job_of(file_id)) is None:
                    raise type(error)(
                        f"{error}. The list of batches has no job for {file_id} so far; submit again, which looks for "
                        "it first",
                        **vars(error),
                    ) from error
            self.retry.clock.sleep(wait)

    def _job_of(self, file_id: str) -> BatchJob | None:
        shapes = self.retry(self._batches.list)
        jobs = [BatchJob.read(shape) for shape in shapes if isinstance(shape.get("id"), str)]
        return next((job for job in jobs if job.input_file == file_id), None)

    def poll(self, batch: Batch) -> Batch:
        """The batch with the states of its jobs that had not ended."""
        return self._poll(batch, self.retry)

    def _poll(self, batch: Batch, call: Callable[[Callable[[], Any]], Any]) -> Batch:
        for part in batch.parts:
            job = part.job
            if job is not None and not job.ended:
                shape = call(functools.partial(self._batches.retrieve, job.id))
                batch = batch.with_part(replace(part, job=BatchJob.read(shape)))
        return batch

    def watch_until_ended(
        self,
        batch: Batch,
        timeout: float | None,
        on_change: Callable[[Batch], None] | None,
        on_trouble: Callable[[ApiError], None] | None,
    ) -> Batch:
        """The batch when all of its jobs have ended."""
        polled = last = batch

        def poll() -> Batch:
            nonlocal polled
            polled = self._poll(polled, lambda call: call())
            return polled

        for last in follow(poll, str(batch.folder), self.retry, timeout, on_trouble):
            if on_change is not None:
                on_change(last)
        return last

    def cancel_job(self, job_id: str) -> None:
        """Requests the end of a job, unless it has ended."""

        def request() -> None:
            try:
                self._batches.cancel(job_id)
            except ApiError:
                # The job may have ended, or be cancelled by a request whose response was lost.
                job = BatchJob.read(self._batches.retrieve(job_id))
                if not job.ended and job.phase != "cancelling":
                    raise

        self.retry(request)

    def collect_parts(self, batch: Batch, on_progress: DownloadProgress | None) -> Batch:
        """Downloads the results of each part that has none here. Each part is saved."""
        batch = self.poll(batch)
        running = [job for job in batch.jobs if not job.ended]
        if running:
            raise ConfigError(
                f"{len(running)} of {len(batch.jobs)} jobs have not ended ({running[0].id} is {running[0].status}); "
                f"watch first: motet batch watch {batch.folder}"
            )
        for part in batch.parts:
            if part.collected or part.job is None:
                continue
            for file_id, name in ((part.job.output_file, part.output_name), (part.job.error_file, part.error_name)):
                if file_id is not None:
                    self._transfers.fetch(file_id, batch.folder / name, on_progress)
            batch = batch.with_part(replace(part, collected=True))
            batch.save()
        return batch


@contextlib.contextmanager
def _client(backend: Service) -> Iterator[BatchClient]:
    if isinstance(backend, BatchClient):
        yield backend
        return
    with BatchClient(backend) as client:
        yield client

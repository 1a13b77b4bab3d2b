"""Jobs from their start to their end: every wait ends, whatever the service answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from motet._retry import Retrier
from motet.errors import ApiError, MaxTimeError, TuneError
from motet.tune.job_states import ENDED, Job

if TYPE_CHECKING:
    from motet.together.admin.jobs import Jobs

__all__ = ["Monitor", "follow"]

MIN_PAUSE, MAX_PAUSE = 5.0, 60.0
"""Seconds between two polls: after a change, and at most."""
MAX_OUTAGE = 1800.0
"""Seconds without a valid response after which a watch gives up."""
MAX_UNKNOWN = 3600.0
"""Seconds in an unknown status without a change after which a watch gives up."""


@dataclass(frozen=True)
class Monitor:
    """Starts, polls and cancels jobs."""

    jobs: Jobs
    retry: Retrier

    def list(self) -> tuple[Job, ...]:
        """The newest first."""
        jobs = [Job.read(shape) for shape in self.retry(self.jobs.list) if isinstance(shape.get("id"), str)]
        return tuple(sorted(jobs, key=lambda job: job.created_at or "", reverse=True))

    def retrieve(self, job_id: str) -> Job:
        return _JobReader(self.jobs, job_id).read(self.retry(lambda: self.jobs.retrieve(job_id)))

    def start(self, body: Mapping[str, Any]) -> Job:
        """Creates one job. If the response is lost, the list of jobs says whether there is one."""
        earlier_ids = {str(shape.get("id")) for shape in self.retry(self.jobs.list)}
        try:
            return Job.read(self.jobs.create(body))
        except ApiError as error:
            job = self._created_since(earlier_ids, body, error) if self.retry.is_transient(error) else None
            if job is None:
                raise
            return job

    def _created_since(self, earlier_ids: set[str], body: Mapping[str, Any], error: ApiError) -> Job | None:
        try:
            shapes = self.retry(self.jobs.list)
        except ApiError as list_error:
            raise type(error)(
                f"{error}. It is unknown whether the training was started, as the list of jobs failed, too "
                f"({list_error}): look at it before you start again",
                **vars(error),
            ) from list_error
        # The model of a job that continues from a checkpoint is the service's choice.
        keys = ["training_file", "suffix", "model" if "model" in body else "from_checkpoint"]
        for shape in shapes:
            is_new = isinstance(shape.get("id"), str) and shape["id"] not in earlier_ids
            if is_new and all((shape.get(key) or None) == body.get(key) for key in keys):
                job = Job.read(shape)
                if not job.ended:
                    return job
        return None

    def follow(
        self, job_id: str, timeout: float | None, on_trouble: Callable[[ApiError], None] | None = None
    ) -> Iterator[Job]:
        """The job after each change, until it has ended. `on_trouble`: called with the errors of requests that fail
        before the job is known, which has the later ones in `.trouble`."""
        reader = _JobReader(self.jobs, job_id)
        return follow(lambda: reader.read(self.jobs.retrieve(job_id)), job_id, self.retry, timeout, on_trouble)

    def watch(
        self,
        job_id: str,
        timeout: float | None,
        on_change: Callable[[Job], None] | None = None,
        on_trouble: Callable[[ApiError], None] | None = None,
    ) -> Job:
        """The job at its end."""
        last: Job | None = None
        for last in self.follow(job_id, timeout, on_trouble):
            if on_change is not None:
                on_change(last)
        assert last is not None, "`follow` gives a job at least once"
        return last

    def cancel(self, job_id: str, timeout: float) -> Job:
        """The job once it is cancelled, or has ended otherwise."""
        reader = _JobReader(self.jobs, job_id)

        def request() -> Job:
            try:
                self.jobs.cancel(job_id)
            except ApiError as error:
                # The job may have ended, or be cancelled by a request whose response was lost.
                job = reader.read(self.jobs.retrieve(job_id))
                if job.ended or job.phase == "cancelling":
                    return job
                raise error
            return reader.read(self.jobs.retrieve(job_id))

        job = self.retry(request)
        return job if job.ended else self.watch(job.id, timeout)


class FollowedJob(Protocol):
    """What `follow` polls: a dataclass, of which a request that fails leaves the last value with its `trouble`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def status(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def ended(self) -> bool: ...
    @property
    def trouble(self) -> str | None: ...


J = TypeVar("J", bound=FollowedJob)


def follow(
    poll: Callable[[], J],
    name: str,
    retry: Retrier,
    timeout: float | None,
    on_trouble: Callable[[ApiError], None] | None = None,
) -> Iterator[J]:
    """What `poll` returns, after each change, until it has ended.

    - `name`: of the job, for messages.
    - `on_trouble`: called with the errors of requests that fail before the job is known, which has the later ones in
      `.trouble`.
    """
    clock = retry.clock
    deadline = None if timeout is None else clock.now() + timeout
    last: J | None = None
    answered = changed = clock.now()
    pause = MIN_PAUSE
    while True:
        job: J | None
        try:
            job = poll()
            answered = clock.now()
        except ApiError as error:
            if not retry.is_transient(error) or clock.now() - answered >= MAX_OUTAGE:
                error.partial = last
                raise
            job = None if last is None else replace(last, trouble=str(error))
            if job is None and on_trouble is not None:
                on_trouble(error)
            retry_after = getattr(error, "retry_after", None) or 0.0
            pause = max(pause, min(retry_after, retry.policy.max_retry_after))
        if job is not None and job != last:
            if job.trouble is None:
                pause, changed = MIN_PAUSE, clock.now()
            yield job
            last = job
        if job is not None and job.trouble is None and job.ended:
            return
        now = clock.now()
        if deadline is not None and timeout is not None and now >= deadline:
            raise _timeout_error(name, last, timeout)
        if last is not None and last.phase == "unknown" and now - changed >= MAX_UNKNOWN:
            raise TuneError(
                f"{name} is {last.status!r} for {MAX_UNKNOWN / 60:g} minutes, a status unknown to motet; the job "
                "may go on",
                job=last,
            )
        clock.sleep(pause if deadline is None else min(pause, deadline - now))
        pause = min(pause * 1.5, MAX_PAUSE)


def _timeout_error(job_id: str, last: FollowedJob | None, timeout: float) -> MaxTimeError:
    status = "no response" if last is None else last.status
    return MaxTimeError(
        f"{job_id} has not ended within {timeout:g} s: {status}; it goes on",
        limit=timeout,
        option="timeout",
        state=last,
    )


@dataclass
class _JobReader:
    """Jobs with their events and metrics. Where a request for these fails, the earlier ones stay."""

    jobs: Jobs
    job_id: str
    events: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    measured_at: object = None
    """Step and end of the job when its metrics were read."""

    def read(self, shape: Mapping[str, Any]) -> Job:
        """Requests the metrics only after a change of the step."""
        self.events = self._try(self.jobs.events) or self.events
        job = Job.read(shape, self.events)
        state = (job.step, job.phase in ENDED)
        if job.phase != "waiting" and (state != self.measured_at or job.step is None):
            metrics = self._try(self.jobs.metrics)
            if metrics is not None:
                self.metrics, self.measured_at = metrics, state
        return Job.read(shape, self.events, self.metrics)

    def _try(self, call: Callable[[str], list[Any]]) -> list[Any] | None:
        try:
            return call(self.job_id)
        except ApiError:
            return None

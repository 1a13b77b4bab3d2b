"""Looking at jobs until they have ended: whatever the service says or fails to say, it comes to an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from motet.errors import ApiError, MaxTimeError, TuneError
from motet.tune.clock import POLICY, REAL, Clock, is_transient, retry
from motet.tune.states import ENDED, Job
from motet.tune.training import jobs_of
from motet.tune.uploads import service_of

if TYPE_CHECKING:
    from motet.together import Backend
    from motet.together.admin.jobs import Jobs

__all__ = ["cancel", "follow", "job", "jobs", "watch"]

SOON, LATE = 5.0, 60.0
"""Seconds between two looks: after something changed, and at most."""
PATIENCE = 1800.0
"""Seconds for which the service may fail without an answer in between."""
UNKNOWN = 3600.0
"""Seconds for which a job may be in a state that nobody knows, without anything else changing."""


def jobs(*, backend: Backend | None = None, clock: Clock = REAL) -> tuple[Job, ...]:
    """All jobs of the account, the newest first."""
    known = jobs_of(backend)
    shapes = [shape for shape in retry(known.list, clock) if isinstance(shape.get("id"), str)]
    found = [Job.read(shape) for shape in shapes]
    return tuple(sorted(found, key=lambda one: one.created_at or "", reverse=True))


def job(job_id: str, *, backend: Backend | None = None, clock: Clock = REAL) -> Job:
    """A job as it is now, with its events and what was measured. Raises `NotFoundError`."""
    known = jobs_of(backend)
    return _Look(known, job_id).take(retry(lambda: known.retrieve(job_id), clock))


def watch(
    job: Job | str,
    *,
    on_change: Callable[[Job], None] | None = None,
    timeout: float | None = None,
    backend: Backend | None = None,
    clock: Clock = REAL,
) -> Job:
    """Waits until a job has ended, and gives it: `.ok`, or `.error`. Interrupting it leaves the job running.

    - `on_change`: is told of each change.
    - `timeout`: seconds to wait; raises `MaxTimeError` with the job in `.state`. `None`: as long as it takes.

    Failures of the service are survived, for half an hour without an answer. Raises `TuneError` if a job stays in a
    state that motet does not know.
    """
    last: Job | None = None
    for last in follow(job, timeout=timeout, backend=backend, clock=clock):
        if on_change is not None:
            on_change(last)
    assert last is not None, "a job is given at least once"
    return last


def follow(
    job: Job | str, *, timeout: float | None = None, backend: Backend | None = None, clock: Clock = REAL
) -> Iterator[Job]:
    """The job each time that something changed, until it has ended; takes and raises what `watch` does. What could not
    be asked just now is in `.trouble`."""
    known = jobs_of(backend)
    look = _Look(known, job if isinstance(job, str) else job.id)
    ends = None if timeout is None else clock.now() + timeout
    seen: Job | None
    last: Job | None = None
    answered = changed = clock.now()
    pause = SOON
    while True:
        try:
            seen = look.take(known.retrieve(look.job_id))
            answered = clock.now()
        except ApiError as error:
            if not is_transient(error) or clock.now() - answered >= PATIENCE:
                error.partial = last
                raise
            seen = None if last is None else replace(last, trouble=str(error))
            pause = max(pause, min(getattr(error, "retry_after", None) or 0.0, POLICY.max_retry_after))
        if seen is not None and seen != last:
            if seen.trouble is None:
                pause, changed = SOON, clock.now()
            yield seen
            last = seen
        if seen is not None and seen.trouble is None and seen.ended:
            return
        now = clock.now()
        _check_time(last, look.job_id, now, ends, timeout, changed)
        clock.sleep(pause if ends is None else min(pause, ends - now))
        pause = min(pause * 1.5, LATE)


def _check_time(
    last: Job | None, job_id: str, now: float, ends: float | None, timeout: float | None, changed: float
) -> None:
    """Raises what ends a watching that the job itself does not end."""
    if ends is not None and now >= ends:
        status = "it was never seen" if last is None else f"it is {last.status}"
        raise MaxTimeError(
            f"{job_id} has not ended within {timeout:g} s: {status}. It goes on",
            limit=timeout,
            option="timeout",
            state=last,
        )
    if last is not None and last.phase == "unknown" and now - changed >= UNKNOWN:
        raise TuneError(
            f"{job_id} is {last.status!r} for {UNKNOWN / 60:g} minutes, which is no state that motet knows; "
            "it may go on all the same",
            job=last,
        )


@dataclass
class _Look:
    """A job's answers put together. What is only shown may fail: then it is what it was."""

    jobs: Jobs
    job_id: str
    events: list[Any] | None = None
    points: list[Any] | None = None
    step: object = None

    def take(self, shape: Any) -> Job:
        """The job of an answer, with its events, and with the measurements where there may be new ones."""
        self.events = self._tried(self.jobs.events) or self.events
        seen = Job.read(shape, self.events or ())
        place = (seen.step, seen.phase in ENDED)
        if seen.phase != "waiting" and (place != self.step or seen.step is None):
            found = self._tried(self.jobs.metrics)
            if found is not None:
                self.points, self.step = found, place
        return Job.read(shape, self.events or (), self.points or ())

    def _tried(self, call: Callable[[str], list[Any]]) -> list[Any] | None:
        try:
            return call(self.job_id)
        except ApiError:
            return None


def cancel(job: Job | str, *, timeout: float = 300.0, backend: Backend | None = None, clock: Clock = REAL) -> Job:
    """Cancels a job, and gives it as it then is: what counts is not that the request went well, but its state.

    A job that has ended meanwhile stays what it is: look at `.phase`. Steps that are done are paid for. Raises
    `MaxTimeError`, with the job in `.state`, if it has not ended within `timeout` seconds: then it was asked to,
    and will.
    """
    backend = service_of(backend)
    known = jobs_of(backend)
    job_id = job if isinstance(job, str) else job.id
    look = _Look(known, job_id)

    def ask() -> Job:
        try:
            known.cancel(job_id)
        except ApiError as error:
            # It may have ended, or have been cancelled by a request whose answer was lost.
            seen = look.take(known.retrieve(job_id))
            if seen.ended or seen.phase == "cancelling":
                return seen
            raise error
        return look.take(known.retrieve(job_id))

    seen = retry(ask, clock)
    if seen.ended:
        return seen
    return watch(seen, timeout=timeout, backend=backend, clock=clock)

"""Watching a job to its end, whatever the service answers."""

from __future__ import annotations

import itertools
import pickle
import time
from decimal import Decimal
from pathlib import Path

import pytest

from motet import tune
from motet.errors import (
    ConnectionFailedError,
    MaxTimeError,
    NotFoundError,
    ServerError,
    TuneError,
)
from motet.testing import Fault, Stage, stages
from motet.tune.job_states import ENDED, PHASES, Job
from tests.support.tune_service import (
    HTML,
    RESET,
    service,
    states_of,
    status,
)


def test_job_is_watched_to_its_end(data: Path) -> None:
    with service() as it:
        job = it.job(data)
        states = states_of(it, job)
        assert list(dict.fromkeys([state.phase for state in states])) == [
            "waiting",
            "running",
            "finishing",
            "completed",
        ]
        last = states[-1]
        assert (last.ok, last.ended, last.step, last.total_steps, last.share) == (True, True, 20, 20, 1.0)
        assert last.price == Decimal("0.48") * (last.tokens or 0) / 1_000_000
        assert [point.loss for point in last.points].count(None) == 4
        assert [point.step for point in last.points if point.eval_loss is not None] == [5, 10, 15, 20]
        assert last.events[-1].type == "job_complete"
        assert states[4].seconds_left == 30
        assert len(it.request_lines("GET", f"{job.id}/metrics")) <= 9
        assert pickle.loads(pickle.dumps(last)) == last
        # Each change is reported once.
        assert all(state != other for state, other in itertools.pairwise(states))


@pytest.mark.parametrize("end", sorted(name for name, phase in PHASES.items() if phase in ENDED))
def test_every_final_state_ends_the_watch(data: Path, end: str) -> None:
    """Regression: an earlier program waited for 'cancelled' forever."""
    with service(stages=stages(4, end=end)) as it:
        statuses: list[str] = []
        last = tune.watch(it.job(data), on_change=lambda job: statuses.append(job.status), **it.how)
        assert (last.status, last.ok, statuses[-1]) == (end, end == "completed", end)
        assert last.error == {"error": "Out of memory", "user_error": "Job error"}.get(end)
        looks = len(it.request_lines("GET", last.id))
        assert tune.watch(last, **it.how).status == end
        assert len(it.request_lines("GET", last.id)) - looks <= 3


@pytest.mark.parametrize("name", sorted(PHASES))
def test_every_documented_state_is_known(name: str) -> None:
    job = Job.read({"id": "ft-1", "status": name})
    assert (job.phase, job.ended) == (PHASES[name], PHASES[name] in ENDED)
    assert Job.read({"id": "ft-1", "status": name.upper()}).phase == job.phase


def test_table_has_every_state_of_the_sdk() -> None:
    from together.types.finetune import COMPLETED_STATUSES, FinetuneJobStatus

    assert {item.value for item in FinetuneJobStatus} == set(PHASES)
    assert {item.value for item in COMPLETED_STATUSES} == {name for name, phase in PHASES.items() if phase in ENDED}


def test_unknown_state_is_shown_and_polled_again(data: Path) -> None:
    life = (Stage("pending"), Stage("defragmenting"), Stage("running", 2), Stage("completed", 2))
    with service(stages=life) as it:
        states = states_of(it, it.job(data))
        assert [state.status for state in states] == ["pending", "defragmenting", "running", "completed"]
        assert (states[1].phase, states[1].ended) == ("unknown", False)


def test_unknown_state_has_a_deadline(data: Path) -> None:
    with service(stages=(Stage("pending"), Stage("defragmenting"))) as it:
        with pytest.raises(TuneError, match=r"is 'defragmenting' for 60 minutes, a status unknown to motet") as caught:
            tune.watch(it.job(data), **it.how)
        assert caught.value.job.status == "defragmenting"
        assert 3600 <= it.clock.time - 1000 <= 3800
        assert max(it.clock.slept) <= 60


def test_known_state_has_only_the_deadline_of_the_caller(data: Path) -> None:
    with service(stages=(*[Stage("queued")] * 400, Stage("completed"))) as it:
        job = it.job(data)
        with pytest.raises(MaxTimeError, match=r"has not ended within 7200 s: queued; it goes on") as caught:
            tune.watch(job, timeout=7200, **it.how)
        assert caught.value.state.status == "queued"
        assert 7200 <= it.clock.time - 1000 < 7210
        assert tune.watch(job, **it.how).ok


FAILING = [
    RESET,
    status(500),
    status(502, body="<html>"),
    status(429, headers={"retry-after": "90"}),
    HTML,
    Fault("not_json"),
    Fault("null"),
    Fault("list"),
    status(200, body={"id": "ft-1"}),
]


@pytest.mark.parametrize("fault", FAILING, ids=str)
def test_watching_survives_failed_requests(data: Path, fault: Fault) -> None:
    with service(faults={"retrieve": [None, fault, fault, None, fault]}) as it:
        states = states_of(it, it.job(data))
        assert states[-1].ok
        troubled = [state for state in states if state.trouble]
        assert troubled
        assert all(state.status for state in troubled)
        if fault.status == 429:
            assert 90 in it.clock.slept


@pytest.mark.parametrize("operation", ["events", "metrics"])
@pytest.mark.parametrize("fault", FAILING, ids=str)
def test_failed_display_requests_are_ignored(data: Path, operation: str, fault: Fault) -> None:
    with service(faults={operation: [fault] * 99}) as it:
        last = tune.watch(it.job(data), **it.how)
        assert last.ok
        assert bool(last.points) == (operation != "metrics")


def test_unreachable_service_ends_the_watch(data: Path) -> None:
    with service(faults={"retrieve": [None, *[status(500)] * 999]}) as it:
        with pytest.raises(ServerError) as caught:
            tune.watch(it.job(data), **it.how)
        assert caught.value.partial.status == "pending"
        assert 1800 <= it.clock.time - 1000 <= 2000
    with service(faults={"retrieve": [RESET] * 999}) as it, pytest.raises(ConnectionFailedError):
        tune.watch(it.job(data), **it.how)


def test_permanent_errors_are_not_retried(data: Path) -> None:
    with service() as it:
        for call in (tune.watch, tune.job, tune.cancel, tune.download):
            with pytest.raises(NotFoundError):
                call("ft-none", **it.how)
        assert it.clock.slept == []


def test_clock_jumps_do_not_affect_the_watch(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = iter([1e9, 0.0, -1e9] * 10_000)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    with service(stages=(*stages(8)[:-1], Stage("running", 4), Stage("completed", 8))) as it:
        job = it.job(data)
        it.training.jobs[job.id].shape["created_at"] = "1970-01-01T00:00:00Z"
        last = tune.watch(job, timeout=600, **it.how)
        # A job that was begun again has fewer steps done than before.
        assert last.ok
        assert it.clock.time - 1000 < 120


def test_real_clock_is_monotonic() -> None:
    clock = tune.Clock()
    before = clock.now()
    clock.sleep(0.001)
    assert 0 < clock.now() - before < 60

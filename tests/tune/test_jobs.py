"""Jobs: started once and only once, listed, read and cancelled."""

from __future__ import annotations

import math
import xml.etree.ElementTree
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import motet
from motet import tune
from motet.errors import (
    ApiError,
    BadPayloadError,
    ConnectionFailedError,
    MaxCostError,
    MaxTimeError,
    QuotaError,
)
from motet.testing import Fault, Stage
from motet.tune.job_states import PHASES, Job, Point
from tests.support.server_scripts import KEY
from tests.support.tune_service import (
    HTML,
    LOST,
    MODEL,
    RESET,
    service,
    status,
)


def test_job_above_the_cost_limit_is_not_started(data: Path) -> None:
    with service() as it:
        file = it.file(data)
        price = tune.estimate(file, MODEL, **it.how).price
        assert price is not None
        with pytest.raises(MaxCostError, match="nothing was started") as caught:
            tune.start(file, MODEL, max_cost=price - Decimal("0.0000001"), **it.how)
        assert (caught.value.option, caught.value.cost) == ("max_cost", price)
        with pytest.raises(TypeError, match="max_cost must be"):
            tune.start(file, MODEL, max_cost=[0.5], **it.how)  # type: ignore[arg-type]
        assert not it.training.jobs
        assert tune.start(file, MODEL, max_cost=price, **it.how).id in it.training.jobs


def test_job_above_the_account_balance_is_not_started(data: Path) -> None:
    with service(user_limit="0.00001") as it:
        with pytest.raises(QuotaError, match=r"its limit is 0\.00001 dollars"):
            it.job(data)
        assert not it.training.jobs


@pytest.mark.parametrize("fault", [LOST, RESET, status(500), status(503), HTML, Fault("empty"), Fault("list")], ids=str)
def test_lost_response_starts_no_second_job(data: Path, fault: Fault) -> None:
    with service(faults={"create": [fault]}) as it:
        was_created = fault.kind == "reset_after"
        if was_created:
            assert it.job(data).status == "pending"
        else:
            with pytest.raises(ApiError):
                it.job(data)
        assert len(it.training.jobs) == was_created
        assert len([line for line in it.request_lines("POST") if line == "POST /v1/fine-tunes"]) == 1


def test_unknown_job_creation_is_reported(data: Path) -> None:
    with service(faults={"create": [LOST], "list": [None, *[status(500)] * 9]}) as it:
        with pytest.raises(ConnectionFailedError, match="It is unknown whether the training was started"):
            it.job(data)
        assert len(it.training.jobs) == 1


def test_other_job_is_not_mistaken_for_the_lost_one(data: Path) -> None:
    with service(faults={"create": [None, RESET]}) as it:
        it.job(data, suffix="one")
        with pytest.raises(ConnectionFailedError):
            it.job(data, suffix="one")
        assert len(it.training.jobs) == 1


def test_job_id_comes_from_the_response(data: Path) -> None:
    """Regression: an earlier program searched a command's output for it."""
    for body in ({"object": "fine-tune"}, {"id": 7}, {"message": "created ft-00000001-9e8d"}):
        with service(faults={"create": [status(200, body=body)]}) as it, pytest.raises(BadPayloadError):
            it.job(data)


def test_excessive_retry_after_is_not_waited_for(data: Path) -> None:
    for seconds, waits in ((30, True), (86_400, False)):
        busy = status(503, headers={"retry-after": str(seconds)})
        with service(faults={"list": [None, busy]}) as it:
            it.file(data)
            assert tune.jobs(**it.how) == ()
            try:
                assert tune.jobs(**it.how) == ()
            except motet.OverloadedError as error:
                assert (error.retry_after, waits) == (86_400, False)
            assert (30.0 in it.clock.slept) == waits


def test_key_is_sent_only_to_the_service(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Regression: an earlier program had it in a command line and in the log."""
    caplog.set_level("DEBUG")
    with service(faults={"retrieve": [status(400, body={"error": f"bad key {KEY}"})]}) as it:
        job = it.job(data)
        with pytest.raises(ApiError) as caught:
            tune.watch(job, **it.how)
        done = tune.watch(job, **it.how)
        tune.download(done, f"{tmp_path}/m/", **it.how)
        assert KEY not in caplog.text + repr(caught.value) + repr(done) + repr(it.backend)
        assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert {
            KEY in request.headers.get("Authorization", "") for request in it.server.requests if request.method != "PUT"
        } == {True}


ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(), st.integers(), max_size=2)
)


@given(
    shape=st.dictionaries(
        st.sampled_from(
            [
                "status",
                "events",
                "progress",
                "total_price",
                "steps_completed",
                "total_steps",
                "training_type",
                "model",
                "token_count",
                "n_epochs",
                "created_at",
            ]
        ),
        ODD
        | st.lists(
            st.dictionaries(st.sampled_from(["type", "step", "level", "message", "total_steps"]), ODD), max_size=3
        ),
    ),
    metrics=st.lists(
        st.dictionaries(st.sampled_from(["train/global_step", "step", "train/loss", "eval/loss", "x"]), ODD), max_size=5
    ),
)
@example(shape={}, metrics=[{"train/global_step": 2**52 + 2, "train/loss": 0}])
def test_job_of_any_shape_can_be_read_and_drawn(shape: dict[str, Any], metrics: list[dict[str, Any]]) -> None:
    job = Job.read({"id": "ft-1", **shape}, (), metrics)
    assert job.phase in {*PHASES.values(), "unknown"}
    assert job.share is None or 0 <= job.share <= 1
    assert job.price is None or job.price >= 0
    drawn = tune.curve(job.points, width=40, height=6)
    assert all(len(line) <= 44 for line in drawn.splitlines())
    xml.etree.ElementTree.fromstring(
        tune.svg(job.points, title=str(shape)[:40].encode("ascii", "replace").decode().replace("\x00", ""))
    )


def test_job_numbers_are_read_in_their_units() -> None:
    job = Job.read({"id": "ft-1", "status": "running", "total_price": 4_580_000_000, "steps_completed": 3.0})
    assert (job.price, job.step, job.share) == (Decimal("4.58"), 3, None)
    assert Job.read({"id": "ft-1", "total_price": 0}).price == 0
    assert Job.read({"id": "ft-1"}).price is None
    point = Point.read({"train/global_step": 3, "train/loss": math.nan, "eval/loss": Decimal("0.5")})
    assert point is not None
    assert math.isnan(point.loss or 0)
    assert point.eval_loss == 0.5
    assert Point.read({"train/loss": 1.0}) is None


def test_jobs_are_listed_newest_first(data: Path) -> None:
    with service(faults={"list": [status(500), RESET]}) as it:
        assert tune.jobs(**it.how) == ()
        job_ids = [it.job(data, suffix=name).id for name in ("a", "b")]
        assert [job.id for job in tune.jobs(**it.how)] == job_ids[::-1]
        assert tune.job(job_ids[0], **it.how).suffix == "a"


@pytest.mark.parametrize("after", [0, 2, 4, 8])
def test_cancelled_job_is_confirmed(data: Path, after: int) -> None:
    with service() as it:
        job = it.job(data)
        for _ in range(after):
            tune.job(job.id, **it.how)
        assert tune.cancel(job, **it.how).phase == "cancelled"
        assert it.training.jobs[job.id].shape["status"] == "cancelled"


@pytest.mark.parametrize("fault", [LOST, RESET, status(500), HTML], ids=str)
def test_lost_response_to_cancel_is_confirmed(data: Path, fault: Fault) -> None:
    with service(faults={"cancel": [fault, fault], "retrieve": [None, status(500)]}) as it:
        assert tune.cancel(it.job(data), **it.how).phase == "cancelled"


def test_ended_job_is_not_cancelled(data: Path) -> None:
    with service() as it:
        done = tune.watch(it.job(data), **it.how)
        assert tune.cancel(done, **it.how).phase == "completed"


def test_slow_cancellation_times_out(data: Path) -> None:
    with service(stages=(Stage("running"),)) as it:
        job = it.job(data)
        it.training.cancel = lambda job: job.shape.update(status="cancel_requested")  # type: ignore[method-assign]
        it.training.jobs[job.id].poll = lambda: None  # type: ignore[method-assign]
        with pytest.raises(MaxTimeError, match=": cancel_requested; it goes on"):
            tune.cancel(job, timeout=120, **it.how)
        assert it.clock.time - 1000 >= 120

"""A training from its price to the test of its model, against the scripted server, with all that can go wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import math
import pickle
import tarfile
import time
import xml.etree.ElementTree
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import tune
from motet.errors import (
    ApiError,
    BadPayloadError,
    ConfigError,
    ConnectionFailedError,
    DownloadError,
    InvalidDatasetError,
    MaxCostError,
    MaxTimeError,
    NotFoundError,
    QuotaError,
    ServerError,
    TuneError,
    UnsafeArchiveError,
)
from motet.testing import Fault, Stage, Training, stages
from motet.tune.archives import unpack
from motet.tune.scores import score, words
from motet.tune.states import ENDED, PHASES, Job, Point
from tests.support.server_scripts import KEY, final
from tests.support.tune_service import (
    BIG,
    HTML,
    LOST,
    MODEL,
    RESET,
    TuneService,
    answering,
    rows,
    service,
    status,
    written,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return written(tmp_path / "train.jsonl")


# What a model allows, and what it costs.


def test_limits_come_from_the_service() -> None:
    with service() as it:
        found = tune.limits(MODEL, **it.how)
        assert (found.max_epochs, found.max_rank, found.max_tokens, found.full) == (20, 64, 16384, False)
        # A slug of the catalogue is the same model.
        assert tune.limits("together/gpt-oss/120b", **it.how) == found
        it.training.limits = {"max_num_epochs": "many", "lora_training": 7, "max_learning_rate": None}
        assert tune.limits(MODEL, **it.how) == tune.Limits(MODEL)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_epochs": 21}, "n_epochs is 21, and may be from 1 to 20"),
        ({"n_epochs": 0}, "n_epochs is 0"),
        ({"n_epochs": 1.5}, "n_epochs must be a whole number from 1 to 20, not 1.5"),
        ({"n_epochs": True}, "must be a whole number"),
        ({"n_evals": 101}, "n_evals is 101"),
        ({"n_checkpoints": 21}, "n_checkpoints"),
        ({"lora_rank": 65}, "lora_rank is 65, and may be from 1 to 64"),
        ({"max_seq_length": 16385}, "max_seq_length is 16385, and may be from 256 to 16384"),
        ({"max_seq_length": 8193, "method": "dpo"}, "from 256 to 8192"),
        ({"batch_size": 17}, "batch_size is 17, and may be from 8 to 16"),
        ({"batch_size": 9, "method": "dpo"}, "from 8 to 8"),
        ({"batch_size": "most"}, "batch_size must be a whole number"),
        ({"learning_rate": 0.1}, "learning_rate is 0.1, and may be from 1e-08 to 0.01"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"warmup_ratio": 1.1}, "warmup_ratio"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"lora_dropout": 1}, "lora_dropout"),
        ({"full": True}, "full training is not offered"),
        ({"full": True, "lora_rank": 8}, "leave out the lora_ settings"),
        ({"dpo_beta": 0.1}, "dpo_beta is for method='dpo'"),
        ({"method": "dpo", "train_on_inputs": True}, "train_on_inputs is for method='sft'"),
        ({"method": "rl"}, "method must be 'sft' or 'dpo'"),
        ({"suffix": "x" * 41}, "suffix must be 1 to 40"),
        ({"suffix": "a; rm -rf /"}, "suffix must be 1 to 40"),
        ({"seed": -1}, "seed"),
        ({"epochs": 3}, "unknown setting epochs; known are n_epochs"),
        ({"n_epochs": 99, "lora_rank": 99}, "n_epochs is 99.*lora_rank is 99"),
    ],
    ids=str,
)
def test_unsupported_settings_are_refused_before_sending(data: Path, settings: Any, says: str) -> None:
    with service() as it:
        for call in (tune.estimate, tune.start):
            with pytest.raises(ConfigError, match=f"cannot be trained so: .*{says}"):
                call(data, MODEL, **it.how, **settings)
        assert {one.method for one in it.server.requests} == {"GET"}


def test_supported_settings_are_sent_unchanged(data: Path) -> None:
    settings: Any = {
        "n_epochs": 3,
        "n_checkpoints": 2,
        "batch_size": 8,
        "learning_rate": 2e-5,
        "warmup_ratio": 0.1,
        "weight_decay": 0.01,
        "max_seq_length": 4096,
        "packing": False,
        "lora_rank": 16,
        "lora_dropout": 0.1,
        "suffix": "v1",
        "seed": 7,
    }
    with service() as it:
        held_out = it.file(written(data.with_name("held.jsonl"), rows(2)))
        job = tune.start(it.file(data), MODEL, validation=held_out, **it.how, **settings)
        asked = [one.body for one in it.server.requests if one.path == "/v1/fine-tunes" and one.method == "POST"]
        assert len(asked) == 1
        assert asked[0]["training_type"] == {
            "type": "Lora",
            "lora_r": 16,
            "lora_alpha": 32,
            "lora_dropout": 0.1,
            "lora_trainable_modules": "all-linear",
        }
        assert {name: asked[0].get(name) for name in ("n_epochs", "n_evals", "random_seed", "suffix", "packing")} == {
            "n_epochs": 3,
            "n_evals": 3,
            "random_seed": 7,
            "suffix": "v1",
            "packing": False,
        }
        assert (asked[0]["validation_file"], asked[0]["max_seq_length"]) == (held_out.id, 4096)
        assert (job.status, job.model, job.suffix) == ("pending", MODEL, "v1")
        # The estimate was for the same training.
        priced = [one.body for one in it.server.requests if one.path.endswith("estimate-price")]
        assert all(one == priced[0] for one in priced)
        assert priced[0]["training_type"] == asked[0]["training_type"]


SETTINGS: list[dict[str, Any]] = [
    {},
    {"n_epochs": 3, "n_evals": 2, "n_checkpoints": 2, "suffix": "v1", "seed": 7, "packing": False},
    {"batch_size": 8, "learning_rate": 2e-5, "warmup_ratio": 0.1, "weight_decay": 0.01, "max_seq_length": 4096},
    {"lora_rank": 16, "lora_dropout": 0.1, "train_on_inputs": True},
    {"lora_rank": 16, "lora_alpha": 8},
    {"full": True, "batch_size": 32},
    {"method": "dpo", "dpo_beta": 0.2},
    {"method": "dpo"},
]


@pytest.mark.parametrize("vision", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_job_request_equals_that_of_the_sdk(data: Path, settings: dict[str, Any], vision: bool) -> None:
    """Field for field what its own `create` sends, and the same estimate before."""
    named = {"lora_rank": "lora_r", "seed": "random_seed", "method": "training_method"}
    theirs = {named.get(name, name): value for name, value in settings.items() if name != "full"}
    if theirs.get("training_method") != "dpo":
        theirs.setdefault("train_on_inputs", "auto")
    with service() as it:
        full = {"max_batch_size": 32, "max_batch_size_dpo": 32, "min_batch_size": 8}
        it.training.limits |= {"supports_full_training": True, "full_training": full, "supports_vision": vision}
        found = it.file(data)
        sdk = it.backend.client.fine_tuning
        sdk.create(training_file=found.id, model=MODEL, lora=not settings.get("full"), **theirs)
        tune.start(found, MODEL, **it.how, **settings)
        jobs = [one.body for one in it.server.requests if one.path == "/v1/fine-tunes" and one.method == "POST"]
        assert len(jobs) == 2
        assert jobs[1] == jobs[0]
        prices = [one.body for one in it.server.requests if one.path.endswith("/estimate-price")]
        asked = [{name: value for name, value in one.items() if value not in ("", 0, 0.0)} for one in prices]
        for one in asked:
            one["training_method"] = {name: value for name, value in one["training_method"].items() if value}
            one["training_type"] = {name: value for name, value in one["training_type"].items() if value}
        assert asked[1] == asked[0]


def test_full_and_preference_training_are_sent(data: Path) -> None:
    with service() as it:
        it.training.limits["supports_full_training"] = True
        it.training.limits["full_training"] = {"max_batch_size": 32, "max_batch_size_dpo": 32, "min_batch_size": 8}
        it.job(data, full=True, batch_size=32, method="dpo", dpo_beta=0.2)
        asked = it.server.requests[-1].body
        assert asked["training_type"] == {"type": "Full"}
        assert (asked["training_method"]["method"], asked["training_method"]["dpo_beta"]) == ("dpo", 0.2)


def test_unsupported_data_format_is_refused(data: Path) -> None:
    report = {"valid": True, "dataset_has_tools": True, "dataset_has_reasoning": True}
    shape = {"id": "file-1", "bytes": 3, "processing_status": "COMPLETED", "validation_report": report}
    for feature in ("tools", "reasoning"):
        with service(faults={"retrieve_file": [status(200, body=shape)] * 9}) as it:
            it.training.limits[f"supports_{feature}"] = False
            with pytest.raises(ConfigError, match=f"has {feature}, and {MODEL} cannot be trained on it"):
                it.job(data)


def test_validation_data_must_differ_from_training_data(data: Path) -> None:
    with service() as it:
        found = it.file(data)
        with pytest.raises(ConfigError, match="the validation data is the training data"):
            tune.start(found, MODEL, validation=found.id, **it.how)


def test_estimated_price_is_exact(data: Path) -> None:
    with service(price="0.1") as it:
        found = tune.estimate(it.file(data), MODEL, n_epochs=3, **it.how)
        tokens = 3 * motet.count(data.read_text())
        assert (found.train_tokens, found.eval_tokens) == (tokens, 0)
        assert found.price == Decimal("0.1") * tokens / 1_000_000
        assert (found.user_limit, found.allowed, found.reason) == (Decimal(25), True, None)
        assert not it.training.jobs


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"estimation_available": False, "unavailable_reason": "multimodal_dataset"}, "prices no data with images"),
        ({"estimation_available": False, "unavailable_reason": "train_file_not_validated"}, "not validated yet"),
        ({"estimation_available": False, "unavailable_reason": "new_reason"}, "new_reason"),
        ({"estimation_available": False}, "does not say why"),
        ({"estimation_available": True}, "names no price"),
        ({"estimation_available": True, "estimated_total_price": "4"}, "names no price"),
        ({"estimation_available": True, "estimated_total_price": -4}, "names no price"),
        ({"estimation_available": True, "estimated_total_price": True}, "names no price"),
        ({"estimation_available": None}, "does not say why"),
    ],
    ids=str,
)
def test_unknown_price_is_none_not_zero(data: Path, shape: Any, reason: str) -> None:
    with service(faults={"estimate": [status(200, body=shape)] * 9}) as it:
        found = tune.estimate(it.file(data), MODEL, **it.how)
        assert found.price is None
        assert reason in (found.reason or "")
        with pytest.raises(MaxCostError, match=r"is unknown .*nothing was started"):
            tune.start(it.file(data), MODEL, max_cost=5, **it.how)
        assert not it.training.jobs


def test_job_above_the_cost_limit_is_not_started(data: Path) -> None:
    with service() as it:
        found = it.file(data)
        price = tune.estimate(found, MODEL, **it.how).price
        assert price is not None
        with pytest.raises(MaxCostError, match="nothing was started") as caught:
            tune.start(found, MODEL, max_cost=price - Decimal("0.0000001"), **it.how)
        assert (caught.value.option, caught.value.cost) == ("max_cost", price)
        with pytest.raises(TypeError):
            tune.start(found, MODEL, max_cost=0.5, **it.how)  # type: ignore[arg-type]
        assert not it.training.jobs
        assert tune.start(found, MODEL, max_cost=price, **it.how).id in it.training.jobs


def test_job_above_the_account_balance_is_not_started(data: Path) -> None:
    with service(user_limit="0.00001") as it:
        with pytest.raises(QuotaError, match=r"its limit is 0\.00001 dollars"):
            it.job(data)
        assert not it.training.jobs


# One job, and one only.


@pytest.mark.parametrize("fault", [LOST, RESET, status(500), status(503), HTML, Fault("empty"), Fault("list")], ids=str)
def test_lost_response_starts_no_second_job(data: Path, fault: Fault) -> None:
    with service(faults={"create": [fault]}) as it:
        made = fault.kind == "reset_after"
        if made:
            assert it.job(data).status == "pending"
        else:
            with pytest.raises(ApiError):
                it.job(data)
        assert len(it.training.jobs) == made
        assert len([one for one in it.asked("POST") if one == "POST /v1/fine-tunes"]) == 1


def test_unknown_job_creation_is_reported(data: Path) -> None:
    with service(faults={"create": [LOST], "list": [None, *[status(500)] * 9]}) as it:
        with pytest.raises(ConnectionFailedError, match="Whether the training was started is not known"):
            it.job(data)
        assert len(it.training.jobs) == 1


def test_other_job_is_not_mistaken_for_the_lost_one(data: Path) -> None:
    with service(faults={"create": [None, RESET]}) as it:
        it.job(data, suffix="one")
        with pytest.raises(ConnectionFailedError):
            it.job(data, suffix="one")
        assert len(it.training.jobs) == 1


def test_job_id_comes_from_the_response(data: Path) -> None:
    """The original looked for it in what a command printed."""
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
    """In the original it stood in a command line and in the log."""
    caplog.set_level("DEBUG")
    with service(faults={"retrieve": [status(400, body={"error": f"bad key {KEY}"})]}) as it:
        job = it.job(data)
        with pytest.raises(ApiError) as caught:
            tune.watch(job, **it.how)
        done = tune.watch(job, **it.how)
        tune.download(done, f"{tmp_path}/m/", **it.how)
        assert KEY not in caplog.text + repr(caught.value) + repr(done) + repr(it.backend)
        assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert {KEY in one.headers.get("Authorization", "") for one in it.server.requests if one.method != "PUT"} == {
            True
        }


# Watching.


def seen_in(it: TuneService, job: Job | str, **options: Any) -> list[Job]:
    return list(tune.follow(job, **it.how, **options))


def test_job_is_watched_to_its_end(data: Path) -> None:
    with service() as it:
        job = it.job(data)
        seen = seen_in(it, job)
        assert list(dict.fromkeys([one.phase for one in seen])) == ["waiting", "running", "finishing", "completed"]
        last = seen[-1]
        assert (last.ok, last.ended, last.step, last.total_steps, last.share) == (True, True, 20, 20, 1.0)
        assert last.price == Decimal("0.48") * (last.tokens or 0) / 1_000_000
        assert [point.loss for point in last.points].count(None) == 4
        assert [point.step for point in last.points if point.eval_loss is not None] == [5, 10, 15, 20]
        assert last.events[-1].type == "job_complete"
        assert seen[4].seconds_left == 30
        assert len(it.asked("GET", f"{job.id}/metrics")) <= 9
        assert pickle.loads(pickle.dumps(last)) == last
        # What changed is told each time, and nothing else.
        assert all(one != other for one, other in itertools.pairwise(seen))


@pytest.mark.parametrize("end", sorted(name for name, phase in PHASES.items() if phase in ENDED))
def test_every_final_state_ends_the_watch(data: Path, end: str) -> None:
    """'cancelled' was waited for without end in the original."""
    with service(stages=stages(4, end=end)) as it:
        told: list[str] = []
        last = tune.watch(it.job(data), on_change=lambda job: told.append(job.status), **it.how)
        assert (last.status, last.ok, told[-1]) == (end, end == "completed", end)
        assert last.error == {"error": "Out of memory", "user_error": "Job error"}.get(end)
        looks = len(it.asked("GET", last.id))
        assert tune.watch(last, **it.how).status == end
        assert len(it.asked("GET", last.id)) - looks <= 3


@pytest.mark.parametrize("name", sorted(PHASES))
def test_every_documented_state_is_known(name: str) -> None:
    job = Job.read({"id": "ft-1", "status": name})
    assert (job.phase, job.ended) == (PHASES[name], PHASES[name] in ENDED)
    assert Job.read({"id": "ft-1", "status": name.upper()}).phase == job.phase


def test_table_has_every_state_of_the_sdk() -> None:
    from together.types.finetune import COMPLETED_STATUSES, FinetuneJobStatus

    assert {one.value for one in FinetuneJobStatus} == set(PHASES)
    assert {one.value for one in COMPLETED_STATUSES} == {name for name, phase in PHASES.items() if phase in ENDED}


def test_unknown_state_is_shown_and_polled_again(data: Path) -> None:
    life = (Stage("pending"), Stage("defragmenting"), Stage("running", 2), Stage("completed", 2))
    with service(stages=life) as it:
        seen = seen_in(it, it.job(data))
        assert [one.status for one in seen] == ["pending", "defragmenting", "running", "completed"]
        assert (seen[1].phase, seen[1].ended) == ("unknown", False)


def test_unknown_state_has_a_deadline(data: Path) -> None:
    with service(stages=(Stage("pending"), Stage("defragmenting"))) as it:
        with pytest.raises(
            TuneError, match=r"is 'defragmenting' for 60 minutes, which is no state that motet"
        ) as caught:
            tune.watch(it.job(data), **it.how)
        assert caught.value.job.status == "defragmenting"
        assert 3600 <= it.clock.time - 1000 <= 3800
        assert max(it.clock.slept) <= 60


def test_known_state_has_only_the_deadline_of_the_caller(data: Path) -> None:
    with service(stages=(*[Stage("queued")] * 400, Stage("completed"))) as it:
        job = it.job(data)
        with pytest.raises(MaxTimeError, match=r"has not ended within 7200 s: it is queued. It goes on") as caught:
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
        seen = seen_in(it, it.job(data))
        assert seen[-1].ok
        troubled = [one for one in seen if one.trouble]
        assert troubled
        assert all(one.status for one in troubled)
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
        made = [it.job(data, suffix=name).id for name in ("a", "b")]
        assert [job.id for job in tune.jobs(**it.how)] == made[::-1]
        assert tune.job(made[0], **it.how).suffix == "a"


# Cancelling.


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
        it.training.jobs[job.id].look = lambda: None  # type: ignore[method-assign]
        with pytest.raises(MaxTimeError, match="it is cancel_requested"):
            tune.cancel(job, timeout=120, **it.how)
        assert it.clock.time - 1000 >= 120


# Downloads.


def done(it: TuneService, data: Path) -> Job:
    return tune.watch(it.job(data), **it.how)


def test_checkpoint_is_downloaded(data: Path, tmp_path: Path) -> None:
    with service(archive=BIG) as it:
        job = done(it, data)
        told: list[tuple[int, int | None]] = []
        found = tune.download(job, f"{tmp_path}/models/", on_progress=lambda *some: told.append(some), **it.how)
        assert found.path == tmp_path / "models" / "scripted_gpt-oss-120b-00000001-merged.tar.gz"
        assert found.path.read_bytes() == BIG
        assert (found.bytes, found.sha256, found.verified) == (len(BIG), hashlib.sha256(BIG).hexdigest(), "sha256")
        assert told[-1] == (len(BIG), len(BIG))
        assert sorted(path.name for path in found.path.parent.iterdir()) == [found.path.name]
        adapter = tune.download(job.id, tmp_path / "x.bin", kind="adapter", step=10, sha256=found.sha256, **it.how)
        assert adapter.path == tmp_path / "x.bin"


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("kind", ["reset", "close"])
def test_cut_download_is_resumed(data: Path, tmp_path: Path, kind: str, digest: bool) -> None:
    cuts = [
        Fault(kind, after=1000),
        Fault(kind, after=1),
        status(500),
        RESET,
        Fault(kind, after=0),
        Fault(kind, after=7),
    ]
    with service(archive=BIG, digest=digest, faults={"download": cuts}) as it:
        found = tune.download(done(it, data), tmp_path / "m", **it.how)
        assert found.path.read_bytes() == BIG
        assert found.verified == ("sha256" if digest else "length")
        ranges = [one.headers.get("Range") for one in it.server.requests if one.path.endswith("/download")]
        assert ranges[0] is None
        assert len(ranges) == 7
        starts = [int(one.removeprefix("bytes=").rstrip("-")) for one in ranges[1:] if one]
        assert starts == sorted(starts)
        assert starts[-1] > 0


def test_download_is_resumed_by_another_process(data: Path, tmp_path: Path) -> None:
    with service(archive=BIG, faults={"download": [Fault("reset", after=2000), *[RESET] * 9]}) as it:
        job = done(it, data)
        with pytest.raises(ConnectionFailedError):
            tune.download(job, tmp_path / "m", **it.how)
        assert not (tmp_path / "m").exists()
        here = (tmp_path / "m.part").stat().st_size
        assert 0 < here <= 2000
        it.training.faults.clear()
        found = tune.download(job, tmp_path / "m", **it.how)
        assert found.resumed_at == here
        assert found.path.read_bytes() == BIG
        assert [path.name for path in tmp_path.glob("m*")] == ["m"]


def test_versions_are_not_mixed_in_a_download(data: Path, tmp_path: Path) -> None:
    """What is at the service changed between two halves of a download."""
    for other in (BIG[:900] + bytes(len(BIG) - 900), BIG[:1500], BIG + b"more"):
        with service(archive=BIG, faults={"download": [Fault("reset", after=2000), *[RESET] * 9]}) as it:
            job = done(it, data)
            with pytest.raises(ConnectionFailedError):
                tune.download(job, tmp_path / "m", **it.how)
            it.training.faults.clear()
            it.training.archive = other
            found = tune.download(job, tmp_path / "m", **it.how)
            assert found.path.read_bytes() == other
            assert found.resumed_at == 0


def test_server_that_mixes_versions_is_detected(data: Path, tmp_path: Path) -> None:
    """It sends the rest of other bytes, whatever version was asked for."""
    other = BIG[:900] + bytes(len(BIG) - 900)
    rest = {"Content-Range": f"bytes 2000-{len(other) - 1}/{len(other)}", "ETag": '"other"'}
    mixing = Fault("status", status=206, headers=rest, body="x")
    with service(archive=BIG, faults={"download": [Fault("reset", after=2000), mixing]}) as it:
        found = tune.download(done(it, data), tmp_path / "m", **it.how)
        assert (found.path.read_bytes(), found.resumed_at) == (BIG, 0)


def test_part_of_unknown_origin_is_not_resumed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "m.part").write_bytes(b"something else")
    (tmp_path / "m.part.json").write_text('{"etag": "x"')
    with service(archive=BIG) as it:
        job = done(it, data)
        assert tune.download(job, tmp_path / "m", **it.how).path.read_bytes() == BIG
        # And of another checkpoint.
        (tmp_path / "m.part").write_bytes(BIG[:100])
        label = {"job": job.id, "kind": "adapter", "step": None}
        note = {"label": label, "etag": it.training.etag(), "total": len(BIG), "digest": None}
        (tmp_path / "m.part.json").write_text(json.dumps(note))
        assert tune.download(job, tmp_path / "m", **it.how).resumed_at == 0
        (tmp_path / "m.part").write_bytes(BIG[:100])
        (tmp_path / "m.part.json").write_text(json.dumps(note))
        assert tune.download(job, tmp_path / "m", kind="adapter", **it.how).resumed_at == 100


def test_wrong_checksum_replaces_no_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("what was there")
    with service(archive=BIG) as it:
        job = done(it, data)
        with pytest.raises(DownloadError, match="thrown away, and nothing was replaced") as caught:
            tune.download(job, tmp_path / "m", sha256="0" * 64, **it.how)
        assert caught.value.found == hashlib.sha256(BIG).hexdigest()
        assert (tmp_path / "m").read_text() == "what was there"
        assert (tmp_path / "m.part").stat().st_size == 0
        # Bytes that were damaged here, in a part that is gone on with.
        note = {
            "label": {"job": job.id, "kind": "merged", "step": None},
            "etag": it.training.etag(),
            "total": len(BIG),
            "digest": None,
        }
        (tmp_path / "m.part").write_bytes(bytes(100))
        (tmp_path / "m.part.json").write_text(json.dumps(note))
        with pytest.raises(DownloadError, match="the service's is"):
            tune.download(job, tmp_path / "m", **it.how)
        assert (tmp_path / "m").read_text() == "what was there"
        assert tune.download(job, tmp_path / "m", **it.how).path.read_bytes() == BIG
        with pytest.raises(ConfigError, match="64 hexadecimal"):
            tune.download(job, tmp_path / "m", sha256="abc", **it.how)


@pytest.mark.parametrize(
    "headers", [{"Content-Range": "bytes 5-9/10"}, {"Content-Range": "bytes 0-9/10", "ETag": '"z"'}, {}], ids=str
)
def test_wrong_range_response_is_refused(data: Path, tmp_path: Path, headers: dict[str, str]) -> None:
    odd = Fault("status", status=206, headers={**headers, "Repr-Digest": "sha-256=:AAAA:"}, body="x" * 5)
    with service(archive=BIG, faults={"download": [Fault("reset", after=2000), odd]}) as it:
        job = done(it, data)
        try:
            assert tune.download(job, tmp_path / "m", **it.how).path.read_bytes() in (BIG, b"xxxxx")
        except (DownloadError, ApiError):
            assert not (tmp_path / "m").exists()


def test_key_is_not_sent_to_redirect_targets(data: Path, tmp_path: Path) -> None:
    with service(archive=BIG, redirect_downloads=True, faults={"stored": [Fault("reset", after=500)]}) as it:
        found = tune.download(done(it, data), tmp_path / "m", **it.how)
        assert (found.path.read_bytes(), found.verified) == (BIG, "sha256")
        stored = [one for one in it.server.requests if one.path == "/storage/checkpoint"]
        assert len(stored) == 2
        assert "Range" in stored[1].headers
        assert not any(KEY in str(one.headers) for one in stored)


@pytest.mark.parametrize("place", ["ftp://elsewhere/x", "file:///etc/passwd", ""])
def test_unsafe_redirect_targets_are_refused(data: Path, tmp_path: Path, place: str) -> None:
    with service(faults={"download": [status(302, headers={"Location": place})] * 99}) as it, pytest.raises(ApiError):
        tune.download(done(it, data), tmp_path / "m", **it.how)


def test_concurrent_downloads_do_not_share_a_part(data: Path, tmp_path: Path) -> None:
    with service(archive=BIG) as it:
        job = done(it, data)

        def again(*_: Any) -> None:
            with pytest.raises(ConfigError, match=r"another download writes to .*m\.part"):
                tune.download(job, tmp_path / "m", **it.how)

        assert tune.download(job, tmp_path / "m", on_progress=again, **it.how).path.read_bytes() == BIG


def test_symlink_at_the_part_is_not_followed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "m.part").symlink_to(tmp_path / "victim")
    with service(archive=BIG) as it:
        with pytest.raises(OSError):
            tune.download(done(it, data), tmp_path / "m", **it.how)
        assert (tmp_path / "victim").read_text() == "mine"


def test_job_without_a_model_has_no_download(data: Path, tmp_path: Path) -> None:
    with service() as it, pytest.raises(ConfigError, match="is pending, and has no model yet"):
        tune.download(it.job(data), tmp_path, **it.how)


@pytest.mark.parametrize("name", ["../../etc/model", "/etc/passwd", "a/b\x00c", "....", "é/ü", ".bashrc"])
def test_model_names_cannot_leave_the_folder(data: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    with service() as it:
        job = done(it, data)
        it.training.jobs[job.id].shape["model_output_name"] = name
        found = tune.download(job.id, f"{folder}/", **it.how)
        assert found.path.parent == folder
        assert not found.path.name.startswith(".")


def test_adapter_is_downloaded_if_there_is_no_merged_model(data: Path, tmp_path: Path) -> None:
    with service() as it:
        it.training.limits["merge_output_lora"] = False
        found = tune.download(done(it, data), f"{tmp_path}/m/", **it.how)
        assert found.path.name.endswith("-adapter.tar.gz")


# Archives.


def tar(*entries: tuple[str, bytes | tuple[bytes, str] | None], compress: bool = True) -> bytes:
    """A name with its content; `None` for a folder, or a type with a target."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                entry.type, entry.linkname = content
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return gzip.compress(packed.getvalue()) if compress else packed.getvalue()


UNSAFE = {
    "above": tar(("ok", b"1"), ("../evil", b"x")),
    "inside above": tar(("a/../../evil", b"x")),
    "absolute": tar(("/tmp/evil", b"x")),
    "backslash": tar(("..\\evil", b"x")),
    "drive": tar(("C:evil", b"x")),
    "control": tar(("a\nb", b"x")),
    "symlink": tar(("link", (tarfile.SYMTYPE, "/etc"))),
    "through a symlink": tar(("link", (tarfile.SYMTYPE, "..")), ("link/evil", b"x")),
    "hard link": tar(("link", (tarfile.LNKTYPE, "/etc/passwd"))),
    "device": tar(("dev", (tarfile.CHRTYPE, ""))),
    "pipe": tar(("pipe", (tarfile.FIFOTYPE, ""))),
    "twice": tar(("a", b"1"), ("a", b"2")),
    "twice but for case": tar(("a", b"1"), ("A", b"2")),
    "the folder itself": tar((".", b"x")),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_archive_members_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "in" / "a.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(UNSAFE[name])
    with pytest.raises(UnsafeArchiveError) as caught:
        unpack(archive, tmp_path / "in" / "out")
    assert caught.value.member
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.tar.gz"]


@pytest.mark.parametrize("compress", [True, False])
def test_sound_archives_are_unpacked(tmp_path: Path, compress: bool) -> None:
    packed = tar(
        (".", None), ("./a", b"1"), ("sub", None), ("sub/b", b"2" * 70_000), ("deep/er/c", b""), compress=compress
    )
    (tmp_path / "a").write_bytes(packed)
    files = unpack(tmp_path / "a", tmp_path / "new" / "out")
    assert [str(path.relative_to(tmp_path / "new" / "out")) for path in files] == ["a", "sub/b", "deep/er/c"]
    assert files[1].read_bytes() == b"2" * 70_000
    with pytest.raises(ConfigError, match="is there already"):
        unpack(tmp_path / "a", tmp_path / "new" / "out")


@pytest.mark.parametrize("cut", [1, 5, 40, -3, -9])
def test_damaged_archive_leaves_no_files(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a").write_bytes(tar(("a", bytes(range(256)) * 9))[:cut])
    with pytest.raises(TuneError, match="is damaged"):
        unpack(tmp_path / "a", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_missing_zstandard_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    with pytest.raises((ConfigError, TuneError)) as caught:
        unpack(tmp_path / "a", tmp_path / "out")
    assert "backports.zstd" in str(caught.value) or "damaged" in str(caught.value)


def test_checkpoint_is_unpacked_beside_its_archive(data: Path, tmp_path: Path) -> None:
    with service() as it:
        found = tune.download(done(it, data), f"{tmp_path}/m/", extract=True, **it.how)
        assert [path.name for path in found.files] == ["adapter_config.json", "adapter_model.safetensors"]
        assert found.files[0].parent == found.path.with_name(found.path.name.removesuffix(".tar.gz"))
    with service(archive=UNSAFE["symlink"]) as it, pytest.raises(UnsafeArchiveError):
        tune.download(done(it, data), f"{tmp_path}/n/", extract=True, **it.how)


# The test of a model.


def test_both_models_get_the_same_requests(data: Path) -> None:
    with service(answering) as it:
        job = done(it, data)
        told: list[str] = []
        found = tune.compare(job, data, backend=it.backend, on_result=lambda model, _: told.append(model))
        assert found.base is not None
        assert (found.base.model, found.tuned.model) == (MODEL, job.output_model)
        assert [found.tuned.share(name) for name in ("exact", "normalised", "f1", "calls")] == [1.0, 1.0, 1.0, None]
        assert (found.base.share("exact"), found.base.failed) == (0.0, 0)
        assert 0 < (found.base.share("f1") or 0) < 0.5
        # The base model has a price, the new one has none that anybody knows.
        assert found.base.cost is not None
        assert found.base.cost > 0
        assert found.tuned.cost is None
        assert found.tuned.output == sum(result.output or 0 for result in found.tuned.results)
        assert [result.row.line for result in found.tuned.results] == [1, 2, 3, 4, 5, 6]
        assert told == [job.output_model] * 6 + [MODEL] * 6
        shape = json.loads(json.dumps(found.to_dict()))
        assert [model["model"] for model in shape["models"]] == [MODEL, job.output_model]
        assert shape["models"][0]["answers"][0]["scores"]["f1"] == found.base.results[0].scores.f1
        price = {"input": "1", "output": "2"}
        assert (
            tune.compare(job.id, data, limit=2, price=price, backend=it.backend).tuned.cost
            == Decimal(sum((one.input or 0) + 2 * (one.output or 0) for one in found.tuned.results[:2])) / 1_000_000
        )
        alone = tune.compare("scripted/another-model", data, backend=it.backend)
        assert (alone.base, len(alone.tallies)) == (None, 1)


TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}},
}
CALLED = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"x":1}<|call|>'
ASK = [{"role": "user", "content": "Call f with 1"}]


def calling(arguments: str = '{"x": 1}', name: str = "f") -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"messages": [*ASK, {"role": "assistant", "content": "", "tool_calls": [call]}], "tools": [TOOL]}


@pytest.mark.parametrize(
    ("row", "calls"),
    [
        (calling(), 1.0),
        (calling('{ "x" : 1 }'), 1.0),
        (calling('{"x": 2}'), 0.0),
        (calling("{"), 0.0),
        (calling(name="g"), 0.0),
        ({"messages": [*ASK, {"role": "assistant", "content": "No."}], "tools": [TOOL]}, 0.0),
    ],
    ids=str,
)
def test_calls_are_compared_by_value(row: dict[str, Any], calls: float) -> None:
    with service(lambda _: CALLED) as it:
        found = tune.compare(MODEL, [row], backend=it.backend)
        assert found.tuned.share("calls") == calls
        assert it.server.requests[-1].body["tools"][0]["function"]["name"] == "f"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Hi 1?", "completion": "Town 1"}, "Town 1"),
        ({"prompt": "Hi 1?"}, None),
        ({"messages": [{"role": "user", "content": "Hi 1?"}]}, None),
        (
            {
                "input": {"messages": [{"role": "user", "content": "Hi 1?"}]},
                "preferred_output": [{"role": "assistant", "content": "Town 1"}],
                "non_preferred_output": [{"role": "assistant", "content": "?"}],
            },
            "Town 1",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi 1?", "weight": 0},
                    {"role": "assistant", "content": "Town 1", "reasoning": "Hm", "weight": 1},
                ]
            },
            "Town 1",
        ),
    ],
    ids=str,
)
def test_examples_of_every_form_can_be_evaluated(row: dict[str, Any], expected: str | None) -> None:
    with service(lambda _: final("Town 1")) as it:
        found = tune.compare(MODEL, [row], backend=it.backend).tuned
        assert found.results[0].row.expected == expected
        assert found.share("exact") == (None if expected is None else 1.0)
        assert it.server.requests[-1].body["messages"] == [{"role": "user", "content": "Hi 1?"}]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"prompt": 7},
        7,
        None,
        {"text": "x"},
    ],
    ids=str,
)
def test_invalid_example_is_named_by_line(tmp_path: Path, row: Any) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(rows(1)[0])}\n\n{json.dumps(row)}\n")
    with service() as it:
        with pytest.raises(InvalidDatasetError, match="line 3 of"):
            tune.compare(MODEL, path, backend=it.backend)
        path.write_text("{")
        with pytest.raises(InvalidDatasetError, match=r"line 1 of .* is not JSON"):
            tune.compare(MODEL, path, backend=it.backend)
        path.write_text("\n")
        with pytest.raises(ConfigError, match="no examples"):
            tune.compare(MODEL, path, backend=it.backend)
        assert it.server.requests == []


def test_example_without_an_answer_counts_as_wrong(data: Path) -> None:
    def script(body: dict[str, Any]) -> Any:
        return status(400) if " 3?" in body["messages"][-1]["content"] else answering({**body, "model": "scripted/x"})

    with service(script) as it:
        found = tune.compare(MODEL, data, parallel=1, backend=it.backend).tuned
        assert (found.failed, found.share("exact")) == (1, 5 / 6)
        assert "HTTP 400" in (found.results[3].error or "")
        assert found.cost is not None
        assert found.cost > 0


def test_unserved_model_is_reported(data: Path) -> None:
    """And not once for each example."""
    with service(lambda _: status(404)) as it:
        with pytest.raises(NotFoundError):
            tune.compare(MODEL, data, parallel=1, backend=it.backend)
        assert len(it.server.requests) <= 2


def test_answers_are_kept_after_an_error(data: Path) -> None:
    """A base model may not be served any more, when the one that was trained from it is."""

    def script(body: dict[str, Any]) -> Any:
        return status(404) if body["model"] == MODEL else answering(body)

    with service(script) as it:
        found = tune.compare("scripted/model", data, base=MODEL, backend=it.backend)
        assert isinstance(found.stopped, NotFoundError)
        assert found.base is not None
        assert (len(found.tuned.results), found.base.results, found.base.cost) == (6, (), 0)
        assert "no such model" in found.to_dict()["stopped"]


def test_budget_ends_the_evaluation(data: Path) -> None:
    with service(answering) as it:
        whole = tune.compare(MODEL, data, parallel=1, backend=it.backend).tuned.cost
        assert whole is not None
        found = tune.compare(MODEL, data, parallel=1, max_cost=whole * 2 / 3, backend=it.backend)
        assert 0 < len(found.tuned.results) < 6
        assert isinstance(found.stopped, MaxCostError)
        # What has no price cannot be held to one.
        with pytest.raises(motet.MotetError, match="price"):
            tune.compare("some/model", data, max_cost="1", backend=it.backend)


@pytest.mark.parametrize(
    ("text", "expected", "exact", "normalised", "f1"),
    [
        ("Paris", "Paris", 1, 1, 1),
        (" Paris\n", "Paris", 1, 1, 1),
        ("paris.", "Paris", 0, 1, 1),
        ("It is Paris", "Paris", 0, 0, 0.5),
        ("London", "Paris", 0, 0, 0),
        ("", "Paris", 0, 0, 0),
        ("東京です", "東京", 0, 0, 2 / 3),
        ("Ｐａｒｉｓ", "paris", 0, 1, 1),
        ("?!", "?!", 1, 1, 1),
        ("?", "!", 0, 0, 0),
        ("a a a b", "a b b", 0, 0, 4 / 7),
    ],
)
def test_answers_are_scored(text: str, expected: str, exact: float, normalised: float, f1: float) -> None:
    found = score(text, (), expected, ())
    assert (found.exact, found.normalised, found.f1) == (exact, normalised, pytest.approx(f1))
    assert found.calls is None


@given(st.text(), st.text())
def test_scores_are_shares_and_1_for_equal_texts(one: str, other: str) -> None:
    found = score(one, (), other, ())
    for value in (found.exact, found.normalised, found.f1):
        assert value is None or 0 <= value <= 1
    if one == other and one:
        assert (found.exact, found.normalised, found.f1) == (1, 1, 1)
    assert words(one) == words(one.upper().lower()) or not one.isascii()


# The whole way, with something that breaks at each of its steps.

BREAKING = [RESET, LOST, status(500), HTML, Fault("empty"), Fault("close", after=3)]


@pytest.mark.parametrize("operation", Training.OPERATIONS)
def test_any_single_fault_does_not_stop_the_workflow(data: Path, tmp_path: Path, operation: str) -> None:
    """Each request of the way fails once, in each of the ways, and after one that went well. Only a new job is not
    asked for twice: who starts it again after an error that says that there is none gets one."""
    for number, fault in enumerate([*BREAKING, RESET, LOST]):
        sound = [None] * (number >= len(BREAKING))
        if operation in ("put", "part") and fault.kind in ("html", "empty"):
            # Bytes that were said to have arrived, and have not: the next step finds that.
            continue
        with service(answering, archive=BIG, redirect_downloads=True, faults={operation: [*sound, fault]}) as it:
            try:
                job = it.job(data)
            except ApiError:
                assert operation == "create"
                assert len(it.training.jobs) == 0
                job = it.job(data)
            job = tune.watch(job, **it.how)
            assert job.ok
            found = tune.download(job, tmp_path / f"{number}", **it.how)
            assert (found.path.read_bytes(), found.verified) == (BIG, "sha256")
            cancelled = tune.cancel(it.job(data, suffix="second"), **it.how) if operation == "cancel" else None
            assert cancelled is None or cancelled.phase == "cancelled"
            assert [one.data for one in it.storage.files.values()] == [data.read_bytes()]
            assert len(it.training.jobs) == 1 + (cancelled is not None)


# Pictures.


def points(*losses: float, every: int = 1) -> tuple[Point, ...]:
    return tuple([Point(1 + step * every, {"train/loss": loss}) for step, loss in enumerate(losses)])


def test_curve_is_drawn_as_text() -> None:
    assert tune.curve(()) == ""
    drawn = tune.curve([*points(2.0, 1.5, 1.2, 1.1), Point(4, {"eval/loss": 1.3})], width=40, height=8)
    lines = drawn.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("   2 ┤")
    assert "o" in drawn
    assert lines[-1].split() == ["step", "1", "4"]
    assert tune.curve(points(1.0)).count("⠂") + tune.curve(points(1.0)).count("┤") >= 9
    assert tune.curve(points(math.nan, math.inf)) == ""


def test_svg_is_valid_and_self_contained() -> None:
    picture = tune.svg([*points(2.0, 1.5, math.nan, 1.1), Point(4, {"eval/loss": 1.3})], title='<b>&"x"')
    root = xml.etree.ElementTree.fromstring(picture)
    name = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{name}title") == '<b>&"x"'
    assert [len(line.attrib["points"].split()) for line in root.iter(f"{name}polyline")] == [1, 3]
    assert "nan" not in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "no losses yet" in tune.svg(())


# Names.


def test_every_public_name_exists() -> None:
    for name in tune.__all__:
        assert getattr(tune, name) is not None
    with pytest.raises(AttributeError, match=r"motet.tune.*no attribute 'nothing'"):
        _ = tune.nothing

"""Settings of a training: what a model allows, what the request says, and the price."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import motet
from motet import tune
from motet.errors import (
    ConfigError,
    MaxCostError,
)
from tests.support.tune_service import (
    LOST,
    MODEL,
    rows,
    service,
    status,
    written,
)


def test_limits_come_from_the_service() -> None:
    with service() as it:
        limits = tune.limits(MODEL, **it.how)
        assert (limits.max_epochs, limits.max_rank, limits.max_tokens, limits.full) == (20, 64, 16384, False)
        # A slug of the catalogue is the same model.
        assert tune.limits("together/gpt-oss/120b", **it.how) == limits
        it.training.limits = {"max_num_epochs": "many", "lora_training": 7, "max_learning_rate": None}
        assert tune.limits(MODEL, **it.how) == tune.Limits(MODEL)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_epochs": 21}, "n_epochs must be between 1 and 20: 21"),
        ({"n_epochs": 0}, "n_epochs must be between 1 and 20: 0"),
        ({"n_epochs": 1.5}, "n_epochs must be a whole number between 1 and 20: 1.5"),
        ({"n_epochs": True}, "must be a whole number"),
        ({"n_evals": 101}, "n_evals must be between 0 and 100: 101"),
        ({"n_checkpoints": 21}, "n_checkpoints"),
        ({"lora_rank": 65}, "lora_rank must be between 1 and 64: 65"),
        ({"max_seq_length": 16385}, "max_seq_length must be between 256 and 16384: 16385"),
        ({"max_seq_length": 8193, "method": "dpo"}, "between 256 and 8192"),
        ({"batch_size": 17}, "batch_size must be between 8 and 16: 17"),
        ({"batch_size": 9, "method": "dpo"}, "between 8 and 8"),
        ({"batch_size": "most"}, "batch_size must be a whole number"),
        ({"learning_rate": 0.1}, "learning_rate must be between 1e-08 and 0.01: 0.1"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"warmup_ratio": 1.1}, "warmup_ratio"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"lora_dropout": 1}, "lora_dropout"),
        ({"full": True}, "full training is not offered"),
        ({"full": True, "lora_rank": 8}, "leave out the lora_ settings"),
        ({"dpo_beta": 0.1}, "dpo_beta needs method='dpo'"),
        ({"method": "dpo", "train_on_inputs": True}, "train_on_inputs needs method='sft'"),
        ({"method": "rl"}, "method must be 'sft' or 'dpo'"),
        ({"suffix": "x" * 41}, "suffix must be 1 to 40"),
        ({"suffix": "a; rm -rf /"}, "suffix must be 1 to 40"),
        ({"seed": -1}, "seed"),
        ({"epochs": 3}, "unknown setting epochs; known are n_epochs"),
        ({"n_epochs": 99, "lora_rank": 99}, "n_epochs must be .*: 99; lora_rank must be .*: 99"),
    ],
    ids=str,
)
def test_unsupported_settings_are_refused_before_sending(data: Path, settings: Any, says: str) -> None:
    with service() as it:
        for call in (tune.estimate, tune.start):
            with pytest.raises(ConfigError, match=f"invalid settings for .*: .*{says}"):
                call(data, MODEL, **it.how, **settings)
        assert {request.method for request in it.server.requests} == {"GET"}


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
        bodies = [
            request.body
            for request in it.server.requests
            if request.path == "/v1/fine-tunes" and request.method == "POST"
        ]
        assert len(bodies) == 1
        assert bodies[0]["training_type"] == {
            "type": "Lora",
            "lora_r": 16,
            "lora_alpha": 32,
            "lora_dropout": 0.1,
            "lora_trainable_modules": "all-linear",
        }
        assert {name: bodies[0].get(name) for name in ("n_epochs", "n_evals", "random_seed", "suffix", "packing")} == {
            "n_epochs": 3,
            "n_evals": 3,
            "random_seed": 7,
            "suffix": "v1",
            "packing": False,
        }
        assert (bodies[0]["validation_file"], bodies[0]["max_seq_length"]) == (held_out.id, 4096)
        assert (job.status, job.model, job.suffix) == ("pending", MODEL, "v1")
        # The estimate was for the same training.
        priced = [request.body for request in it.server.requests if request.path.endswith("estimate-price")]
        assert all(request == priced[0] for request in priced)
        assert priced[0]["training_type"] == bodies[0]["training_type"]


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
    """Field for field what the SDK's `create` sends, and the same estimate before."""
    named = {"lora_rank": "lora_r", "seed": "random_seed", "method": "training_method"}
    theirs = {named.get(name, name): value for name, value in settings.items() if name != "full"}
    if theirs.get("training_method") != "dpo":
        theirs.setdefault("train_on_inputs", "auto")
    with service() as it:
        full = {"max_batch_size": 32, "max_batch_size_dpo": 32, "min_batch_size": 8}
        it.training.limits |= {"supports_full_training": True, "full_training": full, "supports_vision": vision}
        file = it.file(data)
        sdk = it.backend.client.fine_tuning
        sdk.create(training_file=file.id, model=MODEL, lora=not settings.get("full"), **theirs)
        tune.start(file, MODEL, **it.how, **settings)
        jobs = [body.body for body in it.server.requests if body.path == "/v1/fine-tunes" and body.method == "POST"]
        assert len(jobs) == 2
        assert jobs[1] == jobs[0]
        prices = [body.body for body in it.server.requests if body.path.endswith("/estimate-price")]
        bodies = [{name: value for name, value in body.items() if value not in ("", 0, 0.0)} for body in prices]
        for body in bodies:
            body["training_method"] = {name: value for name, value in body["training_method"].items() if value}
            body["training_type"] = {name: value for name, value in body["training_type"].items() if value}
        assert bodies[1] == bodies[0]


@pytest.mark.parametrize("settings", [{}, {"method": "dpo", "dpo_beta": 0.2}, {"lora_rank": 8}], ids=str)
def test_request_from_a_checkpoint_equals_that_of_the_sdk(data: Path, settings: dict[str, Any]) -> None:
    checkpoint = "ft-00000001-9e8d:10"
    names = {"lora_rank": "lora_r", "method": "training_method"}
    arguments = {names.get(name, name): value for name, value in settings.items()}
    arguments |= {"lora": True} if "lora_rank" in settings else {}
    arguments |= {} if settings.get("method") == "dpo" else {"train_on_inputs": "auto"}
    with service() as it:
        file = it.file(data)
        it.backend.client.fine_tuning.create(training_file=file.id, from_checkpoint=checkpoint, **arguments)
        tune.start(file, from_checkpoint=checkpoint, **it.how, **settings)
        theirs, ours = [
            request.body
            for request in it.server.requests
            if request.path == "/v1/fine-tunes" and request.method == "POST"
        ]
        assert ours == theirs and ours["from_checkpoint"] == checkpoint and "model" not in ours
        assert ("training_type" in ours) == ("lora_rank" in settings)


def test_training_needs_a_model_or_a_checkpoint(data: Path) -> None:
    with service() as it:
        for model, settings in ((None, {}), (MODEL, {"from_checkpoint": "ft-1"})):
            with pytest.raises(ConfigError, match="either a model or from_checkpoint"):
                tune.start(data, model, **it.how, **settings)
        with pytest.raises(ConfigError, match="from_checkpoint must be"):
            tune.start(data, from_checkpoint="ft-1:last", **it.how)


def test_lost_response_from_a_checkpoint_makes_one_job(data: Path) -> None:
    with service(faults={"create": [LOST]}) as it:
        job = tune.start(it.file(data), from_checkpoint="ft-00000001-9e8d", method="dpo", **it.how)
        assert [job.id] == list(it.training.jobs)


def test_full_and_preference_training_are_sent(data: Path) -> None:
    with service() as it:
        it.training.limits["supports_full_training"] = True
        it.training.limits["full_training"] = {"max_batch_size": 32, "max_batch_size_dpo": 32, "min_batch_size": 8}
        it.job(data, full=True, batch_size=32, method="dpo", dpo_beta=0.2)
        bodies = it.server.requests[-1].body
        assert bodies["training_type"] == {"type": "Full"}
        assert (bodies["training_method"]["method"], bodies["training_method"]["dpo_beta"]) == ("dpo", 0.2)


def test_unsupported_data_format_is_refused(data: Path) -> None:
    report = {"valid": True, "dataset_has_tools": True, "dataset_has_reasoning": True}
    shape = {"id": "file-1", "bytes": 3, "processing_status": "COMPLETED", "validation_report": report}
    for feature in ("tools", "reasoning"):
        with service(faults={"retrieve_file": [status(200, body=shape)] * 9}) as it:
            it.training.limits[f"supports_{feature}"] = False
            with pytest.raises(ConfigError, match=f"{MODEL} cannot be trained on {feature}, which"):
                it.job(data)


def test_validation_data_must_differ_from_training_data(data: Path) -> None:
    with service() as it:
        file = it.file(data)
        with pytest.raises(ConfigError, match="training and validation are one file"):
            tune.start(file, MODEL, validation=file.id, **it.how)


def test_estimated_price_is_exact(data: Path) -> None:
    with service(price="0.1") as it:
        file = tune.estimate(it.file(data), MODEL, n_epochs=3, **it.how)
        tokens = 3 * motet.count(data.read_text())
        assert (file.train_tokens, file.eval_tokens) == (tokens, 0)
        assert file.price == Decimal("0.1") * tokens / 1_000_000
        assert (file.user_limit, file.allowed, file.reason) == (Decimal(25), True, None)
        assert not it.training.jobs


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (
            {"estimation_available": False, "unavailable_reason": "multimodal_dataset"},
            "gives no price for data with images",
        ),
        ({"estimation_available": False, "unavailable_reason": "train_file_not_validated"}, "not validated yet"),
        ({"estimation_available": False, "unavailable_reason": "new_reason"}, "new_reason"),
        ({"estimation_available": False}, "gives no reason"),
        ({"estimation_available": True}, "gives no price"),
        ({"estimation_available": True, "estimated_total_price": "4"}, "gives no price"),
        ({"estimation_available": True, "estimated_total_price": -4}, "gives no price"),
        ({"estimation_available": True, "estimated_total_price": True}, "gives no price"),
        ({"estimation_available": None}, "gives no reason"),
    ],
    ids=str,
)
def test_unknown_price_is_none_not_zero(data: Path, shape: Any, reason: str) -> None:
    with service(faults={"estimate": [status(200, body=shape)] * 9}) as it:
        file = tune.estimate(it.file(data), MODEL, **it.how)
        assert file.price is None
        assert reason in (file.reason or "")
        with pytest.raises(MaxCostError, match=r"is unknown .*nothing was started"):
            tune.start(it.file(data), MODEL, max_cost=5, **it.how)
        assert not it.training.jobs

"""What a training may be asked for: settings, the model's limits, the price. Pure: nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal, TypedDict

from motet.errors import ConfigError
from motet.tune.job_states import count_of, dollars_of, number_of

__all__ = ["Limits", "PriceEstimate", "TrainingSettings", "check_settings", "job_body", "price_body"]


class TrainingSettings(TypedDict, total=False):
    """How to train. The service's default holds for what is left out."""

    n_epochs: int
    """Passes over the training data. Default: 1."""
    n_evals: int
    """Evaluations on the validation data. Default: `n_epochs` with validation data, else 0."""
    n_checkpoints: int
    """Checkpoints that are kept. Default: 1."""
    batch_size: int | Literal["max"]
    """Default: `max`."""
    learning_rate: float
    """Default: 1e-5."""
    warmup_ratio: float
    """Share of the steps, from 0 to 1. Default: 0."""
    weight_decay: float
    """Default: 0."""
    max_seq_length: int
    """Tokens of an example; longer ones are cut. Default: the model's maximum."""
    packing: bool
    """Whether short examples are packed together. Default: true."""
    lora_rank: int
    """Default: the model's."""
    lora_alpha: int
    """Default: twice the rank."""
    lora_dropout: float
    """From 0 to below 1. Default: 0."""
    full: bool
    """Train all weights, where the model allows it. Default: false, an adapter is trained (LoRA)."""
    method: Literal["sft", "dpo"]
    """`dpo` for preference data. Default: `sft`."""
    dpo_beta: float
    """With `method="dpo"`."""
    train_on_inputs: bool | Literal["auto"]
    """Whether prompts are learned, too; with `method="sft"`. Default: `auto`, by the format of the data."""
    from_checkpoint: str
    """In place of a model: the id of a job or the name of its model, and perhaps `:` and a step. Continues from that
    checkpoint; preference training usually follows a supervised one."""
    suffix: str
    """Part of the new model's name: 1 to 40 letters, digits, dots, dashes and underscores."""
    seed: int


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _limit(key: str, read: Callable[[object], object] = count_of) -> Any:
    """A field of `Limits`, with its key in the service's JSON; `group.key` for one in an inner object."""
    return field(default=None, metadata={"key": key, "read": read})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model can be trained with, as the service says today. `None`: it does not say."""

    model: str
    max_epochs: int | None = _limit("max_num_epochs")
    max_evals: int | None = _limit("max_num_evals")
    max_checkpoints: int | None = _limit("max_num_checkpoints")
    min_learning_rate: float | None = _limit("min_learning_rate", number_of)
    max_learning_rate: float | None = _limit("max_learning_rate", number_of)
    max_tokens: int | None = _limit("max_seq_length_sft")
    """Of an example."""
    max_tokens_dpo: int | None = _limit("max_seq_length_dpo")
    """Of an example of preference data."""
    min_tokens: int | None = _limit("min_max_seq_length")
    """The smallest `max_seq_length`."""
    max_rank: int | None = _limit("lora_training.max_rank")
    default_rank: int | None = _limit("lora_training.default_rank")
    min_batch: int | None = _limit("lora_training.min_batch_size")
    max_batch: int | None = _limit("lora_training.max_batch_size")
    max_batch_dpo: int | None = _limit("lora_training.max_batch_size_dpo")
    full: bool | None = _limit("supports_full_training", _flag)
    """Whether all weights can be trained."""
    full_min_batch: int | None = _limit("full_training.min_batch_size")
    full_max_batch: int | None = _limit("full_training.max_batch_size")
    full_max_batch_dpo: int | None = _limit("full_training.max_batch_size_dpo")
    reasoning: bool | None = _limit("supports_reasoning", _flag)
    tools: bool | None = _limit("supports_tools", _flag)
    vision: bool | None = _limit("supports_vision", _flag)
    merges: bool | None = _limit("merge_output_lora", _flag)
    """Whether a trained adapter can be downloaded merged into the model."""

    def longest(self, settings: TrainingSettings) -> int | None:
        """The tokens that an example may have in a training with these settings."""
        return self.max_tokens_dpo if settings.get("method") == "dpo" else self.max_tokens

    @classmethod
    def read(cls, model: str, shape: Mapping[str, Any]) -> Limits:
        """From the service's JSON."""
        values: dict[str, Any] = {}
        for limit in fields(cls)[1:]:
            group, _, key = limit.metadata["key"].rpartition(".")
            source = shape.get(group) if group else shape
            values[limit.name] = limit.metadata["read"](source.get(key)) if isinstance(source, Mapping) else None
        return cls(model, **values)


@dataclass(frozen=True, slots=True)
class PriceEstimate:
    """The service's estimate of what a training costs."""

    price: Decimal | None
    """US dollars. `None`: unknown, for the `reason`."""
    reason: str | None = None
    train_tokens: int | None = None
    """Tokens that are trained on, in all epochs."""
    eval_tokens: int | None = None
    """Tokens that are evaluated."""
    user_limit: Decimal | None = None
    """US dollars that the account may still spend. `None`: unknown."""
    allowed: bool | None = None
    """Whether the account can pay for the training. `None`: unknown."""

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> PriceEstimate:
        """From the service's JSON."""
        if shape.get("estimation_available") is not True:
            code = str(shape.get("unavailable_reason") or "")
            return cls(None, _REASONS.get(code, code or "the service gives no reason"))
        price = dollars_of(shape.get("estimated_total_price"))
        return cls(
            price,
            "the service gives no price" if price is None else None,
            count_of(shape.get("estimated_train_token_count")),
            count_of(shape.get("estimated_eval_token_count")),
            dollars_of(shape.get("user_limit")),
            _flag(shape.get("allowed_to_proceed")),
        )


_REASONS = {
    "multimodal_dataset": "the service gives no price for data with images",
    "train_file_not_validated": "the training file is not validated yet",
    "eval_file_not_validated": "the validation file is not validated yet",
    "train_file_invalid": "the training file is invalid",
    "eval_file_invalid": "the validation file is invalid",
}


def check_settings(limits: Limits, settings: TrainingSettings) -> None:
    """Raises `ConfigError` with all settings that the model does not allow."""
    problems = list(_problems(limits, settings))
    if problems:
        raise ConfigError(f"invalid settings for {limits.model}: {'; '.join(problems)}")


def _problems(limits: Limits, settings: TrainingSettings) -> Iterator[str]:
    unknown = settings.keys() - TrainingSettings.__annotations__.keys()
    if unknown:
        yield f"unknown setting {', '.join(sorted(unknown))}; known are {', '.join(TrainingSettings.__annotations__)}"
    values: Mapping[str, Any] = settings
    dpo, full = values.get("method") == "dpo", bool(values.get("full"))
    if values.get("method", "sft") not in ("sft", "dpo"):
        yield f"method must be 'sft' or 'dpo': {values['method']!r}"
    if full and limits.full is False:
        yield "full training is not offered for the model; leave full out to train an adapter"
    if full and any(name in values for name in ("lora_rank", "lora_alpha", "lora_dropout")):
        yield "full training has no adapter; leave out the lora_ settings"
    if "dpo_beta" in values and not dpo:
        yield "dpo_beta needs method='dpo'"
    if "train_on_inputs" in values and dpo:
        yield "train_on_inputs needs method='sft'"
    checkpoint = values.get("from_checkpoint")
    if checkpoint is not None and not (isinstance(checkpoint, str) and re.fullmatch(r"[\w./-]+(:\d+)?", checkpoint)):
        yield f"from_checkpoint must be a job or a model, and perhaps : and a step: {checkpoint!r}"
    suffix = values.get("suffix")
    if suffix is not None and not (isinstance(suffix, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,40}", suffix)):
        yield f"suffix must be 1 to 40 letters, digits, dots, dashes and underscores: {suffix!r}"
    min_batch, max_batch = (
        (limits.full_min_batch, limits.full_max_batch) if full else (limits.min_batch, limits.max_batch)
    )
    if dpo:
        max_batch = limits.full_max_batch_dpo if full else limits.max_batch_dpo
    ranges: dict[str, tuple[float, float | None]] = {
        "n_epochs": (1, limits.max_epochs),
        "n_evals": (0, limits.max_evals),
        "n_checkpoints": (1, limits.max_checkpoints),
        "lora_rank": (1, limits.max_rank),
        "lora_alpha": (1, None),
        "max_seq_length": (limits.min_tokens or 1, limits.longest(settings)),
        "seed": (0, None),
        "batch_size": (min_batch or 1, max_batch),
        "learning_rate": (limits.min_learning_rate or 0.0, limits.max_learning_rate),
        "warmup_ratio": (0.0, 1.0),
        "weight_decay": (0.0, None),
        "lora_dropout": (0.0, 0.999),
        "dpo_beta": (0.0, None),
    }
    for name, (least, most) in ranges.items():
        if values.get(name) is not None and (name, values[name]) != ("batch_size", "max"):
            yield from _out_of_range(name, values[name], least, most)


def _out_of_range(name: str, value: object, least: float, most: float | None) -> Iterator[str]:
    """`least` as an int: the value must be a whole number."""
    kind = "a whole number" if isinstance(least, int) else "a number"
    span = f"from {least:g} on" if most is None else f"between {least:g} and {most:g}"
    if isinstance(value, bool) or not isinstance(value, int if isinstance(least, int) else int | float):
        yield f"{name} must be {kind} {span}: {value!r}"
    elif not (value >= least and (most is None or value <= most)):
        yield f"{name} must be {span}: {value!r}"


def price_body(settings: TrainingSettings, limits: Limits) -> dict[str, Any]:
    """The settings that a price depends on, as the SDK's `estimate_price` sends them."""
    values: Mapping[str, Any] = settings
    if values.get("method") == "dpo":
        beta = {"dpo_beta": values["dpo_beta"]} if "dpo_beta" in values else {}
        method = {"method": "dpo", **beta}
    else:
        method = {"method": "sft", "train_on_inputs": values.get("train_on_inputs", "auto")}
    body = {"n_epochs": values.get("n_epochs", 1), "n_evals": values.get("n_evals", 0), "training_method": method}
    rank = values.get("lora_rank", limits.default_rank)
    if values.get("full"):
        body["training_type"] = {"type": "Full"}
    elif "from_checkpoint" in values and not any(name.startswith("lora_") for name in values):
        # The service takes the training type of the job that made the checkpoint.
        return body
    elif rank is not None:
        body["training_type"] = {
            "type": "Lora",
            "lora_r": rank,
            "lora_alpha": values.get("lora_alpha", 2 * rank),
            "lora_dropout": values.get("lora_dropout", 0.0),
            "lora_trainable_modules": "all-linear",
        }
    return body


def job_body(settings: TrainingSettings, limits: Limits) -> dict[str, Any]:
    """The settings as the SDK's `create` sends them, with its defaults."""
    values: Mapping[str, Any] = settings
    body = {
        "validation_file": "",
        "packing": values.get("packing", True),
        "learning_rate": values.get("learning_rate", 1e-5),
        "lr_scheduler": {
            "lr_scheduler_type": "cosine",
            "lr_scheduler_args": {"min_lr_ratio": 0.0, "num_cycles": 0.5},
        },
        "warmup_ratio": values.get("warmup_ratio", 0.0),
        "max_grad_norm": 1.0,
        "weight_decay": values.get("weight_decay", 0.0),
        "n_checkpoints": values.get("n_checkpoints", 1),
        "batch_size": values.get("batch_size", "max"),
        "early_stopping_enabled": False,
        **price_body(settings, limits),
    }
    if body["training_method"]["method"] == "dpo":
        body["training_method"] |= {"dpo_normalize_logratios_by_length": False, "dpo_reference_free": False}
    names = {"max_seq_length": "max_seq_length", "suffix": "suffix", "seed": "random_seed"}
    body |= {key: values[name] for name, key in names.items() if values.get(name) is not None}
    return body | ({"multimodal_params": {"train_vision": False}} if limits.vision else {})

"""What a model can be trained with, and whether what is asked for is within that: pure, nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from motet.errors import ConfigError
from motet.tune.states import count_of, number_of

__all__ = ["Limits", "Settings", "check_settings", "price_settings", "problems", "wire_settings"]


class Settings(TypedDict, total=False):
    """How to train. What is left out is the service's default."""

    n_epochs: int
    """How often the examples are gone through; 1 by default."""
    n_evals: int
    """How often the validation data is looked at; by default as often as there are epochs, if there is any."""
    n_checkpoints: int
    """How many states of the model are kept; 1 by default."""
    batch_size: int | Literal["max"]
    learning_rate: float
    """`1e-5` by default."""
    warmup_ratio: float
    """From 0 to 1."""
    weight_decay: float
    max_seq_length: int
    """Tokens of an example; longer ones are cut. By default what the model can."""
    packing: bool
    """Whether short examples are put together; true by default."""
    lora_rank: int
    lora_alpha: int
    """By default twice the rank."""
    lora_dropout: float
    """From 0, below 1."""
    full: bool
    """Train all weights, where the model can; by default an adapter is trained (LoRA)."""
    method: Literal["sft", "dpo"]
    """`dpo` for preference data; `sft` by default."""
    dpo_beta: float
    train_on_inputs: bool | Literal["auto"]
    """Whether prompts are learned, too; by default the service decides by the format of the data."""
    suffix: str
    """Part of the new model's name: 40 characters at most."""
    seed: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model can be trained with, as the service says today. `None`: it does not say."""

    model: str
    max_epochs: int | None = None
    max_evals: int | None = None
    max_checkpoints: int | None = None
    min_learning_rate: float | None = None
    max_learning_rate: float | None = None
    max_tokens: int | None = None
    """Of an example."""
    max_tokens_dpo: int | None = None
    """Of an example of preference data."""
    min_tokens: int | None = None
    """The least that `max_seq_length` may be."""
    max_rank: int | None = None
    default_rank: int | None = None
    min_batch: int | None = None
    max_batch: int | None = None
    max_batch_dpo: int | None = None
    full: bool | None = None
    """Whether all weights can be trained."""
    full_min_batch: int | None = None
    full_max_batch: int | None = None
    full_max_batch_dpo: int | None = None
    reasoning: bool | None = None
    tools: bool | None = None
    vision: bool | None = None
    merges: bool | None = None
    """Whether a trained adapter can be had merged into the model."""

    def longest(self, settings: Settings) -> int | None:
        """Tokens that an example may have, in a training with these settings."""
        return self.max_tokens_dpo if settings.get("method") == "dpo" else self.max_tokens

    @classmethod
    def read(cls, model: str, shape: Mapping[str, Any]) -> Limits:
        """From what the service writes."""
        lora, whole = _inner(shape, "lora_training"), _inner(shape, "full_training")
        return cls(
            model,
            count_of(shape.get("max_num_epochs")),
            count_of(shape.get("max_num_evals")),
            count_of(shape.get("max_num_checkpoints")),
            number_of(shape.get("min_learning_rate")),
            number_of(shape.get("max_learning_rate")),
            count_of(shape.get("max_seq_length_sft")),
            count_of(shape.get("max_seq_length_dpo")),
            count_of(shape.get("min_max_seq_length")),
            count_of(lora.get("max_rank")),
            count_of(lora.get("default_rank")),
            count_of(lora.get("min_batch_size")),
            count_of(lora.get("max_batch_size")),
            count_of(lora.get("max_batch_size_dpo")),
            _flag(shape.get("supports_full_training")),
            count_of(whole.get("min_batch_size")),
            count_of(whole.get("max_batch_size")),
            count_of(whole.get("max_batch_size_dpo")),
            _flag(shape.get("supports_reasoning")),
            _flag(shape.get("supports_tools")),
            _flag(shape.get("supports_vision")),
            _flag(shape.get("merge_output_lora")),
        )


def _inner(shape: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = shape.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def check_settings(limits: Limits, settings: Settings) -> None:
    """Raises `ConfigError` with everything that the model cannot be trained with."""
    wrong = list(problems(limits, settings))
    if wrong:
        raise ConfigError(f"{limits.model} cannot be trained so: {'; '.join(wrong)}")


def problems(limits: Limits, settings: Settings) -> Iterator[str]:
    """What is wrong with settings: each a sentence that names the setting, what it is, and what it may be."""
    unknown = settings.keys() - Settings.__annotations__.keys()
    if unknown:
        yield f"unknown setting {', '.join(sorted(unknown))}; known are {', '.join(Settings.__annotations__)}"
    given: Mapping[str, Any] = settings
    dpo, full = given.get("method") == "dpo", bool(given.get("full"))
    if given.get("method", "sft") not in ("sft", "dpo"):
        yield f"method must be 'sft' or 'dpo', not {given['method']!r}"
    if full and limits.full is False:
        yield "full training is not offered for it; leave full out to train an adapter"
    if full and any(name in given for name in ("lora_rank", "lora_alpha", "lora_dropout")):
        yield "full training has no adapter: leave out the lora_ settings"
    if "dpo_beta" in given and not dpo:
        yield "dpo_beta is for method='dpo'"
    if "train_on_inputs" in given and dpo:
        yield "train_on_inputs is for method='sft'"
    suffix = given.get("suffix")
    if suffix is not None and not (isinstance(suffix, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,40}", suffix)):
        yield f"suffix must be 1 to 40 letters, digits, dots, dashes and underscores, not {suffix!r}"
    batches = (limits.full_min_batch, limits.full_max_batch) if full else (limits.min_batch, limits.max_batch)
    if dpo:
        batches = (batches[0], limits.full_max_batch_dpo if full else limits.max_batch_dpo)
    yield from _out_of("n_epochs", given, 1, limits.max_epochs)
    yield from _out_of("n_evals", given, 0, limits.max_evals)
    yield from _out_of("n_checkpoints", given, 1, limits.max_checkpoints)
    yield from _out_of("lora_rank", given, 1, limits.max_rank)
    yield from _out_of("lora_alpha", given, 1, None)
    yield from _out_of("max_seq_length", given, limits.min_tokens or 1, limits.longest(settings))
    yield from _out_of("seed", given, 0, None)
    if given.get("batch_size") != "max":
        yield from _out_of("batch_size", given, batches[0] or 1, batches[1])
    yield from _out_of("learning_rate", given, limits.min_learning_rate or 0.0, limits.max_learning_rate)
    yield from _out_of("warmup_ratio", given, 0.0, 1.0)
    yield from _out_of("weight_decay", given, 0.0, None)
    yield from _out_of("lora_dropout", given, 0.0, 0.999)
    yield from _out_of("dpo_beta", given, 0.0, None)


def _out_of(name: str, given: Mapping[str, Any], least: float, most: float | None) -> Iterator[str]:
    """What to say of a number outside its range; of a whole one, if `least` is."""
    value = given.get(name)
    if value is None:
        return
    whole = isinstance(least, int)
    span = f"from {least:g}" + ("" if most is None else f" to {most:g}")
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        yield f"{name} must be {'a whole number' if whole else 'a number'} {span}, not {value!r}"
    elif not (value >= least and (most is None or value <= most)):
        yield f"{name} is {value:g}, and may be {span}"


def price_settings(settings: Settings, limits: Limits) -> dict[str, Any]:
    """The settings that a price depends on, as the SDK's `estimate_price` names them."""
    return _plan(settings, limits)


def _plan(settings: Settings, limits: Limits) -> dict[str, Any]:
    """How much is trained, and by which method: what prices and jobs are asked for with."""
    given: Mapping[str, Any] = settings
    shape: dict[str, Any] = {"n_epochs": given.get("n_epochs", 1), "n_evals": given.get("n_evals", 0)}
    method = given.get("method", "sft")
    shape["training_method"] = (
        {"method": "dpo", **({"dpo_beta": given["dpo_beta"]} if "dpo_beta" in given else {})}
        if method == "dpo"
        else {"method": "sft", "train_on_inputs": given.get("train_on_inputs", "auto")}
    )
    rank = given.get("lora_rank", limits.default_rank)
    if given.get("full"):
        shape["training_type"] = {"type": "Full"}
    elif rank is not None:
        shape["training_type"] = {
            "type": "Lora",
            "lora_r": rank,
            "lora_alpha": given.get("lora_alpha", 2 * rank),
            "lora_dropout": given.get("lora_dropout", 0.0),
            "lora_trainable_modules": "all-linear",
        }
    return shape


def wire_settings(settings: Settings, limits: Limits) -> dict[str, Any]:
    """The settings as the SDK's `create` sends them, with its defaults."""
    given: Mapping[str, Any] = settings
    shape = {
        "validation_file": "",
        "packing": given.get("packing", True),
        "learning_rate": given.get("learning_rate", 1e-5),
        "lr_scheduler": {
            "lr_scheduler_type": "cosine",
            "lr_scheduler_args": {"min_lr_ratio": 0.0, "num_cycles": 0.5},
        },
        "warmup_ratio": given.get("warmup_ratio", 0.0),
        "max_grad_norm": 1.0,
        "weight_decay": given.get("weight_decay", 0.0),
        "n_checkpoints": given.get("n_checkpoints", 1),
        "batch_size": given.get("batch_size", "max"),
        "early_stopping_enabled": False,
        **_plan(settings, limits),
    }
    if shape["training_method"]["method"] == "dpo":
        shape["training_method"] |= {"dpo_normalize_logratios_by_length": False, "dpo_reference_free": False}
    optional = {"max_seq_length": "max_seq_length", "suffix": "suffix", "seed": "random_seed"}
    shape |= {there: given[name] for name, there in optional.items() if given.get(name) is not None}
    return shape | ({"multimodal_params": {"train_vision": False}} if limits.vision else {})

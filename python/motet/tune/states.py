"""A fine-tune as a value, and what its states mean: the table of states is here and only here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

__all__ = ["ENDED", "PHASES", "Event", "Job", "Phase", "Point", "count_of", "number_of"]

Phase: TypeAlias = Literal[
    "waiting", "running", "finishing", "cancelling", "completed", "cancelled", "failed", "unknown"
]

PHASES: Final[Mapping[str, Phase]] = {
    "pending": "waiting",
    "queued": "waiting",
    "running": "running",
    "compressing": "finishing",
    "uploading": "finishing",
    "cancel_requested": "cancelling",
    "completed": "completed",
    "cancelled": "cancelled",
    "error": "failed",
    "user_error": "failed",
}
"""Every status of the service, and what it means. Any other is `unknown`: it is shown, and looked at again."""

ENDED: Final = frozenset({"completed", "cancelled", "failed"})
"""The phases that no other follows."""

_NANO: Final = -9
"""The service counts prices of jobs in billionths of a dollar, as the SDK's own list reads them."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job."""

    type: str
    """`job_start`, `checkpoint_save`, `billing_limit`, ..."""
    message: str
    created_at: str
    """When, as the service writes it."""
    level: str = "info"
    step: int | None = None
    total_steps: int | None = None

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> Event:
        """From what the service writes."""
        return cls(
            str(shape.get("type") or "").lower(),
            str(shape.get("message") or ""),
            str(shape.get("created_at") or ""),
            # Older jobs have levels as `legacy_iwarning`.
            re.sub(r"^legacy_i?", "", str(shape.get("level") or "info").lower()),
            count_of(shape.get("step")),
            count_of(shape.get("total_steps")),
        )


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at a step of the training."""

    step: int
    values: Mapping[str, float]
    """By the service's names: `train/loss`, `eval/loss`, `train/learning_rate`, ..."""

    @property
    def loss(self) -> float | None:
        """Of the training data. `None`: it was not measured here."""
        return self.values.get("train/loss", self.values.get("loss"))

    @property
    def eval_loss(self) -> float | None:
        """Of the validation data. `None`: it was not measured here."""
        return self.values.get("eval/loss", self.values.get("eval_loss"))

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> Point | None:
        """From what the service writes. `None`: it does not say at which step."""
        read = {name: number_of(value) for name, value in shape.items()}
        numbers = {name: value for name, value in read.items() if value is not None}
        steps = [value for name, value in numbers.items() if name.rpartition("/")[2] in ("global_step", "step")]
        step = count_of(steps[0]) if steps else None
        return None if step is None or step >= 2**53 else cls(step, numbers)


@dataclass(frozen=True, slots=True)
class Job:
    """A fine-tune, as it was when it was looked at."""

    id: str
    status: str
    """As the service says: `running`."""
    model: str | None = None
    """The model that is trained."""
    output_model: str | None = None
    """The name of the new model."""
    suffix: str | None = None
    training_file: str | None = None
    validation_file: str | None = None
    created_at: str | None = None
    n_epochs: int | None = None
    step: int | None = None
    """Steps that are done. `None`: not known."""
    total_steps: int | None = None
    seconds_left: int | None = None
    """Until the next state, as the service reckons. `None`: it does not say."""
    tokens: int | None = None
    """That are trained on."""
    price: Decimal | None = None
    """US dollars for the job. `None`: the service does not say."""
    full: bool = False
    """Whether all weights are trained, not an adapter."""
    events: tuple[Event, ...] = ()
    points: tuple[Point, ...] = ()
    trouble: str | None = None
    """Why the service could not be asked just now; the rest is what it said last."""

    @property
    def phase(self) -> Phase:
        """What the status means."""
        return PHASES.get(self.status.lower(), "unknown")

    @property
    def ended(self) -> bool:
        return self.phase in ENDED

    @property
    def ok(self) -> bool:
        """Whether the new model is there."""
        return self.phase == "completed"

    @property
    def share(self) -> float | None:
        """How much of the training is done, from 0 to 1. `None`: not known."""
        if self.ok:
            return 1.0
        if not self.total_steps or self.step is None:
            return None
        return min(self.step / self.total_steps, 1.0)

    @property
    def error(self) -> str | None:
        """Why it failed, in the service's words. `None`: it did not, or nobody says."""
        if self.phase != "failed":
            return None
        said = [event.message for event in self.events if event.level == "error" or event.type.endswith("error")]
        return said[-1] if said else None

    @classmethod
    def read(
        cls,
        shape: Mapping[str, Any],
        events: Iterable[Mapping[str, Any]] = (),
        metrics: Iterable[Mapping[str, Any]] = (),
    ) -> Job:
        """From what the service writes."""
        within = shape.get("events")
        heard = list(events) or (within if isinstance(within, list) else [])
        told = tuple([Event.read(one) for one in heard if isinstance(one, Mapping)])
        points = tuple([point for point in map(Point.read, metrics) if point is not None])
        progress, kind = shape.get("progress"), shape.get("training_type")
        left = progress if isinstance(progress, Mapping) and progress.get("estimate_available") else {}
        return cls(
            str(shape["id"]),
            str(shape.get("status") or "unknown"),
            _text(shape.get("model")),
            _text(shape.get("model_output_name")),
            _text(shape.get("suffix")),
            _text(shape.get("training_file")),
            _text(shape.get("validation_file")),
            _text(shape.get("created_at")),
            count_of(shape.get("n_epochs")),
            _most(shape.get("steps_completed"), [event.step for event in told], [point.step for point in points]),
            _most(shape.get("total_steps"), [event.total_steps for event in told]),
            count_of(left.get("seconds_remaining")),
            count_of(shape.get("token_count")),
            _dollars(shape.get("total_price")),
            isinstance(kind, Mapping) and kind.get("type") == "Full",
            told,
            points,
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def count_of(value: object) -> int | None:
    """A whole number from 0 on. `None` for what is none."""
    number = number_of(value)
    if number is None or not math.isfinite(number) or number < 0:
        return None
    return int(number) if number == int(number) else None


def number_of(value: object) -> float | None:
    """A number; also one that is none, as a loss may be. `None` for what is no number."""
    return float(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _most(said: object, *heard: Iterable[int | None]) -> int | None:
    """The service's own figure; else the largest that was heard of."""
    own = count_of(said)
    if own is not None:
        return own
    return max([one for some in heard for one in some if one is not None], default=None)


def _dollars(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount.scaleb(_NANO) if amount.is_finite() and amount >= 0 else None

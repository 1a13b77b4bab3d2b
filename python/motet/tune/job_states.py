"""Jobs as values, and the meaning of every status: the one table of states."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

__all__ = ["ENDED", "PHASES", "Job", "JobEvent", "Phase", "Point", "count_of", "dollars_of", "number_of"]

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
"""The phase of every status of the service. Any other status is `unknown`: it is shown, and the job polled further."""

ENDED: Final = frozenset({"completed", "cancelled", "failed"})
"""The phases that no other follows."""

_NANO: Final = -9
"""Prices of jobs are in billionths of a dollar, as the SDK's own list reads them."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event in the life of a job."""

    type: str
    """`job_start`, `checkpoint_save`, `billing_limit`, ..."""
    message: str
    created_at: str
    """The time, as the service writes it."""
    level: str = "info"
    step: int | None = None
    total_steps: int | None = None

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> JobEvent:
        """From the service's JSON."""
        return cls(
            str(shape.get("type") or "").lower(),
            str(shape.get("message") or ""),
            str(shape.get("created_at") or ""),
            # Older jobs have levels such as `legacy_iwarning`.
            re.sub(r"^legacy_i?", "", str(shape.get("level") or "info").lower()),
            count_of(shape.get("step")),
            count_of(shape.get("total_steps")),
        )


@dataclass(frozen=True, slots=True)
class Point:
    """The measurements at one step of a training."""

    step: int
    values: Mapping[str, float]
    """By the service's names: `train/loss`, `eval/loss`, `train/learning_rate`, ..."""

    @property
    def loss(self) -> float | None:
        """The training loss. `None`: not measured at this step."""
        return self.values.get("train/loss", self.values.get("loss"))

    @property
    def eval_loss(self) -> float | None:
        """The validation loss. `None`: not measured at this step."""
        return self.values.get("eval/loss", self.values.get("eval_loss"))

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> Point | None:
        """From the service's JSON. `None`: without a step."""
        values = {name: number for name, value in shape.items() if (number := number_of(value)) is not None}
        steps = [value for name, value in values.items() if name.rpartition("/")[2] in ("global_step", "step")]
        step = count_of(steps[0]) if steps else None
        # Larger floats are not exact.
        return None if step is None or step >= 2**53 else cls(step, values)


@dataclass(frozen=True, slots=True)
class Job:
    """A fine-tuning job at one moment."""

    id: str
    status: str
    """The service's word: `running`."""
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
    """Steps done. `None`: unknown."""
    total_steps: int | None = None
    seconds_left: int | None = None
    """The service's estimate of the time to the next status. `None`: unknown."""
    tokens: int | None = None
    """Tokens that are trained on."""
    price: Decimal | None = None
    """US dollars for the job. `None`: unknown."""
    full: bool = False
    """Whether all weights are trained, not an adapter."""
    events: tuple[JobEvent, ...] = ()
    points: tuple[Point, ...] = ()
    trouble: str | None = None
    """Why the last request failed; the other fields are of the one before."""

    @property
    def phase(self) -> Phase:
        """The meaning of the status."""
        return PHASES.get(self.status.lower(), "unknown")

    @property
    def ended(self) -> bool:
        """True if the phase is `completed`, `failed` or `cancelled`."""
        return self.phase in ENDED

    @property
    def ok(self) -> bool:
        """Whether the new model is ready."""
        return self.phase == "completed"

    @property
    def share(self) -> float | None:
        """The share of the training that is done, from 0 to 1. `None`: unknown."""
        if self.ok:
            return 1.0
        if not self.total_steps or self.step is None:
            return None
        return min(self.step / self.total_steps, 1.0)

    @property
    def error(self) -> str | None:
        """Why it failed, in the service's words. `None`: it has not failed, or the reason is unknown."""
        if self.phase != "failed":
            return None
        errors = [event.message for event in self.events if event.level == "error" or event.type.endswith("error")]
        return errors[-1] if errors else None

    @classmethod
    def read(
        cls,
        shape: Mapping[str, Any],
        events: Iterable[Mapping[str, Any]] = (),
        metrics: Iterable[Mapping[str, Any]] = (),
    ) -> Job:
        """From the service's JSON; `events` and `metrics` have routes of their own."""
        own_events = shape.get("events")
        shapes = list(events) or (own_events if isinstance(own_events, list) else [])
        job_events = tuple([JobEvent.read(item) for item in shapes if isinstance(item, Mapping)])
        points = tuple([point for point in map(Point.read, metrics) if point is not None])
        progress, kind = shape.get("progress"), shape.get("training_type")
        left = progress if isinstance(progress, Mapping) and progress.get("estimate_available") else {}
        steps = [event.step for event in job_events] + [point.step for point in points]
        return cls(
            str(shape["id"]),
            str(shape.get("status") or "unknown"),
            model=_text(shape.get("model")),
            output_model=_text(shape.get("model_output_name")),
            **{name: _text(shape.get(name)) for name in ("suffix", "training_file", "validation_file", "created_at")},
            n_epochs=count_of(shape.get("n_epochs")),
            step=_known_or_max(shape.get("steps_completed"), steps),
            total_steps=_known_or_max(shape.get("total_steps"), [event.total_steps for event in job_events]),
            seconds_left=count_of(left.get("seconds_remaining")),
            tokens=count_of(shape.get("token_count")),
            price=dollars_of(shape.get("total_price"), _NANO),
            full=isinstance(kind, Mapping) and kind.get("type") == "Full",
            events=job_events,
            points=points,
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def number_of(value: object) -> float | None:
    """As float, NaN allowed (a loss may be NaN); `None` for anything else."""
    return float(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def count_of(value: object) -> int | None:
    """As a whole number from 0 on; `None` for anything else."""
    number = number_of(value)
    if number is None or not math.isfinite(number) or number < 0:
        return None
    return int(number) if number == int(number) else None


def dollars_of(value: object, exponent: int = 0) -> Decimal | None:
    """As an amount of `10**exponent` dollars, from 0 on; `None` for anything else, floats included."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount.scaleb(exponent) if amount.is_finite() and amount >= 0 else None


def _known_or_max(value: object, others: Iterable[int | None]) -> int | None:
    """The service's own figure; else the largest of the others."""
    own = count_of(value)
    return own if own is not None else max([other for other in others if other is not None], default=None)

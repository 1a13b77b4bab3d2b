"""What an atom gives back: an answer, or an estimate of one. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from motet.asking.episode import Episode
from motet.backend import Attempt
from motet.message import Completion, Lane, Message, ToolCall
from motet.metrics import Metrics, Usage

__all__ = ["Answer", "Estimate", "EstimatedTokens", "Range"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Range:
    """Three figures: what it will take at least, may well take, and can take at most. `None`: not known."""

    low: Any = None
    expected: Any = None
    high: Any = None


@dataclass(frozen=True, slots=True)
class EstimatedTokens:
    input: int | None
    """Of the prompt. `None`: it cannot be counted."""
    output: Range


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an answer will cost, before it is asked for."""

    tokens: EstimatedTokens
    cash: Range
    """US dollars, `Decimal`."""
    exact: bool
    """Whether the prompt was counted exactly: with the model's own vocabulary and template."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Answer(Generic[T]):
    """What an atom answered."""

    output: T | None
    """Of the type that was asked for. `None` if the model calls tools instead."""
    calls: tuple[ToolCall, ...]
    """The tools that it calls."""
    completion: Completion
    metrics: Metrics
    episode: Episode
    """The conversation, this exchange included: `ask(..., on=answer)` goes on from it."""
    model: str | None
    """The model that answered, as the service says."""
    lane: Lane
    lane_reason: str
    """Why the words travelled so."""
    finish: str | None = None
    """Why the model stopped: `stop`, `tool_calls`, `length`. `None`: the answer is not whole."""
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    """As the service sent it."""
    response_format: Literal["service", "prompt"] | None = None
    """Where the schema of the output stood: in a field of the request, or in the prompt."""
    notes: tuple[str, ...] = ()
    """What one should know of how the answer was read."""
    series: None = None
    """Always `None`: an atom answers once. (Loops have series.)"""

    @property
    def message(self) -> Message:
        """All that the model said, as one message."""
        return self.completion.message

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.completion.text

    @property
    def reasoning(self) -> str:
        """What the model thought."""
        return self.completion.reasoning

    def __repr__(self) -> str:
        what = f"calls={[call.name for call in self.calls]}" if self.calls else f"output={self.output!r:.60}"
        return f"Answer({what}, model={self.model!r}, cost={self.metrics.cost.cash.total})"

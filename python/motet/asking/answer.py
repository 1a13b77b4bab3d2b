"""The values that an atom returns: an answer, or an estimate of one."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

from motet.asking.episode import Episode
from motet.backend import Attempt, TokenTrace
from motet.message import Completion, Lane, Message, ToolCall
from motet.metrics import Metrics, Usage

__all__ = ["Answer", "Estimate", "EstimatedTokens", "Range"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Range:
    """Lowest, expected and highest value. `None`: unknown."""

    low: Any = None
    expected: Any = None
    high: Any = None


@dataclass(frozen=True, slots=True)
class EstimatedTokens:
    """Tokens of a request and of its answer."""

    input: int | None
    """Tokens of the prompt. `None`: not countable."""
    output: Range
    """Tokens of the answer."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Size and cost of an answer before the request."""

    tokens: EstimatedTokens
    cash: Range
    """US dollars, `Decimal`."""
    exact: bool
    """True if the prompt was counted with the model's own vocabulary and template."""
    notes: tuple[str, ...] = ()
    """How figures were derived, and why unknown ones are unknown."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer(Generic[T]):
    """The answer of an atom, with its metrics."""

    output: T | None
    """The answer as the requested type. `None` if the model calls tools instead."""
    calls: tuple[ToolCall, ...]
    """The tool calls in the answer."""
    completion: Completion
    metrics: Metrics
    """Size, time and cost; those of `rejected` and `interrupted` are included."""
    episode: Episode
    """The conversation including this exchange; `ask(..., on=answer)` continues it."""
    model: str | None
    """Model name in the response. `None`: the response has none."""
    lane: Lane
    lane_reason: str
    """Why this lane was chosen."""
    finish: str | None = None
    """The finish reason: `stop`, `tool_calls`, `length`, ... `None`: the answer is incomplete."""
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    """Usage as the service sent it, for the last request. `None`: not sent."""
    response_format: Literal["service", "prompt"] | None = None
    """Where the output schema was sent: in a field of the request (in the raw lanes in the prompt, too), or in the
    prompt only. `None`: no schema."""
    sampled: array[int] | None = field(default=None, compare=False)
    """The ids of the answer, stop token included: those that the model sampled, and where `interrupted` is not `None`
    those between them that open the answer. `None`: the service sent none."""
    token_trace: TokenTrace | None = field(default=None, compare=False)
    """The ids of prompt and answer with their log-probabilities; where `interrupted` is not `None`, those of the second
    request, with the trace of the first. `None`: another lane than `ids`."""
    notes: tuple[str, ...] = ()
    """Remarks on how the answer was read and priced."""
    rejected: tuple[Answer[Any], ...] = ()
    """Answers that were asked for again, with an invalid output (`retries=`) or of a service that broke off
    (`fallbacks=`); `metrics` of each are its own."""

    interrupted: Answer[Any] | None = None
    """The first request, which was ended within its reasoning (`on_limit="answer"`); its `metrics` are its own. `None`:
    the model came to its answer by itself."""

    @property
    def cost(self) -> Decimal | None:
        """US dollars of prompt and answer: `metrics.cost.cash.total`. `None`: unknown."""
        return self.metrics.cost.cash.total

    @property
    def series(self) -> None:
        """`None`: an atom answers once. The steps of a loop are `Run.steps`."""
        return None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Alias of `calls`, as on `Completion`."""
        return self.calls

    @property
    def message(self) -> Message:
        """The answer as one message."""
        return self.completion.message

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.completion.text

    @property
    def reasoning(self) -> str:
        """The reasoning text."""
        return self.completion.reasoning

    def __repr__(self) -> str:
        content = f"calls={[call.name for call in self.calls]}" if self.calls else f"output={self.output!r:.60}"
        return f"Answer({content}, model={self.model!r}, cost={self.cost})"

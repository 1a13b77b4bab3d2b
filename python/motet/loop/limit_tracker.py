"""What the limits of a run leave for its next asking, and which of them an error stands for. It asks nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from motet import _core
from motet.catalog import Spec
from motet.errors import (
    ConfigError,
    LimitError,
    MaxCostError,
    MaxStepsError,
    MaxTimeError,
    MaxTokensError,
    MotetError,
    RepeatedCallError,
    RequestTimeoutError,
    TruncatedOutputError,
)
from motet.limits import Limits
from motet.loop.run import Run, Step
from motet.message import Message, Reasoning, Text, ToolCall
from motet.metrics import Metrics, cash

__all__ = ["Bounds", "worst_case"]

_KINDS: Mapping[str, type[LimitError]] = {
    "max_steps": MaxStepsError,
    "max_tokens": MaxTokensError,
    "max_reasoning_tokens": MaxTokensError,
    "max_cost": MaxCostError,
    "max_time": MaxTimeError,
    "max_repeats": RepeatedCallError,
}


class Bounds:
    """The limits of a run. Their time begins when this is made."""

    def __init__(self, limits: Limits, worst_case: Callable[[], Decimal]) -> None:
        self.limits = limits
        self._worst_case = worst_case
        self._began = time.monotonic()

    def of_asking(self, run: Run, timeout: float | None) -> tuple[dict[str, Any], set[str]]:
        """The options of the next asking that are no more than the limits leave; and which limits they stand for.
        `timeout`: the seconds that the caller gives an asking. Raises a `LimitError` where nothing is left."""
        limits, options = self.limits, dict[str, Any]()
        if limits.max_steps is not None and len(run.steps) >= limits.max_steps:
            raise self.reached(run, "max_steps")
        for name, most, taken in (
            ("max_tokens", limits.max_tokens, written(run)),
            ("max_reasoning_tokens", limits.max_reasoning_tokens, _thought(run)),
        ):
            if most is not None:
                if taken >= most:
                    raise self.reached(run, name)
                options[name] = most - taken
        if limits.max_cost is not None:
            metrics = [*[step.metrics for step in run.steps], *run.aborted]
            options["max_cost"] = limits.max_cost - sum(map(self._cost, metrics), Decimal(0))
            if options["max_cost"] <= 0:
                raise self.reached(run, "max_cost")
        bounds = set(options)
        left = self.time_left(run)
        if left is not None and (timeout is None or timeout >= left):
            options["timeout"] = left
            bounds.add("max_time")
        return options, bounds

    def met(self, run: Run, error: MotetError, bounds: set[str]) -> str | None:
        """Which of the limits an error of the asking stands for, if it is one of `bounds`."""
        if isinstance(error, LimitError):
            return error.option if error.option in bounds else None
        if isinstance(error, RequestTimeoutError) and "max_time" in bounds:
            # The service may have given up by itself. Clocks differ by a little.
            return "max_time" if (self._seconds_left() or 0) < 0.05 else None
        if isinstance(error, TruncatedOutputError) and self.limits.max_tokens is not None:
            # Or the answer was as long as the service allows.
            return "max_tokens" if written(run) >= self.limits.max_tokens else None
        return None

    def time_left(self, run: Run) -> float | None:
        """Seconds that are left; `None` without a limit. Raises `MaxTimeError` if there are none."""
        left = self._seconds_left()
        if left is not None and left <= 0:
            raise self.reached(run, "max_time")
        return left

    def _seconds_left(self) -> float | None:
        return None if self.limits.max_time is None else self.limits.max_time - (time.monotonic() - self._began)

    def _cost(self, metrics: Metrics) -> Decimal:
        """What an answer cost. Where the service did not say, the worst: prompt and answer fill the context."""
        cost = metrics.cost.cash.total
        return self._worst_case() if cost is None else cost

    def reached(self, run: Run, name: str, error: MotetError | None = None) -> LimitError:
        """The error for a limit that is reached, with what there is of the answer in which it was."""
        limit = getattr(self.limits, name)
        return _KINDS[name](
            f"the run has reached {name}={limit} after {len(run.steps)} steps; "
            "its state is in .state, and resume() goes on with it under a higher limit",
            limit=limit,
            option=name,
            partial=error.partial if error is not None else None,
            cost=run.metrics.cost.cash.total,
        )


def worst_case(spec: Spec) -> Decimal:
    """What an answer costs at most: a context full of the dearer kind of tokens."""
    price, context = spec.cost.cash, spec.gain.size.context.tokens or 0
    dearest = max((cash(price, context, 0) or 0, cash(price, 0, context) or 0))
    if not dearest:
        raise ConfigError(
            f"the service sent no usage, and the worst case of {spec.slug} is not known; give price= and context="
        )
    return Decimal(dearest)


def written(run: Run) -> int:
    """The tokens of the answers; motet's own count, where the service gave none."""
    return sum(map(_written, run.steps)) + sum([_cut(one)[0] for one in run.aborted])


def _thought(run: Run) -> int:
    """The tokens of the reasoning."""
    return sum(map(_thought_in, run.steps)) + sum([_cut(one)[1] for one in run.aborted])


def _written(step: Step) -> int:
    """The tokens of a step; motet's own count, if the service gave none."""
    counted = step.metrics.size.tokens.output
    return counted if counted is not None else sum(_core.count(text) for text in _texts(step.message))


def _cut(metrics: Metrics) -> tuple[int, int]:
    """The tokens of an answer that was cut, and those of its reasoning: if nobody counted them, no more than its
    characters."""
    tokens, chars = metrics.size.tokens, metrics.size.chars
    written = chars.output if tokens.output is None else tokens.output
    return written, (chars.by_channel if tokens.by_channel is None else tokens.by_channel).get("analysis", 0)


def _thought_in(step: Step) -> int:
    by_channel = step.metrics.size.tokens.by_channel
    return by_channel["analysis"] if by_channel is not None else _core.count(step.message.reasoning)


def _texts(message: Message) -> list[str]:
    return [
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in message.content
        if isinstance(part, ToolCall | Text | Reasoning)
    ]

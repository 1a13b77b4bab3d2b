"""What the limits of a run leave for its next request, and which limit an error stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from motet import _core
from motet.asking.options import PreparedOptions
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
from motet.metrics import Metrics, cost_of

__all__ = ["LimitTracker", "worst_case"]

_ERRORS: Mapping[str, type[LimitError]] = {
    "max_steps": MaxStepsError,
    "max_tokens": MaxTokensError,
    "max_reasoning_tokens": MaxTokensError,
    "max_cost": MaxCostError,
    "max_time": MaxTimeError,
    "max_repeats": RepeatedCallError,
}


class LimitTracker:
    """The limits of a run. `max_time` counts from the construction of the tracker."""

    def __init__(self, limits: Limits, worst_case: Callable[[], Decimal]) -> None:
        self.limits = limits
        self._worst_case = worst_case
        self._start_time = time.monotonic()

    def options_for_next_request(self, run: Run, options: PreparedOptions) -> tuple[PreparedOptions, set[str]]:
        """The options with no more than the limits leave, and the names of the limits that they stand for. Raises a
        `LimitError` if nothing is left."""
        limits, remaining, answers_now = self.limits, dict[str, Any](), False
        if limits.max_steps is not None and len(run.steps) >= limits.max_steps:
            raise self.limit_error(run, "max_steps")
        for name, limit, used in (
            ("max_tokens", limits.max_tokens, output_tokens(run)),
            ("max_reasoning_tokens", limits.max_reasoning_tokens, _reasoning_tokens(run)),
        ):
            if limit is not None:
                is_over = used >= limit
                if is_over and name == "max_reasoning_tokens" and options.on_limit == "answer":
                    # The chat lane cannot do without reasoning: it may reach the limit once more.
                    answers_now, is_over, used = True, False, 0
                if is_over:
                    raise self.limit_error(run, name)
                remaining[name] = limit - used
        if limits.max_cost is not None:
            metrics = [*[step.metrics for step in run.steps], *run.aborted]
            remaining["max_cost"] = limits.max_cost - sum(map(self._cost, metrics), Decimal(0))
            if remaining["max_cost"] <= 0:
                raise self.limit_error(run, "max_cost")
        names = set(remaining)
        left = self.time_left(run)
        if left is not None and (options.timeout is None or options.timeout >= left):
            remaining["timeout"] = left
            names.add("max_time")
        return replace(options.limited_to(remaining), answers_now=answers_now), names

    def exceeded_limit(self, run: Run, error: MotetError, names: set[str]) -> str | None:
        """The limit of the run, one of `names`, that a request's error stands for; `None` for other errors."""
        if isinstance(error, LimitError):
            return error.option if error.option in names else None
        if isinstance(error, RequestTimeoutError) and "max_time" in names:
            # The service may have its own time limit. 0.05 s allows for differences between the clocks.
            return "max_time" if (self._seconds_left() or 0) < 0.05 else None
        if isinstance(error, TruncatedOutputError) and self.limits.max_tokens is not None:
            # The cut may come from the service's own limit on the answer.
            return "max_tokens" if output_tokens(run) >= self.limits.max_tokens else None
        return None

    def time_left(self, run: Run) -> float | None:
        """Seconds left, `None` without a limit. Raises `MaxTimeError` if none are left."""
        left = self._seconds_left()
        if left is not None and left <= 0:
            raise self.limit_error(run, "max_time")
        return left

    def _seconds_left(self) -> float | None:
        if self.limits.max_time is None:
            return None
        return self.limits.max_time - (time.monotonic() - self._start_time)

    def _cost(self, metrics: Metrics) -> Decimal:
        """Cost of an answer; the worst case where it is unknown."""
        cost = metrics.cost.cash.total
        if cost is not None:
            return cost
        try:
            return self._worst_case()
        except ConfigError as error:
            why = metrics.unknown.get("cost.cash.total", "the service sent no usage")
            raise ConfigError(f"the cost of an answer is unknown ({why}), and {error}") from None

    def limit_error(self, run: Run, name: str, error: MotetError | None = None) -> LimitError:
        """The error for a limit, with the partial answer of `error`."""
        limit = getattr(self.limits, name)
        return _ERRORS[name](
            f"the run has reached {name}={limit} after {len(run.steps)} steps; "
            "its state is in .state, and resume() goes on with it under a higher limit",
            limit=limit,
            option=name,
            partial=error.partial if error is not None else None,
            cost=run.metrics.cost.cash.total,
        )


def worst_case(spec: Spec) -> Decimal:
    """US dollars of the most expensive answer: a context full of the more expensive kind of tokens.

    Raises `ConfigError` if the price or the context is unknown.
    """
    price, context = spec.cost.cash, spec.gain.size.context.tokens or 0
    cost = max((cost_of(price, context, 0) or 0, cost_of(price, 0, context) or 0))
    is_known = price.input is not None and price.output is not None
    if not is_known or (not context and (price.input or price.output)):
        raise ConfigError(f"the worst case of {spec.slug} is not known; give price= and context=")
    return Decimal(cost)


def output_tokens(run: Run) -> int:
    """Tokens of all answers, by motet's own count where the service sent none."""
    return sum(map(_step_tokens, run.steps)) + sum([_aborted_tokens(metrics)[0] for metrics in run.aborted])


def _reasoning_tokens(run: Run) -> int:
    return sum(map(_step_reasoning, run.steps)) + sum([_aborted_tokens(metrics)[1] for metrics in run.aborted])


def _step_tokens(step: Step) -> int:
    tokens = step.metrics.size.tokens.output
    return tokens if tokens is not None else sum(_core.count(text) for text in _texts(step.message))


def _aborted_tokens(metrics: Metrics) -> tuple[int, int]:
    """Tokens of a cut answer and of its reasoning; characters, which are no fewer, where there is no count."""
    tokens, chars = metrics.size.tokens, metrics.size.chars
    output = chars.output if tokens.output is None else tokens.output
    return output, (chars.by_channel if tokens.by_channel is None else tokens.by_channel).get("analysis", 0)


def _step_reasoning(step: Step) -> int:
    by_channel = step.metrics.size.tokens.by_channel
    return by_channel["analysis"] if by_channel is not None else _core.count(step.message.reasoning)


def _texts(message: Message) -> list[str]:
    return [
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in message.content
        if isinstance(part, ToolCall | Text | Reasoning)
    ]

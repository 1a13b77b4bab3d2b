"""Answers while they arrive: events passed on, counted against the caller's limits, and put together at the end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from decimal import Decimal
from typing import Any

from motet import _core, trace
from motet._context import AsyncClosing, Closing
from motet._core import Event
from motet.asking.answer import Answer
from motet.asking.request import Question
from motet.backend import Backend
from motet.errors import ConfigError, LimitError, MaxCostError, MaxTokensError, MotetError, OutputError
from motet.metrics import Price, cash

__all__ = ["AnswerStream", "AsyncAnswerStream"]


class _Meter:
    """Counts an answer while it arrives, and says when it is enough."""

    def __init__(self, backend: Backend, question: Question) -> None:
        self._question = question
        self._counters: dict[int, tuple[str | None, _core.StreamEncoder]] = {}
        self._price = Price()
        self._prompt = 0
        self._markup = 0
        self._sent = False
        if question.max_cost is None and not question.budgets:
            return
        self._price, no_price = question.price(question.request.model)
        self._prompt = question.count(backend)[0]
        alone = cash(self._price, self._prompt, 0)
        if alone is None:
            raise ConfigError(f"what an answer may cost cannot be limited: {no_price}")
        if question.max_cost is not None and alone > question.max_cost:
            raise MaxCostError(
                f"the prompt alone costs {alone} dollars, more than max_cost={question.max_cost}; nothing was sent",
                limit=question.max_cost,
                option="max_cost",
                cost=Decimal(0),
            )

    def open(self) -> None:
        """Takes what the prompt and the first piece of the answer cost out of the budgets. Raises `MaxCostError` if so
        much is not left; then nothing is to be sent."""
        try:
            self._hold()
        except MaxCostError as error:
            error.cost = Decimal(0)
            raise
        self._sent = True

    def hear(self, event: Event) -> LimitError | None:
        """Takes note of an event. Gives the error, if it passes a limit."""
        if event.type not in ("start", "delta"):
            return None
        if event.index not in self._counters:
            self._markup += _markup(event, first=not self._counters)
            self._counters[event.index] = (event.kind, _core.StreamEncoder())
        self._counters[event.index][1].feed(event.delta)
        try:
            self._check()
            self._hold()
        except LimitError as error:
            return error
        return None

    @property
    def cost(self) -> Decimal:
        """What was written so far costs, prompt included."""
        return self._cost_of(0)

    def _cost_of(self, ahead: int) -> Decimal:
        """What was written, and so many more tokens, cost; 0 without a price, for then nothing is limited."""
        written = sum(encoder.count for _, encoder in self._counters.values()) + self._markup
        return cash(self._price, self._prompt, written + ahead) or Decimal(0)

    def _hold(self) -> None:
        """Takes what there is, and the next piece, out of the budgets."""
        for budget in self._question.budgets:
            budget.hold(self, self._cost_of(_NEXT_PIECE))

    def settle(self, cost: Decimal | None) -> None:
        """The request has ended. `None`: what it cost is not known; then what was counted is taken, if it was sent."""
        counted = self.cost if self._sent else Decimal(0)
        for budget in self._question.budgets:
            budget.settle(self, counted if cost is None else cost)

    def _check(self) -> None:
        question = self._question
        thought = sum(encoder.count for kind, encoder in self._counters.values() if kind == "reasoning")
        if question.max_reasoning_tokens is not None and thought > question.max_reasoning_tokens:
            raise MaxTokensError(
                f"the reasoning is longer than max_reasoning_tokens={question.max_reasoning_tokens}; "
                "the stream was ended, and what came is in .partial",
                limit=question.max_reasoning_tokens,
                option="max_reasoning_tokens",
            )
        most = question.request.max_tokens
        if most is not None and sum(encoder.count for _, encoder in self._counters.values()) > most:
            raise MaxTokensError(
                f"the answer is longer than max_tokens={most}, which the service did not keep; "
                "the stream was ended, and what came is in .partial",
                limit=most,
                option="max_tokens",
            )
        if question.max_cost is not None and self.cost > question.max_cost:
            raise MaxCostError(
                f"the answer costs more than max_cost={question.max_cost} dollars; "
                "the stream was ended, and what came is in .partial",
                limit=question.max_cost,
                option="max_cost",
            )


_NEXT_PIECE = 16
"""Tokens that are taken out of a budget before the next piece of an answer is read: services send one or two, and the
header of a call is as long."""


def _markup(event: Event, *, first: bool) -> int:
    """The tokens of a frame's header and of its end, which are paid for, too: `<|start|>assistant`, which stands in the
    prompt for the first frame, `<|channel|>`, `<|message|>`, `<|end|>`, and the words between them."""
    to = f" to={event.recipient} " if event.recipient else ""
    kind = event.content_type or ("<|constrain|>json" if event.kind == "tool_call" else "")
    words = _core.encode(f"{event.channel or 'commentary'}{to}{kind}", special="token")
    return len(words) + (3 if first else 5)


class _Heard:
    """What both kinds of streams do with what comes: the answer, and the errors on the way."""

    def __init__(self, backend: Backend, question: Question, heard: Callable[[Answer[Any]], Any]) -> None:
        self.backend = backend
        self.question = question
        self._heard = heard
        self.stream: Any = None
        self._meter: _Meter | None = None
        self._answer: Answer[Any] | None = None
        self._span = trace.Span(question.request)

    @property
    def answer(self) -> Answer[Any]:
        if self._answer is not None:
            return self._answer
        if self.stream is None:
            raise ValueError("there is no answer yet: iterate over the stream first")
        return self.question.answer(self.stream.reply, cut=True)

    def begin(self) -> _Meter:
        """Budgets are asked when the request is about to be sent: a stream that nobody reads holds nothing."""
        self._meter = _Meter(self.backend, self.question)
        self._meter.open()
        return self._meter

    def end(self) -> None:
        try:
            self._answer = self.question.finish(self.stream.reply)
        except OutputError as error:
            self._answer = error.partial
            self._span.failed(error)
            raise
        self._heard(self._span.heard(self._answer))

    def fail(self, error: MotetError) -> MotetError:
        if error.partial is None and isinstance(error, LimitError) and self.stream is not None:
            # What a service or its connection broke off brings along what arrived, if anything did.
            error.partial = self.stream.reply
        error = self.question.explain(error)
        if isinstance(error.partial, Answer):
            self._answer = error.partial
        self.settle(free=_refused(error))
        self._span.failed(error)
        return error

    def settle(self, *, free: bool = False) -> None:
        """The budgets learn what it cost in the end. `free`: nothing, if nothing came."""
        if self._meter is None:
            return
        cost = self._answer.metrics.cost.cash.total if self._answer is not None else None
        if cost is None and free and (self._answer is None or not self._answer.completion.frames):
            cost = Decimal(0)
        self._meter.settle(cost)
        self._meter = None

    def leave(self) -> None:
        """The stream has ended, or somebody left it before its end: then what came is paid for."""
        if self._meter is not None:
            with contextlib.suppress(ValueError):
                self._answer = self.answer
        self.settle()
        self._span.end()


def _refused(error: MotetError) -> bool:
    """Whether the service did not even begin to answer, so that it does not bill."""
    attempts = getattr(error, "attempts", ())
    return bool(attempts) and not any(one.may_be_billed or one.outcome == "200" for one in attempts)


# The generators know what was heard and not the stream that gives them out. So a stream that is forgotten is no cycle:
# its connection is closed when it is dropped, and not whenever garbage is collected.


def _events(heard: _Heard) -> Generator[Event, None, None]:
    try:
        meter = heard.begin()
        heard.stream = heard.backend.stream(heard.question.request)
        for event in heard.stream:
            # What passes a limit is given out, too: it is paid for.
            passed = meter.hear(event)
            yield event
            if passed is not None:
                raise passed
        heard.end()
    except OutputError:
        raise
    except MotetError as error:
        if heard.stream is not None:
            heard.stream.close()
        raise heard.fail(error) from error.__cause__
    finally:
        # Also where the iterator alone was left, without a `with` block around the stream.
        heard.leave()


async def _aevents(heard: _Heard) -> AsyncGenerator[Event, None]:
    try:
        meter = heard.begin()
        async with heard.backend.astream(heard.question.request) as heard.stream:
            async for event in heard.stream:
                # What passes a limit is given out, too: it is paid for.
                passed = meter.hear(event)
                yield event
                if passed is not None:
                    raise passed
            heard.end()
    except OutputError:
        raise
    except MotetError as error:
        raise heard.fail(error) from error.__cause__
    finally:
        heard.leave()


class AnswerStream(Closing):
    """Events while they arrive. Leaving the `with` block, or closing it, closes the connection."""

    def __init__(self, backend: Backend, question: Question, heard: Callable[[Answer[Any]], Any]) -> None:
        self._heard = _Heard(backend, question, heard)
        self._events = _events(self._heard)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    @property
    def text(self) -> Iterator[str]:
        """The pieces of the answer alone, without reasoning and calls."""
        return (event.delta for event in self if event.type == "delta" and event.kind == "text")

    @property
    def answer(self) -> Answer[Any]:
        """The answer. Before the end, and after an error, what there is of it; its `output` is `None` then.

        Raises `ValueError` before anything was asked.
        """
        return self._heard.answer

    def close(self) -> None:
        """Closes the connection; the service stops writing, and billing."""
        if self._heard.stream is not None:
            self._heard.stream.close()
        self._events.close()


class AsyncAnswerStream(AsyncClosing):
    """`AnswerStream`, awaited."""

    def __init__(self, backend: Backend, question: Question, heard: Callable[[Answer[Any]], Any]) -> None:
        self._heard = _Heard(backend, question, heard)
        self._events = _aevents(self._heard)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    @property
    async def text(self) -> AsyncIterator[str]:
        """The pieces of the answer alone, without reasoning and calls."""
        async for event in self:
            if event.type == "delta" and event.kind == "text":
                yield event.delta

    @property
    def answer(self) -> Answer[Any]:
        """The answer. Before the end, and after an error, what there is of it; its `output` is `None` then.

        Raises `ValueError` before anything was asked.
        """
        return self._heard.answer

    async def aclose(self) -> None:
        """Closes the connection; the service stops writing, and billing."""
        await self._events.aclose()

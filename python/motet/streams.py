"""Answers while they arrive: events passed on, counted against the caller's limits, and put together at the end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from decimal import Decimal
from typing import Any

from motet import _core, trace
from motet._core import Event
from motet.answers import Answer
from motet.backend import Backend
from motet.closing import AsyncClosing, Closing
from motet.errors import ConfigError, LimitError, MaxCostError, MaxTokensError, MotetError, OutputError
from motet.metrics import Price, cash
from motet.question import Question

__all__ = ["AnswerStream", "AsyncAnswerStream"]


class _Meter:
    """Counts an answer while it arrives, and says when it is enough."""

    def __init__(self, backend: Backend, question: Question) -> None:
        self._question = question
        self._counters: dict[int, tuple[str | None, _core.StreamEncoder]] = {}
        self._price = Price()
        self._prompt = 0
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
                cost=Decimal(0),
            )
        try:
            self._hold()
        except MaxCostError as error:
            error.cost = Decimal(0)
            self.settle(Decimal(0))
            raise

    def hear(self, event: Event) -> None:
        """Takes note of an event. Raises `LimitError` when a limit is passed."""
        if event.type != "delta":
            return
        if event.index not in self._counters:
            self._counters[event.index] = (event.kind, _core.StreamEncoder())
        self._counters[event.index][1].feed(event.delta)
        self._check()
        self._hold()

    @property
    def cost(self) -> Decimal:
        """What was written so far costs, prompt included."""
        return self._cost_of(0)

    def _cost_of(self, ahead: int) -> Decimal:
        """What was written, and so many more tokens, cost; 0 without a price, for then nothing is limited."""
        # A frame's markers are written and paid for, too.
        written = sum(encoder.count for _, encoder in self._counters.values()) + _MARKUP * len(self._counters)
        return cash(self._price, self._prompt, written + ahead) or Decimal(0)

    def _hold(self) -> None:
        """Takes what there is, and the next piece, out of the budgets."""
        for budget in self._question.budgets:
            budget.hold(self, self._cost_of(_NEXT_PIECE))

    def settle(self, cost: Decimal | None) -> None:
        """The request has ended. `None`: what it cost is not known; then what was counted is taken."""
        for budget in self._question.budgets:
            budget.settle(self, self.cost if cost is None else cost)

    def _check(self) -> None:
        question = self._question
        thought = sum(encoder.count for kind, encoder in self._counters.values() if kind == "reasoning")
        if question.max_reasoning_tokens is not None and thought > question.max_reasoning_tokens:
            raise MaxTokensError(
                f"the reasoning is longer than max_reasoning_tokens={question.max_reasoning_tokens}; "
                "the stream was ended, and what came is in .partial",
                limit=question.max_reasoning_tokens,
            )
        most = question.request.max_tokens
        if most is not None and sum(encoder.count for _, encoder in self._counters.values()) > most:
            raise MaxTokensError(
                f"the answer is longer than max_tokens={most}, which the service did not keep; "
                "the stream was ended, and what came is in .partial",
                limit=most,
            )
        if question.max_cost is not None and self.cost > question.max_cost:
            raise MaxCostError(
                f"the answer costs more than max_cost={question.max_cost} dollars; "
                "the stream was ended, and what came is in .partial",
                limit=question.max_cost,
            )


_NEXT_PIECE = 8
"""Tokens that are taken out of a budget before the next piece of an answer is read: services send one or two."""
_MARKUP = 5
"""Tokens of a frame's header and stop token: `<|start|>assistant<|channel|>final<|message|>` and the last one are 6,
of which the first two stand in the prompt for the first frame; tool calls have more."""


class _Heard:
    """What both kinds of streams do with what comes: the answer, and the errors on the way."""

    def __init__(self, backend: Backend, question: Question, heard: Callable[[Answer[Any]], Any]) -> None:
        self._backend = backend
        self._question = question
        self._heard = heard
        self._stream: Any = None
        self._meter: _Meter | None = None
        self._answer: Answer[Any] | None = None
        self._span = trace.Span(question.request)

    @property
    def answer(self) -> Answer[Any]:
        """The answer. Before the end, and after an error, what there is of it; its `output` is `None` then.

        Raises `ValueError` before anything was asked.
        """
        if self._answer is not None:
            return self._answer
        if self._stream is None:
            raise ValueError("there is no answer yet: iterate over the stream first")
        return self._question.answer(self._stream.reply, cut=True)

    def _begin(self) -> _Meter:
        """Budgets are asked when the request is about to be sent: a stream that nobody reads holds nothing."""
        self._meter = _Meter(self._backend, self._question)
        return self._meter

    def _end(self) -> None:
        try:
            self._answer = self._question.finish(self._stream.reply)
        except OutputError as error:
            self._answer = error.partial
            self._span.failed(error)
            raise
        self._heard(self._span.heard(self._answer))

    def _fail(self, error: MotetError) -> MotetError:
        if error.partial is None and isinstance(error, LimitError) and self._stream is not None:
            # What a service or its connection broke off brings along what arrived, if anything did.
            error.partial = self._stream.reply
        error = self._question.explain(error)
        if isinstance(error.partial, Answer):
            self._answer = error.partial
        self._span.failed(error)
        return error

    def _settle(self) -> None:
        """The budgets learn what it cost in the end, and the span ends."""
        if self._meter is not None:
            self._meter.settle(self._answer.metrics.cost.cash.total if self._answer is not None else None)
            self._meter = None
        self._span.end()


class AnswerStream(_Heard, Closing):
    """Events while they arrive. Leaving the `with` block, or closing it, closes the connection."""

    def __init__(self, backend: Backend, question: Question, heard: Callable[[Answer[Any]], Any]) -> None:
        super().__init__(backend, question, heard)
        self._events = self._run()

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def _run(self) -> Generator[Event, None, None]:
        try:
            meter = self._begin()
            with self._backend.stream(self._question.request) as self._stream:
                for event in self._stream:
                    yield event
                    meter.hear(event)
                self._end()
        except OutputError:
            raise
        except MotetError as error:
            raise self._fail(error) from error.__cause__
        finally:
            # Also where the iterator alone was left, without a `with` block around the stream.
            self._settle()

    @property
    def text(self) -> Iterator[str]:
        """The pieces of the answer alone, without reasoning and calls."""
        return (event.delta for event in self if event.type == "delta" and event.kind == "text")

    def close(self) -> None:
        """Closes the connection; the service stops writing, and billing."""
        self._events.close()


class AsyncAnswerStream(_Heard, AsyncClosing):
    """`AnswerStream`, awaited."""

    def __init__(self, backend: Backend, question: Question, heard: Callable[[Answer[Any]], Any]) -> None:
        super().__init__(backend, question, heard)
        self._events = self._run()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    async def _run(self) -> AsyncGenerator[Event, None]:
        try:
            meter = self._begin()
            async with self._backend.astream(self._question.request) as self._stream:
                async for event in self._stream:
                    yield event
                    meter.hear(event)
                self._end()
        except OutputError:
            raise
        except MotetError as error:
            raise self._fail(error) from error.__cause__
        finally:
            self._settle()

    @property
    async def text(self) -> AsyncIterator[str]:
        """The pieces of the answer alone, without reasoning and calls."""
        async for event in self:
            if event.type == "delta" and event.kind == "text":
                yield event.delta

    async def aclose(self) -> None:
        """Closes the connection; the service stops writing, and billing."""
        await self._events.aclose()

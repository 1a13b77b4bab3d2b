"""Answers while they arrive: events passed on, counted against the limits, and assembled at the end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from decimal import Decimal
from typing import Any

from motet import _core, trace
from motet._context import AsyncClosing, Closing
from motet._core import Event
from motet.asking.answer import Answer
from motet.asking.request import PreparedRequest
from motet.backend import Backend, Prepared
from motet.errors import ConfigError, LimitError, MaxCostError, MaxTokensError, MotetError, OutputError
from motet.limits import Reservation
from motet.metrics import Price, cost_of

__all__ = ["AnswerStream", "AsyncAnswerStream"]

_NEXT_CHUNK = 16
"""Tokens that a reservation keeps ahead of the answer: services send one or two at a time, and the header of a call is
as long."""


class UsageMeter:
    """Counts an answer while it arrives, and finds the limit that it exceeds."""

    def __init__(self, rendered: Prepared, prepared: PreparedRequest) -> None:
        self._prepared = prepared
        self._counters: dict[int, tuple[str | None, _core.StreamEncoder]] = {}
        self._price = Price()
        self._prompt_tokens = 0
        self._markup_tokens = 0
        self.reservation: Reservation | None = None
        if prepared.max_cost is None and not prepared.budgets:
            return
        self._price, no_price = prepared.price(prepared.request.model)
        self._prompt_tokens = prepared.count(rendered)[0]
        prompt_cost = cost_of(self._price, self._prompt_tokens, 0)
        if prompt_cost is None:
            raise ConfigError(f"the cost of an answer cannot be limited: {no_price}")
        if prepared.max_cost is not None and prompt_cost > prepared.max_cost:
            raise MaxCostError(
                f"the prompt alone costs {prompt_cost} dollars, more than max_cost={prepared.max_cost}; "
                "nothing was sent",
                limit=prepared.max_cost,
                option="max_cost",
                cost=Decimal(0),
            )
        if prepared.budgets:
            max_output = self._max_output()
            most = None if max_output is None else self._cost(max_output)
            least = self._cost(_NEXT_CHUNK)
            if most is not None and prepared.request.max_tokens is not None:
                least = most
            self.reservation = Reservation(prepared.budgets, least=least, most=most)

    def _max_output(self) -> int | None:
        """The most tokens that the answer can have; `None` if neither `max_tokens` nor the context bounds it."""
        context = self._prepared.spec.gain.size.context.tokens
        room = None if context is None else max(context - self._prompt_tokens, _NEXT_CHUNK)
        bounds = [bound for bound in (self._prepared.request.max_tokens, room) if bound is not None]
        return min(bounds, default=None)

    def record(self, event: Event) -> LimitError | None:
        """Counts an event. Returns the error if it exceeds a limit."""
        if not _is_counted(event):
            return None
        if event.index not in self._counters:
            self._markup_tokens += _markup_tokens(event, first=not self._counters)
            self._counters[event.index] = (event.kind, _core.StreamEncoder())
        self._counters[event.index][1].feed(event.delta)
        try:
            self._check()
        except LimitError as error:
            return error
        if self.reservation is None:
            return None
        written = self._written
        return self.reservation.spend(self._cost(written), self._cost(written + _NEXT_CHUNK))

    @property
    def cost(self) -> Decimal:
        """US dollars of the prompt and of what has arrived; 0 if nothing is limited."""
        return self._cost(self._written)

    @property
    def _written(self) -> int:
        return sum(encoder.count for _, encoder in self._counters.values()) + self._markup_tokens

    def _cost(self, output_tokens: int) -> Decimal:
        return cost_of(self._price, self._prompt_tokens, output_tokens) or Decimal(0)

    def settle(self, cost: Decimal | None) -> None:
        """Ends the reservation. `None`: the cost is unknown, and the counted cost is taken."""
        if self.reservation is not None:
            self.reservation.settle(self.cost if cost is None else cost)

    def _check(self) -> None:
        prepared = self._prepared
        reasoning = sum(encoder.count for kind, encoder in self._counters.values() if kind == "reasoning")
        if prepared.max_reasoning_tokens is not None and reasoning > prepared.max_reasoning_tokens:
            raise MaxTokensError(
                f"the reasoning is longer than max_reasoning_tokens={prepared.max_reasoning_tokens}; "
                "the stream was ended, and the received part is in .partial",
                limit=prepared.max_reasoning_tokens,
                option="max_reasoning_tokens",
            )
        max_tokens = prepared.request.max_tokens
        if max_tokens is not None and sum(encoder.count for _, encoder in self._counters.values()) > max_tokens:
            raise MaxTokensError(
                f"the answer is longer than max_tokens={max_tokens}, which the service did not keep; "
                "the stream was ended, and the received part is in .partial",
                limit=max_tokens,
                option="max_tokens",
            )
        if prepared.max_cost is not None and self.cost > prepared.max_cost:
            raise MaxCostError(
                f"the answer costs more than max_cost={prepared.max_cost} dollars; "
                "the stream was ended, and the received part is in .partial",
                limit=prepared.max_cost,
                option="max_cost",
            )


def _is_counted(event: Event) -> bool:
    return event.type in ("start", "delta")


def _markup_tokens(event: Event, *, first: bool) -> int:
    """Tokens of a frame's header and end. The start of the first frame stands in the prompt."""
    recipient = f" to={event.recipient} " if event.recipient else ""
    content_type = event.content_type or (_core.MARKERS["constrain"] + "json" if event.kind == "tool_call" else "")
    header = _core.encode(f"{event.channel or 'commentary'}{recipient}{content_type}", special="token")
    return len(header) + (3 if first else 5)


class StreamState:
    """State shared by the sync and async streams: the answer, its span, its reservation and its errors."""

    def __init__(
        self,
        backend: Backend,
        prepared: PreparedRequest,
        on_answer: Callable[[Answer[Any]], Any],
        *,
        shows_events: bool,
    ) -> None:
        self.backend = backend
        self.prepared = prepared
        self._shows_events = shows_events
        self.has_begun = False
        self.rendered: Any = None
        """The request as the backend sends it, counted by the meter."""
        self._on_answer = on_answer
        self.stream: Any = None
        self._meter: UsageMeter | None = None
        self._answer: Answer[Any] | None = None
        self._span = trace.Span(prepared.request)

    @property
    def answer(self) -> Answer[Any]:
        if self._answer is None and self.stream is None and self.prepared.rejected:
            return self.prepared.last_rejected()
        return self.prepared.complete(self._try)

    @property
    def _try(self) -> Answer[Any]:
        """The answer to the last request, without the rejected ones before it."""
        if self._answer is not None:
            return self._answer
        if self.stream is None:
            raise ValueError("there is no answer yet: iterate over the stream first")
        return self.prepared.answer(self.stream.reply, cut=True)

    def retry(self, error: MotetError) -> bool:
        """Prepares the next try. False if the error is final: events that a caller has read cannot be taken back."""
        retry = self.prepared.retry(error, can_fall_back=not (self._shows_events and self.has_begun))
        if retry is None:
            return False
        self.prepared = retry
        self.backend = retry.backend or self.backend
        self.rendered, self.stream, self._answer = None, None, None
        self._span = trace.Span(retry.request)
        return True

    def begin(self) -> UsageMeter:
        """Reserves budget at send time: an unread stream reserves none."""
        self.rendered = self.backend.prepare(self.prepared.request)
        meter = UsageMeter(self.rendered, self.prepared)
        if meter.reservation is not None:
            meter.reservation.acquire(self.prepared.request.timeout)
        self._meter = meter
        return meter

    async def abegin(self) -> UsageMeter:
        """`begin`, awaited."""
        self.rendered = self.backend.prepare(self.prepared.request)
        meter = UsageMeter(self.rendered, self.prepared)
        if meter.reservation is not None:
            await meter.reservation.aacquire(self.prepared.request.timeout)
        self._meter = meter
        return meter

    def end(self) -> None:
        try:
            self._answer = self.prepared.finish(self.stream.reply)
        except OutputError as error:
            self._answer = error.partial
            self._span.failed(error)
            raise
        self._on_answer(self._span.record(self._answer))

    def fail(self, error: MotetError) -> MotetError:
        if error.partial is None and isinstance(error, LimitError) and self.stream is not None:
            # Errors of the backend carry their own partial reply.
            error.partial = self.stream.reply
        error = self.prepared.enrich_error(error)
        if isinstance(error.partial, Answer):
            self._answer = error.partial
        self.settle(free=_was_refused(error))
        self._span.failed(error)
        return error

    def settle(self, *, free: bool = False) -> None:
        """Ends the reservation with the cost of the answer. `free`: a request without frames cost nothing."""
        if self._meter is None:
            return
        cost = self._answer.metrics.cost.cash.total if self._answer is not None else None
        if cost is None and free and (self._answer is None or not self._answer.completion.frames):
            cost = Decimal(0)
        self._meter.settle(cost)
        self._meter = None

    def leave(self) -> None:
        """The stream has ended or was closed early; what arrived is paid for."""
        if self._meter is not None:
            with contextlib.suppress(ValueError):
                self._answer = self._try
        self.settle()
        self._span.end()


def _was_refused(error: MotetError) -> bool:
    """True if the service did not begin to answer, so that it does not bill."""
    attempts = getattr(error, "attempts", ())
    return bool(attempts) and not any(attempt.may_be_billed or attempt.outcome == "200" for attempt in attempts)


# The generators hold the state and not the stream object: a dropped stream is then part of no reference cycle, and its
# connection closes at once.


def _events(state: StreamState) -> Generator[Event, None, None]:
    while True:
        try:
            yield from _try_events(state)
            return
        except MotetError as error:
            if not state.retry(error):
                raise


async def _aevents(state: StreamState) -> AsyncGenerator[Event, None]:
    while True:
        try:
            async with contextlib.aclosing(_atry_events(state)) as events:
                async for event in events:
                    yield event
            return
        except MotetError as error:
            if not state.retry(error):
                raise


def _try_events(state: StreamState) -> Generator[Event, None, None]:
    """The events of one request."""
    try:
        meter = state.begin()
        state.stream = state.backend.stream(state.rendered)
        exceeded: LimitError | None = None
        for event in state.stream:
            # An answer that is complete when it exceeds a limit is kept: it is paid for.
            if exceeded is not None and _is_counted(event):
                raise exceeded
            exceeded = meter.record(event) or exceeded
            state.has_begun = True
            yield event
        state.end()
    except OutputError:
        raise
    except MotetError as error:
        if state.stream is not None:
            state.stream.close()
        raise state.fail(error) from error.__cause__
    finally:
        # Runs as well when the iterator is left without a `with` block around the stream.
        state.leave()


async def _atry_events(state: StreamState) -> AsyncGenerator[Event, None]:
    """`_try_events`, awaited."""
    try:
        meter = await state.abegin()
        async with state.backend.astream(state.rendered) as state.stream:
            exceeded: LimitError | None = None
            async for event in state.stream:
                # An answer that is complete when it exceeds a limit is kept: it is paid for.
                if exceeded is not None and _is_counted(event):
                    raise exceeded
                exceeded = meter.record(event) or exceeded
                state.has_begun = True
                yield event
            state.end()
    except OutputError:
        raise
    except MotetError as error:
        raise state.fail(error) from error.__cause__
    finally:
        state.leave()


class AnswerStream(Closing):
    """Events while they arrive. Leaving the `with` block, or `close`, closes the connection.

    With `retries`, the events of a further try follow those of the invalid one, with indexes from 0 again; `rejected`
    has the answers that were asked for again.
    """

    def __init__(
        self,
        backend: Backend,
        prepared: PreparedRequest,
        on_answer: Callable[[Answer[Any]], Any],
        *,
        shows_events: bool = True,
    ) -> None:
        self._state = StreamState(backend, prepared, on_answer, shows_events=shows_events)
        self._events = _events(self._state)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    @property
    def text(self) -> Iterator[str]:
        """The chunks of the answer text, without reasoning and calls."""
        return (event.delta for event in self if event.type == "delta" and event.kind == "text")

    @property
    def answer(self) -> Answer[Any]:
        """The answer. Before the end, and after an error, the part that has arrived, with `output` `None`.

        Raises `ValueError` before the request is sent.
        """
        return self._state.answer

    @property
    def rejected(self) -> tuple[Answer[Any], ...]:
        """The answers whose output was invalid and asked for again, so far."""
        return self._state.prepared.rejected

    @property
    def prepared(self) -> Prepared | None:
        """The request as the service receives it. `None`: it was not sent yet."""
        prepared: Prepared | None = self._state.rendered
        return prepared

    def close(self) -> None:
        """Closes the connection; the service then stops generating and billing."""
        if self._state.stream is not None:
            self._state.stream.close()
        self._events.close()


class AsyncAnswerStream(AsyncClosing):
    """`AnswerStream`, awaited."""

    def __init__(
        self,
        backend: Backend,
        prepared: PreparedRequest,
        on_answer: Callable[[Answer[Any]], Any],
        *,
        shows_events: bool = True,
    ) -> None:
        self._state = StreamState(backend, prepared, on_answer, shows_events=shows_events)
        self._events = _aevents(self._state)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    @property
    async def text(self) -> AsyncIterator[str]:
        """The chunks of the answer text, without reasoning and calls."""
        async for event in self:
            if event.type == "delta" and event.kind == "text":
                yield event.delta

    @property
    def answer(self) -> Answer[Any]:
        """The answer. Before the end, and after an error, the part that has arrived, with `output` `None`.

        Raises `ValueError` before the request is sent.
        """
        return self._state.answer

    @property
    def rejected(self) -> tuple[Answer[Any], ...]:
        """The answers whose output was invalid and asked for again, so far."""
        return self._state.prepared.rejected

    @property
    def prepared(self) -> Prepared | None:
        """The request as the service receives it. `None`: it was not sent yet."""
        prepared: Prepared | None = self._state.rendered
        return prepared

    async def aclose(self) -> None:
        """Closes the connection; the service then stops generating and billing."""
        await self._events.aclose()

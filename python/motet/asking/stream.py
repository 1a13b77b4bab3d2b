"""Answers while they arrive: events passed on, counted against the limits, and assembled at the end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from decimal import Decimal
from typing import Any

from motet._context import AsyncClosing, Closing, asingle, single
from motet._core import Event
from motet.asking.answer import Answer
from motet.asking.continuation import continuation
from motet.asking.interruption import in_reasoning
from motet.asking.observation import Observation, was_refused
from motet.asking.request import PreparedRequest
from motet.asking.usage_meter import UsageMeter, is_counted
from motet.backend import Backend, Prepared
from motet.errors import LimitError, MotetError, OutputError

__all__ = ["AnswerStream", "AsyncAnswerStream"]


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
        self.observation: Observation | None = None
        """`None`: no request has begun."""
        self._interrupted = False
        self._last_event: Event | None = None
        self._exceeded: LimitError | None = None
        """The limit that the events so far exceed. It ends the stream if more text follows."""
        self.done = False

    @property
    def answer(self) -> Answer[Any]:
        prepared = self.prepared
        if self._answer is None and self.stream is None and prepared.interruption is None and prepared.rejected:
            return prepared.last_rejected()
        return self.prepared.complete(self._try)

    @property
    def _try(self) -> Answer[Any]:
        """The answer to the last request, without the rejected ones before it."""
        if self._answer is not None:
            return self._answer
        if self.stream is None and self.prepared.interruption is not None:
            return self.prepared.interruption.answer
        if self.stream is None:
            raise ValueError("there is no answer yet: iterate over the stream first")
        return self.prepared.answer(self.stream.reply, cut=True)

    def retry(self, error: MotetError) -> bool:
        """Prepares the next try. False if the error is final: events that a caller has read cannot be taken back."""
        retry = self.prepared.retry(error, can_fall_back=not (self._shows_events and self.has_begun))
        if retry is None:
            return False
        self._next(retry)
        return True

    def _next(self, prepared: PreparedRequest) -> None:
        self.prepared = prepared
        self.backend = prepared.backend or self.backend
        self.rendered, self.stream, self._answer = None, None, None
        self._interrupted = self.done = False
        self._exceeded = None

    def record(self, meter: UsageMeter, events: list[Event]) -> tuple[list[Event], LimitError | None]:
        """Counts events that arrived together. Returns those to deliver, and the error to raise behind them."""
        self.has_begun = True
        if not meter.has_limit:
            self._last_event = events[-1]
            return events, None
        for place, event in enumerate(events):
            # An answer that is complete when it exceeds a limit is kept: it is paid for.
            if self._exceeded is not None and is_counted(event):
                return events[:place], self._exceeded
            self._exceeded = meter.record(event) or self._exceeded
            self._last_event = event
            if meter.interruption_reason is not None:
                self._end_reasoning(event)
        return events, None

    def _end_reasoning(self, event: Event) -> None:
        """Ends the stream if it is still within the reasoning."""
        if self._interrupted or event.kind != "reasoning":
            return
        if self.prepared.only_continues and self.stream.reply.lane == "chat":
            return
        if in_reasoning(self.stream.reply):
            self._interrupted = True
            self.stream.interrupt()

    def end(self, meter: UsageMeter) -> list[Event]:
        """Ends the request, and prepares the next one if this one was ended within the reasoning. Returns the events
        that end the answer."""
        reply = self.stream.reply
        if not self._interrupted or not in_reasoning(reply):
            self._finish()
            return []
        answer = self.prepared.answer(reply, cut=True)
        prepared = continuation(self.prepared, reply, answer, meter.interruption_reason or "")
        assert self.observation is not None
        self._answer = self.observation.record(answer, self._counted)
        self.settle()
        self._next(prepared)
        last = self._last_event
        if reply.lane != "chat" or last is None:
            # The next request's events begin with the end of the reasoning.
            return []
        return [Event("end", "reasoning", last.index, "", "assistant", None, "analysis")]

    def begin(self) -> UsageMeter:
        """Reserves budget at send time: an unread stream reserves none."""
        self.observation = Observation(self.prepared, self.backend)
        self.rendered = self.backend.prepare(self.prepared.request)
        meter = UsageMeter(self.rendered, self.prepared)
        if meter.reservation is not None:
            meter.reservation.acquire(self.prepared.request.timeout)
        self._meter = meter
        return meter

    async def abegin(self) -> UsageMeter:
        """`begin`, awaited."""
        self.observation = Observation(self.prepared, self.backend)
        self.rendered = self.backend.prepare(self.prepared.request)
        meter = UsageMeter(self.rendered, self.prepared)
        if meter.reservation is not None:
            await meter.reservation.aacquire(self.prepared.request.timeout)
        self._meter = meter
        return meter

    def _finish(self) -> None:
        self.done = True
        assert self.observation is not None
        try:
            self._answer = self.prepared.finish(self.stream.reply)
        except OutputError as error:
            self._answer = error.partial
            self.observation.failed(error, self._counted)
            raise
        self._on_answer(self.observation.record(self._answer, self._counted))

    def fail(self, error: MotetError) -> MotetError:
        if error.partial is None and isinstance(error, LimitError) and self.stream is not None:
            # Errors of the backend carry their own partial reply.
            error.partial = self.stream.reply
        error = self.prepared.enrich_error(error)
        if isinstance(error.partial, Answer):
            self._answer = error.partial
        if self.observation is not None:
            self.observation.failed(error, self._counted)
        self.settle(free=was_refused(error))
        return error

    @property
    def _counted(self) -> Decimal | None:
        """US dollars by motet's own count, which budgets take where the service sent no usage."""
        has_budget = self._meter is not None and self._meter.reservation is not None
        return self._meter.cost if has_budget and self._meter is not None else None

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
        counted, arrived = self._counted, None
        if self._meter is not None and self.stream is not None:
            arrived = self._answer = self._try
        if self.observation is not None:
            # The row comes before the end of the reservation: the money is never in neither.
            self.observation.close(arrived, counted)
        self.settle()

    def wait(self) -> None:
        """Waits until the request is in its ledgers."""
        if self.observation is not None:
            self.observation.wait()

    async def await_(self) -> None:
        """`wait`, awaited."""
        if self.observation is not None:
            await self.observation.await_()


# The generators hold the state and not the stream object: a dropped stream is then part of no reference cycle, and its
# connection closes at once.


def _batches(state: StreamState) -> Generator[list[Event], None, None]:
    while not state.done:
        try:
            yield from _try_batches(state)
        except MotetError as error:
            if not state.retry(error):
                raise


async def _abatches(state: StreamState) -> AsyncGenerator[list[Event], None]:
    while not state.done:
        try:
            async with contextlib.aclosing(_atry_batches(state)) as batches:
                async for events in batches:
                    yield events
        except MotetError as error:
            if not state.retry(error):
                raise


def _try_batches(state: StreamState) -> Generator[list[Event], None, None]:
    """The events of one request, those that arrive together in one list."""
    try:
        meter = state.begin()
        state.stream = state.backend.stream(state.rendered)
        for events in _received(state.stream):
            accepted, exceeded = state.record(meter, events)
            if accepted:
                yield accepted
            if exceeded is not None:
                raise exceeded
        if last := state.end(meter):
            yield last
    except OutputError:
        raise
    except MotetError as error:
        if state.stream is not None:
            state.stream.close()
        raise state.fail(error) from error.__cause__
    finally:
        # Runs as well when the iterator is left without a `with` block around the stream.
        state.leave()
        state.wait()


async def _atry_batches(state: StreamState) -> AsyncGenerator[list[Event], None]:
    """`_try_batches`, awaited."""
    try:
        meter = await state.abegin()
        async with state.backend.astream(state.rendered) as state.stream:
            async for events in _areceived(state.stream):
                accepted, exceeded = state.record(meter, events)
                if accepted:
                    yield accepted
                if exceeded is not None:
                    raise exceeded
            if last := state.end(meter):
                yield last
    except OutputError:
        raise
    except MotetError as error:
        raise state.fail(error) from error.__cause__
    finally:
        state.leave()
        await state.await_()


def _received(stream: Any) -> Iterator[list[Event]]:
    """The events of a backend's stream, as many together as it gives."""
    batches: Callable[[], Iterator[list[Event]]] | None = getattr(stream, "batches", None)
    return ([event] for event in stream) if batches is None else batches()


def _areceived(stream: Any) -> AsyncIterator[list[Event]]:
    """`_received`, awaited."""
    batches: Callable[[], AsyncIterator[list[Event]]] | None = getattr(stream, "batches", None)
    return ([event] async for event in stream) if batches is None else batches()


class AnswerStream(Closing):
    """Events while they arrive. Leaving the `with` block, or `close`, closes the connection.

    With `retries`, the events of a further try follow those of the invalid one, with indexes from 0 again; `rejected`
    has the answers that were asked for again. With `on_limit="answer"`, the events of the second request continue those
    of the first; in the chat lane they have indexes from 0 again.
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
        self._batches = _batches(self._state)
        self._events = single(self._batches)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def batches(self) -> Iterator[list[Event]]:
        """The events that arrive together, in lists. In place of the iteration over single events."""
        return self._batches

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
        self._batches.close()


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
        self._batches = _abatches(self._state)
        self._events = asingle(self._batches)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    def batches(self) -> AsyncIterator[list[Event]]:
        """The events that arrive together, in lists. In place of the iteration over single events."""
        return self._batches

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
        await self._batches.aclose()

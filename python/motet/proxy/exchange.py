"""One request of a client: what is sent to the upstream, what the client gets, and what is kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, Protocol

from motet._core import Event
from motet.asking.answer import Answer
from motet.asking.client import ModelClient
from motet.asking.episode import Episode
from motet.asking.request import PreparedRequest
from motet.asking.stream import AsyncAnswerStream
from motet.backend import Prepared, Request
from motet.dialects.api_request import ApiRequest
from motet.dialects.replies import ApiFailure, ReplyEnd, ReplyWriter, Shape, VisibleEvents, message_events
from motet.dialects.responses_tools import with_custom_arguments
from motet.dialects.stop_strings import StopStrings
from motet.errors import MotetError
from motet.ledgers.ledger import active_labels, active_ledgers
from motet.message import Message
from motet.proxy.activity import Activity, RequestRow
from motet.proxy.clients import Client
from motet.proxy.conversations import Conversations
from motet.proxy.failures import failure_of
from motet.proxy.leases import Lease
from motet.proxy.outcome import answer_in, finish_of, repairs_of, seen_message, usage_of
from motet.proxy.settings import ProxySettings
from motet.proxy.state import State, StateError
from motet.proxy.statistics import Statistics
from motet.proxy.upstreams import Target, Upstreams
from motet.schema.output import Output

__all__ = ["Api", "Exchange", "Services"]

log = logging.getLogger("motet.proxy")

MIN_ANSWERED_TOKENS = 64
"""The smallest `max_tokens` at which reasoning is ended for the sake of an answer."""
HUNG_UP = 499
"""The status in log and figures of a request that the client ended, as web servers write it."""
MAX_NAME_SHOWN = 80
"""Characters of a model's name on the page: clients may send any."""
_TEXT: Output[Any] = Output(str, "text", None)


@dataclass(frozen=True, slots=True)
class Services:
    """What all requests of a proxy share."""

    settings: ProxySettings
    upstreams: Upstreams
    state: State
    conversations: Conversations
    statistics: Statistics
    clock: Callable[[], float] = time.time
    activity: Activity | None = None
    """`None`: the proxy has no page."""


class Api(Protocol):
    """An API, as far as an exchange differs by it."""

    name: str
    heartbeat: bytes
    """Bytes of a stream without meaning, sent while the model is silent."""

    def writer(self, exchange: Exchange) -> ReplyWriter:
        """The writer of the exchange's reply. `exchange.prompt_tokens` is known by then."""

    def error(self, failure: ApiFailure, request_id: str) -> Shape:
        """The body of an error."""

    async def keep(self, exchange: Exchange, writer: ReplyWriter, message: Message) -> None:
        """Stores a reply, before the client has its end. `message`: the answer as the client sees it."""


class Exchange:
    """One request and its reply. `whole` or `shapes` is used once."""

    def __init__(self, services: Services, api: Api, request: ApiRequest, client: Client, target: Target) -> None:
        self.services = services
        self.api = api
        self.request = request
        self.client = client
        self.id = uuid.uuid4().hex
        self.created = int(services.clock())
        self.prompt_tokens = 0
        """About the tokens of the prompt, before the upstream has counted them."""
        self.answer: Answer[Any] | None = None
        self.end: ReplyEnd | None = None
        self.writer: ReplyWriter | None = None
        """`None`: nothing has arrived yet."""
        self._target = target
        self._lease = Lease(services.state, client, self.id)
        self._rendered: Prepared | None = None
        self._visible = VisibleEvents(single_call=request.single_call)
        self._stops = StopStrings(request.stops)
        self._seen_kinds: set[str] = set()
        self._last_index = 0
        self._start_time = time.monotonic()
        self._end_time: float | None = None
        self._first_token_time: float | None = None
        self._error: str | None = None
        self._status: int | None = None
        """`None`: not recorded yet."""
        self._stream: AsyncAnswerStream | None = None
        self._failure: MotetError | None = None
        """Why the stream broke off."""

    async def prepare(self) -> PreparedRequest:
        """The request in the upstream's terms, with what the client has dropped from the conversation."""
        request, spec, settings = self.request, self._target.spec, self.services.settings
        messages, sampled = await self.services.conversations.restore(self.client.name, request.messages)
        upstream_request = Request(
            model=spec.model or request.model,
            messages=messages,
            sampled=sampled,
            tools=request.tools,
            # Services refuse a choice where there are no tools.
            tool_choice=request.tool_choice if request.tools else None,
            schema=request.schema,
            schema_name=request.schema_name,
            reasoning_effort=request.reasoning_effort,
            max_tokens=request.max_tokens,
            # Clients that do not know the server ask for as much as other models give.
            lowers_max_tokens=True,
            sampling=request.sampling,
            timeout=settings.timeout,
            first_token_timeout=settings.first_token_timeout if request.stream else None,
            harmony=spec.harmony,
            context=spec.gain.size.context.tokens,
            think_tags=bool(spec.gain.skills.think_tags),
        )
        return PreparedRequest(
            spec=spec,
            request=upstream_request,
            output=self._output(),
            input_messages=request.messages,
            episode=Episode(),
            max_cost=None,
            max_reasoning_tokens=None,
            budgets=(),
            on_limit=self._on_limit(),
            only_continues=True,
            notes=(),
            ledgers=active_ledgers(),
            labels={**active_labels(), "client": self.client.name, "api": self.api.name},
        )

    def _on_limit(self) -> Literal["answer", "raise"]:
        """Whether too long reasoning is ended and answered: not where the client wants a call and no answer, or so few
        tokens that it expects none."""
        request = self.request
        is_forced = bool(request.tools) and request.tool_choice not in (None, "auto", "none")
        is_short = request.max_tokens is not None and request.max_tokens < MIN_ANSWERED_TOKENS
        if is_forced or is_short or not self._target.spec.harmony:
            return "raise"
        return self.services.settings.on_limit

    async def _reserve(self) -> PreparedRequest:
        """The request with the money that the client has for it."""
        prepared = await self.prepare()
        if self.client.limit is None:
            return prepared
        return await self._lease.reserve(prepared, self._render(prepared))

    def _render(self, prepared: PreparedRequest) -> Prepared:
        """The request as the upstream gets it, made once: its budget, its lane and its count need it."""
        if self._rendered is None:
            self._rendered = self._target.backend.prepare(prepared.request)
        return self._rendered

    def _output(self) -> Output[Any]:
        schema = self.request.schema
        return _TEXT if schema is None else Output.of_schema(schema, self.request.schema_name)

    async def count(self) -> int:
        """Tokens of the prompt, without sending it."""
        prepared = await self.prepare()
        return prepared.count(self._render(prepared))[0]

    async def whole(self) -> Shape:
        """The reply as one object. Raises `MotetError`."""
        if self.request.stops:
            return await self._whole_of_stream()
        try:
            return await self._whole()
        finally:
            await asyncio.shield(self._keep(self._lease.settle()))

    async def _whole(self) -> Shape:
        prepared = await self._reserve()
        try:
            if prepared.on_limit == "answer" and self._render(prepared).lane == "chat":
                # Only what is streamed can be ended, and some services send less with a stream.
                prepared = replace(prepared, on_limit="raise")
            self.answer = await ModelClient(self._target.backend, _unchanged).aask(prepared)
        except MotetError as error:
            self.answer = answer_in(error)
            if self.answer is None:
                raise
        except asyncio.CancelledError:
            self.record(HUNG_UP)
            raise
        if self.answer.usage is None or self.answer.usage.input is None:
            self.prompt_tokens = prepared.count(self._render(prepared))[0]
        writer = self.writer = self.api.writer(self)
        writer.start()
        for event in message_events(self.answer.message):
            if self._visible.shows(event):
                writer.feed(event)
        await asyncio.shield(self._finish(self.answer, writer))
        return writer.whole

    async def _whole_of_stream(self) -> Shape:
        """The reply of a stream: what follows a stop string is neither awaited nor paid for."""
        async with contextlib.aclosing(self.shapes()) as events:
            async for _ in events:
                pass
        if self._failure is not None:
            raise self._failure
        return {} if self.writer is None else self.writer.whole

    async def shapes(self) -> AsyncGenerator[list[Shape], None]:
        """The events of the reply's stream, for `writer.encode`. The first come with the upstream's first event: until
        then it raises `MotetError`. Later failures are events."""
        try:
            async with contextlib.aclosing(self._shapes()) as batches:
                async for shapes in batches:
                    yield shapes
        finally:
            await asyncio.shield(self._keep(self._lease.settle()))

    async def _shapes(self) -> AsyncGenerator[list[Shape], None]:
        prepared = await self._reserve()
        stream = self._stream = AsyncAnswerStream(self._target.backend, prepared, _unchanged)
        async with stream:
            try:
                async for events in stream.batches():
                    if shapes := self._feed(events, stream, prepared):
                        yield shapes
                    if self._stops.match is not None:
                        await stream.aclose()
                        break
                self.answer = stream.answer
            except MotetError as error:
                self.answer = answer_in(error)
                if self.answer is None and self.writer is None:
                    raise
                if self.answer is None:
                    yield await asyncio.shield(self._fail(error))
                    return
            except (asyncio.CancelledError, GeneratorExit):
                await self._leave(stream)
                raise
            shapes = [] if self.writer is not None else self._begin(stream, prepared)
            shapes += self._late_shapes(self.answer)
            # What is paid for is recorded although the client leaves meanwhile.
            yield shapes + await asyncio.shield(self._finish(self.answer, self.writer))

    def _feed(self, events: Iterable[Event], stream: AsyncAnswerStream, prepared: PreparedRequest) -> list[Shape]:
        shapes = [] if self.writer is not None else self._begin(stream, prepared)
        for event in events:
            if self._visible.shows(event):
                self._seen_kinds.add(event.kind or "")
                self._last_index = event.index
                shapes += self._written(self._stops.feed(event))
                if self._stops.match is not None:
                    break
        return shapes

    def _written(self, events: Iterable[Event]) -> list[Shape]:
        writer = self.writer
        return [] if writer is None else [shape for event in events for shape in writer.feed(event)]

    def _begin(self, stream: AsyncAnswerStream, prepared: PreparedRequest) -> list[Shape]:
        self._first_token_time = time.monotonic() - self._start_time
        if stream.prepared is not None:
            self.prompt_tokens = prepared.count(stream.prepared)[0]
        self.writer = self.api.writer(self)
        return self.writer.start()

    def _late_shapes(self, answer: Answer[Any]) -> list[Shape]:
        """The events of calls, or of an answer, that were found in other parts of the completion at its end."""
        if self._stops.match is not None:
            return []
        events = message_events(answer.message, first_index=self._last_index + 1)
        late = [event for event in events if event.kind in ("text", "tool_call") and event.kind not in self._seen_kinds]
        return self._written([event for event in late if self._visible.shows(event)])

    async def _fail(self, error: MotetError) -> list[Shape]:
        """The events of a stream that broke off. What has arrived is paid for."""
        self._failure = error
        failure = failure_of(error)
        if isinstance(error.partial, Answer):
            self.answer = error.partial
        self.record(failure.status, error)
        return [] if self.writer is None else self.writer.fail(failure)

    async def _leave(self, stream: AsyncAnswerStream) -> None:
        """Ends the request of a client that hung up. What has arrived is paid for."""
        await stream.aclose()
        with contextlib.suppress(ValueError):
            self.answer = stream.answer
        self.record(HUNG_UP)

    async def _finish(self, answer: Answer[Any], writer: ReplyWriter | None) -> list[Shape]:
        """Keeps and records a reply that has ended, and gives its last events."""
        stop, hidden_calls = self._stops.match, self._visible.hidden_calls
        self.end = ReplyEnd(finish_of(answer, stop), usage_of(answer, self.prompt_tokens), stop)
        await self._keep(self._lease.settle())
        message = seen_message(answer.message, self.request.stops, single_call=self.request.single_call)
        message = with_custom_arguments(message, self.request.custom_tools)
        # Not `answer.sampled`: a call that was found elsewhere has no sampled ids.
        sampled = None if hidden_calls else answer.episode.exchanges[-1].sampled
        conversations, client = self.services.conversations, self.client.name
        await self._keep(conversations.keep(client, self.request.messages, message, sampled))
        shapes = [] if writer is None else writer.end(self.end)
        if writer is not None:
            await self._keep(self.api.keep(self, writer, message))
        self.record(200)
        return shapes

    async def _keep(self, work: Awaitable[None]) -> None:
        """Writes to the state. An answer that is paid for reaches the client although the state does not take it."""
        try:
            await work
        except StateError as error:
            log.error("%s id=%s is answered and not kept: %s", self.api.name, self.id, error)

    @property
    def cost(self) -> Decimal | None:
        """US dollars of the request. `None`: unknown."""
        return None if self.answer is None else self.answer.cost

    @property
    def repairs(self) -> dict[str, int]:
        """How often each deviation from the format was corrected, by its code."""
        return repairs_of(self.answer, self._visible.hidden_calls)

    def row(self) -> RequestRow:
        """The request as the proxy's page shows it."""
        answer, usage = self.answer, None if self.end is None else self.end.usage
        if answer is None and self._stream is not None:
            # Before the upstream is asked there is no answer.
            with contextlib.suppress(ValueError, MotetError):
                answer = self._stream.answer
        return RequestRow(
            id=self.id,
            started=self.created,
            api=self.api.name,
            model=self.request.model[:MAX_NAME_SHOWN],
            client=self.client.name,
            is_streamed=self.request.stream,
            status=self._status,
            seconds=(self._end_time or time.monotonic()) - self._start_time,
            first_token_seconds=self._first_token_time,
            input=usage.input if usage is not None else self.prompt_tokens or None,
            cached=None if usage is None else usage.cached,
            tokens={} if answer is None else answer.completion.tokens,
            repairs=repairs_of(answer, self._visible.hidden_calls),
            cost=None if self.cost is None else f"{self.cost:f}",
            error=self._error,
        )

    def record(self, status: int, error: Exception | None = None) -> None:
        """Writes the request into the figures and the log, once."""
        if self._status is not None:
            return
        self._status = status
        self._end_time = time.monotonic()
        self._error = None if error is None else type(error).__name__
        seconds, usage = self._end_time - self._start_time, None if self.end is None else self.end.usage
        self.services.statistics.record(
            api=self.api.name,
            model=self.request.model if error is None else "",
            client=self.client.name,
            status=status,
            seconds=seconds,
            first_token_seconds=self._first_token_time,
            usage=usage,
            cost=self.cost,
            repairs=self.repairs.items(),
        )
        words = [f"{self.api.name} {status} id={self.id} client={self.client.name} model={self.request.model!r:.80}"]
        if self.answer is not None:
            words.append(f"lane={self.answer.lane} repairs={','.join(self.repairs) or '-'}")
        if usage is not None:
            words.append(f"input={usage.input} cached={usage.cached} output={usage.output} cost={self.cost}")
        if error is not None:
            words.append(f"{type(error).__name__}: {error}")
        log.log(logging.INFO if error is None else logging.WARNING, "%s seconds=%.3f", " ".join(words), seconds)


def _unchanged(answer: Answer[Any]) -> Answer[Any]:
    return answer

"""One request of a client: what is sent to the upstream, what the client gets, and what is kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from motet._core import Event
from motet.asking.answer import Answer
from motet.asking.client import ModelClient
from motet.asking.episode import Episode
from motet.asking.request import PreparedRequest
from motet.asking.stream import AsyncAnswerStream
from motet.backend import Request
from motet.dialects.api_request import ApiRequest
from motet.dialects.replies import (
    ApiFailure,
    Finish,
    ReplyEnd,
    ReplyUsage,
    ReplyWriter,
    Shape,
    VisibleEvents,
    message_events,
)
from motet.dialects.stop_strings import StopStrings, cut_message
from motet.errors import MotetError, OutputError, StreamTruncatedError
from motet.message import Message
from motet.proxy.clients import Client
from motet.proxy.conversations import Conversations
from motet.proxy.failures import failure_of
from motet.proxy.settings import ProxySettings
from motet.proxy.state import State
from motet.proxy.statistics import Statistics
from motet.proxy.upstreams import Target, Upstreams
from motet.schema.output import Output

__all__ = ["Api", "Exchange", "Services"]

log = logging.getLogger("motet.proxy")

HUNG_UP = 499
"""The status in log and figures of a request that the client ended, as web servers write it."""
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
        self._target = target
        self._prepared: PreparedRequest | None = None
        self._visible = VisibleEvents(single_call=request.single_call)
        self._stops = StopStrings(request.stops)
        self._seen_kinds: set[str] = set()
        self._last_index = 0
        self._start_time = time.monotonic()
        self._first_token_time: float | None = None
        self._recorded = False
        self._failure: MotetError | None = None
        """Why the stream broke off."""

    async def prepare(self) -> PreparedRequest:
        """The request in the upstream's terms, with what the client has dropped from the conversation."""
        request, spec, settings = self.request, self._target.spec, self.services.settings
        messages, sampled = await self.services.conversations.restore(self.client.name, request.messages)
        budgets = await self.client.budgets(self.services.state)
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
            spec, upstream_request, self._output(), request.messages, Episode(), None, None, budgets, notes=()
        )

    def _output(self) -> Output[Any]:
        schema = self.request.schema
        return _TEXT if schema is None else Output.of_schema(schema, self.request.schema_name)

    async def count(self) -> int:
        """Tokens of the prompt, without sending it."""
        prepared = await self.prepare()
        return prepared.count(self._target.backend.prepare(prepared.request))[0]

    async def whole(self) -> Shape:
        """The reply as one object. Raises `MotetError`."""
        if self.request.stops:
            return await self._whole_of_stream()
        prepared = self._prepared = await self.prepare()
        client = ModelClient(self._target.backend, _unchanged)
        try:
            self.answer = await client.aask(prepared)
        except MotetError as error:
            self.answer = _answer_in(error)
        except asyncio.CancelledError:
            self.record(HUNG_UP)
            raise
        answer = self.answer
        if answer.usage is None or answer.usage.input is None:
            self.prompt_tokens = prepared.count(self._target.backend.prepare(prepared.request))[0]
        writer = self.api.writer(self)
        writer.start()
        for event in message_events(answer.message):
            if self._visible.shows(event):
                writer.feed(event)
        writer.end(await self._finish(answer))
        await self._keep(answer, writer)
        return writer.whole

    async def _whole_of_stream(self) -> Shape:
        """The reply of a stream: what follows a stop string is neither awaited nor paid for."""
        writer: ReplyWriter | None = None
        async with contextlib.aclosing(self.shapes()) as events:
            async for last_writer, _ in events:
                writer = last_writer
        if self._failure is not None:
            raise self._failure
        return {} if writer is None else writer.whole

    async def shapes(self) -> AsyncGenerator[tuple[ReplyWriter, list[Shape]], None]:
        """The events of the reply's stream. The first come with the upstream's first event: until then it raises
        `MotetError`. Later failures are events."""
        prepared = self._prepared = await self.prepare()
        stream = AsyncAnswerStream(self._target.backend, prepared, _unchanged)
        async with stream:
            writer: ReplyWriter | None = None
            try:
                async for event in stream:
                    if writer is None:
                        writer = self._begin(stream, prepared)
                        yield writer, writer.start()
                    if not self._visible.shows(event):
                        continue
                    self._seen_kinds.add(event.kind or "")
                    self._last_index = event.index
                    if shapes := [shape for part in self._stops.feed(event) for shape in writer.feed(part)]:
                        yield writer, shapes
                    if self._stops.match is not None:
                        await stream.aclose()
                        break
            except MotetError as error:
                self.answer = _answer_or_none(error)
                if self.answer is None:
                    if writer is None:
                        raise
                    yield writer, await self._fail(writer, error)
                    return
            except (asyncio.CancelledError, GeneratorExit):
                await self._leave(stream)
                raise
            else:
                self.answer = stream.answer
            if writer is None:
                writer = self._begin(stream, prepared)
                yield writer, writer.start()
            late = [shape for event in self._late_events(self.answer) for shape in writer.feed(event)]
            last = late + writer.end(await self._finish(self.answer))
            await self._keep(self.answer, writer)
            yield writer, last

    def _begin(self, stream: AsyncAnswerStream, prepared: PreparedRequest) -> ReplyWriter:
        self._first_token_time = time.monotonic() - self._start_time
        if stream.prepared is not None:
            self.prompt_tokens = prepared.count(stream.prepared)[0]
        return self.api.writer(self)

    def _late_events(self, answer: Answer[Any]) -> Iterator[Event]:
        """The events of calls, or of an answer, that were found in other parts of the completion at its end."""
        if self._stops.match is not None:
            return
        for event in message_events(answer.message, first_index=self._last_index + 1):
            is_new = event.kind in ("text", "tool_call") and event.kind not in self._seen_kinds
            if is_new and self._visible.shows(event):
                yield event

    async def _fail(self, writer: ReplyWriter, error: MotetError) -> list[Shape]:
        """The events of a stream that broke off. What has arrived is paid for."""
        self._failure = error
        failure = failure_of(error) or ApiFailure(500, "the proxy failed")
        if isinstance(error.partial, Answer):
            self.answer = error.partial
            await self.client.record(self.services.state, self.cost)
        self.record(failure.status, error)
        return writer.fail(failure)

    async def _leave(self, stream: AsyncAnswerStream) -> None:
        """Ends the request of a client that hung up. What has arrived is paid for."""
        await stream.aclose()
        with contextlib.suppress(ValueError):
            self.answer = stream.answer
            await self.client.record(self.services.state, self.cost)
        self.record(HUNG_UP)

    async def _finish(self, answer: Answer[Any]) -> ReplyEnd:
        self.end = ReplyEnd(self._finish_reason(answer), self._usage(answer), self._stops.match)
        await self.client.record(self.services.state, self.cost)
        sampled = None if self._visible.hidden_calls else answer.sampled
        conversations = self.services.conversations
        await conversations.keep(self.client.name, self.request.messages, self._seen(answer.message), sampled)
        return self.end

    async def _keep(self, answer: Answer[Any], writer: ReplyWriter) -> None:
        await self.api.keep(self, writer, self._seen(answer.message))
        self.record(200)

    def _seen(self, message: Message) -> Message:
        """The answer as the client sees it: up to a stop string, and with `single_call` without further calls."""
        if self._stops.match is not None:
            return cut_message(message, self.request.stops)
        if not self._visible.hidden_calls:
            return message
        first = message.tool_calls[0]
        content = [part for part in message.content if part.type != "tool_call" or part is first]
        return replace(message, content=tuple(content))

    def _finish_reason(self, answer: Answer[Any]) -> Finish:
        if answer.finish == "length" or answer.finish == "content_filter":
            return answer.finish  # type: ignore[return-value]
        return "tool_calls" if answer.calls and self._stops.match is None else "stop"

    def _usage(self, answer: Answer[Any]) -> ReplyUsage:
        """The upstream's counts, and motet's own where it sent none."""
        usage, tokens = answer.usage, answer.completion.tokens
        prompt = self.prompt_tokens if usage is None or usage.input is None else usage.input
        output = sum(tokens.values()) if usage is None or usage.output is None else usage.output
        reasoning = tokens["analysis"] if usage is None or usage.reasoning is None else usage.reasoning
        cached = 0 if usage is None or usage.cached is None else usage.cached
        return ReplyUsage(prompt, output, min(cached, prompt), min(reasoning, output))

    @property
    def cost(self) -> Decimal | None:
        """US dollars of the request. `None`: unknown."""
        return None if self.answer is None else self.answer.cost

    @property
    def repairs(self) -> dict[str, int]:
        """How often each deviation from the format was corrected, by its code."""
        counts: Counter[str] = Counter()
        if self.answer is not None:
            for repair in self.answer.completion.repairs:
                counts[repair.code] += repair.count
        if self._visible.hidden_calls:
            counts["parallel_call_left_out"] += self._visible.hidden_calls
        return dict(counts)

    def record(self, status: int, error: Exception | None = None) -> None:
        """Writes the request into the figures and the log, once."""
        if self._recorded:
            return
        self._recorded = True
        seconds, answer, usage = (
            time.monotonic() - self._start_time,
            self.answer,
            None if self.end is None else self.end.usage,
        )
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
        if answer is not None:
            words.append(f"lane={answer.lane} repairs={','.join(self.repairs) or '-'}")
        if usage is not None:
            words.append(f"input={usage.input} cached={usage.cached} output={usage.output} cost={self.cost}")
        if error is not None:
            words.append(f"{type(error).__name__}: {error}")
        log.log(logging.INFO if error is None else logging.WARNING, "%s seconds=%.3f", " ".join(words), seconds)


def _unchanged(answer: Answer[Any]) -> Answer[Any]:
    return answer


def _answer_in(error: MotetError) -> Answer[Any]:
    """The answer of an error that only says that it is cut, empty or withheld. Raises other errors."""
    answer = _answer_or_none(error)
    if answer is None:
        raise error
    return answer


def _answer_or_none(error: MotetError) -> Answer[Any] | None:
    is_withheld = isinstance(error, StreamTruncatedError) and error.reason == "content_filter"
    if not isinstance(error.partial, Answer) or not (isinstance(error, OutputError) or is_withheld):
        return None
    return error.partial

"""Faults for the matrix, in memory and on sockets, and what has to hold of every error."""

from __future__ import annotations

import asyncio
import collections
import json
import logging
import pickle
import re
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import together

import motet
from motet.testing import Turn
from motet.testing.server import wire_shapes as shapes
from motet.testing.server.faces import FACES, Face
from motet.together.lanes.chat_reader import ChatLane
from motet.together.lanes.raw import RawLane
from motet.together.transport.request_machine import (
    DeadlinePassed,
    Open,
    Opened,
    Read,
    RequestMachine,
    SdkCall,
    Sleep,
)
from tests.support.fake_clock import FakeClock
from tests.support.server_scripts import KEY, SLUG

SHORT = Turn(
    "<|channel|>analysis<|message|>Sky: blue.<|end|><|start|>assistant<|channel|>final<|message|>青 é.<|return|>"
)
"""Nine events on the chat lane, [DONE] included, one a token on the raw ones."""
LANES = ("chat", "ids", "text")
MODES = ("sync", "async")
HOWS = ("ask", "aask", "stream", "astream")
SSE = {"content-type": "text/event-stream; charset=utf-8"}
DONE = b"data: [DONE]\n\n"


def sse(shape: Any) -> bytes:
    return b"data: " + json.dumps(shape, ensure_ascii=False).encode() + b"\n\n"


RAW_LIMIT = {"max_tokens": 1000}
"""Without it vLLM's face cuts raw completions after 16 tokens."""


def body_of(lane: str) -> dict[str, Any]:
    """The fields of a request that its answer depends on."""
    body: dict[str, Any] = {"model": "openai/gpt-oss-120b", "stream_options": {"include_usage": True}}
    if lane == "chat":
        return {**body, "messages": [{"role": "user", "content": "Hi"}]}
    return {**body, "prompt": "Hi", "skip_special_tokens": False, "return_token_ids": lane == "ids"}


def chunks_of(lane: str, turn: Turn = SHORT, **asked: Any) -> list[dict[str, Any]]:
    if lane == "chat":
        return list(shapes.chat_chunks(turn, {**body_of(lane), **asked}, 1))
    return list(shapes.completion_chunks(turn, {**RAW_LIMIT, **body_of(lane), **asked}, 1, FACES["vllm"]))


def whole_of(lane: str, turn: Turn = SHORT, face: Face = FACES["together"], **asked: Any) -> bytes:
    if lane == "chat":
        shape = shapes.chat_whole(turn, {**body_of(lane), **asked}, 1, face)
    else:
        shape = shapes.completion_whole(turn, {**RAW_LIMIT, **body_of(lane), **asked}, 1, FACES["vllm"])
    return json.dumps(shape, ensure_ascii=False).encode()


def text_in(lane: str, chunks: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The reasoning and the text of chunks, read without the tested code."""
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    if lane == "chat":
        deltas = [choice["delta"] for choice in choices]
        return "".join([d.get("reasoning") or "" for d in deltas]), "".join([d.get("content") or "" for d in deltas])
    ids = [token for choice in choices for token in choice.get("token_ids", ())]
    read = motet.parse(ids if lane == "ids" else "".join([choice["text"] for choice in choices]))
    return read.reasoning, read.text


def finished(chunks: Sequence[Mapping[str, Any]]) -> bool:
    return any(choice["finish_reason"] for chunk in chunks for choice in chunk["choices"])


# A service in memory.


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Chunks of a body, and its end: `None` or an exception."""

    def __init__(self, pieces: Iterable[bytes], end: BaseException | None = None) -> None:
        self.pieces, self.end, self.closed = pieces, end, False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.end is not None:
            raise self.end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class InMemoryService:
    """Answers every request from a list, without a socket."""

    answer: httpx.Response | Exception = field(default_factory=lambda: httpx.Response(500))
    requests: list[httpx.Request] = field(default_factory=list)
    script: list[httpx.Response | Exception] = field(default_factory=list)
    """Answers before `answer`, one by one."""
    models: list[httpx.Response | Exception] = field(default_factory=list)
    """Answers to requests for the list of models, before vLLM's list."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            response = httpx.Response(200, json=shapes.models("vllm", ["openai/gpt-oss-120b"]))
            result = self.models.pop(0) if self.models else response
        else:
            self.requests.append(request)
            result = self.script.pop(0) if self.script else self.answer
        if isinstance(result, Exception):
            raise result
        return result

    def tell(
        self,
        *pieces: bytes,
        end: BaseException | None = None,
        status: int = 200,
        headers: Mapping[str, str | bytes] = SSE,
    ) -> Body:
        """Answers with these chunks from then on."""
        body = Body(pieces, end)
        self.requests.clear()
        self.answer = httpx.Response(status, headers=dict(headers), stream=body)
        return body

    def atom(self, lane: str = "chat", **settings: Any) -> motet.Atom:
        transport = httpx.MockTransport(self)
        settings = {"base_url": "http://service.test", "lane": lane, **settings}
        return motet.atom(SLUG, api_key=KEY, transport=transport, async_transport=transport, **settings)


# A service on sockets: the prompt says which case it is.


class Cases:
    """The turns of a scripted server by prompt; the last turn of a case repeats."""

    def __init__(self) -> None:
        self._turns: dict[str, list[Any]] = {}
        self._lock = threading.Lock()
        self.requests: collections.Counter[str] = collections.Counter()

    def add(self, *turns: Any) -> str:
        """The prompt for a new case."""
        with self._lock:
            prompt = f"case-{len(self._turns)}"
            self._turns[prompt] = list(turns)
        return prompt

    def __call__(self, body: Mapping[str, Any]) -> Any:
        prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        result = re.search(r"case-\d+", prompt if isinstance(prompt, str) else motet.decode(prompt))
        assert result is not None
        with self._lock:
            self.requests[result[0]] += 1
            turns = self._turns[result[0]]
            return turns.pop(0) if len(turns) > 1 else turns[0]


# Asking.


@dataclass
class Outcome:
    """The outcome of a request."""

    events: list[motet.Event] = field(default_factory=list)
    error: BaseException | None = None
    answer: motet.Answer[Any] | None = None
    left: motet.Answer[Any] | None = None
    """The stream's `answer` afterwards. `None`: unavailable, or not a stream."""

    @property
    def received(self) -> tuple[str, str]:
        """The reasoning and the text of the events."""
        deltas = [event for event in self.events if event.type == "delta"]
        return (
            "".join([event.delta for event in deltas if event.kind == "reasoning"]),
            "".join([event.delta for event in deltas if event.kind == "text"]),
        )


async def aoutcome(
    atom: motet.Atom, how: str, prompt: str = "Hi", result: Outcome | None = None, **options: Any
) -> Outcome:
    """Sends the request by one of `HOWS`. Fills `result` meanwhile, if it is given."""
    result = Outcome() if result is None else result
    stream: Any = None
    try:
        if how == "aask":
            result.answer = await atom.aask(prompt, **options)
        elif how == "ask":
            result.answer = atom.ask(prompt, **options)
        elif how == "stream":
            with atom.stream(prompt, **options) as stream:
                for event in stream:
                    result.events.append(event)
                result.answer = stream.answer
        else:
            async with atom.astream(prompt, **options) as stream:
                async for event in stream:
                    result.events.append(event)
                result.answer = stream.answer
    except BaseException as error:
        result.error = error
    if stream is not None:
        result.left = stream.answer
    return result


def outcome(
    atom: motet.Atom, how: str, prompt: str = "Hi", runner: asyncio.Runner | None = None, **options: Any
) -> Outcome:
    coroutine = aoutcome(atom, how, prompt, **options)
    if runner is not None:
        return runner.run(coroutine)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError(f"{how} needs an event loop")


# What has to hold.


def check_error(error: BaseException | None, kind: type[BaseException], **known: Any) -> Any:
    """Asserts an error's type and attributes, that it pickles, and that it does not contain the key."""
    assert type(error) is kind, f"{kind.__name__} expected, not {error!r}"
    assert isinstance(error, motet.MotetError)
    shown = [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)]
    pickled = pickle.dumps(error)
    assert KEY not in "".join(shown)
    assert KEY.encode() not in pickled
    again = pickle.loads(pickled)
    assert (type(again), str(again), repr(vars(again))) == (type(error), str(error), repr(vars(error)))
    for name, value in known.items():
        assert getattr(error, name) == value, name
    return error


def check_partial(result: Outcome, received: tuple[str, str]) -> None:
    """Asserts that the received part was delivered before the error and is in it, at a positive or unknown cost."""
    error: Any = result.error
    partial = error.partial
    assert ((partial.reasoning, partial.text) if partial else ("", "")) == received
    assert result.received == received
    assert result.left is not None
    assert (result.left.reasoning, result.left.text, result.left.output) == (*received, None)
    for cost in (error.cost, result.left.metrics.cost.cash.total):
        assert cost is None or cost > 0, "unknown is not zero"
    assert (error.cost is None) == (partial is None)
    if partial is not None:
        assert partial == result.left
        assert partial.attempts == error.attempts


@contextmanager
def no_key_in_logs() -> Iterator[None]:
    """Fails if a log record contains the key, down to DEBUG."""
    lines: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = self.format(record)
            if KEY in line:
                lines.append(line)

    root, ear = logging.getLogger(), Ear()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(ear)
        root.setLevel(level)
    assert lines == []


# An exchange without anything that does it.


def exchange(
    lane: str = "chat", *, clock: FakeClock | None = None, stream: bool = True, **settings: Any
) -> RequestMachine:
    reader = ChatLane() if lane == "chat" else RawLane(lane, None)  # type: ignore[arg-type]
    endpoint: Any = "chat" if lane == "chat" else "completions"
    settings = {"retries": 2, "timeout": None, "first_token_timeout": None, "prompt_tokens": 70, **settings}
    call = SdkCall(endpoint=endpoint, arguments={}, stream=stream, reader=reader, key=KEY, lane_reason="", **settings)
    return RequestMachine(call, clock=clock or FakeClock())


def drive(
    results: RequestMachine,
    reads: Iterable[Any],
    *,
    opens: Iterable[Any] = (),
    headers: Mapping[str, str] = SSE,
    waits: list[float] | None = None,
) -> tuple[list[motet.Event], motet.MotetError | None]:
    """Runs the commands of a request machine. A read is bytes, an exception, or a number: seconds of silence."""
    clock: FakeClock = results._clock  # type: ignore[assignment]
    steps, reads, opens = results.steps(), iter(reads), iter(opens)
    events: list[motet.Event] = []
    answer: Any = None
    try:
        while True:
            step = steps.send(answer)
            answer = None
            match step:
                case Open():
                    answer = next(opens, None) or Opened(200, headers)
                case Sleep(seconds):
                    clock.time += seconds
                    if waits is not None:
                        waits.append(seconds)
                case Read():
                    answer = next(reads, b"")
                    while isinstance(answer, int | float):
                        if results.deadline is not None and clock.time + answer >= results.deadline:
                            clock.time, answer = results.deadline, DeadlinePassed()
                        else:
                            clock.time, answer = clock.time + answer, next(reads, b"")
                case received:
                    events += received
    except StopIteration:
        return events, None
    except motet.MotetError as error:
        return events, error


WHOLE = ("Sky: blue.", "青 é.")


CUTS: dict[str, tuple[Exception | None, str]] = {
    "the end": (None, "end"),
    "half an event": (None, "half_event"),
    "a reset": (httpx.ReadError("reset by peer"), "reset"),
    "a hang-up": (httpx.RemoteProtocolError("incomplete chunked read"), "reset"),
    "silence": (httpx.ReadTimeout("timed out"), "silence"),
}


def cells(lane: str) -> Iterator[tuple[list[dict[str, Any]], list[bytes], bytes]]:
    """For each position of a stream: the chunks before it, their bytes, and the next event."""
    chunks = chunks_of(lane)
    events = [*map(sse, chunks), DONE]
    for place, event in enumerate(events):
        yield chunks[:place], events[:place], event


def stream_in_memory(lane: str, mode: str, runner: asyncio.Runner) -> Callable[..., tuple[Outcome, InMemoryService]]:
    service = InMemoryService()
    atom = service.atom(lane)

    def ask(*pieces: bytes, end: BaseException | None = None) -> tuple[Outcome, InMemoryService]:
        body = service.tell(*pieces, end=end)
        result = outcome(atom, "stream" if mode == "sync" else "astream", runner=runner)
        assert body.closed
        assert len(service.requests) == 1, "there are no retries once an answer has begun"
        return result, service

    return ask


def check_complete(result: Outcome, usage_came: bool) -> None:
    assert result.error is None
    assert result.answer is not None
    assert result.received == (result.answer.reasoning, result.answer.text) == WHOLE
    assert result.answer.finish == "stop"
    assert (result.answer.usage is None) == (result.answer.metrics.cost.cash.total is None) == (not usage_came)
    assert any("no usage" in note for note in result.answer.notes) == (not usage_came)


FINISH = sse({"choices": [{"delta": {}, "finish_reason": "stop"}]})


def sse_ascii(shape: Any) -> bytes:
    return b"data: " + json.dumps(shape).encode() + b"\n\n"


TOKEN = sse({"choices": [{"delta": {"content": "word "}}]})


ROLE = sse({"choices": [{"delta": {"role": "assistant", "content": ""}}]})


PING = b": still there\n\n"


REQUEST = httpx.Request("POST", "http://service.test")


def refusal(status: int, **headers: str) -> Exception:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.Response(status, headers=named, request=REQUEST)
    return together.APIStatusError(f"{KEY} is refused", response=response, body={"error": KEY})


STATUSES: list[tuple[int, Any, type[motet.ApiError], int]] = [
    (301, "", motet.ApiError, 1),
    (307, "", motet.ApiError, 1),
    (400, {"error": {"message": f"no {KEY}"}}, motet.InvalidRequestError, 1),
    (401, {"error": {"message": f"Invalid API key provided: {KEY}"}}, motet.AuthenticationError, 1),
    (402, {"error": {"message": "spending limit"}}, motet.QuotaError, 1),
    (403, {"error": {"message": "not yours"}}, motet.AccessDeniedError, 1),
    (404, {"error": {"message": "no such model"}}, motet.NotFoundError, 1),
    (408, {}, motet.RequestTimeoutError, 3),
    (409, {"detail": "busy"}, motet.ApiError, 3),
    (413, f"<html>{KEY}</html>", motet.InvalidRequestError, 1),
    (418, "", motet.ApiError, 1),
    (422, {"detail": [{"loc": ["body", KEY], "msg": "field required"}]}, motet.InvalidRequestError, 1),
    (429, {"error": {"message": "slow down"}}, motet.RateLimitError, 3),
    (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, motet.QuotaError, 1),
    (500, f"upstream {KEY}", motet.ServerError, 3),
    (502, "<html>Bad Gateway</html>", motet.ServerError, 3),
    (503, {"error": f"overloaded {KEY}"}, motet.OverloadedError, 3),
    (504, b"", motet.ServerError, 3),
    (524, b"\xff\xfe\x00", motet.ServerError, 3),
    (529, None, motet.OverloadedError, 3),
    (599, "x" * 100_000, motet.ServerError, 3),
]

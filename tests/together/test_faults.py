"""The matrix of faults: what breaks, where in an exchange, and how it is asked. Every cell has to say the right error,
keep what came, cost an unknown sum rather than none, close its connection, and tell the key nobody.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import gzip
import itertools
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
import together

import motet
from motet.asking.options import PreparedOptions
from motet.asking.request import prepare
from motet.backend import Attempt
from motet.testing import Turn
from motet.together.errors import from_exception
from motet.together.transport import sse as sse_room
from tests.support.fake_clock import FakeClock
from tests.support.fault_cases import (
    DONE,
    HOWS,
    LANES,
    MODES,
    SHORT,
    SSE,
    Body,
    InMemoryService,
    Outcome,
    check_error,
    check_partial,
    chunks_of,
    drive,
    exchange,
    finished,
    no_key_in_logs,
    outcome,
    said_in,
    sse,
    whole_of,
)
from tests.support.server_scripts import CALL, KEY, SLUG

WHOLE = ("Sky: blue.", "青 é.")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.together.transport.request_machine.FIRST_WAIT", 0.001)
    monkeypatch.setattr("motet.together.transport.request_machine.LAST_WAIT", 0.001)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with no_key_in_logs():
        yield


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


# In memory: every fault at every place of a stream.

CUTS: dict[str, tuple[Exception | None, str]] = {
    "the end": (None, "end"),
    "half an event": (None, "half_event"),
    "a reset": (httpx.ReadError("reset by peer"), "reset"),
    "a hang-up": (httpx.RemoteProtocolError("incomplete chunked read"), "reset"),
    "silence": (httpx.ReadTimeout("timed out"), "silence"),
}
INSERTS: dict[str, tuple[bytes, type[motet.MotetError]]] = {
    "no JSON": (b'data: {"choices": [{"delta": "%s\n\n' % KEY.encode(), motet.BadPayloadError),
    "no UTF-8": (b'data: {"id": "%s\xff\xfe"}\n\n' % KEY.encode(), motet.BadPayloadError),
    "HTML": (b"data: <html>%s</html>\n\n" % KEY.encode(), motet.BadPayloadError),
    "a list": (sse([KEY]), motet.BadPayloadError),
    "null": (sse(None), motet.BadPayloadError),
    "nested without end": (b"data: " + b"[" * 50_000 + b"\n\n", motet.BadPayloadError),
    "choices that are none": (sse({"choices": {"0": KEY}}), motet.BadPayloadError),
    "a choice that is none": (sse({"choices": [KEY]}), motet.BadPayloadError),
    "a text that is none": (
        sse({"choices": [{"delta": {"content": 7}, "text": 7, "token_ids": 7}]}),
        motet.BadPayloadError,
    ),
    "an endless event": (b"data: " + b"x" * 70_000, motet.BadPayloadError),
    "an error": (sse({"error": {"message": f"no {KEY}", "type": "server_error"}}), motet.ServerError),
    "an error with a status": (sse({"error": {"message": f"no {KEY}", "code": 429}}), motet.RateLimitError),
    "an error in a word": (sse({"error": f"no {KEY}"}), motet.ApiError),
    "an error by name": (b'event: error\ndata: {"type": "overloaded_error"}\n\n', motet.OverloadedError),
    "an error by name, as text": (b"event: error\ndata: Internal Server Error\n\n", motet.ServerError),
}


def cells(lane: str) -> Iterator[tuple[list[dict[str, Any]], list[bytes], bytes]]:
    """For each place of a stream: the chunks before it, the same as bytes, and the event that is next."""
    chunks = chunks_of(lane)
    events = [*map(sse, chunks), DONE]
    for place, event in enumerate(events):
        yield chunks[:place], events[:place], event


def stream_in_memory(lane: str, mode: str, runner: asyncio.Runner) -> Callable[..., tuple[Outcome, InMemoryService]]:
    service = InMemoryService()
    brain = service.atom(lane)

    def ask(*pieces: bytes, end: BaseException | None = None) -> tuple[Outcome, InMemoryService]:
        body = service.tell(*pieces, end=end)
        found = outcome(brain, "stream" if mode == "sync" else "astream", runner=runner)
        assert body.closed
        assert len(service.asked) == 1, "there are no retries once an answer has begun"
        return found, service

    return ask


def check_complete(found: Outcome, usage_came: bool) -> None:
    assert found.error is None
    assert found.answer is not None
    assert found.heard == (found.answer.reasoning, found.answer.text) == WHOLE
    assert found.answer.finish == "stop"
    assert (found.answer.usage is None) == (found.answer.metrics.cost.cash.total is None) == (not usage_came)
    assert any("no usage" in note for note in found.answer.notes) == (not usage_came)


@pytest.mark.parametrize("kind", CUTS)
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", MODES)
def test_stream_breaks_off(mode: str, lane: str, kind: str, runner: asyncio.Runner) -> None:
    ask = stream_in_memory(lane, mode, runner)
    end, reason = CUTS[kind]
    for chunks, before, event in cells(lane):
        rest = [event[: len(event) // 2]] if kind == "half an event" else []
        found, _ = ask(*before, *rest, end=end)
        if finished(chunks):
            check_complete(found, any(not chunk["choices"] for chunk in chunks))
            continue
        if kind == "the end" and not chunks:
            check_error(found.error, motet.BadPayloadError, status=200, partial=None, cost=None, usage=None)
        else:
            check_error(found.error, motet.StreamTruncatedError, reason=reason, usage=None, retryable=True)
        check_partial(found, said_in(lane, chunks))
        assert [one.outcome for one in found.error.attempts] == ["200"]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", INSERTS)
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", MODES)
def test_stream_with_foreign_data(
    mode: str, lane: str, kind: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse_room, "MAX_EVENT_BYTES", 65_536)
    ask = stream_in_memory(lane, mode, runner)
    inserted, error = INSERTS[kind]
    for chunks, before, event in cells(lane):
        found, _ = ask(*before, inserted + event)
        known = check_error(found.error, error, status=200)
        check_partial(found, said_in(lane, chunks))
        assert (known.usage is None) == all(chunk["choices"] for chunk in chunks)
        assert known.request_id == (chunks[0]["id"] if chunks else None)


HARMLESS: dict[str, bytes] = {
    "a comment": b": still there\n\n",
    "empty lines": b"\n\n\n\n",
    "an event of another name": b"event: ping\ndata: {}\n\n",
    "an event without data": b"event: message\n\n",
    "an event with empty data": b"data:\n\n",
    "other fields": b"id: 7\nretry: 1000\nnonsense\n\n",
    "no choices": sse({"choices": []}),
    "null choices": sse({"choices": None, "usage": None, "error": None}),
    "another choice": sse(
        {"choices": [{"index": 1, "delta": {"content": "never"}, "text": "never", "token_ids": [1]}]}
    ),
}


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", MODES)
def test_stream_with_harmless_data(mode: str, lane: str, kind: str, runner: asyncio.Runner) -> None:
    ask = stream_in_memory(lane, mode, runner)
    events = [*map(sse, chunks_of(lane)), DONE]
    sound = ask(*events)[0]
    for place in range(len(events)):
        found, _ = ask(*events[:place], HARMLESS[kind], *events[place:])
        check_complete(found, usage_came=True)
        assert list(map(repr, found.events)) == list(map(repr, sound.events))


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", MODES)
def test_early_done(mode: str, lane: str, runner: asyncio.Runner) -> None:
    ask = stream_in_memory(lane, mode, runner)
    for chunks, before, event in cells(lane):
        found, _ = ask(*before, DONE, event)
        if finished(chunks):
            check_complete(found, any(not chunk["choices"] for chunk in chunks))
        elif chunks:
            check_error(found.error, motet.StreamTruncatedError, reason="no_finish")
            check_partial(found, said_in(lane, chunks))
        else:
            check_error(found.error, motet.BadPayloadError)


# Every byte.


@pytest.mark.parametrize("lane", LANES)
def test_stream_cut_at_every_byte(lane: str) -> None:
    chunks = chunks_of(lane)
    events = [*map(sse, chunks), DONE]
    body = b"".join(events)
    ends = list(itertools.accumulate(map(len, events)))
    for cut in range(len(body)):
        # The empty line after an event may be missing: what it holds is whole.
        whole = chunks[: sum(end - 2 <= cut for end in ends)]
        made = exchange(lane)
        heard, error = drive(made, [body[:cut]])
        reply = made.reply
        assert (reply.completion.reasoning, reply.completion.text) == said_in(lane, whole), cut
        assert "".join([event.delta for event in heard]) == "".join(said_in(lane, whole))
        if finished(whole):
            assert error is None, cut
            assert reply.finish == "stop"
            assert (reply.usage is None) == all(chunk["choices"] for chunk in whole)
        elif whole:
            assert isinstance(error, motet.StreamTruncatedError), cut
            assert error.reason in ("end", "half_event")
            assert reply.finish is None
        else:
            assert isinstance(error, motet.StreamTruncatedError | motet.BadPayloadError), cut
            assert error.partial is None


@pytest.mark.parametrize("kind", ["text/event-stream", "text/plain", ""])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("lane", LANES)
def test_stream_in_slices_of_every_size(lane: str, mark: bytes, ending: bytes, kind: str) -> None:
    body = b"".join([*map(sse, chunks_of(lane)), DONE]).replace(b"\n", ending)
    body = mark + b": ping" + ending * 2 + body + b"data: never" + ending * 2
    sound, error = drive(exchange(lane), [body])
    assert error is None
    assert "".join([event.delta for event in sound]) == "".join(WHOLE)
    for size in (*range(1, 40), *range(40, len(body), 97)):
        heard, error = drive(
            exchange(lane), [body[at : at + size] for at in range(0, len(body), size)], headers={"content-type": kind}
        )
        assert error is None, size
        assert list(map(repr, heard)) == list(map(repr, sound)), size


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e", "\x00", "\u00a0", "\ufeff", "😀"])
def test_unicode_line_separators_do_not_end_lines(char: str, ascii_only: bool) -> None:
    text = f"a{char}b{char}"
    shape = {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}
    body = b"data: " + json.dumps(shape, ensure_ascii=ascii_only).encode() + b"\n\n" + DONE
    for size in (1, 2, 3, 7, 1000):
        made = exchange()
        _, error = drive(made, [body[at : at + size] for at in range(0, len(body), size)])
        assert error is None
        assert made.reply.completion.text == text


@pytest.mark.parametrize("first", range(1, 10))
def test_split_characters_are_joined(first: int) -> None:
    """As services in JavaScript cut them: within the surrogates of UTF-16."""
    said = "a😀b🙃c\ud83d"
    units = [
        said.encode("utf-16-le", "surrogatepass")[at : at + 2].decode("utf-16-le", "surrogatepass")
        for at in range(0, 16, 2)
    ]
    pieces = ["".join(units[at : at + first]) for at in range(0, len(units), first)]
    made = exchange()
    heard, error = drive(made, [*[sse_ascii({"choices": [{"delta": {"content": piece}}]}) for piece in pieces], FINISH])
    assert error is None
    assert made.reply.completion.text == "".join([event.delta for event in heard]) == "a😀b🙃c\ufffd"


FINISH = sse({"choices": [{"delta": {}, "finish_reason": "stop"}]})


def sse_ascii(shape: Any) -> bytes:
    return b"data: " + json.dumps(shape).encode() + b"\n\n"


@pytest.mark.parametrize("lane", LANES)
def test_gzip_cut_at_every_byte(lane: str) -> None:
    chunks = chunks_of(lane)
    body = b"".join([*map(sse, chunks), DONE])
    packed = gzip.compress(body)
    service = InMemoryService()
    brain = service.atom(lane)
    headers = {**SSE, "content-encoding": "gzip"}
    for cut in range(0, len(packed) + 1, 7 if lane != "chat" else 1):
        service.tell(packed[: cut // 2], packed[cut // 2 : cut], headers=headers)
        found = outcome(brain, "stream")
        if found.error is None:
            check_complete(found, usage_came=found.answer.usage is not None)  # type: ignore[union-attr]
        else:
            assert isinstance(found.error, motet.StreamTruncatedError | motet.BadPayloadError)
            check_partial(found, found.heard)
            assert WHOLE[1].startswith(found.heard[1])
    assert found.error is None


# Answers in one piece.


@pytest.mark.parametrize("kind", [kind for kind in CUTS if kind != "half an event"])
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_whole_answer_breaks_off(how: str, lane: str, kind: str, runner: asyncio.Runner) -> None:
    body, (end, reason) = whole_of(lane), CUTS[kind]
    service = InMemoryService()
    brain = service.atom(lane, max_retries=0)
    for place in (0, 1, 2, 20, len(body) // 2, len(body) - 2, len(body) - 1):
        sent = service.tell(body[:place], end=end, headers={"content-type": "application/json"})
        error = outcome(brain, how, runner=runner).error
        if end is None:
            check_error(error, motet.BadPayloadError, status=200)
        elif place or how.endswith("stream"):
            check_error(error, motet.StreamTruncatedError, reason=reason)
        elif kind == "silence":
            assert check_error(error, motet.RequestTimeoutError).attempts == (Attempt("200"),)
        else:
            check_error(error, motet.ConnectionFailedError)
        assert (error.partial, error.cost, error.usage) == (None, None, None)  # type: ignore[union-attr]
        assert len(service.asked) == 1
        assert sent.closed


BODIES: dict[str, tuple[bytes, type[motet.MotetError] | None]] = {
    "nothing": (b"", motet.BadPayloadError),
    "white space": (b" \n\n ", motet.BadPayloadError),
    "a mark alone": (b"\xef\xbb\xbf", motet.BadPayloadError),
    "half a mark": (b"\xef\xbb", motet.BadPayloadError),
    "half a word": (b"dat", motet.BadPayloadError),
    "HTML": (b"<!doctype html><title>%s</title>" % KEY.encode(), motet.BadPayloadError),
    "text": (b"upstream connect error " + KEY.encode(), motet.BadPayloadError),
    "null": (b"null", motet.BadPayloadError),
    "a list": (b'["%s"]' % KEY.encode(), motet.BadPayloadError),
    "a number": (b"7", motet.BadPayloadError),
    "an empty object": (b"{}", motet.BadPayloadError),
    "no choices": (b'{"id": "%s", "choices": []}' % KEY.encode(), motet.BadPayloadError),
    "null choices": (b'{"choices": null}', motet.BadPayloadError),
    "a null choice": (b'{"choices": [null]}', motet.BadPayloadError),
    "wrong types": (b'{"id": 7, "choices": {"0": "text"}, "usage": "none"}', motet.BadPayloadError),
    "a number too long": (b'{"choices": [%s]}' % (b"9" * 5000), motet.BadPayloadError),
    "depths": (b"[" * 100_000, motet.BadPayloadError),
    "another alphabet": (json.dumps({"id": KEY}).encode("utf-16"), motet.BadPayloadError),
    "an error": (b'{"error": {"message": "no %s", "type": "server_error"}}' % KEY.encode(), motet.ServerError),
    "a quota": (b'{"error": {"message": "no", "code": "insufficient_quota"}}', motet.QuotaError),
    "an overflow": (b'{"error": {"message": "no", "code": "context_length_exceeded"}}', motet.ContextOverflowError),
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_invalid_whole_answers(how: str, lane: str, kind: str, runner: asyncio.Runner) -> None:
    service = InMemoryService()
    brain = service.atom(lane)
    body, error = BODIES[kind]
    for said in ("application/json", "text/html", "text/event-stream"):
        service.tell(body, headers={"content-type": said, "x-request-id": "r-7"})
        found = outcome(brain, how, runner=runner).error
        if said == "text/event-stream" and body[:1] not in b"{[<":
            # Without anything to go by, what is said to be a stream is read as one.
            check_error(found, motet.BadPayloadError)
            continue
        check_error(found, error, status=200, partial=None, cost=None, usage=None, request_id="r-7")
        assert len(service.asked) == 1


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_streams_are_detected_by_content(how: str, lane: str, runner: asyncio.Runner) -> None:
    """D13: whatever was asked for, and whatever the answer says that it is."""
    service = InMemoryService()
    brain = service.atom(lane)
    stream = [*map(sse, chunks_of(lane)), DONE]
    for pieces in (
        stream,
        [whole_of(lane)],
        [b"\xef\xbb\xbf" + whole_of(lane)],
        [b"\n\n  ", whole_of(lane)],
        [b": \n\n", *stream],
    ):
        for said in ("application/json", "text/event-stream", "text/plain", ""):
            service.tell(*pieces, headers={"content-type": said})
            found = outcome(brain, how, runner=runner)
            assert found.error is None
            assert found.answer is not None
            assert (found.answer.reasoning, found.answer.text) == WHOLE


# Wrong types, wherever there is a value: nothing but our own errors, and no key.

ODD = [
    None,
    True,
    0,
    -1,
    7,
    0.5,
    1e999,
    float("nan"),
    10**400,
    "",
    KEY,
    "\ud83d",
    [],
    [None],
    [[]],
    {},
    {"": None},
    {KEY: KEY},
]


def places(shape: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, shape
    if isinstance(shape, dict | list):
        for name, inner in shape.items() if isinstance(shape, dict) else enumerate(shape):
            yield from places(inner, (*path, name))


def replaced(shape: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(shape) if isinstance(shape, dict) else list(shape)
    copy[path[0]] = replaced(shape[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "piece"])
def test_wrong_json_type_at_every_path(stream: bool, lane: str) -> None:
    call = Turn(CALL, cached=3, reasoning_tokens=True)
    shapes = chunks_of(lane, call) if stream else [json.loads(whole_of(lane, call))]
    question = prepare(motet.atom(SLUG).spec, "Hi", PreparedOptions.of(str, {}))
    # Of chunks that are alike, the first is enough.
    kinds = {
        repr([(path, type(value)) for path, value in places(shape)]): place
        for place, shape in reversed([*enumerate(shapes)])
    }
    for place, shape in [(place, shapes[place]) for place in kinds.values()]:
        for (path, _), value in itertools.product(places(shape), ODD):
            changed = [*shapes[:place], replaced(shape, path, value), *shapes[place + 1 :]]
            made = exchange(lane, stream=stream)
            bodies = [*map(sse_ascii, changed), DONE] if stream else [json.dumps(changed[0]).encode()]
            _, error = drive(made, bodies)
            try:
                if error is None:
                    answer = question.finish(made.reply)
                    assert answer.metrics.cost.cash.total is None or answer.metrics.cost.cash.total > 0
            except motet.OutputError as found:
                error = found
            if error is not None and KEY not in repr(made.reply.completion):
                check_error(question.enrich_error(error), type(error))


# Time, with a clock that is told what it is.

TOKEN = sse({"choices": [{"delta": {"content": "word "}}]})
ROLE = sse({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
PING = b": still there\n\n"


@pytest.mark.parametrize(
    ("timeout", "first", "reads", "passed", "named"),
    [
        (5, None, [100], 5, "timeout=5"),
        (None, 3, [100], 3, "first_token_timeout=3"),
        (5, 3, [100], 3, "first_token_timeout=3"),
        (3, 5, [100], 3, "timeout=3"),
        (5, None, [1, PING] * 100, 5, "timeout=5"),
        (None, 3, [1, PING] * 100, 3, "first_token_timeout=3"),
        (None, 3, [1, ROLE, 1, PING] * 100, 3, "first_token_timeout=3"),
        (5, None, [1, TOKEN] * 100, 5, "timeout=5"),
        (5, 3, [2, TOKEN, 100], 5, "timeout=5"),
        (5, 3, [2, TOKEN, 2.5, PING, 2.5, PING], 5, "timeout=5"),
        (0.001, None, [0.001, TOKEN], 0.001, "timeout=0.001"),
        # In time, the last of them for want of usage only.
        (None, 3, [2, TOKEN, 100, TOKEN, FINISH, DONE], None, ""),
        (None, None, [1e6, PING, 1e6, TOKEN, FINISH, DONE], None, ""),
        (5, 3, [2, TOKEN, 2, FINISH, DONE], None, ""),
        (5, 3, [2, TOKEN, 2, FINISH, 100], None, ""),
        (5, None, [2, TOKEN, 2, FINISH, 0.5, PING, 0.5, PING, 0.5, PING], None, ""),
    ],
)
def test_deadlines(
    timeout: float | None, first: float | None, reads: list[Any], passed: float | None, named: str
) -> None:
    clock = FakeClock()
    made = exchange(clock=clock, timeout=timeout, first_token_timeout=first)
    began = clock.time
    events, error = drive(made, reads)
    if passed is None:
        assert error is None
        assert made.reply.finish == "stop"
        return
    assert clock.time - began == pytest.approx(passed)
    known = check_error(error, motet.RequestTimeoutError, retryable=True, attempts=(Attempt("200"),))
    assert f"within {named} s" in str(known)
    assert "".join([event.delta for event in events]) == made.reply.completion.text
    assert (known.partial is None) == (events == [])


REQUEST = httpx.Request("POST", "http://service.test")


def refusal(status: int, **headers: str) -> Exception:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.Response(status, headers=named, request=REQUEST)
    return together.APIStatusError(f"{KEY} is refused", response=response, body={"error": KEY})


WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry_after": "7"}, 7),
    ({"retry_after": "0"}, 0),
    ({"retry_after": "0.25"}, 0.25),
    ({"retry_after": " 2 "}, 2),
    ({"retry_after": "60"}, 60),
    ({"retry_after": "61"}, 61),
    ({"retry_after": "3600"}, 3600),
    ({"retry_after": "1e9"}, 1e9),
    ({"retry_after": "-5"}, None),
    ({"retry_after": "inf"}, None),
    ({"retry_after": "-inf"}, None),
    ({"retry_after": "nan"}, None),
    ({"retry_after": "1e999"}, None),
    ({"retry_after": ""}, None),
    ({"retry_after": "soon"}, None),
    ({"retry_after": "5 s"}, None),
    ({"retry_after": "0x10"}, None),
    ({"retry_after": "Wed, 45 Foo 2026 99:99:99 GMT"}, None),
    ({"retry_after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
    ({"retry_after": "Wed, 21 Oct 2015 07:28:00 +9999999999"}, None),
    ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ({"retry_after": "Sun Nov  6 08:49:37 1994"}, 0),
    ({"retry_after_ms": "1500"}, 1.5),
    ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
    ({"retry_after_ms": "later", "retry_after": "9"}, 9),
    ({"retry_after_ms": "-1"}, None),
    ({"retry_after_ms": "nan"}, None),
]


@pytest.mark.parametrize("timeout", [None, 100.0, 5.0, 0.0005])
@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize(("headers", "asked"), WAITS)
def test_retry_after_values(headers: dict[str, str], asked: float | None, status: int, timeout: float | None) -> None:
    waits: list[float] = []
    made = exchange(timeout=timeout, retries=1)
    _, error = drive(made, [TOKEN, FINISH, DONE], opens=[refusal(status, **headers)], waits=waits)
    kind = motet.RateLimitError if status == 429 else motet.OverloadedError
    wanted = 0.001 if asked is None else asked
    if wanted <= 60 and (timeout is None or wanted < timeout):
        assert error is None
        assert waits == [asked if asked is not None else pytest.approx(0.000875, abs=0.000125)]
        assert made.reply.attempts == (Attempt(str(status), waits[0]), Attempt("200"))
        assert made.reply.time.total == pytest.approx(waits[0])
    elif asked is None and error is None:
        # What motet itself would wait is shorter than the time that is left, or not, by chance.
        assert timeout is not None
        assert waits[0] < timeout
    else:
        check_error(error, kind, retry_after=asked, status=status, attempts=(Attempt(str(status)),))
        assert waits == []


@pytest.mark.parametrize(("seconds", "retried"), [(30, True), (7200, False)])
def test_retry_after_dates(seconds: float, retried: bool) -> None:
    waits: list[float] = []
    date = email.utils.formatdate(time.time() + seconds, usegmt=True)
    _, error = drive(exchange(), [TOKEN, FINISH, DONE], opens=[refusal(429, retry_after=date)], waits=waits)
    asked = waits[0] if retried else check_error(error, motet.RateLimitError).retry_after
    assert (error is None) == retried
    assert seconds - 20 < asked <= seconds


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 524, 529])
def test_every_attempt_is_recorded(status: int, retries: int) -> None:
    for succeeding in range(retries + 2):
        waits: list[float] = []
        made = exchange(retries=retries)
        _, error = drive(made, [TOKEN, FINISH, DONE], opens=[refusal(status)] * succeeding, waits=waits)
        billable = status in (408, 504, 524)
        failed = [Attempt(str(status), wait, billable) for wait in waits]
        if succeeding <= retries:
            assert error is None
            assert made.reply.attempts == (*failed, Attempt("200"))
        else:
            assert len(waits) == retries
            check_error(error, type(error), status=status, attempts=(*failed, Attempt(str(status), 0.0, billable)))


def test_service_can_forbid_retries() -> None:
    for status in (408, 429, 500, 503):
        waits: list[float] = []
        _, error = drive(exchange(), [], opens=[refusal(status, x_should_retry="false")], waits=waits)
        assert len(check_error(error, type(error), status=status).attempts) == 1
        assert waits == []


@pytest.mark.parametrize(
    ("cause", "kind", "attempts", "billable"),
    [
        (httpx.ConnectError("refused"), motet.ConnectionFailedError, 3, False),
        (httpx.ConnectTimeout("late"), motet.ConnectionFailedError, 3, False),
        (httpx.PoolTimeout("late"), motet.ConnectionFailedError, 3, False),
        (httpx.ProxyError("407"), motet.ConnectionFailedError, 3, False),
        (httpx.ReadError("reset"), motet.ConnectionFailedError, 3, True),
        (httpx.WriteError("pipe"), motet.ConnectionFailedError, 3, True),
        (httpx.RemoteProtocolError("hung up"), motet.ConnectionFailedError, 3, True),
        (httpx.LocalProtocolError("Illegal header value"), motet.ConnectionFailedError, 3, False),
        (httpx.UnsupportedProtocol("gopher"), motet.ConnectionFailedError, 3, False),
        (httpx.ReadTimeout("late"), motet.RequestTimeoutError, 1, True),
        (httpx.WriteTimeout("late"), motet.RequestTimeoutError, 1, True),
        (OSError("no route"), motet.ConnectionFailedError, 3, False),
        (RuntimeError("Event loop is closed"), motet.ConnectionFailedError, 3, False),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
@pytest.mark.parametrize("how", HOWS)
def test_request_without_an_answer(
    how: str, cause: Exception, kind: type[motet.ApiError], attempts: int, billable: bool, runner: asyncio.Runner
) -> None:
    """D4, D21: three attempts where nobody worked on it, or where it is not known; one where it may well be billed."""
    service = InMemoryService(cause)
    error = check_error(outcome(service.atom(), how, runner=runner).error, kind, status=None, partial=None, cost=None)
    assert [(one.outcome, one.may_be_billed) for one in error.attempts] == [(kind.__name__, billable)] * attempts
    assert len(service.asked) == attempts
    if isinstance(cause, httpx.ProxyError):
        assert "HTTP_PROXY" in str(error)


def test_causes_that_quote_the_key_are_dropped() -> None:
    """A traceback shows the causes of an error; the SDK's own quote what they got."""
    shown, hidden = together.APIConnectionError(request=REQUEST), together.APIConnectionError(request=REQUEST)
    shown.__cause__ = httpx.ConnectError("refused")
    hidden.__cause__ = httpx.LocalProtocolError(f"Illegal header value {KEY}")
    for cause, kept in ((shown, True), (hidden, False), (refusal(401), False), (refusal(307, location=KEY), False)):
        error = check_error(drive(exchange(retries=0), [], opens=[cause])[1], type(from_exception(cause, KEY)))
        assert (error.__cause__ is cause) == kept


# Statuses.

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


@pytest.mark.parametrize(("status", "body", "kind", "attempts"), STATUSES)
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_statuses(
    how: str, lane: str, status: int, body: Any, kind: type[motet.ApiError], attempts: int, runner: asyncio.Runner
) -> None:
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"location": "http://elsewhere.test/v1", "x-request-id": "r-7"}
    service = InMemoryService()
    # Whole; broken off; and with the key where the excerpt ends: the status says enough.
    for pieces, end in (([data], None), ([data], httpx.ReadError("reset")), ([b"x" * 290, KEY.encode() * 900], None)):
        sent = service.tell(*pieces, end=end, status=status, headers=headers)
        found = outcome(service.atom(lane), how, runner=runner)
        if pieces[0] is not data and kind is motet.QuotaError and status == 429:
            continue
        error = check_error(found.error, kind, status=status, request_id="r-7", partial=None, usage=None, cost=None)
        assert [one.outcome for one in error.attempts] == [str(status)] * attempts
        assert len(service.asked) == attempts
        assert {request.url.host for request in service.asked} == {"service.test"}, "no redirect is followed"
        assert error.retryable == (attempts > 1)
        assert len(str(error)) < 600
        assert len(error.raw or "") <= 2000
        assert sent.closed
        if found.left is not None:
            assert (found.left.text, found.left.metrics.cost.cash.total) == ("", None)


OVERFLOWS: list[tuple[int, Any, int | None, int | None]] = [
    # As services have written it, each in an issue that somebody filed; none at all for Together's gpt-oss.
    (
        422,
        {
            "error": {
                "message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2019 `inputs` tokens and 30 `max_new_tokens`"
            }
        },
        2049,
        2048,
    ),
    (
        403,
        {
            "error": {
                "message": "Input token count + `max_tokens` parameter must be less than the `context_length` of the model being queried."
            }
        },
        None,
        None,
    ),
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 in the messages, 500 in the completion). Please reduce the length of the messages or completion.",
                "code": "context_length_exceeded",
            }
        },
        4203,
        4097,
    ),
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the messages, 10000 in the completion). Please reduce the length of the messages or completion.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        122946,
        16384,
    ),
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 128000 tokens. However, your messages resulted in 202868 tokens (202767 in the messages, 101 in the functions)."
            }
        },
        202868,
        128000,
    ),
    (
        400,
        {
            "object": "error",
            "message": "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        61709,
        40960,
    ),
    (
        400,
        {
            "object": "error",
            "message": "Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 40000 tokens: 30000 tokens from the input messages and 10000 tokens for the completion.",
        },
        40000,
        32768,
    ),
    (
        400,
        {"message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens)."},
        160062,
        59862,
    ),
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size. try increasing the context size or enable context shift",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 14429,
                "n_ctx": 8192,
            }
        },
        14429,
        8192,
    ),
    (
        400,
        {
            "error": {
                "message": "request (8541 tokens) exceeds the available context size (4096 tokens), try increasing it"
            }
        },
        8541,
        4096,
    ),
    (400, {"detail": "Requested tokens (2285) exceed context window of 2048"}, 2285, 2048),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        1200293,
        1048576,
    ),
    (400, {"error": {"message": "prompt is too long: 210,000 tokens > 200,000 maximum"}}, 210000, 200000),
    (413, "the prompt is too long", None, None),
]


@pytest.mark.parametrize(("status", "body", "tokens", "limit"), OVERFLOWS)
@pytest.mark.parametrize("how", HOWS)
def test_context_overflow(
    how: str, status: int, body: Any, tokens: int | None, limit: int | None, runner: asyncio.Runner
) -> None:
    service = InMemoryService()
    service.tell(body.encode() if isinstance(body, str) else json.dumps(body).encode(), status=status)
    found = outcome(service.atom(), how, runner=runner).error
    error = check_error(found, motet.ContextOverflowError, status=status, tokens=tokens, limit=limit, retryable=False)
    assert len(error.attempts) == len(service.asked) == 1


# Answers that are not what they should be, and say so.


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_answer_cut_at_every_length(how: str, lane: str, runner: asyncio.Runner) -> None:
    """D12: a call whose arguments were cut is not given out to be run."""
    service = InMemoryService()
    brain = service.atom(lane)
    turn = Turn(CALL)
    for most in range(1, len(turn.ids)):
        chunks, whole = chunks_of(lane, turn, max_tokens=most), whole_of(lane, turn, max_tokens=most)
        service.tell(*([*map(sse, chunks), DONE] if how.endswith("stream") else [whole]))
        error: Any = outcome(brain, how, tools=["get_weather"], max_tokens=most, runner=runner).error
        assert isinstance(error, motet.TruncatedOutputError)
        assert (error.partial.finish, error.partial.output, error.usage.output) == ("length", None, most)
        assert error.cost == error.partial.metrics.cost.cash.total > 0
        assert all(call.stop is None for call in error.partial.calls[-1:])


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_other_model_answers(how: str, lane: str, runner: asyncio.Runner) -> None:
    """D26: what came is priced as what it is, or not at all."""
    service = InMemoryService()
    for model, output_price in (("openai/gpt-oss-20b", Decimal("0.2")), ("new/model", None), (KEY[:4], None)):
        turn = Turn(SHORT.completion, model=model)
        whole = whole_of(lane, turn)
        service.tell(*([*map(sse, chunks_of(lane, turn)), DONE] if how.endswith("stream") else [whole]))
        answer = outcome(service.atom(lane), how, runner=runner).answer
        assert answer is not None
        assert answer.model == model
        assert any(f"{model} answered, and openai/gpt-oss-120b was asked" in note for note in answer.notes)
        cash, tokens = answer.metrics.cost.cash, answer.metrics.size.tokens.output
        assert cash.output == (None if output_price is None or tokens is None else output_price * tokens / 1_000_000)


# Bounds.


@functools.cache
def bomb() -> tuple[bytes, ...]:
    """A hundred megabytes of zeros, in a hundred kilobytes."""
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    return *[packed.compress(bytes(1_000_000)) for _ in range(100)], packed.flush()


def endless() -> Iterator[bytes]:
    return itertools.repeat(b"x" * 65_536)


FLOODS: dict[str, tuple[Callable[[], Iterable[bytes]], int, dict[str, str], type[motet.MotetError]]] = {
    "a bomb": (bomb, 200, {"content-encoding": "gzip"}, motet.BadPayloadError),
    "a bomb of events": (bomb, 200, {"content-encoding": "gzip", **SSE}, motet.BadPayloadError),
    "a bomb within a refusal": (bomb, 400, {"content-encoding": "gzip"}, motet.InvalidRequestError),
    "a bomb of another kind": (bomb, 200, {"content-encoding": "br"}, motet.BadPayloadError),
    "a bomb in a bomb": (bomb, 200, {"content-encoding": "gzip, gzip"}, motet.BadPayloadError),
    "no compression at all": (endless, 200, {"content-encoding": "gzip"}, motet.BadPayloadError),
    "a body without end": (endless, 200, {}, motet.BadPayloadError),
    "a blank without end": (lambda: itertools.repeat(b" " * 65_536), 200, {}, motet.BadPayloadError),
    "a line without end": (endless, 200, dict(SSE), motet.BadPayloadError),
    "a comment without end": (lambda: itertools.chain([b":"], endless()), 200, dict(SSE), motet.BadPayloadError),
    "an event without end": (
        lambda: itertools.repeat(b"data: and so on\n" * 4096),
        200,
        dict(SSE),
        motet.BadPayloadError,
    ),
    "a refusal without end": (endless, 429, {"retry-after": "99"}, motet.RateLimitError),
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("how", HOWS)
def test_floods_use_bounded_memory(
    how: str, kind: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D20."""
    monkeypatch.setattr("motet.together.transport.request_machine.MAX_BODY_BYTES", 1_000_000)
    monkeypatch.setattr(sse_room, "MAX_EVENT_BYTES", 1_000_000)
    pieces, status, headers, error = FLOODS[kind]
    service = InMemoryService()
    brain = service.atom(max_retries=0)
    sent = service.tell(*pieces() if pieces is bomb else (), status=status, headers=headers)
    sent.pieces = sent.pieces or pieces()
    tracemalloc.start()
    try:
        found = outcome(brain, how, runner=runner)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    check_error(found.error, error, status=status)
    assert peak < 12_000_000
    assert sent.closed


# What a service has.


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize(("status", "body", "kind"), [(one[0], one[1], one[2]) for one in STATUSES])
def test_list_of_models(how: str, status: int, body: Any, kind: type[motet.ApiError], runner: asyncio.Runner) -> None:
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    transport = httpx.MockTransport(
        lambda _: httpx.Response(status, stream=Body([data]), headers={"x-should-retry": "false"})
    )
    backend = motet.atom(
        SLUG, api_key=KEY, base_url="http://service.test", transport=transport, async_transport=transport
    ).backend
    try:
        health = backend.health() if how == "sync" else runner.run(backend.ahealth())
        assert (health.ok, health.status, health.key_valid) == (False, status, False if status == 401 else None)
        check_error(health.error, kind, status=status)
        if how == "sync":
            backend.list_models()
        else:
            runner.run(backend.alist_models())
        raise AssertionError("there is no list")
    except motet.ApiError as error:
        check_error(error, kind, status=status)


@pytest.mark.parametrize("how", HOWS)
def test_starting_server_is_probed_again(how: str, runner: asyncio.Runner) -> None:
    service = InMemoryService(models=[httpx.ReadTimeout("late"), httpx.Response(503)])
    brain = service.atom("auto")
    for lane in ("chat", "chat", "ids", "ids"):
        service.tell(whole_of(lane))
        found = outcome(brain, how, runner=runner).answer
        assert found is not None
        assert found.lane == lane


@pytest.mark.parametrize("lines", [1, 2, 1000])
@pytest.mark.parametrize("size", [7, 1000, 4000, 100_000])
def test_event_up_to_the_size_limit_is_read(size: int, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_room, "MAX_EVENT_BYTES", 20_000)
    for length in (19_000, 21_500):
        line = b"data:" + b"x" * (length // lines - 5)
        body = b"\n".join([line] * lines) + b"\n\n"
        reader = sse_room.EventReader()
        pieces = [(body * 3)[at : at + size] for at in range(0, 3 * len(body), size)]
        try:
            events = [event for piece in pieces for event in reader.feed(piece)]
        except sse_room.EventTooLongError:
            events = []
        assert events == ([("", b"\n".join([line[5:]] * lines))] * 3 if length < 20_000 else [])

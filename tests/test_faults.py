"""The matrix of faults: what breaks, where in an exchange, and how it is asked. Every cell has to say the right error,
keep what came, cost an unknown sum rather than none, close its connection, and tell the key nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import motet
from motet.together import sse as sse_room
from tests.faults import (
    DONE,
    LANES,
    MODES,
    Outcome,
    Service,
    check_error,
    check_partial,
    chunks_of,
    finished,
    no_key_in_logs,
    outcome,
    said_in,
    sse,
)
from tests.scripted import KEY

WHOLE = ("Sky: blue.", "青 é.")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.together.exchange.FIRST_WAIT", 0.001)
    monkeypatch.setattr("motet.together.exchange.LAST_WAIT", 0.001)


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


def stream_in_memory(lane: str, mode: str, runner: asyncio.Runner) -> Callable[..., tuple[Outcome, Service]]:
    service = Service()
    brain = service.atom(lane)

    def ask(*pieces: bytes, end: BaseException | None = None) -> tuple[Outcome, Service]:
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
def test_a_stream_that_breaks_off(mode: str, lane: str, kind: str, runner: asyncio.Runner) -> None:
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
def test_a_stream_with_something_else_in_it(
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
def test_a_stream_with_something_harmless_in_it(mode: str, lane: str, kind: str, runner: asyncio.Runner) -> None:
    ask = stream_in_memory(lane, mode, runner)
    events = [*map(sse, chunks_of(lane)), DONE]
    sound = ask(*events)[0]
    for place in range(len(events)):
        found, _ = ask(*events[:place], HARMLESS[kind], *events[place:])
        check_complete(found, usage_came=True)
        assert list(map(repr, found.events)) == list(map(repr, sound.events))


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", MODES)
def test_an_early_done(mode: str, lane: str, runner: asyncio.Runner) -> None:
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

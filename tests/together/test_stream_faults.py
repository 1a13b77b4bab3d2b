"""Faults in a stream, in memory: each kind at each place, and cuts at each byte."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from decimal import Decimal
from typing import Any

import pytest

import motet
from motet.testing import Turn
from motet.together.transport import sse as sse_room
from tests.support.fault_cases import (
    CUTS,
    DONE,
    FINISH,
    HOWS,
    LANES,
    MODES,
    SHORT,
    SSE,
    WHOLE,
    InMemoryService,
    cells,
    check_complete,
    check_error,
    check_partial,
    chunks_of,
    drive,
    exchange,
    finished,
    outcome,
    sse,
    sse_ascii,
    stream_in_memory,
    text_in,
    whole_of,
)
from tests.support.server_scripts import CALL, KEY

pytestmark = pytest.mark.usefixtures("quick")


INSERTS: dict[str, tuple[bytes, type[motet.MotetError]]] = {
    "no JSON": (b'data: {"choices": [{"delta": "%s\n\n' % KEY.encode(), motet.BadPayloadError),
    "no UTF-8": (b'data: {"id": "%s\xff\xfe"}\n\n' % KEY.encode(), motet.BadPayloadError),
    "HTML": (b"data: <html>%s</html>\n\n" % KEY.encode(), motet.BadPayloadError),
    "a list": (sse([KEY]), motet.BadPayloadError),
    "null": (sse(None), motet.BadPayloadError),
    "nested without end": (b"data: " + b"[" * 50_000 + b"\n\n", motet.BadPayloadError),
    "choices of another type": (sse({"choices": {"0": KEY}}), motet.BadPayloadError),
    "a choice of another type": (sse({"choices": [KEY]}), motet.BadPayloadError),
    "a text of another type": (
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


@pytest.mark.parametrize("kind", CUTS)
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", MODES)
def test_stream_breaks_off(mode: str, lane: str, kind: str, runner: asyncio.Runner) -> None:
    ask = stream_in_memory(lane, mode, runner)
    end, reason = CUTS[kind]
    for chunks, before, event in cells(lane):
        rest = [event[: len(event) // 2]] if kind == "half an event" else []
        result, _ = ask(*before, *rest, end=end)
        if finished(chunks):
            check_complete(result, any(not chunk["choices"] for chunk in chunks))
            continue
        if kind == "the end" and not chunks:
            check_error(result.error, motet.BadPayloadError, status=200, partial=None, cost=None, usage=None)
        else:
            check_error(result.error, motet.StreamTruncatedError, reason=reason, usage=None, retryable=True)
        check_partial(result, text_in(lane, chunks))
        assert [attempt.outcome for attempt in result.error.attempts] == ["200"]  # type: ignore[union-attr]


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
        result, _ = ask(*before, inserted + event)
        checked_error = check_error(result.error, error, status=200)
        check_partial(result, text_in(lane, chunks))
        assert (checked_error.usage is None) == all(chunk["choices"] for chunk in chunks)
        assert checked_error.request_id == (chunks[0]["id"] if chunks else None)


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
        result, _ = ask(*events[:place], HARMLESS[kind], *events[place:])
        check_complete(result, usage_came=True)
        assert list(map(repr, result.events)) == list(map(repr, sound.events))


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", MODES)
def test_early_done(mode: str, lane: str, runner: asyncio.Runner) -> None:
    ask = stream_in_memory(lane, mode, runner)
    for chunks, before, event in cells(lane):
        result, _ = ask(*before, DONE, event)
        if finished(chunks):
            check_complete(result, any(not chunk["choices"] for chunk in chunks))
        elif chunks:
            check_error(result.error, motet.StreamTruncatedError, reason="no_finish")
            check_partial(result, text_in(lane, chunks))
        else:
            check_error(result.error, motet.BadPayloadError)


@pytest.mark.parametrize("lane", LANES)
def test_stream_cut_at_every_byte(lane: str) -> None:
    chunks = chunks_of(lane)
    events = [*map(sse, chunks), DONE]
    body = b"".join(events)
    ends = list(itertools.accumulate(map(len, events)))
    for cut in range(len(body)):
        # The empty line after an event may be missing: what it holds is whole.
        whole = chunks[: sum(end - 2 <= cut for end in ends)]
        machine = exchange(lane)
        deltas, error = drive(machine, [body[:cut]])
        reply = machine.reply
        assert (reply.completion.reasoning, reply.completion.text) == text_in(lane, whole), cut
        assert "".join([event.delta for event in deltas]) == "".join(text_in(lane, whole))
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
        deltas, error = drive(
            exchange(lane), [body[at : at + size] for at in range(0, len(body), size)], headers={"content-type": kind}
        )
        assert error is None, size
        assert list(map(repr, deltas)) == list(map(repr, sound)), size


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e", "\x00", "\u00a0", "\ufeff", "😀"])
def test_unicode_line_separators_do_not_end_lines(char: str, ascii_only: bool) -> None:
    text = f"a{char}b{char}"
    shape = {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}
    body = b"data: " + json.dumps(shape, ensure_ascii=ascii_only).encode() + b"\n\n" + DONE
    for size in (1, 2, 3, 7, 1000):
        machine = exchange()
        _, error = drive(machine, [body[at : at + size] for at in range(0, len(body), size)])
        assert error is None
        assert machine.reply.completion.text == text


@pytest.mark.parametrize("first", range(1, 10))
def test_split_characters_are_joined(first: int) -> None:
    """As services in JavaScript cut them: within the surrogates of UTF-16."""
    text = "a😀b🙃c\ud83d"
    units = [
        text.encode("utf-16-le", "surrogatepass")[at : at + 2].decode("utf-16-le", "surrogatepass")
        for at in range(0, 16, 2)
    ]
    pieces = ["".join(units[at : at + first]) for at in range(0, len(units), first)]
    machine = exchange()
    deltas, error = drive(
        machine, [*[sse_ascii({"choices": [{"delta": {"content": piece}}]}) for piece in pieces], FINISH]
    )
    assert error is None
    assert machine.reply.completion.text == "".join([event.delta for event in deltas]) == "a😀b🙃c\ufffd"


@pytest.mark.parametrize("lane", LANES)
def test_gzip_cut_at_every_byte(lane: str) -> None:
    chunks = chunks_of(lane)
    body = b"".join([*map(sse, chunks), DONE])
    packed = gzip.compress(body)
    service = InMemoryService()
    atom = service.atom(lane)
    headers = {**SSE, "content-encoding": "gzip"}
    for cut in range(0, len(packed) + 1, 7 if lane != "chat" else 1):
        service.tell(packed[: cut // 2], packed[cut // 2 : cut], headers=headers)
        result = outcome(atom, "stream")
        if result.error is None:
            check_complete(result, usage_came=result.answer.usage is not None)  # type: ignore[union-attr]
        else:
            assert isinstance(result.error, motet.StreamTruncatedError | motet.BadPayloadError)
            check_partial(result, result.received)
            assert WHOLE[1].startswith(result.received[1])
    assert result.error is None


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_answer_cut_at_every_length(how: str, lane: str, runner: asyncio.Runner) -> None:
    """D12: a call with cut arguments is not run."""
    service = InMemoryService()
    atom = service.atom(lane)
    turn = Turn(CALL)
    for most in range(1, len(turn.ids)):
        chunks, whole = chunks_of(lane, turn, max_tokens=most), whole_of(lane, turn, max_tokens=most)
        service.tell(*([*map(sse, chunks), DONE] if how.endswith("stream") else [whole]))
        error: Any = outcome(atom, how, tools=["get_weather"], max_tokens=most, runner=runner).error
        assert isinstance(error, motet.TruncatedOutputError)
        assert (error.partial.finish, error.partial.output, error.usage.output) == ("length", None, most)
        assert error.cost == error.partial.metrics.cost.cash.total > 0
        assert all(call.stop is None for call in error.partial.calls[-1:])


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_other_model_answers(how: str, lane: str, runner: asyncio.Runner) -> None:
    """D26: a partial answer is priced exactly, or its cost is unknown."""
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

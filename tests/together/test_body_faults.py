"""Faults in answers in one piece, and values of a wrong type anywhere."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

import motet
from motet.asking.options import PreparedOptions
from motet.asking.request import prepare
from motet.backend import Attempt
from motet.testing import Turn
from tests.support.fault_cases import (
    CUTS,
    DONE,
    HOWS,
    LANES,
    WHOLE,
    InMemoryService,
    check_error,
    chunks_of,
    drive,
    exchange,
    outcome,
    sse,
    sse_ascii,
    whole_of,
)
from tests.support.server_scripts import CALL, KEY, SLUG

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("kind", [kind for kind in CUTS if kind != "half an event"])
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_whole_answer_breaks_off(how: str, lane: str, kind: str, runner: asyncio.Runner) -> None:
    body, (end, reason) = whole_of(lane), CUTS[kind]
    service = InMemoryService()
    atom = service.atom(lane, max_retries=0)
    for place in (0, 1, 2, 20, len(body) // 2, len(body) - 2, len(body) - 1):
        sent = service.tell(body[:place], end=end, headers={"content-type": "application/json"})
        error = outcome(atom, how, runner=runner).error
        if end is None:
            check_error(error, motet.BadPayloadError, status=200)
        elif place or how.endswith("stream"):
            check_error(error, motet.StreamTruncatedError, reason=reason)
        elif kind == "silence":
            assert check_error(error, motet.RequestTimeoutError).attempts == (Attempt("200"),)
        else:
            check_error(error, motet.ConnectionFailedError)
        assert (error.partial, error.cost, error.usage) == (None, None, None)  # type: ignore[union-attr]
        assert len(service.requests) == 1
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
    atom = service.atom(lane)
    body, error = BODIES[kind]
    for event in ("application/json", "text/html", "text/event-stream"):
        service.tell(body, headers={"content-type": event, "x-request-id": "r-7"})
        result = outcome(atom, how, runner=runner).error
        if event == "text/event-stream" and body[:1] not in b"{[<":
            # Without anything to go by, what is said to be a stream is read as one.
            check_error(result, motet.BadPayloadError)
            continue
        check_error(result, error, status=200, partial=None, cost=None, usage=None, request_id="r-7")
        assert len(service.requests) == 1


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_streams_are_detected_by_content(how: str, lane: str, runner: asyncio.Runner) -> None:
    """D13: for any request, and any content type of the answer."""
    service = InMemoryService()
    atom = service.atom(lane)
    stream = [*map(sse, chunks_of(lane)), DONE]
    for pieces in (
        stream,
        [whole_of(lane)],
        [b"\xef\xbb\xbf" + whole_of(lane)],
        [b"\n\n  ", whole_of(lane)],
        [b": \n\n", *stream],
    ):
        for event in ("application/json", "text/event-stream", "text/plain", ""):
            service.tell(*pieces, headers={"content-type": event})
            result = outcome(atom, how, runner=runner)
            assert result.error is None
            assert result.answer is not None
            assert (result.answer.reasoning, result.answer.text) == WHOLE


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
            machine = exchange(lane, stream=stream)
            bodies = [*map(sse_ascii, changed), DONE] if stream else [json.dumps(changed[0]).encode()]
            _, error = drive(machine, bodies)
            try:
                if error is None:
                    answer = question.finish(machine.reply)
                    assert answer.metrics.cost.cash.total is None or answer.metrics.cost.cash.total > 0
            except motet.OutputError as found:
                error = found
            if error is not None and KEY not in repr(machine.reply.completion):
                check_error(question.enrich_error(error), type(error))

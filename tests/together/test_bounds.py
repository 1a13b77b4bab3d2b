"""Bodies and events without an end, in bounded memory."""

from __future__ import annotations

import asyncio
import functools
import itertools
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator

import pytest

import motet
from motet.together.transport import sse as sse_room
from tests.support.fault_cases import (
    HOWS,
    SSE,
    InMemoryService,
    check_error,
    outcome,
)

pytestmark = pytest.mark.usefixtures("quick")


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
    monkeypatch.setattr("motet.together.transport.response_body.MAX_BODY_BYTES", 1_000_000)
    monkeypatch.setattr(sse_room, "MAX_EVENT_BYTES", 1_000_000)
    pieces, status, headers, error = FLOODS[kind]
    service = InMemoryService()
    atom = service.atom(max_retries=0)
    sent = service.tell(*pieces() if pieces is bomb else (), status=status, headers=headers)
    sent.pieces = sent.pieces or pieces()
    tracemalloc.start()
    try:
        result = outcome(atom, how, runner=runner)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    check_error(result.error, error, status=status)
    assert peak < 12_000_000
    assert sent.closed


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

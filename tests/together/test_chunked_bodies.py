"""Chunked bodies in any pieces: what arrives is what httpcore reads by itself."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Sequence
from typing import Any

import httpcore
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motet.together.transport.bounded_body import guard
from motet.together.transport.chunked_body import read_in_large_steps

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = [b"data: one\n\n", b"x" * 40, b"\r\n0\r\n\r\n", b"5\r\n"]
BODY = b"".join([b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in CHUNKS])
LAST = b"0\r\n\r\n"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Unused: httpx would read all certificates for each transport."""


async def _read(pieces: Sequence[bytes], *, large: bool) -> tuple[bytes, str | None, int]:
    """The body, the name of the exception that ended it, and how many pieces it came in."""
    transport = httpx.AsyncHTTPTransport(verify=TLS)
    pool: Any = vars(transport)["_pool"]
    pool._network_backend = httpcore.AsyncMockBackend(list(pieces))
    received: list[bytes] = []
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        try:
            async with client.stream("POST", "http://server/") as response:
                guard(response)
                if large:
                    read_in_large_steps(response)
                async for piece in response.aiter_bytes():
                    received.append(piece)
        except httpx.HTTPError as error:
            return b"".join(received), type(error).__name__, len(received)
    return b"".join(received), None, len(received)


def read(data: bytes, places: Sequence[int] = (), *, large: bool = True) -> tuple[bytes, str | None, int]:
    """The answer to a request whose response arrives cut at these places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    pieces = [data[begin:end] for begin, end in itertools.pairwise(edges) if begin < end]
    return asyncio.run(_read(pieces, large=large))


def test_chunks_that_arrive_together_are_one_piece() -> None:
    body, error, count = read(HEAD + BODY * 5 + LAST, [len(HEAD)])
    assert (body, error, count) == (b"".join(CHUNKS) * 5, None, 1)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 200), max_size=12))
def test_pieces_of_any_size_give_the_same_body(places: list[int]) -> None:
    assert read(HEAD + BODY + LAST, places)[:2] == (b"".join(CHUNKS), None)


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        BODY[:-1],
        BODY[:20],
        BODY + b"5;name=value\r\nabcde\r\n" + BODY + LAST,
        BODY + b"5\r\nabcdeXX" + LAST,
        BODY + b"zz\r\n",
        BODY + b"0\r\nTrailer: value\r\n\r\n",
        LAST,
        b"",
    ],
)
@settings(max_examples=10)
@given(places=st.lists(st.integers(0, 300), max_size=6))
def test_odd_and_broken_bodies_end_as_in_httpcore(body: bytes, places: list[int]) -> None:
    assert read(HEAD + body, places)[:2] == read(HEAD + body, places, large=False)[:2]


def test_other_framings_are_left_alone() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", [40])[:2] == (b"abc", None)

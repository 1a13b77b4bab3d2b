"""Requests that no client of the SDKs sends: hostile HTTP, slow bodies, mounted applications."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from motet.proxy import Upstream, app
from tests.support.fake_backend import FakeBackend
from tests.support.proxies import PATHS, body_of, call, served
from tests.support.server_scripts import ANSWER, PLAIN


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    backend = FakeBackend(lambda _: PLAIN)
    with served(app(Upstream(backend=backend), body_timeout=0.2, max_body_bytes=100_000)) as url:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        yield parts.hostname, parts.port


def exchange(address: tuple[str, int], data: bytes) -> bytes:
    """What comes back until the server closes the connection."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(data)
        received = b""
        # A server that closes with unread bytes resets the connection.
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    return received


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = json.dumps(body_of("chat")).encode()


def test_plain_request_is_answered(address: tuple[str, int]) -> None:
    length = f"Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode()
    assert ANSWER.encode() in exchange(address, HEAD + length + BODY)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"X-Broken: a\x00b\r\n\r\n",
        b"X-Long: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
def test_ambiguous_and_long_headers_are_refused(address: tuple[str, int], headers: bytes) -> None:
    answers = exchange(address, HEAD + headers)
    assert answers.startswith(b"HTTP/1.1 4")
    assert answers.count(b"HTTP/1.1 ") == 1, "what follows is no request of its own"


def test_slow_and_long_bodies_are_refused(address: tuple[str, int]) -> None:
    assert b"HTTP/1.1 408" in exchange(address, HEAD + b"Content-Length: 100\r\nConnection: close\r\n\r\n{")
    chunks = b"".join([b"4000\r\n" + b"a" * 0x4000 + b"\r\n"] * 8) + b"0\r\n\r\n"
    answer = exchange(address, HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks)
    assert b"HTTP/1.1 413" in answer
    assert b"more than 100000 bytes" in answer


def test_proxy_is_mounted_below_a_path() -> None:
    proxy = app(Upstream(backend=FakeBackend(lambda _: PLAIN)))
    application = Starlette(routes=[Mount("/llm", proxy)])
    response = asyncio.run(call(application, "POST", f"/llm{PATHS['chat']}", body_of("chat")))
    assert response.json["choices"][0]["message"]["content"] == ANSWER
    assert asyncio.run(call(application, "GET", "/llm/health")).status == 200


def test_ignored_tools_are_left_out() -> None:
    backend = FakeBackend(lambda _: PLAIN)
    proxy = app(Upstream(backend=backend), ignored_tools=["web_search"])
    body = body_of("responses", tools=[{"type": "web_search"}, {"type": "function", "name": "f"}])
    assert asyncio.run(call(proxy, "POST", PATHS["responses"], body)).status == 200
    assert [tool["function"]["name"] for tool in backend.requests[0].tools] == ["f"]

"""A client that reads streams from a socket, and checks them when they have ended."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from streams import Plan, question_of, text_of

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages"}


@dataclass
class Reading:
    """A stream as it was read."""

    body: bytes
    first: float
    """Seconds to the first byte of the body."""
    total: float
    """Seconds to the end."""


class Client:
    """A connection that is kept between requests."""

    def __init__(self, port: int, api: str = "chat") -> None:
        self._port = port
        self._api = api
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def read(self, seed: int, plan: Plan) -> Reading:
        """One request's stream. Raises `ValueError` for another status than 200."""
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        body = json.dumps(request_body(self._api, seed, plan)).encode()
        head = (
            f"POST {PATHS[self._api]} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer sk-benchmark\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        start = time.perf_counter()
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        received = bytearray(await self._reader.read(1 << 20))
        first = time.perf_counter() - start
        while not received.endswith(b"\r\n0\r\n\r\n"):
            data = await self._reader.read(1 << 20)
            if not data:
                break
            received += data
        total = time.perf_counter() - start
        if not answer.startswith(b"HTTP/1.1 200") or not received.endswith(b"\r\n0\r\n\r\n"):
            raise ValueError(f"{answer!r} {bytes(received[-300:])!r}")
        if b"connection: close" in answer.lower():
            self.close()
        return Reading(bytes(received), first, total)

    def close(self) -> None:
        """Closes the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def request_body(api: str, seed: int, plan: Plan) -> dict[str, Any]:
    """The body of a request to an API."""
    question = [{"role": "user", "content": question_of(seed)}]
    common: dict[str, Any] = {"model": plan.model, "stream": True}
    if api == "responses":
        return {**common, "input": question, "store": False}
    if api == "anthropic":
        return {**common, "messages": question, "max_tokens": plan.tokens + 100}
    return {**common, "messages": question}


def text_in(api: str, body: bytes) -> str:
    """The text of a stream."""
    texts = []
    for line in _unchunked(body).split(b"\n"):
        if not line.startswith(b"data: {"):
            continue
        shape = json.loads(line[6:])
        if api == "chat":
            texts += [choice["delta"].get("content") or "" for choice in shape["choices"]]
        elif shape["type"] == "response.output_text.delta":
            texts.append(shape["delta"])
        elif shape["type"] == "content_block_delta":
            texts.append(shape["delta"].get("text", ""))
    return "".join(texts)


def is_whole(api: str, body: bytes, seed: int, plan: Plan) -> bool:
    """Whether a stream has all of its text, and no other."""
    return text_in(api, body) == text_of(seed, plan.tokens)


def _unchunked(body: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].partition(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2

"""A server that sends recorded chunks of vLLM as fast as asyncio can, or one at a time.

    python benches/proxy/upstream.py PORT

The chunks of a request are made before its first byte is sent; those of the last requests are kept.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from streams import MODEL, Plan, chat_chunks, completion_chunks, seed_in

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
MODELS = json.dumps(
    {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "vllm", "max_model_len": 131072}]}
).encode()


@functools.lru_cache(1024)
def chunks_of(path: str, seed: int, model: str) -> list[bytes]:
    """The chunks of a request."""
    make = chat_chunks if path.endswith("/chat/completions") else completion_chunks
    return make(seed, Plan.of(model))


class Connection(asyncio.Protocol):
    """A connection to a client that sends one request after the other."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._received = b""
        self._resumed: asyncio.Event = asyncio.Event()
        self._resumed.set()
        self._sending: asyncio.Task[None] | None = None

    def connection_lost(self, error: Exception | None) -> None:
        if self._sending is not None:
            self._sending.cancel()

    def pause_writing(self) -> None:
        self._resumed.clear()

    def resume_writing(self) -> None:
        self._resumed.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        if len(body) < length:
            return
        self._received = b""
        self._answer(head.split(b" ", 2)[1].decode(), body)

    def _answer(self, path: str, body: bytes) -> None:
        if path.endswith("/models"):
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(MODELS)
            self._transport.write(head + MODELS)
            return
        request = json.loads(body)
        chunks = chunks_of(path, seed_in(request), request["model"])
        plan = Plan.of(request["model"])
        self._sending = asyncio.ensure_future(self._send(chunks, plan.interval))

    async def _send(self, chunks: list[bytes], interval: float) -> None:
        write = self._transport.write
        if not interval:
            # The first chunk by itself, as a model's first token comes.
            write(STREAM_HEAD + chunks[0])
            for start in range(1, len(chunks), 64):
                await self._resumed.wait()
                write(b"".join(chunks[start : start + 64]))
            return
        write(STREAM_HEAD)
        loop = asyncio.get_running_loop()
        due = loop.time()
        for chunk in chunks:
            write(chunk)
            due += interval
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            await self._resumed.wait()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

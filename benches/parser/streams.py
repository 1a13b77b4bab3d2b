"""Many streams at once on one core: how many chunks a second a process reads, with the bare SDK and with motet.

    python benches/parser/streams.py [--streams 200] [--chunks 200] [--rounds 5] [--only WORD] [--paced]

The chunks come from a transport of httpx within the process, each in a piece of its own behind a turn of the event loop,
so that httpx, the SDK and the event loop are measured and sockets are not. "motet without HTTP" reads the same pieces with
neither of them. With `--paced`, a chunk of each stream is released every 10 ms, which is 20,000 a second of 200 streams:
reported are the processor's time for each second, and how late the streams end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import httpx
import together
from overhead import KEY, MODEL, body_of

import motet
from motet.together.lanes.chat_reader import ChatLane
from motet.together.transport.request_machine import READ, Opened, RequestMachine, SdkCall

TICK = 0.01
"""Seconds between the chunks of a stream in the paced run."""
LIMITS: dict[str, Any] = {
    "max_cost": "1",
    "max_tokens": 100_000,
    "max_reasoning_tokens": 90_000,
    "on_limit": "answer",
    "timeout": 600,
}


class Pieces(httpx.AsyncByteStream):
    """A body whose pieces arrive one by one, each after `wait`."""

    def __init__(self, pieces: list[bytes], wait: Callable[[], Awaitable[object]]) -> None:
        self._pieces = pieces
        self._wait = wait

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await self._wait()
            yield piece


class Upstream(httpx.AsyncBaseTransport):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.wait: Callable[[], Awaitable[object]] = _next_turn

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=Pieces(self._pieces, self.wait), request=request)


class Clock:
    """Releases a chunk of each stream every `TICK` seconds, or when all have read the last, if that is later."""

    def __init__(self) -> None:
        self._next = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        await self._next

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += TICK
            await asyncio.sleep(max(due - loop.time(), 0))
            last, self._next = self._next, loop.create_future()
            last.set_result(None)


async def _next_turn() -> None:
    await asyncio.sleep(0)


def read_without_http(pieces: list[bytes]) -> None:
    """What motet does with the pieces of a body, up to its events."""
    call = SdkCall(
        endpoint="chat",
        arguments={},
        stream=True,
        reader=ChatLane(),
        key=None,
        lane_reason="",
        retries=0,
        timeout=600,
        first_token_timeout=None,
    )
    steps = RequestMachine(call).steps()
    next(steps)
    step = steps.send(Opened(200, {"content-type": "text/event-stream"}))
    for piece in pieces:
        while step is not READ:
            step = next(steps)
        step = steps.send(piece)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--paced", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pieces = [event + b"\n\n" for event in body_of(options.chunks).split(b"\n\n") if event]
    upstream = Upstream(pieces)
    sdk = together.AsyncTogether(api_key=KEY, http_client=httpx.AsyncClient(transport=upstream))
    model = motet.atom(MODEL, api_key=KEY, async_transport=upstream, lane="chat")

    async def transport() -> None:
        async for _ in Pieces(pieces, upstream.wait):
            pass

    async def own() -> None:
        read_without_http(pieces[:-1])

    async def bare() -> None:
        chunks = await sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        async for chunk in chunks:
            if chunk.choices:
                _ = chunk.choices[0].delta.content

    async def ours() -> None:
        async with model.astream("Hi") as stream:
            async for event in stream:
                _ = event.delta

    async def limited() -> None:
        with motet.budget("1"):
            async with model.astream("Hi", **LIMITS) as stream:
                async for event in stream:
                    _ = event.delta

    readers: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "the transport alone": transport,
        "motet without HTTP": own,
        "the bare SDK": bare,
        "motet": ours,
        "motet, all limits": limited,
    }
    readers = {name: read for name, read in readers.items() if options.only in name}
    count = options.streams * (len(pieces) - 1)

    async def run(read: Callable[[], Coroutine[Any, Any, None]]) -> float:
        """Seconds of the processor for all streams."""
        gc.collect()
        start = time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(options.streams):
                group.create_task(read())
        return time.process_time() - start

    if options.paced:
        scheduled = len(pieces) * TICK
        readers.pop("motet without HTTP", None)
        for name, read in readers.items():
            # A clock of its own: one that has fallen behind would hurry for the next reader.
            clock = Clock()
            upstream.wait = clock.wait
            ticking = asyncio.create_task(clock.run())
            start = time.perf_counter()
            used = await run(read)
            late = time.perf_counter() - start - scheduled
            print(f"{name:<20} {used / scheduled:5.2f} of the core's time, the end {late * 1e3:7,.0f} ms late")
            ticking.cancel()
        return
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(options.rounds):
        for name, read in readers.items():
            times[name].append(await run(read) / count)
    for name, taken in times.items():
        seconds = statistics.median(taken)
        print(f"{name:<20} {seconds * 1e6:6.1f} µs a chunk, {1 / seconds:9,.0f} chunks a second of the core")


if __name__ == "__main__":
    asyncio.run(main())

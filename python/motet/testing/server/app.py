"""A real HTTP server on this machine that answers as scripted, in the shapes of Together or of vLLM.

It runs in a thread of its own, checks each request against what the service documents, and can fail in every way in
which services fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from aiohttp import web

from motet._context import Closing
from motet.testing.script import Fault, Turn
from motet.testing.server import request_schema as requests
from motet.testing.server import wire_shapes as shapes
from motet.testing.server.routes import TrainingRoutes
from motet.testing.server.storage import form
from motet.testing.server.training_service import TrainingService

__all__ = ["Received", "ScriptedServer"]

Item: TypeAlias = Turn | Fault | str | Sequence[int]
Script: TypeAlias = Iterable[Item] | Callable[[Mapping[str, Any]], Item]

_ENDED = object()
_DROPPED = {"reset_before", "close_before", "silence_before", "reset_after"}
_ENDS = {"reset", "close", "silence", "comments"}
_ON_ITS_WAY = 0.005
"""Seconds: what was written has to be on its way before the connection ends."""
_WHOLE: Mapping[str, tuple[str, bytes]] = {
    "html": ("text/html", b"<!doctype html><title>Welcome</title><h1>It works</h1>"),
    "empty": ("application/json", b""),
    "null": ("application/json", b"null"),
    "list": ("application/json", b"[]"),
    "not_json": ("application/json", b'{"id": "scripted", "choices": [{"mess'),
    "no_choices": ("application/json", b'{"id": "scripted", "choices": []}'),
    "wrong_types": ("application/json", b'{"id": 7, "choices": {"0": "text"}, "usage": "none"}'),
    "error_body": (
        "application/json",
        b'{"error": {"message": "the engine broke down", "type": "server_error", "code": "internal"}}',
    ),
}
_EVENTS: Mapping[str, bytes] = {
    "bad_json": b'data: {"choices": [{"delta": {"content": \n\n',
    "bad_utf8": b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n',
    "html_event": b"data: <html>502 Bad Gateway</html>\n\n",
    "error_data": b'data: {"error": {"message": "the engine broke down", "type": "server_error"}}\n\n',
    "error_event": b'event: error\ndata: {"message": "too much to do", "type": "overloaded_error"}\n\n',
    "null_choice": b'data: {"id": "scripted", "choices": []}\n\n',
    "huge_event": b"data: " + b"x" * 9_000_000 + b"\n\n",
}


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    """What it held, as Python values; `None` if it held nothing, or no JSON."""


class ScriptedServer(Closing):
    """Answers requests with a script, turn by turn.

    - `script`: completions as the model writes them (text with markers, or token ids), `Turn`s and `Fault`s, in the
      order in which they are given out; or a function from a request's body to one of these.
    - `style`: `together`, or `vllm`, `sglang` or `llamacpp` for servers that give what the model wrote.
    - `key`: the only key that is let in. `None`: any.
    - `models`: what the list of models holds: ids, or whole entries as the service writes them. Any model may be
      asked.
    - `training`: what it knows of files and fine-tunes.
    - `port`: 0 for one that is free.

    A context manager: `url` is its address within the block. `requests` is what came.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        style: Literal["together", "vllm", "sglang", "llamacpp"] = "together",
        key: str | None = None,
        models: Iterable[str | Mapping[str, Any]] = ("openai/gpt-oss-120b",),
        training: TrainingService | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if isinstance(script, str | Turn | Fault):
            raise TypeError(f"script must be a list of turns or a function, not a single {type(script).__name__}")
        if style not in ("together", "vllm", "sglang", "llamacpp"):
            raise ValueError(f"style must be 'together', 'vllm', 'sglang' or 'llamacpp', not {style!r}")
        self._answer = script if callable(script) else None
        self._script: Iterator[Item] = iter(()) if callable(script) else iter(script)
        self._style = style
        self._key = key
        self.models: list[Any] = list(models)
        """What the list of models holds, from the next request on."""
        self.training = training or TrainingService()
        self._address = (host, port)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._failed: BaseException | None = None
        self._runner: web.AppRunner | None = None
        self._lock = threading.Lock()
        self.model_faults: list[Fault] = []
        """Faults of the list of models, given out one by one."""
        self.requests: list[Received] = []
        self.hung_up = threading.Event()
        """Set when a client closes the connection before its answer is whole."""

    @property
    def url(self) -> str:
        """Its address: `http://127.0.0.1:40123`."""
        host, port = self._address
        return f"http://{host}:{port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""

        async def count() -> int:
            server = self._runner.server if self._runner is not None else None
            return len(server.connections) if server is not None else 0

        if self._loop is None or self._loop.is_closed():
            return 0
        return asyncio.run_coroutine_threadsafe(count(), self._loop).result()

    def add(self, *items: Item) -> None:
        """More turns, after those that are left."""
        if self._answer is not None:
            raise ValueError("the script is a function: it says itself what comes next")
        with self._lock:
            self._script = itertools.chain(self._script, items)

    def start(self) -> Self:
        """Begins to listen."""
        self._thread = threading.Thread(target=self._run, name="scripted-server", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed
        return self

    def close(self) -> None:
        """Ends all connections, and itself."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failed = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_get("/v1/models", self._list_models)
        TrainingRoutes(self.training, self._receive, self._fail, self._break_off, self._keep).add(app.router)
        self._runner = runner = web.AppRunner(app, shutdown_timeout=0.05)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._address, backlog=1024).start()
            self._address = runner.addresses[0][:2]
            self._ready.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, "chat")

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, "completions")

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        refused = await self._receive(request)
        if refused is not None:
            return refused
        if self.model_faults:
            return await self._fail(request, self.model_faults.pop(0))
        return web.json_response(shapes.models(self._style, self.models))

    async def _receive(self, request: web.Request) -> web.Response | None:
        """Keeps a request. Gives the answer to one whose key is wrong."""
        data = await request.read()
        try:
            kind = request.headers.get("Content-Type", "")
            body = form(kind, data) if kind.startswith("multipart/") else json.loads(data) if data else None
        except ValueError:
            body = None
        self._keep(request, body)
        sent = request.headers.get("Authorization", "")
        if not sent.startswith("Bearer ") or (self._key is not None and sent != f"Bearer {self._key}"):
            return _error(401, "Invalid API key provided", "invalid_request_error", "invalid_api_key")
        return None

    def _keep(self, request: web.Request, body: Any) -> None:
        self.requests.append(Received(request.method, request.path, dict(request.headers), body))

    async def _complete(self, request: web.Request, endpoint: Literal["chat", "completions"]) -> web.StreamResponse:
        refused = await self._receive(request)
        if refused is not None:
            return refused
        number, body = len(self.requests), self.requests[-1].body
        wrong = requests.check(endpoint, body, self._style)
        if wrong is not None:
            return _error(400, f"the request is not as documented: {wrong}", "invalid_request_error", "bad_request")
        try:
            turn = self._next(body)
        except Exception as error:
            # Not the service's failure, which would be tried again: the test's, and it is to read it.
            said = f"the script failed: {type(error).__name__}: {error}"
            return _error(400, said, "invalid_request_error", "script_failed")
        if turn is None:
            return _error(400, "the script has no more turns", "invalid_request_error", "script_ended")
        await self._wait(request, turn.delay)
        fault = turn.fault
        instead = {"status", "redirect", *_DROPPED, *_WHOLE}
        if fault is not None and fault.kind in instead and not (fault.kind == "no_choices" and body.get("stream")):
            return await self._fail(request, fault)
        if body.get("stream") and (fault is None or fault.kind != "json_body"):
            make = shapes.chat_chunks if endpoint == "chat" else shapes.completion_chunks
            return await self._stream(request, turn, make(turn, body, number), body)
        whole = shapes.chat_whole if endpoint == "chat" else shapes.completion_whole
        return await self._whole(request, turn, whole(turn, body, number))

    def _next(self, body: Mapping[str, Any]) -> Turn | None:
        if self._answer is not None:
            return Turn.of(self._answer(body))
        with self._lock:
            item: Any = next(self._script, _ENDED)
        return None if item is _ENDED else Turn.of(item)

    async def _wait(self, request: web.Request, seconds: float) -> None:
        """Waits, unless the client leaves."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, 0.01))
            if request.transport is None or request.transport.is_closing():
                self.hung_up.set()
                raise asyncio.CancelledError

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """What comes in place of an answer."""
        if fault.kind == "status":
            if isinstance(fault.body, str):
                return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
            if fault.body is not None:
                return web.json_response(fault.body, status=fault.status, headers=fault.headers)
            return _error(fault.status, "scripted to fail", "server_error", None, fault.headers)
        if fault.kind == "redirect":
            return web.Response(status=307, headers={"Location": "http://elsewhere.invalid/v1/chat/completions"})
        if fault.kind in _WHOLE:
            kind, body = _WHOLE[fault.kind]
            return web.Response(body=body, content_type=kind)
        return await self._break_off(request, fault.kind.removesuffix("_before").removesuffix("_after"))

    async def _break_off(self, request: web.Request, how: str) -> web.StreamResponse:
        """Ends the connection, or lets it hang until the client gives up."""
        transport = request.transport
        if how == "silence":
            while transport is not None and not transport.is_closing():
                await asyncio.sleep(0.01)
            self.hung_up.set()
        elif transport is not None and how == "reset":
            # To linger for no time is to reset.
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        elif transport is not None:
            transport.close()
        raise asyncio.CancelledError

    async def _whole(self, request: web.Request, turn: Turn, shape: dict[str, Any]) -> web.StreamResponse:
        fault = turn.fault
        if fault is not None and fault.kind == "no_usage":
            del shape["usage"]
        if fault is not None and fault.kind == "no_finish":
            shape["choices"][0]["finish_reason"] = None
        data = json.dumps(shape, ensure_ascii=False).encode()
        if fault is not None and fault.kind == "bom":
            data = b"\xef\xbb\xbf" + data
        if fault is None or fault.kind not in ("reset", "close", "silence"):
            return web.Response(body=data, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2 if fault.after is None else fault.after])
        await asyncio.sleep(_ON_ITS_WAY)
        return await self._break_off(request, fault.kind)

    async def _stream(
        self, request: web.Request, turn: Turn, chunks: Iterator[dict[str, Any]], body: Mapping[str, Any]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        ending = ""
        try:
            for place, event in enumerate(_events(turn, chunks, body)):
                if isinstance(event, str):
                    ending = event
                    break
                if place:
                    await self._wait(request, turn.delay)
                for piece in _sliced(event, turn.slice):
                    await response.write(piece)
                    if turn.slice is not None:
                        await asyncio.sleep(0)
            while ending == "comments":
                await response.write(b": still there\n\n")
                await asyncio.sleep(0.02)
            if not ending:
                await response.write_eof()
        except ConnectionError:
            self.hung_up.set()
            raise
        if ending:
            await asyncio.sleep(_ON_ITS_WAY)
            return await self._break_off(request, ending)
        return response


def _events(turn: Turn, chunks: Iterator[dict[str, Any]], body: Mapping[str, Any]) -> Iterator[bytes | str]:
    """The bytes of a stream, event by event; a text says how the connection ends there."""
    kind, after = ("", 0) if turn.fault is None else (turn.fault.kind, turn.fault.after or 0)
    events = list(_sound(kind, chunks, body))
    for place, event in enumerate(events):
        if place == after:
            if kind in _EVENTS:
                yield _EVENTS[kind]
            elif kind in _ENDS:
                yield kind
            elif kind == "half_event":
                yield event[: len(event) // 2]
                return
            elif kind == "duplicate":
                yield event
        yield event
    if kind in _ENDS and after >= len(events):
        yield kind


def _sound(kind: str, chunks: Iterator[dict[str, Any]], body: Mapping[str, Any]) -> Iterator[bytes]:
    """The events of a stream without a fault that has a place: the last one is `[DONE]`."""
    wants_usage = (body.get("stream_options") or {}).get("include_usage") and kind != "no_usage"
    mark = b"\xef\xbb\xbf" if kind == "bom" else b""
    for chunk in chunks:
        if not chunk["choices"] and not wants_usage:
            continue
        if kind == "no_finish" and chunk["choices"]:
            chunk["choices"][0]["finish_reason"] = None
        if kind == "no_choices":
            chunk = {**chunk, "choices": []}
        event = mark + b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
        mark = b""
        if kind == "crlf":
            event = event.replace(b"\n", b"\r\n")
        if kind == "pings":
            event = b": ping\n\nevent: ping\ndata: {}\n\n\n\n" + event
        yield event
    if kind != "no_done":
        yield b"data: [DONE]\n\n"
    if kind == "after_done":
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "never"}}]}\n\n'


def _sliced(event: bytes, size: int | None) -> Iterator[bytes]:
    if size is None:
        yield event
        return
    for start in range(0, len(event), size):
        yield event[start : start + size]


def _error(
    status: int, message: str, kind: str, code: str | None, headers: Mapping[str, str] | None = None
) -> web.Response:
    shape = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return web.json_response(shape, status=status, headers=headers)

"""A real HTTP server on this machine that answers as scripted, with the face of a service.

It runs in a thread of its own, checks each request as the service does, and can fail in every way in which services
fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from aiohttp import web

from motet import _core
from motet._context import Closing
from motet.testing.script import Fault, Turn
from motet.testing.server import id_page_shapes, request_schema, wire_shapes
from motet.testing.server.batch_service import BatchService
from motet.testing.server.events import ENDS, stream_events
from motet.testing.server.faces import FACES, Face, FaceName
from motet.testing.server.routes import BatchRoutes, Connection, TrainingRoutes
from motet.testing.server.storage import form
from motet.testing.server.training_service import TrainingService

__all__ = ["Received", "ScriptedServer"]

Item: TypeAlias = Turn | Fault | str | Sequence[int]
Script: TypeAlias = Iterable[Item] | Callable[[Mapping[str, Any]], Item]
Endpoint: TypeAlias = Literal["chat", "completions", "generate"]

_SCRIPT_ENDED = object()
_DROPPED = {"reset_before", "close_before", "silence_before", "reset_after"}
FLUSH_SECONDS = 0.005
"""Time for written bytes to leave before the connection ends."""
_BODIES: Mapping[str, tuple[str, bytes]] = {
    "html": ("text/html", b"<!doctype html><title>Welcome</title><h1>It works</h1>"),
    "empty": ("application/json", b""),
    "null": ("application/json", b"null"),
    "list": ("application/json", b"[]"),
    "not_json": ("application/json", b'{"id": "scripted", "choices": [{"mess'),
    "no_choices": ("application/json", b'{"id": "scripted", "choices": []}'),
    "wrong_types": ("application/json", b'{"id": 7, "choices": {"0": "text"}, "usage": "none"}'),
}
"""Bodies of faults that replace a response, with the status 200."""
_ENGINE_ERROR = "the engine broke down"


@dataclass(frozen=True, slots=True)
class Received:
    """A request that the server received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    """The JSON value or form of the body. `None`: the body is empty or not JSON."""


class ScriptedServer(Closing):
    """Answers requests with a script, turn by turn.

    - `script`: completions as the model writes them (text with markers, or token ids), `Turn`s and `Fault`s, in order;
      or a function from a request's body to one of these.
    - `face`: the service whose defaults, shapes and errors it has: `together`, `vllm`, `sglang`, `llamacpp`, `ollama`,
      `lmstudio`, `groq` or `openrouter`. `style` is an older name of this argument.
    - `key`: the only valid key. `None`: any.
    - `models`: entries of the list of models: ids, or complete entries as the service writes them. Requests may name
      any model.
    - `training`: the state of its files and fine-tunes.
    - `batches`: the state of its batches of requests, which the script answers as well.
    - `context`: tokens of prompt and answer together. `None`: the face's.
    - `port`: 0 for a free one.

    A context manager: within the block `url` is its address, and `base_url` the prefix of its pages. `requests` lists
    what it received.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        face: FaceName | None = None,
        style: FaceName | None = None,
        key: str | None = None,
        models: Iterable[str | Mapping[str, Any]] = ("openai/gpt-oss-120b",),
        training: TrainingService | None = None,
        batches: BatchService | None = None,
        context: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if isinstance(script, str | Turn | Fault):
            raise TypeError(f"script must be a list of turns or a function, not a single {type(script).__name__}")
        self.face = _face(face or style or "together", context)
        self._answer = script if callable(script) else None
        self._script: Iterator[Item] = iter(()) if callable(script) else iter(script)
        self._key = key
        self.models: list[Any] = list(models)
        """Entries of the list of models, from the next request on."""
        self.training = training or TrainingService()
        self.batches = batches or BatchService()
        self._address = (host, port)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._runner: web.AppRunner | None = None
        self._lock = threading.Lock()
        self.model_faults: list[Fault] = []
        """Faults of requests for the list of models, in order."""
        self.requests: list[Received] = []
        self.hung_up = threading.Event()
        """Set when a client closes the connection before its response is complete."""

    @property
    def url(self) -> str:
        """Its address, as `http://127.0.0.1:40123`."""
        host, port = self._address
        return f"http://{host}:{port}"

    @property
    def base_url(self) -> str:
        """The address that clients of the service are given, with the path: `.../v1`, on Groq `.../openai/v1`."""
        return self.url + self.face.path

    @property
    def connections(self) -> int:
        """The number of open connections."""

        async def count() -> int:
            server = self._runner.server if self._runner is not None else None
            return len(server.connections) if server is not None else 0

        if self._loop is None or self._loop.is_closed():
            return 0
        return asyncio.run_coroutine_threadsafe(count(), self._loop).result()

    def add(self, *items: Item) -> None:
        """Appends turns to the script."""
        if self._answer is not None:
            raise ValueError("the script is a function: it says itself what comes next")
        with self._lock:
            self._script = itertools.chain(self._script, items)

    def start(self) -> Self:
        """Starts to listen."""
        self._thread = threading.Thread(target=self._run, name="scripted-server", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def close(self) -> None:
        """Closes all connections and stops the server."""
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
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[self._note_hang_up])
        self._add_routes(app.router)
        self._runner = runner = web.AppRunner(app, shutdown_timeout=0.05)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._address, backlog=1024).start()
            self._address = runner.addresses[0][:2]
            self._started.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()

    @web.middleware
    async def _note_hang_up(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Cancels a handler whose client has closed the connection: aiohttp logs all other exceptions as errors."""
        try:
            return await handler(request)
        except ConnectionError:
            if request.transport is not None and not request.transport.is_closing():
                raise
            self.hung_up.set()
            raise asyncio.CancelledError from None

    def _add_routes(self, router: web.UrlDispatcher) -> None:
        path = self.face.path
        router.add_post(f"{path}/chat/completions", self._chat)
        if self.face.has_completions:
            router.add_post(f"{path}/completions", self._completions)
        router.add_get(f"{path}/models", self._list_models)
        if self.face.name == "vllm":
            router.add_post("/inference/v1/generate", self._generate)
            router.add_post("/tokenize", self._tokenize)
        elif self.face.name == "sglang":
            router.add_post("/generate", self._generate)
        connection = Connection(self._receive, self._fail, self._break_off, self._keep)
        TrainingRoutes(self.training, connection).add(router)
        BatchRoutes(self.batches, self.training.storage, connection, self._answer_in_batch).add(router)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, "chat")

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, "completions")

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, "generate")

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        refusal = await self._receive(request)
        if refusal is not None:
            return refusal
        if self.model_faults:
            return await self._fail(request, self.model_faults.pop(0))
        return web.json_response(wire_shapes.models(self.face, self.models))

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        refusal = await self._receive(request)
        if refusal is not None:
            return refusal
        body = self.requests[-1].body
        if not isinstance(body, Mapping) or not isinstance(body.get("prompt", body.get("messages")), str | list):
            return self._error(400, "prompt: Input should be a valid string", "BadRequestError", None)
        tokens = wire_shapes.prompt_ids(body)
        return web.json_response({"count": len(tokens), "max_model_len": self.face.context, "tokens": tokens})

    async def _receive(self, request: web.Request) -> web.Response | None:
        """Keeps a request. Returns the response to one with a wrong key."""
        data = await request.read()
        try:
            kind = request.headers.get("Content-Type", "")
            body = form(kind, data) if kind.startswith("multipart/") else json.loads(data) if data else None
        except ValueError:
            body = None
        self._keep(request, body)
        authorization = request.headers.get("Authorization", "")
        valid = authorization.startswith("Bearer ") and self._key in (None, authorization.removeprefix("Bearer "))
        if not valid:
            return self._error(401, "Invalid API key provided", "invalid_request_error", "invalid_api_key")
        return None

    def _keep(self, request: web.Request, body: Any) -> None:
        self.requests.append(Received(request.method, request.path, dict(request.headers), body))

    async def _complete(self, request: web.Request, endpoint: Endpoint) -> web.StreamResponse:
        refusal = await self._receive(request)
        if refusal is not None:
            return refusal
        number, body = len(self.requests), self.requests[-1].body
        problem = request_schema.problem(endpoint, body, self.face)
        if problem is not None:
            message = f"the request is not as documented: {problem}" if self.face.name == "together" else problem
            return self._error(400, message, "invalid_request_error", "bad_request")
        if self.face.drops_messages:
            body = wire_shapes.fitted(body, self.face)
        overflow = self._overflow(body)
        if overflow is not None:
            return overflow
        try:
            turn = self._next(body)
        except Exception as error:
            # A failure of the test, not of the service: status 400 is not retried, so the test reads it.
            message = f"the script failed: {type(error).__name__}: {error}"
            return self._error(400, message, "invalid_request_error", "script_failed")
        if turn is None:
            return self._error(400, "the script has no more turns", "invalid_request_error", "script_ended")
        await self._wait(request, turn.delay)
        fault = turn.fault
        replaces = {"status", "redirect", "error_body", *_DROPPED, *_BODIES}
        if fault is not None and fault.kind in replaces and not (fault.kind == "no_choices" and body.get("stream")):
            return await self._fail(request, fault)
        if self.face.checks_calls and (unknown := _unknown_call(turn, body)) is not None:
            return self._tool_use_failed(turn, unknown)
        if body.get("stream") and (fault is None or fault.kind != "json_body"):
            return await self._stream(request, turn, _CHUNKS[endpoint](turn, body, number, self.face), body)
        return await self._whole(request, turn, _WHOLE[endpoint](turn, body, number, self.face))

    def _answer_in_batch(self, path: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """The status and the body of the response to a request of a batch."""
        endpoint: Endpoint = "chat" if path.endswith("/chat/completions") else "completions"
        problem = request_schema.problem(endpoint, body, self.face)
        if problem is None and (turn := self._next(body)) is not None:
            if turn.fault is None or turn.fault.kind != "status":
                return 200, _WHOLE[endpoint](turn, body, sum(self.batches.answered.values()), self.face)
            return turn.fault.status, self.face.error(turn.fault.status, "scripted to fail", "server_error", None)
        message = problem or "the script has no more turns"
        return 400, self.face.error(400, message, "invalid_request_error", "bad_request")

    def _next(self, body: Mapping[str, Any]) -> Turn | None:
        if self._answer is not None:
            return Turn.of(self._answer(body))
        with self._lock:
            item: Any = next(self._script, _SCRIPT_ENDED)
        return None if item is _SCRIPT_ENDED else Turn.of(item)

    def _overflow(self, body: Mapping[str, Any]) -> web.Response | None:
        """The error for a request that does not fit into the context. `None`: it fits."""
        prompt = wire_shapes.prompt_tokens(body)
        face = self.face
        limits = body.get("sampling_params", body)
        output = 0 if face.spare_tokens is None else limits.get("max_tokens") or 0
        if prompt < face.context and prompt + output <= face.context - (face.spare_tokens or 0):
            return None
        wording = face.overflow_message
        if prompt >= face.context and face.long_prompt_message is not None:
            wording = face.long_prompt_message
        message = wording.format(limit=face.context, prompt=prompt, output=output, tokens=prompt + output)
        kind = "exceed_context_size_error" if face.name == "llamacpp" else "invalid_request_error"
        shape = face.error(400, message, kind, face.overflow_code)
        if face.name == "llamacpp":
            shape["error"] |= {"n_prompt_tokens": prompt, "n_ctx": face.context}
        return web.json_response(shape, status=400)

    def _tool_use_failed(self, turn: Turn, name: str) -> web.Response:
        message = f"Tool call validation failed: attempted to call tool '{name}' which was not in request.tools"
        shape = self.face.error(400, message, "invalid_request_error", "tool_use_failed")
        shape["error"]["failed_generation"] = _core.decode(turn.ids)
        return web.json_response(shape, status=400)

    async def _wait(self, request: web.Request, seconds: float) -> None:
        """Waits, unless the client closes the connection."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, 0.01))
            if request.transport is None or request.transport.is_closing():
                self.hung_up.set()
                raise asyncio.CancelledError

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """The response, or the end of the connection, in place of an answer."""
        if fault.kind == "status":
            if isinstance(fault.body, str):
                return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
            if fault.body is not None:
                return web.json_response(fault.body, status=fault.status, headers=fault.headers)
            return self._error(fault.status, "scripted to fail", "server_error", None, fault.headers)
        if fault.kind == "redirect":
            return web.Response(status=307, headers={"Location": "http://elsewhere.invalid/v1/chat/completions"})
        if fault.kind == "error_body":
            return web.json_response(self.face.error(500, _ENGINE_ERROR, "server_error", "internal"))
        if fault.kind in _BODIES:
            kind, body = _BODIES[fault.kind]
            return web.Response(body=body, content_type=kind)
        return await self._break_off(request, fault.kind.removesuffix("_before").removesuffix("_after"))

    async def _break_off(self, request: web.Request, how: str) -> web.StreamResponse:
        """Ends the connection, or leaves it open until the client closes it."""
        transport = request.transport
        if how == "silence":
            while transport is not None and not transport.is_closing():
                await asyncio.sleep(0.01)
            self.hung_up.set()
        elif transport is not None and how == "reset":
            # SO_LINGER with 0 seconds makes the close a reset.
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        elif transport is not None:
            transport.close()
        raise asyncio.CancelledError

    async def _whole(self, request: web.Request, turn: Turn, shape: dict[str, Any]) -> web.StreamResponse:
        fault = turn.fault
        if fault is not None and fault.kind == "no_usage":
            shape.pop("usage", None)
            shape.pop("timings", None)
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
        await asyncio.sleep(FLUSH_SECONDS)
        return await self._break_off(request, fault.kind)

    async def _stream(
        self, request: web.Request, turn: Turn, chunks: Iterator[dict[str, Any]], body: Mapping[str, Any]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        ending = ""
        for place, event in enumerate(stream_events(turn, chunks, body, self.face)):
            if isinstance(event, str):
                ending = event
                break
            if place:
                await self._wait(request, turn.delay)
            for part in _sliced(event, turn.slice):
                await response.write(part)
                if turn.slice is not None:
                    await asyncio.sleep(0)
        while ending == "comments":
            await response.write(b": still there\n\n")
            await asyncio.sleep(0.02)
        if ending:
            assert ending in ENDS
            await asyncio.sleep(FLUSH_SECONDS)
            return await self._break_off(request, ending)
        await response.write_eof()
        return response

    def _error(
        self, status: int, message: str, kind: str, code: str | None, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        return web.json_response(self.face.error(status, message, kind, code), status=status, headers=headers)


_CHUNKS: Mapping[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "chat": wire_shapes.chat_chunks,
    "completions": wire_shapes.completion_chunks,
    "generate": id_page_shapes.generate_chunks,
}
_WHOLE: Mapping[str, Callable[..., dict[str, Any]]] = {
    "chat": wire_shapes.chat_whole,
    "completions": wire_shapes.completion_whole,
    "generate": id_page_shapes.generate_whole,
}


def _face(name: str, context: int | None) -> Face:
    if name not in FACES:
        raise ValueError(f"face must be one of {', '.join(FACES)}: {name!r}")
    return FACES[name].with_context(context)


def _unknown_call(turn: Turn, body: Mapping[str, Any]) -> str | None:
    """The name of a call in the completion for which the request has no tool."""
    tools = [str((tool.get("function") or {}).get("name")) for tool in body.get("tools") or ()]
    calls = _core.parse(turn.ids, tools=tools).tool_calls
    return next((call.name for call in calls if call.name not in tools), None)


def _sliced(event: bytes, size: int | None) -> Iterator[bytes]:
    if size is None:
        yield event
        return
    for start in range(0, len(event), size):
        yield event[start : start + size]

"""A proxy over real sockets or within the process, before a scripted server or a fake backend."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from motet.proxy import app
from motet.testing import ScriptedServer

MODEL = "openai/gpt-oss-120b"
HI = [{"role": "user", "content": "How is the weather?"}]
GET_WEATHER: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: dict[str, list[dict[str, Any]]] = {
    "chat": [{"type": "function", "function": {"name": "get_weather", "parameters": GET_WEATHER}}],
    "responses": [{"type": "function", "name": "get_weather", "parameters": GET_WEATHER}],
    "anthropic": [{"name": "get_weather", "input_schema": GET_WEATHER}],
}
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages"}


def body_of(api: str, **fields: Any) -> dict[str, Any]:
    """The body of a request to an API."""
    question = {"input": HI} if api == "responses" else {"messages": HI}
    limit = {"max_tokens": 100_000} if api == "anthropic" else {}
    return {"model": MODEL, **question, **limit, **fields}


@contextmanager
def served(application: ASGIApp) -> Iterator[str]:
    """The address of an application that uvicorn serves in a thread."""
    config = uvicorn.Config(application, port=0, log_level="warning", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    started = threading.Event()
    start = server.startup

    async def startup(sockets: Any = None) -> None:
        await start(sockets)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    thread.start()
    assert started.wait(30)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def proxied(
    *script: Any, face: Any = "vllm", server: Any = None, **settings: Any
) -> Iterator[tuple[str, ScriptedServer]]:
    """The address of a proxy before a scripted server. `server`: settings of the scripted server."""
    script = script[0] if len(script) == 1 and callable(script[0]) else script
    with ScriptedServer(script, face=face, **(server or {})) as upstream:
        if face in ("groq", "openrouter", "together"):
            from motet.proxy import Upstream

            settings.setdefault("upstream", Upstream(url=upstream.base_url, service=face, key="upstream-key"))
        else:
            settings.setdefault("upstream", upstream.url)
        with served(app(**settings)) as url:
            yield url, upstream


@dataclass(frozen=True)
class AsgiResponse:
    """A response of an application within the process."""

    status: int
    headers: dict[str, str]
    chunks: list[bytes]

    @property
    def body(self) -> bytes:
        """All chunks."""
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        """The JSON value of the body."""
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of an event stream, without the mark of its end."""
        lines = self.body.decode().split("\n")
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [json.loads(text) for text in data if text != "[DONE]"]


async def call(
    application: ASGIApp, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> AsgiResponse:
    """A request to an application, without a socket. `body`: bytes, or a value that is sent as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {"host": "localhost", "content-type": "application/json", **(headers or {})}
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1234),
    }
    requests = [{"type": "http.request", "body": data, "more_body": False}]
    start: dict[str, Any] = {}
    chunks: list[bytes] = []
    ended = asyncio.Event()

    async def receive() -> Any:
        if requests:
            return requests.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message.get("body"):
            chunks.append(message["body"])

    try:
        await application(scope, receive, send)
    finally:
        ended.set()
    names = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return AsgiResponse(start["status"], names, chunks)

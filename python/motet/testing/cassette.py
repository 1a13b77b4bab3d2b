"""Real exchanges, recorded once and played back for ever: an HTTP transport for the SDK's own client.

A recording is keyed by the request (method, path and body), so a changed prompt is a miss, and a miss is loud.
Neither keys nor other headers of the request are recorded.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from motet.errors import ConfigError

__all__ = ["Cassette", "CassetteMissError"]

_KEPT_HEADERS = ("content-type", "retry-after", "retry-after-ms", "x-request-id", "x-should-retry", "location")


class CassetteMissError(ConfigError):
    """A request was made that the cassette does not hold."""


class Cassette(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A file of exchanges, one JSON object a line: `motet.atom(slug, transport=Cassette("answers.jsonl"))`.

    - `mode`: `replay` answers from the file alone; `record` asks the service each time and writes the file anew;
      `auto` asks for what the file does not hold, and adds it.

    The same request several times is answered with its recordings in their order; the last one then stays.
    """

    def __init__(self, path: str | Path, *, mode: Literal["replay", "record", "auto"] = "replay") -> None:
        if mode not in ("replay", "record", "auto"):
            raise ConfigError(f"mode must be 'replay', 'record' or 'auto', not {mode!r}")
        self.path = Path(path)
        self.mode = mode
        self._lock = threading.Lock()
        self._heads: dict[str, int] = {}
        self._inner: httpx.HTTPTransport | None = None
        self._async_inner: httpx.AsyncHTTPTransport | None = None
        self._held: dict[str, list[dict[str, Any]]] = {}
        if mode == "replay" and not self.path.exists():
            raise CassetteMissError(f"there is no cassette {self.path}; record one with mode='record'")
        if mode == "record":
            self.path.write_text("")
        elif self.path.exists():
            self._load()

    def _load(self) -> None:
        for number, line in enumerate(self.path.read_text("utf-8").splitlines(), 1):
            try:
                shape = json.loads(line)
                self._held.setdefault(_key(shape["request"]), []).append(shape["response"])
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"line {number} of the cassette {self.path} cannot be read: {error}") from error

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = _asked(request, request.read())
        secret = _plain(request)
        found = self._find(asked)
        if found is not None:
            return found
        if self._inner is None:
            self._inner = httpx.HTTPTransport()
        response = self._inner.handle_request(request)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Recorder(self, asked, secret, response),
            request=request,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = _asked(request, await request.aread())
        secret = _plain(request)
        found = self._find(asked)
        if found is not None:
            return found
        if self._async_inner is None:
            self._async_inner = httpx.AsyncHTTPTransport()
        response = await self._async_inner.handle_async_request(request)
        stream = _AsyncRecorder(self, asked, secret, response)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, request=request)

    def _find(self, asked: dict[str, Any]) -> httpx.Response | None:
        key = _key(asked)
        with self._lock:
            held = self._held.get(key, ()) if self.mode != "record" else ()
            if held:
                place = self._heads.get(key, 0)
                self._heads[key] = place + 1
                shape = held[min(place, len(held) - 1)]
                body = shape["body"].encode("utf-8", "surrogateescape")
                return httpx.Response(shape["status"], headers=shape["headers"], content=body)
        if self.mode == "replay":
            body = json.dumps(asked["body"], ensure_ascii=False)
            raise CassetteMissError(
                f"the cassette {self.path} has no answer to {asked['method']} {asked['path']} with {body[:300]}; "
                "record it with mode='auto'"
            )
        return None

    def keep(self, asked: dict[str, Any], secret: str, response: httpx.Response, body: bytes) -> None:
        """Adds an exchange to the file."""
        kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        shape = {"status": response.status_code, "headers": kept, "body": body.decode("utf-8", "surrogateescape")}
        line = json.dumps({"request": asked, "response": shape}, ensure_ascii=True)
        if secret:
            # A service that refuses a key says which.
            line = line.replace(secret, "[key]")
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            self._held.setdefault(_key(asked), []).append(shape)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()

    async def aclose(self) -> None:
        if self._async_inner is not None:
            await self._async_inner.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


class _Recorder(httpx.SyncByteStream):
    """Passes a body on while it arrives, and keeps it when it is whole."""

    def __init__(self, cassette: Cassette, asked: dict[str, Any], secret: str, response: httpx.Response) -> None:
        self._cassette, self._asked, self._secret, self._response = cassette, asked, secret, response

    def __iter__(self) -> Iterator[bytes]:
        pieces = []
        assert isinstance(self._response.stream, httpx.SyncByteStream)
        for piece in self._response.stream:
            pieces.append(piece)
            yield piece
        self._cassette.keep(self._asked, self._secret, self._response, b"".join(pieces))

    def close(self) -> None:
        self._response.close()


class _AsyncRecorder(httpx.AsyncByteStream):
    """`_Recorder`, awaited."""

    def __init__(self, cassette: Cassette, asked: dict[str, Any], secret: str, response: httpx.Response) -> None:
        self._cassette, self._asked, self._secret, self._response = cassette, asked, secret, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = []
        assert isinstance(self._response.stream, httpx.AsyncByteStream)
        async for piece in self._response.stream:
            pieces.append(piece)
            yield piece
        self._cassette.keep(self._asked, self._secret, self._response, b"".join(pieces))

    async def aclose(self) -> None:
        await self._response.aclose()


def _plain(request: httpx.Request) -> str:
    """Asks for an answer that is not compressed, so that a recording can be read. Gives the key that is sent."""
    request.headers["accept-encoding"] = "identity"
    sent: str = request.headers.get("authorization", "")
    return sent.removeprefix("Bearer ")


def _asked(request: httpx.Request, body: bytes) -> dict[str, Any]:
    """A request without what changes from run to run, and without its secrets, which all stand in headers."""
    try:
        shape = json.loads(body) if body else None
    except ValueError:
        shape = body.decode("utf-8", "replace")
    return {"method": request.method, "path": request.url.raw_path.decode("ascii"), "body": shape}


def _key(asked: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

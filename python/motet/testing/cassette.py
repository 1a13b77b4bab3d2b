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

    The same request several times is answered with its recordings in their order; the last one then stays. A stream
    that is left early is recorded as far as it was read. It serves `aask` and `astream`, too.
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
        if mode != "replay":
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if mode == "record":
            self.path.write_text("")
        elif self.path.exists():
            self._load()

    @property
    def needs_key(self) -> bool:
        """Whether a service may be asked. What is only played back needs no key."""
        return self.mode != "replay"

    def _load(self) -> None:
        for number, line in enumerate(self.path.read_text("utf-8").splitlines(), 1):
            try:
                shape = json.loads(line)
                response = shape["response"]
                # As it will be played back: a line that is broken is to be known now.
                _played(response)
                self._held.setdefault(_key(shape["request"]), []).append(response)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ConfigError(f"line {number} of the cassette {self.path} cannot be read: {error!r}") from error

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        secret = _plain(request)
        asked = _asked(request, request.read(), secret)
        found = self._find(asked)
        if found is not None:
            return found
        if self._inner is None:
            self._inner = httpx.HTTPTransport()
        response = self._inner.handle_request(request)
        tape = _Tape(self, asked, secret, response)
        return httpx.Response(response.status_code, headers=response.headers, stream=_Recorder(tape), request=request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        secret = _plain(request)
        asked = _asked(request, await request.aread(), secret)
        found = self._find(asked)
        if found is not None:
            return found
        if self._async_inner is None:
            self._async_inner = httpx.AsyncHTTPTransport()
        response = await self._async_inner.handle_async_request(request)
        stream = _AsyncRecorder(_Tape(self, asked, secret, response))
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, request=request)

    def _find(self, asked: dict[str, Any]) -> httpx.Response | None:
        key = _key(asked)
        with self._lock:
            held = self._held.get(key, ()) if self.mode != "record" else ()
            if held:
                place = self._heads.get(key, 0)
                self._heads[key] = place + 1
                return _played(held[min(place, len(held) - 1)])
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
        # A service that refuses a key says which.
        line = _without(secret, json.dumps({"request": asked, "response": shape}, ensure_ascii=True))
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            self._held.setdefault(_key(asked), []).append(shape)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()
            self._inner = None

    async def aclose(self) -> None:
        if self._async_inner is not None:
            await self._async_inner.aclose()
            self._async_inner = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


class _Tape:
    """A body that is being recorded: kept when it is whole, or as far as somebody wanted to have it."""

    def __init__(self, cassette: Cassette, asked: dict[str, Any], secret: str, response: httpx.Response) -> None:
        self._cassette, self._asked, self._secret = cassette, asked, secret
        self._pieces: list[bytes] | None = []
        self.response = response

    def hear(self, piece: bytes) -> bytes:
        assert self._pieces is not None
        self._pieces.append(piece)
        return piece

    def stop(self) -> None:
        """The end, or nobody listens any more: streams end before their last byte is asked for."""
        if self._pieces is None:
            return
        body, self._pieces = b"".join(self._pieces), None
        if self.response.headers.get("content-encoding", "identity") != "identity":
            # Compressed although it was asked not to be.
            body = httpx.Response(200, headers=self.response.headers, content=body).content
        self._cassette.keep(self._asked, self._secret, self.response, body)

    def tear(self) -> None:
        """A broken connection is nothing to play back."""
        self._pieces = None


class _Recorder(httpx.SyncByteStream):
    """Passes a body on while it arrives."""

    def __init__(self, tape: _Tape) -> None:
        self._tape = tape

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._tape.response.stream, httpx.SyncByteStream)
        try:
            for piece in self._tape.response.stream:
                yield self._tape.hear(piece)
        except Exception:
            self._tape.tear()
            raise
        self._tape.stop()

    def close(self) -> None:
        self._tape.stop()
        self._tape.response.close()


class _AsyncRecorder(httpx.AsyncByteStream):
    """`_Recorder`, awaited."""

    def __init__(self, tape: _Tape) -> None:
        self._tape = tape

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._tape.response.stream, httpx.AsyncByteStream)
        try:
            async for piece in self._tape.response.stream:
                yield self._tape.hear(piece)
        except Exception:
            self._tape.tear()
            raise
        self._tape.stop()

    async def aclose(self) -> None:
        self._tape.stop()
        await self._tape.response.aclose()


def _played(shape: Any) -> httpx.Response:
    """A recording, as a response."""
    body = shape["body"].encode("utf-8", "surrogateescape")
    return httpx.Response(shape["status"], headers=shape["headers"], content=body)


def _plain(request: httpx.Request) -> str:
    """Asks for an answer that is not compressed, so that a recording can be read. Gives the key that is sent."""
    request.headers["accept-encoding"] = "identity"
    sent: str = request.headers.get("authorization", "")
    return sent.removeprefix("Bearer ")


def _without(secret: str, text: str) -> str:
    # What is shorter than this is no key, and would be found in common words.
    return text.replace(json.dumps(secret)[1:-1], "[key]") if len(secret) >= 8 else text


def _asked(request: httpx.Request, body: bytes, secret: str) -> dict[str, Any]:
    """A request without what changes from run to run, and without its secrets, which stand in headers or are quoted."""
    text = _without(secret, body.decode("utf-8", "replace"))
    try:
        shape = json.loads(text) if text else None
    except ValueError:
        shape = text
    return {"method": request.method, "path": request.url.raw_path.decode("ascii"), "body": shape}


def _key(asked: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

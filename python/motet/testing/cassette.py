"""Recorded exchanges: an HTTP transport for the SDK's own client that records responses and replays them.

A recording is keyed by the request's method, path and body. A request without a recording is an error. Keys and other
request headers are not recorded.
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

_RECORDED_HEADERS = ("content-type", "retry-after", "retry-after-ms", "x-request-id", "x-should-retry", "location")
MIN_KEY_CHARS = 8
"""A shorter key is not removed from recordings: it may occur in common words."""


class CassetteMissError(ConfigError):
    """The cassette has no recording of a request, or the file is missing."""


class Cassette(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A file of exchanges, one JSON object a line: `motet.atom(slug, transport=Cassette("answers.jsonl"))`.

    - `mode`: `replay` answers from the file only; `record` sends each request and writes the file anew; `auto` sends
      requests that the file does not have, and adds them.

    Equal requests are answered with their recordings in order, and with the last one from then on. A stream that is
    left early is recorded as far as it was read. Works for async requests, too.
    """

    def __init__(self, path: str | Path, *, mode: Literal["replay", "record", "auto"] = "replay") -> None:
        if mode not in ("replay", "record", "auto"):
            raise ConfigError(f"mode must be 'replay', 'record' or 'auto', not {mode!r}")
        self.path = Path(path)
        self.mode = mode
        self._lock = threading.Lock()
        self._positions: dict[str, int] = {}
        self._inner: httpx.HTTPTransport | None = None
        self._async_inner: httpx.AsyncHTTPTransport | None = None
        self._recordings: dict[str, list[dict[str, Any]]] = {}
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
        """True unless all responses are replayed."""
        return self.mode != "replay"

    def _load(self) -> None:
        for number, line in enumerate(self.path.read_text("utf-8").splitlines(), 1):
            try:
                shape = json.loads(line)
                response = shape["response"]
                # Built here as well, so that a damaged line is an error now and not in the middle of a test.
                _replayed(response)
                self._recordings.setdefault(_digest(shape["request"]), []).append(response)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ConfigError(f"line {number} of the cassette {self.path} cannot be read: {error!r}") from error

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The recorded response, or the server's while recording. Raises `CassetteMissError` for neither."""
        key = _prepare(request)
        description = _described(request, request.read(), key)
        recording = self._recording(description)
        if recording is not None:
            return recording
        if self._inner is None:
            self._inner = httpx.HTTPTransport()
        response = self._inner.handle_request(request)
        stream = _RecordedStream(_Recorder(self, description, key, response))
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, request=request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """`handle_request`, awaited."""
        key = _prepare(request)
        description = _described(request, await request.aread(), key)
        recording = self._recording(description)
        if recording is not None:
            return recording
        if self._async_inner is None:
            self._async_inner = httpx.AsyncHTTPTransport()
        response = await self._async_inner.handle_async_request(request)
        stream = _AsyncRecordedStream(_Recorder(self, description, key, response))
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, request=request)

    def _recording(self, description: dict[str, Any]) -> httpx.Response | None:
        """The recorded response. `None`: the request has to be sent. Raises `CassetteMissError` in mode `replay`."""
        digest = _digest(description)
        with self._lock:
            recordings = self._recordings.get(digest, ()) if self.mode != "record" else ()
            if recordings:
                position = self._positions.get(digest, 0)
                self._positions[digest] = position + 1
                return _replayed(recordings[min(position, len(recordings) - 1)])
        if self.mode == "replay":
            body = json.dumps(description["body"], ensure_ascii=False)
            raise CassetteMissError(
                f"the cassette {self.path} has no answer to {description['method']} {description['path']} "
                f"with {body[:300]}; record it with mode='auto'"
            )
        return None

    def keep(self, description: dict[str, Any], key: str, response: httpx.Response, body: bytes) -> None:
        """Adds an exchange to the file."""
        headers = {name: response.headers[name] for name in _RECORDED_HEADERS if name in response.headers}
        shape = {"status": response.status_code, "headers": headers, "body": body.decode("utf-8", "surrogateescape")}
        # Services that refuse a key quote it.
        line = _without_key(json.dumps({"request": description, "response": shape}, ensure_ascii=True), key)
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            self._recordings.setdefault(_digest(description), []).append(shape)

    def close(self) -> None:
        """Closes the connections of a recording cassette. httpx calls it."""
        if self._inner is not None:
            self._inner.close()
            self._inner = None

    async def aclose(self) -> None:
        """`close`, awaited."""
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


class _Recorder:
    """A body while it is recorded. It is kept when it ends or is closed, and dropped if the connection breaks."""

    def __init__(self, cassette: Cassette, description: dict[str, Any], key: str, response: httpx.Response) -> None:
        self._cassette, self._description, self._key = cassette, description, key
        self._chunks: list[bytes] | None = []
        """`None`: recorded or dropped."""
        self.response = response

    def add(self, chunk: bytes) -> bytes:
        assert self._chunks is not None
        self._chunks.append(chunk)
        return chunk

    def keep(self) -> None:
        """Records the body so far: readers of streams stop before its last byte."""
        if self._chunks is None:
            return
        body, self._chunks = b"".join(self._chunks), None
        if self.response.headers.get("content-encoding", "identity") != "identity":
            # Some services compress although the request excludes it.
            body = httpx.Response(200, headers=self.response.headers, content=body).content
        self._cassette.keep(self._description, self._key, self.response, body)

    def drop(self) -> None:
        """A broken connection is not recorded."""
        self._chunks = None


class _RecordedStream(httpx.SyncByteStream):
    """Passes a body on while it arrives."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._recorder.response.stream, httpx.SyncByteStream)
        try:
            for chunk in self._recorder.response.stream:
                yield self._recorder.add(chunk)
        except Exception:
            self._recorder.drop()
            raise
        self._recorder.keep()

    def close(self) -> None:
        self._recorder.keep()
        self._recorder.response.close()


class _AsyncRecordedStream(httpx.AsyncByteStream):
    """`_RecordedStream`, awaited."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._recorder.response.stream, httpx.AsyncByteStream)
        try:
            async for chunk in self._recorder.response.stream:
                yield self._recorder.add(chunk)
        except Exception:
            self._recorder.drop()
            raise
        self._recorder.keep()

    async def aclose(self) -> None:
        self._recorder.keep()
        await self._recorder.response.aclose()


def _replayed(shape: Any) -> httpx.Response:
    """A recording as a response."""
    body = shape["body"].encode("utf-8", "surrogateescape")
    return httpx.Response(shape["status"], headers=shape["headers"], content=body)


def _prepare(request: httpx.Request) -> str:
    """Asks for an uncompressed response, so that recordings are readable. Returns the key in the request."""
    request.headers["accept-encoding"] = "identity"
    authorization: str = request.headers.get("authorization", "")
    return authorization.removeprefix("Bearer ")


def _without_key(text: str, key: str) -> str:
    return text.replace(json.dumps(key)[1:-1], "[key]") if len(key) >= MIN_KEY_CHARS else text


def _described(request: httpx.Request, body: bytes, key: str) -> dict[str, Any]:
    """A request without headers, which differ between runs and hold secrets, and without quoted keys."""
    text = _without_key(body.decode("utf-8", "replace"), key)
    try:
        shape = json.loads(text) if text else None
    except ValueError:
        shape = text
    return {"method": request.method, "path": request.url.raw_path.decode("ascii"), "body": shape}


def _digest(description: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()

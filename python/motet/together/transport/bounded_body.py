"""Response bodies in bounded memory.

httpx decompresses each chunk in one step, up to a thousandfold, and the SDK reads the body of an error to its end,
however long it is.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import httpx

from motet.together.transport.cancellation import run_shielded

__all__ = ["ACCEPTED_ENCODING", "aguard", "guard"]

ACCEPTED_ENCODING = "gzip"
"""The `accept-encoding` of requests. Other encodings are not decompressed."""
MAX_ERROR_BYTES = 1024 * 1024
"""The rest of an error's body is not read."""
_CHUNK_BYTES = 64 * 1024


def guard(response: httpx.Response) -> None:
    """An event hook for `httpx.Client`: bodies arrive in small chunks, and bodies of errors have a size limit."""
    if not isinstance(response.stream, _BoundedBody):
        encoding = response.headers.pop("content-encoding", "identity").strip().lower()
        response.stream = _BoundedBody(response.stream, encoding, None if response.is_success else MAX_ERROR_BYTES)


async def aguard(response: httpx.Response) -> None:
    """`guard`, for `httpx.AsyncClient`."""
    guard(response)


class _BoundedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body, decompressed chunk by chunk, up to a limit. A body with a limit may break off: its status is enough."""

    def __init__(self, inner: httpx.SyncByteStream | httpx.AsyncByteStream, encoding: str, limit: int | None) -> None:
        self._inner = inner
        self._encoding = encoding
        self._limit = limit
        self._is_plain = encoding == "identity" and limit is None
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._inner, httpx.SyncByteStream)
        return iter(self._inner) if self._is_plain else self._chunks(self._inner)

    def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._inner, httpx.AsyncByteStream)
        return self._inner.__aiter__() if self._is_plain else self._achunks(self._inner)

    def _chunks(self, inner: httpx.SyncByteStream) -> Iterator[bytes]:
        try:
            decompress = _decompressor(self._encoding)
            for data in inner:
                for chunk in decompress(data):
                    yield chunk
                    if self._reaches_limit(chunk):
                        return
        except (httpx.TransportError, httpx.DecodingError):
            if self._limit is None:
                raise

    async def _achunks(self, inner: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
        try:
            decompress = _decompressor(self._encoding)
            async for data in inner:
                for chunk in decompress(data):
                    yield chunk
                    if self._reaches_limit(chunk):
                        return
        except (httpx.TransportError, httpx.DecodingError):
            if self._limit is None:
                raise

    def _reaches_limit(self, chunk: bytes) -> bool:
        self._size += len(chunk)
        return self._limit is not None and self._size >= self._limit

    def close(self) -> None:
        assert isinstance(self._inner, httpx.SyncByteStream)
        self._inner.close()

    async def aclose(self) -> None:
        assert isinstance(self._inner, httpx.AsyncByteStream)
        await run_shielded(self._inner.aclose)


def _decompressor(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """A function from compressed bytes to chunks. Raises `httpx.DecodingError` for encodings that are not accepted."""
    if encoding == "identity":
        return lambda data: iter((data,))
    if encoding != ACCEPTED_ENCODING:
        raise httpx.DecodingError(f"its content-encoding {encoding:.40} was not asked for")
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def decompress(data: bytes) -> Iterator[bytes]:
        is_full = True
        while data or is_full:
            try:
                chunk = stream.decompress(data, _CHUNK_BYTES)
            except zlib.error as error:
                raise httpx.DecodingError(str(error)) from error
            # All input may be consumed while output is still pending.
            data, is_full = stream.unconsumed_tail, len(chunk) == _CHUNK_BYTES
            if chunk:
                yield chunk

    return decompress

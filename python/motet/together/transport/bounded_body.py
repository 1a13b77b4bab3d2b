"""Bodies in bounded memory, that are closed whatever happens.

httpx inflates in one go what comes, a thousandfold if it has to, and the SDK reads an error's body to its end, however
long that is.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import httpx

from motet.together.transport.cancellation import to_the_end

__all__ = ["ACCEPTED", "aguard", "guard"]

ACCEPTED = "gzip"
"""The encoding that is asked for. Others are not inflated."""
MAX_ERROR_BYTES = 1024 * 1024
"""Of the body of an error, what comes later is not read."""
_PIECE = 64 * 1024


def guard(response: httpx.Response) -> None:
    """An event hook for `httpx.Client`: bodies arrive in small pieces, and those of errors have an end."""
    if not isinstance(response.stream, _Guarded):
        encoding = response.headers.pop("content-encoding", "identity").strip().lower()
        response.stream = _Guarded(response.stream, encoding, None if response.is_success else MAX_ERROR_BYTES)


async def aguard(response: httpx.Response) -> None:
    """`guard`, for `httpx.AsyncClient`."""
    guard(response)


class _Guarded(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body, inflated piece by piece, up to a limit. A body that has a limit may break off: its status says enough."""

    def __init__(self, inner: httpx.SyncByteStream | httpx.AsyncByteStream, encoding: str, limit: int | None) -> None:
        self._inner = inner
        self._encoding = encoding
        self._limit = limit
        self._plain = encoding == "identity" and limit is None
        self._given = 0

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._inner, httpx.SyncByteStream)
        return iter(self._inner) if self._plain else self._pieces(self._inner)

    def _pieces(self, inner: httpx.SyncByteStream) -> Iterator[bytes]:
        try:
            inflated = _inflater(self._encoding)
            for data in inner:
                for piece in inflated(data):
                    yield piece
                    if self._enough(piece):
                        return
        except (httpx.TransportError, httpx.DecodingError):
            if self._limit is None:
                raise

    def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._inner, httpx.AsyncByteStream)
        return self._inner.__aiter__() if self._plain else self._apieces(self._inner)

    async def _apieces(self, inner: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
        try:
            inflated = _inflater(self._encoding)
            async for data in inner:
                for piece in inflated(data):
                    yield piece
                    if self._enough(piece):
                        return
        except (httpx.TransportError, httpx.DecodingError):
            if self._limit is None:
                raise

    def _enough(self, piece: bytes) -> bool:
        self._given += len(piece)
        return self._limit is not None and self._given >= self._limit

    def close(self) -> None:
        assert isinstance(self._inner, httpx.SyncByteStream)
        self._inner.close()

    async def aclose(self) -> None:
        assert isinstance(self._inner, httpx.AsyncByteStream)
        await to_the_end(self._inner.aclose)


def _inflater(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """What makes pieces of a body's bytes. Raises `httpx.DecodingError` for an encoding that was not asked for."""
    if encoding == "identity":
        return lambda data: iter((data,))
    if encoding != ACCEPTED:
        raise httpx.DecodingError(f"its content-encoding {encoding:.40} was not asked for")
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def inflate(data: bytes) -> Iterator[bytes]:
        full = True
        while data or full:
            try:
                piece = stream.decompress(data, _PIECE)
            except zlib.error as error:
                raise httpx.DecodingError(str(error)) from error
            # All of the input may be taken in while there is still output to come.
            data, full = stream.unconsumed_tail, len(piece) == _PIECE
            if piece:
                yield piece

    return inflate

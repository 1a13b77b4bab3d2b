"""Reads the chunked bodies of streams in large steps.

Servers send each event in an HTTP chunk of its own, and httpcore passes each chunk on by itself through h11 and five
generators, which takes longer than reading the event. Here all chunks that have arrived are one piece. h11 sees the
body without them, so that it still decides about its end, and about the next request on the connection.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import h11
import httpcore
import httpx

__all__ = ["ChunkSplitter", "read_in_large_steps"]

READ_BYTES = 64 * 1024
_HEAD = re.compile(rb"([0-9a-fA-F]{1,7})\r\n")
"""The line before a chunk, in the form that servers write. h11 reads all others."""
_PATH = ("_inner", "_stream", "_httpcore_stream", "_stream", "_connection")
"""Attributes from the stream of a response to its connection."""


def read_in_large_steps(response: httpx.Response) -> None:
    """Makes the body of a response arrive in large pieces, if it is chunked HTTP/1.1.

    Replaces a private method of the connection, as httpcore has no setting for it. With other attributes than those of
    httpcore 1, nothing is replaced.
    """
    connection: Any = response.stream
    for name in _PATH:
        connection = getattr(connection, name, None)
    if not isinstance(connection, httpcore.AsyncHTTP11Connection):
        return
    attributes = vars(connection)
    attributes.pop("_receive_response_body", None)
    if response.headers.get("transfer-encoding", "").lower() == "chunked" and {"_h11_state", "_network_stream"} <= set(
        attributes
    ):
        attributes["_receive_response_body"] = partial(_receive, connection)


async def _receive(connection: Any, request: httpcore.Request) -> AsyncIterator[bytes]:
    """The body in pieces, in place of the connection's `_receive_response_body`."""
    timeout = request.extensions.get("timeout", {}).get("read")
    state, network = connection._h11_state, connection._network_stream
    splitter = ChunkSplitter()
    # What came with the headers is in h11 already, which reads the open chunk of it to its end.
    goes_to_h11 = splitter.split(state.trailing_data[0])[1] != b""
    lacking, splitter.left = splitter.left, 0
    body, end = _drain(state)
    while True:
        if body:
            yield body
        if isinstance(end, Exception):
            raise httpcore.RemoteProtocolError(end) from end
        if end is not h11.NEED_DATA:
            return
        data = await network.read(READ_BYTES, timeout=timeout)
        body = b""
        if data and not goes_to_h11:
            if lacking:
                state.receive_data(data[:lacking])
                data, lacking = data[lacking:], max(lacking - len(data), 0)
                body, end = _drain(state)
            chunks, data = splitter.split(data)
            body += b"".join(chunks)
            if not data:
                continue
            goes_to_h11 = True
        state.receive_data(data)
        last, end = _drain(state)
        body += last


def _drain(state: h11.Connection) -> tuple[bytes, Any]:
    """The data that h11 has, and the event or the exception behind it."""
    pieces = []
    try:
        while isinstance(event := state.next_event(), h11.Data):
            pieces.append(bytes(event.data))
    except h11.RemoteProtocolError as error:
        return b"".join(pieces), error
    return b"".join(pieces), event


class ChunkSplitter:
    """Takes complete and open chunks out of a chunked body."""

    def __init__(self) -> None:
        self.left = 0
        """Bytes that the open chunk lacks, its line end included."""

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The contents of chunks, and the bytes from the first on that this class does not read: the last chunk, and
        lines in another form or without their end."""
        chunks = []
        at = 0
        if self.left:
            size = min(max(self.left - 2, 0), len(data))
            chunks.append(data[:size])
            at = min(self.left, len(data))
            if not b"\r\n"[max(2 - self.left, 0) :].startswith(data[size:at]):
                return chunks, data[size:]
            self.left -= at
        while at < len(data):
            head = _HEAD.match(data, at)
            if head is None or not (size := int(head[1], 16)):
                return chunks, data[at:]
            start = head.end()
            end = start + size
            if len(data) < end + 2:
                chunks.append(data[start:end])
                self.left = end + 2 - len(data)
                if not b"\r\n".startswith(data[end:]):
                    return chunks, data[end:]
                return chunks, b""
            if data[end : end + 2] != b"\r\n":
                return [*chunks, data[start:end]], data[end:]
            chunks.append(data[start:end])
            at = end + 2
        return chunks, b""

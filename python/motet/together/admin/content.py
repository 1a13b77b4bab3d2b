"""The content of a file or a checkpoint of the service, as a stream that can begin at any byte."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import together

from motet.together.admin.client import AdminClient

__all__ = ["Content", "open_content"]


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a content, or the rest of them, as a stream."""

    chunks: Iterator[bytes]
    start: int
    """The position of the first byte in the content."""
    total: int | None
    """The size of the content. `None`: unknown."""
    etag: str | None
    """The service's name of this version."""
    sha256: str | None
    """Of the content, hexadecimal. `None`: unknown."""


@contextlib.contextmanager
def open_content(
    client: AdminClient,
    call: Callable[[together.Together, Mapping[str, str]], Any],
    what: str,
    *,
    start: int = 0,
    etag: str | None = None,
    page: str = r"text/html",
) -> Iterator[Content]:
    """A content from byte `start` on, if it still is the version `etag`; else from its beginning.

    - `call`: makes the SDK's streaming call with headers.
    - `page`: a pattern of content types of pages of proxies and stores, which are not `what`.
    """
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        # A weak etag does not promise equal bytes.
        headers |= {"If-Range": etag} if etag and not etag.startswith("W/") else {}
    with client.stream(lambda sdk: call(sdk, headers), headers) as (response, chunks):
        first, total = _extent(response.headers)
        kind = response.headers.get("content-type", "")
        if re.match(page, kind):
            raise client.unexpected(f"{what}: {kind or 'no bytes'}", next(chunks, b""))
        yield Content(chunks, first, total, response.headers.get("etag"), _digest(response.headers))


def _extent(headers: Mapping[str, str]) -> tuple[int, int | None]:
    """The position of a body in the whole, and the size of the whole."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("content-range", "").strip())
    if match is not None:
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = headers.get("content-length", "")
    return 0, int(length) if length.isascii() and length.isdecimal() else None


def _digest(headers: Mapping[str, str]) -> str | None:
    """The SHA-256 of the whole, in the headers of RFC 9530, RFC 3230 and S3."""
    digest = headers.get("repr-digest", "") or headers.get("digest", "")
    match = re.search(r"(?i)\bsha-256=:?([A-Za-z0-9+/]+=*):?", digest)
    text = match[1] if match is not None else headers.get("x-amz-checksum-sha256", "")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data.hex() if len(data) == 32 else None

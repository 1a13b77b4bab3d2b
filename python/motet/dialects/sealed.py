"""Reasoning in fields that clients send back unread: `encrypted_content` (Responses) and `signature` (Anthropic).

The text is packed, not encrypted: gpt-oss's reasoning is no secret from the client that pays for it, and a field that
needs no key can be read by any proxy of a group.
"""

from __future__ import annotations

import base64
import binascii
import zlib

__all__ = ["seal", "unseal"]

_PREFIX = "motet1."
MAX_TEXT_BYTES = 4_000_000
"""Of an unpacked text: more than a whole context. A hostile text could unpack to a thousand times its size."""


def seal(text: str) -> str:
    """A text as opaque ASCII."""
    packed = zlib.compress(text.encode("utf-8", "surrogatepass"), 6)
    return _PREFIX + base64.urlsafe_b64encode(packed).decode("ascii")


def unseal(sealed: object) -> str | None:
    """The text. `None` for values that `seal` did not make."""
    if not isinstance(sealed, str) or not sealed.startswith(_PREFIX):
        return None
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.urlsafe_b64decode(sealed[len(_PREFIX) :]), MAX_TEXT_BYTES)
        return data.decode("utf-8", "surrogatepass") if unpacking.eof else None
    except (binascii.Error, zlib.error, UnicodeError, ValueError):
        return None

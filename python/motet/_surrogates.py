"""Text that UTF-8 cannot encode: lone surrogates, which JSON may escape and JavaScript may cut out of a character."""

from __future__ import annotations

__all__ = ["is_unicode", "joined_surrogates"]


def is_unicode(text: str) -> bool:
    """True if the text has no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def joined_surrogates(text: str) -> str:
    """The text with pairs of surrogates as characters, and lone ones replaced by U+FFFD."""
    if is_unicode(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

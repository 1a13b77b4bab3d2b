"""Texts whose control, direction and invisible characters are shown as escapes, for terminals and pages."""

from __future__ import annotations

import re

__all__ = ["CONTROL", "CONTROLS", "escaped", "visible"]

CONTROLS = (
    r"\r(?!\n)"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1.
    r"\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f"  # Marks and overrides of text direction, invisible operators.
    r"\u200b\ufeff"  # Spaces without a width.
    r"\u2028\u2029\ufff9-\ufffb"  # Line and paragraph separators, annotations.
    r"\ud800-\udfff\U000e0000-\U000e007f]"  # Lone surrogates, and tags, which hide ASCII.
)
CONTROL = re.compile(CONTROLS)


def visible(text: str) -> str:
    """Text with `\\x1b` and the like in the place of characters that control a terminal or the direction of text, or
    that hide in it.

    Line feeds, tabs and the joiners of emoji and scripts stay; a carriage return stays before a line feed.
    """
    return CONTROL.sub(lambda match: escaped(match[0]), text)


def escaped(character: str) -> str:
    """`\\x1b`, `\\u202e` or `\\U000e0001`."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

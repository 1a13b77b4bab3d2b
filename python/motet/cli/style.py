"""Colours by kind of part."""

from __future__ import annotations

import os
from typing import TextIO

from motet.cli.terminal import paint

__all__ = ["Style"]

_CODES = {
    "reasoning": "2;36",
    "preamble": "33",
    "text": "1;32",
    "tool_call": "35",
    "tool_result": "34",
    "system_content": "36",
    "developer_content": "36",
    "stray": "31",
    "markup": "90",
    "repair": "1;31",
    "title": "1",
}
"""SGR codes."""


class Style:
    """Colours text by its kind, if `choice` is `always`, or `auto` and the stream a terminal that shows colours."""

    def __init__(self, choice: str, stream: TextIO) -> None:
        terminal = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.on = choice == "always" or (choice == "auto" and terminal)

    def __call__(self, kind: str | None, text: str) -> str:
        code = _CODES.get(kind or "", "")
        return paint(code, text) if self.on and code and text else text

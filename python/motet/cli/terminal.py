"""The only place that writes to the terminal: text cannot control it, and every text can be written.

Output holds text of models, tools and servers. `main` puts a `SafeStream` in the place of standard output and standard
error, so that `print` is safe everywhere in the command line.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

from motet._visible_text import CONTROL, CONTROLS, escaped, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

__all__ = ["json_text", "paint", "safe_output", "unfiltered", "visible"]

_SECRET = os.urandom(8).hex()
"""Part of the command line's own escape sequences, so that no other text can contain one."""
_PAINT = rf"\x1b\[{_SECRET};([\d;]+)m"

_paint_or_control = re.compile(f"{_PAINT}|{CONTROLS}")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Compact or indented JSON that standard output can encode and a terminal does not obey."""
    import json

    unicode = (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")
    text = json.dumps(value, ensure_ascii=not unicode, indent=indent)
    # Within JSON, control characters stand in strings only, where a `\u` escape is the same character.
    return CONTROL.sub(lambda match: json.dumps(match[0])[1:-1] if match[0] != "\x7f" else "\\u007f", text)


def paint(code: str, text: str) -> str:
    """Text in the colours of an SGR code, for a `SafeStream`."""
    return f"\x1b[{_SECRET};{code}m{visible(text)}\x1b[{_SECRET};0m"


class _SafeStream:
    """A text stream that writes the colours of `paint` and makes all other control characters visible.

    Characters that the encoding lacks are written as `\\u2602` and the like, instead of ending the command.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._carriage_return = ""
        """A final one is held back: whether a line feed follows is in the next text."""

    def write(self, text: str) -> int:
        whole = self._carriage_return + text
        self._carriage_return = "\r" if whole.endswith("\r") else ""
        safe = _paint_or_control.sub(_replacement, whole.removesuffix("\r"))
        encoding = self.stream.encoding or "utf-8"
        self.stream.write(safe.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def finish(self) -> None:
        """Writes what is held back."""
        if self._carriage_return:
            self.stream.write(visible(self._carriage_return))
            self._carriage_return = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _replacement(match: re.Match[str]) -> str:
    code = match[1]
    return f"\x1b[{code}m" if code else escaped(match[0])


@contextlib.contextmanager
def safe_output() -> Iterator[None]:
    """Standard output and standard error through safe streams, within the block."""
    out, err = _SafeStream(sys.stdout), _SafeStream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            with contextlib.suppress(OSError, ValueError):
                out.finish()
                err.finish()


def unfiltered(stream: TextIO) -> TextIO:
    """The stream beneath a safe one: for exact output that is not a terminal, and for rich, which writes escape
    sequences of its own around texts that are `visible` already."""
    return stream.stream if isinstance(stream, _SafeStream) else stream

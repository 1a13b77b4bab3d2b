"""Server-sent events: bytes in, events out. Knows the syntax of the stream and nothing of what is in it.

The SDK's own reader takes half an event at the end for none and a byte order mark for a field's name, and has no
limit; so a stream that was cut looks whole. This one can say what was left over.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["MAX_EVENT_BYTES", "EventReader", "EventTooLongError"]

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""A single event of more bytes than this is no part of an answer: the longest real ones have a few hundred."""


class EventTooLongError(ValueError):
    """An event has no end."""


class EventReader:
    """Reads a stream in pieces of any size: `(name, data)` for each event; the name is empty if none was given."""

    def __init__(self) -> None:
        self._line_so_far: list[bytes] = []
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """The events that end in this piece. Raises `EventTooLongError`."""
        self._size += len(chunk)
        self._line_so_far.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk and not (self._begun and self._ends_in_return()):
            self._check()
            return
        lines = self._take().splitlines(keepends=True)
        # A carriage return at the end may be the first half of a line's end.
        if not lines[-1].endswith(b"\n"):
            self._line_so_far.append(lines.pop())
        for line in lines:
            event = self._line(line.rstrip(b"\r\n"))
            if event is not None:
                yield event
        self._size = sum(map(len, self._line_so_far)) + sum(map(len, self._data))
        self._check()

    def close(self) -> tuple[str, bytes] | None:
        """At the end of the stream: what was begun of an event that the empty line never ended."""
        rest = self._take().rstrip(b"\r\n")
        if rest:
            self._line(rest)
        return self._line(b"")

    def _take(self) -> bytes:
        """What there is of the line so far, without the byte order mark that a stream may begin with."""
        data = b"".join(self._line_so_far)
        self._line_so_far.clear()
        if not self._begun:
            self._begun = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        return data

    def _ends_in_return(self) -> bool:
        return len(self._line_so_far) > 1 and self._line_so_far[-2].endswith(b"\r")

    def _check(self) -> None:
        if self._size > MAX_EVENT_BYTES:
            raise EventTooLongError(f"an event of more than {MAX_EVENT_BYTES} bytes")

    def _line(self, line: bytes) -> tuple[str, bytes] | None:
        if not line:
            event = (self._name, b"\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

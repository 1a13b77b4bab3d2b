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
        self._begun = False
        self._sizes = [0, 0]
        """Bytes of the event so far: of its whole lines, and of the one that is begun."""

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """The events that end in this piece. Raises `EventTooLongError`."""
        self._line_so_far.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk and not (self._begun and self._ends_in_return()):
            self._grow(1, len(chunk))
            return
        lines = self._take().splitlines(keepends=True)
        self._sizes[1] = 0
        # A carriage return at the end may be the first half of a line's end.
        if not lines[-1].endswith(b"\n"):
            self._line_so_far.append(lines.pop())
        for line in lines:
            bare = line.rstrip(b"\r\n")
            if bare:
                self._grow(0, len(bare))
                self._line(bare)
                continue
            self._sizes[0] = 0
            if self._data:
                yield self._event()
            self._name = ""
        self._grow(1, sum(map(len, self._line_so_far)))

    def close(self) -> tuple[str, bytes] | None:
        """At the end of the stream: what was begun of an event that the empty line never ended."""
        rest = self._take().rstrip(b"\r\n")
        if rest:
            self._line(rest)
        return self._event() if self._data else None

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

    def _grow(self, part: int, size: int) -> None:
        self._sizes[part] += size
        if sum(self._sizes) > MAX_EVENT_BYTES:
            raise EventTooLongError(f"an event of more than {MAX_EVENT_BYTES} bytes")

    def _line(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")

    def _event(self) -> tuple[str, bytes]:
        event = (self._name, b"\n".join(self._data))
        self._data = []
        return event

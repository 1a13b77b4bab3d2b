"""Server-sent events: bytes in, events out. Knows the syntax of the stream, not what the events contain.

The SDK's reader drops a partial event at the end, reads a byte order mark as part of a field name, and has no size
limit, so a cut stream looks complete. This reader returns the partial event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["MAX_EVENT_BYTES", "EventReader", "EventTooLongError"]

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""An event with more bytes is not part of an answer: the longest real ones have a few hundred."""
_NEWLINE, _RETURN = b"\n\r"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLongError(ValueError):
    """An event exceeds `MAX_EVENT_BYTES`."""


class EventReader:
    """Reads a stream in chunks of any size: `(name, data)` for each event; the name is empty if the event has none."""

    def __init__(self) -> None:
        self._partial_line: list[bytes] = []
        self._name = ""
        self._data: list[bytes] = []
        self._started = False
        self._sizes = [0, 0]
        """Bytes of the current event: of its complete lines, and of the partial line."""

    def feed(self, chunk: bytes) -> Iterable[tuple[str, bytes]]:
        """The events that end in this chunk. Raises `EventTooLongError`, while they are read."""
        if self._data or self._name or not self._started or _NEWLINE not in chunk:
            return self._feed_lines(chunk)
        return self._whole_events(chunk) or self._feed_lines(chunk)

    def _whole_events(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The events of a chunk where each is one line of data, in the form that services write; none if one is not.

        Takes half as long as reading by lines.
        """
        if self._partial_line:
            chunk = b"".join(self._partial_line) + chunk
        if _RETURN in chunk or len(chunk) > MAX_EVENT_BYTES:
            return []
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if len(lines) % 2 or any(lines[1::2]):
            return []
        events = [("", line[6:]) for line in lines[::2] if line[:6] == b"data: "]
        if 2 * len(events) != len(lines):
            return []
        self._partial_line = [rest] if rest else []
        self._sizes = [0, len(rest)]
        return events

    def _feed_lines(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        self._partial_line.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk and not (self._started and self._ends_in_return()):
            self._grow(1, len(chunk))
            return
        lines = self._take().splitlines(keepends=True)
        self._sizes[1] = 0
        # A carriage return at the end may be the first half of a line ending.
        if not lines[-1].endswith(b"\n"):
            self._partial_line.append(lines.pop())
        for line in lines:
            content = line.rstrip(b"\r\n")
            if content:
                self._grow(0, len(content))
                self._line(content)
                continue
            self._sizes[0] = 0
            if self._data:
                yield self._event()
            self._name = ""
        self._grow(1, sum(map(len, self._partial_line)))

    def close(self) -> tuple[str, bytes] | None:
        """At the end of the stream: the event that no empty line ended, or `None`."""
        rest = self._take().rstrip(b"\r\n")
        if rest:
            self._line(rest)
        return self._event() if self._data else None

    def _take(self) -> bytes:
        """The pending bytes, without the byte order mark that a stream may begin with."""
        data = b"".join(self._partial_line)
        self._partial_line.clear()
        if not self._started:
            self._started = True
            data = data.removeprefix(_BYTE_ORDER_MARK)
        return data

    def _ends_in_return(self) -> bool:
        return len(self._partial_line) > 1 and self._partial_line[-2].endswith(b"\r")

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
        elif field == b"error":
            # llama.cpp before the end of 2025 writes the name of the event in place of `data`.
            self._name = "error"
            self._data.append(value)

    def _event(self) -> tuple[str, bytes]:
        event = (self._name, b"\n".join(self._data))
        self._data = []
        return event

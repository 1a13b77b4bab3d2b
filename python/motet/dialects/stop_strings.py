"""The client's stop strings in what it sees of a reply.

Servers that are asked in the raw lanes would find them in the reasoning as well, and end the reply there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from motet._core import Event
from motet.message import Message, Part, Preamble, Text

__all__ = ["StopStrings", "cut_message"]

_TEXTS = frozenset(("text", "preamble"))


class StopStrings:
    """Passes events on up to the first stop string in a text. Text that may begin one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.match: str | None = None
        """The stop string that occurred. Later events are to be dropped."""

    def feed(self, event: Event) -> Iterator[Event]:
        """The events for an event, without text from a stop string on."""
        if not self._stops or event.kind not in _TEXTS or event.type not in ("delta", "end"):
            yield event
            return
        text, self._held = self._held + event.delta, ""
        match = _first_match(text, self._stops)
        if match is not None:
            place, self.match = match
            text = text[:place]
        elif event.type == "delta":
            held = max([_overlap(text, stop) for stop in self._stops])
            text, self._held = text[: len(text) - held], text[len(text) - held :]
        if text:
            header = (event.role, event.name, event.channel, event.recipient, event.content_type)
            yield Event("delta", event.kind, event.index, text, *header, None, None, event.call_id)
        if event.type == "end" and self.match is None:
            yield event


def _first_match(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Where a stop string begins, and which: the one that is whole first, as in a text that arrives by characters."""
    places = [(place + len(stop), place, stop) for stop in stops if stop and (place := text.find(stop)) >= 0]
    return min(places)[1:] if places else None


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text may begin the stop string."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


def cut_message(message: Message, stops: Sequence[str]) -> Message:
    """The message up to the first stop string in its texts, as `StopStrings` shows it."""
    parts: list[Part] = []
    for part in message.content:
        if isinstance(part, Text | Preamble):
            match = _first_match(part.text, stops)
            if match is not None:
                text = part.text[: match[0]]
                return replace(message, content=(*parts, *([replace(part, text=text)] if text else [])))
        parts.append(part)
    return message

"""Events of the streaming parser as text or JSON lines."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from typing import Any

import motet
from motet.cli.style import Style
from motet.cli.terminal import json_text

__all__ = ["EventPrinter", "channel_counts", "repair_line"]


class EventPrinter:
    """Prints events when they arrive: frames below their labels, in colour, or one JSON object a line."""

    def __init__(self, style: Style, *, as_json: bool = False) -> None:
        self.style = style
        self.as_json = as_json
        self._in_frame = False

    def show(self, events: Iterable[motet.Event]) -> None:
        for event in events:
            if self.as_json:
                print(json_text(_event_dict(event)))
            else:
                self._show(event)
        sys.stdout.flush()

    def _show(self, event: motet.Event) -> None:
        match event.type:
            case "start":
                self._end_line()
                target = f" {event.recipient}" if event.kind == "tool_call" and event.recipient else ""
                print(self.style("title", event.kind or "") + target)
                self._in_frame = True
            case "delta":
                print(self.style(event.kind, event.delta), end="")
            case "end":
                print()
                self._end_line()
            case "repair" if event.repair is not None:
                self._end_line()
                print(repair_line(event.repair, self.style))

    def _end_line(self) -> None:
        if self._in_frame:
            print()
        self._in_frame = False

    def end(self, completion: motet.Completion) -> None:
        """Prints the stop token and the tokens of each channel, unless the output is JSON."""
        if not self.as_json:
            facts = f"stop: {completion.stop or 'none'}   tokens: {channel_counts(completion)}"
            print(self.style("markup", facts))


def channel_counts(completion: motet.Completion) -> str:
    return ", ".join([f"{name} {count}" for name, count in completion.tokens.items()])


def repair_line(repair: motet.Repair, style: Style) -> str:
    """The code, the position, the text and the message of a repair."""
    text = f" {repair.text[:60]!r}:" if repair.text else ""
    return style("repair", f"! {repair.code} at {repair.position}:") + f"{text} {repair.message}"


def _event_dict(event: motet.Event) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": event.type, "index": event.index}
    match event.type:
        case "start":
            fields = ("kind", "role", "name", "channel", "recipient", "content_type")
            shape |= {name: value for name in fields if (value := getattr(event, name)) is not None}
        case "delta":
            shape |= {"kind": event.kind, "delta": event.delta}
        case "end":
            shape |= {"kind": event.kind, "stop": event.stop}
        case "repair" if event.repair is not None:
            shape |= dataclasses.asdict(event.repair)
    return shape

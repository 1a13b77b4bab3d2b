"""`motet parse`: a raw completion to typed messages."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import motet
from motet.cli.style import Style, add_input, add_output, add_reading, ids_of, read_bytes, tool_list, visible

__all__ = ["EventPrinter", "register"]


def register(commands: Any) -> None:
    parser = commands.add_parser("parse", help="a raw completion to typed messages")
    add_input(parser)
    parser.add_argument("--stream", action="store_true", help="print events while the input arrives")
    add_reading(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    style, tools = Style(options.color, sys.stdout), tool_list(options.tools)
    if options.stream:
        _stream(options, style, tools)
        return
    data = read_bytes(options.file)
    ids = ids_of(data, options)
    raw = data if ids is None else ids
    role = _role(options, data, ids)
    completion = motet.parse(raw, role=role, tools=tools, strict=options.strict, stripped=options.stripped)
    _print_json(completion) if options.json else print(_summary(completion, style))


def _stream(options: argparse.Namespace, style: Style, tools: list[Any] | None) -> None:
    chunks = _chunks(options)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head.lstrip()) >= len(_START):
            break
    ids = None
    if options.ids or (not options.text and head.lstrip()[:1] == b"["):
        # A JSON list is read whole; its ids are then fed one by one.
        head += b"".join(chunks)
        ids = ids_of(head, options)
    role = _role(options, head, ids)
    parser = motet.StreamParser(role, tools=tools, strict=options.strict, stripped=options.stripped)
    printer = EventPrinter(style, as_json=options.json)
    for piece in itertools.chain([head], chunks) if ids is None else ids:
        printer.show(parser.feed(piece))
    printer.show(parser.close())
    printer.end(parser.completion)


_START = b"<|start|>"


def _role(options: argparse.Namespace, head: bytes, ids: list[int] | None) -> Any:
    """The role that the prompt ended with; none if the input begins with a `<|start|>` of its own."""
    own = head.lstrip().startswith(_START) if ids is None else ids[:1] == [motet.SPECIAL_TOKENS["<|start|>"]]
    return None if own or options.role == "none" else options.role


def _chunks(options: argparse.Namespace) -> Iterator[bytes]:
    """The input as it arrives."""
    if options.file == "-":
        while chunk := os.read(sys.stdin.fileno(), 65536):
            yield chunk
    else:
        with Path(options.file).open("rb") as file:
            while chunk := file.read(65536):
                yield chunk


def _print_json(completion: motet.Completion) -> None:
    shape = {
        "message": completion.message.to_dict(),
        "stop": completion.stop,
        "tokens": completion.tokens,
        "lane": completion.lane,
        "frames": [dataclasses.asdict(frame) for frame in completion.frames],
        "repairs": [dataclasses.asdict(repair) for repair in completion.repairs],
    }
    print(json.dumps(shape, ensure_ascii=False, indent=2))


def _summary(completion: motet.Completion, style: Style) -> str:
    parts = [_part(part, style) for part in completion.message.content]
    tokens = ", ".join([f"{name} {count}" for name, count in completion.tokens.items()])
    facts = f"stop: {completion.stop or 'none'}   lane: {completion.lane}   tokens: {tokens}"
    repairs = [_repair(repair, style) for repair in completion.repairs]
    return "\n".join([*parts, style("markup", facts), *repairs])


def _part(part: motet.Part, style: Style) -> str:
    label = style("title", part.type)
    match part:
        case motet.ToolCall():
            trust = "" if part.trusted else style("markup", "  (read from text: not trusted)")
            return (
                f"{label} {style(part.type, visible(part.name))}{trust}\n{style(part.type, visible(part.arguments))}\n"
            )
        case motet.ToolResult():
            return f"{label} {visible(part.name or '')}\n{style(part.type, visible(part.content))}\n"
        case motet.DeveloperContent():
            return f"{label}\n{style(part.type, visible(part.text or part.instructions))}\n"
        case _:
            return f"{label}\n{style(part.type, visible(part.text))}\n"


def _repair(repair: motet.Repair, style: Style) -> str:
    found = f" {repair.text[:60]!r}" if repair.text else ""
    return style("repair", f"! {repair.code} at {repair.position}:") + f"{found} {repair.message}"


class EventPrinter:
    """Prints events as they come: each frame under its label, in its colour, or a JSON object a line."""

    def __init__(self, style: Style, *, as_json: bool = False) -> None:
        self.style = style
        self.as_json = as_json
        self.open = False

    def show(self, events: list[motet.Event]) -> None:
        for event in events:
            if self.as_json:
                print(json.dumps(_event_dict(event), ensure_ascii=False), flush=True)
            else:
                self._show(event)
        sys.stdout.flush()

    def _show(self, event: motet.Event) -> None:
        match event.type:
            case "start":
                self._close_line()
                target = f" {visible(event.recipient)}" if event.kind == "tool_call" and event.recipient else ""
                print(self.style("title", event.kind or "") + target)
                self.open = True
            case "delta":
                print(self.style(event.kind, visible(event.delta)), end="")
            case "end":
                print()
                self._close_line()
            case "repair" if event.repair is not None:
                self._close_line()
                print(_repair(event.repair, self.style))

    def _close_line(self) -> None:
        if self.open:
            print()
        self.open = False

    def end(self, completion: motet.Completion) -> None:
        if not self.as_json:
            tokens = ", ".join([f"{name} {count}" for name, count in completion.tokens.items()])
            print(self.style("markup", f"stop: {completion.stop or 'none'}   tokens: {tokens}"))


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

"""`motet explain`: token by token, what the grammar makes of a completion."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import motet
from motet.cli.terminal import Style, add_input, add_output, add_reading, ids_of, read_bytes, tool_list

__all__ = ["register"]


@dataclass(frozen=True, slots=True)
class Row:
    """A token and what became of it."""

    position: int
    id: int
    text: str
    kind: str | None
    """The kind of part that it is content of; `markup` for markers and headers."""
    meaning: str
    repairs: tuple[motet.Repair, ...]


def register(commands: Any) -> None:
    parser = commands.add_parser("explain", help="token by token, what the grammar makes of a completion")
    add_input(parser)
    add_reading(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    data = read_bytes(options.file)
    ids = ids_of(data, options)
    if ids is None:
        ids = motet.encode(data.decode("utf-8", "replace"), special="token")
    role = None if options.role == "none" or ids[:1] == [motet.SPECIAL_TOKENS["<|start|>"]] else options.role
    tools = tool_list(options.tools)
    parser = motet.StreamParser(role, tools=tools, strict=options.strict, stripped=options.stripped)
    rows: list[Row] = []
    try:
        for row in _rows(ids, parser):
            rows.append(row)
    finally:
        # In strict mode what was read before the fault is shown, too.
        _print(rows, options)


def _print(rows: list[Row], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], ensure_ascii=False))
        return
    style = Style(options.color, sys.stdout)
    width = max([len(row.text) for row in rows], default=0)
    for row in rows:
        print(_line(row, min(width, 28), style))


def _rows(ids: list[int], parser: motet.StreamParser) -> Iterator[Row]:
    inside = False
    for position, token in enumerate(ids):
        events = parser.feed(token)
        yield _row(position, token, events, inside)
        inside = next((event.type == "start" for event in reversed(events) if event.type in ("start", "end")), inside)
    rest = parser.close()
    if rest:
        yield _row(len(ids), -1, rest, inside)


def _row(position: int, token: int, events: list[motet.Event], inside: bool) -> Row:
    repairs = tuple([event.repair for event in events if event.repair is not None])
    content = [event for event in events if event.type == "delta"]
    meaning = [_meaning(event) for event in events if event.type in ("start", "end")]
    marker = token in motet.SPECIAL_TOKENS.values()
    if content and not marker:
        kind: str | None = content[-1].kind
        meaning.append(f"content of {content[-1].channel or kind}")
    else:
        kind = "markup"
        if not meaning:
            meaning.append(_silent(token, marker, inside))
    text = "" if token < 0 else _text(token)
    return Row(position, token, text, kind, ", ".join(meaning), repairs)


def _silent(token: int, marker: bool, inside: bool) -> str:
    """What a token is for that makes no event of its own."""
    if token < 0:
        return "the input ends"
    if inside:
        return "held back: a header may begin here"
    return "marker" if marker else "header"


def _text(token: int) -> str:
    return repr(motet.decode([token])) if 0 <= token < motet.VOCAB_SIZE else "?"


def _meaning(event: motet.Event) -> str:
    if event.type == "end":
        return f"{event.kind} ends ({event.stop or 'no stop token'})"
    header = [
        event.role,
        event.name,
        event.channel,
        event.recipient and f"to={event.recipient}",
        event.content_type,
    ]
    return f"{event.kind} begins ({' '.join([word for word in header if word])})"


def _line(row: Row, width: int, style: Style) -> str:
    number = "end" if row.id < 0 else str(row.id)
    text = row.text if len(row.text) <= width else row.text[: width - 1] + "…"
    line = f"{row.position:>6} {number:>7}  {style(row.kind, text.ljust(width))}  {style('markup', row.meaning)}"
    repairs = [
        f"{'':>16}{style('repair', f'! {repair.code}')}  {repair.text[:60]!r} {repair.message}"
        for repair in row.repairs
    ]
    return "\n".join([line, *repairs])

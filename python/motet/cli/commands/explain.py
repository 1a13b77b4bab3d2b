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
from motet.cli.style import Style, add_input, add_output, add_reading, ids_of, read_bytes, tool_list

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
    refused: motet.ParseError | None = None
    try:
        for row in _rows(ids, parser, role):
            rows.append(row)
    except motet.ParseError as error:
        refused = error
    # In strict mode what was read before the fault is shown, too.
    _print(rows, options, _Fault(refused, ids, len(rows)) if refused else None)
    if refused is not None:
        raise refused


class _Fault:
    """What strict parsing refused, and the tokens that it is about."""

    def __init__(self, error: motet.ParseError, ids: list[int], read: int) -> None:
        self.error = error
        self.unread = [
            Row(position, ids[position], _text(ids[position]), "markup", "not read", ())
            for position in range(read, min(read + 3, len(ids)))
        ]
        end, text = error.position, ""
        while end < len(ids) and len(text) < len(error.found):
            text += motet.decode([ids[end]]) if 0 <= ids[end] < motet.VOCAB_SIZE else "?"
            end += 1
        self.about = range(error.position, max(end, error.position + 1))

    def line(self, style: Style) -> str:
        said = style("repair", f"! {self.error.code}")
        return f"{'':>16}{said}{_found(self.error.found)}  expected {self.error.expected}"


def _print(rows: list[Row], options: argparse.Namespace, fault: _Fault | None) -> None:
    if options.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], ensure_ascii=False))
        return
    style = Style(options.color, sys.stdout)
    rows = [*rows, *(fault.unread if fault else [])]
    width = min(max([len(row.text) for row in rows], default=0), 28)
    for row in rows:
        print(_line(row, width, style, fault is not None and row.position in fault.about))
        if fault and row.position == fault.about[-1]:
            print(fault.line(style))
    if fault and fault.about[-1] >= len(rows):
        print(fault.line(style))


def _rows(ids: list[int], parser: motet.StreamParser, role: str | None) -> Iterator[Row]:
    # Content, a header, or what is between frames: where a token stands that makes no event of its own.
    place = "header" if role else "between"
    for position, token in enumerate(ids):
        events = parser.feed(token)
        yield _row(position, token, events, place)
        ends = [event.type for event in events if event.type in ("start", "end")]
        if ends:
            place = "content" if ends[-1] == "start" else "between"
        elif place == "between" and token in _OPENING:
            place = "header"
        elif place == "header" and token in motet.STOP_TOKENS:
            place = "between"
    rest = parser.close()
    if rest:
        yield _row(len(ids), -1, rest, place)


_SPECIAL = frozenset(motet.SPECIAL_TOKENS.values())
_OPENING = [motet.SPECIAL_TOKENS[marker] for marker in ("<|start|>", "<|channel|>", "<|constrain|>")]


def _row(position: int, token: int, events: list[motet.Event], place: str) -> Row:
    repairs = tuple([event.repair for event in events if event.repair is not None])
    marker = token in _SPECIAL
    kind: str | None = "markup"
    meaning: list[str] = []
    for event in events:
        said = "" if event.type == "repair" else _meaning(event)
        if event.type == "delta" and not marker:
            kind = event.kind
        if said and said not in meaning[-1:]:
            meaning.append(said)
    if not meaning:
        meaning.append(_silent(token, marker, place))
    text = "" if token < 0 else _text(token)
    return Row(position, token, text, kind, ", ".join(meaning), repairs)


def _silent(token: int, marker: bool, place: str) -> str:
    """What a token is for that makes no event of its own."""
    if token < 0:
        return "the input ends"
    if place == "content":
        return "held back: a header may begin here"
    return "marker" if marker else "header" if place == "header" else "between frames"


def _text(token: int) -> str:
    return repr(motet.decode([token])) if 0 <= token < motet.VOCAB_SIZE else "?"


def _meaning(event: motet.Event) -> str:
    if event.type == "delta":
        return f"content of {event.channel or event.kind}"
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


def _line(row: Row, width: int, style: Style, marked: bool) -> str:
    number = "end" if row.id < 0 else str(row.id)
    text = row.text if len(row.text) <= width else row.text[: width - 1] + "…"
    sign, kind = (">", "repair") if marked else (" ", row.kind)
    line = f"{sign}{row.position:>5} {number:>7}  {style(kind, text.ljust(width))}  {style('markup', row.meaning)}"
    repairs = [
        f"{'':>16}{style('repair', f'! {repair.code}')}{_at(repair, row)}{_found(repair.text)}  {repair.message}"
        for repair in row.repairs
    ]
    return "\n".join([line, *repairs])


def _at(repair: motet.Repair, row: Row) -> str:
    """The position of a repair that is about an earlier token."""
    return "" if repair.position == row.position else f" at {repair.position}"


def _found(text: str) -> str:
    return f"  {text[:60]!r}{'...' if len(text) > 60 else ''}" if text else ""

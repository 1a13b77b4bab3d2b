"""`motet explain`: a completion token by token."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import motet
from motet import _core
from motet.cli.inputs import read_completion, read_ids, tool_list
from motet.cli.options import add_input, add_output, add_parsing
from motet.cli.style import Style
from motet.cli.terminal import json_text

EXAMPLES = ("motet explain completion.txt", "motet explain ids.json --strict")

MAX_TEXT_WIDTH = 28
"""Characters of the column of texts."""


@dataclass(frozen=True, slots=True)
class Row:
    """A token and what the parser did with it."""

    position: int
    id: int
    """-1 for the end of the input."""
    text: str
    kind: str | None
    """The kind of part whose content it is; `markup` for special tokens and headers."""
    meaning: str
    repairs: tuple[motet.Repair, ...]


def add(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    add_parsing(parser)
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    data = read_completion(options.file)
    ids = read_ids(data, options)
    if ids is None:
        ids = motet.encode(data.decode("utf-8", "replace"), special="token")
    role = None if ids[:1] == [motet.SPECIAL_TOKENS[_core.MARKERS["start"]]] else options.role
    tools = tool_list(options.tools)
    parser = motet.StreamParser(
        role, opened=options.opened, tools=tools, strict=options.strict, stripped=options.stripped
    )
    rows: list[Row] = []
    refusal: motet.ParseError | None = None
    try:
        place = "between" if role is None else _place(options.opened)
        for row in _rows(ids, parser, place):
            rows.append(row)
    except motet.ParseError as error:
        refusal = error
    # Strict parsing shows the tokens before the deviation, too.
    _print(rows, options, _Deviation(refusal, ids, len(rows)) if refusal else None)
    if refusal is not None:
        raise refusal


class _Deviation:
    """The error of strict parsing, and the tokens that it is about."""

    def __init__(self, error: motet.ParseError, ids: list[int], rows: int) -> None:
        self.error = error
        self.unread = [
            Row(position, ids[position], _text(ids[position]), "markup", "not read", ())
            for position in range(rows, min(rows + 3, len(ids)))
        ]
        end, text = error.position, ""
        while end < len(ids) and len(text) < len(error.found):
            text += motet.decode([ids[end]]) if 0 <= ids[end] < motet.VOCAB_SIZE else "?"
            end += 1
        self.positions = range(error.position, max(end, error.position + 1))

    def line(self, style: Style) -> str:
        code = style("repair", f"! {self.error.code}")
        return f"{'':>16}{code}{_quoted(self.error.found)}  expected {self.error.expected}"


def _print(rows: list[Row], options: argparse.Namespace, deviation: _Deviation | None) -> None:
    if options.json:
        print(json_text([dataclasses.asdict(row) for row in rows]))
        return
    style = Style(options.color, sys.stdout)
    rows = [*rows, *(deviation.unread if deviation else [])]
    width = min(max([len(row.text) for row in rows], default=0), MAX_TEXT_WIDTH)
    for row in rows:
        print(_line(row, width, style, deviation is not None and row.position in deviation.positions))
        if deviation and row.position == deviation.positions[-1]:
            print(deviation.line(style))
    if deviation and deviation.positions[-1] >= len(rows):
        print(deviation.line(style))


def _place(opened: str | None) -> str:
    """Where the first token stands: behind the header that the prompt opened, or within it."""
    complete = opened is not None and (opened.endswith(_core.MARKERS["message"]) or "<" not in opened)
    return "content" if complete else "header"


def _rows(ids: list[int], parser: motet.StreamParser, place: str) -> Iterator[Row]:
    """`place`: `content`, `header` or `between`; describes tokens without an event of their own."""
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
_OPENING = [motet.SPECIAL_TOKENS[_core.MARKERS[word]] for word in ("start", "channel", "constrain")]


def _row(position: int, token: int, events: list[motet.Event], place: str) -> Row:
    repairs = tuple([event.repair for event in events if event.repair is not None])
    marker = token in _SPECIAL
    kind: str | None = "markup"
    meaning: list[str] = []
    for event in events:
        text = "" if event.type == "repair" else _meaning(event)
        if event.type == "delta" and not marker:
            kind = event.kind
        if text and text not in meaning[-1:]:
            meaning.append(text)
    if not meaning:
        meaning.append(_meaning_without_event(token, marker, place))
    return Row(position, token, "" if token < 0 else _text(token), kind, ", ".join(meaning), repairs)


def _meaning_without_event(token: int, marker: bool, place: str) -> str:
    """The meaning of a token without an event of its own."""
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


def _line(row: Row, width: int, style: Style, is_refused: bool) -> str:
    number = "end" if row.id < 0 else str(row.id)
    text = row.text if len(row.text) <= width else row.text[: width - 1] + "…"
    sign, kind = (">", "repair") if is_refused else (" ", row.kind)
    line = f"{sign}{row.position:>5} {number:>7}  {style(kind, text.ljust(width))}  {style('markup', row.meaning)}"
    repairs = [
        f"{'':>16}{style('repair', f'! {repair.code}')}{_at(repair, row)}{_quoted(repair.text)}  {repair.message}"
        for repair in row.repairs
    ]
    return "\n".join([line, *repairs])


def _at(repair: motet.Repair, row: Row) -> str:
    """The position of a repair that concerns an earlier token."""
    return "" if repair.position == row.position else f" at {repair.position}"


def _quoted(text: str) -> str:
    return f"  {text[:60]!r}{'...' if len(text) > 60 else ''}" if text else ""

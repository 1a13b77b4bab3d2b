"""`motet explain`: a completion token by token."""

from __future__ import annotations

import argparse
import dataclasses
import sys

import motet
from motet import _core
from motet.cli.inputs import read_completion, read_ids, tool_list
from motet.cli.options import add_input, add_output, add_parsing
from motet.cli.style import Style
from motet.cli.terminal import json_text
from motet.view.token_rows import TokenRow, first_place, text_of_token, token_rows

EXAMPLES = ("motet explain completion.txt", "motet explain ids.json --strict")

MAX_TEXT_WIDTH = 28
"""Characters of the column of texts."""


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
    rows: list[TokenRow] = []
    refusal: motet.ParseError | None = None
    try:
        for row in token_rows(ids, parser, first_place(role, options.opened)):
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
            TokenRow(position, ids[position], text_of_token(ids[position]), "markup", "not read", ())
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


def _print(rows: list[TokenRow], options: argparse.Namespace, deviation: _Deviation | None) -> None:
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


def _line(row: TokenRow, width: int, style: Style, is_refused: bool) -> str:
    number = "end" if row.id < 0 else str(row.id)
    text = row.text if len(row.text) <= width else row.text[: width - 1] + "…"
    sign, kind = (">", "repair") if is_refused else (" ", row.kind)
    line = f"{sign}{row.position:>5} {number:>7}  {style(kind, text.ljust(width))}  {style('markup', row.meaning)}"
    repairs = [
        f"{'':>16}{style('repair', f'! {repair.code}')}{_at(repair, row)}{_quoted(repair.text)}  {repair.message}"
        for repair in row.repairs
    ]
    return "\n".join([line, *repairs])


def _at(repair: motet.Repair, row: TokenRow) -> str:
    """The position of a repair that concerns an earlier token."""
    return "" if repair.position == row.position else f" at {repair.position}"


def _quoted(text: str) -> str:
    return f"  {text[:60]!r}{'...' if len(text) > 60 else ''}" if text else ""

"""`motet costs`: what the answers of a ledger cost."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import motet
from motet._atomic_files import write_whole
from motet._plot import Bar, bars_svg, bars_text
from motet.cli.cost_report import dollars
from motet.cli.failure import UsageError
from motet.cli.options import add_json
from motet.cli.table import table
from motet.cli.terminal import json_text
from motet.ledgers.costs import GROUPINGS, CostRow
from motet.ledgers.ledger import VARIABLE

EXAMPLES = (
    "motet costs usage.db",
    "motet costs usage.db --by model,channel --since 7d",
    "motet costs usage.db --by label:user --since 2026-11-01 --json",
    "motet costs usage.db --by day --plot",
    "motet costs usage.db --svg costs.svg -o usage.parquet",
)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ledger", nargs="?", help="the file of the ledger; by default that of $MOTET_LEDGER")
    parser.add_argument(
        "--by",
        metavar="NAMES",
        default="day",
        help=f"what to sum by, with commas: {', '.join(GROUPINGS)}, or nothing for all (default: day)",
    )
    parser.add_argument("--since", metavar="TIME", help="from this time on: 7d, 24h, 2026-11-26 (UTC)")
    parser.add_argument("--until", metavar="TIME", help="before this time")
    add_json(parser, "print JSON, with exact money as text")
    parser.add_argument("--plot", action="store_true", help="print bars below the table")
    parser.add_argument("--svg", metavar="FILE", help="write the bars as a picture")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the rows to a .parquet file; needs pyarrow")


def run(options: argparse.Namespace) -> None:
    path = options.ledger or os.environ.get(VARIABLE)
    if not path:
        raise UsageError(f"name the file of a ledger, or set {VARIABLE}")
    if not Path(path).is_file():
        # A ledger would be made otherwise.
        raise UsageError(f"no such ledger: {path!r}")
    by = [name.strip() for name in options.by.split(",") if name.strip()]
    times = {"since": options.since, "until": options.until}
    ledger = motet.ledger(path)
    try:
        rows = ledger.costs(by, **times)
        if options.output:
            ledger.to_parquet(options.output, **times)
    finally:
        ledger.close()
    if options.svg:
        title = f"US dollars by {', '.join(by)}" if by else "US dollars"
        write_whole(Path(options.svg), bars_svg([("", _bars(rows))], title=title))
    if options.json:
        print(json_text([row.to_dict() for row in rows], indent=2))
        return
    print("\n".join(_table(rows, by)) if rows else "no answers")
    if options.plot and rows:
        print("\n".join(["", *bars_text(_bars(rows))]))


def _table(rows: Sequence[CostRow], by: Sequence[str]) -> list[str]:
    counts = list(rows[0].tokens)
    head = [*[name.removeprefix("label:") for name in by], "answers", "errors", *counts, "cost", "unknown"]
    alignment = "<" * len(by) + ">>" + ">" * len(counts) + ".>"
    cells = [_cells(row, counts) for row in rows]
    if "channel" not in by and len(rows) > 1:
        cells.append(["total", *[""] * (len(by) - 1), *_cells(_total(rows), counts)])
    lines = table(cells, alignment, head=head)
    if any(row.unknown for row in rows):
        lines += ["", "unknown: answers without a known price or count of tokens, which the cost leaves out"]
    return lines


def _cells(row: CostRow, counts: Sequence[str]) -> list[str]:
    tokens = ["?" if row.tokens[name] is None else f"{row.tokens[name]:,}" for name in counts]
    groups = ["-" if value is None else value for value in row.group.values()]
    return [*groups, f"{row.answers:,}", f"{row.errors:,}", *tokens, dollars(row.cash), f"{row.unknown:,}"]


def _total(rows: Sequence[CostRow]) -> CostRow:
    tokens: dict[str, Any] = {}
    for name in rows[0].tokens:
        known = [count for row in rows if (count := row.tokens[name]) is not None]
        tokens[name] = sum(known) if known else None
    return CostRow(
        group={},
        answers=sum(row.answers for row in rows),
        errors=sum(row.errors for row in rows),
        tokens=tokens,
        cash=sum((row.cash for row in rows), Decimal(0)),
        unknown=sum(row.unknown for row in rows),
    )


def _bars(rows: Sequence[CostRow]) -> list[Bar]:
    labels = [" ".join(["-" if value is None else value for value in row.group.values()]) for row in rows]
    return [Bar(float(row.cash), label, dollars(row.cash)) for label, row in zip(labels, rows, strict=True)]

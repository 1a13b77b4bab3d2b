"""`motet models`: the catalogue."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import motet
from motet.catalog import specs as catalogued_specs
from motet.cli.failure import describe, exit_code
from motet.cli.options import url
from motet.cli.table import table
from motet.cli.terminal import json_text

__all__ = ["markdown"]

EXAMPLES = ("motet models", "motet models --refresh --json", "motet models --base-url http://localhost:8000")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--refresh", action="store_true", help="fetch the current prices of the server")
    parser.add_argument("--all", action="store_true", help="also list models that are no longer served")
    parser.add_argument("--base-url", type=url, metavar="URL", help="the server to ask; implies --refresh")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with the source of each figure")
    form.add_argument("--markdown", action="store_true", help="print the table as Markdown")


def run(options: argparse.Namespace) -> int:
    specs: Iterable[motet.Spec] = catalogued_specs()
    error: Exception | None = None
    if options.refresh or options.base_url:
        listing = motet.models(refresh=True, **({"base_url": options.base_url} if options.base_url else {}))
        specs, error = listing, listing.error
        if error is not None:
            print(f"motet: no current prices: {describe(error)}", file=sys.stderr)
    selection = [spec for spec in specs if options.all or spec.removal_notice() is None]
    if options.json:
        print(json_text([_spec_dict(spec) for spec in selection], indent=2))
    elif options.markdown:
        print(markdown(selection))
    else:
        print(_table(selection))
    return 0 if error is None else exit_code(error)


_HEAD = ("slug", "context", "in", "cached", "out", "SWE-bench", "as of")


def _cells(spec: motet.Spec) -> list[str]:
    price = spec.cost.cash
    source = spec.sources.get("cost.cash.input")
    cells = [
        spec.gain.size.context.tokens,
        _dollars(price.input),
        _dollars(price.cached),
        _dollars(price.output),
        spec.gain.grades.swe,
        None if source is None else source.as_of,
    ]
    return [spec.slug, *["" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells]]


def _dollars(price: Decimal | None) -> str | None:
    """With two decimal places, or more if the price has more: `$0.60`."""
    if price is None:
        return None
    return f"${price:.2f}" if price == round(price, 2) else f"${price:f}"


def _table(specs: list[motet.Spec]) -> str:
    rows = [[*_cells(spec), _removal(spec)] for spec in specs]
    removals = any(row[-1] for row in rows)
    head = [*["SWE" if name == "SWE-bench" else name for name in _HEAD], "removed"]
    columns = len(head) if removals else len(head) - 1
    lines = table([row[:columns] for row in rows], "<>>>>>><"[:columns], head=head[:columns])
    return "\n".join([*lines, "", "prices in US dollars for a million tokens; --json has the source of each figure"])


def _removal(spec: motet.Spec) -> str:
    if spec.removal_notice() is None:
        return ""
    when = f"removed {spec.removed}" if spec.removed else "gone"
    return f"{when}, now {spec.successor}" if spec.successor else when


def markdown(specs: Iterable[motet.Spec]) -> str:
    """The table as Markdown, for the documentation."""
    rows = [f"| {' | '.join([f'`{cells[0]}`', *cells[1:]])} |" for cells in map(_cells, specs)]
    return "\n".join([f"| {' | '.join(_HEAD)} |", f"|---|{'---:|' * (len(_HEAD) - 1)}", *rows])


def _spec_dict(spec: motet.Spec) -> dict[str, Any]:
    price, skills = spec.cost.cash, spec.gain.skills
    return {
        "slug": spec.slug,
        "model": spec.model,
        "description": spec.description,
        "price": {name: _figure(getattr(price, name)) for name in ("input", "cached", "output")},
        "context": spec.gain.size.context.tokens,
        "swe": _figure(spec.gain.grades.swe),
        "cutoff": spec.gain.cutoff,
        "skills": {name: getattr(skills, name) for name in ("tools", "reasoning", "vision")},
        "removed": spec.removed,
        "gone": spec.gone,
        "successor": spec.successor,
        "sources": {name: {"text": source.text, "as_of": source.as_of} for name, source in spec.sources.items()},
    }


def _figure(figure: Decimal | None) -> str | None:
    return None if figure is None else str(figure)

"""The cost of an answer, channel by channel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import motet
from motet.cli.style import Style
from motet.cli.table import aligned

__all__ = ["cost_dict", "cost_report", "dollars"]

_KINDS = {"analysis": "reasoning", "commentary": "tool_call", "final": "text", "markup": "markup"}
"""The colours of channels, by the kinds of `Style`."""


_PRICE_HINT = re.compile(r"give it: motet\.atom\(.*\)")
"""How a note names the price's argument of `motet.atom`, which the command line has as an option."""


def dollars(amount: Decimal | None) -> str:
    """`$0.000123`, with all digits of the amount; `?` if it is unknown."""
    return "?" if amount is None else f"${amount.normalize():f}"


def cost_report(answer: motet.Answer[Any], style: Style) -> str:
    """Tokens and costs of the prompt and of each channel, the model, the time, and notes."""
    rows = list(_rows(answer))
    cells = aligned([[name, "?" if n is None else f"{n:,}", dollars(cost)] for name, _, n, cost in rows], "<>.")
    lines = [style(kind, "  ".join(row).rstrip()) for (_, kind, _, _), row in zip(rows, cells, strict=True)]
    lines.append(style("markup", ", ".join(_facts(answer))))
    lines += [style("repair", f"! {note}") for note in _notes(answer)]
    return "\n".join(lines)


def _rows(answer: motet.Answer[Any]) -> Iterator[tuple[str, str, int | None, Decimal | None]]:
    """Name, kind, tokens and cost of each line."""
    tokens, cash = answer.metrics.size.tokens, answer.metrics.cost.cash
    cached = tokens.cache.get
    uncached = None if tokens.input is None else tokens.input - (cached or 0)
    yield "prompt", "markup", uncached, cash.input
    if cached:
        yield "  from the cache", "markup", cached, cash.cache
    for channel, kind in _KINDS.items():
        count = None if tokens.by_channel is None else tokens.by_channel[channel]
        if count != 0:
            yield channel, kind, count, None if cash.by_channel is None else cash.by_channel[channel]
    total = None if tokens.input is None or tokens.output is None else tokens.input + tokens.output
    yield "total", "title", total, cash.total


def _facts(answer: motet.Answer[Any]) -> Iterator[str]:
    time, hidden = answer.metrics.cost.time, answer.metrics.hidden_share
    yield f"{answer.model or 'unknown model'}, lane {answer.lane}"
    yield f"{time}" if time.first_token is None else f"{time}, first token after {time.first_token:.2f} s"
    if hidden is not None:
        yield f"{hidden:.0%} of the cost is analysis and markup"
    if len(answer.attempts) > 1:
        yield f"{len(answer.attempts)} attempts"


def _notes(answer: motet.Answer[Any]) -> Iterator[str]:
    unknown = answer.metrics.unknown.items()
    # The cached share of the prompt matters only where it has a price of its own; a note of the metrics says so then.
    reasons = [why for figure, why in unknown if figure != "size.tokens.cache.get"]
    yield from dict.fromkeys([_PRICE_HINT.sub("give --price INPUT,OUTPUT", note) for note in (*answer.notes, *reasons)])


def cost_dict(answer: motet.Answer[Any]) -> dict[str, Any]:
    """The metrics of an answer as JSON, with all notes."""
    shape = answer.metrics.to_dict()
    return {**shape, "notes": [*answer.notes, *shape["notes"]]}

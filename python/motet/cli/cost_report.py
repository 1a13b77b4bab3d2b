"""What an answer cost, for people."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import motet
from motet.cli.style import Style
from motet.cli.table import aligned

__all__ = ["bill", "bill_dict", "dollars"]


def dollars(amount: Decimal | None) -> str:
    """`$0.000123`; as many digits as the amount has. `?` where it is not known."""
    return "?" if amount is None else f"${amount.normalize():f}"


def bill(answer: motet.Answer[Any], style: Style) -> str:
    """The bill of an answer, channel by channel."""
    metrics = answer.metrics
    tokens, cash = metrics.size.tokens, metrics.cost.cash
    cached = tokens.cache.get
    fresh = None if tokens.input is None else tokens.input - (cached or 0)
    rows: list[tuple[str, str | None, int | None, Decimal | None]] = [("prompt", "markup", fresh, cash.input)]
    if cached:
        rows.append(("  from the cache", "markup", cached, cash.cache))
    kinds = {"analysis": "reasoning", "commentary": "tool_call", "final": "text", "markup": "markup"}
    for channel, kind in kinds.items():
        count = None if tokens.by_channel is None else tokens.by_channel[channel]
        if count != 0:
            rows.append((channel, kind, count, None if cash.by_channel is None else cash.by_channel[channel]))
    whole = None if tokens.input is None or tokens.output is None else tokens.input + tokens.output
    rows.append(("total", "title", whole, cash.total))
    cells = aligned([[name, "?" if n is None else str(n), dollars(cost)] for name, _, n, cost in rows], "<>.")
    lines = [style(kind, "  ".join(row).rstrip()) for (_, kind, _, _), row in zip(rows, cells, strict=True)]
    lines.append(style("markup", ", ".join(_facts(answer))))
    lines += [style("repair", f"! {note}") for note in _notes(answer)]
    return "\n".join(lines)


def _facts(answer: motet.Answer[Any]) -> Iterable[str]:
    time, hidden = answer.metrics.cost.time, answer.metrics.hidden_share
    yield f"{answer.model or 'the model'}, lane {answer.lane}"
    yield f"{time}" if time.first_token is None else f"{time}, first token after {time.first_token:.2f} s"
    if hidden is not None:
        yield f"{hidden:.0%} of the bill was not seen"
    if len(answer.attempts) > 1:
        yield f"{len(answer.attempts)} attempts"


def _notes(answer: motet.Answer[Any]) -> Iterable[str]:
    unknown = answer.metrics.unknown.items()
    # What of the prompt was cached matters where it has a price of its own; then a note of the metrics says so.
    yield from dict.fromkeys([*answer.notes, *[why for figure, why in unknown if figure != "size.tokens.cache.get"]])


def bill_dict(answer: motet.Answer[Any]) -> dict[str, Any]:
    """The same for programs, with all that there is to know of it."""
    shape = answer.metrics.to_dict()
    return {**shape, "notes": [*answer.notes, *shape["notes"]]}

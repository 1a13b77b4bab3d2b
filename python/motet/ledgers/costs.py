"""Sums of a ledger's rows, by day, model, channel and other properties."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from motet.ledgers.entry import CHANNELS, money_text
from motet.ledgers.spending import PERIODS, bounds

__all__ = ["GROUPINGS", "CostRow", "read_costs"]

_TEXT_COLUMNS = ("model", "requested_model", "service", "lane", "stop", "error")
GROUPINGS = ("hour", "day", "month", *_TEXT_COLUMNS, "channel", "label:NAME")
"""What `by` may name."""
_COUNTS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """The sum of some answers. A figure that is unknown for some of them is summed over the others."""

    group: Mapping[str, str | None]
    """The value of each grouping. `None`: unknown, or a row without the label."""
    answers: int
    """Answers, failed requests included. By channel, each answer stands in each of its channels."""
    errors: int
    """Those of them that ended with an error."""
    tokens: Mapping[str, int | None]
    """`input` (cached ones included), `cached`, `output` and `reasoning`; by channel only the channel's, as `tokens`.
    `None`: unknown for all answers."""
    cash: Decimal
    """US dollars of the answers whose cost is known."""
    unknown: int
    """Answers whose cost is unknown."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, with money as text to keep it exact."""
        return {
            **self.group,
            "answers": self.answers,
            "errors": self.errors,
            **{name if name == "tokens" else f"{name}_tokens": count for name, count in self.tokens.items()},
            "cash": money_text(self.cash),
            "unknown": self.unknown,
        }


class _MoneySum:
    """The SQL function `money_sum`: exact, over texts; NULLs are left out."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, text: str | None) -> None:
        if text is not None:
            self._sum += Decimal(text)

    def finalize(self) -> str:
        return money_text(self._sum)


def read_costs(connection: sqlite3.Connection, by: Sequence[str], since: Any, until: Any) -> list[CostRow]:
    """The sums of each group, in the order of the groups. Raises `ValueError` for an unknown grouping."""
    terms = [_term(name) for name in by]
    where, values = bounds(since, until)
    labels = [name.removeprefix("label:") for name in by if name.startswith("label:")]
    by_channel = "channel" in by
    source = _channels() if by_channel else "answers"
    counts = ("channel_tokens",) if by_channel else _COUNTS
    cash = "channel_cash" if by_channel else "cash"
    columns = [*terms, "COUNT(*)", "SUM(error IS NOT NULL)", *[f"SUM({name})" for name in counts]]
    columns += [f"money_sum({cash})", f"SUM({cash} IS NULL)"]
    grouping = ", ".join([str(number + 1) for number in range(len(terms))])
    order = f"GROUP BY {grouping} ORDER BY {grouping}" if grouping else ""
    connection.create_aggregate("money_sum", 1, _MoneySum)  # type: ignore[arg-type]
    sql = f"SELECT {', '.join(columns)} FROM {source} WHERE {where} {order}"
    keys = [f'$."{name}"' for name in labels]
    names = ["tokens"] if by_channel else [name.removesuffix("_tokens") for name in counts]
    rows = []
    for row in connection.execute(sql, [*keys, *values]):
        groups, (answers, errors, *sums, total, unknown) = row[: len(terms)], row[len(terms) :]
        if answers:
            rows.append(
                CostRow(
                    group=dict(zip(by, groups, strict=True)),
                    answers=answers,
                    errors=errors,
                    tokens=dict(zip(names, sums, strict=True)),
                    cash=Decimal(total),
                    unknown=unknown,
                )
            )
    if by == ("channel",):
        rows.sort(key=lambda row: CHANNELS.index(str(row.group["channel"])))
    return rows


def _term(name: str) -> str:
    if name in PERIODS and name is not None:
        return f"substr(ended_at, 1, {PERIODS[name]})"
    if name in (*_TEXT_COLUMNS, "channel"):
        return name
    label = name.removeprefix("label:")
    if label != name and label and '"' not in label:
        # Placeholders stand in the order of the labels.
        return "json_extract(labels, ?)"
    raise ValueError(f"by must be of {', '.join(GROUPINGS)}: {name!r}")


def _channels() -> str:
    """A table with a row for each channel of each answer."""
    selects = []
    for channel in CHANNELS:
        tokens = "input_tokens - ifnull(cached_tokens, 0)" if channel == "prompt" else f"{channel}_tokens"
        selects.append(
            f"SELECT *, '{channel}' AS channel, {tokens} AS channel_tokens, {channel}_cash AS channel_cash FROM answers"
        )
    return f"({' UNION ALL '.join(selects)})"

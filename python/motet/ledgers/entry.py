"""The rows of a ledger and the tables of its file."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

__all__ = ["CHANNELS", "COLUMNS", "LedgerEntry", "money_text", "row_of", "timestamp"]

CHANNELS = ("prompt", "cached", "reasoning", "preamble", "tool_call", "text", "markup")
"""What tokens are paid for: the prompt without its cached tokens, these, and the parts of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One answer, or one request that failed. `None`: unknown."""

    ended_at: str
    """When it ended, in UTC: `2026-11-26T12:00:00.000000Z`."""
    key: str | None = None
    """A name that the ledger takes once: of an answer that is read again, as those of batches."""
    requested_model: str
    model: str | None = None
    """The model that answered."""
    service: str | None = None
    """Host and port of the server."""
    lane: str | None = None
    input_tokens: int | None = None
    """Tokens of the prompt, cached ones included."""
    cached_tokens: int | None = None
    output_tokens: int | None = None
    """Tokens of the answer: the sum of the following ones."""
    reasoning_tokens: int | None = None
    preamble_tokens: int | None = None
    tool_call_tokens: int | None = None
    text_tokens: int | None = None
    markup_tokens: int | None = None
    """Headers and markers."""
    cash: Decimal | None = None
    """US dollars: the sum of the following ones."""
    prompt_cash: Decimal | None = None
    """Of the prompt without its cached tokens."""
    cached_cash: Decimal | None = None
    reasoning_cash: Decimal | None = None
    preamble_cash: Decimal | None = None
    tool_call_cash: Decimal | None = None
    text_cash: Decimal | None = None
    markup_cash: Decimal | None = None
    counted_cash: Decimal | None = None
    """What motet counted for a budget, where `cash` is unknown."""
    seconds: float | None = None
    """From the call to the end of the answer."""
    first_token_seconds: float | None = None
    attempts: int | None = None
    """How often the request was sent."""
    stop: str | None = None
    """The finish reason; `closed`: the caller ended the stream."""
    error: str | None = None
    """The class of the error. `None`: none."""
    request_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, Any] | None = None
    """The messages of the prompt and the answer. `None`: not asked for."""


COLUMNS = tuple([column.name for column in fields(LedgerEntry)])
_MONEY = frozenset(name for name in COLUMNS if name.endswith("cash"))
_NUMBERS = {
    name: "REAL" if "seconds" in name else "INTEGER" for name in COLUMNS if name.endswith(("tokens", "seconds"))
}
_TYPES = {
    **_NUMBERS,
    "attempts": "INTEGER",
    "ended_at": "TEXT NOT NULL",
    "key": "TEXT UNIQUE",
    "labels": "TEXT NOT NULL",
}

APPLICATION_ID = 0x4D4F5445
"""SQLite's mark of the program that a file belongs to: MOTE."""
VERSION = 1
TABLES = f"""
    CREATE TABLE IF NOT EXISTS answers (
        id INTEGER PRIMARY KEY, {", ".join([f"{name} {_TYPES.get(name, 'TEXT')}" for name in COLUMNS])});
    CREATE INDEX IF NOT EXISTS answers_ended_at ON answers (ended_at);
    CREATE TABLE IF NOT EXISTS hours (hour TEXT PRIMARY KEY, cash TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS reservations (
        token TEXT PRIMARY KEY, owner TEXT NOT NULL, amount TEXT NOT NULL, expires REAL NOT NULL);
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {VERSION};
"""
"""Money is text, which is exact. `hours` has the sums that budgets compare with their limits: `cash`, or else
`counted_cash`, of the rows whose `ended_at` begins with `hour`."""


def timestamp(moment: datetime.datetime | None = None) -> str:
    """A moment, by default the present one, as `ended_at` has it: of one width, so that texts sort by time."""
    moment = datetime.datetime.now(datetime.UTC) if moment is None else moment.astimezone(datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def money_text(amount: Decimal) -> str:
    return f"{amount:f}"


_INSERT = f"INSERT OR IGNORE INTO answers ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


def insert(connection: sqlite3.Connection, entry: LedgerEntry) -> None:
    """Writes a row, within a transaction. A row whose key is there already changes nothing."""
    if connection.execute(_INSERT, [_stored(name, getattr(entry, name)) for name in COLUMNS]).rowcount:
        cash = entry.counted_cash if entry.cash is None else entry.cash
        if cash:
            hour = entry.ended_at[:13]
            row = connection.execute("SELECT cash FROM hours WHERE hour = ?", (hour,)).fetchone()
            total = cash if row is None else cash + Decimal(row[0])
            connection.execute("REPLACE INTO hours VALUES (?, ?)", (hour, money_text(total)))


def _stored(name: str, value: Any) -> Any:
    if name == "labels" or (name == "content" and value is not None):
        return json.dumps(dict(value))
    return money_text(value) if isinstance(value, Decimal) else value


def row_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table as Python values: money as `Decimal`, labels and content as dicts."""
    row: dict[str, Any] = {}
    for name in COLUMNS:
        value = values[name]
        if name in _MONEY and value is not None:
            value = Decimal(value)
        elif name in ("labels", "content") and value is not None:
            value = json.loads(value)
        row[name] = value
    return row

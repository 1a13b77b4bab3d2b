"""What was spent in a period by a ledger, and reservations that several processes share."""

from __future__ import annotations

import datetime
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from motet.ledgers.entry import money_text, timestamp
from motet.ledgers.writer import Writer, expiry

__all__ = ["PERIODS", "Claim", "Period", "Share", "Spending", "bounds", "since_of"]

Period = Literal["hour", "day", "month"]
PERIODS = {None: 0, "hour": 13, "day": 10, "month": 7}
"""How many characters of a row's `ended_at` name a period."""


@dataclass(frozen=True, slots=True)
class Spending:
    """US dollars of a period."""

    spent: Decimal
    reserved: Decimal
    """What running requests of all processes may cost. Zero: none runs."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of a wish to reserve."""

    reserved: bool
    amount: Decimal
    """US dollars that are reserved, or else that are free."""
    can_wait: bool = False
    """True: requests run whose end may give room."""


@dataclass(frozen=True, slots=True)
class Share:
    """The money of one budget in a ledger."""

    writer: Writer
    period: Period | None

    def read(self) -> Spending:
        """Waits for the present sums."""
        spending: Spending = self.writer.submit(self._read).result()
        return spending

    def _read(self, connection: sqlite3.Connection, own: str = "") -> Spending:
        """The sums without the reservation `own`."""
        start = timestamp()[: PERIODS[self.period]]
        sql = "SELECT cash FROM hours WHERE hour >= ?"
        if self.period == "hour":
            sql = "SELECT cash FROM hours WHERE hour = ?"
        hours = [Decimal(text) for (text,) in connection.execute(sql, (start,))]
        sql = "SELECT amount FROM reservations WHERE expires >= ? AND token != ?"
        running = [Decimal(text) for (text,) in connection.execute(sql, (time.time(), own))]
        return Spending(sum(hours, Decimal(0)), sum(running, Decimal(0)))

    def reserve(
        self, token: str, limit: Decimal, least: Decimal, most: Decimal | None, *, waits: bool
    ) -> Future[Claim]:
        """Reserves `most`, or what is free of `limit` if no other request runs and that covers `least`: in one
        transaction, so that no other process comes between. US dollars. `token`: a name for `release`.

        `waits`: False for a request within another one, which cannot end before it.
        """

        def work(connection: sqlite3.Connection) -> Claim:
            connection.execute("DELETE FROM reservations WHERE expires < ?", (time.time(),))
            now = self._read(connection, token)
            free = limit - now.spent - now.reserved
            fits = most is not None and free >= most
            can_wait = waits and now.reserved > 0
            if not fits and (can_wait or free < least):
                return Claim(False, free, can_wait)
            amount = free if most is None else min(most, free)
            # A request with several budgets of this ledger has one reservation: the least of their amounts.
            row = connection.execute("SELECT amount FROM reservations WHERE token = ?", (token,)).fetchone()
            held = amount if row is None else min(amount, Decimal(row[0]))
            sql = "REPLACE INTO reservations VALUES (?, ?, ?, ?)"
            connection.execute(sql, (token, self.writer.owner, money_text(held), expiry()))
            self.writer.reservations.add(token)
            return Claim(True, amount)

        return self.writer.submit(work)

    def release(self, token: str) -> Future[Any]:
        """Ends a reservation, behind the row of its request."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM reservations WHERE token = ?", (token,))
            self.writer.reservations.discard(token)

        return self.writer.submit(work)


def since_of(value: str | datetime.datetime | datetime.date | datetime.timedelta) -> str:
    """A beginning as a row's `ended_at`: a moment, a day (UTC), a duration before now, or a text: `2026-11-26`,
    `2026-11-26T12:00:00+01:00`, `90m`, `24h`, `7d`, `4w`. Raises `ValueError`."""
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, datetime.timedelta):
        return timestamp(datetime.datetime.now(datetime.UTC) - value)
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time(), datetime.UTC)
    return timestamp(value if value.tzinfo else value.replace(tzinfo=datetime.UTC))


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _parsed(text: str) -> datetime.datetime | datetime.timedelta:
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS and number.isascii() and number.isdecimal() and len(number) < 6:
        return datetime.timedelta(**{_UNITS[unit]: int(number)})
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"a time must be as 7d, 24h, 2026-11-26 or 2026-11-26T12:00:00Z, not {text!r}") from None


def bounds(since: Any, until: Any) -> tuple[str, Sequence[str]]:
    """A condition on `ended_at`, and its values."""
    terms = [(term, value) for term, value in (("ended_at >= ?", since), ("ended_at < ?", until)) if value is not None]
    return " AND ".join([term for term, _ in terms]) or "1", [since_of(value) for _, value in terms]

"""The state of a proxy in a SQLite file, which the workers of one machine share."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from motet._sqlite import open_shared, transaction
from motet.proxy.state import (
    REASONING_DAYS,
    RESERVATION_DAYS,
    RESPONSE_DAYS,
    SECONDS_PER_DAY,
    WRITES_PER_CLEANING,
    Funds,
    KeptTurn,
    StateError,
    StoredResponse,
    grant,
)

__all__ = ["SqliteState"]

T = TypeVar("T")

MAX_IN_MEMORY = 1000
"""Turns, and responses, that are kept without a file; as many more may come between two removals. A response repeats
its tools and instructions, some 100 kB for coding agents."""
_DAYS = {"turns": REASONING_DAYS, "responses": RESPONSE_DAYS, "reservations": RESERVATION_DAYS}
_TABLES = """
    CREATE TABLE IF NOT EXISTS turns (key BLOB PRIMARY KEY, parts TEXT NOT NULL, sampled BLOB, at REAL NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS responses (client TEXT NOT NULL, id TEXT NOT NULL, previous_id TEXT, at REAL NOT NULL,
        response TEXT NOT NULL, input TEXT NOT NULL, messages TEXT NOT NULL, PRIMARY KEY (client, id));
    CREATE TABLE IF NOT EXISTS spending (client TEXT PRIMARY KEY, dollars TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS reservations (client TEXT NOT NULL, id TEXT NOT NULL, dollars TEXT NOT NULL,
        at REAL NOT NULL, PRIMARY KEY (client, id)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS turns_at ON turns (at);
    CREATE INDEX IF NOT EXISTS responses_at ON responses (at);
"""


class SqliteState:
    """A state in the file `path`; `None`: in memory, for one process, and only the last 1,000 turns and responses.

    The file is readable for its owner alone: it holds conversations. Work runs in one thread, so that a slow disk does
    not stop the event loop.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = None if path is None else Path(path)
        # One thread: SQLite serialises writes anyway, and a database in memory belongs to its connection.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="motet-proxy-state")
        self._connection: sqlite3.Connection | None = None
        self._writes = 0

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            raise StateError(f"the file does not keep the state of the proxy: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        else:
            connection = open_shared(self._path)
        connection.executescript(_TABLES)
        self._remove_old(connection)
        return connection

    def _remove_old(self, connection: sqlite3.Connection) -> None:
        for table, days in _DAYS.items():
            oldest = time.time() - days * SECONDS_PER_DAY
            connection.execute(f"DELETE FROM {table} WHERE at < ?", (oldest,))
            if self._path is None and table != "reservations":
                last = f"SELECT at FROM {table} ORDER BY at DESC LIMIT 1 OFFSET {MAX_IN_MEMORY - 1}"
                connection.execute(f"DELETE FROM {table} WHERE at < ({last})")

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run(connection: sqlite3.Connection) -> T:
            self._writes += 1
            with transaction(connection):
                if self._writes % WRITES_PER_CLEANING == 0:
                    self._remove_old(connection)
                return work(connection)

        return await self._run(run)

    async def get_turns(self, keys: Sequence[bytes]) -> dict[bytes, KeptTurn]:
        """The turns that are kept under these keys."""

        def read(connection: sqlite3.Connection) -> dict[bytes, KeptTurn]:
            turns = {}
            for key in keys:
                row = connection.execute("SELECT parts, sampled FROM turns WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    turns[key] = KeptTurn(tuple(json.loads(row[0])), None if row[1] is None else array("I", row[1]))
            return turns

        return await self._run(read) if keys else {}

    async def put_turn(self, key: bytes, turn: KeptTurn) -> None:
        """Keeps a turn."""
        sampled = None if turn.sampled is None else turn.sampled.tobytes()
        row = (key, json.dumps(turn.parts), sampled, time.time())
        await self._write(lambda connection: connection.execute("REPLACE INTO turns VALUES (?, ?, ?, ?)", row))

    async def get_response(self, client: str, id: str) -> StoredResponse | None:
        """A client's response."""
        return await self._run(lambda connection: _read_response(connection, client, id))

    async def get_conversation(self, client: str, id: str) -> list[StoredResponse]:
        """A client's response and those before it, the oldest first. Empty if one of them is missing."""

        def read(connection: sqlite3.Connection) -> list[StoredResponse]:
            responses: list[StoredResponse] = []
            following: str | None = id
            while following is not None:
                response = _read_response(connection, client, following)
                if response is None:
                    return []
                responses.append(response)
                following = response.previous_id
            return responses[::-1]

        return await self._run(read)

    async def put_response(self, response: StoredResponse) -> None:
        """Keeps a response."""
        texts = [json.dumps(value) for value in (response.response, response.input, response.messages)]
        row = (response.client, response.id, response.previous_id, time.time(), *texts)
        sql = "REPLACE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?)"
        await self._write(lambda connection: connection.execute(sql, row))

    async def delete_response(self, client: str, id: str) -> bool:
        """Removes a client's response. False: there is none."""
        sql = "DELETE FROM responses WHERE client = ? AND id = ?"
        return await self._write(lambda connection: connection.execute(sql, (client, id)).rowcount > 0)

    async def spent(self, client: str) -> Decimal:
        """US dollars that a client has spent."""
        return await self._run(lambda connection: _read_spent(connection, client))

    async def reserve(
        self, client: str, id: str, *, limit: Decimal, least: Decimal, most: Decimal | None, seconds: float
    ) -> Funds:
        """See `State.reserve`."""

        def write(connection: sqlite3.Connection) -> Funds:
            now = time.time()
            sql = "SELECT dollars FROM reservations WHERE client = ? AND id <> ? AND at > ?"
            rows = connection.execute(sql, (client, id, now)).fetchall()
            spent, reserved = _read_spent(connection, client), sum([Decimal(row[0]) for row in rows], Decimal(0))
            granted = grant(limit, spent, reserved, least, most)
            if granted is not None:
                row = (client, id, f"{granted:f}", now + seconds)
                connection.execute("REPLACE INTO reservations VALUES (?, ?, ?, ?)", row)
            return Funds(granted, spent, reserved)

        return await self._write(write)

    async def renew(self, client: str, id: str, seconds: float) -> None:
        """Extends a reservation to `seconds` from now."""
        sql = "UPDATE reservations SET at = ? WHERE client = ? AND id = ?"
        await self._write(lambda connection: connection.execute(sql, (time.time() + seconds, client, id)))

    async def settle(self, client: str, id: str, cost: Decimal) -> None:
        """See `State.settle`."""

        def write(connection: sqlite3.Connection) -> None:
            sql = "DELETE FROM reservations WHERE client = ? AND id = ?"
            if connection.execute(sql, (client, id)).rowcount and cost:
                total = _read_spent(connection, client) + cost
                connection.execute("REPLACE INTO spending VALUES (?, ?)", (client, f"{total:f}"))

        await self._write(write)

    async def aclose(self) -> None:
        """Closes the file."""
        if self._connection is not None:
            await self._run(lambda connection: connection.close())
            self._connection = None
        self._thread.shutdown(wait=False)


def _read_response(connection: sqlite3.Connection, client: str, id: str) -> StoredResponse | None:
    sql = "SELECT previous_id, at, response, input, messages FROM responses WHERE client = ? AND id = ?"
    row: Any = connection.execute(sql, (client, id)).fetchone()
    if row is None:
        return None
    response, items, messages = [json.loads(text) for text in row[2:]]
    return StoredResponse(
        id=id,
        client=client,
        previous_id=row[0],
        created=int(row[1]),
        response=response,
        input=items,
        messages=messages,
    )


def _read_spent(connection: sqlite3.Connection, client: str) -> Decimal:
    row = connection.execute("SELECT dollars FROM spending WHERE client = ?", (client,)).fetchone()
    return Decimal(0) if row is None else Decimal(row[0])

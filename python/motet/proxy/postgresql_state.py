"""The state of a proxy in PostgreSQL, which the machines of one proxy share."""

from __future__ import annotations

import asyncio
import json
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from motet.errors import ConfigError
from motet.proxy.state import (
    CONNECT_SECONDS,
    REASONING_DAYS,
    RESERVATION_DAYS,
    RESPONSE_DAYS,
    WAIT_SECONDS,
    WRITES_PER_CLEANING,
    Funds,
    KeptTurn,
    StateError,
    StoredResponse,
    grant,
)

__all__ = ["PostgresqlState"]

MAX_CONNECTIONS = 10
"""Of each process. A server allows 100 by default."""
_LOCK = 0x6D6F746574
"""The advisory lock under which tables are made: of two processes that start at once, one would fail."""
_DAYS = {"motet_turns": REASONING_DAYS, "motet_responses": RESPONSE_DAYS, "motet_reservations": RESERVATION_DAYS}
# Texts of JSON and not `jsonb`, which refuses U+0000 and halves of surrogate pairs.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS motet_turns (key bytea PRIMARY KEY, parts text NOT NULL, sampled bytea,"
    " at timestamptz NOT NULL DEFAULT now())",
    "CREATE TABLE IF NOT EXISTS motet_responses (client text, id text, previous_id text,"
    " at timestamptz NOT NULL DEFAULT now(), created bigint NOT NULL, response text NOT NULL, input text NOT NULL,"
    " messages text NOT NULL, PRIMARY KEY (client, id))",
    "CREATE TABLE IF NOT EXISTS motet_spending (client text PRIMARY KEY, dollars numeric NOT NULL)",
    "CREATE TABLE IF NOT EXISTS motet_reservations (client text, id text, dollars numeric NOT NULL,"
    " at timestamptz NOT NULL, PRIMARY KEY (client, id))",
    "CREATE INDEX IF NOT EXISTS motet_turns_at ON motet_turns (at)",
    "CREATE INDEX IF NOT EXISTS motet_responses_at ON motet_responses (at)",
)
_PUT_TURN = (
    "INSERT INTO motet_turns (key, parts, sampled) VALUES (%s, %s, %s)"
    " ON CONFLICT (key) DO UPDATE SET parts = excluded.parts, sampled = excluded.sampled, at = excluded.at"
)
_PUT_RESPONSE = (
    "INSERT INTO motet_responses (client, id, previous_id, created, response, input, messages)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (client, id) DO UPDATE SET previous_id = excluded.previous_id,"
    " at = excluded.at, created = excluded.created, response = excluded.response, input = excluded.input,"
    " messages = excluded.messages"
)
_COLUMNS = "id, client, previous_id, created, response, input, messages"
_GET_CONVERSATION = f"""
    WITH RECURSIVE conversation AS (
        SELECT 0 AS age, {_COLUMNS} FROM motet_responses WHERE client = %s AND id = %s
        UNION ALL
        SELECT age + 1, {", ".join(f"earlier.{name}" for name in _COLUMNS.split(", "))}
        FROM conversation JOIN motet_responses AS earlier
            ON earlier.client = conversation.client AND earlier.id = conversation.previous_id
    )
    SELECT {_COLUMNS} FROM conversation ORDER BY age DESC"""
_RESERVED = (
    "SELECT coalesce(sum(dollars), 0) FROM motet_reservations WHERE client = %s AND id <> %s AND at > clock_timestamp()"
)
_RESERVE = (
    "INSERT INTO motet_reservations (client, id, dollars, at)"
    " VALUES (%s, %s, %s, clock_timestamp() + make_interval(secs => %s))"
    " ON CONFLICT (client, id) DO UPDATE SET dollars = excluded.dollars, at = excluded.at"
)
_RENEW = (
    "UPDATE motet_reservations SET at = clock_timestamp() + make_interval(secs => %s) WHERE client = %s AND id = %s"
)
_RELEASE = "DELETE FROM motet_reservations WHERE client = %s AND id = %s"


class PostgresqlState:
    """A state in the tables `motet_turns`, `motet_responses`, `motet_spending` and `motet_reservations` of a database,
    as `postgresql://USER:PASSWORD@HOST/DATABASE`. They are made if they are missing.

    Each method is one transaction, and so atomic and committed when it returns. Connections are opened on use,
    at most 10.
    """

    def __init__(self, url: str) -> None:
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict
            from psycopg_pool import AsyncConnectionPool, PoolTimeout
        except ImportError as error:
            message = "a state in PostgreSQL needs psycopg: pip install 'motet[proxy,postgresql]'"
            raise ConfigError(message) from error
        try:
            conninfo_to_dict(url)
        except psycopg.Error as error:
            # The words of the driver quote the address, in which the password stands.
            raise ConfigError(
                "the address of PostgreSQL is not valid: postgresql://USER:PASSWORD@HOST/DATABASE"
            ) from error
        self._failures = (psycopg.Error, PoolTimeout, OSError)
        self._pool: Any = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=WAIT_SECONDS,
            kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS},
            open=False,
        )
        self._opening = asyncio.Lock()
        self._is_open = False
        self._writes = 0

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        try:
            if not self._is_open:
                async with self._opening:
                    await self._open()
            async with self._pool.connection() as connection:
                yield connection
        except self._failures as error:
            raise StateError(f"PostgreSQL does not keep the state of the proxy: {type(error).__name__}") from error

    async def _open(self) -> None:
        if self._is_open:
            return
        await self._pool.open()
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in _TABLES:
                await connection.execute(statement)
            await _remove_old(connection)
        self._is_open = True

    async def _read(self, sql: str, values: Sequence[Any]) -> list[Any]:
        if any(isinstance(value, str) and "\0" in value for value in values):
            # No name in the tables has it, and the server refuses it.
            return []
        async with self._connected() as connection:
            rows: list[Any] = await (await connection.execute(sql, values)).fetchall()
            return rows

    async def _write(self, sql: str, values: Sequence[Any]) -> int:
        self._writes += 1
        async with self._connected() as connection:
            if self._writes % WRITES_PER_CLEANING == 0:
                await _remove_old(connection)
            count: int = (await connection.execute(sql, values)).rowcount
            return count

    async def get_turns(self, keys: Sequence[bytes]) -> dict[bytes, KeptTurn]:
        """The turns that are kept under these keys."""
        if not keys:
            return {}
        rows = await self._read("SELECT key, parts, sampled FROM motet_turns WHERE key = ANY(%s)", (list(keys),))
        return {
            bytes(key): KeptTurn(tuple(json.loads(parts)), None if sampled is None else array("I", bytes(sampled)))
            for key, parts, sampled in rows
        }

    async def put_turn(self, key: bytes, turn: KeptTurn) -> None:
        """Keeps a turn."""
        sampled = None if turn.sampled is None else turn.sampled.tobytes()
        await self._write(_PUT_TURN, (key, json.dumps(turn.parts), sampled))

    async def get_response(self, client: str, id: str) -> StoredResponse | None:
        """A client's response."""
        sql = f"SELECT {_COLUMNS} FROM motet_responses WHERE client = %s AND id = %s"
        rows = await self._read(sql, (client, id))
        return _read_response(rows[0]) if rows else None

    async def get_conversation(self, client: str, id: str) -> list[StoredResponse]:
        """A client's response and those before it, the oldest first. Empty if one of them is missing."""
        responses = [_read_response(row) for row in await self._read(_GET_CONVERSATION, (client, id))]
        return responses if responses and responses[0].previous_id is None else []

    async def put_response(self, response: StoredResponse) -> None:
        """Keeps a response."""
        texts = [json.dumps(value) for value in (response.response, response.input, response.messages)]
        names = (response.client, response.id, response.previous_id, response.created)
        await self._write(_PUT_RESPONSE, (*names, *texts))

    async def delete_response(self, client: str, id: str) -> bool:
        """Removes a client's response. False: there is none."""
        if "\0" in id:
            return False
        return await self._write("DELETE FROM motet_responses WHERE client = %s AND id = %s", (client, id)) > 0

    async def spent(self, client: str) -> Decimal:
        """US dollars that a client has spent."""
        rows = await self._read("SELECT dollars FROM motet_spending WHERE client = %s", (client,))
        return Decimal(rows[0][0]) if rows else Decimal(0)

    async def reserve(
        self, client: str, id: str, *, limit: Decimal, least: Decimal, most: Decimal | None, seconds: float
    ) -> Funds:
        """See `State.reserve`."""
        async with self._connected() as connection, connection.transaction():
            spent = await _lock_spent(connection, client)
            rows = await (await connection.execute(_RESERVED, (client, id))).fetchall()
            reserved = Decimal(rows[0][0])
            granted = grant(limit, spent, reserved, least, most)
            if granted is not None:
                await connection.execute(_RESERVE, (client, id, granted, seconds))
            return Funds(granted, spent, reserved)

    async def renew(self, client: str, id: str, seconds: float) -> None:
        """Extends a reservation to `seconds` from now."""
        await self._write(_RENEW, (seconds, client, id))

    async def settle(self, client: str, id: str, cost: Decimal) -> None:
        """See `State.settle`."""
        async with self._connected() as connection, connection.transaction():
            spent = await _lock_spent(connection, client)
            if (await connection.execute(_RELEASE, (client, id))).rowcount:
                sql = "UPDATE motet_spending SET dollars = %s WHERE client = %s"
                await connection.execute(sql, (spent + cost, client))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._pool.close()


async def _lock_spent(connection: Any, client: str) -> Decimal:
    """What a client has spent; other transactions wait to read it until this one ends."""
    sql = "INSERT INTO motet_spending (client, dollars) VALUES (%s, 0) ON CONFLICT (client) DO NOTHING"
    await connection.execute(sql, (client,))
    sql = "SELECT dollars FROM motet_spending WHERE client = %s FOR UPDATE"
    rows = await (await connection.execute(sql, (client,))).fetchall()
    return Decimal(rows[0][0])


async def _remove_old(connection: Any) -> None:
    for table, days in _DAYS.items():
        await connection.execute(f"DELETE FROM {table} WHERE at < now() - make_interval(days => %s)", (days,))


def _read_response(row: Sequence[Any]) -> StoredResponse:
    id, client, previous_id, created, *texts = row
    response, items, messages = [json.loads(text) for text in texts]
    return StoredResponse(
        id=id,
        client=client,
        previous_id=previous_id,
        created=created,
        response=response,
        input=items,
        messages=messages,
    )

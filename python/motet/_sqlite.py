"""SQLite files that several processes read and write at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BUSY_SECONDS", "transaction", "write_ahead"]

BUSY_SECONDS = 10.0
"""How long a write waits for that of another process."""


def write_ahead(connection: sqlite3.Connection) -> None:
    """Sets the journal that lets readers and a writer work at once. Processes that open a new file together exclude
    each other in this, and SQLite does not wait here as it does elsewhere."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction of a connection with `isolation_level=None`."""
    # The lock is taken at once: a transaction that reads first could not wait for that of another process.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

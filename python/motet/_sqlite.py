"""SQLite files that several processes read and write at once."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["open_shared", "transaction"]

BUSY_SECONDS = 10.0
"""How long a write waits for that of another process."""


def open_shared(path: Path) -> sqlite3.Connection:
    """A connection to a file, which is made if it is missing, readable for its owner alone. For `transaction`, and for
    any thread, one at a time. Raises `sqlite3.Error` and `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    _write_ahead(connection)
    # A crash of the machine may lose the last writes, and leaves no half one; a killed process loses none.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
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

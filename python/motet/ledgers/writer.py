"""The thread that writes a ledger: what threads and tasks give it is committed in groups."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias

from motet._sqlite import open_shared, transaction
from motet.errors import ConfigError
from motet.ledgers.entry import APPLICATION_ID, TABLES, VERSION, LedgerEntry, insert

__all__ = ["Work", "Writer", "in_writer_thread", "open_database"]

log = logging.getLogger("motet.ledger")

Work = Callable[[sqlite3.Connection], Any]
Works: TypeAlias = "queue.SimpleQueue[tuple[Writer, Work, Future[Any]] | None]"

MAX_GROUP = 500
"""Works of one transaction."""
HEARTBEAT_SECONDS = 20.0
"""Between two renewals of this process's reservations."""
RESERVATION_SECONDS = 60.0
"""How long a reservation holds after its last renewal: that of a killed process is free after this time."""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to a ledger's file, which is made if it is missing, readable for its owner alone.

    Raises `ConfigError` for a file of another kind or of a later version.
    """
    try:
        connection = open_shared(path)
        [application], [version] = [
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
        ]
        has_tables = connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
        if has_tables and application != APPLICATION_ID:
            raise ConfigError(f"not a ledger, but another SQLite file: {str(path)!r}")
        if version > VERSION:
            raise ConfigError(f"the ledger {str(path)!r} is of a later version, {version}: update motet")
        if version < VERSION:
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} COMMIT;")
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(f"the ledger {str(path)!r} cannot be opened: {error}") from error
    return connection


class Writer:
    """Runs works on a ledger's file, in the order in which they come, in one thread of the process.

    A work is committed when its future is done. Rows that could not be written are kept, and written with the next.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = ""
        """Names this process in the table of reservations."""
        self.reservations: set[str] = set()
        # Reentrant: garbage collection inside a locked section can close a forgotten stream, which writes a row.
        self._lock = threading.RLock()
        self._process: int | None = None
        self._queue: Works = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._unwritten: list[Work] = []
        open_database(path).close()

    def submit(self, work: Work) -> Future[Any]:
        """Runs a work in the thread. The future has its result, or its error, by which the work has had no effect."""
        future: Future[Any] = Future()
        with self._lock:
            if self._process != os.getpid():
                self._start()
            # With the writer: it is not collected before its works are done.
            self._queue.put((self, work, future))
        return future

    def add(self, entry: LedgerEntry) -> Future[Any]:
        """Writes a row."""
        return self.submit(_Insert(entry))

    def flush(self) -> None:
        """Waits until everything is committed. Raises `sqlite3.Error` if it cannot be."""
        if self._process == os.getpid():
            self.submit(lambda connection: None).result()

    def _start(self) -> None:
        works: Works = queue.SimpleQueue()
        thread = threading.Thread(target=_run, args=(weakref.ref(self), works), daemon=True)
        if self._process == os.getpid():
            # Garbage collection in the lines above has written a row, and so started a thread.
            return
        # A fork has neither the thread nor a right to the connection of its parent, which writes what it was given.
        self._process, self._queue, self._thread = os.getpid(), works, thread
        self.owner, self.reservations = uuid.uuid4().hex, set()
        self._unwritten, self._connection = [], None
        thread.start()
        atexit.register(_flush_at_exit, weakref.ref(self))

    def close(self) -> None:
        """Waits until everything is committed, and ends the thread."""
        with contextlib.suppress(sqlite3.Error):
            self.flush()
        with self._lock:
            if self._process == os.getpid() and self._thread is not None:
                self._queue.put(None)
                thread, self._thread, self._process = self._thread, None, None
                thread.join()

    def run_group(self, group: list[tuple[Work, Future[Any]]]) -> None:
        """Runs works in one transaction."""
        rows, self._unwritten = self._unwritten, []
        try:
            if self._connection is None:
                self._connection = open_database(self.path)
            with transaction(self._connection):
                for row in rows:
                    row(self._connection)
                results = [work(self._connection) for work, _ in group]
        except (sqlite3.Error, ConfigError) as error:
            self._unwritten = [*rows, *[work for work, _ in group if isinstance(work, _Insert)]]
            log.error("the ledger %s cannot be written, %s rows wait: %s", self.path, len(self._unwritten), error)
            for _, future in group:
                future.set_exception(error)
        except BaseException as error:
            # A work's own fault: the rows of the others are written without it.
            for work, future in group:
                if len(group) > 1:
                    self.run_group([(work, future)])
                else:
                    future.set_exception(error)
            self._unwritten += rows
        else:
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)

    def renew(self) -> None:
        """Extends the reservations of this process."""
        if self.reservations:
            sql, values = "UPDATE reservations SET expires = ? WHERE owner = ?", (expiry(), self.owner)
            self.run_group([(lambda connection: connection.execute(sql, values), Future())])

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_thread = threading.local()


def in_writer_thread() -> bool:
    """True in the thread of a ledger, which must not wait for rows."""
    return getattr(_thread, "writes", False)


class _Insert:
    """The work of a row."""

    def __init__(self, entry: LedgerEntry) -> None:
        self._entry = entry

    def __call__(self, connection: sqlite3.Connection) -> None:
        insert(connection, self._entry)


def expiry() -> float:
    """The time, in seconds since 1970, to which a reservation holds that is renewed now."""
    return time.time() + RESERVATION_SECONDS


def _run(reference: weakref.ref[Writer], works: Works) -> None:
    """The thread: ends at `None` in the queue, or when the writer is collected."""
    _thread.writes = True
    renewed = time.monotonic()
    while True:
        group: list[tuple[Work, Future[Any]]] = []
        ended, writer, item = False, None, None
        with contextlib.suppress(queue.Empty):
            item = works.get(timeout=HEARTBEAT_SECONDS)
            while item is not None:
                writer, work, future = item
                group.append((work, future))
                if len(group) == MAX_GROUP:
                    break
                item = works.get_nowait()
            ended = item is None
        writer = writer or reference()
        if writer is None:
            return
        if group:
            writer.run_group(group)
        if time.monotonic() - renewed >= HEARTBEAT_SECONDS:
            writer.renew()
            renewed = time.monotonic()
        if ended:
            writer.stop()
            return
        del writer, item, group


def _flush_at_exit(reference: weakref.ref[Writer]) -> None:
    writer = reference()
    if writer is not None:
        with contextlib.suppress(sqlite3.Error, ConfigError):
            writer.flush()

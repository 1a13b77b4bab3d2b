"""Processes that write one ledger and are killed with SIGKILL, over and over.

Run as `python -m tests.support.ledger_writers PATH PROCESSES KILLS SECONDS`. A writer says each row that is committed over
a pipe, which a kill cannot take back. Prints the figures, and the rows that were said and are not in the file.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from decimal import Decimal
from pathlib import Path

import motet
from motet.ledgers.entry import LedgerEntry, timestamp


def write(path: Path, pipe: int) -> None:
    """Writes rows until the process is killed."""
    ledger = motet.ledger(path)
    for number in range(sys.maxsize):
        key = f"{os.getpid()}-{number}"
        ledger.add(
            LedgerEntry(ended_at=timestamp(), key=key, requested_model="model", cash=Decimal("0.000001"))
        ).result()
        os.write(pipe, f"{key}\n".encode())


def start(path: Path, pipe: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            write(path, pipe)
        finally:
            os._exit(1)
    return child


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "a writer failed by itself"


def main(path: Path, processes: int, kills: int, seconds: float) -> None:
    choose = random.Random(1)
    reading, writing = os.pipe()
    begin = time.monotonic()
    children = [start(path, writing) for _ in range(processes)]
    said = b""
    for number in range(kills):
        # At least one row lies between two kills, and the kills are spread over the time.
        said += os.read(reading, 1 << 16)
        while time.monotonic() - begin < seconds * (number + 1) / kills:
            said += os.read(reading, 1 << 16)
        place = choose.randrange(processes)
        kill(children[place])
        children[place] = start(path, writing)
    for child in children:
        kill(child)
    os.close(writing)
    while chunk := os.read(reading, 1 << 16):
        said += chunk
    keys = said.decode().splitlines()
    connection = sqlite3.connect(path)
    stored = {key for (key,) in connection.execute("SELECT key FROM answers")}
    hours = sum(Decimal(cash) for (cash,) in connection.execute("SELECT cash FROM hours"))
    figures = {
        "seconds": round(time.monotonic() - begin, 1),
        "said": len(keys),
        "stored": len(stored),
        "lost": sorted(set(keys) - stored),
        "sums_agree": hours == len(stored) * Decimal("0.000001"),
        "integrity": connection.execute("PRAGMA integrity_check").fetchone()[0],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))

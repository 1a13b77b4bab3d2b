"""Many processes with one ledger: no committed row is lost, and no limit is passed. `MOTET_KILLS=1` for the long form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.ledgers.entry import LedgerEntry, timestamp
from motet.ledgers.spending import Claim
from tests.support.processes import environment
from tests.support.server_scripts import PLAIN, asking

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the writers are forks")
WRITERS = ("32", "100", "60") if os.environ.get("MOTET_KILLS") else ("4", "8", "0")
"""Processes, kills and seconds."""


def test_killed_writers_lose_no_committed_row(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.ledger_writers", str(tmp_path / "usage.db"), *WRITERS]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    print(figures)
    assert (figures["lost"], figures["sums_agree"], figures["integrity"]) == ([], True, "ok")
    assert figures["stored"] >= figures["said"] >= 8


def test_processes_reserve_in_one_file(tmp_path: Path) -> None:
    """As two processes do it: each `Ledger` has a connection and a thread of its own."""
    ours, theirs = motet.ledger(tmp_path / "usage.db"), motet.ledger(tmp_path / "usage.db")
    [mine, other] = [motet.budget("1", per="day", ledger=ledger).share for ledger in (ours, theirs)]
    assert mine is not None
    assert other is not None
    most = Decimal("0.6")
    assert other.reserve("b", Decimal(1), most, most, waits=True).result() == Claim(True, most)
    assert mine.reserve("a", Decimal(1), most, most, waits=True).result() == Claim(False, Decimal("0.4"), True)
    # Within another request, waiting would never end.
    assert mine.reserve("a", Decimal(1), most, most, waits=False).result() == Claim(False, Decimal("0.4"), False)
    other.release("b").result()
    assert mine.reserve("a", Decimal(1), most, None, waits=True).result() == Claim(True, Decimal(1))


def test_processes_do_not_pass_a_limit_together(tmp_path: Path) -> None:
    limit = Decimal("0.00025")
    command = [sys.executable, "-m", "tests.support.ledger_spenders", str(tmp_path / "usage.db"), "4", str(limit)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answers, spent, high = map(Decimal, done.stdout.split())
    assert answers > 4
    # Used up to what one more request may cost.
    assert limit - high < spent <= limit


def test_reservation_of_a_killed_process_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.ledgers.writer.RESERVATION_SECONDS", -1.0)
    ledger = motet.ledger(tmp_path / "usage.db")
    with asking(PLAIN, PLAIN) as (atom, _), motet.budget("1", ledger=ledger) as budget:
        with atom.stream("Hi", max_tokens=30) as stream:
            next(iter(stream))
            assert budget.reserved == 0
        assert budget.spent == stream.answer.cost


def test_child_of_a_fork_writes_by_itself(tmp_path: Path) -> None:
    program = f"""
import os, motet
from motet.ledgers.entry import LedgerEntry, timestamp
ledger = motet.ledger({str(tmp_path / "usage.db")!r})
add = lambda: ledger.add(LedgerEntry(ended_at=timestamp(), requested_model="model")).result()
add()
child = os.fork()
add()
if child == 0: os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(len(list(ledger.rows())))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_rows_of_a_dropped_ledger_are_written(tmp_path: Path) -> None:
    entry = LedgerEntry(ended_at=timestamp(), requested_model="model")
    motet.ledger(tmp_path / "usage.db").add(entry).result(timeout=60)
    assert len(list(motet.ledger(tmp_path / "usage.db").rows())) == 1


def test_idle_writer_renews_its_reservations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.ledgers.writer.HEARTBEAT_SECONDS", 0.01)
    ledger = motet.ledger(tmp_path / "usage.db")
    share = motet.budget("1", ledger=ledger).share
    assert share is not None
    share.reserve("a", Decimal(1), Decimal(1), Decimal(1), waits=True).result()
    expiry = "SELECT expires FROM reservations"
    first = ledger.writer.submit(lambda connection: connection.execute(expiry).fetchone()).result()
    renewed = threading.Event()
    renew = ledger.writer.renew

    def signal() -> None:
        renew()
        renewed.set()

    ledger.writer.renew = signal  # type: ignore[method-assign]
    assert renewed.wait(60)
    assert ledger.writer.submit(lambda connection: connection.execute(expiry).fetchone()).result() > first


def test_stream_collected_by_the_writer_waits_for_nothing(tmp_path: Path) -> None:
    """Garbage collection closes a forgotten stream in any thread: the writer's would wait for itself."""
    ledger = motet.ledger(tmp_path / "usage.db")
    with asking(PLAIN) as (atom, _), ledger:
        stream = atom.stream("Hi")
        next(iter(stream))
        ledger.writer.submit(lambda connection: stream.close()).result(timeout=60)
        assert [row["stop"] for row in ledger.rows()] == ["closed"]

"""Processes that ask a fake backend within one budget of a ledger, until it is used up.

Run as `python -m tests.support.ledger_spenders PATH PROCESSES LIMIT`. Prints what was spent and the most that one request costs.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from pathlib import Path

import motet
from tests.support.fake_backend import FakeBackend
from tests.support.server_scripts import PLAIN, SLUG

MAX_TOKENS = 60


def spend(path: Path, limit: Decimal) -> None:
    atom = motet.atom(SLUG, backend=FakeBackend(lambda messages: PLAIN))
    with motet.budget(limit, per="month", ledger=motet.ledger(path)):
        while True:
            try:
                atom.ask("Hi", max_tokens=MAX_TOKENS)
            except motet.MaxCostError:
                return


def main(path: Path, processes: int, limit: Decimal) -> None:
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            try:
                spend(path, limit)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes
    atom = motet.atom(SLUG, backend=FakeBackend(lambda messages: PLAIN))
    [total] = motet.ledger(path).costs()
    print(total.answers, total.cash, atom.estimate("Hi", max_tokens=MAX_TOKENS).cash.high)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Decimal(sys.argv[3]))

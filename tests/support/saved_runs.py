"""Runs with two calls, one call and an answer: finished, and interrupted in a tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import motet
from motet.loop.run import Run
from tests.support.fake_backend import FakeBackend, calls, fake_atom, turns
from tests.support.loop_tools import Fatal
from tests.support.server_scripts import final


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


SAID = (calls("add", ("add", '{"x": 5}')), calls(("add", '{"x": 7}')), final("A"))


class Counter:
    """Tools that count their calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def add(self, x: int = 1) -> int:
        self.calls.append(x)
        return x + 1


def begun(path: Path | None = None, **options: Any) -> tuple[motet.Atom, FakeBackend, Counter, Run]:
    atom, backend = fake_atom(turns(*SAID))
    counter = Counter()
    if path is not None:
        options["checkpoint"] = path
    return atom, backend, counter, atom.run("Go.", tools=[counter.add], **options)


def interrupted(path: Path, **flags: Any) -> tuple[motet.Atom, Counter, Any]:
    """A run whose second call has started but not ended; its tool, and the number of calls."""
    counter = Counter()

    @motet.tool(**flags)
    def add(x: int = 1) -> int:
        counter.calls.append(x)
        if x == 5 and counter.calls.count(5) == 1:
            raise Fatal
        return x + 1

    atom, _ = fake_atom(turns(*SAID))
    with pytest.raises(Fatal):
        atom.run("Go.", tools=[add], checkpoint=path)
    assert sorted(counter.calls) == [1, 5]
    return atom, counter, add

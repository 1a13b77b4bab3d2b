"""Runs that are replayed with their recorded answers, and with other tools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import motet
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.server_scripts import final

SAID: list[Any] = [
    calls(("add", '{"x": 1}'), ("look", '{"name": "a"}')),
    calls(("add", '{"x": 2}')),
    calls(("add", '{"x": "two"}')),
    final("Three."),
]


def add(x: int) -> int:
    """Adds one."""
    return x + 1


def look(name: str) -> str:
    """Looks."""
    return name.upper()


@pytest.fixture
def run() -> motet.Run:
    """A run of four steps, of which the third has a call with wrong arguments."""
    atom, _ = fake_atom(turns(*SAID))
    return atom.run("Go.", tools=[add, look])


def test_equal_tools_give_the_recorded_run(run: motet.Run) -> None:
    assert motet.replay(run).run == run
    replayed = motet.replay(run, tools=[add, look])
    assert replayed.parting_step is None
    assert [(call.step, call.recorded.call.name) for call in replayed.calls] == [
        (1, "add"),
        (1, "look"),
        (2, "add"),
        (3, "add"),
    ]
    assert all(call.is_equal for call in replayed.calls)
    assert replayed.run.messages == run.messages
    assert replayed.run.text == "Three."


def test_other_tool_runs_from_a_step_on(run: motet.Run) -> None:
    def double(x: int) -> int:
        """Doubles."""
        return x * 2

    changed = motet.tool(name="add")(double)
    replayed = motet.replay(run, tools=[changed], start=2)
    assert (replayed.calls[0].step, replayed.calls[0].replayed.content) == (2, "4")
    assert replayed.parting_step == 2
    assert replayed.run.steps[0] == run.steps[0]
    assert replayed.run.steps[1].message == run.steps[1].message
    contents = [record.content for step in replayed.run.steps for record in step.calls]
    assert contents[:3] == ["2", "A", "4"]


def test_failure_of_the_tool_is_a_result(run: motet.Run) -> None:
    def fail(name: str) -> str:
        """Fails."""
        raise RuntimeError("no light")

    (call,) = motet.replay(run, tools=[motet.tool(name="look")(fail)]).calls
    assert call.replayed.signal == "error:malfunction" and "no light" in call.replayed.content
    assert not call.is_equal


def test_model_is_asked_behind_the_replayed_steps(run: motet.Run) -> None:
    replayed = motet.replay(run, tools=[motet.tool(name="add")(lambda x: 7)], start=2)
    atom, backend = fake_atom(turns(*SAID))
    again = atom.resume(replayed.run.fork(2), tools=[add, look])
    assert again.text == "Three."
    assert backend.requests[0].messages[-1].content[0].content == "7"


def test_wrong_names_and_starts_are_refused(run: motet.Run) -> None:
    def other() -> None:
        """Is not called."""

    with pytest.raises(motet.ConfigError, match="no call from step 1 on has the name other; the run calls add, look"):
        motet.replay(run, tools=[other])
    with pytest.raises(ValueError, match="between 1 and 4"):
        motet.replay(run, start=5)


def test_interrupted_call_stays_without_a_result(run: motet.Run) -> None:
    unfinished = run.fork(1)
    (first, second) = unfinished.steps[0].calls
    cut = replace(unfinished.steps[0], calls=(first, type(second)(second.call, started=True)))
    state = replace(unfinished, steps=(cut,))
    assert motet.replay(state).run == state

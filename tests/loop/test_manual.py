"""Loops whose calls the caller decides on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import motet
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.loop_tools import (
    Fatal,
    House,
    error_of,
    render_each_step,
    text,
)
from tests.support.server_scripts import final


def test_manual_loop_waits_for_each_decision(house: House, lane: str) -> None:
    made: list[int] = []

    def counts(x: int) -> int:
        made.append(x)
        return x

    wanted = [("counts", json.dumps({"x": n})) for n in range(6)]
    brain, server = house.asking(lane, calls(*wanted, ("unknown", "{}")), final("A"))
    with brain.steps("Go.", tools=[counts], allow_text_calls=True) as loop:
        seen = []
        for step in loop:
            seen.append((step.n, step.text, step.reasoning, len(step.calls)))
            if step.calls:
                assert made == []
                approved, denied, replaced, given, by_values, _ = step.calls
                assert (approved.name, approved.arguments, approved.args()) == ("counts", '{"x": 0}', {"x": 0})
                assert repr(approved) == 'PendingCall(counts, {"x": 0})'
                approved.approve()
                denied.deny("not on a Sunday")
                replaced.replace('{"x": 20}')
                given.give({"found": "elsewhere"})
                by_values.replace({"x": 40})
                with pytest.raises(motet.InvalidArgumentsError):
                    replaced.replace('{"y": 1}')
    assert seen == [(1, "", "I need a tool.", 6), (2, "A", "", 0)]
    assert sorted(made) == [0, 20, 40]
    step = loop.run.steps[0]
    assert [one.signal for one in step.calls] == [
        "success",
        "error:constraint",
        "success",
        "success",
        "success",
        "error:constraint",
        "error:constraint",
    ]
    assert [one.content for one in step.calls][:5] == [
        "0",
        error_of("constraint", "not on a Sunday")[1],
        "20",
        '{"found":"elsewhere"}',
        "40",
    ]
    assert "the call was not approved" in step.calls[5].content
    # The model sees what was called, and not what it had written.
    assert [one.args()["x"] for one in step.message.tool_calls[:6]] == [0, 1, 20, 3, 40, 5]
    assert '"x": 20' in str(server.requests[1].body).replace("\\", "") or lane == "ids"
    render_each_step(loop.run)


def test_async_manual_loop_decides_whole_steps() -> None:
    brain, _ = fake_atom(turns(calls("text", "text"), calls("text"), final("A")))

    async def main() -> motet.Run:
        async with brain.asteps("Go.", tools=[text]) as loop:
            async for step in loop:
                step.approve() if step.n == 1 else step.deny()
        return loop.run

    run = asyncio.run(main())
    assert [[one.signal for one in step.calls] for step in run.steps] == [["success"] * 2, ["error:constraint"], []]


def test_manual_run_resumes_manually(tmp_path: Path) -> None:
    made: list[int] = []

    def counts(x: int) -> int:
        made.append(x)
        if len(made) == 2:
            raise Fatal
        return x

    brain, _ = fake_atom(turns(calls(("counts", '{"x": 1}')), calls(("counts", '{"x": 2}')), final("A")))
    path = tmp_path / "run.json"
    with brain.steps("Go.", tools=[counts], checkpoint=path) as loop:
        next(iter(loop))
    assert made == []
    with pytest.raises(motet.ConfigError, match=r"its calls need approval; continue it with steps\(run\)"):
        brain.resume(path, tools=[counts])
    with pytest.raises(Fatal), brain.steps(motet.Run.load(path), tools=[counts], checkpoint=path) as loop:
        for step in loop:
            step.calls[0].replace({"x": 10 * step.n})
    # What was replaced is what was begun, and what is asked about.
    assert made == [10, 20]
    state = motet.Run.load(path)
    assert [one.args() for one in state.unfinished] == [{"x": 20}]
    with pytest.raises(motet.UnfinishedCallError), brain.steps(state, tools=[counts]) as loop:
        list(loop)
    with brain.steps(state, tools=[counts], unfinished="rerun") as loop:
        for step in loop:
            step.approve()
    assert (loop.run.text, made) == ("A", [10, 20, 20])

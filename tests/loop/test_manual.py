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
from tests.support.server_scripts import final, prompt_text


def test_manual_loop_waits_for_each_decision(house: House, lane: str) -> None:
    effects: list[int] = []

    def counts(x: int) -> int:
        effects.append(x)
        return x

    requested = [("counts", json.dumps({"x": n})) for n in range(6)]
    atom, server = house.asking(lane, calls(*requested, ("unknown", "{}")), final("A"))
    with atom.steps("Go.", tools=[counts], allow_text_calls=True) as loop:
        values = []
        for step in loop:
            values.append((step.n, step.text, step.reasoning, len(step.calls)))
            if step.calls:
                assert effects == []
                approved, denied, replaced, value, by_values, _ = step.calls
                assert (approved.name, approved.arguments, approved.args()) == ("counts", '{"x": 0}', {"x": 0})
                assert repr(approved) == 'PendingCall(counts, {"x": 0})'
                approved.approve()
                denied.deny("not on a Sunday")
                replaced.replace('{"x": 20}')
                value.give({"found": "elsewhere"})
                by_values.replace({"x": 40})
                with pytest.raises(motet.InvalidArgumentsError):
                    replaced.replace('{"y": 1}')
    assert values == [(1, "", "I need a tool.", 6), (2, "A", "", 0)]
    assert sorted(effects) == [0, 20, 40]
    step = loop.run.steps[0]
    assert [call.signal for call in step.calls] == [
        "success",
        "error:constraint",
        "success",
        "success",
        "success",
        "error:constraint",
        "error:constraint",
    ]
    assert [call.content for call in step.calls][:5] == [
        "0",
        error_of("constraint", "not on a Sunday")[1],
        "20",
        '{"found":"elsewhere"}',
        "40",
    ]
    assert "the call was not approved" in step.calls[5].content
    # The model sees what was called, and not what it had written.
    assert [call.args()["x"] for call in step.message.tool_calls[:6]] == [0, 1, 20, 3, 40, 5]
    body = server.requests[1].body
    assert '"x": 20' in (str(body).replace("\\", "") if lane == "chat" else prompt_text(body))
    render_each_step(loop.run)


def test_async_manual_loop_decides_whole_steps() -> None:
    atom, _ = fake_atom(turns(calls("text", "text"), calls("text"), final("A")))

    async def main() -> motet.Run:
        async with atom.asteps("Go.", tools=[text]) as loop:
            async for step in loop:
                step.approve() if step.n == 1 else step.deny()
        return loop.run

    run = asyncio.run(main())
    assert [[call.signal for call in step.calls] for step in run.steps] == [["success"] * 2, ["error:constraint"], []]


def test_manual_run_resumes_manually(tmp_path: Path) -> None:
    effects: list[int] = []

    def counts(x: int) -> int:
        effects.append(x)
        if len(effects) == 2:
            raise Fatal
        return x

    atom, _ = fake_atom(turns(calls(("counts", '{"x": 1}')), calls(("counts", '{"x": 2}')), final("A")))
    path = tmp_path / "run.json"
    with atom.steps("Go.", tools=[counts], checkpoint=path) as loop:
        next(iter(loop))
    assert effects == []
    with pytest.raises(motet.ConfigError, match=r"its calls need approval; continue it with steps\(run\)"):
        atom.resume(path, tools=[counts])
    with pytest.raises(Fatal), atom.steps(motet.Run.load(path), tools=[counts], checkpoint=path) as loop:
        for step in loop:
            step.calls[0].replace({"x": 10 * step.n})
    # What was replaced is what was begun, and what is asked about.
    assert effects == [10, 20]
    state = motet.Run.load(path)
    assert [call.args() for call in state.unfinished] == [{"x": 20}]
    with pytest.raises(motet.UnfinishedCallError), atom.steps(state, tools=[counts]) as loop:
        list(loop)
    with atom.steps(state, tools=[counts], unfinished="rerun") as loop:
        for step in loop:
            step.approve()
    assert (loop.run.text, effects) == ("A", [10, 20, 20])

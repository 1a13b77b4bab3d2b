"""What ends a run, what it leaves, and how it resumes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.testing import Fault, Turn
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.loop_tools import (
    HOWS,
    Fatal,
    House,
    ran,
    sums,
    text,
)
from tests.support.server_scripts import final


@pytest.mark.parametrize("how", HOWS)
def test_resume_repeats_the_failed_request_but_no_tool(house: House, how: str) -> None:
    effects: list[int] = []

    def counts() -> int:
        effects.append(1)
        return len(effects)

    refused = Fault("status", status=400, body={"error": {"message": "not today"}})
    atom, server = house.asking("chat", calls("counts"), refused, final("A"))
    with pytest.raises(motet.InvalidRequestError) as caught:
        ran(house, atom, how, "Go.", tools=[counts])
    state = caught.value.state  # type: ignore[attr-defined]
    assert (len(state.steps), state.done, state.aborted) == (1, False, ())
    assert atom.resume(state, tools=[counts]).text == "A"
    assert (len(effects), len(server.requests)) == (1, 3)


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_broken_off_answer_is_in_the_cost(house: House, lane: str, how: str) -> None:
    long = final("word " * 50)
    atom, _ = house.asking(lane, calls("text"), Turn(long, fault=Fault("reset", after=30)), final("A"))
    with pytest.raises(motet.StreamTruncatedError) as caught:
        ran(house, atom, how, "Go.", tools=[text])
    state = caught.value.state  # type: ignore[attr-defined]
    assert (len(state.steps), len(state.aborted)) == (1, 1)
    assert state.aborted[0].cost.cash.total == caught.value.cost > 0
    run = atom.resume(state, tools=[text])
    assert run.metrics.cost.cash.total > sum(step.metrics.cost.cash.total for step in run.steps)
    sums(run)


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_abandoned_run_stream_keeps_its_cost(house: House, how: str) -> None:
    async def left(atom: motet.Atom, **options: Any) -> motet.Run:
        async with atom.arun_stream("Go.", **options) as stream:
            async for event in stream:
                if event.kind == "text" and event.delta.strip() == "word":
                    break
        return stream.run

    atom, server = house.asking("chat", calls("text"), Turn(final("word " * 500), delay=0.001), final("A"))
    server.hung_up.clear()
    if how == "stream":
        with atom.run("Go.", tools=[text], stream=True) as stream:
            for event in stream:
                if event.kind == "text" and event.delta.strip() == "word":
                    break
        run = stream.run
    else:
        run = house.wait(left(atom, tools=[text]))
    assert server.hung_up.wait(5), "the connection is still open"
    assert (len(run.steps), len(run.aborted)) == (1, 1)
    assert 0 < run.aborted[0].size.tokens.output < 100
    run = atom.resume(run, tools=[text])
    assert run.text == "A"
    sums(run)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, Fatal])
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_fatal_error_in_a_tool_keeps_other_results(
    house: House, tmp_path: Path, how: str, kind: type[BaseException], flavour: str
) -> None:
    effects: list[str] = []

    def other() -> str:
        time.sleep(0.05)
        effects.append("other")
        return "done"

    def dies() -> None:
        effects.append("dies")
        if effects.count("dies") == 1:
            raise kind

    async def dies_async() -> None:
        dies()

    tools = [other, motet.tool(name="dies")(dies if flavour == "sync" else dies_async)]
    atom, _ = fake_atom(turns(calls("other", "dies"), final("A")))
    path = tmp_path / "run.json"
    with pytest.raises(kind) as caught:
        ran(house, atom, how, "Go.", tools=tools, checkpoint=path)
    for state in (caught.value.state, motet.Run.load(path)):  # type: ignore[attr-defined]
        assert [call.name for call in state.unfinished] == ["dies"]
        assert state.steps[0].calls[0].content == "done"
    with pytest.raises(motet.UnfinishedCallError, match=r"interrupted within dies\(\{\}\)") as unfinished:
        atom.resume(path, tools=tools)
    assert [call.name for call in unfinished.value.calls] == ["dies"]
    assert effects == ["dies", "other"]
    run = atom.resume(path, tools=tools, unfinished="rerun")
    assert (run.text, effects) == ("A", ["dies", "other", "dies"])


def test_cancelled_task_can_be_resumed(tmp_path: Path) -> None:
    effects: list[str] = []

    async def waits() -> str:
        effects.append("waits")
        await asyncio.sleep(0.01 if len(effects) > 1 else 60)
        return "waited"

    atom, _ = fake_atom(turns(calls("waits"), final("A")))
    path = tmp_path / "run.json"

    async def main() -> None:
        task = asyncio.create_task(atom.arun("Go.", tools=[waits], checkpoint=path))
        while not effects:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [call.name for call in motet.Run.load(path).unfinished] == ["waits"]
        run = await atom.aresume(path, tools=[waits], unfinished="rerun")
        assert run.text == "A"

    asyncio.run(main())


def test_errors_pickle_with_their_run() -> None:
    import pickle

    atom, _ = fake_atom(turns(*[calls("text")] * 3, final("A")))
    with pytest.raises(motet.MaxStepsError) as caught:
        atom.run("Go.", tools=[text], max_steps=2)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.option, again.limit, str(again)) == ("max_steps", 2, str(caught.value))
    assert atom.resume(again.state, tools=[text], max_steps=9).text == "A"

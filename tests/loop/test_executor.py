"""Tool calls in threads and tasks: parallel, late, cancelled and hanging."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path

import pytest

import motet
from motet.loop.executor import MAX_PARALLEL_CALLS
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.loop_tools import (
    WAKE,
    House,
    good,
    hangs,
    ran,
)
from tests.support.processes import environment
from tests.support.server_scripts import final


@pytest.mark.parametrize("how", ["run", "arun"])
@pytest.mark.parametrize("parallel", [True, False])
def test_calls_run_in_parallel_or_in_order(house: House, parallel: bool, how: str) -> None:
    """In parallel, four calls meet, and end in the reverse order; in order, each ends before the next begins."""
    meeting = threading.Barrier(4 if parallel else 1)
    ended = [threading.Event() for _ in range(4)]
    order: list[int] = []

    def meets(x: int) -> int:
        meeting.wait(30)
        if parallel and x < 3:
            ended[x + 1].wait(30)
        order.append(x)
        ended[x].set()
        return x

    atom, _ = house.asking("chat", calls(*[("meets", json.dumps({"x": n})) for n in range(4)]), final("A"))
    run = ran(house, atom, how, "Go.", tools=[meets], parallel=parallel)
    assert [call.content for call in run.steps[0].calls] == ["0", "1", "2", "3"]
    assert order == ([3, 2, 1, 0] if parallel else [0, 1, 2, 3])


@pytest.mark.parametrize("how", ["run", "arun"])
def test_parallel_calls_are_bounded(how: str) -> None:
    running, most, lock, full = 0, 0, threading.Lock(), threading.Event()

    def meets() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if running >= MAX_PARALLEL_CALLS:
            full.set()
        full.wait(30)
        with lock:
            running -= 1

    atom, _ = fake_atom(turns(calls(*["meets"] * (2 * MAX_PARALLEL_CALLS)), final("A")))
    run = asyncio.run(atom.arun("Go.", tools=[meets])) if how == "arun" else atom.run("Go.", tools=[meets])
    assert {call.signal for call in run.steps[0].calls} == {"success"}
    assert most == MAX_PARALLEL_CALLS


def test_timeout_of_a_tool_overrides_that_of_the_loop() -> None:
    @motet.tool(timeout=0.05)
    def quick() -> None:
        WAKE.wait(60)

    atom, _ = fake_atom(turns(calls("quick", "hangs"), final("A")))
    run = atom.run("Go.", tools=[quick, hangs], tool_timeout=0.1)
    assert ["within 0.05 s" in call.content for call in run.steps[0].calls] == [True, False]
    assert ["within 0.1 s" in call.content for call in run.steps[0].calls] == [False, True]


def test_late_async_tools_are_cancelled_or_abandoned() -> None:
    heeded: list[str] = []

    async def heeds() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heeded.append("heeds")
            raise

    async def stubborn() -> None:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                heeded.append("stubborn")

    atom, _ = fake_atom(turns(calls("heeds", "stubborn"), final("A")))
    for run in (
        atom.run("Go.", tools=[heeds, stubborn], tool_timeout=0.5),
        asyncio.run(atom.arun("Go.", tools=[heeds, stubborn], tool_timeout=0.5)),
    ):
        assert [call.signal for call in run.steps[0].calls] == ["error:malfunction"] * 2
        assert all("no result within 0.5 s" in call.content for call in run.steps[0].calls)
    assert heeded.count("heeds") == 2


def test_cancelled_error_inside_a_tool_is_its_failure() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    async def times_out() -> None:
        raise TimeoutError("upstream")

    atom, _ = fake_atom(turns(calls("cancels", "times_out"), final("A")))
    for run in (
        atom.run("Go.", tools=[cancels, times_out]),
        asyncio.run(atom.arun("Go.", tools=[cancels, times_out])),
    ):
        assert ["cancelled" in call.content for call in run.steps[0].calls] == [True, False]
        assert "TimeoutError: upstream" in run.steps[0].calls[1].content


def test_hanging_tool_does_not_block_process_exit(tmp_path: Path) -> None:
    import subprocess
    import sys

    page = tmp_path / "hang.py"
    page.write_text(
        "import asyncio, time\nfrom tests.support.fake_backend import *\nfrom tests.support.server_scripts import final\n"
        "def hangs() -> None:\n    time.sleep(600)\n"
        "atom, _ = fake_atom(turns(calls('hangs'), final('A')))\n"
        "print(atom.run('Go.', tools=[hangs], tool_timeout=0.1).text)\n"
        "print(asyncio.run(atom.arun('Go.', tools=[hangs], tool_timeout=0.1)).text)\n"
    )
    done = subprocess.run(
        [sys.executable, page],
        capture_output=True,
        timeout=30,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment(),
    )
    assert done.stdout == "A\nA\n", done.stderr


def test_tools_can_run_loops_themselves() -> None:
    inner, _ = fake_atom(turns(calls("good"), final("inner")))

    def asks() -> str:
        return inner.run("Go.", tools=[good]).text

    atom, _ = fake_atom(turns(calls("asks"), final("A")))
    assert atom.run("Go.", tools=[asks]).steps[0].calls[0].content == "inner"

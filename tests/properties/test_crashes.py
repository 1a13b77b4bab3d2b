"""Crashes of tool loops at every point: finished steps are kept, and a call runs twice only by the caller's choice."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.testing import ScriptedServer
from tests.support.crash_points import CRASH_POINT, Crash, World, crash_points
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.server_scripts import KEY, SLUG, final

# In the process.


@pytest.fixture(autouse=True)
def ticks(request: pytest.FixtureRequest) -> Iterator[None]:
    with contextlib.nullcontext() if "killed" in request.node.name else crash_points():
        yield


def add(x: int) -> str:
    return f'{{"x": {x}}}'


CONVERSATIONS: dict[str, tuple[str, ...]] = {
    "one call": (calls(("add", add(1))), final("A")),
    "three at once": (calls(("add", add(1)), ("add", add(2)), ("add", add(3))), final("A")),
    "two steps": (calls(("add", add(1))), calls(("add", add(2))), final("A")),
    "both": (calls(("add", add(1)), ("add", add(2))), calls(("add", add(3)), ("add", add(4))), final("A")),
    "wrong arguments": (calls(("add", "{}"), ("add", add(1))), calls(("add", '{"x": ')), final("A")),
    "unknown tool": (calls("other", ("add", add(1)), "other"), final("A")),
    "with a preamble": (f"<|channel|>commentary<|message|>Let me see.<|end|>{calls(('add', add(1)))[39:]}", final("A")),
    "no call": (final("A"),),
    "four steps": (*[calls(("add", add(n))) for n in range(4)], final("A")),
    "said twice": (calls(("add", add(1)), ("add", add(1))), final("A")),
}


def adder(world: World, kind: str, *, awaited: bool) -> Any:
    """The tool `add` of a kind, with side effects that are counted."""

    def act(x: int) -> str:
        world.act(x, seconds=0.002 if kind == "slow" else 0)
        if kind == "raising":
            raise ValueError(f"could not add {x}")
        return f"added {x}"

    async def later(x: int) -> str:
        await asyncio.sleep(0)
        return act(x)

    def plain(x: int) -> str:
        return act(x)

    return motet.tool(name="add", idempotent=kind == "idempotent")(later if awaited else plain)


KINDS = ["once", "idempotent", "slow", "raising"]


def go_on(kind: str, add: Any, path: Path, script: tuple[str, ...], policy: Any, awaited: bool) -> motet.Run:
    """One process: starts the run, or resumes it from the disk."""
    atom, backend = fake_atom(turns(*script))
    backend.before = CRASH_POINT.tick
    options: Any = {"tools": [add], "parallel": kind != "once"}
    if not path.exists():
        options["checkpoint"] = path
        return asyncio.run(atom.arun("Go.", **options)) if awaited else atom.run("Go.", **options)
    options["unfinished"] = policy
    return asyncio.run(atom.aresume(path, **options)) if awaited else atom.resume(path, **options)  # type: ignore[no-any-return]


def calls_of(script: tuple[str, ...]) -> collections.Counter[int]:
    """The number of calls of `add` with each valid `x`."""
    return collections.Counter(
        call.args()["x"]
        for turn in script
        for call in motet.parse(turn).tool_calls
        if call.name == "add" and call.arguments.endswith("}") and "x" in call.args()
    )


def crash_and_go_on(folder: Path, name: str, kind: str, n: int, world: World, tools: dict[bool, Any]) -> bool:
    """One case: crashes at the n-th crash point and again while resuming, then ends. False if nothing crashed."""
    script, path = CONVERSATIONS[name], folder / f"{n}.json"
    expected = calls_of(script)
    world.done.clear()
    crashes, reported = 0, collections.Counter[int]()
    policy: Any = "raise"
    # A process that goes on crashes, too: early for some n, late for others, not at all for others again.
    for left in (n, (n * 7) % 23, 0):
        CRASH_POINT.left = left
        saved = motet.Run.load(path) if path.exists() else None
        try:
            run = go_on(kind, tools[n % 3 == 0], path, script, policy, awaited=n % 3 == 0)
            break
        except Crash:
            crashes += 1
            policy = "raise"
        except motet.UnfinishedCallError as error:
            reported.update(call.args()["x"] for call in error.calls)
            policy = "skip"
        CRASH_POINT.left = 0
        if path.exists():
            # Whatever was on the disk before is there still.
            now = motet.Run.load(path)
            assert saved is None or now.steps[: len(saved.steps) - 1] == saved.steps[:-1]
        else:
            assert not world.done
    else:
        CRASH_POINT.left = 0
        try:
            run = go_on(kind, tools[False], path, script, policy, awaited=False)
        except motet.UnfinishedCallError as error:
            reported.update(call.args()["x"] for call in error.calls)
            run = go_on(kind, tools[False], path, script, "skip", awaited=False)
    CRASH_POINT.left = 0
    assert (run.text, run.output, len(run.steps)) == ("A", "A", len(script))
    assert [record.signal is not None for step in run.steps for record in step.calls] == [True] * sum(
        len(step.calls) for step in run.steps
    )
    time.sleep(0.004 if kind == "slow" and crashes else 0)
    for x, times in expected.items():
        if kind == "idempotent":
            assert world.done[x] >= times
            assert not reported
        else:
            # Once for each time it was said; or less, and then it was reported.
            assert world.done[x] <= times
            assert world.done[x] + reported[x] >= times
    # One after the other, there is no more than one that it cannot be known of.
    assert kind != "once" or sum(reported.values()) <= crashes
    assert set(world.done) <= set(expected)
    assert motet.Run.load(path).done
    assert sorted(file.name for file in folder.iterdir() if file.name.startswith((f"{n}.json", f".{n}.json"))) == [
        f"{n}.json"
    ]
    return crashes > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_run_resumes_after_a_crash_anywhere(name: str, kind: str, quick_path: Path) -> None:
    world = World()
    tools = {awaited: adder(world, kind, awaited=awaited) for awaited in (False, True)}
    n = 1
    while crash_and_go_on(quick_path, name, kind, n, world, tools):
        n += 1
        assert n < 1000
    # More than a thousand cells in all.
    script = CONVERSATIONS[name]
    assert n > 12 * len(script) + 6 * calls_of(script).total()


# A process that is killed, as `kill -9` does it, over real HTTP.

STEPS = 10
PLACES = ["in the answer", "before the work", "after the work", "between the steps"]


def tool_of(n: int) -> str:
    """Each second tool may be called twice."""
    return "look" if n % 2 else "spend"


def reply_to(body: Any) -> str:
    n = sum(message["role"] == "assistant" for message in body["messages"])
    return calls((tool_of(n), f'{{"x": {n}}}')) if n < STEPS else final("A")


def tools_of(effects: str, before: Callable[[int], None], after: Callable[[int], None]) -> list[Any]:
    def act(x: int) -> int:
        before(x)
        handle = os.open(effects, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, b"%d\n" % x)
        os.close(handle)
        after(x)
        return x

    return [motet.tool(name="spend")(act), motet.tool(name="look", idempotent=True)(act)]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ten_steps(url: str, path: str, n: int, place: str) -> None:
    """A process that kills itself at a place in the n-th step."""

    def there(here: str) -> Callable[[int], None]:
        return lambda x: die() if x == n and place == here else None

    tools = tools_of(path + ".effects", there("before the work"), there("after the work"))
    atom = motet.atom(SLUG, base_url=url, api_key=KEY, lane="chat")
    with atom, atom.run("Go.", tools=tools, checkpoint=path, stream=True) as stream:
        for event in stream:
            at = (len(stream.run.steps), event.kind, event.type)
            if at == ((n, "reasoning", "delta") if place == "in the answer" else (n + 1, "tool_result", "end")):
                # The other two places are within the tool.
                die()


@pytest.mark.parametrize("place", PLACES)
def test_killed_process_can_be_resumed(place: str, quick_path: Path) -> None:
    # A server of processes that has no threads to be forked, and imports what they need but once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.properties.test_crashes", "motet.atoms.factory", "motet.together.backend", "pydantic"]
    )
    with ScriptedServer(reply_to) as server, motet.atom(SLUG, base_url=server.url, api_key=KEY, lane="chat") as atom:
        for n in range(STEPS):
            path, effects = quick_path / f"{n}.json", quick_path / f"{n}.json.effects"
            process = context.Process(target=ten_steps, args=(server.url, str(path), n, place))
            process.start()
            process.join(60)
            assert process.exitcode == -signal.SIGKILL
            count = len(server.requests)
            tools = tools_of(str(effects), lambda x: None, lambda x: None)
            saved = motet.Run.load(path)
            # The step that it was killed in is not lost, if its answer had come.
            assert len(saved.steps) == n + (place != "in the answer")
            reported: list[int] = []
            try:
                run = atom.resume(path, tools=tools)
            except motet.UnfinishedCallError as error:
                reported = [call.args()["x"] for call in error.calls]
                run = atom.resume(path, tools=tools, unfinished="skip")
            assert (run.text, len(run.steps)) == ("A", STEPS + 1)
            # No answer is asked for twice but the one that was cut.
            assert len(server.requests) - count == STEPS + 1 - len(saved.steps)
            counts = collections.Counter(map(int, effects.read_text().split()))
            within = place in ("before the work", "after the work")
            assert reported == ([n] if within and tool_of(n) == "spend" else [])
            for x in range(STEPS):
                times = 1 if tool_of(x) == "spend" or x != n or place != "after the work" else 2
                assert counts[x] == (0 if reported == [x] and place == "before the work" else times)
            server.requests.clear()

"""Random schedules of a tool loop: steps, crashes, resumes, forks, limits, and tools of each kind."""

from __future__ import annotations

import asyncio
import collections
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import motet
from tests.support.crash_points import CRASH_POINT, Crash, World, crash_points
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.hypothesis_profiles import examples
from tests.support.server_scripts import final

KINDS = ["once", "again", "raises", "refuses", "awaited", "unknown", "wrong"]
SHARED = "/dev/shm" if Path("/dev/shm").is_dir() else None


def tools_of(world: World) -> list[motet.Tool]:
    """One tool of each kind, with side effects that are counted."""

    def once(x: int) -> int:
        return world.act(x)

    def raises(x: int) -> None:
        raise OSError(f"broken after {world.act(x)}")

    def refuses(x: int) -> None:
        raise motet.ToolConstraintError(f"not {world.act(x)}")

    async def awaited(x: int) -> int:
        await asyncio.sleep(0)
        return world.act(x)

    return [
        *map(motet.tool, (once, raises, refuses, awaited)),
        motet.tool(name="again", idempotent=True)(once),
    ]


class Loops(RuleBasedStateMachine):
    """A run that is resumed after any interruption until it is done."""

    @initialize(
        conversation=st.lists(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), max_size=4),
        parallel=st.booleans(),
    )
    def converse(self, conversation: list[list[str]], parallel: bool) -> None:
        self.stack = ExitStack()
        self.stack.enter_context(crash_points())
        self.folder = Path(tempfile.mkdtemp(dir=SHARED))
        self.path = self.folder / "run.json"
        self.world = World()
        self.tools = tools_of(self.world)
        self.kinds: dict[int, str] = {}
        turns_of_script = []
        for step in conversation:
            requested = []
            for kind in step:
                x = len(self.kinds)
                self.kinds[x] = kind
                requested.append(
                    (kind if kind != "wrong" else "once", '{"y": 1}' if kind == "wrong" else f'{{"x": {x}}}')
                )
            turns_of_script.append(calls(*requested))
        self.turns = (*turns_of_script, final("A"))
        self.atom, backend = fake_atom(turns(*self.turns))
        backend.before = CRASH_POINT.tick
        self.parallel = parallel
        self.reported: collections.Counter[int] = collections.Counter()
        self.steps = 0
        self.policy = "raise"
        self.done = False

    def attempt(self, how: str, crash: int, **options: Any) -> motet.Run | None:
        """One process: starts or resumes the run, and may crash."""
        options = {"tools": self.tools, "max_steps": 20, **options}
        CRASH_POINT.left = crash
        try:
            if self.path.exists():
                return self.going_on(how, **options, unfinished=self.policy)
            return self.beginning(how, **options, checkpoint=self.path, parallel=self.parallel)
        except Crash:
            self.policy = "raise"
        except motet.UnfinishedCallError as error:
            assert self.policy == "raise"
            assert self.kinds[error.calls[0].args()["x"]] != "again"
            self.reported.update(call.args()["x"] for call in error.calls)
            assert error.state.unfinished == error.calls
            self.policy = "skip"
        except motet.MaxStepsError as error:
            assert len(error.state.steps) >= options["max_steps"]
            assert not error.state.done
            self.policy = "raise"
        finally:
            CRASH_POINT.left = 0
        return None

    def going_on(self, how: str, **options: Any) -> motet.Run:
        if how == "arun":
            return asyncio.run(self.atom.aresume(self.path, **options))
        if how == "stream":
            with self.atom.resume(self.path, stream=True, **options) as stream:
                return stream.finish()  # type: ignore[no-any-return]
        return self.atom.resume(self.path, **options)  # type: ignore[no-any-return]

    def beginning(self, how: str, **options: Any) -> motet.Run:
        if how == "arun":
            return asyncio.run(self.atom.arun("Go.", **options))
        if how == "stream":
            with self.atom.run("Go.", stream=True, **options) as stream:
                return stream.finish()
        return self.atom.run("Go.", **options)

    @rule(how=st.sampled_from(["run", "arun", "stream"]), crash=st.integers(1, 60))
    def crash(self, how: str, crash: int) -> None:
        run = self.attempt(how, crash)
        assert run is None or run.text == "A"

    @rule(how=st.sampled_from(["run", "arun", "stream"]), more=st.integers(1, 2), crash=st.integers(0, 60))
    def limit(self, how: str, more: int, crash: int) -> None:
        run = self.attempt(how, crash, max_steps=self.steps + more)
        assert run is None or run.text == "A"

    @rule(events=st.integers(1, 30))
    def leave(self, events: int) -> None:
        """A stream is read in part, then closed."""
        options: Any = {"tools": self.tools, "max_steps": 20}
        if self.path.exists():
            stream = self.atom.resume(self.path, stream=True, unfinished=self.policy, **options)
        else:
            stream = self.atom.run("Go.", stream=True, checkpoint=self.path, parallel=self.parallel, **options)
        try:
            with stream:
                for _, _event in zip(range(events), stream, strict=False):
                    pass
        except motet.UnfinishedCallError as error:
            self.reported.update(call.args()["x"] for call in error.calls)
            self.policy = "skip"
            return
        self.policy = "raise"
        assert stream.run.messages == motet.Run.load(self.path).messages

    @precondition(lambda self: self.path.exists())
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        """A fork continues from one of the steps and leaves this run unchanged."""
        run = motet.Run.load(self.path)
        content = self.path.read_bytes()
        n = data.draw(st.integers(0, len(run.steps)))
        other = World()
        fork = self.atom.resume(run.fork(n), tools=tools_of(other), unfinished="skip", max_steps=20)
        assert (fork.text, len(fork.steps)) == ("A", len(self.turns))
        finished = {
            x for step in run.steps[:n] for record in step.calls if record.signal or record.started for x in _x(record)
        }
        assert not finished & set(other.done) or any(self.kinds[x] == "again" for x in finished & set(other.done))
        assert max(other.done.values(), default=0) <= 1
        assert self.path.read_bytes() == content

    @precondition(lambda self: self.path.exists())
    @rule()
    def move(self) -> None:
        """The files move to another machine; the memory is lost."""
        other = Path(tempfile.mkdtemp(dir=SHARED))
        for path in self.folder.iterdir():
            if not path.name.endswith(".part"):
                shutil.copy(path, other)
        shutil.rmtree(self.folder)
        self.folder, self.path = other, other / "run.json"

    @invariant()
    def nothing_is_lost(self) -> None:
        if not self.path.exists():
            assert not self.world.done
            return
        run = motet.Run.load(self.path)
        assert len(run.steps) >= self.steps
        self.steps = len(run.steps)
        assert not self.done or run.done
        self.done = run.done
        for step in run.steps:
            for record in step.calls:
                for x in _x(record):
                    if record.signal == "success":
                        assert self.world.done[x] >= 1
        for x, times in self.world.done.items():
            assert self.kinds[x] not in ("unknown", "wrong")
            assert times <= 1 or self.kinds[x] == "again"
        prompt = motet.render(run.messages)
        assert motet.parse_conversation(prompt.ids, strict=True)

    def teardown(self) -> None:
        if not hasattr(self, "stack"):
            return
        try:
            run = None
            for _ in range(3):
                run = run or self.attempt("run", 0)
            assert run is not None
            assert (run.text, run.output, len(run.steps)) == ("A", "A", len(self.turns))
            self.nothing_is_lost()
            for x, kind in self.kinds.items():
                if kind in ("unknown", "wrong"):
                    continue
                assert self.world.done[x] >= 1 or self.reported[x]
                assert kind != "again" or (self.world.done[x] and not self.reported[x])
            signals = [record.signal for step in run.steps for record in step.calls]
            assert len(signals) == len(self.kinds)
            assert None not in signals
        finally:
            self.stack.close()
            shutil.rmtree(self.folder)


def _x(record: Any) -> list[int]:
    result = record.call.args().get("x")
    return [] if result is None else [result]


TestLoops = Loops.TestCase
TestLoops.settings = examples(200, stateful_step_count=6, suppress_health_check=list(HealthCheck))

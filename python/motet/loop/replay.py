"""A run again with its recorded answers: recorded results, or those of other tools for the same calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from motet.catalog import uncatalogued
from motet.errors import ConfigError
from motet.loop.executor import execute
from motet.loop.machine import Execute, Loop
from motet.loop.run import CallRecord, Run, Step
from motet.schema.tool import Tool, to_tool

__all__ = ["Replay", "ReplayedCall", "replay", "replay_steps"]


@dataclass(frozen=True, slots=True)
class ReplayedCall:
    """A call that ran again."""

    step: int
    """Ordinal of its step, from 1."""
    recorded: CallRecord
    """The outcome in the run."""
    replayed: CallRecord
    """The outcome now."""

    @property
    def is_equal(self) -> bool:
        """True if the model would read the same result."""
        recorded, replayed = self.recorded, self.replayed
        return (recorded.signal, recorded.content) == (replayed.signal, replayed.content)


@dataclass(frozen=True, slots=True)
class Replay:
    """A run as it was replayed."""

    run: Run
    """With the results of the calls that ran again. `atom.resume(replay.run.fork(n))` asks a model from there on."""
    calls: tuple[ReplayedCall, ...]
    """The calls that ran again, in order."""

    @property
    def parting_step(self) -> int | None:
        """The first step with another result than the recorded one, from 1: what the run has after it answers results
        that no longer are. `None`: all results are the recorded ones."""
        return next((call.step for call in self.calls if not call.is_equal), None)


def replay(run: Run, tools: Iterable[Any] = (), *, start: int = 1) -> Replay:
    """Runs the calls of a recorded run again, with its recorded answers in place of a model: no request is sent, and
    no key is needed.

    - `tools`: functions or `motet.tool`s in place of the run's, by their names. Only calls of these run again; all
      others keep their recorded results.
    - `start`: the first step, from 1, whose calls run again.

    Calls run as in `atom.run`: arguments are checked, errors become results, calls of one step run at the same time.
    Raises `ConfigError` if no call of the run from `start` on has the name of a tool, and `ValueError` for a `start`
    outside of the run.
    """
    steps: list[Step] = []
    calls: list[ReplayedCall] = []
    for step, again in replay_steps(run, tools, start=start):
        steps.append(step)
        calls += again
    return Replay(replace(run, steps=tuple(steps)), tuple(calls))


def replay_steps(run: Run, tools: Iterable[Any] = (), *, start: int = 1) -> Iterator[tuple[Step, list[ReplayedCall]]]:
    """`replay`, step by step: each step with its results, and its calls that ran again."""
    if not 1 <= start <= max(len(run.steps), 1):
        raise ValueError(f"start must be between 1 and {len(run.steps)}, the number of steps: {start}")
    by_name = {tool.name: tool for tool in map(to_tool, tools)}
    called = {record.call.name for step in run.steps[start - 1 :] for record in step.calls}
    if missing := sorted(by_name.keys() - called):
        raise ConfigError(
            f"no call from step {start} on has the name {', '.join(missing)}; the run calls "
            f"{', '.join(sorted(called)) or 'no tool'}"
        )
    return _steps(run, by_name, start)


def _steps(run: Run, tools: dict[str, Tool], start: int) -> Iterator[tuple[Step, list[ReplayedCall]]]:
    for step in run.steps:
        places = [place for place, record in enumerate(step.calls) if record.call.name in tools]
        if step.n < start or not places:
            yield step, []
            continue
        replayed = _call_again(run, step, places, tools)
        pairs = zip(step.calls, replayed.calls, strict=True)
        yield replayed, [ReplayedCall(step.n, *pair) for place, pair in enumerate(pairs) if place in places]


def _call_again(run: Run, step: Step, places: list[int], tools: dict[str, Tool]) -> Step:
    """The step with new results of these calls, made by the loop itself."""
    records = [CallRecord(record.call) if place in places else record for place, record in enumerate(step.calls)]
    state = replace(run, steps=(replace(step, calls=tuple(records)),), options={}, output=None)
    # The call was made, and so allowed, in the run.
    options = {"tools": list(tools.values()), "allow_text_calls": True}
    # A call without an end in the run stays without one, as in the record.
    loop = Loop.resume(uncatalogued(run.slug), state, str, options, "skip")
    for command in loop.commands():
        if not isinstance(command, Execute):
            break
        execute(command.calls, parallel=True)
    return loop.run.steps[0]

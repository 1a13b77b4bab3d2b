"""The token ids of a loop as trainers take them: a prompt, and all that followed it in one sequence."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import Any

from motet.asking.answer import Answer
from motet.asking.episode import Episode
from motet.backend import TokenTrace
from motet.errors import ConfigError
from motet.loop.run import Run

__all__ = ["Trajectory", "trajectories"]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A prompt and what followed it: answers as they were sampled, and between them results and headers."""

    prompt_ids: list[int]
    response_ids: list[int]
    response_mask: list[int]
    """For each id of the response 1 if the model sampled it, else 0."""
    response_logprobs: list[float] | None
    """For each id of the response its natural log-probability: 0.0 where the mask is 0, NaN where the server sent none.
    `None`: it sent none for one of the answers."""
    answers: int
    """Answers in the response, from 1."""


def trajectories(source: Run | Episode | Answer[Any]) -> list[Trajectory]:
    """The token ids of a run, an episode or an answer that was asked for in the ids lane.

    A prompt that begins with the ids of the prompt and the answer before it continues their trajectory; another one
    begins a new trajectory, as after a turn whose reasoning was dropped or a call that was changed. Within a turn a
    loop's prompts continue each other, so that a run mostly gives one. Nothing is rendered: the ids are those that were
    sent and sampled.

    Raises `ConfigError` if the ids of an answer are not known: it came in another lane, or was read from a file.
    """
    joined: list[_Joined] = []
    for trace in _traces(source):
        if not joined or not joined[-1].add(trace):
            joined.append(_Joined(trace))
    return [each.trajectory for each in joined]


def _traces(source: Run | Episode | Answer[Any]) -> list[TokenTrace]:
    """The traces in order. Raises `ConfigError` or `TypeError`."""
    known: list[TokenTrace | None]
    if isinstance(source, Run):
        known = [step.token_trace for step in source.steps]
    elif isinstance(source, Answer):
        known = [source.token_trace]
    elif isinstance(source, Episode):
        known = [exchange.token_trace for exchange in source.exchanges]
    else:
        raise TypeError(f"a trajectory is that of a Run, an Episode or an Answer, not {type(source).__name__}")
    traces = [trace for trace in known if trace is not None]
    if len(traces) < len(known):
        raise ConfigError(f"the token ids of answer {known.index(None) + 1} are not known: ask with lane='ids'")
    return [part for trace in traces for part in (trace.interrupted, trace) if part is not None]


class _Joined:
    """A trajectory while traces are added."""

    def __init__(self, trace: TokenTrace) -> None:
        self._start = len(trace.prompt_ids)
        self._ids = array("I")
        self._answers: list[tuple[int, TokenTrace]] = []
        """Each with the index of its first id."""
        self.add(trace)

    def add(self, trace: TokenTrace) -> bool:
        """Adds the trace if its prompt begins with all ids so far, else returns false."""
        if trace.prompt_ids[: len(self._ids)] != self._ids:
            return False
        self._answers.append((len(trace.prompt_ids), trace))
        self._ids = trace.prompt_ids + trace.sampled_ids
        return True

    @property
    def trajectory(self) -> Trajectory:
        length = len(self._ids) - self._start
        mask, logprobs = [0] * length, [0.0] * length
        for first, trace in self._answers:
            place, count = first - self._start, len(trace.sampled_ids)
            mask[place : place + count] = [1] * count
            logprobs[place : place + count] = trace.logprobs or [math.nan] * count
        known = all(trace.logprobs is not None for _, trace in self._answers)
        return Trajectory(
            list(self._ids[: self._start]),
            list(self._ids[self._start :]),
            mask,
            logprobs if known else None,
            len(self._answers),
        )

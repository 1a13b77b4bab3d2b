"""Atoms: models behind a slug, with `ask`, `stream`, `estimate`, `run` and their async twins."""

from __future__ import annotations

import collections
import logging
import statistics
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack, overload

from motet._context import AsyncClosing, Closing
from motet.asking.answer import Answer, Estimate, EstimatedTokens, Range
from motet.asking.client import ModelClient
from motet.asking.options import Options, PreparedOptions
from motet.asking.request import PreparedRequest, Prompt, RemovedAtomWarning, prepare
from motet.asking.stream import AnswerStream, AsyncAnswerStream
from motet.backend import Backend, Health
from motet.catalog import Spec
from motet.loop.machine import Loop, RunOptions, Unfinished
from motet.loop.manual import AsyncStepLoop, StepLoop
from motet.loop.run import Run
from motet.loop.runner import AsyncRunStream, RunStream
from motet.metrics import cost_of

__all__ = ["Atom"]

T = TypeVar("T")

log = logging.getLogger("motet")
log.addHandler(logging.NullHandler())

EXPECTED_OUTPUT = 1000
"""Expected tokens of an answer before the atom has answered: a rule of thumb, and `Estimate.notes` says so."""


class Atom(Closing, AsyncClosing):
    """A model behind a slug. Stateless: threads and tasks may share it.

    Made by `motet.atom`. A context manager: leaving it closes its connections.
    """

    def __init__(self, spec: Spec, backend: Backend) -> None:
        self._spec = spec
        self.backend = backend
        self._lengths: collections.deque[int] = collections.deque(maxlen=100)
        # Not a method: the atom would be part of a reference cycle, and its connections open until that is collected.
        self._client = ModelClient(backend, partial(_on_answer, self._lengths))

    @property
    def slug(self) -> str:
        """The slug, such as `together/gpt-oss/120b`."""
        return self._spec.slug

    @property
    def repo(self) -> str:
        """The first word of the slug: the service, or the publisher of a model without one."""
        return self._spec.slug.partition("/")[0]

    @property
    def description(self) -> str:
        """One line on the model, from the catalogue."""
        return self._spec.description

    @property
    def spec(self) -> Spec:
        """Prices, context and grades, each with its source and date."""
        return self._spec

    def __repr__(self) -> str:
        return f"Atom({self.slug!r})"

    # Asking.

    def _prepare(self, prompt: Prompt, output: Any, options: Any) -> PreparedRequest:
        self._warn_of_removal()
        return prepare(self._spec, prompt, PreparedOptions.of(output, options))

    def _warn_of_removal(self) -> None:
        notice = self._spec.removal_notice()
        if notice is not None and self._spec.model is not None:
            # The warning points at the caller of the public method, two frames above `_prepare` and `_loop`.
            warnings.warn(notice, RemovedAtomWarning, stacklevel=4)

    @overload
    def ask(self, prompt: Prompt, **options: Unpack[Options]) -> Answer[str]: ...
    @overload
    def ask(self, prompt: Prompt, *, output: type[T], **options: Unpack[Options]) -> Answer[T]: ...
    @overload
    def ask(self, prompt: Prompt, *, output: Any, **options: Unpack[Options]) -> Answer[Any]: ...
    def ask(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> Answer[Any]:
        """Sends a prompt and waits for the complete answer.

        - `prompt`: a text, a message, a list of messages and chat dicts, or results of tool calls.
        - `output`: the type of the answer: `str`, or a type that pydantic supports (a model, a dataclass, a list, a
          scalar).
        - `options`: the fields of `Options`: `briefs`, `tools`, `on`, `reasoning_effort`, `max_tokens`, `max_cost`, ...

        Raises `ApiError`, `StreamError`, `OutputError` or `LimitError`; each carries the partial answer and its cost.
        """
        return self._client.ask(self._prepare(prompt, output, options))

    @overload
    async def aask(self, prompt: Prompt, **options: Unpack[Options]) -> Answer[str]: ...
    @overload
    async def aask(self, prompt: Prompt, *, output: type[T], **options: Unpack[Options]) -> Answer[T]: ...
    @overload
    async def aask(self, prompt: Prompt, *, output: Any, **options: Unpack[Options]) -> Answer[Any]: ...
    async def aask(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> Answer[Any]:
        """`ask`, awaited."""
        return await self._client.aask(self._prepare(prompt, output, options))

    def stream(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> AnswerStream:
        """The events of an answer while they arrive: `with atom.stream(...) as s: for event in s: ...`, then
        `s.answer`. Arguments and errors are those of `ask`; the request is sent when the first event is read."""
        return self._client.stream(self._prepare(prompt, output, options))

    def astream(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> AsyncAnswerStream:
        """`stream`, awaited: `async with atom.astream(...) as s: async for event in s: ...`"""
        return self._client.astream(self._prepare(prompt, output, options))

    # Loops.

    @overload
    def run(
        self, prompt: Prompt, *, output: Any = ..., stream: Literal[True], **options: Unpack[RunOptions]
    ) -> RunStream: ...
    @overload
    def run(
        self, prompt: Prompt, *, output: Any = ..., stream: Literal[False] = ..., **options: Unpack[RunOptions]
    ) -> Run: ...
    def run(
        self, prompt: Prompt, *, output: Any = str, stream: bool = False, **options: Unpack[RunOptions]
    ) -> Run | RunStream:
        """A tool loop: asks, runs the calls of the answer, sends their results, until an answer has no calls.

        `tools` are made with `motet.tool`, or plain functions, sync or async; only these are called. `options` are the
        fields of `RunOptions`: those of `ask`, and `checkpoint`, `parallel`, `max_steps`, `max_time`, ... Returns the
        `Run`; with `stream=True`, a `RunStream` of the events of all steps, whose `run` is the run so far.

        An error of a tool becomes the result of its call. Raises `LimitError` and the errors of `ask`; `.state` of the
        error is the run so far, and `resume` continues it.
        """
        loop = self._loop(prompt, output, options)
        return self._run(loop, stream=stream)

    async def arun(self, prompt: Prompt, *, output: Any = str, **options: Unpack[RunOptions]) -> Run:
        """`run`, awaited. Calls of one step run as tasks, sync tools in threads."""
        loop = self._loop(prompt, output, options)
        return await AsyncRunStream(self._client, loop, stream_events=False).finish()

    def arun_stream(self, prompt: Prompt, *, output: Any = str, **options: Unpack[RunOptions]) -> AsyncRunStream:
        """`run(stream=True)`, awaited: `async with atom.arun_stream(...) as s: async for event in s: ...`"""
        loop = self._loop(prompt, output, options)
        return AsyncRunStream(self._client, loop, stream_events=True)

    def resume(
        self,
        state: Run | str | Path,
        *,
        output: Any = str,
        unfinished: Unfinished = "raise",
        stream: bool = False,
        **options: Unpack[RunOptions],
    ) -> Any:
        """Continues a run: from the `.state` of an error, a saved run, or the path of a checkpoint.

        Completed steps and ended calls are not repeated. `unfinished` decides on calls that started and have no
        recorded end, whose work may be done or not: `"raise"` an `UnfinishedCallError`, `"rerun"` them, `"skip"` them
        with a result that says so, or a function from the call to its result. Calls of `idempotent` tools run again.

        `options` are those of `run`. The run keeps its own where they are absent, except for `tools`, `builtin_tools`,
        `output` and `budget`, which are not saved. `steps(run)` continues a run that was made by hand.
        """
        loop = self._resumed(state, output, options, unfinished)
        return self._run(loop, stream=stream)

    async def aresume(
        self,
        state: Run | str | Path,
        *,
        output: Any = str,
        unfinished: Unfinished = "raise",
        **options: Unpack[RunOptions],
    ) -> Run:
        """`resume`, awaited."""
        loop = self._resumed(state, output, options, unfinished)
        return await AsyncRunStream(self._client, loop, stream_events=False).finish()

    def aresume_stream(
        self,
        state: Run | str | Path,
        *,
        output: Any = str,
        unfinished: Unfinished = "raise",
        **options: Unpack[RunOptions],
    ) -> AsyncRunStream:
        """`resume(stream=True)`, awaited."""
        loop = self._resumed(state, output, options, unfinished)
        return AsyncRunStream(self._client, loop, stream_events=True)

    def steps(
        self,
        prompt: Prompt | Run,
        *,
        output: Any = str,
        unfinished: Unfinished = "raise",
        **options: Unpack[RunOptions],
    ) -> StepLoop:
        """A run by hand: `with atom.steps(...) as loop: for step in loop: step.approve()`. Each step is yielded before
        its calls run; each call can be approved, denied, run with other arguments, or given a result. Calls without a
        decision are denied. `loop.run` is the run so far. `prompt` may be a `Run` to continue."""
        if isinstance(prompt, Run):
            loop = self._resumed(prompt, output, options, unfinished, by_hand=True)
        else:
            loop = self._loop(prompt, output, options, by_hand=True)
        return StepLoop(self._client, loop, stream_events=False)

    def asteps(
        self,
        prompt: Prompt | Run,
        *,
        output: Any = str,
        unfinished: Unfinished = "raise",
        **options: Unpack[RunOptions],
    ) -> AsyncStepLoop:
        """`steps`, awaited."""
        if isinstance(prompt, Run):
            loop = self._resumed(prompt, output, options, unfinished, by_hand=True)
        else:
            loop = self._loop(prompt, output, options, by_hand=True)
        return AsyncStepLoop(self._client, loop, stream_events=False)

    def _loop(self, prompt: Prompt, output: Any, options: Any, *, by_hand: bool = False) -> Loop:
        self._warn_of_removal()
        return Loop.begin(self._spec, prompt, output, options, by_hand=by_hand)

    def _resumed(
        self, state: Run | str | Path, output: Any, options: Any, policy: Unfinished, *, by_hand: bool = False
    ) -> Loop:
        self._warn_of_removal()
        return Loop.resume(self._spec, state, output, options, policy, by_hand=by_hand)

    def _run(self, loop: Loop, *, stream: bool) -> Run | RunStream:
        running = RunStream(self._client, loop, stream_events=stream)
        return running if stream else running.finish()

    def estimate(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> Estimate:
        """Size and cost of an answer, without a request. Arguments are those of `ask`.

        The prompt of a harmony model is counted exactly, that of another model with motet's own vocabulary. The
        expected length of the answer is the mean of this atom's last 100 answers.
        """
        prepared = self._prepare(prompt, output, options)
        prompt_tokens, exact, notes = prepared.count(self.backend.prepare(prepared.request))
        price, no_price = prepared.price(self._spec.model)
        context = self._spec.gain.size.context.tokens
        high = prepared.request.max_tokens
        if context is not None:
            room = max(context - prompt_tokens, 0)
            high = room if high is None else min(high, room)
        expected: int | None
        if self._lengths:
            expected = round(statistics.fmean(self._lengths))
        else:
            expected = EXPECTED_OUTPUT
            notes.append(f"the atom has no answers yet: {EXPECTED_OUTPUT} expected tokens are a rule of thumb")
        if high is not None:
            expected = min(expected, high)
        lengths = Range(0, expected, high)
        ends = (0, expected, high)
        cash = Range(*[None if length is None else cost_of(price, prompt_tokens, length) for length in ends])
        if cash.low is None:
            notes.append(no_price)
        elif cash.high is None:
            notes.append("without max_tokens and a known context there is no upper bound")
        return Estimate(EstimatedTokens(prompt_tokens, lengths), cash, exact, tuple(notes))

    def health(self) -> Health:
        """Whether the service responds, accepts the key, and serves this model."""
        return self.backend.health(self._spec.model)

    async def ahealth(self) -> Health:
        """`health`, awaited."""
        return await self.backend.ahealth(self._spec.model)

    def close(self) -> None:
        """Closes the connections."""
        self.backend.close()

    async def aclose(self) -> None:
        """`close`, awaited."""
        await self.backend.aclose()


def _on_answer(lengths: collections.deque[int], answer: Answer[Any]) -> Answer[Any]:
    """Keeps the length of an answer for estimates, and logs it; its content at DEBUG only."""
    cost, tokens = answer.metrics.cost, answer.metrics.size.tokens
    log.info("%s: %s tokens in, %s out, %s, $%s", answer.model, tokens.input, tokens.output, cost.time, cost.cash.total)
    if log.isEnabledFor(logging.DEBUG):
        log.debug("asked %s", [message.to_dict() for message in answer.episode.exchanges[-1].input])
        log.debug("answered %s", answer.message.to_dict())
    if answer.metrics.size.tokens.output is not None:
        lengths.append(answer.metrics.size.tokens.output)
    return answer

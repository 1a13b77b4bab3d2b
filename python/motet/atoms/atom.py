"""Atoms: models behind a slug, with `ask`, `stream`, `estimate`, `run` and their async twins."""

from __future__ import annotations

import collections
import logging
import statistics
import warnings
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
    """A model behind a slug: stateless, so it can be asked by many threads and tasks at once.

    Made by `motet.atom`. A context manager: leaving it closes its connections.
    """

    def __init__(self, spec: Spec, backend: Backend) -> None:
        self._spec = spec
        self.backend = backend
        self._lengths: collections.deque[int] = collections.deque(maxlen=100)
        self._client = ModelClient(backend, self._on_answer)

    @property
    def slug(self) -> str:
        """`together/gpt-oss/120b`"""
        return self._spec.slug

    @property
    def repo(self) -> str:
        """The first word of the slug: whose service it is."""
        return self._spec.slug.partition("/")[0]

    @property
    def description(self) -> str:
        return self._spec.description

    @property
    def spec(self) -> Spec:
        """What is known of it: prices, context, grades, each with its source and date."""
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
        """Asks, and waits for the whole answer.

        - `prompt`: a text; a message; messages and chat dicts; or the results of the tools that were called.
        - `output`: the type of the answer: `str`, or what pydantic knows (a model, a dataclass, a list, a scalar).
        - `options`: the fields of `Options`: `briefs`, `tools`, `on`, `reasoning_effort`, `max_tokens`, `max_cost`, ...

        Raises `ApiError`, `StreamError`, `OutputError` or `LimitError`; each holds what arrived and what it cost.
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
        """Asks, and gives the events while they arrive: `with brain.stream(...) as s: for event in s: ...`, then
        `s.answer`. Takes and raises what `ask` does; the request is sent when the first event is asked for."""
        return self._client.stream(self._prepare(prompt, output, options))

    def astream(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> AsyncAnswerStream:
        """`stream`, awaited: `async with brain.astream(...) as s: async for event in s: ...`"""
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
        """Asks, calls the tools that the model wants, tells it their results, until it has answered.

        `tools` are made with `motet.tool`, or plain functions, sync or async; nothing else is ever called. `options`
        are the fields of `RunOptions`: what `ask` takes, and `checkpoint`, `parallel`, `max_steps`, `max_time`, ...
        Gives the `Run`; with `stream=True`, a `RunStream` of the events of all steps, whose `run` is the run so far.

        What goes wrong in a tool is told to the model. Raises `LimitError`, and what `ask` raises; the run so far is in
        the error's `.state`, and `resume` goes on with it.
        """
        loop = self._loop(prompt, output, options)
        return self._run(loop, stream=stream)

    async def arun(self, prompt: Prompt, *, output: Any = str, **options: Unpack[RunOptions]) -> Run:
        """`run`, awaited. Calls that the model makes together run as tasks, sync tools in threads."""
        loop = self._loop(prompt, output, options)
        return await AsyncRunStream(self._client, loop, stream_events=False).finish()

    def arun_stream(self, prompt: Prompt, *, output: Any = str, **options: Unpack[RunOptions]) -> AsyncRunStream:
        """`run(stream=True)`, awaited: `async with brain.arun_stream(...) as s: async for event in s: ...`"""
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
        """Goes on with a run: one from an error's `.state`, a saved one, or the path of a checkpoint.

        Steps that are done are not done again, nor calls that have ended. `unfinished` says what becomes of calls that
        were begun and did not end, so that it cannot be known whether they did their work: `"raise"` an
        `UnfinishedCallError`, `"rerun"` them, `"skip"` them and tell the model so, or a function from the call to its
        result. Calls of tools that are `idempotent` are made again.

        `options` are those of `run`; what is not given is as it was, but `tools`, `builtin_tools`, `output` and
        `budget` have to be given again. A run that was made by hand is gone on with by `steps(run)`.
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
        """A run by hand: `with brain.steps(...) as loop: for step in loop: step.approve()`. Each step is yielded before
        its calls are made; each call can be approved, denied, made with other arguments, or given a result. What is not
        decided is denied. `loop.run` is the run so far. In place of the prompt stands a `Run` that is to go on."""
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
        """What an answer will cost, without asking. Takes what `ask` does.

        The prompt of a model that speaks harmony is counted exactly, that of others with motet's own vocabulary. The
        answer is expected to be as long as this atom's last ones were (their mean).
        """
        prepared = self._prepare(prompt, output, options)
        prompt_tokens, exact, notes = prepared.count(self.backend)
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
            notes.append(f"no answers yet to learn from: an answer of {EXPECTED_OUTPUT} tokens is a rule of thumb")
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
        """Whether the service answers, knows the key, and serves this model."""
        return self.backend.health(self._spec.model)

    async def ahealth(self) -> Health:
        """`health`, awaited."""
        return await self.backend.ahealth(self._spec.model)

    def close(self) -> None:
        """Closes its connections."""
        self.backend.close()

    async def aclose(self) -> None:
        """`close`, awaited."""
        await self.backend.aclose()

    def _on_answer(self, answer: Answer[Any]) -> Answer[Any]:
        """Keeps the length of an answer for estimates, and logs it; its content at DEBUG only."""
        cost, tokens = answer.metrics.cost, answer.metrics.size.tokens
        log.info(
            "%s: %s tokens in, %s out, %s, $%s", answer.model, tokens.input, tokens.output, cost.time, cost.cash.total
        )
        if log.isEnabledFor(logging.DEBUG):
            log.debug("asked %s", [message.to_dict() for message in answer.episode.exchanges[-1].input])
            log.debug("answered %s", answer.message.to_dict())
        if answer.metrics.size.tokens.output is not None:
            self._lengths.append(answer.metrics.size.tokens.output)
        return answer

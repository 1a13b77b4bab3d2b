"""Atoms: models behind a slug, to be asked. How words travel is the backend's affair, and what they cost metrics'."""

from __future__ import annotations

import collections
import logging
import statistics
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack, overload

from motet import trace
from motet._context import AsyncClosing, Closing
from motet.asking.answer import Answer, Estimate, EstimatedTokens, Range
from motet.asking.request import Options, Prompt, Question
from motet.asking.stream import AnswerStream, AsyncAnswerStream
from motet.backend import Backend, Health
from motet.catalog import Spec
from motet.errors import MotetError
from motet.loop.machine import Loop, RunOptions, Unfinished
from motet.loop.run import Run
from motet.loop.runner import AsyncRunStream, AsyncStepLoop, RunStream, StepLoop
from motet.metrics import cash as cash_of

__all__ = ["Atom"]

T = TypeVar("T")

log = logging.getLogger("motet")
log.addHandler(logging.NullHandler())

EXPECTED_OUTPUT = 1000
"""Tokens of an answer, where there were none yet to learn from. A rule of thumb, and said to be one."""


class Atom(Closing, AsyncClosing):
    """A model behind a slug: stateless, so it can be asked by many threads and tasks at once.

    Made by `motet.atom`. A context manager: leaving it closes its connections.
    """

    def __init__(self, spec: Spec, backend: Backend) -> None:
        self._spec = spec
        self.backend = backend
        self._lengths: collections.deque[int] = collections.deque(maxlen=100)

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
        question = Question.of(self._spec, prompt, output, options)
        if question.limited:
            with AnswerStream(self.backend, question, self._learn) as stream:
                for _ in stream:
                    pass
                return stream.answer
        with trace.Span(question.request) as span:
            try:
                return self._learn(span.heard(question.finish(self.backend.execute(question.request))))
            except MotetError as error:
                raise question.explain(error) from error.__cause__

    @overload
    async def aask(self, prompt: Prompt, **options: Unpack[Options]) -> Answer[str]: ...
    @overload
    async def aask(self, prompt: Prompt, *, output: type[T], **options: Unpack[Options]) -> Answer[T]: ...
    @overload
    async def aask(self, prompt: Prompt, *, output: Any, **options: Unpack[Options]) -> Answer[Any]: ...
    async def aask(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> Answer[Any]:
        """`ask`, awaited."""
        question = Question.of(self._spec, prompt, output, options)
        if question.limited:
            async with AsyncAnswerStream(self.backend, question, self._learn) as stream:
                async for _ in stream:
                    pass
                return stream.answer
        with trace.Span(question.request) as span:
            try:
                return self._learn(span.heard(question.finish(await self.backend.aexecute(question.request))))
            except MotetError as error:
                raise question.explain(error) from error.__cause__

    def stream(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> AnswerStream:
        """Asks, and gives the events while they arrive: `with brain.stream(...) as s: for event in s: ...`, then
        `s.answer`. Takes and raises what `ask` does; the request is sent when the first event is asked for."""
        return AnswerStream(self.backend, Question.of(self._spec, prompt, output, options), self._learn)

    def astream(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> AsyncAnswerStream:
        """`stream`, awaited: `async with brain.astream(...) as s: async for event in s: ...`"""
        return AsyncAnswerStream(self.backend, Question.of(self._spec, prompt, output, options), self._learn)

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
        loop = Loop.begin(self._spec, prompt, {**options, "output": output})
        return self._run(loop, stream=stream)

    async def arun(self, prompt: Prompt, *, output: Any = str, **options: Unpack[RunOptions]) -> Run:
        """`run`, awaited. Calls that the model makes together run as tasks, sync tools in threads."""
        loop = Loop.begin(self._spec, prompt, {**options, "output": output})
        return await AsyncRunStream(self, loop, listen=False).finish()

    def arun_stream(self, prompt: Prompt, *, output: Any = str, **options: Unpack[RunOptions]) -> AsyncRunStream:
        """`run(stream=True)`, awaited: `async with brain.arun_stream(...) as s: async for event in s: ...`"""
        loop = Loop.begin(self._spec, prompt, {**options, "output": output})
        return AsyncRunStream(self, loop, listen=True)

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
        loop = Loop.resume(self._spec, state, {**options, "output": output}, unfinished)
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
        loop = Loop.resume(self._spec, state, {**options, "output": output}, unfinished)
        return await AsyncRunStream(self, loop, listen=False).finish()

    def aresume_stream(
        self,
        state: Run | str | Path,
        *,
        output: Any = str,
        unfinished: Unfinished = "raise",
        **options: Unpack[RunOptions],
    ) -> AsyncRunStream:
        """`resume(stream=True)`, awaited."""
        loop = Loop.resume(self._spec, state, {**options, "output": output}, unfinished)
        return AsyncRunStream(self, loop, listen=True)

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
        loop = self._by_hand(prompt, {**options, "output": output}, unfinished)
        return StepLoop(self, loop, listen=False)

    def asteps(
        self,
        prompt: Prompt | Run,
        *,
        output: Any = str,
        unfinished: Unfinished = "raise",
        **options: Unpack[RunOptions],
    ) -> AsyncStepLoop:
        """`steps`, awaited."""
        loop = self._by_hand(prompt, {**options, "output": output}, unfinished)
        return AsyncStepLoop(self, loop, listen=False)

    def _by_hand(self, prompt: Prompt | Run, options: dict[str, Any], unfinished: Unfinished) -> Loop:
        if isinstance(prompt, Run):
            return Loop.resume(self._spec, prompt, options, unfinished, by_hand=True)
        return Loop.begin(self._spec, prompt, options, by_hand=True)

    def _run(self, loop: Loop, *, stream: bool) -> Run | RunStream:
        running = RunStream(self, loop, listen=stream)
        return running if stream else running.finish()

    def estimate(self, prompt: Prompt, *, output: Any = str, **options: Unpack[Options]) -> Estimate:
        """What an answer will cost, without asking. Takes what `ask` does.

        The prompt of a model that speaks harmony is counted exactly, that of others with motet's own vocabulary. The
        answer is expected to be as long as this atom's last ones were (their mean).
        """
        question = Question.of(self._spec, prompt, output, options)
        counted, exact, notes = question.count(self.backend)
        price, no_price = question.price(self._spec.model)
        context = self._spec.gain.size.context.tokens
        high = question.request.max_tokens
        if context is not None:
            room = max(context - counted, 0)
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
        cash = Range(*[None if length is None else cash_of(price, counted, length) for length in ends])
        if cash.low is None:
            notes.append(no_price)
        elif cash.high is None:
            notes.append("without max_tokens and a known context there is no upper bound")
        return Estimate(EstimatedTokens(counted, lengths), cash, exact, tuple(notes))

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

    def _learn(self, answer: Answer[Any]) -> Answer[Any]:
        """Remembers how long an answer was, for estimates, and logs it: what was said at DEBUG alone."""
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

"""A trained model beside the one it came from: both answer the same held-out examples, and the table says what of it
was right and what it cost."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motet.asking.answer import Answer
from motet.atoms.atom import Atom
from motet.atoms.factory import atom
from motet.errors import (
    AccessDeniedError,
    ApiError,
    AuthenticationError,
    ConfigError,
    InvalidDatasetError,
    MaxCostError,
    MotetError,
    NotFoundError,
    OutputError,
    QuotaError,
    StreamError,
)
from motet.limits import Budget, budget
from motet.metrics import Price
from motet.tune.scores import Scores, score
from motet.tune.states import Job
from motet.tune.uploads import service_of
from motet.tune.watching import job as job_of

if TYPE_CHECKING:
    from motet.together import Backend

__all__ = ["Comparison", "Result", "Row", "Tally", "compare"]


_UNSCORED = Scores()


@dataclass(frozen=True, slots=True)
class Row:
    """An example: what is asked, and what should be answered."""

    line: int
    """From 1 on."""
    messages: tuple[Mapping[str, Any], ...]
    """Chat dicts, up to the answer."""
    tools: tuple[Mapping[str, Any], ...] = ()
    expected: str | None = None
    """The text of the reference. `None`: there is none."""
    expected_calls: tuple[Mapping[str, Any], ...] = ()
    """Its tool calls: `name` and `arguments`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a model made of an example."""

    row: Row
    text: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()
    scores: Scores = _UNSCORED
    input: int | None = None
    """Tokens of the prompt."""
    output: int | None = None
    """Tokens that it wrote."""
    cost: Decimal | None = None
    """US dollars. `None`: unknown."""
    seconds: float | None = None
    error: str | None = None
    """Why there is no answer."""


@dataclass(frozen=True, slots=True)
class Tally:
    """A model over all examples. Shares go from 0 to 1; `None`: unknown, or nothing to measure."""

    model: str
    results: tuple[Result, ...]

    @property
    def failed(self) -> int:
        """Examples without an answer. They count as wrong."""
        return sum(result.error is not None for result in self.results)

    def share(self, measure: str) -> float | None:
        """The mean of `exact`, `normalised`, `f1` or `calls`."""
        found = [getattr(result.scores, measure) for result in self.results]
        known = [one for one in found if one is not None]
        return statistics.fmean(known) if known else None

    @property
    def input(self) -> int | None:
        """Tokens of all prompts."""
        return _sum([result.input for result in self._answered])

    @property
    def output(self) -> int | None:
        """Tokens of all answers."""
        return _sum([result.output for result in self._answered])

    @property
    def cost(self) -> Decimal | None:
        """US dollars for all. `None`: the price is not known."""
        # An answer that was cut may have cost something, too.
        known = [result.cost for result in self.results if result.error is None or result.cost is not None]
        return None if None in known else sum([one for one in known if one is not None], Decimal(0))

    @property
    def seconds(self) -> float | None:
        """The median of an answer."""
        known = [result.seconds for result in self._answered if result.seconds is not None]
        return statistics.median(known) if known else None

    @property
    def _answered(self) -> list[Result]:
        return [result for result in self.results if result.error is None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models over the same examples."""

    tuned: Tally
    base: Tally | None
    """`None`: only the tuned model was asked."""
    stopped: MotetError | None = None
    """Why not all examples were asked: `MaxCostError` at the limit, or what the service said. `None`: they were."""

    @property
    def tallies(self) -> tuple[Tally, ...]:
        return (self.tuned,) if self.base is None else (self.base, self.tuned)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the figures of both, and each answer."""
        stopped = None if self.stopped is None else str(self.stopped)
        return {"stopped": stopped, "models": [_tally_dict(tally) for tally in self.tallies]}


_MEASURES = ("exact", "normalised", "f1", "calls")


def _tally_dict(tally: Tally) -> dict[str, Any]:
    shape: dict[str, Any] = {"model": tally.model, "examples": len(tally.results), "failed": tally.failed}
    shape |= {measure: tally.share(measure) for measure in _MEASURES}
    shape |= {"input": tally.input, "output": tally.output, "cost": _text(tally.cost), "seconds": tally.seconds}
    shape["answers"] = [
        {
            "line": result.row.line,
            "text": result.text,
            "calls": list(result.calls),
            "expected": result.row.expected,
            "scores": {measure: getattr(result.scores, measure) for measure in _MEASURES},
            "cost": _text(result.cost),
            "error": result.error,
        }
        for result in tally.results
    ]
    return shape


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _sum(counts: list[int | None]) -> int | None:
    return None if None in counts else sum([count for count in counts if count is not None])


def compare(
    tuned: Job | str,
    examples: str | Path | Iterable[Mapping[str, Any]],
    *,
    base: str | None = None,
    limit: int | None = None,
    parallel: int = 4,
    max_cost: Decimal | str | int | None = None,
    price: Price | Mapping[str, Any] | None = None,
    on_result: Callable[[str, Result], None] | None = None,
    backend: Backend | None = None,
    **options: Any,
) -> Comparison:
    """Asks the trained model and its base model the same, and holds the answers against the references.

    - `tuned`: a job, the id of one, or the name of a model.
    - `examples`: a file of JSONL, or rows: conversations whose last message is the reference, `prompt` and
      `completion`, preference data (the preferred one is the reference), or prompts alone, which are not scored.
    - `base`: the model beside it; by default the one that the job trained. Without either, only `tuned` is asked.
    - `limit`: how many examples, from the first on.
    - `parallel`: how many are asked at once.
    - `max_cost`: US dollars for all; when they are used up the rest is not asked.
    - `price`: of the trained model, as `motet.atom` takes it; that of the base model is the catalogue's.
    - `options`: of `ask`: `reasoning_effort`, `max_tokens`, `temperature`, ...

    An example that a model gives no answer to is in its `Tally.failed`, and counts as wrong. What would fail for all of
    them ends the asking: a model that is not served, an account without credit. It is in `.stopped`, with the answers
    that there are; if there are none yet, it is raised.
    """
    rows = list(_rows(examples))[:limit]
    if not rows:
        raise ConfigError("there are no examples to ask")
    service = service_of(backend)
    if isinstance(tuned, str) and tuned.startswith("ft-"):
        tuned = job_of(tuned, backend=service)
    if isinstance(tuned, Job):
        base, name = base or tuned.model, tuned.output_model
        if name is None:
            raise ConfigError(f"{tuned.id} is {tuned.status}, and has no model to ask")
    else:
        name = tuned
    spend = None if max_cost is None else budget(max_cost)
    asking = _Asking(rows, spend, options, parallel, on_result)
    with atom(name, backend=service, price=price) as brain:
        mine = asking.ask(name, brain)
    if base is None:
        return Comparison(mine, None, asking.stopped)
    with atom(base, backend=service) as brain:
        other = asking.ask(base, brain)
    return Comparison(mine, other, asking.stopped)


@dataclass
class _Asking:
    rows: list[Row]
    budget: Budget | None
    options: Mapping[str, Any]
    parallel: int
    on_result: Callable[[str, Result], None] | None
    stopped: MotetError | None = None
    heard: int = 0
    """Answers of all models so far."""

    def ask(self, model: str, brain: Atom) -> Tally:
        """All examples, some at once; the results in their order."""
        results: list[Result] = []
        with ThreadPoolExecutor(self.parallel) as pool:
            for result in pool.map(lambda row: self._one(row, brain), self.rows):
                if result is None:
                    continue
                results.append(result)
                self.heard += 1
                if self.on_result is not None:
                    self.on_result(model, result)
        if self.stopped is not None and not self.heard:
            raise self.stopped
        return Tally(model, tuple(results))

    def _one(self, row: Row, brain: Atom) -> Result | None:
        """One example. `None`: there is no use in asking more."""
        if self.stopped is not None:
            return None
        options = dict(self.options) if self.budget is None else {**self.options, "budget": self.budget}
        try:
            answer = brain.ask(list(row.messages), tools=row.tools, **options)
        except (MaxCostError, AccessDeniedError, AuthenticationError, NotFoundError, QuotaError) as error:
            # No other example would be answered either; and the answers that there are were paid for.
            self.stopped = error
            return None
        except (ApiError, StreamError, OutputError) as error:
            return self._failed(row, error)
        calls = tuple([{"name": call.name, "arguments": call.arguments} for call in answer.calls])
        return replace(
            _measured(row, answer),
            calls=calls,
            scores=score(answer.text, calls, row.expected, row.expected_calls),
        )

    @staticmethod
    def _failed(row: Row, error: MotetError) -> Result:
        nothing = score("", (), row.expected, row.expected_calls)
        # No answer is no right one, whatever was expected.
        wrong = Scores(*[None if getattr(nothing, measure) is None else 0.0 for measure in _MEASURES])
        partial = error.partial if isinstance(error.partial, Answer) else None
        known = Result(row) if partial is None else _measured(row, partial)
        return replace(known, scores=wrong, error=f"{type(error).__name__}: {error}")


def _measured(row: Row, answer: Answer[Any]) -> Result:
    metrics = answer.metrics
    tokens = metrics.size.tokens
    return Result(
        row,
        answer.text,
        input=tokens.input,
        output=tokens.output,
        cost=metrics.cost.cash.total,
        seconds=metrics.cost.time.total,
    )


def _rows(examples: str | Path | Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    if not isinstance(examples, str | Path):
        for line, shape in enumerate(examples, 1):
            yield _row(shape, line, "the examples")
        return
    with Path(examples).open(encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                shape = json.loads(text)
            except ValueError as error:
                raise InvalidDatasetError(f"line {line} of {examples} is not JSON: {error}") from error
            yield _row(shape, line, str(examples))


def _row(shape: Any, line: int, where: str) -> Row:
    """An example, in whichever of the formats. Raises `InvalidDatasetError` that names the line."""
    try:
        if "prompt" in shape:
            asked = ({"role": "user", "content": _string(shape["prompt"])},)
            done = shape.get("completion")
            return Row(line, asked, expected=None if done is None else _string(done))
        inner = shape["input"] if "preferred_output" in shape else shape
        messages = [{name: value for name, value in one.items() if name != "weight"} for one in inner["messages"]]
        if "preferred_output" in shape:
            messages += shape["preferred_output"]
        tools = tuple(inner.get("tools") or ())
        if messages[-1]["role"] != "assistant":
            return Row(line, tuple(messages), tools)
        last = messages.pop()
        calls = tuple([_call(one["function"]) for one in last.get("tool_calls") or ()])
        if not messages:
            raise ValueError("nothing is asked before the answer")
        return Row(line, tuple(messages), tools, last.get("content"), calls)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InvalidDatasetError(f"line {line} of {where} is no example: {error!r}") from error


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was to come, not {type(value).__name__}")
    return value


def _call(function: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": _string(function["name"]), "arguments": function.get("arguments", "{}")}

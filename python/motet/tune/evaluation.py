"""A tuned model and its base model side by side: both answer the same examples, and their answers are scored.

The scores are four, each from 0 to 1:

- **exact**: equal texts, but for white space around them.
- **normalised**: equal words: compatibility forms, case, punctuation and white space do not count.
- **f1**: the harmonic mean of precision and recall of the words.
- **calls**: equal tool calls: names, and arguments as JSON values, in any order.
"""

from __future__ import annotations

import json
import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from motet.asking.answer import Answer
from motet.atoms.atom import Atom
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
from motet.limits import Budget
from motet.tune.lines import parse, read_lines
from motet.tune.rows import without_nulls

__all__ = ["Comparison", "ComparisonRow", "Evaluation", "Result", "Scores", "Tally", "read_rows", "score"]

Calls = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one answer, from 0 to 1. `None`: there is no reference."""

    exact: float | None = None
    normalised: float | None = None
    f1: float | None = None
    calls: float | None = None


_MEASURES = ("exact", "normalised", "f1", "calls")


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """An example: a prompt and the reference."""

    line: int
    """From 1 on."""
    messages: tuple[Mapping[str, Any], ...]
    """The chat dicts before the answer."""
    tools: tuple[Mapping[str, Any], ...] = ()
    expected: str | None = None
    """The text of the reference. `None`: there is no reference."""
    expected_calls: tuple[Mapping[str, Any], ...] = ()
    """The tool calls of the reference: `name` and `arguments`."""


@dataclass(frozen=True, slots=True)
class Result:
    """A model's answer to an example."""

    row: ComparisonRow
    text: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()
    scores: Scores = Scores()
    input: int | None = None
    """Tokens of the prompt."""
    output: int | None = None
    """Tokens of the answer."""
    cost: Decimal | None = None
    """US dollars. `None`: unknown."""
    seconds: float | None = None
    error: str | None = None
    """Why there is no answer."""


@dataclass(frozen=True, slots=True)
class Tally:
    """A model's results. Shares are from 0 to 1; `None`: unknown, or nothing to measure."""

    model: str
    results: tuple[Result, ...]

    @property
    def failed(self) -> int:
        """Examples without an answer. They count as wrong."""
        return len(self.results) - len(self._answered)

    def share(self, measure: str) -> float | None:
        """The mean of `exact`, `normalised`, `f1` or `calls`."""
        scores = [getattr(result.scores, measure) for result in self.results]
        scores = [score for score in scores if score is not None]
        return statistics.fmean(scores) if scores else None

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
        """US dollars for all examples, cut answers included. `None`: unknown."""
        costs = [result.cost for result in self.results if result.error is None or result.cost is not None]
        return None if None in costs else sum([cost for cost in costs if cost is not None], Decimal(0))

    @property
    def seconds(self) -> float | None:
        """The median time of an answer."""
        times = [result.seconds for result in self._answered if result.seconds is not None]
        return statistics.median(times) if times else None

    @property
    def _answered(self) -> list[Result]:
        return [result for result in self.results if result.error is None]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "examples": len(self.results),
            "failed": self.failed,
            **{measure: self.share(measure) for measure in _MEASURES},
            "input": self.input,
            "output": self.output,
            "cost": _text(self.cost),
            "seconds": self.seconds,
            "answers": [
                {
                    "line": result.row.line,
                    "text": result.text,
                    "calls": list(result.calls),
                    "expected": result.row.expected,
                    "scores": {measure: getattr(result.scores, measure) for measure in _MEASURES},
                    "cost": _text(result.cost),
                    "error": result.error,
                }
                for result in self.results
            ],
        }


def _sum(counts: list[int | None]) -> int | None:
    return None if None in counts else sum([count for count in counts if count is not None])


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models' results over the same examples."""

    tuned: Tally
    base: Tally | None
    """`None`: only the tuned model was asked."""
    stopped: MotetError | None = None
    """Why not all examples were asked: `MaxCostError` at the limit, or the service's error. `None`: all were asked."""

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """The models that were asked, the base model first."""
        return (self.tuned,) if self.base is None else (self.base, self.tuned)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the figures of both models, and each answer."""
        stopped = None if self.stopped is None else str(self.stopped)
        return {"stopped": stopped, "models": [tally.to_dict() for tally in self.tallies]}


@dataclass
class Evaluation:
    """Asks models the same examples."""

    rows: list[ComparisonRow]
    budget: Budget | None
    options: Mapping[str, Any]
    parallel: int
    on_result: Callable[[str, Result], None] | None
    stopped: MotetError | None = None
    _results: int = 0

    def ask(self, model: str, atom: Atom) -> Tally:
        """All examples, `parallel` at once; the results are in the order of the examples."""
        results: list[Result] = []
        with ThreadPoolExecutor(self.parallel) as pool:
            for result in pool.map(lambda row: self._ask(row, atom), self.rows):
                if result is None:
                    continue
                results.append(result)
                self._results += 1
                if self.on_result is not None:
                    self.on_result(model, result)
        if self.stopped is not None and not self._results:
            raise self.stopped
        return Tally(model, tuple(results))

    def _ask(self, row: ComparisonRow, atom: Atom) -> Result | None:
        """`None`: not asked, because an error ended the evaluation."""
        if self.stopped is not None:
            return None
        options = dict(self.options) if self.budget is None else {**self.options, "budget": self.budget}
        try:
            answer = atom.ask(list(row.messages), tools=row.tools, **options)
        except (MaxCostError, AccessDeniedError, AuthenticationError, NotFoundError, QuotaError) as error:
            # Every other example would have the same error. The results so far are paid for, and kept.
            self.stopped = error
            return None
        except (ApiError, StreamError, OutputError) as error:
            return _failure(row, error)
        calls = tuple([{"name": call.name, "arguments": call.arguments} for call in answer.calls])
        scores = score(answer.text, calls, row.expected, row.expected_calls)
        return replace(_measured(row, answer), calls=calls, scores=scores)


def _failure(row: ComparisonRow, error: MotetError) -> Result:
    """Wrong by every measure, also where nothing was expected: there is no answer."""
    scores = score("", (), row.expected, row.expected_calls)
    wrong = Scores(*[None if getattr(scores, measure) is None else 0.0 for measure in _MEASURES])
    result = _measured(row, error.partial) if isinstance(error.partial, Answer) else Result(row)
    return replace(result, scores=wrong, error=f"{type(error).__name__}: {error}")


def _measured(row: ComparisonRow, answer: Answer[Any]) -> Result:
    tokens, cost = answer.metrics.size.tokens, answer.metrics.cost
    return Result(
        row, answer.text, input=tokens.input, output=tokens.output, cost=cost.cash.total, seconds=cost.time.total
    )


def read_rows(examples: str | Path | Iterable[Mapping[str, Any]], limit: int | None = None) -> list[ComparisonRow]:
    """The first examples of a JSONL file, or of rows. Raises `InvalidDatasetError` with the line, and `ConfigError` if
    there are none."""
    rows = [*_rows(examples)][:limit]
    if not rows:
        raise ConfigError("no examples to ask")
    return rows


def _rows(examples: str | Path | Iterable[Mapping[str, Any]]) -> Iterator[ComparisonRow]:
    if not isinstance(examples, str | Path):
        for number, shape in enumerate(examples, 1):
            yield _row(shape, number, "the examples")
        return
    with Path(examples).open("rb") as file:
        for line in read_lines(file):
            shape, findings = parse(line)
            if findings:
                raise InvalidDatasetError(f"line {line.number} of {examples}: {findings[0]}")
            if shape is not None:
                yield _row(shape, line.number, str(examples))


def _row(shape: Any, line: int, source: str) -> ComparisonRow:
    """A row in any of the formats. Raises `InvalidDatasetError`."""
    try:
        shape = without_nulls(shape)
        if "prompt" in shape:
            question = {"role": "user", "content": _string(shape["prompt"])}
            completion = shape.get("completion")
            expected = None if completion is None else _string(completion)
            return ComparisonRow(line, (question,), expected=expected)
        prompt = shape["input"] if "preferred_output" in shape else shape
        messages: list[Any] = [
            {key: value for key, value in item.items() if key != "weight"} for item in prompt["messages"]
        ]
        messages += shape.get("preferred_output", [])
        tools = tuple(prompt.get("tools") or ())
        if messages[-1]["role"] != "assistant":
            return ComparisonRow(line, tuple(messages), tools)
        reference = messages.pop()
        calls = tuple([_call(call["function"]) for call in reference.get("tool_calls") or ()])
        if not messages:
            raise ValueError("there is no prompt before the answer")
        return ComparisonRow(line, tuple(messages), tools, reference.get("content"), calls)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InvalidDatasetError(f"line {line} of {source} is not an example: {error!r}") from error


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a text, not {type(value).__name__}")
    return value


def _call(function: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": _string(function["name"]), "arguments": function.get("arguments", "{}")}


# Runs of letters and digits; of scripts without spaces, each character is a word.
_WORD = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\u3040-\u30ff\U00020000-\U0003ffff]|[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text, without case, punctuation and compatibility forms."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def score(text: str, calls: Calls, expected: str | None, expected_calls: Calls) -> Scores:
    """Compares an answer with its reference. Calls are dicts of `name` and `arguments`, which are JSON.

    A reference of calls alone says nothing about the text, and one without calls expects none.
    """
    expected_calls = list(expected_calls)
    if expected is None and not expected_calls:
        return Scores()
    calls = list(calls)
    same_calls = float(_canonical(calls) == _canonical(expected_calls))
    if not expected:
        return Scores(calls=same_calls)
    exact = float(text.strip() == expected.strip())
    calls_score = same_calls if expected_calls or calls else None
    actual, wanted = words(text), words(expected)
    if not wanted:
        # A reference without words, such as "?".
        return Scores(exact, exact, exact, calls_score)
    shared = sum((Counter(actual) & Counter(wanted)).values())
    return Scores(exact, float(actual == wanted), 2 * shared / (len(actual) + len(wanted)), calls_score)


def _canonical(calls: Calls) -> list[str]:
    """Comparable by the values of arguments, whatever their spelling."""
    return sorted([json.dumps([call["name"], _value(call["arguments"])], sort_keys=True) for call in calls])


def _value(arguments: object) -> object:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments

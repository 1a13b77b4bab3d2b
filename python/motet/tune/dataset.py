"""A data set built from examples: filtered, without duplicates and secrets, split, in one of the service's formats.

The same examples give the same files, to the byte. They are read once and never held.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from motet._atomic_files import AtomicWriter, atomic_write, disk_full_as_error
from motet.errors import ConfigError, DataError, SecretsError
from motet.tune.example import Example
from motet.tune.finding import Finding
from motet.tune.lines import Line, dumps, fingerprint, normalised, read_lines
from motet.tune.parallel import ordered_map
from motet.tune.rows import FORMATS, Format, RowReport, inspect_row
from motet.tune.secret_scan import check_kinds, scan_line
from motet.tune.store import CorruptLine, Examples, matches, read_example

__all__ = ["Built", "BuiltFile", "build"]

_MAX_CASES = 100

Dedupe: TypeAlias = Literal["normalised", "exact", "none"]
Split: TypeAlias = Literal["reasoning", "all", "none"]


@dataclass(slots=True)
class BuiltFile:
    """A file of training data that `build` wrote."""

    path: str
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    """Of its bytes, in hexadecimal."""
    lengths: Counter[int] = field(default_factory=Counter)
    """The number of sequences of each length in tokens. A preference has two sequences."""

    @property
    def tokens(self) -> int:
        """The tokens of all rows."""
        return sum([length * times for length, times in self.lengths.items()])

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the counts, with `tokens` in all and of the `longest` sequence."""
        longest = max(self.lengths, default=None)
        shape = {"path": self.path, "rows": self.rows, "bytes": self.bytes, "sha256": self.sha256}
        return {**shape, "tokens": self.tokens, "longest": longest}


class LeftOut(NamedTuple):
    """An example, or a row of it, that is not in the data set."""

    id: str
    reason: str
    """`too_long`, `format`, or the code of a finding."""
    message: str


@dataclass(slots=True)
class Built:
    """A data set that `build` wrote."""

    format: Format
    train: BuiltFile
    validation: BuiltFile | None
    """`None`: not asked for."""
    examples: int = 0
    """Examples that were read."""
    split: int = 0
    """Examples that became several rows, one for each answer."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What is not in the data set, by reason: `filter` and `format` count examples; `duplicate`, `too_long` and the
    codes of findings count rows."""
    cases: list[LeftOut] = field(default_factory=list)
    """The first hundred that were left out, without duplicates and filters."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the files, the counts, and the cases that were left out."""
        return {
            "format": self.format,
            "examples": self.examples,
            "split": self.split,
            "train": self.train.to_dict(),
            "validation": self.validation.to_dict() if self.validation else None,
            "left_out": dict(self.left_out.most_common()),
            "cases": [case._asdict() for case in self.cases],
        }


def build(
    examples: Examples | str | Path | Iterable[Example],
    train: str | Path,
    validation: str | Path | None = None,
    *,
    fraction: float = 0.1,
    format: Format = "conversational",
    min_quality: float | None = None,
    tags: Collection[str] = (),
    dedupe: Dedupe = "normalised",
    max_tokens: int | None = None,
    split_answers: Split = "reasoning",
    allow: Collection[str] = (),
    workers: int | None = None,
) -> Built:
    """Writes training data; each file as a whole or not at all.

    - `examples`: a file of examples, or examples.
    - `train`, `validation`: the files to write. Without `validation` all rows are for training.
    - `fraction`: the share of the validation, between 0 and 1. A hash of the question decides the side of a row: it
      stays the same when examples are added, and equal questions are on one side.
    - `format`: `conversational`, `instruction`, `preference` or `text`. Examples that do not fit are left out.
    - `min_quality`, `tags`: leave out examples that are not rated that good, or lack one of the tags.
    - `dedupe`: rows are duplicates if they are equal: `exact`; `normalised`, but for white space and case; `none`.
    - `max_tokens`: the longest sequence that the model is trained on; longer rows are left out. `None`: no limit.
    - `split_answers`: the conversations to make a row of each answer of, because the service trains reasoning models
      on the last answer only: those with `reasoning` in an answer, `all`, or `none`.
    - `allow`: kinds of secrets that may be in the data (`"jwt"`, ...), or `"all"`.
    - `workers`: processes that share the work on a file of examples; see `ordered_map` in `parallel`.

    Raises `SecretsError` for possible secrets, `DataError` for lines that are not examples and if a file would be
    empty, and `DiskFullError`; the files are then unchanged. Memory: about 80 bytes a row, to find duplicates.
    """
    if format not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}: {format!r}")
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction must be between 0 and 1: {fraction!r}")
    share = fraction if validation is not None else 0.0
    builder = RowBuilder(
        format, min_quality, frozenset(tags), dedupe, max_tokens, split_answers, check_kinds(allow), share
    )
    paths = [Path(train)] if validation is None else [Path(train), Path(validation)]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError(f"training and validation cannot be one file: {train}")
    with disk_full_as_error(Path(train)), atomic_write(*paths) as files:
        dataset = _DatasetWriter(format, files, [str(path) for path in paths])
        for rows in _build_rows(examples, builder, workers):
            dataset.write(rows)
        return dataset.end(fraction)


def _build_rows(
    examples: Examples | str | Path | Iterable[Example], builder: RowBuilder, workers: int | None
) -> Iterator[BuiltRows]:
    if not isinstance(examples, str | Path | Examples):
        yield from map(builder.from_example, examples)
        return
    store = examples if isinstance(examples, Examples) else Examples(examples)
    with store.snapshot() as (file, size):
        for rows in ordered_map(builder.from_line, read_lines(file, size), workers):
            if isinstance(rows, CorruptLine):
                store.refuse(rows)
            elif rows is not None:
                yield rows


class BuiltRow(NamedTuple):
    """A row of an example."""

    line: bytes
    in_validation: bool
    secrets: list[Finding]
    rejection: Finding | None
    """Why it is left out."""
    lengths: tuple[int, ...] = ()
    key: int | None = None
    """Equal for duplicates. `None`: rows are not compared."""


class BuiltRows(NamedTuple):
    """The rows of an example."""

    id: str
    rows: list[BuiltRow]
    is_filtered: bool = False
    is_split: bool = False
    rejection: str | None = None
    """Why the example does not fit the format."""


@dataclass(frozen=True, slots=True)
class RowBuilder:
    """Makes the rows of one example; this is what processes share."""

    format: Format
    min_quality: float | None
    tags: frozenset[str]
    dedupe: Dedupe
    max_tokens: int | None
    split: Split
    allow: frozenset[str]
    fraction: float
    """The share of the validation, from 0 to 1."""

    def from_line(self, line: Line) -> BuiltRows | CorruptLine | None:
        """`None`: the line is blank."""
        example = read_example(line)
        return self.from_example(example) if isinstance(example, Example) else example

    def from_example(self, example: Example) -> BuiltRows:
        if not matches(example, self.min_quality, self.tags):
            return BuiltRows(example.id, [], is_filtered=True)
        problem = _misfit(example, self.format)
        if problem is not None:
            return BuiltRows(example.id, [], rejection=problem)
        is_split = self.format == "conversational" and self._is_split(example)
        question: Any = example.text
        if self.format != "text":
            question = [*itertools.takewhile(lambda message: message["role"] != "assistant", example.messages)]
        in_validation = self._in_validation(question)
        reports = self._reports(example, is_split)
        return BuiltRows(
            example.id, [self._row(report, in_validation, example.id) for report in reports], False, is_split
        )

    def _is_split(self, example: Example) -> bool:
        answers = [message for message in example.messages if message["role"] == "assistant"]
        has_reasoning = any("reasoning" in answer for answer in answers)
        return len(answers) > 1 and (self.split == "all" or (self.split == "reasoning" and has_reasoning))

    def _reports(self, example: Example, is_split: bool) -> Iterator[RowReport]:
        """The inspected rows. That of the example itself was inspected when the example was made."""
        if self.format == "instruction":
            question, answer = example.messages
            row = {"prompt": question["content"], "completion": answer["content"]}
            yield inspect_row(row, self.format)
        elif is_split or self.format != example.report.format:
            tools = {"tools": list(example.tools)} if example.tools else {}
            for messages in split_answers(example.messages) if is_split else [[*example.messages]]:
                yield inspect_row({"messages": messages, **tools}, self.format)
        else:
            yield example.report

    def _in_validation(self, question: Any) -> bool:
        """Equal for equal questions, and evenly distributed."""
        if not self.fraction:
            return False
        digest = hashlib.sha256(b"split" + normalised(question)).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.fraction

    def _row(self, report: RowReport, in_validation: bool, example_id: str) -> BuiltRow:
        line = dumps(report.row)
        secrets = scan_line(line, report.row, self.allow, f"example {example_id}")
        if report.errors:
            return BuiltRow(line, in_validation, secrets, report.errors[0])
        lengths, fault = report.measure(self.max_tokens)
        if lengths is None or fault is not None:
            return BuiltRow(line, in_validation, secrets, fault)
        key = None
        if self.dedupe != "none":
            key = fingerprint(line if self.dedupe == "exact" else normalised(report.row))
        return BuiltRow(line, in_validation, secrets, None, lengths, key)


def _misfit(example: Example, form: Format) -> str | None:
    """Why an example does not fit a format. `None`: it fits."""
    if (example.text is not None) != (form == "text"):
        return f"the format has no place for {'a conversation' if form == 'text' else 'a text'}"
    if form == "preference" and example.rejected is None:
        return "the example has no rejected answer"
    if form == "instruction":
        if [message["role"] for message in example.messages] != ["user", "assistant"]:
            return "an instruction is one question and one answer"
        if not example.messages[1].keys().isdisjoint(("tool_calls", "reasoning")):
            return "an instruction has no place for tool calls and reasoning"
    return None


def split_answers(messages: Sequence[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """A conversation for each answer, which is its last message: the service trains reasoning models on the last answer
    only. Answers of the weight 0 give none.

    Reasoning of finished turns is left out, as the model does not see it then either; within the running turn, between
    calls and results, it stays. The other answers have the weight 0, so that each answer is learned once.
    """
    for end, message in enumerate(messages):
        if message["role"] != "assistant" or message.get("weight") == 0:
            continue
        turn = max([index for index in range(end) if messages[index]["role"] == "user"], default=-1)
        context = [_as_context(earlier, index < turn) for index, earlier in enumerate(messages[:end])]
        yield [*context, {key: value for key, value in message.items() if key != "weight"}]


def _as_context(message: Mapping[str, Any], is_finished: bool) -> dict[str, Any]:
    left_out = ("weight", "reasoning") if is_finished else ("weight",)
    fields = {key: value for key, value in message.items() if key not in left_out}
    return {**fields, "weight": 0} if message["role"] == "assistant" else fields


class _FileWriter:
    """A file of the data set while it is written."""

    def __init__(self, file: AtomicWriter, path: str) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.built = BuiltFile(path)

    def write(self, line: bytes, lengths: Iterable[int]) -> None:
        self._file.write(line)
        self._digest.update(line)
        self.built.rows += 1
        self.built.bytes += len(line)
        self.built.lengths.update(lengths)

    def end(self) -> None:
        self.built.sha256 = self._digest.hexdigest()


class _DatasetWriter:
    """Writes rows, unless they are duplicates or rejected."""

    def __init__(self, form: Format, files: Sequence[AtomicWriter], paths: Sequence[str]) -> None:
        self._files = [_FileWriter(file, path) for file, path in zip(files, paths, strict=True)]
        self._built = Built(form, self._files[0].built, self._files[1].built if len(files) > 1 else None)
        self._keys: set[int] = set()
        self._secrets: list[Finding] = []

    def write(self, rows: BuiltRows) -> None:
        built = self._built
        built.examples += 1
        built.split += rows.is_split
        built.left_out.update(["filter"] if rows.is_filtered else [])
        if rows.rejection is not None:
            self._leave_out(LeftOut(rows.id, "format", rows.rejection))
        for row in rows.rows:
            self._secrets += row.secrets[: _MAX_CASES - len(self._secrets)]
            if row.rejection is not None:
                self._leave_out(LeftOut(rows.id, row.rejection.code, str(row.rejection)))
            elif row.key is not None and row.key in self._keys:
                built.left_out["duplicate"] += 1
            else:
                self._keys.update([] if row.key is None else [row.key])
                self._files[row.in_validation].write(row.line, row.lengths)

    def _leave_out(self, case: LeftOut) -> None:
        self._built.left_out[case.reason] += 1
        if len(self._built.cases) < _MAX_CASES:
            self._built.cases.append(case)

    def end(self, fraction: float) -> Built:
        """The result. Raises `SecretsError`, and `DataError` if a file is empty."""
        if self._secrets:
            shown = "; ".join([str(finding) for finding in self._secrets[:3]])
            more = f"; and {len(self._secrets) - 3} more" if len(self._secrets) > 3 else ""
            raise SecretsError(f"nothing was written: {shown}{more}", findings=tuple(self._secrets))
        for file in self._files:
            if not file.built.rows:
                raise DataError(self._empty(fraction), path=file.built.path)
            file.end()
        return self._built

    def _empty(self, fraction: float) -> str:
        built = self._built
        rows = sum([file.built.rows for file in self._files])
        if rows:
            side = "training" if not built.train.rows else "validation"
            return f"no row of {rows} is for {side} at the fraction {fraction}; give another fraction"
        reasons = ", ".join([f"{reason} {times}" for reason, times in built.left_out.most_common()])
        left_out = f", all left out: {reasons}" if reasons else ""
        return f"there is nothing to train on: {built.examples} examples{left_out}"

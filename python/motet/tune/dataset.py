"""A data set made of examples: filtered, without duplicates and secrets, split, in one of the service's formats.

The same examples give the same files, to the byte. They are read once and never held.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from motet.errors import ConfigError, DataError, RenderError, SecretsError
from motet.files import Replacement, replacing, roomy
from motet.tune.conversations import split_answers
from motet.tune.example import Example
from motet.tune.examples import Examples, matches
from motet.tune.findings import Finding
from motet.tune.lines import dumps
from motet.tune.rows import FORMATS, Format, check_row
from motet.tune.secrets import find_secrets, may_hold_secret, unknown_kinds
from motet.tune.seen import Seen, fingerprint, normalised
from motet.tune.tokens import lengths_of

__all__ = ["Built", "BuiltFile", "build"]

Dedupe: TypeAlias = Literal["normalised", "exact", "none"]
Split: TypeAlias = Literal["reasoning", "all", "none"]
_SHOWN = 100


@dataclass(slots=True)
class BuiltFile:
    """A file of training data that was written."""

    path: str
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    """Of its bytes, in hexadecimal."""
    lengths: Counter[int] = field(default_factory=Counter)
    """How many sequences have how many tokens. A preference is two of them."""

    @property
    def tokens(self) -> int:
        """All tokens, once through the file."""
        return sum([length * times for length, times in self.lengths.items()])

    def to_dict(self) -> dict[str, Any]:
        longest = max(self.lengths, default=None)
        shape = {"path": self.path, "rows": self.rows, "bytes": self.bytes, "sha256": self.sha256}
        return {**shape, "tokens": self.tokens, "longest": longest}


class LeftOut(NamedTuple):
    """An example that is not in the data set, or a part of it."""

    id: str
    reason: str
    """`too_long`, `format`, or the code of a finding."""
    message: str


@dataclass(slots=True)
class Built:
    """A data set."""

    format: Format
    train: BuiltFile
    validation: BuiltFile | None
    """`None`: none was asked for."""
    examples: int = 0
    """How many were read."""
    split: int = 0
    """How many were cut into several rows, one for each answer."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many are not in it, by reason: `filter` and `format` count examples, `duplicate`, `too_long` and the codes of
    findings count rows."""
    cases: list[LeftOut] = field(default_factory=list)
    """The first hundred that are not in it although nobody asked for that: duplicates and filters are not here."""

    def to_dict(self) -> dict[str, Any]:
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
) -> Built:
    """Writes training data, each file as a whole or not at all.

    - `examples`: a file of them, or any others.
    - `train`, `validation`: where to write. Without `validation` all rows are for training.
    - `fraction`: the share of the validation, from 0 to 1. Which side a row is on is decided by a hash of what is
      asked in it, so that it stays there when examples are added, and the same question is never on both sides.
    - `format`: `conversational`, `instruction`, `preference` or `text`. Examples that have no place in it are left out.
    - `min_quality`, `tags`: leave out what is not known to be that good, or lacks one of the tags.
    - `dedupe`: which rows are the same: `exact`; `normalised`, whatever their spaces and case; `none`.
    - `max_tokens`: the longest sequence that the model can be trained on; longer rows are left out. `None`: none are.
    - `split_answers`: conversations of which to make a row for each answer, because the service trains reasoning
      models on the last one only: those with `reasoning` in an answer, `all`, or `none`.
    - `allow`: kinds of secrets that may be there (`"jwt"`, ...), or `"all"`.

    Raises `SecretsError` if something looks like a secret, `DataError` for lines that are no examples and if a file
    would be empty, and `DiskFullError`; then the files are as they were before.
    """
    if unknown := unknown_kinds(allow):
        raise ConfigError(f"no such kind of secret: {', '.join(unknown)}")
    if format not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction must be between 0 and 1, not {fraction!r}")
    if isinstance(examples, str | Path):
        examples = Examples(examples)
    builder = _Builder(format, dedupe, max_tokens, split_answers, allow)
    paths = [Path(train)] if validation is None else [Path(train), Path(validation)]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError(f"training and validation cannot both be {train}")
    with roomy(Path(train)), replacing(*paths) as files:
        sides = [_Side(file, str(path)) for file, path in zip(files, paths, strict=True)]
        built = Built(format, sides[0].built, sides[1].built if validation is not None else None)
        for example in examples:
            built.examples += 1
            if not matches(example, min_quality, tags):
                built.left_out["filter"] += 1
                continue
            for row, question in builder.rows(example, built):
                aside = validation is not None and _share(question) < fraction
                builder.write(row, sides[aside], example, built)
        if builder.secrets:
            raise builder.error()
        _refuse_empty(built, fraction)
        for side in sides:
            side.end()
    return built


def _refuse_empty(built: Built, fraction: float) -> None:
    for file, what in ((built.train, "training"), (built.validation, "validation")):
        if file is None or file.rows:
            continue
        rows = built.train.rows + (built.validation.rows if built.validation else 0)
        if rows:
            problem = f"none of the {rows} rows is for {what} at a fraction of {fraction}; give another fraction"
        else:
            reasons = ", ".join([f"{reason} {times}" for reason, times in built.left_out.most_common()])
            left = f", all left out: {reasons}" if reasons else ""
            problem = f"there is nothing to train on: {built.examples} examples{left}"
        raise DataError(problem, path=file.path)


def _share(question: bytes) -> float:
    """From 0 to 1, evenly, and the same for the same question."""
    return int.from_bytes(hashlib.sha256(b"split" + question).digest()[:8], "big") / 2**64


class _Side:
    """A file that is being written."""

    def __init__(self, file: Replacement, path: str) -> None:
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


class _Builder:
    """The rules that rows have to pass."""

    def __init__(
        self, form: Format, dedupe: Dedupe, max_tokens: int | None, split: Split, allow: Collection[str]
    ) -> None:
        self._form = form
        self._dedupe = dedupe
        self._max_tokens = max_tokens
        self._split = split
        self._allow = allow
        self._seen = Seen()
        self.secrets: list[Finding] = []

    def rows(self, example: Example, built: Built) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The rows of an example in the format, and what is asked in it."""
        problem = _misfit(example, self._form)
        if problem is not None:
            self._leave_out(example, "format", problem, built)
            return
        if self._form == "text":
            yield {"text": example.text}, normalised(example.text)
            return
        asked = itertools.takewhile(lambda message: message["role"] != "assistant", example.messages)
        question = normalised([*asked])
        match self._form:
            case "instruction":
                prompt, answer = example.messages
                yield {"prompt": prompt["content"], "completion": answer["content"]}, question
            case "preference":
                yield example.row[0], question
            case _:
                tools = {"tools": list(example.tools)} if example.tools else {}
                for messages in self._conversations(example, built):
                    yield {"messages": messages, **tools}, question

    def _conversations(self, example: Example, built: Built) -> Iterable[list[dict[str, Any]]]:
        answers = [message for message in example.messages if message["role"] == "assistant"]
        reasoned = any("reasoning" in answer for answer in answers)
        if len(answers) < 2 or self._split == "none" or (self._split == "reasoning" and not reasoned):
            return [list(example.messages)]
        built.split += 1
        return split_answers(example.messages)

    def write(self, row: Mapping[str, Any], side: _Side, example: Example, built: Built) -> None:
        """Writes a row, unless something is against it."""
        line = dumps(row)
        if may_hold_secret(line, self._allow):
            self.secrets += [*find_secrets(row, self._allow, f"example {example.id}")][: _SHOWN - len(self.secrets)]
        for finding in check_row(row, self._form):
            if finding.severity == "error":
                self._leave_out(example, finding.code, str(finding), built)
                return
        try:
            lengths = lengths_of(row, self._form)
        except (RenderError, TypeError) as error:
            self._leave_out(example, "not_renderable", str(error), built)
            return
        if self._max_tokens is not None and max(lengths) > self._max_tokens:
            self._leave_out(example, "too_long", f"{max(lengths)} tokens", built)
        elif self._dedupe != "none" and self._seen.add(self._key(row, line), built.examples) is not None:
            built.left_out["duplicate"] += 1
        else:
            side.write(line, lengths)

    def _key(self, row: Mapping[str, Any], line: bytes) -> int:
        return fingerprint(line if self._dedupe == "exact" else normalised(row))

    @staticmethod
    def _leave_out(example: Example, reason: str, message: str, built: Built) -> None:
        built.left_out[reason] += 1
        if len(built.cases) < _SHOWN:
            built.cases.append(LeftOut(example.id, reason, message))

    def error(self) -> SecretsError:
        shown = "; ".join([str(finding) for finding in self.secrets[:3]])
        more = f"; and {len(self.secrets) - 3} more" if len(self.secrets) > 3 else ""
        return SecretsError(f"nothing was written: {shown}{more}", findings=tuple(self.secrets))


def _misfit(example: Example, form: Format) -> str | None:
    """Why an example has no place in a format. `None`: it has."""
    if (example.text is not None) != (form == "text"):
        return f"{'a text' if form != 'text' else 'a conversation'} has no place there"
    if form == "preference" and example.rejected is None:
        return "no rejected answer is known"
    if form == "instruction":
        roles = [message["role"] for message in example.messages]
        if roles != ["user", "assistant"] or "tool_calls" in example.messages[1]:
            return "an instruction is one question and one answer"
        if "reasoning" in example.messages[1]:
            return "an instruction has no place for reasoning"
    return None

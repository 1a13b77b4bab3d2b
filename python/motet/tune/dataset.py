"""A data set made of examples: filtered, without duplicates and secrets, split, in one of the service's formats.

The same examples give the same files, to the byte. They are read once and never held. Which rows an example gives is in
making.py.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from motet._atomic_files import AtomicWriter, atomic_write, disk_full_as_error
from motet.errors import ConfigError, DataError, SecretsError
from motet.tune.crew import each
from motet.tune.example import Example
from motet.tune.examples import Corrupt, Examples
from motet.tune.findings import Finding
from motet.tune.lines import line_bytes, lines_of
from motet.tune.making import Dedupe, Made, Making, Split
from motet.tune.rows import FORMATS, Format
from motet.tune.secrets import unknown_kinds
from motet.tune.seen import Seen

__all__ = ["Built", "BuiltFile", "build"]

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
    workers: int | None = None,
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
    - `workers`: how many processes share the work on a file of examples; 1: none but this one. `None`: one for each
      core, 8 at most. None is started for less than 4 MiB, and none for examples that are in no file.

    Raises `SecretsError` if something looks like a secret, `DataError` for lines that are no examples and if a file
    would be empty, and `DiskFullError`; then the files are as they were before.
    """
    if unknown := unknown_kinds(allow):
        raise ConfigError(f"no such kind of secret: {', '.join(unknown)}")
    if format not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction must be between 0 and 1, not {fraction!r}")
    making = Making(
        form=format,
        min_quality=min_quality,
        tags=frozenset(tags),
        dedupe=dedupe,
        max_tokens=max_tokens,
        split=split_answers,
        allow=frozenset(allow),
        fraction=fraction if validation is not None else 0.0,
    )
    paths = [Path(train)] if validation is None else [Path(train), Path(validation)]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError(f"training and validation cannot both be {train}")
    with disk_full_as_error(Path(train)), atomic_write(*paths) as files:
        sides = [_Side(file, str(path)) for file, path in zip(files, paths, strict=True)]
        built = Built(format, sides[0].built, sides[1].built if validation is not None else None)
        builder = _Builder(built, sides)
        for made in _every(examples, making, workers):
            builder.take(made)
        builder.end()
        _refuse_empty(built, fraction)
        for side in sides:
            side.end()
    return built


def _every(examples: Examples | str | Path | Iterable[Example], making: Making, workers: int | None) -> Iterator[Made]:
    """What each example gives."""
    if not isinstance(examples, str | Path | Examples):
        yield from map(making.of, examples)
        return
    file = examples if isinstance(examples, Examples) else Examples(examples)
    with file.snapshot() as (opened, size):
        lines = lines_of(opened, size)
        for made in each(making.of_line, lines, line_bytes, size=size, workers=workers):
            if isinstance(made, Corrupt):
                file.refuse(made)
            elif made is not None:
                yield made


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


class _Side:
    """A file that is being written."""

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


class _Builder:
    """What becomes of the rows beside each other."""

    def __init__(self, built: Built, sides: list[_Side]) -> None:
        self._built = built
        self._sides = sides
        self._seen = Seen()
        self._secrets: list[Finding] = []

    def take(self, made: Made) -> None:
        """Writes the rows of the next example, unless something is against them."""
        built = self._built
        built.examples += 1
        built.split += made.is_split
        if made.is_filtered:
            built.left_out["filter"] += 1
        if made.misfit is not None:
            self._leave_out(made.id, "format", made.misfit)
        for row in made.rows:
            self._secrets += row.secrets[: _SHOWN - len(self._secrets)]
            if row.misfit is not None:
                self._leave_out(made.id, *row.misfit)
            elif row.key is not None and self._seen.add(row.key, built.examples) is not None:
                built.left_out["duplicate"] += 1
            else:
                self._sides[row.aside].write(row.line, row.lengths)

    def _leave_out(self, identifier: str, reason: str, message: str) -> None:
        self._built.left_out[reason] += 1
        if len(self._built.cases) < _SHOWN:
            self._built.cases.append(LeftOut(identifier, reason, message))

    def end(self) -> None:
        """Raises `SecretsError` if there are any."""
        found = self._secrets
        if found:
            shown = "; ".join([str(finding) for finding in found[:3]])
            more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
            raise SecretsError(f"nothing was written: {shown}{more}", findings=tuple(found))

"""The file of examples, and what it holds.

Adding appends whole lines. Removing replaces the file: what is taken out is often what must not be there, so it has to
leave the disk. Both happen under the file's lock, so that two processes lose nothing to each other. A line that cannot
be read is reported with its number and left where it is.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from motet._atomic_files import append, atomic_write, disk_full_as_error, lock
from motet.errors import DataError
from motet.tune.example import Example
from motet.tune.lines import MAX_LINE, Line, dumps, lines_of, parse
from motet.tune.seen import Seen

__all__ = ["Corrupt", "Examples", "Statistics", "matches", "read_line"]

_BATCH = 1000


class Corrupt(NamedTuple):
    """A line that is no example."""

    line: int
    problem: str
    torn: bool
    """Whether it is half a line at the end, which was never acknowledged."""


@dataclass(slots=True)
class Statistics:
    """What a file of examples holds."""

    examples: int = 0
    bytes: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    with_reasoning: int = 0
    with_tools: int = 0
    qualities: Counter[float] = field(default_factory=Counter)
    """How many have which quality; those of which none is known are in none."""

    def add(self, example: Example) -> None:
        self.examples += 1
        self.tags.update(example.tags)
        self.formats[example.row[1]] += 1
        self.with_reasoning += any("reasoning" in message for message in example.messages)
        self.with_tools += any("tool_calls" in message for message in example.messages)
        if example.quality is not None:
            self.qualities[example.quality] += 1

    @property
    def mean_quality(self) -> float | None:
        """Of those whose quality is known. `None`: there are none."""
        known = self.qualities.total()
        return sum([quality * times for quality, times in self.qualities.items()]) / known if known else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "examples": self.examples,
            "bytes": self.bytes,
            "formats": dict(self.formats.most_common()),
            "tags": dict(self.tags.most_common()),
            "with_reasoning": self.with_reasoning,
            "with_tools": self.with_tools,
            "with_quality": self.qualities.total(),
            "mean_quality": self.mean_quality,
        }


class Examples:
    """A file of examples, one JSON object a line, each once.

    Any number of processes may add and read at the same time. Reading sees the examples that were there when it began.
    Where files cannot be locked (Windows), only one process may write at a time.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._known = Seen()
        self._read_up_to = (0, 0)
        """The file by its inode, and how many of its bytes are in `_known`."""

    def add(self, *examples: Example | Iterable[Example]) -> int:
        """Adds examples, those left out that are there already. Gives how many are new.

        When it returns they are on the disk. Each thousand is added as a whole: what could not be written is not
        there in part. Raises `DiskFullError` if there is no room, and `DataError` for an example that is none.
        """
        every = itertools.chain.from_iterable([[one] if isinstance(one, Example) else one for one in examples])
        added = 0
        while batch := list(itertools.islice(every, _BATCH)):
            added += self._add({example.id: self._line(example) for example in batch})
        return added

    @staticmethod
    def _line(example: Example) -> bytes:
        line = dumps(example.checked().to_dict())
        if len(line) > MAX_LINE:
            raise DataError(f"an example of {len(line)} bytes, and {MAX_LINE} may be")
        return line

    def _add(self, lines: dict[str, bytes]) -> int:
        with disk_full_as_error(self.path), self._locked() as handle:
            mended = self._mend_tail(handle)
            self._learn(handle)
            new = [line for identifier, line in lines.items() if _key(identifier) not in self._known]
            if new:
                append(handle, mended + b"".join(new), self.path)
            return len(new)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        handle = lock(self.path, wait=True)
        try:
            yield handle
        finally:
            os.close(handle)

    def _mend_tail(self, handle: int) -> bytes:
        """Sees to a last line without an end. If it can be read, its end is to be written first: it is given. Else it
        was being written when its process was killed, and was never acknowledged: it is cut off, and kept beside the
        file."""
        with _reading(handle) as file:
            start = _last_end(file)
            file.seek(start)
            tail = file.read()
        if not tail:
            return b""
        if isinstance(read_line(Line(0, tail, len(tail))), Example):
            return b"\n"
        torn = self.path.with_name(self.path.name + ".torn")
        kept = lock(torn, wait=True)
        try:
            append(kept, tail + b"\n", torn)
        finally:
            os.close(kept)
        os.ftruncate(handle, start)
        return b""

    def _learn(self, handle: int) -> None:
        """Reads the ids that were added since, here or by others."""
        here = os.fstat(handle)
        inode, done = self._read_up_to
        if inode != here.st_ino or done > here.st_size:
            self._known, done = Seen(), 0
        with _reading(handle) as file:
            file.seek(done)
            for line in lines_of(file, here.st_size - done):
                if key := _key(_id_on(line) or ""):
                    self._known.add(key, line.number)
        self._read_up_to = (here.st_ino, here.st_size)

    def scan(self) -> Iterator[tuple[int, Example | Corrupt]]:
        """The lines that are there now, with their numbers: examples, and what is none."""
        with self.snapshot() as (file, size):
            for line in lines_of(file, size):
                found = read_line(line)
                if found is not None:
                    yield line.number, found

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[tuple[BinaryIO, int]]:
        """The file as it is now, and its size. While the lock is held, no line is half; what is added later is beyond
        the size, and what is removed stays in the file that is open here."""
        handle = lock(self.path, wait=True, shared=True)
        try:
            file = self.path.open("rb", buffering=1 << 20)
            size = os.fstat(file.fileno()).st_size
        finally:
            os.close(handle)
        with file:
            yield file, size

    def __iter__(self) -> Iterator[Example]:
        """The examples. Raises `DataError` at a line that is none; half a line at the end, which a killed process left
        behind, is passed over."""
        for _, found in self.scan():
            if isinstance(found, Example):
                yield found
            else:
                self.refuse(found)

    def refuse(self, corrupt: Corrupt) -> None:
        """Raises `DataError`, unless it is half a line at the end."""
        if not corrupt.torn:
            problem = f"{self.path}, line {corrupt.line}: {corrupt.problem}"
            raise DataError(problem, path=str(self.path), line=corrupt.line)

    def select(self, *, min_quality: float | None = None, tags: Collection[str] = ()) -> Iterator[Example]:
        """Those whose quality is known to be at least that, and that have all of these tags. Raises `DataError`, as
        iterating does."""
        return (example for example in self if matches(example, min_quality, tags))

    def get(self, identifier: str) -> Example:
        """The example whose id is, or begins with, that. Raises `DataError` if there is none, or more than one."""
        (wanted,) = self._resolved([identifier])
        return next(found for _, found in self.scan() if isinstance(found, Example) and found.id == wanted)

    def remove(self, *identifiers: str) -> int:
        """Takes examples out, by ids or beginnings of ids; all other lines stay as they are, to the byte. Gives how
        many it were. Raises `DataError` as `get` does, and then takes nothing out."""
        wanted = self._resolved(identifiers)
        removed = 0
        with (
            disk_full_as_error(self.path),
            self._locked() as handle,
            _reading(handle) as file,
            atomic_write(self.path) as (new,),
        ):
            for line in lines_of(file):
                if line.size > len(line.data):
                    problem = f"line {line.number} of {self.path} is too long to be copied"
                    raise DataError(problem, path=str(self.path), line=line.number)
                if _id_on(line) in wanted:
                    removed += 1
                else:
                    new.write(line.data)
        return removed

    def _resolved(self, identifiers: Iterable[str]) -> set[str]:
        """The ids that begin so. Raises `DataError` for a beginning that is none, or of several."""
        found: dict[str, set[str]] = {identifier: set() for identifier in identifiers}
        with self.snapshot() as (file, size):
            for line in lines_of(file, size):
                own = _id_on(line)
                for identifier in found if own else ():
                    if own is not None and identifier and own.startswith(identifier):
                        found[identifier].add(own)
        for identifier, ids in found.items():
            if len(ids) != 1:
                how_many = f"{len(ids)} examples have" if ids else "no example has"
                raise DataError(f"{how_many} an id that begins with {identifier!r}", path=str(self.path))
        return {one for ids in found.values() for one in ids}


def matches(example: Example, min_quality: float | None, tags: Collection[str]) -> bool:
    """Whether an example has at least that quality, as far as anybody said, and all of these tags."""
    if min_quality is not None and (example.quality is None or example.quality < min_quality):
        return False
    return all(tag in example.tags for tag in tags)


@contextlib.contextmanager
def _reading(handle: int) -> Iterator[BinaryIO]:
    """What stands in an open file, from its beginning."""
    with os.fdopen(os.dup(handle), "rb", buffering=1 << 20) as file:
        file.seek(0)
        yield file


def _last_end(file: BinaryIO) -> int:
    """Where the last line begins that has no end; the size, if each has one."""
    size = start = file.seek(0, os.SEEK_END)
    while start:
        begin = max(0, start - 65536)
        file.seek(begin)
        found = file.read(start - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        start = begin
    return start if size else 0


def read_line(line: Line) -> Example | Corrupt | None:
    """What stands on a line. `None`: nothing."""
    shape, findings = parse(line)
    torn = not line.data.endswith(b"\n")
    if findings:
        problem = "it was being written when its process ended" if torn else str(findings[0].message)
        return Corrupt(line.number, problem, torn)
    if shape is None:
        return None
    try:
        return Example.from_dict(shape)
    except (ValueError, TypeError) as error:
        return Corrupt(line.number, f"no example: {error}", False)


def _id_on(line: Line) -> str | None:
    """The id that stands on a line. `None`: there is none."""
    if line.data.startswith(b'{"id": "') and line.data[40:41] == b'"':
        return line.data[8:40].decode("ascii", "replace")
    shape, _ = parse(line)
    found = shape.get("id") if isinstance(shape, dict) else None
    return found if isinstance(found, str) else None


def _key(identifier: str) -> int:
    """The beginning of an id, as a number; 0, which no id is, for what is no id."""
    try:
        return int(identifier[:16], 16)
    except ValueError:
        return 0

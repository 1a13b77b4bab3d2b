"""A file of examples: append-only JSON lines, shared between processes by a lock.

Adding appends whole lines. Removing replaces the file, because what is removed often must not stay on the disk. A line
that cannot be read is reported with its number and left in place.
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
from motet.tune.lines import MAX_LINE, Line, dumps, parse, read_lines

__all__ = ["CorruptLine", "Examples", "Statistics", "matches", "read_example"]

_BATCH = 1000


class CorruptLine(NamedTuple):
    """A line that is not an example."""

    line: int
    problem: str
    torn: bool
    """Whether it is the incomplete last line of a process that was killed; its example was never acknowledged."""


@dataclass(slots=True)
class Statistics:
    """Counts over examples."""

    examples: int = 0
    bytes: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    with_reasoning: int = 0
    with_tools: int = 0
    qualities: Counter[float] = field(default_factory=Counter)
    """Examples per quality; unrated ones are not counted."""

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
        """Of the rated examples. `None`: there are none."""
        count = self.qualities.total()
        return sum([quality * times for quality, times in self.qualities.items()]) / count if count else None

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
    """A file of examples, one JSON object on each line, each example once.

    Any number of processes may add and read at the same time. Reading gives the examples that were in the file when it
    began. On systems without file locks (Windows), one process at a time may write.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._keys: set[int] = set()
        """The first 64 bits of each id: 60 to 100 bytes an example."""
        self._read_up_to = (0, 0)
        """The file's inode, and how many of its bytes are read into `_keys`."""

    def add(self, *examples: Example | Iterable[Example]) -> int:
        """Adds the examples that are not in the file yet, and returns their number.

        They are on the disk when it returns. Each thousand is written as a whole or not at all. Raises
        `DiskFullError`, and `DataError` for an example that cannot be trained on.
        """
        items = itertools.chain.from_iterable([[item] if isinstance(item, Example) else item for item in examples])
        added = 0
        while batch := list(itertools.islice(items, _BATCH)):
            added += self._add({example.id: self._line(example) for example in batch})
        return added

    @staticmethod
    def _line(example: Example) -> bytes:
        line = dumps(example.checked().to_dict())
        if len(line) > MAX_LINE:
            raise DataError(f"an example may have {MAX_LINE} bytes at most: {len(line)}")
        return line

    def _add(self, lines: dict[str, bytes]) -> int:
        with disk_full_as_error(self.path), self._locked() as handle:
            line_end = self._repair_tail(handle)
            self._read_keys(handle)
            new = [line for example_id, line in lines.items() if _key(example_id) not in self._keys]
            if new:
                append(handle, line_end + b"".join(new), self.path)
            return len(new)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        handle = lock(self.path, wait=True)
        try:
            yield handle
        finally:
            os.close(handle)

    def _repair_tail(self, handle: int) -> bytes:
        """Handles a last line without a line end, and returns what has to be written before the next line.

        A readable example only lacks its line end. Anything else is torn: it is moved to a `.torn` file.
        """
        with _reader(handle) as file:
            start = _start_of_tail(file)
            file.seek(start)
            tail = file.read()
        if not tail:
            return b""
        if isinstance(read_example(Line(0, tail, len(tail))), Example):
            return b"\n"
        torn = self.path.with_name(self.path.name + ".torn")
        torn_handle = lock(torn, wait=True)
        try:
            append(torn_handle, tail + b"\n", torn)
        finally:
            os.close(torn_handle)
        os.ftruncate(handle, start)
        return b""

    def _read_keys(self, handle: int) -> None:
        """Reads the ids of the lines that were added since, by this or another process."""
        status = os.fstat(handle)
        inode, done = self._read_up_to
        if inode != status.st_ino or done > status.st_size:
            self._keys, done = set(), 0
        with _reader(handle) as file:
            file.seek(done)
            ids = map(_id_of, read_lines(file, status.st_size - done))
            self._keys.update(_key(example_id) for example_id in ids if example_id)
        self._read_up_to = (status.st_ino, status.st_size)

    def scan(self) -> Iterator[tuple[int, Example | CorruptLine]]:
        """The lines of the file with their numbers: examples, and lines that are not."""
        with self.snapshot() as (file, size):
            for line in read_lines(file, size):
                item = read_example(line)
                if item is not None:
                    yield line.number, item

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[tuple[BinaryIO, int]]:
        """The file in its current state, open for reading, and its size.

        It is opened under the lock, so no line is incomplete. Lines that are added later are beyond the size; removing
        replaces the file, and this one stays open.
        """
        handle = lock(self.path, wait=True, shared=True)
        try:
            file = self.path.open("rb", buffering=1 << 20)
            size = os.fstat(file.fileno()).st_size
        finally:
            os.close(handle)
        with file:
            yield file, size

    def __iter__(self) -> Iterator[Example]:
        """The examples. Raises `DataError` at a line that is not one; a torn line at the end is skipped."""
        for _, item in self.scan():
            if isinstance(item, Example):
                yield item
            else:
                self.refuse(item)

    def refuse(self, corrupt: CorruptLine) -> None:
        """Raises `DataError`, unless the line is torn."""
        if not corrupt.torn:
            problem = f"{self.path}, line {corrupt.line}: {corrupt.problem}"
            raise DataError(problem, path=str(self.path), line=corrupt.line)

    def select(self, *, min_quality: float | None = None, tags: Collection[str] = ()) -> Iterator[Example]:
        """The examples that are rated at least that good and have all of the tags. Raises `DataError`, as iterating
        does."""
        return (example for example in self if matches(example, min_quality, tags))

    def get(self, identifier: str) -> Example:
        """The example whose id is, or begins with, `identifier`. Raises `DataError` for none, and for several."""
        (example_id,) = self._resolve([identifier])
        return next(item for _, item in self.scan() if isinstance(item, Example) and item.id == example_id)

    def remove(self, *identifiers: str) -> int:
        """Removes examples, by ids or beginnings of ids, and returns their number. Other lines keep their bytes.

        Raises `DataError` as `get` does, and then removes nothing.
        """
        ids = self._resolve(identifiers)
        removed = 0
        with (
            disk_full_as_error(self.path),
            self._locked() as handle,
            _reader(handle) as file,
            atomic_write(self.path) as (new,),
        ):
            for line in read_lines(file):
                if line.size > len(line.data):
                    problem = f"{self.path}, line {line.number}: too long to be copied"
                    raise DataError(problem, path=str(self.path), line=line.number)
                if _id_of(line) in ids:
                    removed += 1
                else:
                    new.write(line.data)
        return removed

    def _resolve(self, prefixes: Iterable[str]) -> set[str]:
        """The ids with these prefixes. Raises `DataError` for a prefix of no id or of several."""
        matching: dict[str, set[str]] = {prefix: set() for prefix in prefixes}
        with self.snapshot() as (file, size):
            for example_id in filter(None, map(_id_of, read_lines(file, size))):
                for prefix, ids in matching.items():
                    if prefix and example_id.startswith(prefix):
                        ids.add(example_id)
        for prefix, ids in matching.items():
            if len(ids) != 1:
                count = f"{len(ids)} examples have" if ids else "no example has"
                raise DataError(f"{count} an id that begins with {prefix!r}", path=str(self.path))
        return {example_id for ids in matching.values() for example_id in ids}


def matches(example: Example, min_quality: float | None, tags: Collection[str]) -> bool:
    """Whether an example is rated at least that good, and has all of the tags."""
    if min_quality is not None and (example.quality is None or example.quality < min_quality):
        return False
    return all(tag in example.tags for tag in tags)


@contextlib.contextmanager
def _reader(handle: int) -> Iterator[BinaryIO]:
    """An open file for reading, from its beginning."""
    with os.fdopen(os.dup(handle), "rb", buffering=1 << 20) as file:
        file.seek(0)
        yield file


def _start_of_tail(file: BinaryIO) -> int:
    """The position behind the last line end."""
    start = file.seek(0, os.SEEK_END)
    while start:
        begin = max(0, start - 65536)
        file.seek(begin)
        line_end = file.read(start - begin).rfind(b"\n")
        if line_end >= 0:
            return begin + line_end + 1
        start = begin
    return 0


def read_example(line: Line) -> Example | CorruptLine | None:
    """The example on a line. `None`: the line is blank."""
    shape, findings = parse(line)
    torn = not line.data.endswith(b"\n")
    if findings:
        problem = "an incomplete line, of a process that was killed" if torn else findings[0].message
        return CorruptLine(line.number, problem, torn)
    if shape is None:
        return None
    try:
        return Example.from_dict(shape)
    except (ValueError, TypeError) as error:
        return CorruptLine(line.number, f"not an example: {error}", False)


def _id_of(line: Line) -> str | None:
    """The id on a line, without parsing it where it begins as lines of `Examples` do. `None`: it has none."""
    if line.data.startswith(b'{"id": "') and line.data[40:41] == b'"':
        return line.data[8:40].decode("ascii", "replace")
    shape, _ = parse(line)
    example_id = shape.get("id") if isinstance(shape, dict) else None
    return example_id if isinstance(example_id, str) else None


def _key(example_id: str) -> int:
    """The first 64 bits of an id; 0 for a text that is not an id."""
    try:
        return int(example_id[:16], 16)
    except ValueError:
        return 0

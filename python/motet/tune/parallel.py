"""Work on lines, in this process or in several, with the results in the order of the lines."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeAlias, TypeVar

from motet.errors import ConfigError
from motet.tune.lines import Line

__all__ = ["ordered_map"]

R = TypeVar("R")
Results: TypeAlias = tuple[list[R], Exception | None]

_BATCH = 256 << 10
"""Bytes that go to a process at once; less than one batch is not worth a process, which takes 0.3 s to start."""


def ordered_map(work: Callable[[Line], R], lines: Iterable[Line], workers: int | None = None) -> Iterator[R]:
    """The result of `work` for each line, in order. An exception is raised at its line's turn.

    `workers`: processes; `None` or 1 for this process alone. With more, `work` and its results must be picklable, and
    the calling script needs the `if __name__ == "__main__"` guard, as the processes import it. Memory grows by about 40
    MB for each process, and by the batches in flight, 0.8 MB for each. If processes end early, this one does their
    work.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be 1 or more: {workers}")
    if workers is None or workers == 1:
        yield from map(work, lines)
        return
    batches = _batches(lines)
    first = [*itertools.islice(batches, 2)]
    if len(first) < 2:
        yield from map(work, itertools.chain.from_iterable(first))
        return
    # Forked processes would share the locks of this one's threads. Ctrl-C is for this process, which ends the others.
    context, ignore_sigint = multiprocessing.get_context("spawn"), (signal.SIGINT, signal.SIG_IGN)
    pool = ProcessPoolExecutor(workers, context, initializer=signal.signal, initargs=ignore_sigint)
    try:
        pending: deque[tuple[list[Line], Future[Results[R]] | None]] = deque()
        for batch in itertools.chain(first, batches):
            pending.append((batch, _submit(pool, work, batch)))
            if len(pending) > 2 * workers:
                yield from _results(work, *pending.popleft())
        while pending:
            yield from _results(work, *pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.data)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _submit(pool: ProcessPoolExecutor, work: Callable[[Line], R], batch: list[Line]) -> Future[Results[R]] | None:
    try:
        return pool.submit(_run, work, batch)
    except (BrokenProcessPool, OSError):
        return None


def _results(work: Callable[[Line], R], batch: list[Line], future: Future[Results[R]] | None) -> Iterator[R]:
    try:
        results, error = _run(work, batch) if future is None else future.result()
    except BrokenProcessPool:
        results, error = _run(work, batch)
    yield from results
    if error is not None:
        raise error


def _run(work: Callable[[Line], R], batch: list[Line]) -> Results[R]:
    """The results up to an error, and the error."""
    results: list[R] = []
    try:
        for line in batch:
            results.append(work(line))
    except Exception as error:
        return results, error
    return results, None

"""Work on many items that several processes share, and whose results come in the order of the items.

What the work is, is not known here. The processes are programs of their own that are told what to do through pipes.
They are not forked, which is safe only while nobody else runs a thread; and they never import the main module again, as
those of `multiprocessing` do where they are not forked: so scripts need no `if __name__ == "__main__"`, and notebooks
and the REPL work as well.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

from motet.errors import ConfigError

__all__ = ["WORTH", "each", "serve"]

T = TypeVar("T")
R = TypeVar("R")

WORTH = 4 << 20
"""Bytes. Less is done sooner than processes have started, which takes 0.1 s."""
_BATCH = 256 << 10
"""Bytes that go to a process at once."""
_MOST = 8
"""Processes, unless more are asked for: they keep busy whoever reads for them and takes their results."""
_PROGRAM = """
import pickle, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Who is interrupted is the other, and ends this one.
sys.path[:] = pickle.load(sys.stdin.buffer)
from motet.tune.crew import serve
serve()
"""


def each(
    work: Callable[[T], R],
    items: Iterable[T],
    weigh: Callable[[T], int],
    *,
    size: int | None = None,
    workers: int | None = None,
) -> Iterator[R]:
    """What `work` makes of each item, in their order.

    - `work`, items, results: must be picklable, and `work` importable. An error is raised where its item's turn is.
    - `weigh`: the bytes of an item, more or less.
    - `size`: those of all of them. Below `WORTH`, no process is started; `None`: the first so many bytes are worked on
      here, each item as soon as it is there, and only what is behind them by processes.
    - `workers`: how many processes; 1: none. `None`: one for each core, and 8 at most. Memory grows by what they hold:
      about 30 MB each, and the batches that wait here, which are 3 MB.

    Where no process can be started, and if one ends before its time, the work is done here.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be 1 or more, not {workers}")
    wanted = workers or min(_cores(), _MOST)
    items = iter(items)
    if wanted > 1:
        left = WORTH
        while size is None and left > 0:
            for item in itertools.islice(items, 1):
                left -= weigh(item)
                yield work(item)
                break
            else:
                return
        if size is None or size >= WORTH:
            with _Crew(work, wanted) as crew:
                yield from crew.results(_batches(items, weigh))
            return
    yield from map(work, items)


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _batches(items: Iterable[T], weigh: Callable[[T], int]) -> Iterator[list[T]]:
    batch: list[T] = []
    weight = 0
    for item in items:
        batch.append(item)
        weight += weigh(item)
        if weight >= _BATCH:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _done(work: Callable[[T], R], batch: list[T]) -> tuple[list[R], Exception | None]:
    """The results up to an error, and the error."""
    results: list[R] = []
    try:
        for item in batch:
            results.append(work(item))
    except Exception as error:
        return results, error
    return results, None


class _Crew:
    """Processes that work; a thread waits for each."""

    def __init__(self, work: Callable[[Any], Any], workers: int) -> None:
        self._work = work
        self._workers = workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        """`None`: a process that is no more, whose work is done here."""
        self._threads = ThreadPoolExecutor(workers)
        self._open = True

    def __enter__(self) -> Self:
        try:
            for _ in range(self._workers):
                self._idle.put(self._started())
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._open = False
        for process in self._processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.communicate()

    def _started(self) -> subprocess.Popen[bytes] | None:
        # A program that holds Python in itself has no Python to start.
        if not sys.executable or getattr(sys, "frozen", False):
            return None
        words = [sys.executable, "-P", "-c", _PROGRAM]
        try:
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._processes.append(process)
            _tell(process, sys.path)
            _tell(process, self._work)
        except OSError:
            return None
        return process

    def results(self, batches: Iterable[list[T]]) -> Iterator[Any]:
        """What is made of each item. Reads ahead by two batches for each process."""
        waiting: deque[Future[tuple[list[Any], Exception | None]]] = deque()
        ahead = 2 * self._workers
        for batch in itertools.chain(batches, itertools.repeat(None)):
            if batch is not None:
                waiting.append(self._threads.submit(self._batch, batch))
            elif not waiting:
                return
            if batch is None or len(waiting) > ahead:
                results, error = waiting.popleft().result()
                yield from results
                if error is not None:
                    raise error

    def _batch(self, batch: list[T]) -> tuple[list[Any], Exception | None]:
        process = self._idle.get()
        if process is not None:
            try:
                _tell(process, batch)
                assert process.stdout is not None
                answer: tuple[list[Any], Exception | None] = pickle.load(process.stdout)
            except (OSError, EOFError, pickle.UnpicklingError):
                process = None
        self._idle.put(process)
        if process is not None:
            return answer
        return _done(self._work, batch) if self._open else ([], None)


def _tell(process: subprocess.Popen[bytes], what: object) -> None:
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))
    process.stdin.flush()


def serve() -> None:
    """Works for another process, until it closes the pipe."""
    # What anybody prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(EOFError, BrokenPipeError):
        work = pickle.load(sys.stdin.buffer)
        while True:
            answer = _done(work, pickle.load(sys.stdin.buffer))
            answers.write(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
            answers.flush()

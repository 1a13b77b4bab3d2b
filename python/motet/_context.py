"""`with` blocks: classes that are closed by them, and the objects of those that are open."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncGenerator, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import Generic, Self, TypeVar

__all__ = ["AsyncClosing", "Closing", "Scope", "asingle", "single"]

T = TypeVar("T")


class Closing:
    """A context manager that calls `close` on exit."""

    def close(self) -> None:
        """Releases the resources of the object."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClosing:
    """An async context manager that awaits `aclose` on exit."""

    async def aclose(self) -> None:
        """`close`, awaited."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Scope(Generic[T]):
    """The objects whose `with` blocks are open around the running code, outermost first."""

    def __init__(self, name: str) -> None:
        self._chain: ContextVar[tuple[T, ...] | None] = ContextVar(name, default=None)
        self._entered: list[tuple[T, ...]] = []
        # Reentrant: garbage collection inside a locked section can leave a block.
        self._lock = threading.RLock()

    def enter(self, item: T) -> None:
        chain: tuple[T, ...] = (*(self._chain.get() or ()), item)
        self._chain.set(chain)
        with self._lock:
            self._entered.append(chain)

    def leave(self, item: T) -> None:
        chain = self._chain.get() or ()
        # A context variable's token is valid only in its own context, and tasks and threads may leave the block.
        place = max([index for index, entered in enumerate(chain) if entered is item], default=len(chain))
        self._chain.set((*chain[:place], *chain[place + 1 :]) or None)
        with self._lock:
            if chain in self._entered:
                self._entered.remove(chain)

    def active(self) -> tuple[T, ...]:
        """The objects of the enclosing blocks.

        Tasks inherit them. A thread does not inherit the context of the thread that started it: in a thread without
        blocks of its own, the objects that all open blocks of the process share.
        """
        own = self._chain.get()
        if own is not None:
            return own
        with self._lock:
            # A chain that another one continues is counted once, in its longer form.
            longest = [
                chain
                for chain in self._entered
                if not any(chain == other[: len(chain)] != other for other in self._entered)
            ]
        return tuple([same[0] for same in zip(*longest, strict=False) if len(set(same)) == 1]) if longest else ()


def single(batches: Generator[list[T], None, None]) -> Generator[T, None, None]:
    """The values of lists, one by one. Closing it closes the generator of the lists."""
    with contextlib.closing(batches):
        for values in batches:
            yield from values


async def asingle(batches: AsyncGenerator[list[T], None]) -> AsyncGenerator[T, None]:
    """`single`, awaited."""
    async with contextlib.aclosing(batches):
        async for values in batches:
            for value in values:
                yield value

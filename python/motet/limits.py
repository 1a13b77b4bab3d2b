"""Budgets across atoms, threads and tasks, and the limits of a run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Self

from motet.catalog import to_money
from motet.errors import MaxCostError, RequestTimeoutError

__all__ = ["Budget", "Limits", "Reservation", "active", "budget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a run. `None`: no limit."""

    max_steps: int | None = 20
    """Requests to the model, from 1."""
    max_tokens: int | None = None
    """Tokens of all answers together, reasoning included, from 1."""
    max_reasoning_tokens: int | None = None
    """Reasoning tokens of all answers together, from 1."""
    max_cost: Decimal | None = None
    """US dollars."""
    max_time: float | None = None
    """Seconds, above 0."""
    max_repeats: int | None = 5
    """Identical sets of calls in consecutive steps, from 1."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "max_tokens", "max_reasoning_tokens", "max_repeats"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}")
        seconds = self.max_time
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0):
            raise ValueError(f"max_time must be seconds, more than 0, not {seconds!r}")


# One reentrant lock for all budgets: a request reserves in several budgets at once, and garbage collection inside a
# locked section can close a forgotten stream, which settles its reservation.
_lock = threading.RLock()


class Budget:
    """US dollars for all requests within a `with` block. Made by `motet.budget`."""

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit
        self._settled = Decimal(0)
        self._reservations: set[Reservation] = set()

    @property
    def spent(self) -> Decimal:
        """US dollars of ended requests, and of what has arrived of running ones."""
        with _lock:
            return self._settled + sum([reservation.spent for reservation in self._reservations], Decimal(0))

    @property
    def reserved(self) -> Decimal:
        """US dollars that running requests may still spend besides `spent`."""
        with _lock:
            return sum([running.amounts[self] - running.spent for running in self._reservations], Decimal(0))

    @property
    def left(self) -> Decimal:
        """US dollars that are neither spent nor reserved, from 0."""
        with _lock:
            return max(self._free(None), Decimal(0))

    def __repr__(self) -> str:
        return f"Budget({self.limit}, spent={self.spent})"

    def _free(self, reservation: Reservation | None) -> Decimal:
        """The part of the limit that is neither settled nor reserved by other reservations."""
        others = [other.amounts[self] for other in self._reservations if other is not reservation]
        return self.limit - self._settled - sum(others, Decimal(0))

    def __enter__(self) -> Self:
        chain: tuple[Budget, ...] = (*(_chain.get() or ()), self)
        _chain.set(chain)
        with _lock:
            _entered.append(chain)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        chain = _chain.get() or ()
        # A context variable's token is valid only in its own context, and tasks and threads may leave the block.
        place = max([index for index, entered in enumerate(chain) if entered is self], default=len(chain))
        _chain.set((*chain[:place], *chain[place + 1 :]) or None)
        with _lock:
            if chain in _entered:
                _entered.remove(chain)


class Reservation:
    """The share of one request in its budgets, from before it is sent until it has ended.

    A request reserves the most that it can cost. If less is free it waits until other requests have settled. If none
    runs, a request with `max_tokens` is refused, and one without reserves all that is free, if that covers its prompt
    and the first tokens.
    """

    def __init__(self, budgets: Sequence[Budget], *, least: Decimal, most: Decimal | None) -> None:
        """`least`: what must be free, the cost of the prompt and of `max_tokens` or else of the first tokens. `most`:
        highest possible cost; `None` if unbounded. Both in US dollars."""
        self.budgets = tuple(budgets)
        self.amounts: dict[Budget, Decimal] = {}
        self.spent = Decimal(0)
        self._least = least
        self._most = most

    def acquire(self, timeout: float | None = None) -> None:
        """Reserves, and waits for room up to `timeout` seconds. Raises `MaxCostError` where there is none, and
        `RequestTimeoutError` after that time."""
        while (waiter := self._try()) is not None:
            released = threading.Event()
            waiter.wake = released.set
            if waiter.woken:
                continue
            try:
                if not released.wait(timeout):
                    raise _no_room_in_time(timeout)
            finally:
                waiter.remove()

    async def aacquire(self, timeout: float | None = None) -> None:
        """`acquire`, awaited."""
        while (waiter := self._try()) is not None:
            released = asyncio.Event()
            loop = asyncio.get_running_loop()
            waiter.wake = lambda loop=loop, released=released: loop.call_soon_threadsafe(released.set)
            if waiter.woken:
                continue
            try:
                async with asyncio.timeout(timeout):
                    await released.wait()
            except TimeoutError:
                raise _no_room_in_time(timeout) from None
            finally:
                waiter.remove()

    def _try(self) -> _Waiter | None:
        """Reserves, or gives a registered waiter if it is worth to wait. Raises `MaxCostError` otherwise."""
        with _lock:
            free = {budget: budget._free(None) for budget in self.budgets}
            fits = self._most is not None and all(amount >= self._most for amount in free.values())
            # A request that this one is nested in cannot end before it, so waiting for it would never end.
            nested = any(outer.amounts for outer in _open.get())
            running = any(budget._reservations for budget in self.budgets)
            if not fits and running and not nested:
                return _Waiter(self.budgets)
            if not fits and any(amount < self._least for amount in free.values()):
                raise self._refusal()
            for budget, amount in free.items():
                self.amounts[budget] = amount if self._most is None else min(self._most, amount)
                budget._reservations.add(self)
            _open.set((*[outer for outer in _open.get() if outer.amounts], self))
            return None

    def spend(self, cost: Decimal, ahead: Decimal) -> MaxCostError | None:
        """Records the cost so far. `ahead`: cost with the next tokens; the error if no budget has room for it."""
        with _lock:
            self.spent = cost
            ahead = ahead if self._most is None else max(cost, min(ahead, self._most))
            for budget, amount in self.amounts.items():
                if ahead > amount:
                    if ahead > budget._free(self):
                        return self._error(budget, ahead)
                    self.amounts[budget] = ahead
        return None

    def settle(self, cost: Decimal) -> None:
        """The request has ended and cost this much; the rest of the reservation is free again."""
        with _lock:
            for budget in self.amounts:
                budget._reservations.discard(self)
                budget._settled += cost
            self.amounts = {}
            for waiter in list(_waiters):
                if not set(waiter.budgets).isdisjoint(self.budgets):
                    waiter.notify()

    def _refusal(self) -> MaxCostError:
        with _lock:
            tightest = min(self.budgets, key=lambda budget: budget._free(None))
            error = self._error(tightest, self._least)
        error.cost = Decimal(0)
        return error

    def _error(self, budget: Budget, amount: Decimal) -> MaxCostError:
        return MaxCostError(
            f"the budget of {budget.limit} dollars is used up: {budget.limit - budget._free(self)} are spent or "
            f"reserved, and this request needs {amount}",
            limit=budget.limit,
            option="budget",
        )


def _no_room_in_time(timeout: float | None) -> RequestTimeoutError:
    return RequestTimeoutError(
        f"other requests kept the budget reserved for {timeout:g} s; nothing was sent", cost=Decimal(0)
    )


class _Waiter:
    """A request that waits for room in its budgets; woken when a reservation in one of them settles."""

    def __init__(self, budgets: tuple[Budget, ...]) -> None:
        self.budgets = budgets
        self.wake: Callable[[], object] | None = None
        self.woken = False
        _waiters.append(self)

    def notify(self) -> None:
        self.woken = True
        if self.wake is not None:
            # The event loop of the waiting task may be closed.
            with contextlib.suppress(RuntimeError):
                self.wake()
        self.remove()

    def remove(self) -> None:
        with _lock:
            if self in _waiters:
                _waiters.remove(self)


_waiters: list[_Waiter] = []
_open: ContextVar[tuple[Reservation, ...]] = ContextVar("motet_reservations", default=())
"""Reservations of the requests that this context runs within; tasks inherit them."""
_chain: ContextVar[tuple[Budget, ...] | None] = ContextVar("motet_budgets", default=None)
_entered: list[tuple[Budget, ...]] = []


def active() -> tuple[Budget, ...]:
    """The budgets that pay for requests made here.

    Tasks inherit them. A thread does not inherit the context of the thread that started it: requests in a thread
    without budgets of its own count against the budgets that all open `with` blocks of the process share. Where
    several are open side by side there may be no such budget; then name it with `budget=`.
    """
    own = _chain.get()
    if own is not None:
        return own
    with _lock:
        # A chain that another one continues is counted once, in its longer form.
        longest = [chain for chain in _entered if not any(chain == other[: len(chain)] != other for other in _entered)]
    return tuple([same[0] for same in zip(*longest, strict=False) if len(set(same)) == 1]) if longest else ()


def budget(limit: Decimal | str | float) -> Budget:
    """US dollars for all requests within its `with` block: of all atoms, in all tasks and threads.

    `with motet.budget("0.05") as b: ...`, then `b.spent`, `b.reserved` and `b.left`. A request reserves its prompt and
    `max_tokens` (at most what the context leaves, and at most what is free) before it is sent. Where others have
    reserved too much for that, it waits for them; where none runs and not even its prompt is affordable, it is not
    sent and `MaxCostError` is raised. An answer that passes its reservation ends with `MaxCostError`, unless it is
    complete by then, so the sum passes the limit by one chunk at most.
    """
    return Budget(to_money(limit, "budget", floats=True))

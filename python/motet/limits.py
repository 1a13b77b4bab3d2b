"""Budgets across atoms, threads and tasks, and the limits of a run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Self

from motet._context import Scope
from motet.catalog import to_money
from motet.errors import ConfigError, MaxCostError, RequestTimeoutError
from motet.ledgers.ledger import Ledger
from motet.ledgers.spending import PERIODS, Claim, Period, Share

__all__ = ["Budget", "Limits", "Period", "Reservation", "active", "budget"]


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

    def __init__(
        self, limit: Decimal, *, ledger: Ledger | None = None, per: Period | None = None, spent: Decimal = Decimal(0)
    ) -> None:
        """`spent`: US dollars of the limit that are spent already."""
        self.limit = limit
        self.ledger = ledger
        """The ledger that the budget looks at, and whose processes share it. `None`: the budget is this process's."""
        self.per = per
        self.share = None if ledger is None else Share(ledger.writer, per)
        self._settled = spent
        self._reservations: set[Reservation] = set()

    @property
    def spent(self) -> Decimal:
        """US dollars of ended requests, and of what has arrived of running ones; with a ledger, those of the rows of
        its present period."""
        if self.share is not None:
            return self.share.read().spent
        with _lock:
            return self._settled + sum([reservation.spent for reservation in self._reservations], Decimal(0))

    @property
    def reserved(self) -> Decimal:
        """US dollars that running requests may still spend besides `spent`; with a ledger, those of all processes."""
        if self.share is not None:
            return self.share.read().reserved
        with _lock:
            return sum([running.amounts[self] - running.spent for running in self._reservations], Decimal(0))

    @property
    def left(self) -> Decimal:
        """US dollars that are neither spent nor reserved, from 0."""
        if self.share is not None:
            spending = self.share.read()
            return max(self.limit - spending.spent - spending.reserved, Decimal(0))
        with _lock:
            return max(self._free(None), Decimal(0))

    def __repr__(self) -> str:
        ledger = "" if self.ledger is None else f", per={self.per!r}, ledger={self.ledger!r}"
        return f"Budget({self.limit}, spent={self.spent}{ledger})"

    def _free(self, reservation: Reservation | None) -> Decimal:
        """The part of the limit that is neither settled nor reserved by other reservations."""
        others = [other.amounts[self] for other in self._reservations if other is not reservation]
        return self.limit - self._settled - sum(others, Decimal(0))

    def __enter__(self) -> Self:
        _scope.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _scope.leave(self)


class Reservation:
    """The share of one request in its budgets, from before it is sent until it has ended.

    A request reserves the most that it can cost. If less is free it waits until other requests have settled. If none
    runs, a request with `max_tokens` is refused, and one without reserves all that is free, if that covers its prompt
    and the first tokens.
    """

    def __init__(self, budgets: Sequence[Budget], *, least: Decimal, most: Decimal | None) -> None:
        """`least`: what must be free, the cost of the prompt and of `max_tokens` or else of the first tokens. `most`:
        highest possible cost; `None` if unbounded. Both in US dollars."""
        self.budgets = tuple([budget for budget in budgets if budget.share is None])
        self._shared = [(budget, budget.share) for budget in budgets if budget.share is not None]
        self._token = uuid.uuid4().hex if self._shared else ""
        """Names the reservation in ledgers."""
        self.amounts: dict[Budget, Decimal] = {}
        self._cost: Callable[[], Decimal] | None = None
        self.least = least
        self.most = most

    def acquire(self, timeout: float | None = None) -> None:
        """Reserves, and waits for room up to `timeout` seconds. Raises `MaxCostError` where there is none, and
        `RequestTimeoutError` after that time."""
        end = None if timeout is None else time.monotonic() + timeout
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
        try:
            while not self._have_all([claim.result() for claim in self._claim()]):
                if end is not None and time.monotonic() >= end:
                    raise _no_room_in_time(timeout)
                time.sleep(_POLL_SECONDS)
        except BaseException:
            self.settle(Decimal(0))
            raise

    async def aacquire(self, timeout: float | None = None) -> None:
        """`acquire`, awaited."""
        end = None if timeout is None else time.monotonic() + timeout
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
        try:
            while not self._have_all([await asyncio.wrap_future(claim) for claim in self._claim()]):
                if end is not None and time.monotonic() >= end:
                    raise _no_room_in_time(timeout)
                await asyncio.sleep(_POLL_SECONDS)
        except BaseException:
            self.settle(Decimal(0))
            raise

    def _claim(self) -> list[Future[Claim]]:
        """Reserves in the ledgers of the budgets."""
        nested = any(outer.amounts for outer in _open.get() if outer is not self)
        return [
            share.reserve(self._token, budget.limit, self.least, self.most, waits=not nested)
            for budget, share in self._shared
        ]

    def _have_all(self, claims: Sequence[Claim]) -> bool:
        """False if a ledger has no room, and waiting may help. Raises `MaxCostError` if it cannot."""
        for (budget, _), claim in zip(self._shared, claims, strict=True):
            if not claim.reserved and not claim.can_wait:
                raise self._refusal(budget, claim.amount)
        if not all(claim.reserved for claim in claims):
            self._release()
            return False
        self.amounts |= {budget: claim.amount for (budget, _), claim in zip(self._shared, claims, strict=True)}
        return True

    def _release(self) -> None:
        """Ends the reservations in ledgers, of claims that are not decided yet as well: works run in their order."""
        for _, share in self._shared:
            share.release(self._token)

    def _try(self) -> _Waiter | None:
        """Reserves, or gives a registered waiter if it is worth to wait. Raises `MaxCostError` otherwise."""
        with _lock:
            free = {budget: budget._free(None) for budget in self.budgets}
            fits = self.most is not None and all(amount >= self.most for amount in free.values())
            # A request that this one is nested in cannot end before it, so waiting for it would never end.
            nested = any(outer.amounts for outer in _open.get())
            running = any(budget._reservations for budget in self.budgets)
            if not fits and running and not nested:
                return _Waiter(self.budgets)
            if not fits and any(amount < self.least for amount in free.values()):
                raise self._tightest()
            for budget, amount in free.items():
                self.amounts[budget] = amount if self.most is None else min(self.most, amount)
                budget._reservations.add(self)
            _open.set((*[outer for outer in _open.get() if outer.amounts], self))
            return None

    @property
    def spent(self) -> Decimal:
        """US dollars of what has arrived, 0 before it is tracked."""
        return Decimal(0) if self._cost is None else self._cost()

    def track(self, cost: Callable[[], Decimal]) -> None:
        """`spent` is what `cost` returns, until the reservation is settled."""
        self._cost = cost

    def extend(self, cost: Decimal, ahead: Decimal) -> MaxCostError | None:
        """Reserves for the next tokens. `cost`: US dollars so far; `ahead`: with those tokens. The error if a budget
        has no room for it."""
        with _lock:
            ahead = ahead if self.most is None else max(cost, min(ahead, self.most))
            for budget, amount in self.amounts.items():
                if ahead > amount:
                    # A ledger's reservation is the most that the request can cost, or was all that was free.
                    free = amount if budget.share is not None else budget._free(self)
                    if ahead > free:
                        return self._error(budget, ahead, free)
                    self.amounts[budget] = ahead
        return None

    def settle(self, cost: Decimal) -> None:
        """The request has ended and cost this much; the rest of the reservation is free again."""
        with _lock:
            for budget in self.amounts:
                budget._reservations.discard(self)
                budget._settled += cost
            self.amounts = {}
            self._cost = None
            for waiter in list(_waiters):
                if not set(waiter.budgets).isdisjoint(self.budgets):
                    waiter.notify()
        self._release()

    def _tightest(self) -> MaxCostError:
        with _lock:
            tightest = min(self.budgets, key=lambda budget: budget._free(None))
            return self._refusal(tightest, tightest._free(self))

    def _refusal(self, budget: Budget, free: Decimal) -> MaxCostError:
        """The error of a request that is not sent."""
        error = self._error(budget, self.least, free)
        error.cost = Decimal(0)
        return error

    def _error(self, budget: Budget, amount: Decimal, free: Decimal) -> MaxCostError:
        period = f" for each {budget.per}" if budget.per else ""
        return MaxCostError(
            f"the budget of {budget.limit} dollars{period} is used up: {budget.limit - free} are spent or "
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


_POLL_SECONDS = 0.05
"""Between two tries to reserve in a ledger: other processes do not say when they are done."""
_waiters: list[_Waiter] = []
_open: ContextVar[tuple[Reservation, ...]] = ContextVar("motet_reservations", default=())
"""Reservations of the requests that this context runs within; tasks inherit them."""
_scope: Scope[Budget] = Scope("motet_budgets")


def active() -> tuple[Budget, ...]:
    """The budgets that pay for requests made here: those of the enclosing `with` blocks.

    Where several are open side by side, a thread that is started without its context may have none; then name it with
    `budget=`.
    """
    return _scope.active()


def budget(limit: Decimal | str | float, *, per: Period | None = None, ledger: Ledger | None = None) -> Budget:
    """US dollars for all requests within its `with` block: of all atoms, in all tasks and threads.

    `with motet.budget("0.05") as b: ...`, then `b.spent`, `b.reserved` and `b.left`. A request reserves its prompt and
    `max_tokens` (at most what the context leaves, and at most what is free) before it is sent. Where others have
    reserved too much for that, it waits for them; where none runs and not even its prompt is affordable, it is not
    sent and `MaxCostError` is raised. An answer that passes its reservation ends with `MaxCostError`, unless it is
    complete by then, so the sum passes the limit by one chunk at most.

    `ledger`: a `motet.ledger` in which the requests are recorded, and with whose other rows they share the limit: those
    of earlier runs and of other processes, whatever block or atom they are from. `per`: `hour`, `day` or `month` (in
    UTC) bounds the rows of the present one; by default all rows count. Processes reserve in the file, so that they do
    not pass the limit together; a reservation of a killed process is free after a minute.
    """
    if per not in PERIODS:
        raise ValueError(f"per must be 'hour', 'day' or 'month', not {per!r}")
    if ledger is not None and not isinstance(ledger, Ledger):
        raise TypeError(f"ledger must be made by motet.ledger, not {ledger!r:.80}")
    if per is not None and ledger is None:
        raise ConfigError(f"per={per!r} needs the rows of earlier runs: give ledger=motet.ledger('usage.db')")
    return Budget(to_money(limit, "budget", floats=True), ledger=ledger, per=per)

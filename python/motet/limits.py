"""What may be spent: budgets that span atoms, threads and tasks, and the limits of a loop."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Self

from motet.catalog import to_money
from motet.errors import MaxCostError

__all__ = ["Budget", "Limits", "active", "budget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of a loop. `None`: no limit."""

    max_steps: int | None = 20
    """How often the model is asked."""
    max_tokens: int | None = None
    """That the model writes in all of the run, reasoning included."""
    max_reasoning_tokens: int | None = None
    """Of these, how many are reasoning."""
    max_cost: Decimal | None = None
    """US dollars."""
    max_time: float | None = None
    """Seconds."""
    max_repeats: int | None = 5
    """How often the very same calls may be made, step after step."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "max_tokens", "max_reasoning_tokens", "max_repeats"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}")
        seconds = self.max_time
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0):
            raise ValueError(f"max_time must be seconds, more than 0, not {seconds!r}")


class Budget:
    """US dollars for all that is asked within a `with` block. Made by `motet.budget`."""

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit
        self._settled = Decimal(0)
        self._held: dict[object, Decimal] = {}
        # Taken again where garbage is collected within it, and a forgotten stream settles.
        self._lock = threading.RLock()

    @property
    def spent(self) -> Decimal:
        """What was spent, what is being written right now included."""
        with self._lock:
            return self._settled + sum(self._held.values(), Decimal(0))

    @property
    def left(self) -> Decimal:
        """What is left of the limit; never less than zero."""
        return max(self.limit - self.spent, Decimal(0))

    def __repr__(self) -> str:
        return f"Budget({self.limit}, spent={self.spent})"

    def hold(self, who: object, amount: Decimal) -> None:
        """Takes what one request costs so far, and the next piece of its answer, out of the budget, before that is
        read. Raises `MaxCostError` if so much is not left; then nothing more is taken."""
        with self._lock:
            others = self._settled + sum([held for key, held in self._held.items() if key is not who], Decimal(0))
            if others + amount > self.limit:
                raise MaxCostError(
                    f"the budget of {self.limit} dollars is used up: {others} are spent or being spent, "
                    f"and this request needs {amount}",
                    limit=self.limit,
                    option="budget",
                )
            self._held[who] = amount

    def settle(self, who: object, amount: Decimal) -> None:
        """A request has ended, and this is what it cost."""
        with self._lock:
            self._held.pop(who, None)
            self._settled += amount

    def __enter__(self) -> Self:
        chain: tuple[Budget, ...] = (*(_chain.get() or ()), self)
        _chain.set(chain)
        with _entered_lock:
            _entered.append(chain)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        chain = _chain.get() or ()
        # Without a token, which another thread or task that is within the same budget could not give back.
        at = max([place for place, one in enumerate(chain) if one is self], default=len(chain))
        _chain.set((*chain[:at], *chain[at + 1 :]) or None)
        with _entered_lock:
            if chain in _entered:
                _entered.remove(chain)


_chain: ContextVar[tuple[Budget, ...] | None] = ContextVar("motet_budgets", default=None)
_entered: list[tuple[Budget, ...]] = []
_entered_lock = threading.Lock()


def active() -> tuple[Budget, ...]:
    """The budgets that what is asked here counts against.

    Tasks inherit them. A thread does not inherit the context of the one that started it: it counts against the budgets
    that everyone in the process is within, who is within any. Where several are open beside each other, there may be
    none: then say which, `budget=`.
    """
    own = _chain.get()
    if own is not None:
        return own
    with _entered_lock:
        # Of a chain that goes on in another one only the longer one counts.
        longest = [one for one in _entered if not any(one == other[: len(one)] != other for other in _entered)]
    return tuple([same[0] for same in zip(*longest, strict=False) if len(set(same)) == 1]) if longest else ()


def budget(limit: Decimal | str | int) -> Budget:
    """US dollars for all that is asked within its `with` block: by all atoms, in all tasks and threads.

    `with motet.budget("0.05") as b: ...`, then `b.spent` and `b.left`. Before a request is sent, and before each
    further piece of its answer is read, what that costs is taken out of the budget; if it is not left, the request ends
    with `MaxCostError`. So the sum passes the limit by one piece at most.
    """
    return Budget(to_money(limit, "budget"))

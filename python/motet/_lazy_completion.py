"""The fields of a `Completion` that a parser at work returns, made when they are read.

Polling a parser after each token must not cost what making a completion costs. So `StreamParser.completion` returns a
completion that holds a snapshot of the parser, and each field is made from the snapshot at its first read.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

__all__ = ["LazyFields"]

_MADE_ON_READ = frozenset({"message", "frames", "repairs", "_tokens"})


class LazyFields:
    """Base of a frozen dataclass with slots, some of which are empty until they are read.

    A slot that is set is read without a detour: Python calls `__getattr__` only for an empty one.
    """

    __slots__ = ()

    @classmethod
    def _from_snapshot(cls, snapshot: object, stop: str | None, lane: str) -> Self:
        """A completion whose other fields are made from `snapshot`. The native parser calls this."""
        completion, set_field = object.__new__(cls), object.__setattr__
        set_field(completion, "_snapshot", snapshot)
        set_field(completion, "stop", stop)
        set_field(completion, "lane", lane)
        return completion

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            if name not in _MADE_ON_READ:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            value = getattr(self._snapshot, name)
            object.__setattr__(self, name, value)
            return value

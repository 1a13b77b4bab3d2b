"""Faults of the operations of a service, in the order of its requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from motet.testing.script import Fault

__all__ = ["FaultyService"]


class FaultyService:
    """A service with faults: for each of `OPERATIONS`, those of its requests in order; `None` lets one request
    pass. Raises `ValueError` for other operations."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, faults: Mapping[str, Sequence[Fault | None]] | None) -> None:
        self.faults: dict[str, list[Fault | None]] = {name: list(some) for name, some in (faults or {}).items()}
        unknown = self.faults.keys() - set(self.OPERATIONS)
        if unknown:
            raise ValueError(f"unknown operation {', '.join(sorted(unknown))}; known are {', '.join(self.OPERATIONS)}")

    def fault(self, operation: str) -> Fault | None:
        """The fault of the next request."""
        faults = self.faults.get(operation)
        return faults.pop(0) if faults else None

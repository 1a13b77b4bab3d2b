"""A clock whose time passes only when code sleeps, or when a test moves it."""

from __future__ import annotations

from motet import tune

__all__ = ["FakeClock"]


class FakeClock(tune.Clock):
    """A clock for fine-tunes, and a function for requests."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.time += seconds

"""Time, as far as fine-tunes wait for it: by a clock that no change of the date moves, and that tests can tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from motet.errors import ApiError, BadPayloadError

__all__ = ["REAL", "TOO_LONG", "Clock", "passing", "patiently"]

T = TypeVar("T")

TRIES = 5
"""How often what may be asked twice is asked."""
TOO_LONG = 600.0
"""Seconds: a service that asks to wait longer is not waited for."""
_LONGEST = 30.0
"""Seconds between two tries, unless the service asks for more."""


class Clock:
    """The real one."""

    def now(self) -> float:
        """Seconds since some moment; never set back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


REAL = Clock()


def passing(error: ApiError) -> bool:
    """Whether the same question may well be answered later. A page of HTML in place of an answer comes from whatever
    stands before a service that restarts."""
    return error.retryable or isinstance(error, BadPayloadError)


def patiently(call: Callable[[], T], clock: Clock, tries: int = TRIES) -> T:
    """What `call` gives, asked again after 1, 2, 4, ... seconds where an error may pass. For what may be done twice."""
    for tried in range(1, tries):
        try:
            return call()
        except ApiError as error:
            if not passing(error):
                raise
            asked = getattr(error, "retry_after", None)
            if asked is not None and asked > TOO_LONG:
                raise
            clock.sleep(max(asked or 0.0, min(2.0 ** (tried - 1), _LONGEST)))
    return call()

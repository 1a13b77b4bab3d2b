"""One retry policy for requests to services: exponential waits with jitter, and the service's own `Retry-After`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Clock", "Retrier", "RetryPolicy"]

T = TypeVar("T")


class Clock:
    """Monotonic time: changes of the system's date do not move it. Tests replace it."""

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failed call is tried again, and after how many seconds."""

    tries: int
    """Calls in all, the first one included."""
    first_wait: float = 1.0
    """Seconds before the second try; doubled before each further one."""
    max_wait: float = 10.0
    max_retry_after: float = 60.0
    """A service that asks for a longer wait is not tried again: the caller may wait, a request may not."""
    jitter: float = 0.25
    """The share of a wait that is random, so that clients of one failure do not return at one moment."""

    def wait_after(self, failures: int, retry_after: float | None = None) -> float | None:
        """Seconds to wait after the n-th failure, from 1 on. `None`: give up.

        `retry_after`: seconds that the service asks for; they replace the policy's own.
        """
        if failures >= self.tries:
            return None
        if retry_after is not None:
            return retry_after if retry_after <= self.max_retry_after else None
        # The exponent is bounded: a float holds no more than 2.0**1023.
        wait = min(self.first_wait * 2.0 ** min(failures - 1, 60), self.max_wait)
        return wait * random.uniform(1 - self.jitter, 1.0)


@dataclass(frozen=True, slots=True)
class Retrier:
    """Calls what may be called twice, again while its error is transient."""

    policy: RetryPolicy
    is_transient: Callable[[Exception], bool]
    clock: Clock

    def __call__(self, call: Callable[[], T]) -> T:
        """The result of `call`. Raises its last error."""
        failures = 0
        while True:
            try:
                return call()
            except Exception as error:
                failures += 1
                wait = self.wait_after(error, failures)
                if wait is None:
                    raise
            self.clock.sleep(wait)

    def wait_after(self, error: Exception, failures: int) -> float | None:
        """Seconds to wait after the n-th failure. `None`: give up."""
        if not self.is_transient(error):
            return None
        return self.policy.wait_after(failures, getattr(error, "retry_after", None))

"""When a request of a fine-tune is tried again, and the clock that it waits by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from motet._retry import Clock, Retrier, RetryPolicy
from motet.errors import ApiError, BadPayloadError

__all__ = ["POLICY", "REAL", "Clock", "is_transient", "retry"]

T = TypeVar("T")

POLICY: Final = RetryPolicy(tries=5, max_wait=30.0, max_retry_after=600.0)
REAL: Final = Clock()


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed later. An HTML page instead of JSON counts: proxies send it while the
    service behind them restarts."""
    return isinstance(error, ApiError) and (error.retryable or isinstance(error, BadPayloadError))


def retry(call: Callable[[], T], clock: Clock) -> T:
    """The result of a call that may be made twice, tried again by `POLICY`."""
    return Retrier(POLICY, is_transient, clock)(call)

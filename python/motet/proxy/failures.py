"""Exceptions become failures with the status that clients get."""

from __future__ import annotations

from collections.abc import Mapping

from motet.dialects.api_request import FieldError
from motet.dialects.replies import ApiFailure
from motet.errors import (
    ApiError,
    BadPayloadError,
    ConfigError,
    ConnectionFailedError,
    ContextOverflowError,
    LimitError,
    MaxCostError,
    MissingKeyError,
    MotetError,
    RenderError,
    RequestTimeoutError,
    ToolError,
)
from motet.proxy.state import StateError

__all__ = ["FAULT", "RequestError", "failure_of"]

FAULT = ApiFailure(500, "the proxy failed; its log has the reason")
"""A fault of the proxy itself."""

_PASSED_ON = frozenset(range(400, 600))
"""Statuses of an upstream that clients get unchanged."""
_STATUSES: Mapping[type[Exception], int] = {
    FieldError: 400,
    RenderError: 400,
    ToolError: 400,
    # The server that has the key in its settings lacks it, and not the client.
    MissingKeyError: 500,
    ConfigError: 400,
    # 429 would make clients try again at once.
    MaxCostError: 402,
    LimitError: 400,
    ConnectionFailedError: 502,
    RequestTimeoutError: 504,
    BadPayloadError: 502,
    StateError: 503,
    MotetError: 502,
}
"""The first class that fits counts."""
_CODES: Mapping[type[Exception], str] = {
    ContextOverflowError: "context_length_exceeded",
    MaxCostError: "budget_exceeded",
}


class RequestError(Exception):
    """A request that the proxy refuses by itself."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.failure = ApiFailure(status, message, param, code)


def failure_of(error: Exception) -> ApiFailure:
    """The failure that an exception means; `FAULT` for one that is not expected."""
    if isinstance(error, RequestError):
        return error.failure
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), None)
    if status is None:
        return FAULT
    upstream_status = error.status if isinstance(error, ApiError) else None
    if upstream_status in _PASSED_ON and upstream_status is not None:
        status = upstream_status
    return ApiFailure(
        status,
        str(error),
        getattr(error, "param", None),
        next((code for kind, code in _CODES.items() if isinstance(error, kind)), getattr(error, "code", None)),
        getattr(error, "retry_after", None),
        error.tokens if isinstance(error, ContextOverflowError) else None,
        error.limit if isinstance(error, ContextOverflowError) else None,
    )

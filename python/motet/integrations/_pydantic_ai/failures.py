"""Errors of the service as pydantic-ai's, so that its retries and fallbacks apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from pydantic_ai import exceptions

from motet import errors

__all__ = ["raise_model_error"]

_HTTP_ERRORS: Sequence[tuple[type[errors.ApiError], Any]] = (
    (errors.ContextOverflowError, exceptions.ModelContextWindowExceededError),
    (errors.InvalidRequestError, exceptions.ModelRequestRejectedError),
    (errors.AuthenticationError, exceptions.ModelAuthenticationError),
    (errors.AccessDeniedError, exceptions.ModelAuthenticationError),
    (errors.QuotaError, exceptions.ModelQuotaExceededError),
    (errors.NotFoundError, exceptions.ModelNotFoundError),
    (errors.RateLimitError, exceptions.ModelRateLimitError),
    (errors.OverloadedError, exceptions.ModelOverloadedError),
    (errors.ServerError, exceptions.ModelServerError),
)


def raise_model_error(model_name: str, error: errors.MotetError) -> NoReturn:
    """Raises pydantic-ai's error for an error of the service, with motet's as its cause; other errors as they are."""
    model_error = _model_error(model_name, error)
    if model_error is None:
        raise error
    raise model_error from error


def _model_error(model_name: str, error: errors.MotetError) -> exceptions.ModelAPIError | None:
    text = str(error)
    if isinstance(error, errors.ApiError) and error.status is not None:
        category = next((category for kind, category in _HTTP_ERRORS if isinstance(error, kind)), None)
        retry_after = getattr(error, "retry_after", None)
        return exceptions.ModelHTTPError.for_category(
            category, status_code=error.status, model_name=model_name, body=text, retry_after=retry_after
        )
    if isinstance(error, errors.RequestTimeoutError):
        return exceptions.ModelTimeoutError(model_name, text)
    if isinstance(error, errors.ConnectionFailedError):
        return exceptions.ModelConnectionError(model_name, text)
    if isinstance(error, errors.StreamTruncatedError):
        return exceptions.ModelConnectionError(model_name, text, phase="read", in_stream=True)
    if isinstance(error, errors.StreamError):
        return exceptions.ModelAPIError(model_name, text, in_stream=True)
    if isinstance(error, errors.ApiError):
        return exceptions.ModelAPIError(model_name, text)
    return None

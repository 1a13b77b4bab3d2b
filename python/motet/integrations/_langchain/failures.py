"""Errors of the service that are LangChain's as well, so that its retries and fallbacks apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from langchain_core import exceptions

from motet import errors
from motet.integrations._joined_errors import raise_joined

__all__ = ["raise_model_error"]

_KINDS: Sequence[tuple[type[errors.MotetError], type[exceptions.ModelError]]] = (
    (errors.ContextOverflowError, exceptions.ContextOverflowError),
    (errors.InvalidRequestError, exceptions.ModelInvalidRequestError),
    (errors.AuthenticationError, exceptions.ModelAuthenticationError),
    (errors.AccessDeniedError, exceptions.ModelPermissionDeniedError),
    (errors.NotFoundError, exceptions.ModelNotFoundError),
    (errors.RateLimitError, exceptions.ModelRateLimitError),
    (errors.ServerError, exceptions.ModelAPIError),
    (errors.RequestTimeoutError, exceptions.ModelTimeoutError),
    (errors.ConnectionFailedError, exceptions.ModelConnectionError),
    (errors.StreamTruncatedError, exceptions.ModelConnectionError),
    (errors.StreamError, exceptions.ModelAPIError),
    (errors.ApiError, exceptions.ModelError),
)


def raise_model_error(error: errors.MotetError) -> NoReturn:
    """Raises an error of both libraries for an error of the service, with its `.partial` and `.cost`; other errors as
    they are."""
    kind = next((kind for own, kind in _KINDS if isinstance(error, own)), None)
    if kind is None:
        raise error
    raise_joined(error, kind)

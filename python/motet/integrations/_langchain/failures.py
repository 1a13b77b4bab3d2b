"""Errors of the service that are LangChain's as well, so that its retries and fallbacks apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from langchain_core import exceptions

from motet import errors

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
    raise _joined(type(error), kind)(str(error), **vars(error)) from error


_classes: dict[tuple[type[errors.MotetError], type[exceptions.ModelError]], type[errors.MotetError]] = {}


def _joined(own: type[errors.MotetError], kind: type[exceptions.ModelError]) -> type[errors.MotetError]:
    """A class that both `except` clauses catch. Its errors can be pickled."""

    def reduce(self: errors.MotetError) -> Any:
        return _rebuild, (own, kind, str(self), vars(self))

    if (own, kind) not in _classes:
        members = {"__doc__": own.__doc__, "__module__": own.__module__, "__reduce__": reduce}
        _classes[own, kind] = type(own.__name__, (own, kind), members)
    return _classes[own, kind]


def _rebuild(
    own: type[errors.MotetError], kind: type[exceptions.ModelError], message: str, known: dict[str, Any]
) -> errors.MotetError:
    return _joined(own, kind)(message, **known)

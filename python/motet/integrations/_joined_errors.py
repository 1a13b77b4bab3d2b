"""Errors that are of motet and of a framework at once, so that the `except` clauses of both catch them."""

from __future__ import annotations

from typing import Any, NoReturn

from motet import errors

__all__ = ["raise_joined"]

_classes: dict[tuple[type[errors.MotetError], type[Exception]], type[errors.MotetError]] = {}


def raise_joined(error: errors.MotetError, kind: type[Exception]) -> NoReturn:
    """Raises the error as one of `kind` as well, with its `.partial` and `.cost`. It can be pickled."""
    raise _joined(type(error), kind)(str(error), **vars(error)) from error


def _joined(own: type[errors.MotetError], kind: type[Exception]) -> type[errors.MotetError]:
    def reduce(self: errors.MotetError) -> Any:
        return _rebuild, (own, kind, str(self), vars(self))

    if (own, kind) not in _classes:
        members = {"__doc__": own.__doc__, "__module__": own.__module__, "__reduce__": reduce}
        _classes[own, kind] = type(own.__name__, (own, kind), members)
    return _classes[own, kind]


def _rebuild(
    own: type[errors.MotetError], kind: type[Exception], message: str, known: dict[str, Any]
) -> errors.MotetError:
    return _joined(own, kind)(message, **known)

"""The text of an error, as users read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import motet

__all__ = ["message_of"]


def message_of(call: Callable[[], Any]) -> str:
    """The error class and message of a failing call."""
    with pytest.raises((motet.MotetError, LookupError, OSError, TypeError, ValueError)) as caught:
        call()
    return f"{type(caught.value).__name__}: {caught.value}"

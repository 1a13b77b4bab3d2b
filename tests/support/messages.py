"""The text of an error, as users read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import motet

__all__ = ["message_of"]


def message_of(call: Callable[[], Any]) -> str:
    """What a call that fails says, with the class of its error."""
    with pytest.raises((motet.MotetError, LookupError, OSError, TypeError, ValueError)) as caught:
        call()
    return f"{type(caught.value).__name__}: {caught.value}"

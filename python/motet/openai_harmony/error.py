"""openai-harmony's exception."""

from __future__ import annotations

from typing import Any

__all__ = ["HarmonyError"]


class HarmonyError(RuntimeError):
    """Tokens that do not follow the format, messages that cannot be rendered, special tokens that are not allowed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _harmony_error, self.args


# As tracebacks of openai-harmony show it.
HarmonyError.__module__ = "openai_harmony"


def _harmony_error(*arguments: object) -> HarmonyError:
    """Unpickles an exception, whose class is not found by its name."""
    return HarmonyError(*arguments)

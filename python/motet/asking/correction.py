"""The message to the model about an invalid output, so that it answers again."""

from __future__ import annotations

from motet.backend import COMPLETE_REASONS
from motet.errors import EmptyOutputError, InvalidJsonError, MotetError, SchemaMismatchError
from motet.message import Message, Text

__all__ = ["correction_of"]

_MAX_PROBLEMS = 5
_MAX_PROBLEM_CHARS = 300


def correction_of(error: MotetError) -> Message | None:
    """The user message that asks again. `None` for errors that another try does not mend: a cut answer is cut again at
    the same limit, and one that the service withheld is withheld again."""
    if getattr(error.partial, "finish", None) not in COMPLETE_REASONS:
        return None
    match error:
        case EmptyOutputError():
            return _user("Your answer is empty. Answer again.")
        case InvalidJsonError() | SchemaMismatchError():
            # The problems and not the message, which quotes the answer: a quoted text would be the user's word.
            problems = "; ".join([problem[:_MAX_PROBLEM_CHARS] for problem in error.problems[:_MAX_PROBLEMS]])
            return _user(f"Your answer does not have the requested form: {problems}. Answer again, in that form only.")
    return None


def _user(text: str) -> Message:
    return Message("user", (Text(text),))

"""What the integrations share: questions as frameworks ask them, and the counts of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from motet.asking.answer import Answer
from motet.atoms.atom import Atom
from motet.atoms.factory import atom as make_atom
from motet.backend import COMPLETE_REASONS
from motet.errors import ToolError, TruncatedOutputError
from motet.message import Message
from motet.schema.output import Output

__all__ = [
    "aask",
    "ask",
    "check_calls",
    "details",
    "is_cut",
    "merge_options",
    "reasoning_tokens",
    "text_output",
    "to_atom",
]


def to_atom(value: Atom | str) -> Atom:
    """The atom itself, or the atom of a slug."""
    return make_atom(value) if isinstance(value, str) else value


def text_output(schema: Mapping[str, Any] | None = None, name: str = "answer") -> Output[Any]:
    """Text, which may be empty: frameworks handle empty answers and read JSON themselves."""
    return Output.of(str | None) if schema is None else Output.of_schema(schema, name)


def merge_options(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of `Atom.ask`; later layers replace earlier ones, but `sampling` and `extra` are joined."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in (layer or {}).items():
            if name in ("sampling", "extra") and name in merged:
                merged[name] = {**merged[name], **value}
            elif value is not None:
                merged[name] = value
    return {"output": text_output(), **merged}


def ask(atom: Atom, messages: list[Message], options: Mapping[str, Any]) -> Answer[Any]:
    """`Atom.ask`, but a cut answer is returned: frameworks have a finish reason for it, and it is paid for."""
    try:
        return atom.ask(messages, **options)
    except TruncatedOutputError as error:
        return _partial_answer(error)


async def aask(atom: Atom, messages: list[Message], options: Mapping[str, Any]) -> Answer[Any]:
    """`ask`, awaited."""
    try:
        return await atom.aask(messages, **options)
    except TruncatedOutputError as error:
        return _partial_answer(error)


def _partial_answer(error: TruncatedOutputError) -> Answer[Any]:
    if not isinstance(error.partial, Answer):
        raise error
    return error.partial


def is_cut(answer: Answer[Any]) -> bool:
    """True if the model did not stop by itself, so that the last call may lack its end."""
    return answer.finish not in COMPLETE_REASONS


def check_calls(answer: Answer[Any], *, allow_text_calls: bool, allow_cut_calls: bool = False) -> Answer[Any]:
    """The answer. Raises an error for calls that a framework should not run, although it runs those that it is given.

    `ToolError` for calls that were read from text, unless `allow_text_calls`: text that quotes a call looks the same.
    `TruncatedOutputError` for calls of a cut answer, unless `allow_cut_calls`: the last may lack its end.
    """
    known = {
        "raw": answer.text,
        "partial": answer,
        "usage": answer.usage,
        "cost": answer.cost,
        "request_id": answer.request_id,
    }
    text_calls = [call.name for call in answer.calls if not call.trusted]
    if text_calls and not allow_text_calls:
        raise ToolError(
            f"calls that are read from text are not passed on: {', '.join(text_calls)}; use lane='ids' or lane='chat' "
            "if the server supports it, or allow_text_calls=True",
            **known,
        )
    if answer.calls and is_cut(answer) and not allow_cut_calls:
        raise TruncatedOutputError(
            f"the answer was cut (finish_reason {answer.finish!r}); its calls are not used, it is in .partial; "
            "give more max_tokens",
            **known,
        )
    return answer


def details(answer: Answer[Any]) -> dict[str, Any]:
    """What frameworks have no field of their own for, as JSON: `finish_reason`, `lane`, `cost` in US dollars as text,
    `tokens_by_channel`, `repairs` as codes, `notes`. Unknown values are absent."""
    values: dict[str, Any] = {
        "finish_reason": answer.finish,
        "lane": answer.lane,
        "cost": _text(answer.cost),
        "tokens_by_channel": _dict(answer.metrics.size.tokens.by_channel),
        "repairs": [repair.code for repair in answer.completion.repairs],
        "notes": list(answer.notes),
    }
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def reasoning_tokens(answer: Answer[Any]) -> int | None:
    """Tokens of the reasoning: the service's count, else motet's. `None`: unknown."""
    if answer.usage is not None and answer.usage.reasoning is not None:
        return answer.usage.reasoning
    return (answer.metrics.size.tokens.by_channel or {}).get("analysis")


def _text(money: Decimal | None) -> str | None:
    return None if money is None else f"{money:f}"


def _dict(counts: Mapping[str, int] | None) -> dict[str, int] | None:
    return None if counts is None else dict(counts)

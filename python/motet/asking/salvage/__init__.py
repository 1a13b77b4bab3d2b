"""Calls and typed outputs that a model wrote elsewhere than the format has them: read where there is one reading.

A pure function over a completion. It changes nothing unless a call or an output was asked for and is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from motet._core import name_of
from motet.asking.salvage.prose import without_span
from motet.asking.salvage.texts import Reading, read_calls, read_value
from motet.asking.salvage.tools import Call, Calls, ToolSet
from motet.message import Completion, Message, Part, Preamble, Reasoning, Repair, Text, ToolCall
from motet.schema.conformance import conforms

__all__ = ["CALL_MESSAGE", "OUTPUT_MESSAGE", "salvage"]

CALL_MESSAGE = "required call written elsewhere; read as the call of the only tool that it fits, and not trusted"
OUTPUT_MESSAGE = "value of the output elsewhere or with other text; read as the only value that fits the schema"


def salvage(
    completion: Completion,
    *,
    tools: Sequence[Any] = (),
    tool_choice: str | Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    turn: int = 0,
) -> Completion:
    """The completion with the call or the value that was asked for and is written elsewhere; else the same object.

    - `tools`, `tool_choice`: as they were sent. With `"required"`, or the name of a tool, a completion without a call
      is searched for one: in the answer, then in the preamble, then in the reasoning.
    - `schema`: JSON Schema of the answer. A completion without a call whose answer is not JSON of it is searched for
      such a value in the same places; without tools, the arguments of an invented call count, too.
    - `turn`: how many messages came before; it is part of the ids of calls.

    Nothing is read where two readings differ, where a value fits two tools, or where the prose says that it may be an
    example or a refusal. Calls are not `trusted`; `repairs` has each with the code `salvaged_call` or
    `salvaged_output`, the text that it was read from, and as its position the byte offset in that part of the message.
    Frames, tokens and stop stay those of the model.
    """
    choice = _choice(tool_choice)
    if choice is not None and tools and not completion.tool_calls:
        return _with_calls(completion, ToolSet(tools, None if choice == "required" else name_of(choice)), turn)
    if schema is not None and (not completion.tool_calls or not tools):
        return _with_value(completion, schema)
    return completion


def _choice(choice: str | Mapping[str, Any] | None) -> str | None:
    """`"required"` or the name of the tool to call. `None` if no call is asked for."""
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        name = function.get("name") if isinstance(function, Mapping) else None
        choice = name if isinstance(name, str) else "required" if choice.get("type") == "any" else None
    return None if choice in ("auto", "none") else choice


_PLACES: tuple[type[Text | Preamble | Reasoning], ...] = (Text, Preamble, Reasoning)


def _with_calls(completion: Completion, tools: ToolSet, turn: int) -> Completion:
    for kind in _PLACES:
        place = _place(completion.message, kind)
        reading = read_calls(place, tools, is_thought=kind is Reasoning)
        if reading is True:
            break
        if isinstance(reading, Reading):
            calls = [_tool_call(call, index, turn) for index, call in enumerate(reading.value)]
            parts = _remaining(completion.message, kind, reading, tools.names)
            return _changed(completion, (*parts, *calls), "salvaged_call", CALL_MESSAGE, place, reading)
    return completion


def _with_value(completion: Completion, schema: Mapping[str, Any]) -> Completion:
    text = _place(completion.message, Text)
    if _is_value(text, schema):
        return completion
    if completion.tool_calls:
        return _with_arguments(completion, schema)
    for kind in _PLACES:
        place = _place(completion.message, kind)
        reading = read_value(place, schema, is_thought=kind is Reasoning)
        if reading is True:
            break
        if isinstance(reading, Reading):
            parts = [part for part in completion.message.content if not isinstance(part, Text)]
            value = Text(json.dumps(reading.value, ensure_ascii=False))
            return _changed(completion, (*parts, value), "salvaged_output", OUTPUT_MESSAGE, place, reading)
    return completion


def _with_arguments(completion: Completion, schema: Mapping[str, Any]) -> Completion:
    """The completion with the arguments of its only call as the answer."""
    if len(completion.tool_calls) != 1 or completion.text.strip():
        return completion
    arguments = completion.tool_calls[0].arguments
    if not _is_value(arguments, schema):
        return completion
    parts = [Text(arguments) if isinstance(part, ToolCall) else part for part in completion.message.content]
    reading = Reading(None, 0, len(arguments))
    return _changed(completion, parts, "salvaged_output", OUTPUT_MESSAGE, arguments, reading)


def _is_value(text: str, schema: Mapping[str, Any]) -> bool:
    try:
        return conforms(json.loads(text), schema)
    except (ValueError, RecursionError):
        return False


def _place(message: Message, kind: type[Text | Preamble | Reasoning]) -> str:
    """The text of all parts of a kind."""
    return "\n".join([part.text for part in message.content if isinstance(part, kind)])


def _remaining(message: Message, kind: type[Part], reading: Reading[Calls], names: Iterable[str]) -> list[Part]:
    """The parts before the calls: the reasoning as it is, the rest of the place, and answers as preambles."""
    parts: list[Part] = [part for part in message.content if isinstance(part, Reasoning)]
    for other in (Preamble, Text):
        text = _place(message, other)
        prose = without_span(text, reading.start, reading.end, names) if other is kind else text
        parts += [Preamble(prose)] if prose.strip() else []
    return parts


def _tool_call(call: Call, index: int, turn: int) -> ToolCall:
    digest = hashlib.sha256(json.dumps([turn, index, call.name, call.arguments]).encode()).hexdigest()
    return ToolCall(call.name, call.arguments, f"call_{digest[:16]}", trusted=False)


def _changed(
    completion: Completion, parts: Iterable[Part], code: str, text: str, place: str, reading: Reading[Any]
) -> Completion:
    position = len(place[: reading.start].encode("utf-8", "surrogatepass"))
    repair = Repair(code, position, place[reading.start : reading.end], text)
    message = replace(completion.message, content=tuple(parts))
    return replace(completion, message=message, repairs=(*completion.repairs, repair))

"""The chat lane's requests: messages as the chat dicts that a service accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from motet.backend import Request
from motet.dialects.acceptable import ToolNames, make_acceptable
from motet.dialects.chat import to_chat
from motet.errors import ConfigError
from motet.message import DeveloperContent, Message
from motet.schema.builtin_functions import BUILTIN_FUNCTIONS, functions_of
from motet.together.services import Service

__all__ = ["body", "drop_preambles", "with_builtin_functions"]

_REASONING_KEYS = {"reasoning", "reasoning_content"}


def with_builtin_functions(request: Request) -> tuple[Request, tuple[str, ...]]:
    """The request with the functions of its built-in tools among its tools, because the server writes the system
    message; and a note that says so. Raises `ConfigError` for `python`, which takes code instead of arguments."""
    if not request.builtin_tools:
        return request, ()
    if "python" in request.builtin_tools:
        raise ConfigError("the chat lane cannot offer python, which takes code; use lane='ids' or 'text'")
    names = [name for builtin in request.builtin_tools for name in functions_of(builtin)]
    functions = [
        {"type": "function", "function": {"name": name, "description": text, "parameters": parameters}}
        for name, (text, parameters) in BUILTIN_FUNCTIONS.items()
        if name in names
    ]
    note = f"the chat lane offers {', '.join(names)} as functions: the server describes them otherwise than in training"
    return replace(request, tools=(*request.tools, *functions), builtin_tools=()), (note,)


def body(request: Request, service: Service, sent_reasoning_key: str | None) -> tuple[dict[str, Any], bool]:
    """The body of a request to `/v1/chat/completions`, and True if the schema stands in the prompt.

    `sent_reasoning_key`: the key in which the service sent reasoning before, `None` if it has not sent any.
    """
    messages = list(request.messages)
    # Servers that constrain the answer to a schema cannot let the model call a tool instead.
    schema_in_prompt = request.schema is not None and bool(request.tools)
    if schema_in_prompt:
        messages = _with_schema(messages, request)
    reasoning_key: str | None = service.reasoning_key
    if reasoning_key == "auto":
        reasoning_key = sent_reasoning_key or "reasoning"
    names = ToolNames(request.tools)
    chat_dicts = _chat_dicts(messages, names, reasoning_key, service)
    body: dict[str, Any] = {"model": request.model, "messages": chat_dicts, **request.sampling}
    if request.tools:
        body["tools"] = names.offered()
    if request.tool_choice is not None:
        body["tool_choice"] = names.chosen(request.tool_choice)
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.schema is not None and not schema_in_prompt:
        body["response_format"] = _response_format(request.schema, request.schema_name, service)
    return body, schema_in_prompt


def _response_format(schema: Mapping[str, Any], name: str, service: Service) -> dict[str, Any]:
    form: dict[str, Any] = {"name": name, "schema": schema}
    if service.strict_schemas is not None:
        form["strict"] = service.strict_schemas
    elif _is_strict(schema):
        form["strict"] = True
    return {"type": "json_schema", "json_schema": form}


def _is_strict(schema: object) -> bool:
    """True if each object of a schema is closed and requires all its properties, as OpenAI's strict mode demands."""
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        is_object = schema.get("type") == "object" or isinstance(properties, Mapping)
        if is_object and schema.get("additionalProperties") is not False:
            return False
        if isinstance(properties, Mapping) and set(properties) != set(schema.get("required") or ()):
            return False
        return all(map(_is_strict, schema.values()))
    return all(map(_is_strict, schema)) if isinstance(schema, list) else True


def _with_schema(messages: list[Message], request: Request) -> list[Message]:
    """The messages with the schema of the answer in the instructions, in the form of gpt-oss's training data."""
    schema = json.dumps(request.schema, ensure_ascii=False)
    rule = "Answer, when no tool is needed, with nothing but JSON of this schema:"
    text = f"# Response Formats\n\n## {request.schema_name}\n\n{rule}\n\n{schema}"
    first = messages[0] if messages else None
    if first is not None and first.role == "developer" and isinstance(first.content[0], DeveloperContent):
        part = first.content[0]
        instructions = replace(part, instructions=f"{part.instructions}\n\n{text}")
        return [replace(first, content=(instructions, *first.content[1:])), *messages[1:]]
    return [Message("developer", (DeveloperContent(text),)), *messages]


def _chat_dicts(
    messages: Sequence[Message], names: ToolNames, reasoning_key: str | None, service: Service
) -> list[dict[str, Any]]:
    """Chat dicts as services accept them: no `developer`, numbered calls, no `null` content, and reasoning within the
    running turn only, under the service's key."""
    # Servers take tools beside the messages only.
    shapes = [{key: value for key, value in shape.items() if key != "tools"} for shape in to_chat(messages)]
    last_end = max([i for i, shape in enumerate(shapes) if _ends_turn(shape)], default=-1)
    for index, shape in enumerate(shapes):
        make_acceptable(shape, names)
        if shape["role"] == "developer":
            shape["role"] = "system"
        reasoning = shape.pop("reasoning", None)
        if reasoning is not None and reasoning_key is not None and index > last_end:
            shape[reasoning_key] = reasoning
        if shape.get("content") is None:
            shape.pop("content", None)
        if shape["role"] == "assistant" and "content" not in shape and "tool_calls" not in shape:
            shape["content"] = ""
        for number, call in enumerate(shape.get("tool_calls", ())):
            if service.numbers_calls:
                call["index"] = number
            if not service.dotted_names:
                call["function"]["name"] = call["function"]["name"].replace(".", "_")
    return shapes


def drop_preambles(chat_dicts: Sequence[dict[str, Any]]) -> int:
    """Removes text beside reasoning and calls, in place. Returns the number of texts."""
    holders = [shape for shape in chat_dicts if shape.get("tool_calls") and _REASONING_KEYS & set(shape)]
    return len([shape.pop("content") for shape in holders if "content" in shape])


def _ends_turn(shape: Mapping[str, Any]) -> bool:
    """True if the messages before it belong to finished turns: it is a user's message or an answer."""
    is_answer = shape["role"] == "assistant" and bool(shape.get("content")) and "tool_calls" not in shape
    return shape["role"] == "user" or is_answer

"""OpenAI chat dicts become messages, and messages become chat dicts. Pure functions; nothing is rendered here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from motet.errors import RenderError
from motet.message import (
    DeveloperContent,
    Message,
    Part,
    Preamble,
    Reasoning,
    SystemContent,
    Text,
    ToolCall,
    ToolResult,
)

__all__ = ["to_chat", "to_messages"]

_REASONING_KEYS = ("reasoning", "reasoning_content", "thinking")


def to_messages(items: Iterable[Message | Mapping[str, Any]], *, unnamed_results: bool = False) -> list[Message]:
    """Messages, from `Message`s and chat dicts in any mixture.

    A chat dict has `role` and `content`, and may have `reasoning` (or `reasoning_content`, or `thinking`),
    `tool_calls`, `tool_call_id` and `name`; other keys are left alone. A system message becomes the developer's
    instructions, as gpt-oss knows them. The dicts of `Message.to_dict` are read too. `unnamed_results=True` reads
    results that have neither `tool_call_id` nor `name`, which only the chat template can place.
    Raises `RenderError` that says which key of which message is wrong.
    """
    if isinstance(items, str | bytes | Mapping | Message) or not isinstance(items, Iterable):
        raise TypeError(f"messages must be a list of messages, not {type(items).__name__}")
    return [
        item if isinstance(item, Message) else _from_chat(item, JsonPath(index, unnamed_results))
        for index, item in enumerate(items)
    ]


class JsonPath:
    """A position in the input, for errors. `unnamed_results`: results without a name are allowed."""

    def __init__(self, index: int, unnamed_results: bool) -> None:
        self.index = index
        self.unnamed_results = unnamed_results

    def error(self, key: str, problem: str) -> RenderError:
        where = f"messages[{self.index}]" + (f"[{key!r}]" if key else "")
        return RenderError(f"{where} {problem}", message_index=self.index)

    def wrong(self, key: str, wanted: str, value: object) -> RenderError:
        return self.error(key, f"must be {wanted}, not {type(value).__name__}")


def _from_chat(item: object, path: JsonPath) -> Message:
    if not isinstance(item, Mapping):
        raise TypeError(f"messages[{path.index}] must be a Message or a dict, not {type(item).__name__}")
    role = item.get("role")
    if _is_typed(item.get("content")):
        try:
            return Message.from_dict(item)
        except RenderError as error:
            raise RenderError(f"messages[{path.index}]: {error}", message_index=path.index) from error
        except ValueError as error:
            raise path.error("content", f"is {error}") from error
    match role:
        case "system" | "developer":
            instructions = _text(item.get("content"), path)
            return Message("developer", (DeveloperContent(instructions, item.get("tools")),))
        case "user":
            return Message("user", tuple(_user_parts(item.get("content"), path)), _optional(item, "name", path))
        case "assistant":
            return Message("assistant", tuple(_assistant_parts(item, path)))
        case "tool" | "function":
            return Message("tool", (_tool_result(item, path),))
    known = "system, developer, user, assistant, tool or function"
    raise path.error("role", f"must be {known}, not {role!r}")


_TYPED = {"reasoning", "preamble", "tool_call", "tool_result", "system_content", "developer_content"}


def _is_typed(content: object) -> bool:
    """Whether content is a list of the parts that `Message.to_dict` writes. `text` parts alone are OpenAI's, too."""
    parts = content if isinstance(content, list) else []
    kinds = [part.get("type") for part in parts if isinstance(part, Mapping)]
    return any(isinstance(kind, str) and kind in _TYPED for kind in kinds)


def _optional(item: Mapping[str, Any], key: str, path: JsonPath) -> str | None:
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise path.wrong(key, "str", value)
    return value


def _user_parts(content: object, path: JsonPath) -> Iterator[Text]:
    if isinstance(content, str):
        yield Text(content)
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, str):
                yield Text(part)
            elif isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
                yield Text(part["text"])
            else:
                kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
                raise path.error("content", f"has a part {kind!r}: gpt-oss reads text only")
    else:
        raise path.wrong("content", "str or a list of text parts", content)


def _text(content: object, path: JsonPath) -> str:
    return "".join([part.text for part in _user_parts(content, path)])


def _assistant_parts(item: Mapping[str, Any], path: JsonPath) -> Iterator[Part]:
    reasoning = next((item[key] for key in _REASONING_KEYS if item.get(key)), None)
    if reasoning is not None:
        if not isinstance(reasoning, str):
            raise path.wrong("reasoning", "str", reasoning)
        yield Reasoning(reasoning)
    calls = item.get("tool_calls") or ()
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        raise path.wrong("tool_calls", "a list", calls)
    content = item.get("content")
    if content is not None and not isinstance(content, str | list):
        raise path.wrong("content", "str or a list of text parts", content)
    if content is None and not calls and reasoning is None:
        raise path.error("content", "is missing: an assistant message needs content, reasoning or tool_calls")
    if content:
        text = _text(content, path)
        # Beside calls it is what the model said on the way; else it is the answer.
        yield Preamble(text) if calls else Text(text)
    elif content == "" and not calls and reasoning is None:
        yield Text("")
    for index, call in enumerate(calls):
        yield _tool_call(call, f"tool_calls[{index}]", path)


def _tool_call(call: object, key: str, path: JsonPath) -> ToolCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping):
        raise path.error(key, 'must be {"id": ..., "function": {"name": ..., "arguments": ...}}')
    name, arguments, identifier = function.get("name"), function.get("arguments"), call.get("id")
    if not isinstance(name, str):
        raise path.wrong(f"{key}.function.name", "str", name)
    if identifier is not None and not isinstance(identifier, str):
        raise path.wrong(f"{key}.id", "str", identifier)
    if arguments is None:
        # Some servers write a call without arguments so.
        arguments = "{}"
    if not isinstance(arguments, str):
        arguments = _json(arguments, f"{key}.function.arguments", path)
    return ToolCall(name.removeprefix("functions."), arguments, identifier or "")


def _tool_result(item: Mapping[str, Any], path: JsonPath) -> ToolResult:
    content, call = item.get("content"), item.get("tool_call_id") or ""
    if not isinstance(call, str):
        raise path.wrong("tool_call_id", "str", call)
    name = _optional(item, "name", path)
    if not call and name is None and not path.unnamed_results:
        raise path.error("", "is a tool's result and needs a tool_call_id or a name")
    if content is None:
        raise path.error("content", "is missing: a tool's result needs content, be it the empty string")
    if isinstance(content, list) and content and all(_is_chat_part(part) for part in content):
        content = _text(content, path)
    is_json = not isinstance(content, str)
    if is_json:
        content = _json(content, "content", path)
    return ToolResult(call, content, name.removeprefix("functions.") if name else None, is_json=is_json)


def _is_chat_part(part: object) -> bool:
    """Whether an item of a list is a part of OpenAI's chat format; other lists are JSON that a tool gave."""
    return isinstance(part, Mapping) and part.get("type") in ("text", "image_url", "input_audio", "file", "refusal")


def _json(value: object, key: str, path: JsonPath) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise path.error(key, f"is no JSON: {error}") from error


def to_chat(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Chat dicts, as OpenAI-compatible servers take them; reasoning is under `reasoning`.

    A message with tool results gives a dict for each of them. What the assistant says on the way and what it answers
    are one `content` there: read back, it is an answer, or a preamble if there are calls.
    """
    return [shape for message in messages for shape in _chat_dicts(message)]


def _chat_dicts(message: Message) -> Iterator[dict[str, Any]]:
    results = [part for part in message.content if isinstance(part, ToolResult)]
    said: list[Part] = [part for part in message.content if not isinstance(part, ToolResult)]
    if said:
        yield _chat_dict(message, said)
    for result in results:
        shape = {"role": "tool", "tool_call_id": result.tool_call_id, "content": result.content}
        yield shape if result.name is None else {**shape, "name": result.name}


def _chat_dict(message: Message, said: list[Part]) -> dict[str, Any]:
    texts = [
        part.instructions if isinstance(part, DeveloperContent) else part.text
        for part in said
        if isinstance(part, Text | Preamble | SystemContent | DeveloperContent)
    ]
    shape: dict[str, Any] = {"role": message.role, "content": "".join(texts) if texts else None}
    if message.name is not None:
        shape["name"] = message.name
    if message.reasoning:
        shape["reasoning"] = message.reasoning
    if message.tool_calls:
        shape["tool_calls"] = [{**call.to_dict(), "type": "function"} for call in message.tool_calls]
    return shape

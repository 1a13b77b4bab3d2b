"""Chat dicts become messages, and messages become chat dicts. Pure functions; nothing is rendered here.

Read are dicts and SDK objects of the Chat API with the keys that other servers add, and, by their own modules, items of
the Responses API and messages of Anthropic's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from motet import _core
from motet.dialects import anthropic, responses
from motet.dialects._reading import MAPPINGS, JsonPath, as_dict, joined_text, read_call, read_texts, to_json
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
_MESSAGE = {Message}


def to_messages(items: Iterable[Message | Mapping[str, Any]], *, unnamed_results: bool = False) -> list[Message]:
    """Messages, from `Message`s, dicts and SDK objects in any mixture.

    - Chat dicts: `role` and `content`, and for an assistant `reasoning` (or `reasoning_content`, or `thinking`),
      `refusal`, `tool_calls`, `function_call`; for a result `tool_call_id`, `name` or `tool_name`. Other keys are
      ignored. A system message becomes the developer's instructions, as gpt-oss is trained on.
    - Items of the Responses API: messages, `reasoning`, `function_call`, `function_call_output`. Consecutive items of
      an assistant are one message; reasoning that is encrypted is left out.
    - Messages with Anthropic's blocks: `thinking`, `tool_use`, `tool_result`. A user's message with results and text
      becomes a message for each.
    - The dicts of `Message.to_dict`.
    - Objects with `model_dump`, as the SDKs of these APIs return.

    `unnamed_results=True` reads results that have neither an id nor a name, which only the chat template can place.
    Raises `RenderError` that says which key of which message is wrong.
    """
    if not isinstance(items, list) and (
        isinstance(items, str | bytes | Mapping | Message) or not isinstance(items, Iterable)
    ):
        raise TypeError(f"messages must be a list of messages, not {type(items).__name__}")
    items = list(items)
    if set(map(type, items)) <= _MESSAGE:
        # Conversations that grow are rendered again and again: the checks below cost more than their rendering.
        return cast("list[Message]", items)
    if (plain := _core.plain_messages(items, unnamed_results)) is not None:
        return plain
    return _read_items(items, unnamed_results)


def _read_items(items: Iterable[object], unnamed_results: bool) -> list[Message]:
    """The messages of items of every kind. `_core.plain_messages` reads a part of them, in the same way but faster."""
    messages: list[Message] = []
    turn: list[Message] = []
    for index, item in enumerate(items):
        shape = item if isinstance(item, Message) else as_dict(item)
        path = JsonPath(index, unnamed_results)
        if isinstance(shape, MAPPINGS) and responses.is_item(shape) and not anthropic.has_blocks(shape):
            message = responses.read_item(shape, path)
            if message is not None and message.role == "assistant":
                turn.append(message)
                continue
            read = [message] if message is not None else []
        else:
            read = [shape] if isinstance(shape, Message) else _read_dict(shape, path)
        if turn and read:
            messages.append(responses.join_turn(turn))
            turn = []
        messages += read
    return [*messages, responses.join_turn(turn)] if turn else messages


def _read_dict(shape: object, path: JsonPath) -> list[Message]:
    if not isinstance(shape, MAPPINGS):
        raise TypeError(f"messages[{path.index}] must be a Message or a dict, not {type(shape).__name__}")
    if anthropic.has_blocks(shape):
        return anthropic.read_message(shape, path)
    if _is_typed(shape.get("content")):
        try:
            return [Message.from_dict(shape)]
        except RenderError as error:
            raise RenderError(f"messages[{path.index}]: {error}", message_index=path.index) from error
        except ValueError as error:
            raise path.error("content", f"is invalid: {error}") from error
    return [_read_chat(shape, path)]


def _read_chat(shape: Mapping[str, Any], path: JsonPath) -> Message:
    match shape.get("role"):
        case "system" | "developer":
            content = shape.get("content")
            instructions = "" if content is None else joined_text(content, path)
            # Nothing is rendered of a message without parts: the published template leaves empty instructions out.
            is_empty = not instructions and not shape.get("tools")
            parts = () if is_empty else (DeveloperContent(instructions, shape.get("tools")),)
            return Message("developer", parts)
        case "user":
            return Message("user", _user_parts(shape.get("content"), path), _optional(shape, "name", path))
        case "assistant":
            return Message("assistant", tuple(_assistant_parts(shape, path)))
        case "tool" | "function":
            return Message("tool", (_tool_result(shape, path),))
    roles = "system, developer, user, assistant, tool or function"
    raise path.error("role", f"must be {roles}, not {shape.get('role')!r}")


_TYPED = {"reasoning", "preamble", "tool_call", "tool_result", "system_content", "developer_content"}


def _is_typed(content: object) -> bool:
    """Whether content is a list of the parts that `Message.to_dict` writes. `text` parts alone are OpenAI's, too."""
    if not isinstance(content, list):
        return False
    kinds = [part.get("type") for part in content if isinstance(part, MAPPINGS)]
    return any(isinstance(kind, str) and kind in _TYPED for kind in kinds)


def _optional(shape: Mapping[str, Any], key: str, path: JsonPath) -> str | None:
    value = shape.get(key)
    if value is not None and not isinstance(value, str):
        raise path.wrong(key, "str", value)
    return value


def _user_parts(content: object, path: JsonPath) -> tuple[Text, ...]:
    if isinstance(content, str):
        return (Text(content),)
    # An empty list means the same as an empty text: the user is silent, and the message keeps its place.
    return tuple(map(Text, read_texts(content, path))) or (Text(""),)


def _assistant_parts(shape: Mapping[str, Any], path: JsonPath) -> Iterator[Part]:
    reasoning = next((shape[key] for key in _REASONING_KEYS if shape.get(key)), None)
    if reasoning is not None:
        if not isinstance(reasoning, str):
            raise path.wrong("reasoning", "str", reasoning)
        yield Reasoning(reasoning)
    calls = list(_tool_calls(shape, path))
    content = shape.get("content")
    if content is None and shape.get("refusal") is not None:
        content = [{"type": "refusal", "refusal": shape["refusal"]}]
    if content is None and not calls and reasoning is None:
        raise path.error("content", "is missing: an assistant message needs content, reasoning or tool_calls")
    text = "" if content is None else joined_text(content, path)
    if text:
        # Beside calls it is what the model said on the way; else it is the answer.
        yield Preamble(text) if calls else Text(text)
    elif not calls and reasoning is None:
        yield Text("")
    yield from calls


def _tool_calls(shape: Mapping[str, Any], path: JsonPath) -> Iterator[ToolCall]:
    calls = shape.get("tool_calls") or ()
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        raise path.wrong("tool_calls", "a list", calls)
    for index, item in enumerate(calls):
        call, key = as_dict(item), f"tool_calls[{index}]"
        function = as_dict(call.get("function")) if isinstance(call, MAPPINGS) else None
        if isinstance(call, MAPPINGS) and isinstance(function, MAPPINGS):
            yield read_call(function.get("name"), function.get("arguments"), call.get("id"), f"{key}.function", path)
        elif isinstance(call, MAPPINGS) and isinstance(custom := as_dict(call.get("custom")), MAPPINGS):
            yield read_call(custom.get("name"), custom.get("input"), call.get("id"), f"{key}.custom", path)
        else:
            raise path.error(key, 'must be {"id": ..., "function": {"name": ..., "arguments": ...}}')
    legacy = as_dict(shape.get("function_call"))
    if legacy is not None and not calls:
        if not isinstance(legacy, Mapping):
            raise path.wrong("function_call", "a dict", legacy)
        yield read_call(legacy.get("name"), legacy.get("arguments"), None, "function_call", path)


def _tool_result(shape: Mapping[str, Any], path: JsonPath) -> ToolResult:
    content, call = shape.get("content"), shape.get("tool_call_id") or ""
    if not isinstance(call, str):
        raise path.wrong("tool_call_id", "str", call)
    name = _optional(shape, "name", path) or _optional(shape, "tool_name", path)
    if not call and name is None and not path.unnamed_results:
        raise path.error("", "is a tool's result and needs a tool_call_id or a name")
    if content is None:
        raise path.error("content", "is missing: a tool's result needs content, be it the empty string")
    if isinstance(content, list) and content and all(_is_chat_part(part) for part in content):
        content = joined_text(content, path)
    is_json = not isinstance(content, str)
    text = to_json(content, "content", path) if is_json else content
    return ToolResult(call, text, _core.name_of(name) if name else None, is_json=is_json)


def _is_chat_part(part: object) -> bool:
    """Whether an item of a list is a part of OpenAI's chat format; other lists are JSON that a tool gave."""
    part = as_dict(part)
    kinds = ("text", "input_text", "image_url", "input_audio", "file", "refusal")
    return isinstance(part, Mapping) and part.get("type") in kinds


def to_chat(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Chat dicts, as OpenAI-compatible servers take them; reasoning is under `reasoning`.

    A message with tool results gives a dict for each of them. What the assistant says on the way and what it answers
    are one `content` there: read back, it is an answer, or a preamble if there are calls. The tools of a developer
    message are under `tools`, where `to_messages` reads them; servers take them beside the messages.
    """
    return [shape for message in messages for shape in _chat_dicts(message)]


def _chat_dicts(message: Message) -> Iterator[dict[str, Any]]:
    results = [part for part in message.content if isinstance(part, ToolResult)]
    parts: list[Part] = [part for part in message.content if not isinstance(part, ToolResult)]
    if parts:
        yield _chat_dict(message, parts)
    for result in results:
        shape = {"role": "tool", "tool_call_id": result.tool_call_id, "content": result.content}
        yield shape if result.name is None else {**shape, "name": result.name}


def _chat_dict(message: Message, parts: list[Part]) -> dict[str, Any]:
    texts = [
        part.instructions if isinstance(part, DeveloperContent) else part.text
        for part in parts
        if isinstance(part, Text | Preamble | SystemContent | DeveloperContent)
    ]
    shape: dict[str, Any] = {"role": message.role, "content": "".join(texts) if texts else None}
    if message.name is not None:
        shape["name"] = message.name
    if tools := [tool for part in parts if isinstance(part, DeveloperContent) for tool in part.tools or ()]:
        shape["tools"] = tools
    if message.reasoning:
        shape["reasoning"] = message.reasoning
    if message.tool_calls:
        shape["tool_calls"] = [{**call.to_dict(), "type": "function"} for call in message.tool_calls]
    return shape

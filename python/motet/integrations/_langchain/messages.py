"""LangChain's messages as motet's, and answers as LangChain's messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall as LangChainCall
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

from motet._core import Event
from motet.asking.answer import Answer
from motet.dialects._reading import with_preambles
from motet.errors import InvalidArgumentsError, RenderError
from motet.integrations import _asking
from motet.message import DeveloperContent, Message, Part, Preamble, Reasoning, Role, Text, ToolCall, ToolResult

__all__ = ["to_ai_message", "to_chunk", "to_last_chunk", "to_messages"]

PROVIDER = "motet"


def to_messages(messages: Sequence[BaseMessage]) -> list[Message]:
    """The conversation as motet's messages. Raises `RenderError` for a message that is not text."""
    return [_to_message(message, index) for index, message in enumerate(messages)]


def _to_message(message: BaseMessage, index: int) -> Message:
    match message:
        case SystemMessage():
            return Message("developer", (DeveloperContent(_text(message, index)),))
        case HumanMessage():
            return Message("user", (Text(_text(message, index)),), message.name)
        case AIMessage():
            return Message("assistant", with_preambles(list(_assistant_parts(message, index))))
        case ToolMessage():
            return Message("tool", (ToolResult(message.tool_call_id, _text(message, index), message.name),))
        case FunctionMessage():
            return Message("tool", (ToolResult("", _text(message, index), message.name),))
        case ChatMessage(role="user" | "assistant" | "developer" as role):
            return _chat_message(role, _text(message, index))
    raise RenderError(f"messages[{index}] is a {type(message).__name__}, which has no place here", message_index=index)


def _chat_message(role: Role, text: str) -> Message:
    return Message(role, (DeveloperContent(text) if role == "developer" else Text(text),))


def _text(message: BaseMessage, index: int) -> str:
    content = message.content
    return content if isinstance(content, str) else "".join(_texts(content, index))


def _texts(content: Iterable[str | Mapping[str, Any]], index: int) -> Iterator[str]:
    for block in content:
        text = block if isinstance(block, str) else block.get("text")
        if not isinstance(text, str):
            kind = block.get("type") if isinstance(block, Mapping) else type(block).__name__
            raise RenderError(
                f"messages[{index}] has a block {kind!r}: motet's models read text only", message_index=index
            )
        yield text


def _assistant_parts(message: AIMessage, index: int) -> Iterator[Part]:
    calls: list[Part] = []
    for block in message.content_blocks:
        match block:
            case {"type": "reasoning", "reasoning": str(text)}:
                yield Reasoning(text)
            case {"type": "text", "text": str(text)}:
                if text:
                    yield Text(text)
            case {"type": "tool_call", "name": str(name), "args": arguments}:
                calls.append(ToolCall(name, json.dumps(arguments, ensure_ascii=False), block.get("id") or ""))
            case {"type": "invalid_tool_call" | "tool_call_chunk"}:
                pass
            case {"type": "non_standard", "value": {"type": "tool_use"}}:
                # Anthropic's form of a call, which the message has in `tool_calls` as well.
                pass
            case _:
                raise RenderError(
                    f"messages[{index}] has a block {block.get('type')!r}: motet's models read text only",
                    message_index=index,
                )
    # A chunk has its calls, valid or not, in these lists as well; their blocks are left out above.
    known = {call.id for call in calls if isinstance(call, ToolCall)}
    calls += [
        ToolCall(call["name"], json.dumps(call["args"], ensure_ascii=False), call["id"] or "")
        for call in message.tool_calls
        if (call["id"] or "") not in known
    ]
    calls += [ToolCall(call["name"] or "", call["args"] or "", call["id"] or "") for call in message.invalid_tool_calls]
    yield from calls


def to_ai_message(answer: Answer[Any]) -> AIMessage:
    """An answer. Reasoning is in `additional_kwargs["reasoning_content"]`, of which LangChain makes a content block."""
    calls: list[LangChainCall] = []
    invalid_calls: list[InvalidToolCall] = []
    for call in answer.calls:
        try:
            arguments = call.args()
            if not isinstance(arguments, dict):
                raise InvalidArgumentsError("the arguments are not an object", raw=call.arguments)
            calls.append(tool_call(name=call.name, args=arguments, id=call.id))
        except InvalidArgumentsError as error:
            invalid_calls.append(invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=str(error)))
    return AIMessage(
        content="".join([part.text for part in answer.message.content if isinstance(part, Preamble | Text)]),
        additional_kwargs={"reasoning_content": answer.reasoning} if answer.reasoning else {},
        tool_calls=calls,
        invalid_tool_calls=invalid_calls,
        usage_metadata=_usage(answer),
        response_metadata=_metadata(answer),
    )


def to_chunk(event: Event) -> AIMessageChunk | None:
    """The chunk of an event. `None`: the event adds nothing to the message."""
    if event.kind == "tool_call" and event.type in ("start", "delta"):
        begins = event.type == "start"
        name, call_id = (event.name, event.call_id) if begins else (None, None)
        chunk = tool_call_chunk(name=name, args=event.delta, id=call_id, index=event.index)
        return AIMessageChunk(content="", tool_call_chunks=[chunk])
    if event.type != "delta":
        return None
    if event.kind == "reasoning":
        return AIMessageChunk(content="", additional_kwargs={"reasoning_content": event.delta})
    return AIMessageChunk(content=event.delta) if event.kind in ("text", "preamble") else None


def to_last_chunk(answer: Answer[Any]) -> AIMessageChunk:
    """The chunk with the usage and the metadata of a streamed answer."""
    return AIMessageChunk(
        content="", usage_metadata=_usage(answer), response_metadata=_metadata(answer), chunk_position="last"
    )


def _usage(answer: Answer[Any]) -> UsageMetadata | None:
    tokens = answer.metrics.size.tokens
    if tokens.input is None or tokens.output is None:
        return None
    usage = UsageMetadata(
        input_tokens=tokens.input, output_tokens=tokens.output, total_tokens=tokens.input + tokens.output
    )
    if tokens.cache.get is not None:
        usage["input_token_details"] = {"cache_read": tokens.cache.get}
    reasoning = _asking.reasoning_tokens(answer)
    if reasoning is not None:
        usage["output_token_details"] = {"reasoning": reasoning}
    return usage


def _metadata(answer: Answer[Any]) -> dict[str, Any]:
    metadata = {"model_name": answer.model, "model_provider": PROVIDER, "id": answer.request_id}
    return {**{name: value for name, value in metadata.items() if value is not None}, **_asking.details(answer)}

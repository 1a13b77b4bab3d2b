"""What pydantic-ai asks, as messages and options of an atom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    CachePoint,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings, ToolOrOutput
from pydantic_ai.tools import ToolDefinition

from motet.dialects._reading import with_preambles
from motet.integrations import _asking
from motet.message import DeveloperContent, Message, Part, Reasoning, Text, ToolCall, ToolResult

__all__ = ["to_messages", "to_options"]

_EFFORTS: Mapping[Any, Any] = {
    False: "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""pydantic-ai's levels as reasoning efforts. `True` is the service's default."""

_SAMPLING = ("top_k", "presence_penalty", "frequency_penalty", "logit_bias")


def to_options(settings: ModelSettings | None, parameters: ModelRequestParameters) -> dict[str, Any]:
    given = cast("dict[str, Any]", dict(settings or {}))
    sampling = {name: given[name] for name in _SAMPLING if given.get(name) is not None}
    if given.get("stop_sequences"):
        sampling["stop"] = given["stop_sequences"]
    timeout = given.get("timeout")
    if timeout is not None and not isinstance(timeout, int | float):
        raise UserError(f"timeout must be seconds for the whole answer, not {type(timeout).__name__}")
    tools, tool_choice = _tools(given.get("tool_choice"), parameters)
    options: dict[str, Any] = {
        **{name: given.get(name) for name in ("max_tokens", "temperature", "top_p", "seed")},
        "timeout": timeout,
        "reasoning_effort": _EFFORTS.get(parameters.thinking),
        "tools": [_tool(tool) for tool in tools],
        "tool_choice": tool_choice,
        "sampling": sampling,
        "extra": given.get("extra_body"),
    }
    schema = parameters.output_object
    if schema is not None and parameters.output_mode == "native":
        options["output"] = _asking.text_output(schema.json_schema, schema.name or "answer")
    return _asking.merge_options(options, given.get("motet_options"))


def _tools(choice: Any, parameters: ModelRequestParameters) -> tuple[Sequence[ToolDefinition], Any]:
    """The tools of a request, and `tool_choice`. Only a choice of the caller is forced upon the service."""
    tools = list(parameters.declared_tool_defs.values())
    outputs = {tool.name for tool in parameters.output_tools}
    if choice in ("none", []):
        return [tool for tool in tools if tool.name in outputs], None
    if isinstance(choice, ToolOrOutput):
        names = {*choice.function_tools, *outputs}
        return [tool for tool in tools if tool.name in names], None
    if isinstance(choice, list):
        tools = [tool for tool in tools if tool.name in choice]
        names_one = len(tools) == 1
        return tools, {"type": "function", "function": {"name": tools[0].name}} if names_one else "required"
    return tools, "required" if choice == "required" else None


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters_json_schema}
    return {"type": "function", "function": function}


def to_messages(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> list[Message]:
    """The conversation as motet's messages, system prompts and instructions first."""
    system: list[str] = []
    conversation: list[Message] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            parts = with_preambles(list(_assistant_parts(message)))
            if parts:
                conversation.append(Message("assistant", parts))
            continue
        system += [part.content for part in message.parts if isinstance(part, SystemPromptPart)]
        conversation += _request_messages(message)
    system += [part.content for part in _instructions(messages, parameters) if part.content]
    developer = [Message("developer", (DeveloperContent("\n\n".join(system)),))] if system else []
    return [*developer, *conversation]


def _instructions(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> Sequence[Any]:
    if parameters.instruction_parts is not None:
        return parameters.instruction_parts
    # A direct request has them in its last message.
    last = next((message for message in reversed(messages) if isinstance(message, ModelRequest)), None)
    return [SystemPromptPart(last.instructions)] if last is not None and last.instructions else []


def _request_messages(request: ModelRequest) -> Iterator[Message]:
    results: list[ToolResult] = []
    others: list[Message] = []
    for part in request.parts:
        match part:
            case ToolReturnPart():
                results.append(ToolResult(part.tool_call_id, part.model_response_str(), part.tool_name))
            case RetryPromptPart(tool_name=str(name)):
                results.append(ToolResult(part.tool_call_id, part.model_response(), name))
            case RetryPromptPart():
                others.append(Message("user", (Text(part.model_response()),)))
            case UserPromptPart():
                others.append(Message("user", tuple(_user_texts(part))))
            case SystemPromptPart():
                pass
            case _:
                raise UserError(
                    f"a {type(part).__name__} cannot be sent; run the model through an agent, which prepares messages"
                )
    if results:
        yield Message("tool", tuple(results))
    yield from others


def _user_texts(part: UserPromptPart) -> Iterator[Text]:
    if isinstance(part.content, str):
        yield Text(part.content)
        return
    for item in part.content:
        match item:
            case str():
                yield Text(item)
            case TextContent():
                yield Text(item.content)
            case CachePoint():
                pass
            case _:
                raise UserError(f"a user prompt has a {type(item).__name__}: motet's models read text only")


def _assistant_parts(response: ModelResponse) -> Iterator[Part]:
    for part in response.parts:
        match part:
            case ThinkingPart(content=str(text)) if text:
                yield Reasoning(text)
            case TextPart(content=str(text)) if text:
                yield Text(text)
            case ToolCallPart():
                yield ToolCall(part.tool_name, part.args_as_json_str(), part.tool_call_id)

"""Requests to Anthropic's Messages API.

The fields are those of the API reference: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motet.dialects.api_request import (
    ApiRequest,
    Check,
    FieldError,
    boolean,
    choice,
    effort,
    foreign_tool,
    ignored,
    mapping,
    nested,
    number,
    read_fields,
    read_messages,
    read_tools,
    refused,
    text,
    texts,
    whole,
)
from motet.dialects.chat_requests import check_names
from motet.dialects.sealed import unseal
from motet.message import DeveloperContent, Message

__all__ = ["read_anthropic_request"]

LOW_BUDGET_TOKENS, MEDIUM_BUDGET_TOKENS = 4_000, 16_000
"""Of `thinking.budget_tokens`: up to these the effort is low, and medium. gpt-oss takes no number of tokens."""

BILLING_HEADER = "x-anthropic-billing-header:"
"""Claude Code's first block of the system prompt begins so (anthropics/claude-code, issue 68900). It is for Anthropic's
billing, and differs in each request: no server could use its cache of the prompt's beginning again."""

_TOOL: Mapping[str, Check] = {
    "type": choice("custom"),
    "name": text,
    "description": text,
    "input_schema": mapping,
    "strict": boolean,
    "eager_input_streaming": boolean,
    "defer_loading": refused("all tools are in the prompt", False),
    "allowed_callers": refused("the model calls tools itself", ["direct"]),
    "input_examples": refused("put examples into the description"),
    "cache_control": ignored,
}
_THINKING: Mapping[str, Check] = {
    "type": choice("enabled", "disabled", "adaptive"),
    "budget_tokens": whole(1),
    "display": choice("summarized", "omitted"),
}
_OUTPUT: Mapping[str, Check] = {"effort": effort, "format": mapping}
_CHOICE: Mapping[str, Check] = {
    "type": choice("auto", "any", "tool", "none"),
    "name": text,
    "disable_parallel_tool_use": boolean,
}


def _tools(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise FieldError(f"{path} must be an array of tools", path)
    for index, tool in enumerate(value):
        where = f"{path}[{index}]"
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if kind not in (None, "custom"):
            raise FieldError(foreign_tool(f"{where}.type", ("custom",), kind), f"{where}.type")
        read_fields(tool, _TOOL, ("name", "input_schema"), where)
    return value


def _messages(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise FieldError(f"{path} must be an array of at least one message", path)
    for index, message in enumerate(value):
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "assistant", "system"):
            raise FieldError(f"{path}[{index}].role must be 'user' or 'assistant'", f"{path}[{index}].role")
    if value[-1]["role"] == "assistant":
        raise FieldError(f"{path} must end with the user: an answer cannot be begun for the model", path)
    return value


def _system(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise FieldError(f"{path} must be a string or an array of text blocks", path)
    lines = []
    for index, block in enumerate(value):
        if not isinstance(block, Mapping) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise FieldError(f"{path}[{index}] must be a text block", f"{path}[{index}]")
        if not block["text"].startswith(BILLING_HEADER):
            lines.append(block["text"])
    return "\n\n".join(lines)


def _context_management(value: Any, path: str) -> Any:
    edits = value.get("edits", []) if isinstance(value, Mapping) else None
    if not isinstance(edits, list):
        raise FieldError(f"{path} must be an object with edits", path)
    for index, edit in enumerate(edits):
        kind = edit.get("type") if isinstance(edit, Mapping) else None
        # Prompts leave out the thinking of earlier turns anyway.
        if not str(kind).startswith("clear_thinking_"):
            where = f"{path}.edits[{index}].type"
            raise FieldError(f"{where} is not supported: a conversation is sent whole, and {kind!r:.60} cuts it", where)
    return value


def _thread(value: Any, path: str) -> Any:
    # The SDK's tool runner asks for a thread first, and goes on without one after this code.
    raise FieldError(f"{path} is not supported: send the whole conversation", path, "thread_unsupported_request")


_COUNTED: Mapping[str, Check] = {
    "model": text,
    "messages": _messages,
    "system": _system,
    "thinking": nested(_THINKING, "type"),
    "output_config": nested(_OUTPUT),
    "tools": _tools,
    "tool_choice": nested(_CHOICE, "type"),
    # The upstream caches prefixes by itself.
    "cache_control": ignored,
    "speed": choice("standard", "fast"),
    "context_management": _context_management,
    "mcp_servers": refused("no tools run here", []),
    # Names for the client's own records.
    "user_profile_id": ignored,
    "workspace_id": ignored,
}
_CHECKS: Mapping[str, Check] = {
    **_COUNTED,
    "max_tokens": whole(1),
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "top_k": whole(0),
    "stop_sequences": texts,
    "stream": boolean,
    "service_tier": text,
    "container": refused("no code runs here"),
    "thread": _thread,
    "inference_geo": refused("the upstream decides where it runs"),
    "metadata": ignored,
    # Asks why a cache was missed.
    "diagnostics": ignored,
}


def read_anthropic_request(body: Any, *, counts_only: bool = False) -> ApiRequest:
    """The request of a body for `/v1/messages`, or with `counts_only` for `/v1/messages/count_tokens`.

    Raises `FieldError`.
    """
    required = ("model", "messages") if counts_only else ("model", "messages", "max_tokens")
    fields = read_fields(body, _COUNTED if counts_only else _CHECKS, required)
    tools = read_tools(fields.get("tools", ()), "tools")
    chosen = fields.get("tool_choice", {})
    system = fields.get("system")
    front = () if not system else (Message("developer", (DeveloperContent(system),)),)
    messages = read_messages([_with_thinking(message) for message in fields["messages"]], "messages")
    return ApiRequest(
        model=fields["model"],
        messages=(*front, *messages),
        tools=tools,
        tool_choice=_choice(chosen, tools),
        single_call=chosen.get("disable_parallel_tool_use", False),
        schema=_schema(fields.get("output_config", {}).get("format")),
        reasoning_effort=_effort(fields),
        max_tokens=fields.get("max_tokens"),
        sampling={name: fields[name] for name in ("temperature", "top_p", "top_k") if name in fields},
        stops=tuple(fields.get("stop_sequences", ())),
        stream=fields.get("stream", False),
        settings=fields,
    )


def _with_thinking(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message with the text of thinking blocks that came with their signature alone."""
    content = message.get("content")
    if message["role"] != "assistant" or not isinstance(content, list):
        return message
    return {**message, "content": [_unsealed(block) for block in content]}


def _unsealed(block: Any) -> Any:
    if isinstance(block, Mapping) and block.get("type") == "thinking" and not block.get("thinking"):
        return {**block, "thinking": unseal(block.get("signature")) or ""}
    return block


def _choice(chosen: Mapping[str, Any], tools: tuple[Mapping[str, Any], ...]) -> Any:
    match chosen.get("type"):
        case "any":
            return "required"
        case "tool":
            name = chosen.get("name")
            check_names([name], tools, "tool_choice.name")
            return {"type": "function", "function": {"name": name}}
    return chosen.get("type")


def _schema(value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    match value:
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
    raise FieldError(
        f"output_config.format must have the type 'json_schema' and a schema: {value!r:.80}", "output_config.format"
    )


def _effort(fields: Mapping[str, Any]) -> Any:
    """The effort: of `output_config`, else by the budget of `thinking`. `None`: the upstream's default."""
    thinking, config = fields.get("thinking", {}), fields.get("output_config", {})
    if "effort" in config:
        return config["effort"]
    if thinking.get("type") == "disabled":
        return "low"
    budget = thinking.get("budget_tokens")
    if budget is None:
        return None
    return "low" if budget <= LOW_BUDGET_TOKENS else "medium" if budget <= MEDIUM_BUDGET_TOKENS else "high"

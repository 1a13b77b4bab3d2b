"""Checks of requests: what a service refuses, and the message that it refuses it with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from motet.testing.server.faces import Face
from motet.testing.server.grammar_fields import grammar_problems

__all__ = ["problem"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _FunctionCall(_Strict):
    name: str
    arguments: str


class _ToolCall(_Strict):
    id: str
    type: Literal["function"]
    function: _FunctionCall
    # Together's schema demands it, as a number; OpenAI's has none.
    index: int | float


class _System(_Strict):
    role: Literal["system"]
    content: str
    name: str | None = None


class _User(_Strict):
    role: Literal["user"]
    content: str | list[dict[str, Any]]
    name: str | None = None


class _Assistant(_Strict):
    role: Literal["assistant"]
    # May be absent, but not null: Together's schema marks it as nullable in the way of another version of OpenAPI.
    content: str = ""
    name: str = ""
    reasoning: str = ""
    reasoning_content: str = ""
    tool_calls: Annotated[list[_ToolCall], Field(min_length=1)] = []


class _Tool(_Strict):
    role: Literal["tool"]
    content: str
    tool_call_id: str
    name: str = ""


class _Function(_Strict):
    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool = False


class _ToolSpec(_Strict):
    type: Literal["function"]
    function: _Function


class _Schema(_Strict):
    name: str
    description: str = ""
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool = False


class _TextFormat(_Strict):
    type: Literal["text", "json_object"]


class _SchemaFormat(_Strict):
    type: Literal["json_schema"]
    json_schema: _Schema


class _StreamOptions(_Strict):
    include_usage: bool


class _Sampling(_Strict):
    model: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float | int, Field(ge=0)] | None = None
    top_p: float | int | None = None
    top_k: int | None = None
    min_p: float | int | None = None
    n: Literal[1] | None = None
    seed: int | None = None
    stop: list[str] | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool | None = None
    logit_bias: dict[str, float | int] | None = None
    frequency_penalty: float | int | None = None
    presence_penalty: float | int | None = None
    repetition_penalty: float | int | None = None
    safety_model: str | None = None


class _Chat(_Sampling):
    messages: Annotated[
        list[Annotated[_System | _User | _Assistant | _Tool, Field(discriminator="role")]], Field(min_length=1)
    ]
    tools: Annotated[list[_ToolSpec], Field(min_length=1)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: Annotated[_TextFormat | _SchemaFormat, Field(discriminator="type")] | None = None
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    reasoning: dict[str, bool] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    context_length_exceeded_behavior: Literal["truncate", "error"] | None = None
    compliance: Literal["hipaa"] | None = None


class _Completions(_Sampling):
    prompt: str


class _LenientChat(BaseModel):
    """What all servers demand of a chat request; they ignore unknown keys."""

    model: str
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    tools: list[dict[str, Any]] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    n: int | None = None


class _LenientCompletions(BaseModel):
    model: str
    prompt: str | list[int]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    n: int | None = None


class _VllmParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    # Of vLLM's `SamplingParams`, which refuses other keys.
    max_tokens: Annotated[int, Field(ge=1)] | None = 16
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    logprobs: Annotated[int, Field(ge=-1)] | None = None
    skip_special_tokens: bool = True
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] | None = None
    structured_outputs: dict[str, Any] | None = None


class _VllmGenerate(BaseModel):
    token_ids: Annotated[list[int], Field(min_length=1)]
    sampling_params: _VllmParameters
    model: str | None = None
    stream: bool = False


class _SglangGenerate(BaseModel):
    input_ids: list[int]
    sampling_params: dict[str, Any] | None = None
    return_logprob: bool | None = None
    top_logprobs_num: int | None = None
    stream: bool = False


_GROQ_KEYS = {
    *(
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "stream",
        "n",
        "seed",
    ),
    *("stream_options", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "user"),
    *("reasoning_format", "include_reasoning", "service_tier", "frequency_penalty", "presence_penalty"),
}
_GROQ_MESSAGE_KEYS = {"role", "content", "name", "tool_calls", "tool_call_id"}


def problem(endpoint: Literal["chat", "completions", "generate"], body: object, face: Face) -> str | None:
    """The message with which a service refuses a request's body. `None`: it accepts it."""
    try:
        _model(endpoint, face).model_validate(body)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors(include_url=False)]
        return "; ".join(problems[:5])
    assert isinstance(body, Mapping)
    problems = list(_problems(endpoint, body, face))
    return problems[0] if problems else None


def _model(endpoint: str, face: Face) -> type[BaseModel]:
    if endpoint == "generate":
        return _SglangGenerate if face.name == "sglang" else _VllmGenerate
    if endpoint == "chat":
        return _Chat if face.name == "together" else _LenientChat
    return _Completions if face.name == "together" else _LenientCompletions


def _problems(endpoint: str, body: Mapping[str, Any], face: Face) -> Iterator[str]:
    if endpoint == "completions":
        for key in face.refuses_null:
            if key in body and body[key] is None:
                yield f"{key}: Input should be a valid number, input: None"
        if not face.id_prompts and isinstance(body["prompt"], list):
            yield "prompt: Input should be a valid string"
        yield from grammar_problems(body, face)
        return
    if endpoint == "generate" and face.name == "vllm":
        yield from grammar_problems(body["sampling_params"], face)
    if endpoint != "chat" or face.name == "together":
        return
    if face.unknown_keys == "refuse":
        for key in sorted(set(body) - _GROQ_KEYS):
            yield f"property '{key}' is unsupported"
    for tool in body.get("tools") or ():
        name = str((tool.get("function") or {}).get("name"))
        if not face.accepts_name(name):
            yield f"tools: function name {name!r} must match {face.tool_name}"
    for place, message in enumerate(body["messages"]):
        yield from _message_problems(place, message, face)
    schema = ((body.get("response_format") or {}).get("json_schema")) or {}
    if face.strict_schemas and schema.get("strict") and not _is_strict(schema.get("schema")):
        yield "response_format.json_schema: strict requires additionalProperties false and all properties in required"


def _message_problems(place: int, message: Mapping[str, Any], face: Face) -> Iterator[str]:
    where = f"'messages.{place}'"
    if face.unknown_keys == "refuse":
        for key in sorted(set(message) - _GROQ_MESSAGE_KEYS - face.history_keys):
            rule = f"{where} : property '{key}' is unsupported"
            yield f"{where} : for 'role:{message.get('role')}' the following must be satisfied[({rule})]"
    calls = message.get("tool_calls") or ()
    if face.has_template and calls and message.get("content") and message.get(face.reasoning_key):
        yield f"{where}: cannot pass both content and thinking in an assistant message with tool calls"
    if message.get("content") is None and not calls:
        yield f"{where}: content is missing"
    for call in calls:
        function = call.get("function") or {}
        if not face.accepts_name(str(function.get("name"))):
            yield f"{where}: function name {function.get('name')!r} must match {face.tool_name}"
        if face.unknown_keys == "refuse" and "index" in call:
            yield f"{where}: property 'index' is unsupported"
        if face.parses_arguments and not _is_object(function.get("arguments")):
            yield f"{where}: invalid tool call arguments: {function.get('arguments')!r:.80}"


def _is_object(arguments: object) -> bool:
    try:
        return isinstance(json.loads(arguments), dict) if isinstance(arguments, str) else isinstance(arguments, dict)
    except ValueError:
        return False


def _is_strict(schema: object) -> bool:
    if isinstance(schema, Mapping):
        if schema.get("type") == "object" and (
            schema.get("additionalProperties") is not False
            or set(schema.get("properties") or ()) != set(schema.get("required") or ())
        ):
            return False
        return all(map(_is_strict, schema.values()))
    return all(map(_is_strict, schema)) if isinstance(schema, list) else True

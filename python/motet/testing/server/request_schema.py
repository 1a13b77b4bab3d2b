"""What a request may hold, as the service documents it: a wrong request is refused, by name, instead of half obeyed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = ["check"]


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
    # Absent beside calls, but never null: the schema's way to say nullable is of another version than itself.
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


class _RawCompletions(_Sampling):
    """vLLM's and SGLang's own keys."""

    prompt: str | list[int]
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    return_token_ids: bool = False
    stop_token_ids: list[int] | None = None
    include_stop_str_in_output: bool = False
    no_stop_trim: bool = False


def check(endpoint: Literal["chat", "completions"], body: object, style: str) -> str | None:
    """What is wrong with a request's body. `None`: nothing."""
    raw = _Completions if style == "together" else _RawCompletions
    model: type[_Sampling] = _Chat if endpoint == "chat" else raw
    try:
        model.model_validate(body)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
        return "; ".join(found[:5])
    return None

"""Atoms as models of llm, the command and the library: `llm -m together/gpt-oss/120b 'Why is the sky blue?'`.

llm finds this module by its entry point. The models are those of the catalogue, and of `MOTET_CATALOG`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Literal, cast

import llm
from llm.parts import ReasoningPart, StreamEvent, TextPart, ToolCallPart, ToolResultPart
from pydantic import Field

from motet import catalog, errors
from motet._core import Event
from motet.asking.answer import Answer
from motet.atoms.atom import Atom
from motet.atoms.factory import atom as make_atom
from motet.dialects._reading import with_preambles
from motet.integrations import _asking
from motet.integrations._joined_errors import raise_joined
from motet.message import DeveloperContent, Message, Part, Reasoning, Text, ToolCall, ToolResult

__all__ = ["AsyncMotetModel", "MotetModel", "register_models"]


class Options(llm.Options):
    """Options of a prompt: `-o max_cost 0.01`."""

    base_url: str | None = Field(default=None, description="Address of another server that has the model")
    lane: Literal["auto", "chat", "ids", "text"] | None = Field(default=None, description="How the answer travels")
    reasoning_effort: Literal["low", "medium", "high"] | None = Field(default=None, description="Depth of reasoning")
    max_tokens: int | None = Field(default=None, description="Tokens of the answer, reasoning included")
    max_reasoning_tokens: int | None = Field(default=None, description="Tokens of the reasoning")
    max_cost: str | None = Field(default=None, description="US dollars; a higher cost ends the answer")
    timeout: float | None = Field(default=None, description="Seconds for the whole answer, retries included")
    temperature: float | None = Field(default=None, description="Sampling temperature, from 0")
    top_p: float | None = Field(default=None, description="Nucleus sampling, from 0 to 1")
    seed: int | None = Field(default=None, description="Seed of the sampling")
    allow_text_calls: bool = Field(default=False, description="Run tool calls that were read from text")


class _Shared:
    """What the sync and the async model have in common."""

    needs_key: str | None = "together"
    key_env_var: str | None = "TOGETHER_API_KEY"
    can_stream = True
    supports_schema = True
    supports_tools = True

    def __init__(self, slug: str) -> None:
        self.model_id = slug

    def get_key(self, explicit_key: str | None = None) -> str | None:
        """The key of `--key`, of `llm keys set together` or of the environment. `None`: motet says if one is needed."""
        return llm.get_key(explicit_key=explicit_key, key_alias=self.needs_key, env_var=self.key_env_var)

    def _atom(self, prompt: llm.Prompt, key: str | None) -> Atom:
        service: dict[str, Any] = {"api_key": key, "base_url": cast("Options", prompt.options).base_url}
        return make_atom(self.model_id, **{name: value for name, value in service.items() if value})


class MotetModel(_Shared, llm.KeyModel):
    """An atom as a model of llm."""

    class Options(Options):
        """The options of a prompt."""

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None,
        key: str | None,
    ) -> Iterator[str | StreamEvent]:
        """The events of the answer; then `response` has its usage, calls and details."""
        with self._atom(prompt, key) as atom, atom.stream(_messages(prompt), **_options(prompt)) as answer_stream:
            try:
                for event in answer_stream:
                    if (stream_event := _stream_event(event)) is not None:
                        yield stream_event
            except errors.TruncatedOutputError:
                pass
            except errors.MotetError as error:
                _fail(error, response)
            _finish(answer_stream.answer, prompt, response)


class AsyncMotetModel(_Shared, llm.AsyncKeyModel):
    """`MotetModel`, awaited."""

    class Options(Options):
        """The options of a prompt."""

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None,
        key: str | None,
    ) -> AsyncGenerator[str | StreamEvent, None]:
        """The events of the answer; then `response` has its usage, calls and details."""
        async with (
            self._atom(prompt, key) as atom,
            atom.astream(_messages(prompt), **_options(prompt)) as answer_stream,
        ):
            try:
                async for event in answer_stream:
                    if (stream_event := _stream_event(event)) is not None:
                        yield stream_event
            except errors.TruncatedOutputError:
                pass
            except errors.MotetError as error:
                _fail(error, response)
            _finish(answer_stream.answer, prompt, response)


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Registers the models of the catalogue that a service has."""
    for spec in catalog.specs():
        if spec.model is not None:
            register(MotetModel(spec.slug), AsyncMotetModel(spec.slug))


def _options(prompt: llm.Prompt) -> dict[str, Any]:
    options = prompt.options.model_dump(exclude={"base_url", "allow_text_calls"})
    tools = [_tool(tool) for tool in prompt.tools if isinstance(tool, llm.Tool)]
    schema = cast("dict[str, Any] | None", prompt.schema)
    output = _asking.text_output(schema, schema.get("title") or "answer") if schema else None
    return _asking.merge_options(options, {"tools": tools, "output": output})


def _tool(tool: llm.Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
    return {"type": "function", "function": function}


def _messages(prompt: llm.Prompt) -> list[Message]:
    return [message for item in prompt.messages for message in _read(item)]


def _read(message: llm.Message) -> Iterator[Message]:
    parts = list(_parts(message))
    system = "\n\n".join([part.instructions for part in parts if isinstance(part, DeveloperContent)])
    if system:
        yield Message("developer", (DeveloperContent(system),))
    if results := tuple([part for part in parts if isinstance(part, ToolResult)]):
        yield Message("tool", results)
    others = [part for part in parts if not isinstance(part, DeveloperContent | ToolResult)]
    if others and message.role == "assistant":
        yield Message("assistant", with_preambles(others))
    elif others:
        yield Message("user", tuple(others))


def _parts(message: llm.Message) -> Iterator[Part]:
    for part in message.parts:
        match part:
            case TextPart() if message.role == "system":
                yield DeveloperContent(part.text)
            case TextPart():
                yield Text(part.text)
            case ReasoningPart():
                if part.text:
                    yield Reasoning(part.text)
            case ToolCallPart():
                yield ToolCall(part.name, json.dumps(part.arguments, ensure_ascii=False), part.tool_call_id or "")
            case ToolResultPart():
                yield ToolResult(part.tool_call_id or "", part.output, part.name or None)
            case _:
                raise errors.RenderError(f"a message has a {type(part).__name__}: motet's models read text only")


def _stream_event(event: Event) -> StreamEvent | None:
    """llm's event. `None`: the event adds nothing."""
    if event.kind == "tool_call" and event.type in ("start", "delta"):
        begins = event.type == "start"
        text = (event.name or "") if begins else event.delta
        kind: Any = "tool_call_name" if begins else "tool_call_args"
        return StreamEvent(type=kind, chunk=text, tool_call_id=event.call_id)
    if event.type != "delta":
        return None
    if event.kind == "reasoning":
        return StreamEvent(type="reasoning", chunk=event.delta)
    return StreamEvent(type="text", chunk=event.delta) if event.kind in ("text", "preamble") else None


def _finish(answer: Answer[Any], prompt: llm.Prompt, response: Any) -> None:
    _record(answer, response)
    try:
        _asking.check_calls(answer, allow_text_calls=cast("Options", prompt.options).allow_text_calls)
    except errors.MotetError as error:
        raise_joined(error, llm.ModelError)
    for call in answer.calls:
        response.add_tool_call(llm.ToolCall(call.name, _arguments(call), call.id))


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments. What is not a JSON object is under `invalid_arguments`, so that the call fails and the model
    reads why."""
    try:
        arguments = call.args()
    except errors.InvalidArgumentsError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"invalid_arguments": call.arguments}


def _record(answer: Answer[Any], response: Any) -> None:
    tokens = answer.metrics.size.tokens
    counts = {"reasoning_tokens": _asking.reasoning_tokens(answer), "cached_tokens": tokens.cache.get}
    response.set_usage(
        input=tokens.input,
        output=tokens.output,
        details={name: count for name, count in counts.items() if count is not None},
    )
    response.response_json = {"id": answer.request_id, "model": answer.model, **_asking.details(answer)}
    if answer.model is not None:
        response.set_resolved_model(answer.model)


def _fail(error: errors.MotetError, response: Any) -> None:
    if isinstance(error.partial, Answer):
        _record(error.partial, response)
    raise_joined(error, llm.ModelError)

"""Atoms as models of LiteLLM: after `register()`, `litellm.completion("motet/together/gpt-oss/120b", ...)`."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

import litellm
from litellm import exceptions
from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import Choices, Delta, ModelResponse, ModelResponseStream, StreamingChoices, Usage
from litellm.types.utils import Message as LiteLLMMessage

from motet import catalog, errors
from motet._core import Event
from motet.asking.answer import Answer
from motet.atoms.atom import Atom
from motet.atoms.factory import atom as make_atom
from motet.dialects.chat import to_messages
from motet.integrations import _asking
from motet.message import Preamble, Text

__all__ = ["MotetLLM", "register"]

PROVIDER = "motet"


class MotetLLM(CustomLLM):
    """Atoms as a custom provider of LiteLLM.

    - `atoms`: atoms of the caller, by the name behind `motet/`. They are kept open; the caller closes them. Any other
      name is the slug of an atom, which is made for the request with its `api_base` and `api_key`.
    - `allow_text_calls`: passes on tool calls that were read from text, which are not trusted.

    Besides OpenAI's parameters, a request may have the options of `Atom.ask`: `max_cost`, `max_reasoning_tokens`, ...
    The message has `reasoning_content`, and `provider_specific_fields` with `lane`, `cost`, `tokens_by_channel`,
    `repairs` and `notes`; LiteLLM's own `response_cost` is motet's. Errors are LiteLLM's, with motet's as their cause.
    """

    def __init__(self, atoms: Mapping[str, Atom] | None = None, *, allow_text_calls: bool = False) -> None:
        super().__init__()
        self._atoms = dict(atoms or {})
        self._allow_text_calls = allow_text_calls

    def completion(  # type: ignore[override]
        self, model: str, messages: list[Any], *, model_response: ModelResponse, **call: Any
    ) -> ModelResponse:
        """The answer to a conversation of chat dicts."""
        try:
            with self._atom(model, call) as atom:
                answer = _asking.ask(atom, to_messages(messages), _options(call))
                return _response(model_response, self._checked(answer))
        except errors.MotetError as error:
            _raise(model, error)

    async def acompletion(  # type: ignore[override]
        self, model: str, messages: list[Any], *, model_response: ModelResponse, **call: Any
    ) -> ModelResponse:
        """`completion`, awaited."""
        try:
            async with self._atom(model, call) as atom:
                answer = await _asking.aask(atom, to_messages(messages), _options(call))
                return _response(model_response, self._checked(answer))
        except errors.MotetError as error:
            _raise(model, error)

    def streaming(  # type: ignore[override]
        self, model: str, messages: list[Any], **call: Any
    ) -> Iterator[ModelResponseStream]:
        """The chunks of the answer."""
        chunks = _Chunks(model)
        try:
            with self._atom(model, call) as atom, atom.stream(to_messages(messages), **_options(call)) as stream:
                with contextlib.suppress(errors.TruncatedOutputError):
                    for event in stream:
                        if (chunk := chunks.of_event(event)) is not None:
                            yield chunk
                usage, end = chunks.of_end(self._checked(stream.answer))
                yield usage
                yield end
        except errors.MotetError as error:
            _raise(model, error)

    async def astreaming(  # type: ignore[override]
        self, model: str, messages: list[Any], **call: Any
    ) -> AsyncIterator[ModelResponseStream]:
        """`streaming`, awaited."""
        chunks = _Chunks(model)
        try:
            async with self._atom(model, call) as atom, atom.astream(to_messages(messages), **_options(call)) as stream:
                with contextlib.suppress(errors.TruncatedOutputError):
                    async for event in stream:
                        if (chunk := chunks.of_event(event)) is not None:
                            yield chunk
                usage, end = chunks.of_end(self._checked(stream.answer))
                yield usage
                yield end
        except errors.MotetError as error:
            _raise(model, error)

    def _atom(self, model: str, call: Mapping[str, Any]) -> Atom | _KeptOpen:
        if model in self._atoms:
            return _KeptOpen(self._atoms[model])
        service = {"base_url": call.get("api_base"), "api_key": call.get("api_key")}
        given: dict[str, Any] = {name: value for name, value in service.items() if value}
        return make_atom(model, **given)

    def _checked(self, answer: Answer[Any]) -> Answer[Any]:
        # Clients of the OpenAI API read `finish_reason`, which says that calls may be cut.
        return _asking.check_calls(answer, allow_text_calls=self._allow_text_calls, allow_cut_calls=True)


def register(handler: MotetLLM | None = None) -> MotetLLM:
    """Makes `motet/...` a provider of LiteLLM, in place of an earlier handler, and tells LiteLLM the prices of the
    catalogue. Returns the handler."""
    handler = handler or MotetLLM()
    others = [item for item in litellm.custom_provider_map if item["provider"] != PROVIDER]
    litellm.custom_provider_map = [*others, {"provider": PROVIDER, "custom_handler": handler}]
    litellm.utils.custom_llm_setup()  # type: ignore[no-untyped-call]
    litellm.register_model({f"{PROVIDER}/{spec.slug}": _model_info(spec) for spec in catalog.specs()})
    return handler


def _model_info(spec: catalog.Spec) -> dict[str, Any]:
    """LiteLLM's entry of a model, with US dollars for a token."""
    price = spec.cost.cash
    info = {
        "litellm_provider": PROVIDER,
        "mode": "chat",
        "max_input_tokens": spec.gain.size.context.tokens,
        "input_cost_per_token": _per_token(price.input),
        "output_cost_per_token": _per_token(price.output),
        "cache_read_input_token_cost": _per_token(price.input if price.cached is None else price.cached),
        "supports_function_calling": True,
        "supports_response_schema": True,
        "supports_reasoning": spec.harmony,
    }
    return {name: value for name, value in info.items() if value is not None}


def _per_token(price: Decimal | None) -> float | None:
    return None if price is None else float(price.scaleb(-6))


class _KeptOpen:
    """A context of an atom that does not close it."""

    def __init__(self, atom: Atom) -> None:
        self._open = atom

    def __enter__(self) -> Atom:
        return self._open

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Atom:
        return self._open

    async def __aexit__(self, *_: object) -> None: ...


# Requests.

_SAMPLING = ("top_k", "min_p", "stop", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias")
_IGNORED = frozenset({"stream", "stream_options", "user", "parallel_tool_calls", "max_retries", "extra_headers", "n"})
"""Parameters for the proxy or for the transport, which motet sets by itself. `n` may be 1 only."""


def _options(call: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(call.get("optional_params") or {})
    if given.get("n") not in (None, 1):
        raise errors.ConfigError(f"n must be 1: a reply has one answer: {given['n']!r}")
    options = {name: value for name, value in given.items() if name not in (*_SAMPLING, *_IGNORED)}
    options["sampling"] = {name: given[name] for name in _SAMPLING if given.get(name) is not None}
    options["extra"] = options.pop("extra_body", None)
    if options.pop("max_completion_tokens", None) is not None:
        options["max_tokens"] = given["max_completion_tokens"]
    timeout = call.get("timeout")
    if isinstance(timeout, int | float):
        options.setdefault("timeout", timeout)
    response_format = options.pop("response_format", None)
    if isinstance(response_format, Mapping) and response_format.get("type") == "json_schema":
        schema = response_format["json_schema"]
        options["output"] = _asking.text_output(schema["schema"], schema.get("name") or "answer")
    elif response_format is not None:
        options["extra"] = {**(options["extra"] or {}), "response_format": response_format}
    return _asking.merge_options(options)


# Responses.


def _response(response: ModelResponse, answer: Answer[Any]) -> ModelResponse:
    text = "".join([part.text for part in answer.message.content if isinstance(part, Preamble | Text)])
    calls = [{**call.to_dict(), "type": "function"} for call in answer.calls]
    message = LiteLLMMessage(
        content=text or None,
        tool_calls=calls or None,
        reasoning_content=answer.reasoning or None,
        provider_specific_fields=_asking.details(answer),
    )
    response.choices = [Choices(finish_reason=_finish_reason(answer), index=0, message=message)]
    response.model = answer.model or response.model
    if answer.request_id is not None:
        response.id = answer.request_id
    if (usage := _usage(answer)) is not None:
        response.usage = usage  # type: ignore[attr-defined]
    if answer.cost is not None:
        response._hidden_params["response_cost"] = float(answer.cost)
    return response


class _Chunks:
    """The chunks of one stream, with one id."""

    def __init__(self, model: str) -> None:
        self._head: dict[str, Any] = {"id": f"chatcmpl-{uuid.uuid4()}", "model": model}
        self._numbers: dict[int, int] = {}
        """Numbers of the calls by the index of their frame."""

    def of_event(self, event: Event) -> ModelResponseStream | None:
        """The chunk of an event. `None`: the event adds nothing."""
        if event.kind == "tool_call" and event.type in ("start", "delta"):
            begins = event.type == "start"
            function = {"name": event.name if begins else None, "arguments": event.delta}
            call = {"id": event.call_id if begins else None, "type": "function", "function": function}
            number = self._numbers.setdefault(event.index, len(self._numbers))
            return self._chunk(Delta(tool_calls=[{**call, "index": number}]))
        if event.type != "delta":
            return None
        if event.kind == "reasoning":
            return self._chunk(Delta(reasoning_content=event.delta))
        return self._chunk(Delta(content=event.delta)) if event.kind in ("text", "preamble") else None

    def of_end(self, answer: Answer[Any]) -> tuple[ModelResponseStream, ModelResponseStream]:
        """The chunk with the usage and the details, and the one with the finish reason."""
        last = self._chunk(Delta(provider_specific_fields=_asking.details(answer)))
        if (usage := _usage(answer)) is not None:
            last.usage = usage  # type: ignore[attr-defined]
        return last, self._chunk(Delta(), _finish_reason(answer))

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> ModelResponseStream:
        choice = StreamingChoices(index=0, delta=delta, finish_reason=finish_reason)
        return ModelResponseStream(choices=[choice], **self._head)


def _finish_reason(answer: Answer[Any]) -> str:
    if answer.calls and not _asking.is_cut(answer):
        return "tool_calls"
    return answer.finish or "stop"


def _usage(answer: Answer[Any]) -> Usage | None:
    tokens = answer.metrics.size.tokens
    if tokens.input is None or tokens.output is None:
        return None
    usage = Usage(
        prompt_tokens=tokens.input,
        completion_tokens=tokens.output,
        total_tokens=tokens.input + tokens.output,
        reasoning_tokens=_asking.reasoning_tokens(answer),
        prompt_tokens_details=None if tokens.cache.get is None else {"cached_tokens": tokens.cache.get},
    )
    if answer.cost is not None:
        usage.cost = float(answer.cost)
    return usage


# Errors.

_KINDS: Sequence[tuple[type[errors.MotetError], Any]] = (
    (errors.ContextOverflowError, exceptions.ContextWindowExceededError),
    (errors.AuthenticationError, exceptions.AuthenticationError),
    (errors.NotFoundError, exceptions.NotFoundError),
    (errors.RateLimitError, exceptions.RateLimitError),
    (errors.OverloadedError, exceptions.ServiceUnavailableError),
    (errors.ServerError, exceptions.InternalServerError),
    (errors.RequestTimeoutError, exceptions.Timeout),
    (errors.ConnectionFailedError, exceptions.APIConnectionError),
    (errors.StreamError, exceptions.APIConnectionError),
    (errors.BadPayloadError, exceptions.APIConnectionError),
    # Not sent, refused or ended by a limit of the caller: the same request would fail again.
    (errors.MotetError, exceptions.BadRequestError),
)


def _raise(model: str, error: errors.MotetError) -> NoReturn:
    kind = next(kind for own, kind in _KINDS if isinstance(error, own))
    raise kind(message=str(error), model=model, llm_provider=PROVIDER) from error

"""An atom as a model of pydantic-ai: `Agent(MotetModel("together/gpt-oss/120b"))`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponseStreamEvent
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests
from pydantic_ai.profiles import ModelProfile, ModelProfileSpec
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext
from pydantic_ai.usage import RequestUsage

from motet import errors
from motet._core import Event
from motet.asking.answer import Answer
from motet.asking.stream import AsyncAnswerStream
from motet.atoms.atom import Atom
from motet.integrations import _asking
from motet.integrations._pydantic_ai.failures import raise_model_error
from motet.integrations._pydantic_ai.requests import to_messages, to_options
from motet.integrations._pydantic_ai.responses import to_finish_reason, to_parts, to_usage

__all__ = ["MotetModel", "MotetModelSettings"]

PROVIDER = "motet"


class MotetModelSettings(ModelSettings, total=False):  # type: ignore[call-arg]
    """pydantic-ai's settings, and motet's."""

    motet_options: Mapping[str, Any]
    """Options of `Atom.ask` that pydantic-ai has no setting for: `max_cost`, `budget`, `max_reasoning_tokens`, ..."""


class MotetModel(Model[Any]):
    """An atom as a model of pydantic-ai.

    - `atom`: an atom, or the slug of one. The caller closes it.
    - `settings`, `profile`: as for other models. `MotetModelSettings` has motet's own options.
    - `allow_text_calls`: passes on tool calls that were read from text, which are not trusted. Default: an answer with
      such calls raises `motet.ToolError`.

    Reasoning becomes a `ThinkingPart`, the cost of the answer `RequestUsage.cost`. `ModelResponse.provider_details` has
    `finish_reason`, `lane`, `cost`, `tokens_by_channel`, `repairs` and `notes`. Errors of the service become
    `ModelHTTPError` and its kin, whose `__cause__` is motet's error with `.partial` and `.cost`; limits and settings
    raise motet's errors.
    """

    unsupported_settings = frozenset({"extra_headers", "max_retries", "parallel_tool_calls", "service_tier"})

    def __init__(
        self,
        atom: Atom | str,
        *,
        settings: ModelSettings | None = None,
        profile: ModelProfileSpec | None = None,
        allow_text_calls: bool = False,
    ) -> None:
        self.atom = _asking.to_atom(atom)
        self._allow_text_calls = allow_text_calls
        super().__init__(settings=settings, profile=_profile(self.atom, profile))

    @property
    def model_name(self) -> str:
        """The service's name of the model, or the slug if no service has it."""
        return self.atom.spec.model or self.atom.slug

    @property
    def system(self) -> str:
        """`motet`."""
        return PROVIDER

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The answer to a conversation. A cut answer has the finish reason `length`."""
        check_allow_model_requests()
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        try:
            answer = await _asking.aask(self.atom, to_messages(messages, parameters), to_options(settings, parameters))
        except errors.MotetError as error:
            raise_model_error(self.model_name, error)
        _asking.check_calls(answer, allow_text_calls=self._allow_text_calls, allow_cut_calls=True)
        return ModelResponse(
            parts=list(to_parts(answer)),
            usage=to_usage(answer),
            model_name=answer.model or self.model_name,
            provider_name=PROVIDER,
            provider_details=_asking.details(answer),
            provider_response_id=answer.request_id,
            finish_reason=to_finish_reason(answer),
        )

    async def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> RequestUsage:
        """Tokens of the prompt, without a request; exact for models that speak harmony."""
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        estimate = self.atom.estimate(to_messages(messages, parameters), **to_options(settings, parameters))
        if estimate.tokens.input is None:
            raise errors.ConfigError(f"the prompt of {self.model_name} cannot be counted")
        return RequestUsage(input_tokens=estimate.tokens.input)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The answer while it arrives. Errors before the first event are raised on entering."""
        check_allow_model_requests()
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        options = to_options(settings, parameters)
        async with self.atom.astream(to_messages(messages, parameters), **options) as stream:
            events = aiter(stream)
            try:
                first = await anext(events, None)
            except errors.TruncatedOutputError:
                first = None
            except errors.MotetError as error:
                raise_model_error(self.model_name, error)
            yield MotetStreamedResponse(
                model_request_parameters=parameters,
                _stream=stream,
                _events=events,
                _first=first,
                _model_name=self.model_name,
                _allow_text_calls=self._allow_text_calls,
            )


@dataclass
class MotetStreamedResponse(StreamedResponse):
    """An answer while it arrives. Made by `MotetModel.request_stream`."""

    _stream: AsyncAnswerStream
    _events: AsyncIterator[Event]
    _first: Event | None
    _model_name: str
    _allow_text_calls: bool = False
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        try:
            if self._first is not None:
                for mapped in self._map(self._first):
                    yield mapped
            async for event in self._events:
                for mapped in self._map(event):
                    yield mapped
        except errors.TruncatedOutputError:
            pass
        except errors.MotetError as error:
            if isinstance(error.partial, Answer):
                self._read(error.partial)
            raise_model_error(self._model_name, error)
        answer = self._stream.answer
        self._read(answer)
        _asking.check_calls(answer, allow_text_calls=self._allow_text_calls, allow_cut_calls=True)

    def _map(self, event: Event) -> Iterator[ModelResponseStreamEvent]:
        # The parts of a message are the frames of a completion, so that a frame's index names its part.
        parts = self._parts_manager
        if event.type == "start" and event.kind == "tool_call":
            yield from parts.handle_tool_call_delta_events(
                vendor_part_id=event.index, tool_name=event.name, args="", tool_call_id=event.call_id
            )
        elif event.type == "delta" and event.kind == "tool_call":
            yield from parts.handle_tool_call_delta_events(vendor_part_id=event.index, args=event.delta)
        elif event.type == "delta" and event.kind == "reasoning":
            yield from parts.handle_thinking_delta(vendor_part_id=event.index, content=event.delta)
        elif event.type == "delta" and event.kind in ("text", "preamble"):
            yield from parts.handle_text_delta(vendor_part_id=event.index, content=event.delta)

    def _read(self, answer: Answer[Any]) -> None:
        self._usage = to_usage(answer)
        self._model_name = answer.model or self._model_name
        self.finish_reason = to_finish_reason(answer)
        self.provider_details = _asking.details(answer)
        self.provider_response_id = answer.request_id

    async def close_stream(self) -> None:
        """Closes the connection; the service then stops generating and billing. What arrived is in the usage."""
        await self._stream.aclose()
        # Without a request there is no answer.
        with contextlib.suppress(ValueError):
            self._read(self._stream.answer)

    @property
    def model_name(self) -> str:
        """The model that answers, as the service names it."""
        return self._model_name

    @property
    def provider_name(self) -> str:
        """`motet`."""
        return PROVIDER

    @property
    def provider_url(self) -> None:
        """`None`: the atom's backend knows it."""
        return

    @property
    def timestamp(self) -> datetime:
        """When the request was sent."""
        return self._timestamp


def _profile(atom: Atom, own: ModelProfileSpec | None) -> Callable[[ModelProfile], ModelProfile]:
    """What the model can do, as the catalogue says, with the caller's profile over it."""
    spec = atom.spec
    # Text cannot become a special token where motet renders the prompt; where the service does, it may.
    renders_itself = spec.harmony and getattr(atom.backend, "lane", None) in ("ids", "text")
    facts = ModelProfile(
        supports_json_schema_output=True,
        supports_thinking=spec.harmony,
        thinking_always_enabled=spec.harmony,
        # Forcing a call needs the chat lane; elsewhere pydantic-ai asks again if a text comes instead.
        supports_forced_tool_choice=not renders_itself,
        may_tokenize_special_tokens_in_content=not renders_itself,
        supports_image_input=False,
        supports_document_input=False,
        supports_audio_file_input=False,
        supports_video_input=False,
        context_window=spec.gain.size.context.tokens,
    )

    def resolve(default: ModelProfile) -> ModelProfile:
        resolved = cast("ModelProfile", {**default, **facts})
        if own is None:
            return resolved
        return own(resolved) if callable(own) else cast("ModelProfile", {**resolved, **own})

    return resolve

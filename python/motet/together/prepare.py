"""A request becomes what a service receives: its lane, its body and its token count, each made once. No I/O."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from together.resources.chat.completions import CompletionsResource as ChatResource
from together.resources.completions import CompletionsResource

from motet.backend import LaneChoice, Prepared, Request
from motet.errors import ConfigError, RenderError
from motet.harmony import render
from motet.message import Lane
from motet.together.constraint import names_choice
from motet.together.lanes import chat, raw
from motet.together.lanes.id_pages import COMPLETIONS, page_body, page_of
from motet.together.services import UNKNOWN, Service

__all__ = ["Server", "choose_lane", "depends_on_server", "prepare", "prepare_undecided", "sdk_arguments"]


def depends_on_server(request: Request, default: LaneChoice) -> bool:
    """True if the lane, or the body in it, depends on what kind of server receives the request."""
    return request.harmony and (request.lane or default) != "chat"


@dataclass(frozen=True, slots=True)
class Server:
    """The service behind the address, and what is known about it."""

    service: Service
    contexts: Mapping[str, int] = field(default_factory=dict)
    """Tokens of prompt and answer together, by model, from the list of models."""
    reasoning_key: str | None = None
    """The key in which the service has sent reasoning. `None`: it has not sent any yet."""

    def context(self, request: Request) -> int | None:
        """Tokens of prompt and answer together: as the server lists them for the model or for its only model, else as
        the caller knows them. `None`: unknown."""
        listed = self.contexts.get(request.model)
        if listed is None and len(set(self.contexts.values())) == 1:
            listed = next(iter(self.contexts.values()))
        return request.context if listed is None else listed


def choose_lane(request: Request, default: LaneChoice, service: Service) -> tuple[Lane, str]:
    """The lane of a request, and the reason. Raises `ConfigError` if the lane cannot carry the request."""
    lane = request.lane or default
    if lane != "auto":
        if lane != "chat" and not request.harmony:
            raise ConfigError(f"{request.model} does not speak harmony: only lane='chat' can ask it")
        return lane, "it was asked for"
    if not request.harmony:
        return "chat", "the model does not speak harmony"
    if names_choice(request) and service.grammar_key is None:
        return "chat", "tool_choice is for the service to hold the model to"
    return service.raw_lane or "chat", service.lane_reason


def prepare(request: Request, lane: Lane, lane_reason: str, server: Server) -> Prepared:
    """The prepared request in a lane. Raises `ConfigError` or `RenderError` if the lane cannot carry it."""
    for options in (request.sampling, request.extra):
        if options.get("n") not in (None, 1) or options.get("best_of") not in (None, 1):
            raise ConfigError("n and best_of must be 1: a reply has one answer, and all answers are billed")
    prepared = (
        _prepare_chat(request, lane_reason, server)
        if lane == "chat"
        else _prepare_raw(request, lane, lane_reason, server)
    )
    if request.lowers_max_tokens:
        prepared = _with_lower_max_tokens(prepared, server)
    refused = [key for key in prepared.body or {} if key in server.service.refused_keys]
    if not refused:
        return prepared
    note = f"the service refuses {', '.join(refused)}, so the request was sent without"
    body = {key: value for key, value in (prepared.body or {}).items() if key not in refused}
    return replace(prepared, body=body, notes=(*prepared.notes, note))


def _with_lower_max_tokens(prepared: Prepared, server: Server) -> Prepared:
    """The request with `max_tokens` of at most what the context leaves. A prompt that leaves nothing is refused by the
    server."""
    context, prompt, body = server.context(prepared.request), prepared.prompt_tokens, prepared.body or {}
    room = 0 if context is None or prompt is None else context - prompt
    room -= min(server.service.spare_tokens, room // 2)
    if room < 1 or (body.get("max_tokens") or 0) <= room:
        return prepared
    note = f"the context leaves {room} tokens, fewer than max_tokens={body['max_tokens']}, which was lowered to that"
    return replace(prepared, body={**body, "max_tokens": room}, notes=(*prepared.notes, note))


def _prepare_chat(request: Request, lane_reason: str, server: Server) -> Prepared:
    request, notes = chat.with_builtin_functions(request)
    if request.prefix is not None:
        calls = request.tool_choice if request.tool_choice not in (None, "auto") or not request.tools else "none"
        request = replace(request, prefix=None, reasoning_effort="low", tool_choice=calls)
        notes += ("the chat lane cannot continue an answer: the question was asked again with low effort",)
    body, schema_in_prompt = chat.body(request, server.service, server.reasoning_key)
    if request.harmony and _quotes_markers(request):
        notes += ("the conversation quotes control tokens, and the service may take them for structure",)
    if request.harmony and not server.service.keeps_preambles and (dropped := chat.drop_preambles(body["messages"])):
        notes += (f"texts before calls that the server's chat template refuses beside reasoning, not sent: {dropped}",)
    tokens = _template_tokens(request, body["messages"]) if request.harmony else None
    return Prepared(
        request=request,
        body={**body, **request.extra},
        prompt_tokens=tokens,
        prompt_estimate=_raw_tokens(request) if request.harmony and tokens is None else None,
        lane="chat",
        lane_reason=lane_reason,
        response_format=_response_format(request, in_prompt=schema_in_prompt),
        notes=notes,
    )


def _prepare_raw(request: Request, lane: Literal["ids", "text"], lane_reason: str, server: Server) -> Prepared:
    service = server.service
    is_enforced = service.grammar_key is not None or not names_choice(request)
    # A model that reads of no tools calls none.
    offered = request if is_enforced or request.tool_choice != "none" else replace(request, tools=(), builtin_tools=())
    prompt = raw.prompt(offered, sampled=lane == "ids" and service.takes_id_prompts)
    ids = raw.prompt_ids(request, prompt, service)
    body = raw.body(request, prompt, ids, lane, service, server.context(request))
    if lane == "ids" and service.takes_id_prompts:
        body = page_body(body, service.ids_page)
    body |= request.extra
    notes: tuple[str, ...] = ()
    if offered is not request:
        notes += ("the service takes no grammar: with tool_choice='none' the prompt has no tools",)
    elif not is_enforced:
        notes += (f"the service takes no grammar: tool_choice={request.tool_choice!r} is not enforced",)
    if not _limits_tokens(body) and service.completion_tokens is not None:
        limit = service.completion_tokens
        notes += (f"the server may cut the answer at {limit} tokens, its context is unknown; give max_tokens=",)
    return Prepared(
        request=request,
        body=body,
        prompt_tokens=len(ids),
        lane=lane,
        lane_reason=lane_reason,
        response_format=_response_format(request, in_prompt=service.grammar_key is None),
        notes=notes,
    )


def _limits_tokens(body: Mapping[str, Any]) -> bool:
    return any(key in {**body, **body.get("sampling_params", {})} for key in ("max_tokens", "max_new_tokens"))


def prepare_undecided(request: Request) -> Prepared:
    """A request whose lane depends on a server without a request so far: without a body. Its prompt is counted as the
    raw lanes and as the chat template render it, and the count is exact if both agree."""
    chat_request = request if "python" in request.builtin_tools else chat.with_builtin_functions(request)[0]
    body, _ = chat.body(chat_request, UNKNOWN, None)
    counts = [_raw_tokens(request), _template_tokens(chat_request, body["messages"])]
    equal = counts[0] == counts[1]
    return Prepared(
        request=request,
        prompt_tokens=counts[0] if equal else None,
        prompt_estimate=max([count for count in counts if count is not None], default=None),
    )


def _response_format(request: Request, *, in_prompt: bool) -> Literal["service", "prompt"] | None:
    if request.schema is None:
        return None
    return "prompt" if in_prompt else "service"


def _raw_tokens(request: Request) -> int | None:
    """Tokens of the prompt that motet renders. `None`: it cannot be rendered."""
    with contextlib.suppress(RenderError):
        return len(raw.prompt(request))
    return None


def _template_tokens(request: Request, messages: list[dict[str, Any]]) -> int | None:
    """Tokens of the prompt that the model's chat template renders. `None`: it cannot be rendered."""
    with contextlib.suppress(RenderError):
        return len(
            render(
                messages,
                tools=request.tools,
                reasoning_effort=request.reasoning_effort or "medium",
                current_date=request.current_date,
                dialect="chat_template",
            )
        )
    return None


def _quotes_markers(request: Request) -> bool:
    """True if text of the conversation spells control tokens."""
    return any("<|" in text for message in request.messages for text in _texts(message.to_dict()))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


_SDK_NAMES = {
    "chat": frozenset(inspect.signature(ChatResource.create).parameters),
    "completions": frozenset(inspect.signature(CompletionsResource.create).parameters),
}


def sdk_arguments(prepared: Prepared, *, stream: bool, refused_keys: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The arguments of the SDK's `create`, or the path and the body for a page that it does not know.

    Keys that `create` does not know, and those of `Request.extra`, go through its `extra_body`; unknown names in
    `Request.sampling` do not, so that the SDK refuses them.
    """
    request, body = prepared.request, dict(prepared.body or {})
    page = page_of(body)
    if stream and page != "/generate" and "stream_options" not in refused_keys:
        # Services send no usage in a stream unless it is requested.
        body.setdefault("stream_options", {"include_usage": True})
    if page != COMPLETIONS:
        return {"path": page, "body": {**body, "stream": stream}}
    names = _SDK_NAMES["chat" if prepared.lane == "chat" else "completions"] | set(request.sampling)
    named = {name: value for name, value in body.items() if name in names and name not in request.extra}
    further = {name: value for name, value in body.items() if name not in named}
    return {**named, "extra_body": further} if further else named

"""The protocol between atoms and services: requests, replies, and `Backend`.

Atoms depend on `Backend` only; which SDK implements it is unknown here.
"""

from __future__ import annotations

import datetime
from array import array
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias

from motet._core import Event
from motet.catalog import speaks_harmony
from motet.dialects.chat import to_messages
from motet.harmony import Effort, Messages
from motet.message import Completion, Lane, Message
from motet.metrics import Price, Time, Usage
from motet.schema.builtin_functions import BuiltinTool

__all__ = [
    "AsyncReplyStream",
    "Attempt",
    "Backend",
    "Health",
    "LaneChoice",
    "Model",
    "ModelList",
    "Prepared",
    "Reply",
    "ReplyStream",
    "Request",
    "TokenTrace",
]

LaneChoice: TypeAlias = Lane | Literal["auto"]

COMPLETE_REASONS = frozenset(("stop", "tool_calls", "function_call"))
"""Finish reasons of a model that stopped by itself. Calls of an answer with any other reason may be cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to a model."""

    model: str
    """The service's name of the model."""
    messages: tuple[Message, ...]
    sampled: Mapping[int, array[int]] = field(default_factory=dict)
    """For answers among the messages, by their index, the ids that the model sampled: the ids lane sends them again."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """OpenAI tool dicts."""
    builtin_tools: tuple[BuiltinTool, ...] = ()
    """Built-in tools of gpt-oss; the raw lanes carry them."""
    tool_choice: str | Mapping[str, Any] | None = None
    """`auto`, `none`, `required`, or a dict that names one tool. `None`: the service's default. The raw lanes send it
    as a grammar."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the answer. `None`: any text."""
    schema_name: str = "answer"
    choices: tuple[str, ...] = ()
    """The texts of which the answer is one. Empty: any. The raw lanes send them as a grammar."""
    reasoning_effort: Effort | None = None
    """`None`: the service's default, which is `medium`."""
    max_tokens: int | None = None
    """Tokens of the answer, reasoning included, from 1. `None`: the service's default."""
    lowers_max_tokens: bool = False
    """True: `max_tokens` above what the context leaves is lowered to that, where both are known. False: the service
    decides, and most refuse the request."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """`temperature`, `top_p`, `seed`, ... under the SDK's names."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the request body, sent unchanged."""
    timeout: float | None = None
    """Seconds for the whole answer, retries included. `None`: no limit."""
    first_token_timeout: float | None = None
    """Seconds until the first token. `None`: no limit."""
    harmony: bool = False
    """True if the model reads and writes harmony."""
    current_date: str = field(default_factory=lambda: datetime.date.today().isoformat())
    """The date in prompts that motet renders, as `2026-11-21`."""
    lane: LaneChoice | None = None
    """`None`: the backend's."""
    context: int | None = None
    """Tokens of prompt and answer together, as the caller knows them; a server's own figure comes first."""
    think_tags: bool = False
    """True if the model's reasoning stands in its answer between `<think>` tags, as the service sends it."""
    prefix: array[int] | str | None = None
    """The beginning of the answer as the model wrote it, token ids or text with markers; empty if it wrote nothing. The
    prompt of the raw lanes has it verbatim behind the conversation, then the end of its frame and the header of a final
    answer, which the model continues; the reply has all of it. Where a grammar enforces the answer's form, it does so
    from the header on. In the chat lane, which cannot continue an answer, the question is asked with low effort and
    without calls. `None`: the model begins."""

    @classmethod
    def of(cls, model: str, messages: Messages, **settings: Any) -> Request:
        """A request from messages and chat dicts; `settings` are the other fields. `harmony` defaults to what the name
        of the model says."""
        return cls(model=model, messages=tuple(to_messages(messages)), **{"harmony": speaks_harmony(model), **settings})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request as the service will receive it: rendered and counted once. Made by `Backend.prepare`."""

    request: Request
    body: Mapping[str, Any] | None = None
    """The JSON body, without `stream`. `None`: the lane is not decided yet."""
    prompt_tokens: int | None = None
    """Tokens of the prompt, exact. `None`: not countable."""
    prompt_estimate: int | None = None
    """About the tokens of the prompt, rather too many, where `prompt_tokens` is `None`. `None`: unknown."""
    lane: Lane | None = None
    """`None`: it depends on the kind of server, which is asked before the first request."""
    lane_reason: str = ""
    """Why this lane was chosen."""
    response_format: Literal["service", "prompt"] | None = None
    """Where `Request.schema` stands: in a field of the body (in the raw lanes in the prompt, too), or in the prompt
    only. `None`: no schema."""
    notes: tuple[str, ...] = ()
    """Remarks for `Reply.notes`."""


@dataclass(frozen=True, slots=True)
class TokenTrace:
    """The token ids of one request in the ids lane: what trainers learn from. `motet.trajectories` joins those of a
    loop. Held in memory only: the JSON forms of runs and episodes have no traces."""

    prompt_ids: array[int] = field(repr=False)
    """The prompt as it was sent."""
    sampled_ids: array[int] = field(repr=False)
    """What the model sampled, stop token included."""
    logprobs: array[float] | None = field(default=None, repr=False)
    """For each sampled id its natural log-probability, NaN where the server sent none. `None`: it sent none at all, as
    without `sampling={"logprobs": 0}`."""
    interrupted: TokenTrace | None = field(default=None, repr=False)
    """The trace of the request that was ended within its reasoning, and that this one continues (`on_limit="answer"`).
    `None`: this one has the whole answer."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send a request."""

    outcome: str
    """`200`, `429`, `ConnectionFailedError`, ..."""
    waited: float = 0.0
    """Seconds of waiting after it."""
    may_be_billed: bool = False
    """True if the service may have worked on the request although no answer came."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered, or the part of it that arrived."""

    completion: Completion
    lane: Lane
    lane_reason: str
    """Why this lane was chosen."""
    model: str | None = None
    """Model name in the response. `None`: the response has none."""
    usage: Usage | None = None
    """`None`: the service sent none."""
    finish: str | None = None
    """The finish reason in OpenAI's words: `stop`, `length`, `tool_calls`, ...; an unknown one as the service wrote it.
    `None`: the answer is incomplete."""
    request_id: str | None = None
    time: Time = field(default_factory=lambda: Time(0.0))
    attempts: tuple[Attempt, ...] = ()
    prompt_tokens: int | None = None
    """Tokens of the prompt by motet's own count; exact for harmony models. `None`: not countable."""
    notes: tuple[str, ...] = ()
    """Remarks on how the response was read."""
    response_format: Literal["service", "prompt"] | None = None
    """Where the schema of the answer was sent: in a field of the request (in the raw lanes in the prompt, too), or in
    the prompt only. `None`: no schema."""
    sampled: array[int] | None = field(default=None, compare=False)
    """The ids of the answer, stop token included: those that the model sampled, and behind `Request.prefix` those that
    open the final answer. `None`: the service sent none, or numbers outside of the vocabulary."""
    token_trace: TokenTrace | None = field(default=None, compare=False)
    """The ids of prompt and answer with their log-probabilities. `None`: `sampled` is, or the prompt was sent as text.
    """
    prefix_tokens: Mapping[str, int] = field(default_factory=dict)
    """The tokens of the completion that stand in the prompt (`Request.prefix` and the header behind it), by channel."""
    raw_text: str | None = field(default=None, compare=False)
    """The answer as text with markers, as the service sent it. `None`: in the other lanes."""

    @property
    def is_complete(self) -> bool:
        """True if the model stopped by itself, as far as the finish reason says."""
        return self.finish in COMPLETE_REASONS


@dataclass(frozen=True, slots=True)
class Model:
    """A model in the list of a service."""

    id: str
    price: Price = field(default_factory=Price)
    """US dollars per million tokens."""
    context: int | None = None
    """Tokens of prompt and answer together. `None`: not listed."""
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models of a service."""

    models: tuple[Model, ...]
    source: Literal["service", "cache", "stale"]
    """`stale`: the request failed, and this is the last list."""
    fetched_at: datetime.datetime
    error: Exception | None = None
    """Why the list is stale."""

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a service responds. True in a condition if it does and serves the model."""

    ok: bool
    status: int | None
    """The HTTP status. `None`: no response."""
    latency: float
    """Seconds."""
    key_valid: bool | None
    """`None`: unknown."""
    serves: bool | None
    """Whether the service has the model in question. `None`: unknown, or no model was named."""
    error: Exception | None = None

    def __bool__(self) -> bool:
        return self.ok


class ReplyStream(Protocol):
    """Events while they arrive. A context manager: leaving it closes the connection."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __iter__(self) -> Iterator[Event]: ...
    def interrupt(self) -> None:
        """Ends the answer: events that have arrived still follow, and then the connection is closed."""

    def close(self) -> None:
        """Closes the connection; the rest of the answer does not arrive. Idempotent."""

    @property
    def reply(self) -> Reply:
        """The reply so far."""


class AsyncReplyStream(Protocol):
    """`ReplyStream`, awaited."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __aiter__(self) -> AsyncIterator[Event]: ...
    def interrupt(self) -> None:
        """Ends the answer: events that have arrived still follow, and then the connection is closed."""

    async def aclose(self) -> None:
        """Closes the connection; the rest of the answer does not arrive. Idempotent."""

    @property
    def reply(self) -> Reply:
        """The reply so far."""


class Backend(Protocol):
    """A service that answers requests."""

    def prepare(self, request: Request) -> Prepared:
        """Renders and counts a request, without I/O. Raises `ConfigError` or `RenderError` if it cannot be sent."""

    def execute(self, request: Request | Prepared) -> Reply:
        """The whole reply to a request. Raises `ApiError`, and what `prepare` raises."""

    async def aexecute(self, request: Request | Prepared) -> Reply:
        """`execute`, awaited."""

    def stream(self, request: Request | Prepared) -> ReplyStream:
        """The events of a reply while they arrive. The request is sent when the stream is entered."""

    def astream(self, request: Request | Prepared) -> AsyncReplyStream:
        """`stream`, for `async with` and `async for`."""

    def list_models(self, *, refresh: bool = False) -> ModelList:
        """The models that the service lists, from a cache unless `refresh`. Raises `ApiError` if there is no list."""

    async def alist_models(self, *, refresh: bool = False) -> ModelList:
        """`list_models`, awaited."""

    def health(self, model: str | None = None) -> Health:
        """Whether the service responds, accepts the key, and has `model`. Errors are in the result."""

    async def ahealth(self, model: str | None = None) -> Health:
        """`health`, awaited."""

    def close(self) -> None:
        """Closes the connections."""

    async def aclose(self) -> None:
        """Closes the connections, those of the event loop included."""

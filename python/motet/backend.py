"""What is asked of a model's service, and what it answers: the border between atoms and services.

An atom knows a `Backend`; which SDK stands behind it, no one knows here.
"""

from __future__ import annotations

import datetime
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

__all__ = [
    "AsyncReplyStream",
    "Attempt",
    "Backend",
    "Health",
    "LaneChoice",
    "Model",
    "ModelList",
    "Reply",
    "ReplyStream",
    "Request",
]

LaneChoice: TypeAlias = Lane | Literal["auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to a model."""

    model: str
    """What the service calls it."""
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    """OpenAI tool dicts."""
    builtin_tools: tuple[Literal["browser", "python"], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    """`auto`, `none`, `required`, or a dict that names one. `None`: the service's default. The raw lanes have no place
    for one other than `auto`."""
    schema: Mapping[str, Any] | None = None
    """The JSON Schema of the answer. `None`: any text."""
    schema_name: str = "answer"
    reasoning_effort: Effort | None = None
    """`None`: the service's default, which is medium."""
    max_tokens: int | None = None
    """Of the answer, reasoning included. `None`: the service's default."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """`temperature`, `top_p`, `seed` and their like, as the SDK names them."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the request's body, sent as they are."""
    timeout: float | None = None
    """Seconds for the whole answer, retries included. `None`: no limit."""
    first_token_timeout: float | None = None
    """Seconds until the first token. `None`: no limit."""
    harmony: bool = False
    """Whether the model reads and writes harmony."""
    current_date: str = field(default_factory=lambda: datetime.date.today().isoformat())
    """The date in the prompt, where motet renders it."""
    lane: LaneChoice | None = None
    """`None`: the backend's."""

    @classmethod
    def of(cls, model: str, messages: Messages, **settings: Any) -> Request:
        """A request from messages and chat dicts. Whether the model speaks harmony is told from its name."""
        return cls(model=model, messages=tuple(to_messages(messages)), **{"harmony": speaks_harmony(model), **settings})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to get an answer."""

    outcome: str
    """`200`, `429`, `ConnectionFailedError`, ..."""
    waited: float = 0.0
    """Seconds that were waited after it."""
    may_be_billed: bool = False
    """Whether the service may have worked on it, although no answer came."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered, or what of it arrived."""

    completion: Completion
    lane: Lane
    lane_reason: str
    """Why this lane."""
    model: str | None = None
    """The model that answered, as the service says. `None`: it does not."""
    usage: Usage | None = None
    """`None`: the service did not say."""
    finish: str | None = None
    """Why the model stopped: `stop`, `length`, `tool_calls`, ... `None`: the answer is not whole."""
    request_id: str | None = None
    time: Time = field(default_factory=lambda: Time(0.0))
    attempts: tuple[Attempt, ...] = ()
    prompt_tokens: int | None = None
    """The prompt's tokens by motet's own count; exact for harmony models. `None`: it could not be counted."""
    notes: tuple[str, ...] = ()
    """What one should know of how it was read."""
    response_format: Literal["service", "prompt"] | None = None
    """Where the schema of the answer stood: in a field of the request, or in the prompt."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a service has."""

    id: str
    price: Price = field(default_factory=Price)
    """US dollars for a million tokens."""
    context: int | None = None
    """Tokens, prompt and answer together."""
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models of a service."""

    models: tuple[Model, ...]
    source: Literal["service", "cache", "stale"]
    """`stale`: the service could not be asked, and this is what it said last."""
    fetched_at: datetime.datetime
    error: Exception | None = None
    """Why it is stale."""

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a service answers. True in a condition if it does."""

    ok: bool
    status: int | None
    """The HTTP status. `None`: there was no answer."""
    latency: float
    """Seconds."""
    key_valid: bool | None
    """`None`: not known."""
    serves: bool | None
    """Whether it has the model that was asked about. `None`: none was, or the service does not say."""
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
    def close(self) -> None: ...
    @property
    def reply(self) -> Reply:
        """The reply; while events still come, what there is of it."""


class AsyncReplyStream(Protocol):
    """`ReplyStream`, awaited."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __aiter__(self) -> AsyncIterator[Event]: ...
    async def aclose(self) -> None: ...
    @property
    def reply(self) -> Reply: ...


class Backend(Protocol):
    """A service that answers."""

    def execute(self, request: Request) -> Reply: ...
    async def aexecute(self, request: Request) -> Reply: ...
    def stream(self, request: Request) -> ReplyStream: ...
    def astream(self, request: Request) -> AsyncReplyStream: ...
    def count_prompt(self, request: Request) -> int | None:
        """The tokens of the prompt that a request makes, before it is sent. `None`: they cannot be counted."""

    def guess_prompt(self, request: Request) -> int | None:
        """About how many they are, where they cannot be counted: rather too many. `None`: nobody knows."""

    def list_models(self, *, refresh: bool = False) -> ModelList: ...
    async def alist_models(self, *, refresh: bool = False) -> ModelList: ...
    def health(self, model: str | None = None) -> Health: ...
    async def ahealth(self, model: str | None = None) -> Health: ...
    def close(self) -> None: ...
    async def aclose(self) -> None: ...

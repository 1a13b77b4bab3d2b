"""What a proxy remembers between requests: the protocol of its state, and the values in it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from motet.errors import MotetError

__all__ = ["KeptTurn", "State", "StateError", "StoredResponse"]

REASONING_DAYS, RESPONSE_DAYS = 7, 30
"""How long turns and responses are kept. OpenAI keeps responses for 30 days."""
SECONDS_PER_DAY = 86_400
WRITES_PER_CLEANING = 1000
"""Writes between two removals of what is too old, where the store does not remove it by itself."""
CONNECT_SECONDS, WAIT_SECONDS = 5, 10
"""How long a request waits for a server that keeps the state."""


class StateError(MotetError):
    """The store of a proxy's state cannot be reached, or refuses. Clients get status 503, but for a request that is
    answered already: its answer is paid for and sent, and the log has the error."""


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """What clients drop from a turn of the assistant."""

    parts: tuple[str | None, ...]
    """The parts of the turn in their order: the text of reasoning, and `None` for parts that clients send back."""
    sampled: array[int] | None = None
    """The ids that the model sampled. `None`: the service sent none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A response of the Responses API, for `GET` and for `previous_response_id`."""

    id: str
    client: str
    """The name of the client's key. Other clients do not find it."""
    previous_id: str | None
    created: int
    """Seconds since 1970."""
    response: Mapping[str, Any]
    """The response object."""
    input: Sequence[Any]
    """The items of the request's input."""
    messages: Sequence[Mapping[str, Any]]
    """The messages of the input and the answer, as `Message.to_dict(wire=True)`, without instructions."""


class State(Protocol):
    """The state of a proxy. Each method is atomic: a reader sees all of a write or none of it."""

    async def get_turns(self, keys: Sequence[bytes]) -> dict[bytes, KeptTurn]:
        """The turns that are kept under these keys."""

    async def put_turn(self, key: bytes, turn: KeptTurn) -> None:
        """Keeps a turn."""

    async def get_response(self, client: str, id: str) -> StoredResponse | None:
        """A client's response."""

    async def get_conversation(self, client: str, id: str) -> list[StoredResponse]:
        """A client's response and those before it, the oldest first. Empty if one of them is missing."""

    async def put_response(self, response: StoredResponse) -> None:
        """Keeps a response."""

    async def delete_response(self, client: str, id: str) -> bool:
        """Removes a client's response. False: there is none."""

    async def spent(self, client: str) -> Decimal:
        """US dollars that a client has spent."""

    async def add_spent(self, client: str, cost: Decimal) -> None:
        """Adds to what a client has spent."""

    async def aclose(self) -> None:
        """Closes files and connections."""

"""What a proxy remembers between requests: the protocol of its state, and the values in it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from motet.errors import MotetError

__all__ = ["Funds", "KeptTurn", "State", "StateError", "StoredResponse", "grant"]

REASONING_DAYS, RESPONSE_DAYS, RESERVATION_DAYS = 7, 30, 1
"""How long turns, responses and expired reservations are kept. OpenAI keeps responses for 30 days."""
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


@dataclass(frozen=True, slots=True)
class Funds:
    """What `State.reserve` answers, in US dollars."""

    granted: Decimal | None
    """What is reserved for the request. `None`: too little is free."""
    spent: Decimal
    """What the client has spent."""
    reserved: Decimal
    """What the client's other running requests have reserved."""


def grant(limit: Decimal, spent: Decimal, reserved: Decimal, least: Decimal, most: Decimal | None) -> Decimal | None:
    """What a request gets: `most`, or all that is left if that is at least `least` and no other request runs. `None`:
    nothing, as too little is free. The arguments are those of `State.reserve` and the fields of `Funds`."""
    free = limit - spent - reserved
    if most is not None and free >= most:
        return most
    # Of requests without a bound, or with one above what is left, one runs at a time.
    return free if not reserved and free >= least else None


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

    async def reserve(
        self, client: str, id: str, *, limit: Decimal, least: Decimal, most: Decimal | None, seconds: float
    ) -> Funds:
        """Reserves money for a request, as `grant` says.

        - `id`: names the request.
        - `limit`: US dollars for all requests of the client.
        - `least`, `most`: US dollars that the request needs, and that it can cost; `None`: unbounded.
        - `seconds`: how long the reservation holds unless it is renewed, so that those of killed proxies end.
        """

    async def renew(self, client: str, id: str, seconds: float) -> None:
        """Extends a reservation to `seconds` from now."""

    async def settle(self, client: str, id: str, cost: Decimal) -> None:
        """Ends a reservation, and adds the cost to what the client has spent. A request is billed once, however often
        this is repeated; also one whose reservation has expired by less than a day."""

    async def aclose(self) -> None:
        """Closes files and connections."""

"""The state of a proxy in Redis, which the machines of one proxy share."""

from __future__ import annotations

import asyncio
import base64
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from typing import Any, TypeVar

from motet.errors import ConfigError
from motet.proxy.state import (
    CONNECT_SECONDS,
    REASONING_DAYS,
    RESERVATION_DAYS,
    RESPONSE_DAYS,
    SECONDS_PER_DAY,
    WAIT_SECONDS,
    Funds,
    KeptTurn,
    StateError,
    StoredResponse,
    grant,
)

__all__ = ["RedisState"]

T = TypeVar("T")


class RedisState:
    """A state in a Redis server: `redis://HOST`, `rediss://HOST` with TLS, or `unix://PATH`.

    Each turn and each response is one value, written by one command, and expires by itself. How much outlives the
    server is for its settings: with `appendonly yes` and `appendfsync always` all that was confirmed. A server that
    removes keys when its memory is full must not remove those of spent sums, which never expire: set
    `maxmemory-policy volatile-lru`.

    `prefix`: stands before each key, for several proxies on one server.
    """

    def __init__(self, url: str, *, prefix: str = "motet:") -> None:
        try:
            from redis.asyncio import Redis
            from redis.exceptions import RedisError, WatchError
        except ImportError as error:
            raise ConfigError("a state in Redis needs redis: pip install 'motet[proxy,redis]'") from error
        self._failure = RedisError
        self._conflict = WatchError
        self._prefix = prefix
        self._locks: dict[str, asyncio.Lock] = {}
        try:
            # Opens its connections on use.
            self._redis: Any = Redis.from_url(
                url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=WAIT_SECONDS, protocol=2
            )
        except ValueError as error:
            raise ConfigError(f"the address of Redis is not valid: {error}") from error

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except (self._failure, OSError) as error:
            raise StateError(f"Redis does not keep the state of the proxy: {type(error).__name__}") from error

    def _key(self, kind: str, *names: str) -> bytes:
        # JSON keeps names apart that have a separator in them.
        return f"{self._prefix}{kind}:{json.dumps(names)}".encode()

    async def get_turns(self, keys: Sequence[bytes]) -> dict[bytes, KeptTurn]:
        """The turns that are kept under these keys."""
        if not keys:
            return {}
        with self._connected():
            values = await self._redis.mget([self._key("turn", key.hex()) for key in keys])
        return {key: _read_turn(value) for key, value in zip(keys, values, strict=True) if value is not None}

    async def put_turn(self, key: bytes, turn: KeptTurn) -> None:
        """Keeps a turn."""
        sampled = None if turn.sampled is None else base64.b64encode(turn.sampled.tobytes()).decode()
        value = json.dumps({"parts": turn.parts, "sampled": sampled})
        with self._connected():
            await self._redis.set(self._key("turn", key.hex()), value, ex=REASONING_DAYS * SECONDS_PER_DAY)

    async def get_response(self, client: str, id: str) -> StoredResponse | None:
        """A client's response."""
        with self._connected():
            value = await self._redis.get(self._key("response", client, id))
        return None if value is None else StoredResponse(**json.loads(value))

    async def get_conversation(self, client: str, id: str) -> list[StoredResponse]:
        """A client's response and those before it, the oldest first. Empty if one of them is missing."""
        responses: list[StoredResponse] = []
        following: str | None = id
        while following is not None:
            response = await self.get_response(client, following)
            if response is None:
                return []
            responses.append(response)
            following = response.previous_id
        return responses[::-1]

    async def put_response(self, response: StoredResponse) -> None:
        """Keeps a response."""
        key, value = self._key("response", response.client, response.id), json.dumps(asdict(response))
        with self._connected():
            await self._redis.set(key, value, ex=RESPONSE_DAYS * SECONDS_PER_DAY)

    async def delete_response(self, client: str, id: str) -> bool:
        """Removes a client's response. False: there is none."""
        with self._connected():
            return bool(await self._redis.delete(self._key("response", client, id)))

    async def spent(self, client: str) -> Decimal:
        """US dollars that a client has spent."""
        with self._connected():
            return _read_dollars(await self._redis.get(self._key("spent", client)))

    async def reserve(
        self, client: str, id: str, *, limit: Decimal, least: Decimal, most: Decimal | None, seconds: float
    ) -> Funds:
        """See `State.reserve`."""

        def change(money: _Money) -> Funds:
            others = [amount for name, (amount, end) in money.reserved.items() if name != id and end > money.now]
            reserved = sum(others, Decimal(0))
            granted = grant(limit, money.spent, reserved, least, most)
            if granted is not None:
                money.reserved[id] = (granted, money.now + seconds)
            return Funds(granted, money.spent, reserved)

        return await self._change(client, change)

    async def renew(self, client: str, id: str, seconds: float) -> None:
        """Extends a reservation to `seconds` from now."""

        def change(money: _Money) -> None:
            if id in money.reserved:
                money.reserved[id] = (money.reserved[id][0], money.now + seconds)

        await self._change(client, change)

    async def settle(self, client: str, id: str, cost: Decimal) -> None:
        """See `State.settle`."""

        def change(money: _Money) -> None:
            if money.reserved.pop(id, None) is not None:
                money.spent += cost

        await self._change(client, change)

    async def _change(self, client: str, change: Callable[[_Money], T]) -> T:
        """Changes the money of a client. Redis adds floating point numbers, which are not exact: what was computed here
        is written if no other process was faster."""
        keys = [self._key("spent", client), self._key("reserved", client)]
        # Requests of one process would make each other's transactions fail.
        async with self._locks.setdefault(client, asyncio.Lock()):
            with self._connected():
                while True:
                    async with self._redis.pipeline(transaction=True) as pipeline:
                        try:
                            await pipeline.watch(*keys)
                            money = await _Money.read(pipeline, *keys)
                            result = change(money)
                            pipeline.multi()
                            money.write(pipeline, *keys)
                            await pipeline.execute()
                            return result
                        except self._conflict:
                            continue

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()


class _Money:
    """What a client has spent, and what its running requests have reserved."""

    def __init__(self, spent: bytes | None, reserved: dict[bytes, bytes], now: float) -> None:
        self.spent = _read_dollars(spent)
        self.now = now
        """Seconds since 1970 by the clock of the server, which all proxies share."""
        self.reserved: dict[str, tuple[Decimal, float]] = {}
        """Amount and end by the name of the request."""
        for id, value in reserved.items():
            amount, end = json.loads(value)
            self.reserved[id.decode()] = (Decimal(amount), end)
        self._before = (self.spent, dict(self.reserved))

    @classmethod
    async def read(cls, pipeline: Any, spent_key: bytes, reserved_key: bytes) -> _Money:
        spent, reserved = await pipeline.get(spent_key), await pipeline.hgetall(reserved_key)
        seconds, microseconds = await pipeline.time()
        return cls(spent, reserved, seconds + microseconds / 1e6)

    def write(self, pipeline: Any, spent_key: bytes, reserved_key: bytes) -> None:
        """Adds the commands that write what has changed, and remove what has expired long ago."""
        spent, reserved = self._before
        oldest = self.now - RESERVATION_DAYS * SECONDS_PER_DAY
        kept = {id: value for id, value in self.reserved.items() if value[1] > oldest}
        if self.spent != spent:
            pipeline.set(spent_key, f"{self.spent:f}")
        if changed := {
            id: json.dumps([f"{value[0]:f}", value[1]]) for id, value in kept.items() if value != reserved.get(id)
        }:
            pipeline.hset(reserved_key, mapping=changed)
        if removed := reserved.keys() - kept.keys():
            pipeline.hdel(reserved_key, *removed)


def _read_turn(value: bytes) -> KeptTurn:
    shape = json.loads(value)
    sampled = None if shape["sampled"] is None else array("I", base64.b64decode(shape["sampled"]))
    return KeptTurn(tuple(shape["parts"]), sampled)


def _read_dollars(value: bytes | None) -> Decimal:
    return Decimal(0) if value is None else Decimal(value.decode())

"""The state of a proxy in Redis, which the machines of one proxy share."""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from motet.errors import ConfigError
from motet.proxy.state import (
    CONNECT_SECONDS,
    REASONING_DAYS,
    RESPONSE_DAYS,
    SECONDS_PER_DAY,
    WAIT_SECONDS,
    KeptTurn,
    StateError,
    StoredResponse,
)

__all__ = ["RedisState"]


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

    async def add_spent(self, client: str, cost: Decimal) -> None:
        """Adds to what a client has spent."""
        key = self._key("spent", client)
        # Redis adds floating point numbers, which are not exact: the sum is written if no other process was faster.
        with self._connected():
            while True:
                async with self._redis.pipeline(transaction=True) as pipeline:
                    try:
                        await pipeline.watch(key)
                        total = _read_dollars(await pipeline.get(key)) + cost
                        pipeline.multi()
                        pipeline.set(key, f"{total:f}")
                        await pipeline.execute()
                        return
                    except self._conflict:
                        continue

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()


def _read_turn(value: bytes) -> KeptTurn:
    shape = json.loads(value)
    sampled = None if shape["sampled"] is None else array("I", base64.b64decode(shape["sampled"]))
    return KeptTurn(tuple(shape["parts"]), sampled)


def _read_dollars(value: bytes | None) -> Decimal:
    return Decimal(0) if value is None else Decimal(value.decode())

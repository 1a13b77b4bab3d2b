"""The SDK's clients, built from a key and an address. The only module that looks for the key."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import anyio
import httpx
import together

from motet.errors import ConfigError, MissingKeyError
from motet.together.transport import bounded_body
from motet.together.transport.deadline import install

__all__ = ["Address", "Connection", "LoopClients", "address_of"]

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 60.0
"""Seconds to connect, and between two chunks of a response: the SDK's own values."""
KEEP_ALIVE_SECONDS = 4.0
"""How long an idle connection is kept. Less than the 5 seconds after which uvicorn closes it, under vLLM and SGLang: a
request that is sent at that moment is lost, and must not be repeated, as it may be billed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is."""

    url: str
    """The prefix of its pages, without the `/v1` that the SDK adds to each path."""
    has_version: bool = True
    """False if the pages stand directly under `url`: the SDK's `/v1` is removed from each path."""

    @classmethod
    def of(cls, base_url: str) -> Address:
        """From an address as users write it: a bare host gets `/v1`; a path is used unchanged; the path of an endpoint
        (`/chat/completions`, `/completions`, `/models`, `/responses`) is cut off. Raises `ConfigError`."""
        text = base_url.strip()
        try:
            parts = urlsplit(text)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            # `urlsplit` drops line breaks and tabs, and takes other characters that no address may have.
            valid = valid and text.isprintable() and " " not in text and bool(httpx.URL(text).host)
        except (ValueError, httpx.InvalidURL):
            valid = False
        if not valid:
            raise ConfigError(f"base_url must be an address as https://api.together.ai, not {base_url!r}")
        if parts.username or parts.password:
            raise ConfigError("base_url must hold no user and no password; give the key as api_key")
        if parts.query or parts.fragment:
            raise ConfigError(f"base_url must end with the path: {base_url!r}; give a key as api_key or in headers")
        path = _ENDPOINT.sub("", parts.path.rstrip("/")).rstrip("/")
        has_version = path in ("", "/v1") or path.endswith("/v1")
        prefix = path.removesuffix("/v1").rstrip("/") if has_version else path
        return cls(f"{parts.scheme}://{parts.netloc}{prefix}", has_version)

    def strip_version(self, request: httpx.Request) -> None:
        """An event hook for `httpx.Client`: removes the SDK's `/v1` from the path of a request to this address."""
        base = httpx.URL(self.url)
        prefix, path = base.raw_path.rstrip(b"/"), request.url.raw_path
        if (request.url.scheme, request.url.netloc) == (base.scheme, base.netloc) and path.startswith(prefix + b"/v1/"):
            request.url = request.url.copy_with(raw_path=prefix + path.removeprefix(prefix + b"/v1"))


_ENDPOINT = re.compile(r"/(chat/completions|completions|models|responses|messages)$")


@dataclass(frozen=True, slots=True)
class Connection:
    """What both clients of the SDK are built from."""

    api_key: str | Callable[[], str] | None = field(default=None, repr=False)
    base_url: str | Address | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    transport: httpx.BaseTransport | None = None
    async_transport: httpx.AsyncBaseTransport | None = None

    def build(self) -> together.Together:
        """A client of the SDK. Raises `MissingKeyError` before anything is built."""
        sdk, http = self._settings(self.transport)
        hooks: dict[str, list[Any]] = {"response": [bounded_body.guard], "request": []}
        if (address := self.address) is not None and not address.has_version:
            hooks["request"].append(address.strip_version)
        http_client = httpx.Client(**http, transport=self.transport, event_hooks=hooks)
        install(http_client)
        return together.Together(**sdk, http_client=http_client)

    def build_async(self) -> together.AsyncTogether:
        """`build`, for the SDK's async client."""
        sdk, http = self._settings(self.async_transport)
        hooks: dict[str, list[Any]] = {"response": [bounded_body.aguard], "request": []}
        if (address := self.address) is not None and not address.has_version:

            async def strip_version(request: httpx.Request) -> None:
                address.strip_version(request)

            hooks["request"].append(strip_version)
        http_client = httpx.AsyncClient(**http, transport=self.async_transport, event_hooks=hooks)
        return together.AsyncTogether(**sdk, http_client=http_client)

    @property
    def address(self) -> Address | None:
        """The service's address: `base_url`, else `TOGETHER_BASE_URL`. `None`: the SDK's default."""
        if isinstance(self.base_url, Address):
            return self.base_url
        url = self.base_url if self.base_url is not None else os.environ.get("TOGETHER_BASE_URL")
        return Address.of(url) if url else None

    def _settings(self, transport: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments of the SDK's client and of its HTTP client."""
        url = None if (address := self.address) is None else address.url
        headers = dict(self.headers) if self.headers else None
        sdk = {"api_key": _key(self.api_key, url, transport), "base_url": url, "default_headers": headers}
        http = {
            # A redirect would carry the conversation to another host.
            "follow_redirects": False,
            "timeout": httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
            "limits": httpx.Limits(
                max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEEP_ALIVE_SECONDS
            ),
            "headers": {"accept-encoding": bounded_body.ACCEPTED_ENCODING},
        }
        return sdk, http


class LoopClients:
    """Async clients of the SDK, one for each event loop: a connection belongs to the loop that opened it.

    Threads with loops of their own, and async tools of a sync run, use one backend in several loops. The clients of a
    loop close with it: `asyncio.run` closes the async generators of its loop, and each client is held by one.
    """

    def __init__(self, build: Callable[[], together.AsyncTogether]) -> None:
        self._build = build
        self._clients: WeakKeyDictionary[Any, together.AsyncTogether] = WeakKeyDictionary()
        self._keepers: WeakKeyDictionary[Any, AsyncGenerator[None, None]] = WeakKeyDictionary()
        self._locks: WeakKeyDictionary[Any, anyio.Lock] = WeakKeyDictionary()
        self._without_loop: together.AsyncTogether | None = None

    def get(self) -> together.AsyncTogether:
        """The client of the running event loop, or one for use without asyncio."""
        loop = _running_loop()
        if loop is None:
            self._without_loop = self._without_loop or self._build()
            return self._without_loop
        if loop not in self._clients:
            # A client that was made before the loop ran is used in the first one.
            self._clients[loop], self._without_loop = self._without_loop or self._build(), None
        return self._clients[loop]

    async def open(self) -> together.AsyncTogether:
        """`get`, for requests: the client closes with its event loop."""
        client, loop = self.get(), _running_loop()
        if loop is not None and loop not in self._keepers:
            self._keepers[loop] = _kept_open(client)
            await anext(self._keepers[loop])
        return client

    def lock(self) -> anyio.Lock:
        """A lock among the tasks of the running event loop."""
        loop = _running_loop()
        return anyio.Lock() if loop is None else self._locks.setdefault(loop, anyio.Lock())

    @property
    def any(self) -> together.AsyncTogether | None:
        """One of the clients, if there are any."""
        return next(iter(self._clients.values()), self._without_loop)

    async def aclose(self) -> None:
        """Closes the client of the running event loop, and the one without a loop."""
        loop = _running_loop()
        client, keeper = self._clients.pop(loop, None), self._keepers.pop(loop, None)
        if keeper is not None:
            await keeper.aclose()
        elif client is not None:
            await client.close()
        if self._without_loop is not None:
            await self._without_loop.close()
            self._without_loop = None


def _running_loop() -> Any:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _kept_open(client: together.AsyncTogether) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.close()


def address_of(sdk: together.Together | together.AsyncTogether) -> Address | None:
    """The address of a client. `None`: the SDK's default, which has one host for chat and one for the rest."""
    url = str(sdk.base_url).rstrip("/")
    return None if url == "https://api.together.ai" else Address(url)


def _key(key: str | Callable[[], str] | None, base_url: str | None, transport: object) -> str:
    """The API key: `key`, else `TOGETHER_API_KEY`; the variables of other vendors are never read."""
    value = key() if callable(key) else key if key is not None else os.environ.get("TOGETHER_API_KEY") or None
    if value is None and ((base_url is not None and _is_local(base_url)) or not getattr(transport, "needs_key", True)):
        # Servers on this machine and replayed cassettes need no key, but the SDK requires one.
        return "none"
    if not value or not value.strip():
        raise MissingKeyError("TOGETHER_API_KEY is not set; set it, or give api_key=")
    value = value.strip()
    if any(c.isspace() or not c.isprintable() or ord(c) > 126 for c in value):
        raise MissingKeyError("the API key holds characters that no key has; was it pasted whole?")
    return value


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")

"""The SDK's clients: built from a key and an address, or given. Here the key is looked for, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import together

from motet.errors import ConfigError, MissingKeyError
from motet.together.transport import bounded_body as inflate
from motet.together.transport import deadline

__all__ = ["address", "address_of", "build", "build_async", "normalise_base_url", "server_of"]

_CONNECT, _SILENCE = 5.0, 60.0
"""Seconds: to connect, and between two pieces of an answer. The SDK's own."""


def normalise_base_url(url: str) -> str:
    """The address as SDK 3 wants it: without the `/v1` that it adds itself."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"base_url must be an address as https://api.together.ai, not {url!r}")
    if parts.username or parts.password:
        raise ConfigError("base_url must hold no user and no password; give the key as api_key")
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def address(base_url: str | None) -> str | None:
    """The address to ask: what was given, else `TOGETHER_BASE_URL`. `None`: the SDK's own."""
    url = base_url if base_url is not None else os.environ.get("TOGETHER_BASE_URL")
    return normalise_base_url(url) if url else None


def address_of(sdk: together.Together | together.AsyncTogether) -> str | None:
    """The address that a client asks. `None`: the SDK's own, which are two."""
    url = str(sdk.base_url).rstrip("/")
    return None if url == "https://api.together.ai" else url


def _key(given: str | Callable[[], str] | None, base_url: str | None, transport: object) -> str:
    """The key: what was given, else `TOGETHER_API_KEY`. No other vendor's is ever looked at."""
    key = given() if callable(given) else given if given is not None else os.environ.get("TOGETHER_API_KEY") or None
    if key is None and ((base_url is not None and _is_local(base_url)) or not getattr(transport, "needs_key", True)):
        # A server on this machine asks for none, nor does a cassette that is played; and the SDK wants one.
        return "none"
    if not key or not key.strip():
        raise MissingKeyError("TOGETHER_API_KEY is not set; set it, or give api_key=")
    key = key.strip()
    if any(c.isspace() or not c.isprintable() or ord(c) > 126 for c in key):
        raise MissingKeyError("the API key holds characters that no key has; was it pasted whole?")
    return key


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _settings(
    api_key: str | Callable[[], str] | None, base_url: str | None, transport: object, headers: dict[str, str] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both clients are built from: for the SDK, and for its HTTP client."""
    url = address(base_url)
    sdk = {"api_key": _key(api_key, url, transport), "base_url": url, "default_headers": headers}
    # A redirect would carry the conversation to wherever it points.
    http = {
        "follow_redirects": False,
        "timeout": httpx.Timeout(_SILENCE, connect=_CONNECT),
        "limits": httpx.Limits(max_connections=1000, max_keepalive_connections=100),
        "headers": {"accept-encoding": inflate.ACCEPTED},
    }
    return sdk, http


def build(
    api_key: str | Callable[[], str] | None,
    base_url: str | None,
    transport: httpx.BaseTransport | None,
    headers: dict[str, str] | None,
) -> together.Together:
    """A client of the SDK. Raises `MissingKeyError` before anything is built."""
    sdk, http = _settings(api_key, base_url, transport, headers)
    hooks = {"response": [inflate.guard]}
    http_client = httpx.Client(**http, transport=transport, event_hooks=hooks)
    deadline.keep(http_client)
    return together.Together(**sdk, http_client=http_client)


def build_async(
    api_key: str | Callable[[], str] | None,
    base_url: str | None,
    transport: httpx.AsyncBaseTransport | None,
    headers: dict[str, str] | None,
) -> together.AsyncTogether:
    """`build`, for the SDK's client that is awaited."""
    sdk, http = _settings(api_key, base_url, transport, headers)
    hooks = {"response": [inflate.aguard]}
    return together.AsyncTogether(**sdk, http_client=httpx.AsyncClient(**http, transport=transport, event_hooks=hooks))


def server_of(base_url: str) -> str | None:
    """`together`, if the address is the service's own, which is the SDK's default. `None`: it has to be asked."""
    host = urlsplit(base_url).hostname
    return "together" if host is None or f".{host}".endswith((".together.ai", ".together.xyz")) else None

"""Who may use a proxy, and for how much."""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from starlette.requests import Request

from motet.errors import ConfigError
from motet.proxy.failures import RequestError
from motet.proxy.settings import ClientKey

__all__ = ["Client", "Clients"]

_LOOPBACK = ("localhost", "127.0.0.1", "::1", "testserver")
"""Names of this machine. A page whose name an attacker points to this machine has another."""


@dataclass(slots=True)
class Client:
    """A client's key, or all clients of a proxy without keys."""

    name: str
    limit: Decimal | None = None
    """US dollars for all its requests."""


class Clients:
    """The clients of a proxy by their keys. Keys are held as hashes, so that no dump of the memory shows them."""

    def __init__(self, keys: Iterable[ClientKey]) -> None:
        keys = list(keys)
        names = [key.name for key in keys]
        if len(set(names)) < len(names):
            raise ConfigError(f"each client needs a name of its own: {', '.join(names)}")
        self._clients = {_hash(key.key): Client(key.name, key.budget) for key in keys}
        self._open = Client("client")

    @property
    def needs_key(self) -> bool:
        """Whether requests must have a key."""
        return bool(self._clients)

    def authenticate(self, request: Request) -> Client:
        """The client of a request. Raises `RequestError`."""
        if not self._clients:
            _check_is_local(request)
            return self._open
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        key = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        # A lookup by hash takes the same time for all wrong keys.
        client = self._clients.get(_hash(key))
        if client is None:
            what = "the key is not known here" if key else "a key is required"
            raise RequestError(401, f"{what}; give it as a bearer token or as x-api-key", code="invalid_api_key")
        return client


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _check_is_local(request: Request) -> None:
    """Without keys, pages in a browser on this machine could spend its money: by a name of their own that points here,
    or from another origin."""
    host = _host(f"http://{request.headers.get('host', '')}")
    if host not in _LOOPBACK:
        raise RequestError(403, f"without keys only the host localhost is answered, not {host!r}")
    origin = request.headers.get("origin")
    if origin is not None and _host(origin) not in _LOOPBACK:
        raise RequestError(403, f"without keys no pages of other origins are answered: {origin!r:.80}")


def _host(url: str) -> str | None:
    try:
        return urllib.parse.urlsplit(url).hostname
    except ValueError:
        return None

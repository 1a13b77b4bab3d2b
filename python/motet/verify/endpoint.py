"""Requests to the server that is verified: plain HTTP, so that faults reach the probes as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from motet._context import Closing
from motet.errors import ConfigError
from motet.together.transport.sse import EventReader
from motet.verify.exchange import Exchange

__all__ = ["Endpoint"]


class Endpoint(Closing):
    """The pages of one server, below an address such as `http://localhost:8000/v1`."""

    def __init__(self, url: str, *, key: str | None, timeout: float) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"the address must begin with http:// or https://: {url!r}")
        path = httpx.URL(url).path.rstrip("/")
        self.url = url.rstrip("/") if path else f"{url.rstrip('/')}/v1"
        headers = {"authorization": f"Bearer {key or 'none'}"}
        self._client = httpx.Client(timeout=timeout, headers=headers, follow_redirects=False)
        self.requests = 0

    def get(self, page: str, **headers: str) -> Exchange:
        self.requests += 1
        return _exchange(self._client.get(f"{self.url}/{page}", headers=headers))

    def post(self, page: str, body: Mapping[str, Any] | bytes, **headers: str) -> Exchange:
        """Sends a JSON value, or bytes as if they were JSON."""
        self.requests += 1
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **headers}
        return _exchange(self._client.post(f"{self.url}/{page}", content=data, headers=headers))

    def hang_up(self, page: str, body: Mapping[str, Any]) -> None:
        """Closes the connection at the first bytes of a stream."""
        self.requests += 1
        with self._client.stream("POST", f"{self.url}/{page}", json=body) as response:
            next(response.iter_raw(), None)

    def close(self) -> None:
        self._client.close()


def _exchange(response: httpx.Response) -> Exchange:
    headers = {name.lower(): value for name, value in response.headers.items()}
    body, events, chunks = None, [], []
    if headers.get("content-type", "").startswith("text/event-stream"):
        reader = EventReader()
        pairs = [*reader.feed(response.content)]
        events = [(name, data.decode("utf-8", "replace")) for name, data in pairs]
        chunks = [shape for _, data in events if isinstance(shape := _json(data), Mapping)]
    else:
        body = _json(response.text)
    return Exchange(
        status=response.status_code, headers=headers, text=response.text, body=body, events=events, chunks=chunks
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

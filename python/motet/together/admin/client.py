"""One request to the pages of a service that give no answers of models: files and fine-tunes.

Sent once, and not retried: who asks knows what may be asked twice. Errors are motet's, and numbers are exact.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx
import together

from motet.errors import ApiError, ConfigError
from motet.together.backend import TogetherBackend
from motet.together.errors import bad_payload, from_exception, from_response, shown_cause
from motet.together.transport.deadline import deadline

__all__ = ["Rest", "mapped", "safe_id"]

ANSWER_TIME = 120.0
"""Seconds that an answer may take, which is small."""
_HOPS = 5
"""Redirects that are followed, for contents alone: they lie where the service says."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def safe_id(name: object, what: str) -> str:
    """An id that is nothing but an id. Raises `ConfigError` for what would be more in an address."""
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ConfigError(f"{what} must be an id as the service gives them, not {name!r:.80}")
    return name


class Rest:
    """A service's pages, each asked for once."""

    def __init__(self, backend: TogetherBackend) -> None:
        self._backend = backend

    @property
    def sdk(self) -> together.Together:
        """The SDK's client, without retries: it would send again what makes a second job."""
        return self._backend.client.with_options(max_retries=0)

    def ask(self, call: Callable[[together.Together], Any]) -> Any:
        """The JSON that answers a call of the SDK's, with numbers as they were written."""
        sdk = self.sdk
        with mapped(sdk.api_key), deadline(time.monotonic() + ANSWER_TIME):
            answer = call(sdk)
        content = getattr(answer, "http_response", answer).content
        try:
            return json.loads(content, parse_float=Decimal)
        except (ValueError, RecursionError):
            raise bad_payload("the service answers with what is no JSON", content, sdk.api_key) from None

    def one(self, call: Callable[[together.Together], Any], what: str) -> Mapping[str, Any]:
        """An object with an `id`. Raises `BadPayloadError` for anything else."""
        shape = self.ask(call)
        if not isinstance(shape, Mapping) or not isinstance(shape.get("id"), str):
            raise self.bad(f"the service's {what} is none", shape)
        return shape

    def rows(self, call: Callable[[together.Together], Any], what: str, name: str = "data") -> list[Mapping[str, Any]]:
        """The objects of a list. What is no object among them is left out; no list at all is a `BadPayloadError`."""
        shape = self.ask(call)
        rows = shape.get(name) if isinstance(shape, Mapping) and name in shape else shape
        if rows is None:
            return []
        if not isinstance(rows, list):
            raise self.bad(f"the service's list of {what} is none", shape)
        return [row for row in rows if isinstance(row, Mapping)]

    def bad(self, what: str, body: object) -> ApiError:
        return bad_payload(what, body, self._backend.client.api_key)

    @contextlib.contextmanager
    def opened(
        self, call: Callable[[together.Together], Any], headers: Mapping[str, str]
    ) -> Iterator[tuple[httpx.Response, Iterator[bytes]]]:
        """An answer and its body, which is not read yet.

        Where the service points elsewhere, the body is fetched there, without the key.
        """
        sdk = self.sdk
        with contextlib.ExitStack() as stack:
            with mapped(sdk.api_key):
                try:
                    response = stack.enter_context(call(sdk)).http_response
                except together.APIStatusError as error:
                    if not error.response.has_redirect_location:
                        raise
                    response = _elsewhere(stack, sdk, error.response, headers)
            yield response, _pieces(response, sdk.api_key)

    def put(self, url: str, body: Callable[[], Iterator[bytes]], size: int) -> str | None:
        """Sends bytes to where the service said, without the key, and gives the `ETag`.

        `body` is called for each try: a redirect wants them again from the start.
        """
        sdk = self.sdk
        with mapped(sdk.api_key):
            for _ in range(_HOPS):
                headers = {"Content-Length": str(size)}
                response = sdk._client.put(url, content=body(), headers=headers, follow_redirects=False)
                if response.is_success:
                    etag: str | None = response.headers.get("etag")
                    return etag
                if not response.has_redirect_location:
                    raise from_response(response, sdk.api_key)
                url = _target(sdk, url, response.headers["location"])
        raise ApiError(f"the store points from one place to the next, {_HOPS} times")


@contextlib.contextmanager
def mapped(key: str) -> Iterator[None]:
    """Whatever the SDK or its HTTP client raises becomes an error of motet's."""
    try:
        yield
    except Exception as error:
        found = from_exception(error, key)
        raise found from shown_cause(found, error, key)


def _pieces(response: httpx.Response, key: str) -> Iterator[bytes]:
    with mapped(key):
        yield from response.iter_bytes()


def _elsewhere(
    stack: contextlib.ExitStack, sdk: together.Together, response: httpx.Response, headers: Mapping[str, str]
) -> httpx.Response:
    for _ in range(_HOPS):
        url = _target(sdk, str(response.url), response.headers["location"])
        request = sdk._client.stream("GET", url, headers=dict(headers), follow_redirects=False)
        response = stack.enter_context(request)
        if response.is_success:
            return response
        if not response.has_redirect_location:
            response.read()
            raise from_response(response, sdk.api_key)
    raise ApiError(f"the service points from one place to the next, {_HOPS} times")


def _target(sdk: together.Together, at: str, location: str) -> str:
    """Where a redirect leads. Raises `ApiError` where that is less safe than the service itself."""
    url = str(httpx.URL(at).join(location))
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and sdk.base_url.scheme == "http"):
        raise ApiError(f"the service points to an address that is not https: {url:.200}")
    return url

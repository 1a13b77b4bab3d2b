"""Requests for files and jobs of the service.

Each is sent once: the callers know what may be sent again. Errors are motet's, and numbers are exact.
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

__all__ = ["AdminClient", "mapped_errors", "safe_id"]

RESPONSE_SECONDS = 120.0
"""For a whole response; these are small."""
_MAX_REDIRECTS = 5
"""Followed for file contents only, which are in a store that the service names."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def safe_id(name: object, what: str) -> str:
    """The id, if it cannot change a URL's path or query. Raises `ConfigError`."""
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ConfigError(f"{what} must be an id of the service: {name!r:.80}")
    return name


class AdminClient:
    """A service's routes beside inference."""

    def __init__(self, backend: TogetherBackend) -> None:
        self._backend = backend

    @property
    def sdk(self) -> together.Together:
        """The SDK's client, without retries: a second request may make a second job."""
        return self._backend.client.with_options(max_retries=0)

    def json(self, call: Callable[[together.Together], Any]) -> Any:
        """The JSON of the response to an SDK call. Fractions are `Decimal`s."""
        sdk = self.sdk
        with mapped_errors(sdk.api_key), deadline(time.monotonic() + RESPONSE_SECONDS):
            response = call(sdk)
        content = getattr(response, "http_response", response).content
        try:
            return json.loads(content, parse_float=Decimal)
        except (ValueError, RecursionError):
            raise bad_payload("the service's response is not valid JSON", content, sdk.api_key) from None

    def item(self, call: Callable[[together.Together], Any], what: str) -> Mapping[str, Any]:
        """An object with an `id`. Raises `BadPayloadError` for anything else."""
        shape = self.json(call)
        if not isinstance(shape, Mapping) or not isinstance(shape.get("id"), str):
            raise self.unexpected(what, shape)
        return shape

    def rows(self, call: Callable[[together.Together], Any], what: str, name: str = "data") -> list[Mapping[str, Any]]:
        """The objects of a list; other items are left out. Raises `BadPayloadError` for anything but a list."""
        shape = self.json(call)
        rows = shape.get(name) if isinstance(shape, Mapping) and name in shape else shape
        if rows is None:
            return []
        if not isinstance(rows, list):
            raise self.unexpected(what, shape)
        return [row for row in rows if isinstance(row, Mapping)]

    def unexpected(self, what: str, body: object) -> ApiError:
        """The error for a response that is valid, but not what was asked for."""
        return bad_payload(f"unexpected response for {what}", body, self._backend.client.api_key)

    @contextlib.contextmanager
    def stream(
        self, call: Callable[[together.Together], Any], headers: Mapping[str, str]
    ) -> Iterator[tuple[httpx.Response, Iterator[bytes]]]:
        """A response and the chunks of its body. A redirect to a store is followed without the key."""
        sdk = self.sdk
        with contextlib.ExitStack() as stack:
            with mapped_errors(sdk.api_key):
                try:
                    response = stack.enter_context(call(sdk)).http_response
                except together.APIStatusError as error:
                    if not error.response.has_redirect_location:
                        raise
                    response = _follow(stack, sdk, error.response, headers)
            yield response, _chunks(response, sdk.api_key)

    def put(self, url: str, body: Callable[[], Iterator[bytes]], size: int) -> str | None:
        """Sends bytes to a store, without the key, and returns their `ETag`. `body` is called again for a redirect."""
        sdk = self.sdk
        with mapped_errors(sdk.api_key):
            for _ in range(_MAX_REDIRECTS):
                headers = {"Content-Length": str(size)}
                response = sdk._client.put(url, content=body(), headers=headers, follow_redirects=False)
                if response.is_success:
                    etag: str | None = response.headers.get("etag")
                    return etag
                if not response.has_redirect_location:
                    raise from_response(response, sdk.api_key)
                url = _redirect_target(sdk, url, response.headers["location"])
        raise _too_many_redirects()


@contextlib.contextmanager
def mapped_errors(key: str) -> Iterator[None]:
    """Raises motet's errors for those of the SDK and its HTTP client."""
    try:
        yield
    except Exception as error:
        mapped = from_exception(error, key)
        raise mapped from shown_cause(mapped, error, key)


def _chunks(response: httpx.Response, key: str) -> Iterator[bytes]:
    with mapped_errors(key):
        yield from response.iter_bytes()


def _follow(
    stack: contextlib.ExitStack, sdk: together.Together, response: httpx.Response, headers: Mapping[str, str]
) -> httpx.Response:
    for _ in range(_MAX_REDIRECTS):
        url = _redirect_target(sdk, str(response.url), response.headers["location"])
        request = sdk._client.stream("GET", url, headers=dict(headers), follow_redirects=False)
        response = stack.enter_context(request)
        if response.is_success:
            return response
        if not response.has_redirect_location:
            response.read()
            raise from_response(response, sdk.api_key)
    raise _too_many_redirects()


def _too_many_redirects() -> ApiError:
    return ApiError(f"more than {_MAX_REDIRECTS} redirects to a store")


def _redirect_target(sdk: together.Together, url: str, location: str) -> str:
    """The URL of a redirect. Raises `ApiError` if it is less secure than the service."""
    target = str(httpx.URL(url).join(location))
    scheme = urlsplit(target).scheme
    if scheme != "https" and not (scheme == "http" and sdk.base_url.scheme == "http"):
        raise ApiError(f"the service redirects to an address that is not https: {target:.200}")
    return target

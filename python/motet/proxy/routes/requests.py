"""What the routes of all APIs share: the body of a request, its client, and errors in the API's shape."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from motet._surrogates import is_unicode, joined_surrogates
from motet.dialects.api_request import ApiRequest
from motet.dialects.replies import ApiFailure
from motet.proxy.clients import Client, Clients
from motet.proxy.exchange import Api, Exchange, Services
from motet.proxy.failures import FAULT, RequestError, failure_of
from motet.proxy.streaming import ExchangeResponse, error_response

__all__ = ["ReadingApi", "answer", "clients_of", "guarded", "read_json", "services_of", "without_tools"]

log = logging.getLogger("motet.proxy")


class ReadingApi(Api, Protocol):
    """An API with the reader of its requests."""

    async def read(self, body: Any, services: Services, client: Client) -> ApiRequest:
        """The request of a body."""


def services_of(request: Request) -> Services:
    """What all requests of the proxy share."""
    services: Services = request.app.state.services
    return services


def clients_of(request: Request) -> Clients:
    """The proxy's clients."""
    clients: Clients = request.app.state.clients
    return clients


async def answer(request: Request, api: ReadingApi) -> Response:
    """Reads a request and starts its exchange."""

    async def start(client: Client) -> Response:
        services = services_of(request)
        body = without_tools(await read_json(request, services), services.settings.ignored_tools, api.name)
        api_request = await api.read(body, services, client)
        target = services.upstreams.target(api_request.model)
        return ExchangeResponse(Exchange(services, api, api_request, client, target))

    return await guarded(request, api, start)


def without_tools(body: Any, ignored: Collection[str], api: str) -> Any:
    """The body without the tools of these types."""
    tools = body.get("tools") if ignored and isinstance(body, dict) else None
    if not isinstance(tools, list):
        return body
    kept = [tool for tool in tools if not (isinstance(tool, dict) and tool.get("type") in ignored)]
    if len(kept) < len(tools):
        log.info("%s: %d tools of the types %s are ignored", api, len(tools) - len(kept), ", ".join(sorted(ignored)))
    return {**body, "tools": kept}


async def guarded(request: Request, api: Api, handle: Callable[[Client], Awaitable[Response]]) -> Response:
    """The response of a handler for the request's client; failures in the shape of the API."""
    request_id = uuid.uuid4().hex
    if {"content-length", "transfer-encoding"} <= set(request.headers.keys()):
        # A server in front may have read the other length, and another request from the rest.
        refusal = ApiFailure(400, "content-length and transfer-encoding exclude each other")
        response = error_response(api, refusal, request_id)
        response.headers["connection"] = "close"
        return response
    try:
        return await handle(clients_of(request).authenticate(request))
    except ClientDisconnect:
        services_of(request).statistics.record_hang_up()
        return Response(status_code=400)
    except Exception as error:
        failure = failure_of(error)
        if failure is FAULT:
            log.exception("%s id=%s failed", api.name, request_id)
        else:
            log.warning("%s %d id=%s %s: %s", api.name, failure.status, request_id, type(error).__name__, error)
        statistics = services_of(request).statistics
        statistics.record(api=api.name, model="", client="", status=failure.status, seconds=0.0)
        return error_response(api, failure, request_id)


async def read_json(request: Request, services: Services) -> Any:
    """The JSON value of the body. Raises `RequestError` for another type, for too many bytes, and for slow ones."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Pages of other origins can send forms and plain text without being asked, and no JSON.
        raise RequestError(415, f"the content type must be application/json: {kind!r:.80}")
    limit = services.settings.max_body_bytes
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(services.settings.body_timeout):
            async for chunk in request.stream():
                size += len(chunk)
                # The rest is read and dropped: a client that is still sending would not see the answer.
                if size <= limit:
                    body += chunk
                else:
                    body.clear()
    except TimeoutError:
        seconds = services.settings.body_timeout
        raise RequestError(408, f"the body did not arrive within {seconds:g} s") from None
    if size > limit:
        raise RequestError(413, f"the body has more than {limit} bytes")
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
        return _without_halves(value) if b"\\ud" in body.lower() else value
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is not valid JSON: {error}") from None


def _refuse_constant(name: str) -> None:
    """Python reads `NaN` and `Infinity`, which no other parser takes back."""
    raise ValueError(f"{name} is not a JSON value")


def _without_halves(value: Any) -> Any:
    """The value with U+FFFD for halves of surrogate pairs: programs in JavaScript cut long results within a character,
    and no tokenizer reads the rest."""
    text = json.dumps(value, ensure_ascii=False)
    return value if is_unicode(text) else json.loads(joined_surrogates(text))

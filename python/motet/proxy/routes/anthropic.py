"""`/v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from motet.dialects.anthropic_requests import read_anthropic_request
from motet.proxy.apis import AnthropicApi
from motet.proxy.clients import Client
from motet.proxy.exchange import Exchange
from motet.proxy.routes.requests import answer, guarded, read_json, services_of, without_tools

__all__ = ["ROUTES"]


async def create(request: Request) -> Response:
    """A message."""
    return await answer(request, AnthropicApi())


async def count_tokens(request: Request) -> Response:
    """The tokens of a prompt, counted without sending it."""
    api = AnthropicApi()

    async def handle(client: Client) -> Response:
        services = services_of(request)
        body = without_tools(await read_json(request, services), services.settings.ignored_tools, api.name)
        api_request = read_anthropic_request(body, counts_only=True)
        target = services.upstreams.target(api_request.model)
        tokens = await Exchange(services, api, api_request, client, target).count()
        return JSONResponse({"input_tokens": tokens})

    return await guarded(request, api, handle)


ROUTES = [
    Route("/v1/messages", create, methods=["POST"]),
    Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
]

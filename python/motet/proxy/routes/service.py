"""`/v1/models`, `/health` and `/metrics`."""

from __future__ import annotations

import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from motet import _core
from motet.backend import Model
from motet.proxy.apis import AnthropicApi, ChatApi
from motet.proxy.clients import Client
from motet.proxy.exchange import Api
from motet.proxy.failures import RequestError
from motet.proxy.routes.requests import guarded, services_of

__all__ = ["ROUTES"]

RELEASED = datetime.datetime(2025, 8, 5, tzinfo=datetime.UTC)
"""Of gpt-oss. Both APIs require a time for each model, and most servers send none."""


def _api(request: Request) -> Api:
    """The API that a client speaks where both have the same address."""
    return AnthropicApi() if "anthropic-version" in request.headers else ChatApi()


def _shape(model: Model, request: Request) -> dict[str, Any]:
    if "anthropic-version" in request.headers:
        created = RELEASED.isoformat().replace("+00:00", "Z")
        shape: dict[str, Any] = {"type": "model", "id": model.id, "display_name": model.id, "created_at": created}
        return {**shape, "lifecycle": "active", "max_input_tokens": model.context}
    return {
        "id": model.id,
        "object": "model",
        "created": int(RELEASED.timestamp()),
        "owned_by": model.owner or "motet",
    }


async def list_models(request: Request) -> Response:
    """The models of the upstreams."""

    async def handle(client: Client) -> Response:
        data = [_shape(model, request) for model in await services_of(request).upstreams.list_models()]
        if "anthropic-version" not in request.headers:
            return JSONResponse({"object": "list", "data": data})
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return JSONResponse({"data": data, "has_more": False, **ends})

    return await guarded(request, _api(request), handle)


async def retrieve_model(request: Request) -> Response:
    """One model."""

    async def handle(client: Client) -> Response:
        name = request.path_params["name"]
        models = await services_of(request).upstreams.list_models()
        model = next((model for model in models if model.id == name), None)
        if model is None:
            raise RequestError(404, f"no upstream lists the model {name!r:.80}", "model", "model_not_found")
        return JSONResponse(_shape(model, request))

    return await guarded(request, _api(request), handle)


async def health(request: Request) -> Response:
    """That the proxy runs. Needs no key, and says nothing of upstreams."""
    return JSONResponse({"status": "ok", "version": _core.__version__})


async def metrics(request: Request) -> Response:
    """The figures since the start, for Prometheus."""

    async def handle(client: Client) -> Response:
        text = services_of(request).statistics.text()
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return await guarded(request, ChatApi(), handle)


ROUTES = [
    Route("/v1/models", list_models, methods=["GET"]),
    Route("/v1/models/{name:path}", retrieve_model, methods=["GET"]),
    Route("/health", health, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
]

"""The ASGI application of a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from motet.dialects.replies import ApiFailure
from motet.errors import ConfigError
from motet.proxy.activity import Activity
from motet.proxy.apis import AnthropicApi, ChatApi
from motet.proxy.clients import Clients
from motet.proxy.conversations import Conversations
from motet.proxy.exchange import Services
from motet.proxy.routes import anthropic, chat, page, responses, service
from motet.proxy.settings import ClientKey, ProxySettings, Upstream
from motet.proxy.state import State
from motet.proxy.statistics import Statistics
from motet.proxy.stores import open_state
from motet.proxy.streaming import error_response
from motet.proxy.upstreams import Upstreams

__all__ = ["app"]

WRITE_SECONDS = 1.0
"""Between two writes of the figures for other workers."""


def app(
    upstream: Upstream | str | None = None,
    *,
    models: Mapping[str, Upstream | str] | None = None,
    keys: Iterable[ClientKey | str] = (),
    state: State | str | Path | None = None,
    **settings: Any,
) -> Starlette:
    """A proxy as an ASGI application, to be served or mounted: `Mount("/llm", motet.proxy.app("http://gpu:8000"))`.

    - `upstream`: the server of all models without one of their own: its address, or an `Upstream`.
    - `models`: servers by the names of models that clients give.
    - `keys`: the keys of clients: `ClientKey`s, or texts as `NAME:KEY:DOLLARS`. Without keys, requests must name the
      host `localhost`; the address on which the application is served is for the server to choose.
    - `state`: where responses, reasoning and budgets are kept: a path of a SQLite file, the address of a Redis
      (`redis://...`) or PostgreSQL (`postgresql://...`) server, or a `State`. Default: in memory, until the process
      ends.
    - `settings`: the fields of `ProxySettings`: `max_body_bytes`, `timeout`, `reasoning_key`, ...

    Raises `ConfigError`. Connections are opened on use, and closed when the application shuts down.
    """
    unknown = sorted(set(settings) - set(ProxySettings.__dataclass_fields__))
    if unknown:
        known = ", ".join(ProxySettings.__dataclass_fields__)
        raise ConfigError(f"unknown setting {', '.join(unknown)}; settings are {known}")
    upstreams = Upstreams(
        None if upstream is None else Upstream.of(upstream),
        {name: Upstream.of(server) for name, server in (models or {}).items()},
    )
    store = open_state(state) if state is None or isinstance(state, str | Path) else state
    chosen = ProxySettings(**settings)
    statistics = Statistics(chosen.figures_folder)
    activity = Activity(chosen.figures_folder) if chosen.page else None
    services = Services(chosen, upstreams, store, Conversations(store), statistics, activity=activity)
    clients = Clients([ClientKey.of(key) if isinstance(key, str) else key for key in keys])

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # Opens the store: one that cannot be written stops the start, and not the first request.
        await store.spent("")
        writing = asyncio.create_task(_write_figures(services))
        try:
            yield
        finally:
            writing.cancel()
            statistics.write()
            await upstreams.aclose()
            await store.aclose()

    routes = [*chat.ROUTES, *responses.ROUTES, *anthropic.ROUTES, *service.ROUTES]
    if chosen.page:
        routes += page.ROUTES
    application = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _refuse})
    application.state.services = services
    application.state.clients = clients
    return application


async def _write_figures(services: Services) -> None:
    while True:
        await asyncio.sleep(WRITE_SECONDS)
        services.statistics.write()
        if services.activity is not None:
            services.activity.write()


async def _refuse(request: Request, error: Exception) -> Response:
    """The answer for an address or a method that the proxy does not have."""
    is_anthropic = "anthropic-version" in request.headers or request.url.path.endswith("/messages")
    api = AnthropicApi() if is_anthropic else ChatApi()
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"the proxy has no {request.method} {request.url.path[:200]}"
    return error_response(api, ApiFailure(status, message, code="unknown_url"), "none")

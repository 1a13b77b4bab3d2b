"""`/v1/chat/completions`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet.proxy.apis import ChatApi
from motet.proxy.routes.requests import answer

__all__ = ["ROUTES"]


async def create(request: Request) -> Response:
    """A chat completion."""
    return await answer(request, ChatApi())


ROUTES = [Route("/v1/chat/completions", create, methods=["POST"])]

"""`/v1/responses`, and the responses that are stored."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from motet.proxy.apis import ResponsesApi
from motet.proxy.clients import Client
from motet.proxy.failures import RequestError
from motet.proxy.routes.requests import answer, guarded, services_of
from motet.proxy.state import StoredResponse

__all__ = ["ROUTES"]

MAX_ITEMS = 100
"""Input items of a page, as in the API."""


async def create(request: Request) -> Response:
    """A response."""
    return await answer(request, ResponsesApi())


async def _stored(request: Request, client: Client) -> StoredResponse:
    id = request.path_params["id"]
    response = await services_of(request).state.get_response(client.name, id)
    if response is None:
        raise RequestError(404, f"the response {id!r:.80} is not stored", code="not_found")
    return response


async def retrieve(request: Request) -> Response:
    """A stored response."""

    async def handle(client: Client) -> Response:
        if request.query_params.get("stream", "false").lower() == "true":
            raise RequestError(400, "stream is not supported: a stored response is sent whole", "stream")
        return JSONResponse((await _stored(request, client)).response)

    return await guarded(request, ResponsesApi(), handle)


async def delete(request: Request) -> Response:
    """Removes a stored response."""

    async def handle(client: Client) -> Response:
        id = request.path_params["id"]
        if not await services_of(request).state.delete_response(client.name, id):
            raise RequestError(404, f"the response {id!r:.80} is not stored", code="not_found")
        return JSONResponse({"id": id, "object": "response", "deleted": True})

    return await guarded(request, ResponsesApi(), handle)


async def list_items(request: Request) -> Response:
    """The items of a stored response's input, in pages."""

    async def handle(client: Client) -> Response:
        return JSONResponse(_page((await _stored(request, client)).input, request))

    return await guarded(request, ResponsesApi(), handle)


def _page(items: object, request: Request) -> dict[str, object]:
    query = request.query_params
    limit = query.get("limit", "20")
    if not limit.isascii() or not limit.isdecimal() or not 1 <= int(limit[:4]) <= MAX_ITEMS:
        raise RequestError(400, f"limit must be from 1 to {MAX_ITEMS}: {limit!r:.20}", "limit")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise RequestError(400, f"order must be 'asc' or 'desc': {order!r:.20}", "order")
    rows = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    rows = rows if order == "asc" else rows[::-1]
    ids = [row["id"] for row in rows]
    after = query.get("after")
    if after is not None:
        if after not in ids:
            raise RequestError(400, f"after must be the id of an item: {after!r:.80}", "after")
        rows = rows[ids.index(after) + 1 :]
    page = rows[: int(limit)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(page) < len(rows),
    }


ROUTES = [
    Route("/v1/responses", create, methods=["POST"]),
    Route("/v1/responses/{id}", retrieve, methods=["GET"]),
    Route("/v1/responses/{id}", delete, methods=["DELETE"]),
    Route("/v1/responses/{id}/input_items", list_items, methods=["GET"]),
]

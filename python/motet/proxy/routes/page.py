"""`/`, a page that shows what passes now, and `/activity`, from which it reads."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from motet.proxy.apis import ChatApi
from motet.proxy.clients import Client
from motet.proxy.routes.requests import guarded, services_of

__all__ = ["ROUTES"]


@functools.cache
def _page() -> tuple[str, dict[str, str]]:
    """The page, and the headers that let a browser run its own script and nothing else."""
    html = files("motet.proxy").joinpath("page.html").read_text("utf-8")
    hashes = {}
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        hashes[tag] = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return html, headers


async def show_page(request: Request) -> Response:
    """The page. It has no figures of its own, so it needs no key."""
    html, headers = _page()
    return HTMLResponse(html, headers=headers)


async def activity(request: Request) -> Response:
    """The requests of all clients, as figures, for every client: as `/metrics`."""

    async def handle(client: Client) -> Response:
        services = services_of(request)
        rows = [] if services.activity is None else services.activity.rows()
        body = {"totals": services.statistics.total().summary(), "rows": rows, "now": services.clock()}
        return JSONResponse(body, headers={"cache-control": "no-store"})

    return await guarded(request, ChatApi(), handle)


ROUTES = [Route("/", show_page, methods=["GET"]), Route("/activity", activity, methods=["GET"])]

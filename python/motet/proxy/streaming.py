"""The response to a client: an exchange that runs while the client listens."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from contextlib import aclosing
from decimal import Decimal

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from motet.dialects.replies import ApiFailure, compact_json
from motet.proxy.exchange import Api, Exchange
from motet.proxy.failures import FAULT, failure_of

__all__ = ["ExchangeResponse", "error_response"]

log = logging.getLogger("motet.proxy")

MAX_REPAIRS_SHOWN = 20
"""Codes in the header: a header line must stay short."""


def error_response(api: Api, failure: ApiFailure, request_id: str) -> Response:
    """An error in the shape of an API."""
    headers = {"x-request-id": request_id, "request-id": request_id}
    if failure.retry_after is not None:
        headers["retry-after"] = str(math.ceil(failure.retry_after))
    return JSONResponse(api.error(failure, request_id), failure.status, headers)


class ExchangeResponse(Response):
    """Runs an exchange. A client that closes its connection ends it, and with it the request to the upstream.

    The headers are sent with the first event, so that an upstream's refusal has its status.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange
        self._began = False
        self._silent = False
        """True if nothing was sent since the last look."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the reply, unless the client leaves before."""
        statistics = self._exchange.services.statistics
        statistics.running += 1
        activity = self._exchange.services.activity
        if activity is not None:
            activity.begin(self._exchange)
        reply = asyncio.ensure_future(self._reply(scope, receive, send))
        others = [asyncio.ensure_future(_until_disconnect(receive))]
        if self._exchange.request.stream:
            others.append(asyncio.ensure_future(self._beat(send)))
        try:
            await asyncio.wait([reply, others[0]], return_when=asyncio.FIRST_COMPLETED)
            if not reply.done():
                statistics.record_hang_up()
                log.info("%s id=%s: the client hung up", self._exchange.api.name, self._exchange.id)
        finally:
            for task in [reply, *others]:
                task.cancel()
            results = await asyncio.gather(reply, *others, return_exceptions=True)
            statistics.running -= 1
            if activity is not None:
                activity.end(self._exchange)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _reply(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange
        try:
            if exchange.request.stream:
                await self._stream(send)
            else:
                shape = await exchange.whole()
                body = compact_json(shape).encode()
                response = Response(body, 200, self._reply_headers(), "application/json")
                await response(scope, receive, send)
        except Exception as error:
            failure = failure_of(error)
            if failure is FAULT:
                log.exception("%s id=%s failed", exchange.api.name, exchange.id)
            exchange.record(failure.status, error)
            if not self._began:
                await error_response(exchange.api, failure, exchange.id)(scope, receive, send)
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, send: Send) -> None:
        exchange = self._exchange
        async with aclosing(exchange.shapes()) as events:
            async for shapes in events:
                if exchange.writer is None:
                    continue
                if not self._began:
                    await self._begin(send)
                self._silent = False
                body = b"".join(map(exchange.writer.encode, shapes))
                await send({"type": "http.response.body", "body": body, "more_body": True})
        trailer = b"" if exchange.writer is None else exchange.writer.trailer
        await send({"type": "http.response.body", "body": trailer + self._remarks(), "more_body": False})

    async def _begin(self, send: Send) -> None:
        self._began = True
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            **self._reply_headers(),
        }
        # Some reverse proxies collect a response before they pass it on, unless this asks them not to.
        headers["x-accel-buffering"] = "no"
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})

    async def _beat(self, send: Send) -> None:
        """Sends heartbeats between events that are far apart: clients and proxies close silent connections."""
        while True:
            self._silent = True
            await asyncio.sleep(self._exchange.services.settings.heartbeat)
            if self._began and self._silent:
                body = self._exchange.api.heartbeat
                await send({"type": "http.response.body", "body": body, "more_body": True})

    def _reply_headers(self) -> dict[str, str]:
        exchange = self._exchange
        headers = {"x-request-id": exchange.id, "request-id": exchange.id}
        if exchange.end is not None and exchange.answer is not None:
            headers["x-motet-lane"] = exchange.answer.lane
            headers.update(_figures(exchange.repairs, exchange.cost))
        return headers

    def _remarks(self) -> bytes:
        """The figures that are known at the end of a stream only, as a comment, which clients skip."""
        figures = _figures(self._exchange.repairs, self._exchange.cost)
        return "".join([f": {name}: {value}\n" for name, value in figures.items()]).encode() + b"\n"


def _figures(repairs: Mapping[str, int], cost: Decimal | None) -> dict[str, str]:
    figures = {}
    if repairs:
        figures["x-motet-repairs"] = ", ".join(list(repairs)[:MAX_REPAIRS_SHOWN])
    if cost is not None:
        figures["x-motet-cost"] = f"{cost:f}"
    return figures


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue

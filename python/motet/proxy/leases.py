"""What one request of a client may cost: reserved in the state, so that all proxies together keep its limit."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from decimal import Decimal

from motet.asking.request import PreparedRequest
from motet.asking.usage_meter import UsageMeter
from motet.backend import Prepared
from motet.catalog import Context, Spec, speaks_harmony
from motet.errors import MaxCostError, RequestTimeoutError
from motet.limits import Budget
from motet.proxy.clients import Client
from motet.proxy.state import Funds, State, StateError

__all__ = ["Lease"]

log = logging.getLogger("motet.proxy")

LEASE_SECONDS, RENEWAL_SECONDS = 15.0, 4.0
"""How long a reservation holds, and when it is extended: that of a killed proxy is free again after 15 seconds."""
GPT_OSS_CONTEXT = 131_072
"""Tokens of prompt and answer together, of both models (their model card). It bounds the cost of a request to a server
whose context is not known: without a bound it would reserve all that is left, and others would wait for it."""
POLL_SECONDS, MAX_POLL_SECONDS = 0.05, 1.0
"""Between two attempts of a request that waits for others; doubled after each."""


class Lease:
    """The money of one request. Without a limit of the client, nothing is reserved and nothing is billed."""

    def __init__(self, state: State, client: Client, id: str) -> None:
        self._state = state
        self._client = client
        self._id = id
        self._budget: Budget | None = None
        self._spent_before = Decimal(0)
        self._renewing: asyncio.Task[None] | None = None

    async def reserve(self, prepared: PreparedRequest, rendered: Prepared) -> PreparedRequest:
        """The request with the budget that is reserved for it. Waits while other requests of the client have reserved
        too much. Raises `MaxCostError` if its limit is used up, and `RequestTimeoutError`."""
        limit = self._client.limit
        if limit is None:
            return prepared
        bounded = replace(prepared, spec=_bounded(prepared), budgets=(Budget(limit),))
        reservation = UsageMeter(rendered, bounded).reservation
        assert reservation is not None, "the meter of a request with a budget reserves"
        most = reservation.most
        if most is not None and prepared.answers_at_limit:
            # A second request, which answers where the reasoning of the first is ended, costs as much at most.
            most *= 2
        funds = await self._funds(limit, reservation.least, most, prepared.request.timeout)
        if funds.granted is None:
            raise MaxCostError(
                f"the budget of {limit} dollars is used up: {funds.spent} are spent, and this request needs "
                f"{reservation.least}",
                limit=limit,
                option="budget",
                cost=Decimal(0),
            )
        self._spent_before = limit - funds.granted
        self._budget = Budget(limit, spent=self._spent_before)
        self._renewing = asyncio.create_task(self._renew())
        return replace(prepared, budgets=(self._budget,))

    async def _funds(self, limit: Decimal, least: Decimal, most: Decimal | None, timeout: float | None) -> Funds:
        pause = POLL_SECONDS
        try:
            async with asyncio.timeout(timeout):
                while True:
                    funds = await self._state.reserve(
                        self._client.name, self._id, limit=limit, least=least, most=most, seconds=LEASE_SECONDS
                    )
                    if funds.granted is not None or not funds.reserved:
                        return funds
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, MAX_POLL_SECONDS)
        except TimeoutError:
            raise RequestTimeoutError(
                f"other requests kept the budget reserved for {timeout:g} s; nothing was sent", cost=Decimal(0)
            ) from None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            try:
                await self._state.renew(self._client.name, self._id, LEASE_SECONDS)
            except StateError as error:
                log.warning("the reservation of %s is not renewed: %s", self._id, error)

    async def settle(self) -> None:
        """Bills what the request has cost, once."""
        budget, renewing = self._budget, self._renewing
        if budget is None or renewing is None:
            return
        await self._state.settle(self._client.name, self._id, budget.spent - self._spent_before)
        renewing.cancel()
        self._budget = None


def _bounded(prepared: PreparedRequest) -> Spec:
    """The spec with the context of gpt-oss, if that is the model and its server's context is not known."""
    spec, request = prepared.spec, prepared.request
    is_harmony = speaks_harmony(request.model) if request.harmony is None else request.harmony
    if not is_harmony or spec.gain.size.context.tokens is not None:
        return spec
    size = replace(spec.gain.size, context=Context(GPT_OSS_CONTEXT))
    return replace(spec, gain=replace(spec.gain, size=size))

"""Budgets reserve before a request is sent: concurrent requests wait, are refused unsent, and are never cut."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

import motet
from motet.testing import Turn
from tests.support.server_scripts import asking, final

ANSWER = final("word " * 20)
MAX_TOKENS = 40


def worst_cost(atom: motet.Atom, prompt: str) -> Decimal:
    estimate = atom.estimate(prompt, max_tokens=MAX_TOKENS)
    assert estimate.cash.high is not None
    return Decimal(estimate.cash.high)


def outcome(ask: Any) -> str:
    try:
        ask()
    except motet.MaxCostError as error:
        return "cut" if error.partial is not None else "refused"
    return "whole"


def test_forty_threads_get_whole_answers_or_none() -> None:
    with asking(lambda _: Turn(ANSWER, delay=0.001)) as (atom, server):
        limit = worst_cost(atom, "Go.") * 6
        with motet.budget(limit) as budget, ThreadPoolExecutor(40) as pool:
            ask = lambda _: outcome(lambda: atom.ask("Go.", max_tokens=MAX_TOKENS))  # noqa: E731
            outcomes = list(pool.map(ask, range(40)))
        assert set(outcomes) == {"whole", "refused"}
        assert len(server.requests) == outcomes.count("whole") >= 6
        assert budget.spent <= limit
        assert (budget.reserved, budget.left) == (0, limit - budget.spent)


def test_forty_tasks_get_whole_answers_or_none() -> None:
    async def ask(atom: motet.Atom) -> str:
        try:
            await atom.aask("Go.", max_tokens=MAX_TOKENS)
        except motet.MaxCostError as error:
            return "cut" if error.partial is not None else "refused"
        return "whole"

    async def main(atom: motet.Atom, limit: Decimal) -> tuple[Any, list[str]]:
        async with atom:
            with motet.budget(limit) as budget:
                return budget, await asyncio.gather(*[ask(atom) for _ in range(40)])

    with asking(lambda _: Turn(ANSWER, delay=0.001)) as (atom, server):
        limit = worst_cost(atom, "Go.") * 6
        budget, outcomes = asyncio.run(main(atom, limit))
        assert set(outcomes) == {"whole", "refused"}
        assert len(server.requests) == outcomes.count("whole") >= 6
        assert budget.spent <= limit


def test_a_request_inside_a_stream_never_waits_for_it() -> None:
    """The outer request ends after the inner one, so waiting for it would deadlock."""
    with asking(lambda _: ANSWER) as (atom, _):
        limit = worst_cost(atom, "Go.") * Decimal("1.5")
        with motet.budget(limit) as budget, atom.stream("Go.", max_tokens=MAX_TOKENS) as stream:
            next(iter(stream))
            with pytest.raises(motet.MaxCostError, match="reserved") as caught:
                atom.ask("Go, with a prompt that is longer. " * 100, max_tokens=MAX_TOKENS)
            assert (caught.value.cost, caught.value.partial) == (0, None)
            for _ in stream:
                pass
        assert stream.answer.output is not None
        assert budget.spent == stream.answer.metrics.cost.cash.total


def test_a_waiting_request_keeps_its_timeout() -> None:
    with asking(lambda _: ANSWER) as (atom, server):
        limit = worst_cost(atom, "Go.")
        with motet.budget(limit), atom.stream("Go.", max_tokens=MAX_TOKENS) as stream:
            next(iter(stream))
            with ThreadPoolExecutor(1) as pool:
                ask = lambda: atom.ask("Go.", max_tokens=MAX_TOKENS, timeout=0.05)  # noqa: E731
                error = pool.submit(ask).exception()
            assert isinstance(error, motet.RequestTimeoutError)
            assert (error.cost, len(server.requests)) == (0, 1)


def test_an_answer_that_ends_at_the_limit_is_kept() -> None:
    """The chunk that passes the limit is the last one: the answer is complete and paid for."""
    with asking(lambda _: ANSWER) as (atom, _):
        cost = atom.ask("Go.").metrics.cost.cash.total
        assert cost is not None
        assert atom.ask("Go.", max_cost=cost * Decimal("0.9999")).output == "word " * 20

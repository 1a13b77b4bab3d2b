"""Streams: limits, early ends, and connections that close."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

import motet
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.server_scripts import ANSWER, KEY, PLAIN, SLUG, aask, asking


def test_limit_ends_the_stream_and_keeps_the_partial_answer() -> None:
    long = (
        "<|channel|>analysis<|message|>"
        + "word " * 400
        + "<|end|><|start|>assistant<|channel|>final<|message|>ok<|return|>"
    )
    cases: list[tuple[Any, type[motet.LimitError]]] = [
        ({"max_cost": "0.0001"}, motet.MaxCostError),
        ({"max_reasoning_tokens": 50}, motet.MaxTokensError),
    ]
    for options, error in cases:
        with asking(Turn(long, delay=0.001)) as (atom, server):
            with pytest.raises(error) as caught, atom.stream("Hi", **options) as stream:
                for _ in stream:
                    pass
            assert server.hung_up.wait(5), "the connection is still open"
        partial = caught.value.partial
        assert partial.reasoning.startswith("word word")
        assert len(partial.reasoning) < len("word " * 400)
        assert partial is stream.answer
        assert caught.value.cost == partial.metrics.cost.cash.total > 0
        if "max_cost" in options:
            # One token more than the limit allows: the one that passed it.
            assert caught.value.cost <= Decimal("0.0001") + 2 * Decimal("0.6") / 1_000_000
        assert any("motet counted" in note for note in partial.notes)


def test_refused_stream_has_no_cost_and_no_partial() -> None:
    with asking(Fault("status", status=401)) as (atom, _):
        with pytest.raises(motet.AuthenticationError) as caught, atom.stream("Hi") as stream:
            list(stream)
        assert (caught.value.partial, caught.value.usage, caught.value.cost) == (None, None, None)
        assert stream.answer.metrics.cost.cash.total is None


def test_limit_applies_to_ask() -> None:
    with asking(Turn(PLAIN, delay=0.001), Turn(PLAIN, delay=0.001)) as (atom, _):
        with pytest.raises(motet.MaxTokensError):
            atom.ask("Hi", max_reasoning_tokens=2)
        with pytest.raises(motet.MaxTokensError):
            asyncio.run(aask(atom, "Hi", max_reasoning_tokens=2))


def test_stream_stops_a_service_that_ignores_max_tokens() -> None:
    class Deaf(ScriptedServer):
        def _next(self, body: Any) -> Any:
            body.pop("max_tokens")
            return super()._next(body)

    with (
        Deaf([Turn(PLAIN, delay=0.001)]) as server,
        motet.atom(SLUG, base_url=server.url, api_key=KEY) as atom,
        pytest.raises(motet.MaxTokensError, match="did not keep"),
        atom.stream("Hi", max_tokens=6) as stream,
    ):
        list(stream)


@pytest.mark.parametrize("how", ["break", "close"])
def test_leaving_a_stream_closes_the_connection(how: str) -> None:
    with asking(Turn(PLAIN * 20, delay=0.002)) as (atom, server):
        with atom.stream("Hi") as stream:
            for event in stream:
                if event.type == "delta":
                    if how == "close":
                        stream.close()
                    break
        assert server.hung_up.wait(5)
        assert stream.answer.reasoning.startswith("The")


def test_leaving_an_async_stream_closes_the_connection() -> None:
    async def main(atom: motet.Atom) -> str:
        async with atom, atom.astream("Hi") as stream:
            async for piece in stream.text:
                return piece
        return ""

    with asking(Turn(PLAIN * 20, delay=0.002)) as (atom, server):
        assert asyncio.run(main(atom)) == "It"
        assert server.hung_up.wait(5)


def test_stream_text_yields_the_answer_text() -> None:
    with asking(PLAIN) as (atom, _), atom.stream("Hi") as stream:
        assert "".join(stream.text) == ANSWER

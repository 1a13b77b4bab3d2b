"""Where the service fails another atom is asked: which errors count, what it costs, and what is said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import motet
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.server_scripts import CALL, PLAIN, SLUG, aask, asking, final

SPARE = "together/gpt-oss/20b"


def ask(atom: motet.Atom, how: str, **options: Any) -> motet.Answer[Any]:
    if how == "aask":
        return asyncio.run(aask(atom, "Hi", **options))
    if how == "stream":
        with atom.stream("Hi", **options) as stream:
            list(stream)
            return stream.answer
    if how == "limited":
        return atom.ask("Hi", max_cost="1", **options)
    return atom.ask("Hi", **options)


@pytest.mark.parametrize("how", ["ask", "aask", "stream", "limited"])
@pytest.mark.parametrize("status", [402, 404, 429, 503])
def test_failing_service_falls_back(how: str, status: int) -> None:
    failure = Fault("status", status=status)
    with (
        asking(failure, max_retries=0) as (atom, _),
        asking(final("Spare."), slug=SPARE) as (spare, server),
        motet.budget("1") as budget,
    ):
        answer = ask(atom, how, fallbacks=[spare])
    assert answer.output == "Spare."
    assert answer.model == server.requests[-1].body["model"] == spare.spec.model
    assert any(f"{atom.slug} failed" in note and f"{SPARE} was asked instead" in note for note in answer.notes)
    # At the price of the atom that answered.
    usage: Any = answer.usage
    price: Any = spare.spec.cost.cash
    assert answer.cost == (price.input * usage.input + price.output * usage.output) / 1_000_000 == budget.spent


def test_faults_of_the_request_do_not_fall_back() -> None:
    with asking(slug=SPARE) as (spare, server):
        for status in (400, 401, 403):
            with asking(Fault("status", status=status), max_retries=0) as (atom, _), pytest.raises(motet.ApiError):
                atom.ask("Hi", fallbacks=[spare])
        with asking(PLAIN) as (atom, _), pytest.raises(motet.TruncatedOutputError):
            atom.ask("Hi", max_tokens=3, fallbacks=[spare])
        assert not server.requests


def test_broken_answer_is_paid_beside_the_fallback() -> None:
    broken = Turn(PLAIN, fault=Fault("reset", after=6))
    with asking(broken, max_retries=0) as (atom, _), asking(final("Spare."), slug=SPARE) as (spare, _):
        answer = atom.ask("Hi", max_cost="1", fallbacks=[spare])
    assert answer.output == "Spare." and [lost.model for lost in answer.rejected] == [atom.spec.model]
    assert answer.cost is not None and answer.rejected[0].cost is not None
    assert answer.cost > answer.rejected[0].cost > 0


def test_stream_does_not_fall_back_after_its_first_event() -> None:
    broken = Turn(PLAIN, fault=Fault("reset", after=6))
    with asking(broken, max_retries=0) as (atom, _), asking(slug=SPARE) as (spare, server):
        with atom.stream("Hi", fallbacks=[spare]) as stream, pytest.raises(motet.StreamError):
            list(stream)
        assert not server.requests


def test_each_fallback_is_asked_in_order() -> None:
    down = Fault("status", status=503)
    with (
        asking(down, max_retries=0) as (atom, _),
        asking(down, max_retries=0, slug=SPARE) as (second, _),
        asking(final("Third."), slug=SPARE) as (third, _),
    ):
        assert atom.ask("Hi", fallbacks=[second, third]).output == "Third."
    with (
        asking(down, max_retries=0) as (atom, _),
        asking(down, max_retries=0, slug=SPARE) as (second, _),
        pytest.raises(motet.OverloadedError),
    ):
        atom.ask("Hi", fallbacks=[second])


def test_run_falls_back_within_a_step() -> None:
    down = Fault("status", status=503)

    def get_weather(city: str) -> str:
        return f"{city}: 21"

    with asking(CALL, down, max_retries=0) as (atom, _), asking(final("Warm."), slug=SPARE) as (spare, _):
        run = atom.run("Go.", tools=[get_weather], fallbacks=[spare])
    assert run.text == "Warm."
    assert [step.model for step in run.steps] == [atom.spec.model, spare.spec.model]
    assert "fallbacks" not in run.options


def test_fallbacks_are_atoms() -> None:
    with ScriptedServer([]) as server, motet.atom(SLUG, base_url=server.url) as atom:
        for wrong in (["together/gpt-oss/20b"], "x", 3):
            with pytest.raises(TypeError, match="fallbacks must be"):
                atom.ask("Hi", fallbacks=wrong)  # type: ignore[arg-type]

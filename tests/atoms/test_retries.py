"""Invalid outputs are asked for again: in the same conversation, paid, counted, and within the same limits."""

from __future__ import annotations

import asyncio
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import motet
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.fake_backend import calls, fake_atom
from tests.support.server_scripts import LANES, asking, final


class Point(BaseModel):
    x: int
    y: int


PROSE, MISMATCH, VALID = final("It is at 1, 2."), final('{"x": "one", "y": 2}'), final('{"x": 1, "y": 2}')


async def _aask(atom: motet.Atom, **options: Any) -> motet.Answer[Point]:
    async with atom:
        return await atom.aask("Where?", output=Point, **options)


async def _astream(atom: motet.Atom, **options: Any) -> motet.Answer[Point]:
    async with atom, atom.astream("Where?", output=Point, **options) as stream:
        async for _ in stream:
            pass
        return stream.answer


def locate(atom: motet.Atom, how: str, **options: Any) -> motet.Answer[Point]:
    """The answer by each method that returns one."""
    if how == "aask":
        return asyncio.run(_aask(atom, **options))
    if how == "astream":
        return asyncio.run(_astream(atom, **options))
    if how == "stream":
        with atom.stream("Where?", output=Point, **options) as stream:
            list(stream)
            return stream.answer
    return atom.ask("Where?", output=Point, **options)


def price(usage: Any) -> Decimal:
    """US dollars of a request to the 120b model."""
    return (Decimal("0.15") * usage.input + Decimal("0.60") * usage.output) / 1_000_000


HOWS = ["ask", "aask", "stream", "astream"]


@pytest.mark.parametrize("how", HOWS)
def test_invalid_output_is_asked_for_again(how: str) -> None:
    with asking(PROSE, MISMATCH, VALID) as (atom, server):
        answer = locate(atom, how, retries=2)
    assert answer.output == Point(x=1, y=2)
    assert [rejected.text for rejected in answer.rejected] == ["It is at 1, 2.", '{"x": "one", "y": 2}']
    usages: list[Any] = [item.usage for item in (*answer.rejected, answer)]
    assert answer.metrics.size.tokens.input == sum(usage.input for usage in usages)
    assert answer.metrics.size.tokens.output == sum(usage.output for usage in usages)
    assert answer.cost == sum(map(price, usages))
    roles = [message["role"] for message in server.requests[-1].body["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    contents = [message["content"] for message in server.requests[-1].body["messages"]][2::2]
    assert "not JSON" in contents[0] and "x: Input should be a valid integer" in contents[1]
    assert len(answer.episode) == 3


@pytest.mark.parametrize("how", HOWS)
def test_exhausted_retries_carry_the_cost_of_all_tries(how: str) -> None:
    with (
        asking(PROSE, MISMATCH) as (atom, server),
        pytest.raises(motet.SchemaMismatchError, match="2 tries") as caught,
    ):
        locate(atom, how, retries=1)
    error = caught.value
    assert len(server.requests) == 2
    assert [rejected.text for rejected in error.rejected] == ["It is at 1, 2."]
    assert error.raw == error.partial.text == '{"x": "one", "y": 2}'
    assert error.cost == error.partial.cost == price(error.rejected[0].usage) + price(error.usage)
    assert pickle.loads(pickle.dumps(error)).rejected == error.rejected


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_each_lane_asks_again(style: str, lane: str) -> None:
    with asking(PROSE, VALID, style=style, lane=lane) as (atom, _):
        assert atom.ask("Where?", output=Point, retries=1).output == Point(x=1, y=2)


def test_empty_answer_is_asked_for_again() -> None:
    with asking(final(""), VALID) as (atom, server):
        assert atom.ask("Where?", output=Point, retries=1).output == Point(x=1, y=2)
        assert atom.spec.model == "openai/gpt-oss-120b"
    assert server.requests[-1].body["messages"][-1] == {
        "role": "user",
        "content": "Your answer is empty. Answer again.",
    }


def test_cut_and_withheld_answers_are_not_asked_again() -> None:
    for script, options in ((VALID, {"max_tokens": 4}), (Turn(PROSE, finish="content_filter"), {})):
        with asking(script, VALID) as (atom, server):
            with pytest.raises(motet.MotetError):
                atom.ask("Where?", output=Point, retries=3, **options)  # type: ignore[arg-type]
            assert len(server.requests) == 1


@pytest.mark.parametrize("how", HOWS)
def test_max_cost_holds_for_all_tries(how: str) -> None:
    with asking(*[PROSE] * 9) as (atom, server):
        with pytest.raises(motet.InvalidJsonError) as first:
            atom.ask("Where?", output=Point)
        limit = first.value.cost * 3
        with pytest.raises(motet.MotetError) as caught:
            locate(atom, how, retries=8, max_cost=limit)
        error = caught.value
        tries = [request for request in server.requests[1:] if request.path.endswith("completions")]
    assert 1 < len(tries) < 4
    assert error.rejected and error.partial is not None
    assert Decimal(0) < error.cost <= limit + first.value.cost


def test_budget_pays_for_each_try() -> None:
    with asking(PROSE, MISMATCH, VALID) as (atom, _), motet.budget("1") as budget:
        answer = atom.ask("Where?", output=Point, retries=2)
        assert budget.spent == answer.cost
        assert budget.reserved == 0


def test_failure_of_a_later_try_keeps_the_rejected_answer() -> None:
    failure = Fault("status", status=400)
    with asking(PROSE, failure) as (atom, _), pytest.raises(motet.InvalidRequestError) as caught:
        atom.ask("Where?", output=Point, retries=1)
    assert [rejected.text for rejected in caught.value.rejected] == ["It is at 1, 2."]
    assert caught.value.partial.text == "It is at 1, 2."


@pytest.mark.parametrize("value", [-1, True, 1.0, "2"])
def test_retries_are_a_whole_number(value: Any) -> None:
    with asking() as (atom, _), pytest.raises(ValueError, match="retries must be a whole number"):
        atom.ask("Where?", output=Point, retries=value)


# Runs.


def test_run_asks_again_in_a_step_of_its_own(tmp_path: Path) -> None:
    replies = [calls("look"), PROSE, VALID]
    atom, _ = fake_atom(lambda messages: replies[sum(item.role == "assistant" for item in messages)])
    looks: list[int] = []

    def look() -> str:
        looks.append(1)
        return "ok"

    path = tmp_path / "run.json"
    run = atom.run("Where?", tools=[look], output=Point, retries=1, checkpoint=path)
    assert run.output == Point(x=1, y=2) and looks == [1]
    assert [step.correction is not None for step in run.steps] == [False, True, False]
    assert run.aborted == ()
    assert [message.role for message in run.messages] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    saved = motet.Run.load(path)
    assert saved.done and saved.steps[1].correction == run.steps[1].correction
    assert atom.resume(saved, output=Point).output == Point(x=1, y=2)


def test_run_is_resumed_between_tries() -> None:
    replies = [PROSE, VALID]
    atom, _ = fake_atom(lambda messages: replies[sum(message.role == "assistant" for message in messages)])
    run = atom.run("Where?", output=Point, retries=1).fork(1)
    assert not run.done and run.steps[-1].correction is not None
    assert atom.resume(run, output=Point).output == Point(x=1, y=2)


@pytest.mark.parametrize("options", [{"retries": 1}, {"retries": 9, "max_steps": 2}])
def test_run_without_valid_output_carries_all_costs(options: Any) -> None:
    atom, backend = fake_atom(lambda _: MISMATCH)
    with pytest.raises(motet.SchemaMismatchError, match="2 tries") as caught:
        atom.run("Where?", output=Point, **options)
    run = caught.value.state  # type: ignore[attr-defined]
    assert len(backend.requests) == 2
    assert caught.value.cost == run.metrics.cost.cash.total
    assert (len(run.steps), len(run.aborted)) == (1, 1)


def test_limits_of_a_run_count_its_tries() -> None:
    atom, _ = fake_atom(lambda _: MISMATCH)
    with pytest.raises(motet.MaxTokensError) as caught:
        atom.run("Where?", output=Point, retries=50, max_tokens=60)
    assert len(caught.value.state.steps) > 2


def test_streamed_run_and_manual_loop_ask_again() -> None:
    replies = [PROSE, VALID]
    atom, _ = fake_atom(lambda messages: replies[sum(message.role == "assistant" for message in messages)])
    with atom.run("Where?", output=Point, retries=1, stream=True) as stream:
        text = "".join(event.delta for event in stream if event.kind == "text")
    assert text == 'It is at 1, 2.{"x": 1, "y": 2}'
    with atom.steps("Where?", output=Point, retries=1) as loop:
        assert [step.text for step in loop] == ['{"x": 1, "y": 2}']
    assert loop.run.output == Point(x=1, y=2)


def test_stream_lists_rejected_answers_while_it_runs() -> None:
    with ScriptedServer([PROSE, VALID]) as server, motet.atom("together/gpt-oss/120b", base_url=server.url) as atom:
        counts = []
        with atom.stream("Where?", output=Point, retries=1) as stream:
            for _ in stream:
                counts.append(len(stream.rejected))
        assert counts[0] == 0 and counts[-1] == 1

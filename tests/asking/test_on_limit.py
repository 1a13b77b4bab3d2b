"""Reasoning that reaches its limit, or goes in circles, is ended and answered in a second request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

import motet
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.server_scripts import WEATHER, asking, final

RAW_LANES = [("vllm", "ids"), ("vllm", "text"), ("sglang", "ids"), ("llamacpp", "text"), ("llamacpp", "ids")]
INPUT, OUTPUT = Decimal(1), Decimal(4)
"""US dollars for a million tokens."""
THOUGHT = "So many roads lead there, and none leads back; é 青い."
OPENED = "<|channel|>analysis<|message|>"
NEXT = "<|end|><|start|>assistant<|channel|>final<|message|>"


def ids(text: str) -> list[int]:
    return motet.encode(text, special="token")


def endless(thought: str = THOUGHT, *, chat: bool = False) -> Turn:
    """A completion of which no more than the reasoning arrives: then the service is silent. In the chat lane the first
    event has no content, and a header has no event."""
    events = len(ids(thought)) + (1 if chat else len(ids(OPENED)))
    return Turn(f"{OPENED}{thought} and so on<|end|>", fault=Fault("silence", after=events))


# The meter counts the tokens that no later text can change: all but the last.
LIMIT = len(ids(THOUGHT)) - 2


@contextmanager
def limited(style: str, lane: str, *script: Any, **settings: Any) -> Iterator[tuple[motet.Atom, ScriptedServer]]:
    settings.setdefault("price", {"input": INPUT, "output": OUTPUT})
    with asking(*script, style=style, lane=lane, **settings) as pair:
        yield pair


def bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [received.body for received in server.requests if received.method == "POST"]


def prompts(server: ScriptedServer) -> list[list[int]]:
    found = [body["prompt"] for body in bodies(server)]
    return [ids(prompt) if isinstance(prompt, str) else prompt for prompt in found]


def asked(atom: motet.Atom, how: str, **options: Any) -> motet.Answer[Any]:
    """The answer to a question, or to the only step of a run, in each of the ways to ask."""
    options = {"max_reasoning_tokens": LIMIT, "on_limit": "answer", **options}

    async def wait() -> motet.Answer[Any]:
        async with atom:
            if how == "aask":
                return await atom.aask("Where?", **options)
            async with atom.astream("Where?", **options) as stream:
                async for _ in stream:
                    pass
                return stream.answer

    if how == "ask":
        return atom.ask("Where?", **options)
    if how == "stream":
        with atom.stream("Where?", **options) as stream:
            for _ in stream:
                pass
            return stream.answer
    return asyncio.run(wait())


WAYS = ["ask", "aask", "stream", "astream"]


@pytest.mark.parametrize(("style", "lane"), RAW_LANES)
@pytest.mark.parametrize("how", WAYS)
def test_second_request_continues_the_first_verbatim(style: str, lane: str, how: str) -> None:
    with limited(style, lane, endless(), "Rome.<|return|>") as (atom, server):
        answer = asked(atom, how)
        assert server.hung_up.wait(5), "the first request is still open"
    first, second = prompts(server)
    assert second == [*first, *ids(OPENED + THOUGHT + NEXT)]
    assert (answer.output, answer.reasoning) == ("Rome.", THOUGHT)
    assert [frame.channel for frame in answer.completion.frames] == ["analysis", "final"]
    assert answer.completion.repairs == ()
    assert (answer.lane, answer.finish) == (lane, "stop")
    if lane == "ids":
        assert list(answer.sampled or ()) == ids(f"{OPENED}{THOUGHT}{NEXT}Rome.<|return|>")
        assert list(answer.interrupted.sampled or ()) == ids(OPENED + THOUGHT)  # type: ignore[union-attr]


def test_trajectory_of_a_run_has_both_requests() -> None:
    with limited("vllm", "ids", endless(), "Rome.<|return|>") as (atom, server):
        run = atom.run("Where?", max_reasoning_tokens=LIMIT, on_limit="answer")
    (trajectory,) = motet.trajectories(run)
    reasoning, between, text = ids(OPENED + THOUGHT), ids(NEXT), ids("Rome.<|return|>")
    assert (trajectory.prompt_ids, trajectory.answers) == (prompts(server)[0], 2)
    assert trajectory.response_ids == reasoning + between + text
    assert trajectory.response_mask == [1] * len(reasoning) + [0] * len(between) + [1] * len(text)
    assert motet.trajectories(run.episode) == [trajectory]


@pytest.mark.parametrize(("style", "lane"), RAW_LANES)
def test_bill_has_both_requests_to_the_token(style: str, lane: str) -> None:
    with limited(style, lane, endless(), Turn("Rome.<|return|>", cached=60)) as (atom, server):
        answer = asked(atom, "ask")
    first, second = map(len, prompts(server))
    written = len(ids(OPENED + THOUGHT))
    tokens = answer.metrics.size.tokens
    assert (tokens.input, tokens.output) == (first + second, written + 3)
    # The channels: `Rome.` is two tokens; markup is the header of the reasoning and the stop token.
    assert tokens.by_channel == {"analysis": len(ids(THOUGHT)), "commentary": 0, "final": 2, "markup": 4}
    assert sum(tokens.by_channel.values()) == tokens.output
    cash = answer.metrics.cost.cash
    assert cash.total == (INPUT * (first + second) + OUTPUT * (written + 3)) / 1_000_000
    assert answer.interrupted is not None
    own = answer.interrupted.metrics
    assert (own.size.tokens.input, own.size.tokens.output) == (first, written)
    assert answer.usage is not None and (answer.usage.input, answer.usage.output) == (second, 3)
    assert answer.metrics.drift == 0
    # What was written once is read once.
    assert answer.metrics.size.chars.by_channel == {"analysis": len(THOUGHT), "commentary": 0, "final": 5}
    assert answer.metrics.size.chars.input == 2 * len("Where?") + len(THOUGHT)
    # The answer says so, and so does its bill.
    reason = f"the reasoning reached max_reasoning_tokens={LIMIT}"
    assert f"{reason}: a second request continued it with the answer" in answer.notes
    assert f"the sum of two requests, because {reason}" in answer.metrics.notes


def test_events_of_both_requests_are_one_answer() -> None:
    with (
        limited("vllm", "ids", endless(), "Rome.<|return|>") as (atom, _),
        atom.stream("Where?", max_reasoning_tokens=LIMIT, on_limit="answer") as stream,
    ):
        events = list(stream)
    shown = [(event.type, event.kind, event.index) for event in events if event.type != "delta"]
    assert shown == [("start", "reasoning", 0), ("end", "reasoning", 0), ("start", "text", 1), ("end", "text", 1)]
    assert "".join(event.delta for event in events if event.index == 0) == THOUGHT
    assert "".join(event.delta for event in events if event.index == 1) == "Rome."


def test_uncanonical_ids_are_kept() -> None:
    letters = [token for letter in "All roads lead to Rome, they say. " for token in motet.encode(letter)]
    turn = Turn([*ids(OPENED), *letters, *ids("<|end|>")], fault=Fault("silence", after=3 + len(letters)))
    with limited("vllm", "ids", turn, "Rome.<|return|>") as (atom, server):
        answer = asked(atom, "ask", max_reasoning_tokens=4)
    first, second = prompts(server)
    kept = second[len(first) : -len(ids(NEXT))]
    assert kept == [*ids(OPENED), *letters][: len(kept)]
    tokens = answer.metrics.size.tokens
    assert tokens.output == len(kept) + 3
    assert tokens.by_channel == {"analysis": len(kept) - 3, "commentary": 0, "final": 2, "markup": 4}


def test_episodes_continue_behind_the_answer() -> None:
    with limited("vllm", "ids", endless(), "Rome.<|return|>", final("Yes.")) as (atom, server):
        answer = asked(atom, "ask")
        assert atom.ask("Sure?", on=answer).output == "Yes."
    _, second, third = prompts(server)
    # The reasoning of a finished turn is dropped; the answer's ids are those that were sampled.
    assert motet.decode(third).endswith(
        "<|channel|>final<|message|>Rome.<|return|><|start|>user<|message|>Sure?<|end|><|start|>assistant"
    )
    assert THOUGHT not in motet.decode(third)
    assert third[:20] == second[:20]


def test_chat_lane_asks_again_with_low_effort() -> None:
    script = (endless(chat=True), Turn(f"{OPENED}Short.<|end|><|start|>assistant{final('Rome.')}"))
    with limited("together", "chat", *script) as (atom, server):
        answer = asked(atom, "ask", tools=[WEATHER], reasoning_effort="high", max_tokens=200)
    first, second = bodies(server)
    assert (first["reasoning_effort"], second["reasoning_effort"]) == ("high", "low")
    assert (second["messages"], second["tools"]) == (first["messages"], first["tools"])
    assert (first.get("tool_choice"), second["tool_choice"]) == (None, "none")
    assert (answer.output, answer.reasoning, answer.finish) == ("Rome.", "Short.", "stop")
    assert answer.interrupted is not None
    assert answer.interrupted.reasoning == THOUGHT
    assert f"the reasoning reached max_reasoning_tokens={LIMIT}: its answer was asked for again" in answer.notes
    assert "the chat lane cannot continue an answer: the question was asked again with low effort" in answer.notes
    both = [answer.interrupted.metrics.size.tokens, answer.usage]
    assert answer.metrics.size.tokens.input == sum(tokens.input for tokens in both)  # type: ignore[union-attr, misc]
    assert answer.metrics.size.tokens.output == sum(tokens.output for tokens in both)  # type: ignore[union-attr, misc]
    assert second["max_tokens"] == 200 - answer.interrupted.metrics.size.tokens.output  # type: ignore[operator]


def test_chat_lane_ends_the_reasoning_in_its_events() -> None:
    with (
        limited("together", "chat", endless(chat=True), final("Rome.")) as (atom, _),
        atom.stream("Where?", max_reasoning_tokens=LIMIT, on_limit="answer") as stream,
    ):
        shown = [(event.type, event.kind, event.index) for event in stream if event.type != "delta"]
    assert shown == [("start", "reasoning", 0), ("end", "reasoning", 0), ("start", "text", 0), ("end", "text", 0)]


# What ends the reasoning.


def test_reasoning_within_the_limit_is_not_ended() -> None:
    whole = f"{OPENED}{THOUGHT}<|end|><|start|>assistant{final('Paris.')}"
    with limited("vllm", "ids", whole) as (atom, server):
        answer = asked(atom, "ask", max_reasoning_tokens=len(ids(THOUGHT)))
    assert (answer.output, answer.interrupted, len(bodies(server))) == ("Paris.", None, 1)


def test_reasoning_in_circles_is_ended_and_answered() -> None:
    thought = "First, the facts. " + "Wait, let me check that again. " * 150
    with limited("vllm", "ids", endless(thought), "Rome.<|return|>") as (atom, server):
        answer = asked(atom, "ask", max_reasoning_tokens=None)
    assert answer.output == "Rome."
    first, second = prompts(server)
    assert second[: len(first) + 4] == [*first, *ids(OPENED + "First")]
    note = next(note for note in answer.notes if "circles" in note)
    assert "its last 8 words and marks stood there" in note
    tokens = answer.metrics.size.tokens
    assert tokens.output == len(second) - len(first) - len(ids(NEXT)) + 3


def test_circles_are_no_concern_without_the_option() -> None:
    thought = "Wait, let me check that again. " * 150
    with limited("vllm", "ids", f"{OPENED}{thought}<|end|><|start|>assistant{final('Paris.')}") as (atom, _):
        assert atom.ask("Where?").output == "Paris."


@pytest.mark.parametrize("options", [{"max_reasoning_tokens": None}, {"max_reasoning_tokens": 64}])
def test_a_quarter_of_the_tokens_is_left_for_the_answer(options: dict[str, Any]) -> None:
    thought = " ".join(f"{number} roads" for number in range(40))
    with limited("vllm", "ids", endless(thought), "Rome.<|return|>") as (atom, server):
        answer = asked(atom, "ask", max_tokens=64, **options)
    assert answer.output == "Rome."
    assert "the reasoning reached 48 of the 64 tokens that reasoning and answer may have" in " ".join(answer.notes)
    first, second = bodies(server)
    written = answer.interrupted.metrics.size.tokens.output  # type: ignore[union-attr]
    assert written is not None and written > 48
    assert (first["max_tokens"], second["max_tokens"]) == (64, 64 - written)


def test_default_raises_the_limits_error() -> None:
    for on_limit in ("raise", None):
        with limited("vllm", "ids", endless(THOUGHT * 2)) as (atom, server), pytest.raises(motet.MaxTokensError):
            asked(atom, "ask", on_limit=on_limit)
        assert len(bodies(server)) == 1
    with limited("vllm", "ids") as (atom, _), pytest.raises(ValueError, match="on_limit must be 'raise' or 'answer'"):
        asked(atom, "ask", on_limit="stop")


# The other limits hold over both requests.


def cost_of(prompt: int, output: int) -> Decimal:
    return (INPUT * prompt + OUTPUT * output) / 1_000_000


def test_max_tokens_holds_over_both_requests() -> None:
    with (
        limited("vllm", "ids", endless(), "Rome is where they all lead.<|return|>") as (atom, server),
        pytest.raises(motet.TruncatedOutputError, match="cut at max_tokens=25") as caught,
    ):
        asked(atom, "ask", max_tokens=25, max_reasoning_tokens=LIMIT)
    partial = caught.value.partial
    assert partial.metrics.size.tokens.output == 25
    assert partial.completion.frames[-1].channel == "final"
    assert caught.value.cost == partial.metrics.cost.cash.total == cost_of(sum(map(len, prompts(server))), 25)


def test_max_cost_and_budgets_hold_over_both_requests() -> None:
    with limited("vllm", "ids", endless(), "Rome.<|return|>") as (atom, server), motet.budget("1") as budget:
        answer = asked(atom, "ask", max_cost="1")
    assert budget.spent == answer.cost == cost_of(sum(map(len, prompts(server))), len(ids(OPENED + THOUGHT)) + 3)
    assert budget.reserved == 0
    first = cost_of(len(prompts(server)[0]), len(ids(OPENED + THOUGHT)))
    for limit in (first, first + Decimal("0.00001")):
        with limited("vllm", "ids", endless()) as (atom, server), pytest.raises(motet.MaxCostError) as caught:
            asked(atom, "ask", max_cost=limit)
        assert len(bodies(server)) == 1
        assert caught.value.cost == caught.value.partial.metrics.cost.cash.total == first
        assert caught.value.partial.reasoning == THOUGHT
    with (
        limited("vllm", "ids", endless()) as (atom, server),
        motet.budget(first + Decimal("0.00007")) as budget,
        pytest.raises(motet.MaxCostError) as caught,
    ):
        asked(atom, "ask")
    assert budget.spent == caught.value.cost == first


@pytest.mark.parametrize("fault", [Fault("status", status=400), Fault("reset", after=1), Fault("status", status=503)])
def test_failure_of_the_second_request_keeps_the_first(fault: Fault) -> None:
    with (
        limited("vllm", "ids", endless(), Turn("Rome.<|return|>", fault=fault), max_retries=0) as (atom, server),
        motet.budget("1") as budget,
        pytest.raises(motet.MotetError) as caught,
    ):
        asked(atom, "ask")
    first, second = map(len, prompts(server))
    written = len(ids(OPENED + THOUGHT))
    refused = fault.kind == "status"
    expected = cost_of(first, written) if refused else cost_of(first + second, written + 1)
    assert caught.value.cost == caught.value.partial.metrics.cost.cash.total == expected
    assert budget.spent == expected
    assert caught.value.partial.reasoning == THOUGHT
    assert not refused or "the reasoning before is in .partial, and is paid for" in str(caught.value)


def test_fallback_answers_where_the_second_request_fails() -> None:
    with limited("vllm", "ids", final("Oslo.")) as (other, _):
        script = (endless(), Turn(fault=Fault("status", status=503)))
        with limited("vllm", "ids", *script, max_retries=0) as (atom, server):
            answer = asked(atom, "ask", fallbacks=[other])
    assert (answer.output, answer.interrupted) == ("Oslo.", None)
    (rejected,) = answer.rejected
    assert rejected.reasoning == THOUGHT
    assert rejected.cost == cost_of(len(prompts(server)[0]), len(ids(OPENED + THOUGHT)))
    assert answer.cost == rejected.cost + cost_of(len(prompts(server)[0]), len(ids(final("Oslo."))))


# Outputs, tries, runs.


class Place(BaseModel):
    city: str


@pytest.mark.parametrize(("style", "key"), [("vllm", "structured_outputs"), ("llamacpp", "grammar")])
def test_grammar_of_the_answer_begins_behind_the_reasoning(style: str, key: str) -> None:
    written = '<|channel|>final <|constrain|>json<|message|>{"city": "Rome"}<|return|>'
    with limited(style, "ids", endless(), written) as (atom, server):
        answer = asked(atom, "ask", output=Place)
    assert answer.output == Place(city="Rome")
    assert answer.reasoning == THOUGHT
    first, second = prompts(server)
    assert second == [*first, *ids(f"{OPENED}{THOUGHT}<|end|><|start|>assistant")]
    rules = [json.dumps(body[key]) for body in bodies(server)]
    assert ["analysis" in rule for rule in rules] == [True, False]
    assert answer.metrics.size.tokens.output == len(ids(OPENED + THOUGHT)) + len(ids(written))


def test_each_try_is_paid_and_counted() -> None:
    wrong, right = '{"town": "Rome"}<|return|>', '{"city": "Rome"}<|return|>'
    service = {"grammar_key": None}
    script = (endless(), wrong, endless(), right)
    with limited("vllm", "ids", *script, service=service) as (atom, server), motet.budget("1") as budget:
        answer = asked(atom, "ask", output=Place, retries=1, max_tokens=100)
    assert answer.output == Place(city="Rome")
    sizes = list(map(len, prompts(server)))
    written = 2 * len(ids(OPENED + THOUGHT)) + len(ids(wrong)) + len(ids(right))
    assert budget.spent == answer.cost == cost_of(sum(sizes), written)
    assert answer.metrics.size.tokens.output == written
    (rejected,) = answer.rejected
    assert rejected.interrupted is not None and answer.interrupted is not None
    assert rejected.metrics.size.tokens.input == sum(sizes[:2])
    assert answer.interrupted.metrics.size.tokens.input == sizes[2]
    # Each try has all of max_tokens.
    assert [body["max_tokens"] for body in bodies(server)] == [100, 100 - len(ids(OPENED + THOUGHT))] * 2
    assert "Your answer does not have the requested form" in motet.decode(prompts(server)[2])


def test_failed_tries_cost_what_all_requests_cost() -> None:
    wrong = '{"town": "Rome"}<|return|>'
    script = (endless(), wrong, endless(), wrong)
    with (
        limited("vllm", "ids", *script, service={"grammar_key": None}) as (atom, server),
        pytest.raises(motet.SchemaMismatchError) as caught,
    ):
        asked(atom, "ask", output=Place, retries=1)
    written = 2 * len(ids(OPENED + THOUGHT)) + 2 * len(ids(wrong))
    expected = cost_of(sum(map(len, prompts(server))), written)
    assert caught.value.cost == caught.value.partial.metrics.cost.cash.total == expected


def search() -> str:
    return "roads"


CALL = "<|channel|>commentary to=functions.search <|constrain|>json<|message|>{}<|call|>"


@pytest.mark.parametrize("how", ["run", "arun", "stream", "steps"])
def test_run_ends_with_an_answer_at_its_limit_of_reasoning(how: str) -> None:
    thinks = f"{OPENED}I search.<|end|><|start|>assistant{CALL}"
    used = len(ids("I search."))
    options: Any = {"tools": [search], "max_reasoning_tokens": used + LIMIT, "on_limit": "answer"}

    async def wait(atom: motet.Atom) -> motet.Run:
        async with atom:
            return await atom.arun("Where?", **options)

    with limited("vllm", "ids", thinks, endless(), "Rome.<|return|>") as (atom, server):
        if how == "run":
            run: Any = atom.run("Where?", **options)
        elif how == "arun":
            run = asyncio.run(wait(atom))
        elif how == "stream":
            run = atom.run("Where?", stream=True, **options).finish()
        else:
            with atom.steps("Where?", **options) as steps:
                for step in steps:
                    step.approve()
                run = steps.run
    assert (run.output, len(run.steps)) == ("Rome.", 2)
    first, second, third = prompts(server)
    assert second[: len(first)] == first
    assert third == [*second, *ids(OPENED + THOUGHT + NEXT)]
    written = len(ids(thinks)) + len(ids(OPENED + THOUGHT)) + 3
    assert run.metrics.size.tokens.output == written
    assert run.metrics.cost.cash.total == cost_of(sum(map(len, prompts(server))), written)
    assert run.metrics.size.tokens.by_channel["analysis"] == used + len(ids(THOUGHT))
    assert any("the sum of two requests" in note for note in run.steps[1].metrics.notes)


@pytest.mark.parametrize("lane", ["ids", "chat"])
def test_run_without_reasoning_left_answers_at_once(lane: str) -> None:
    thinks = f"{OPENED}I search.<|end|><|start|>assistant{CALL}"
    second = "Rome.<|return|>" if lane == "ids" else final("Rome.")
    with limited("vllm", lane, thinks, second) as (atom, server):
        run = atom.run("Where?", tools=[search], max_reasoning_tokens=len(ids("I search.")), on_limit="answer")
    assert (run.output, len(run.steps)) == ("Rome.", 2)
    body = bodies(server)[1]
    if lane == "ids":
        assert motet.decode(body["prompt"]).endswith("<|start|>assistant<|channel|>final<|message|>")
        assert run.steps[1].metrics.size.tokens.by_channel == {"analysis": 0, "commentary": 0, "final": 2, "markup": 1}
    else:
        assert (body["reasoning_effort"], body["tool_choice"]) == ("low", "none")
    with limited("vllm", lane, thinks) as (atom, server), pytest.raises(motet.MaxTokensError):
        atom.run("Where?", tools=[search], max_reasoning_tokens=len(ids("I search.")))


def test_last_step_and_repeated_calls_are_answered() -> None:
    with limited("vllm", "chat", CALL, final("Rome.")) as (atom, server):
        assert atom.run("Where?", tools=[search], max_steps=2, on_limit="answer").output == "Rome."
        assert "tools" not in bodies(server)[1]
    with limited("vllm", "chat", CALL, CALL, CALL, final("Rome.")) as (atom, server):
        run = atom.run("Where?", tools=[search], max_repeats=2, on_limit="answer")
    assert run.output == "Rome."
    assert [step.calls[0].signal for step in run.steps[:3]] == ["success", "success", "error:constraint"]
    assert ["tools" in body for body in bodies(server)] == [True, True, True, False]
    with limited("vllm", "chat", CALL, CALL, CALL) as (atom, _), pytest.raises(motet.RepeatedCallError):
        atom.run("Where?", tools=[search], max_repeats=2)

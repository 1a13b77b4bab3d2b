"""Classification by a policy: the prompt, the forms of the answer, and invalid verdicts."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.testing import ScriptedServer
from tests.support.server_scripts import KEY, final, prompt_text

POLICY = "# Spam\n\nSP1: offers that were not asked for are spam."
MODEL = "openai/gpt-oss-safeguard-20b"
PRICE = {"input": "0.1", "output": "0.3"}
THOUGHT = "<|channel|>analysis<|message|>SP1 applies.<|end|><|start|>assistant"
SPAM = THOUGHT + final('{"label": "spam", "rationale": "It is an offer."}')
HOWS = ["check", "acheck", "stream", "astream"]


def guarding(server: ScriptedServer, *, lane: Any = "chat", **settings: Any) -> motet.Guard:
    atom = motet.atom(MODEL, base_url=server.url, api_key=KEY, lane=lane, price=PRICE)
    return motet.guard(POLICY, settings.pop("labels", ("spam", "ok")), atom=atom, **settings)


async def _acheck(guard: motet.Guard, content: Any, options: Any) -> motet.Verdict:
    async with guard:
        return await guard.acheck(content, **options)


async def _astreamed(guard: motet.Guard, content: Any, options: Any) -> motet.Verdict:
    async with guard, guard.astream(content, **options) as stream:
        async for _ in stream:
            pass
        return stream.verdict


def checked(guard: motet.Guard, how: str, content: Any, **options: Any) -> motet.Verdict:
    """The verdict by each method that returns one."""
    if how == "acheck":
        return asyncio.run(_acheck(guard, content, options))
    if how == "astream":
        return asyncio.run(_astreamed(guard, content, options))
    with guard:
        if how == "check":
            return guard.check(content, **options)
        with guard.stream(content, **options) as stream:
            with pytest.raises(ValueError, match="no answer yet"):
                stream.verdict  # noqa: B018 - it raises
            list(stream)
            return stream.verdict


@pytest.mark.parametrize("how", HOWS)
def test_verdict_has_label_reason_and_cost(how: str) -> None:
    with ScriptedServer([SPAM]) as server:
        verdict = checked(guarding(server), how, "Buy gold!")
    assert (verdict.label, verdict.reason, verdict.confidence, verdict.rules) == ("spam", "It is an offer.", None, ())
    assert verdict.reasoning == "SP1 applies."
    usage = verdict.answer.usage
    assert usage is not None and usage.input is not None and usage.output is not None
    assert verdict.cost == (usage.input * Decimal("0.1") + usage.output * Decimal("0.3")) / 1_000_000
    assert verdict.metrics.cost.cash.total == verdict.cost
    assert verdict.completion.text == verdict.answer.text


def test_policy_is_the_system_side_and_content_the_user() -> None:
    with ScriptedServer([SPAM]) as server:
        guard = guarding(server, labels={"spam": "an offer", "ok": "anything else"})
        checked(guard, "check", "Buy gold!", reasoning_effort="low")
        body = server.requests[-1].body
    system, user = body["messages"]
    assert (system["role"], system["content"], user) == (
        "system",
        guard.brief,
        {"role": "user", "content": "Buy gold!"},
    )
    assert POLICY in guard.brief
    head, end = guard.brief.split(POLICY)
    assert "one JSON object" in head and "its label is one of: spam, ok" in head
    assert "- spam: an offer\n- ok: anything else" in end and '"rationale"' in end
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["label"]["enum"] == ["spam", "ok"]
    assert schema["required"] == ["label", "rationale"]
    assert body["reasoning_effort"] == "low"


@pytest.mark.parametrize("lane", ["ids", "text"])
def test_raw_lanes_constrain_the_label_by_a_grammar(lane: str) -> None:
    with ScriptedServer([SPAM], style="vllm", models=(MODEL,)) as server:
        assert checked(guarding(server, lane=lane), "check", "Buy gold!").label == "spam"
        body = server.requests[-1].body
    prompt = prompt_text(body)
    assert f"<|start|>developer<|message|># Instructions\n\n{'Classify the user message'}" in prompt
    assert prompt.index(POLICY) < prompt.index("<|start|>user<|message|>Buy gold!<|end|>")
    assert '"spam"' in json.dumps(body["structured_outputs"]).replace("\\", "")


@pytest.mark.parametrize("lane", ["ids", "text"])
def test_raw_lanes_constrain_a_bare_label_by_a_grammar(lane: str) -> None:
    with ScriptedServer([final("1")], style="vllm", models=(MODEL,)) as server:
        guard = guarding(server, lane=lane, labels=("0", "1"), form="label")
        assert checked(guard, "check", "Buy gold!").label == "1"
        tag = json.loads(server.requests[-1].body["structured_outputs"]["structural_tag"])
    choice = {"choice": ["0", "1"]}
    assert tag == motet.grammar(output=choice, quoting=lane == "ids", format="structural_tag")


def test_confidence_and_rules_are_asked_for() -> None:
    answer = final('{"label": "OK", "rules": ["SP1"], "confidence": "high"}')
    with ScriptedServer([answer]) as server:
        guard = guarding(server, confidence=True, rules=True, rationale=False)
        verdict = checked(guard, "check", "Hello")
    assert (verdict.label, verdict.rules, verdict.confidence, verdict.reason) == ("ok", ("SP1",), "high", None)
    assert '"confidence": "low", "medium" or "high"' in guard.brief and '"rationale"' not in guard.brief


@pytest.mark.parametrize("text", ["1", " 1\n", '"1"', "`1`", "**1**", "1."])
def test_bare_label_is_read(text: str) -> None:
    with ScriptedServer([final(text)]) as server:
        verdict = checked(guarding(server, labels=("0", "1"), form="label"), "check", "Buy gold!")
        assert "response_format" not in server.requests[-1].body
    assert (verdict.label, verdict.reason) == ("1", None)


def test_number_in_json_is_the_label_of_its_digits() -> None:
    with ScriptedServer([final('{"label": 1, "rationale": "x"}')]) as server:
        assert checked(guarding(server, labels=("0", "1")), "check", "Buy gold!").label == "1"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("form", "text", "error", "message"),
    [
        ("json", final('{"label": "maybe", "rationale": "x"}'), motet.SchemaMismatchError, "label: .*'spam' or 'ok'"),
        ("json", final('{"label": "spam"}'), motet.SchemaMismatchError, "rationale: Field required"),
        ("json", final("It is spam."), motet.InvalidJsonError, "not JSON"),
        ("label", final("It is spam."), motet.SchemaMismatchError, "must be one of spam, ok, not 'It is spam.'"),
        ("label", final(""), motet.EmptyOutputError, "empty"),
        (
            "json",
            '<|channel|>commentary to=functions.classify <|constrain|>json<|message|>{"label": "spam"}<|call|>',
            motet.SchemaMismatchError,
            "the model calls classify instead of giving a verdict",
        ),
    ],
)
def test_invalid_verdict_is_an_error(form: Any, text: str, error: Any, message: str, how: str) -> None:
    with ScriptedServer([text]) as server, pytest.raises(error, match=message) as caught:
        checked(guarding(server, form=form), how, "Buy gold!")
    assert isinstance(caught.value.partial, motet.Answer)
    assert caught.value.cost == caught.value.partial.cost
    assert caught.value.cost is not None and caught.value.cost > 0


@pytest.mark.parametrize(("form", "valid"), [("json", SPAM), ("label", final("spam"))])
def test_invalid_verdict_is_asked_for_again(form: Any, valid: str) -> None:
    with ScriptedServer([final("Hm."), valid]) as server:
        verdict = checked(guarding(server, form=form), "check", "Buy gold!", retries=1)
    assert (verdict.label, len(verdict.answer.rejected)) == ("spam", 1)
    assert verdict.cost is not None and verdict.cost > (verdict.answer.rejected[0].cost or 0)


@pytest.mark.parametrize("how", ["check_all", "acheck_all"])
def test_many_contents_are_checked_in_order(how: str) -> None:
    def answer(body: Any) -> str:
        content = body["messages"][-1]["content"]
        return final("Hm.") if content == "bad" else final(json.dumps({"label": content, "rationale": "x"}))

    contents = ["spam", "ok", "bad", *["spam", "ok"] * 4]
    with ScriptedServer(answer) as server:
        guard = guarding(server)

        async def checked_all() -> Any:
            async with guard:
                return await guard.acheck_all(contents, parallel=3)

        with guard:
            results: Any = asyncio.run(checked_all()) if how == "acheck_all" else guard.check_all(contents, parallel=3)
            with pytest.raises(ValueError, match="parallel must be a whole number"):
                guard.check_all(contents, parallel=0)
    labels = [result.label if isinstance(result, motet.Verdict) else type(result) for result in results]
    assert labels == ["spam", "ok", motet.InvalidJsonError, *["spam", "ok"] * 4]
    assert results[2].cost > 0


def test_threads_of_a_guard_share_the_budget() -> None:
    with ScriptedServer(lambda body: SPAM) as server, guarding(server) as guard, motet.budget("1") as budget:
        verdicts = guard.check_all(["a", "b", "c"])
    costs = [verdict.cost for verdict in verdicts if isinstance(verdict, motet.Verdict)]
    assert budget.spent == sum(cost for cost in costs if cost is not None) > 0


def test_conversation_is_one_content() -> None:
    conversation = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": 'Buy!\n"role": "user"'}]
    with ScriptedServer([SPAM]) as server:
        checked(guarding(server), "check", conversation)
        (_, user) = server.requests[-1].body["messages"]
    assert json.loads(user["content"]) == conversation


def test_guard_makes_its_atom(tmp_path: Path) -> None:
    (tmp_path / "policy.md").write_text(POLICY)
    with ScriptedServer([SPAM], models=(MODEL,)) as server:
        with motet.guard(
            tmp_path / "policy.md", ("spam", "ok"), base_url=server.url, api_key=KEY, lane="chat"
        ) as guard:
            assert guard.check("Buy gold!").label == "spam"
        assert (guard.atom.slug, guard.labels) == ("openai/gpt-oss-safeguard/20b", ("spam", "ok"))
        assert server.requests[-1].body["model"] == MODEL


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"policy": " "}, ValueError, "policy must be a text"),
        ({"labels": "spam"}, TypeError, "labels must be a list"),
        ({"labels": ["spam"]}, ValueError, "two or more"),
        ({"labels": ["spam", "spam"]}, ValueError, "two or more"),
        ({"labels": ["spam", "Spam"]}, ValueError, "differ in their letters"),
        ({"labels": ["spam", " ok"]}, ValueError, "without blanks"),
        ({"labels": ["spam", 3]}, ValueError, "labels must be texts"),
        ({"form": "xml"}, ValueError, "form must be 'json' or 'label'"),
        ({"base_url": "http://localhost:1"}, motet.ConfigError, "either an atom or base_url="),
    ],
)
def test_contradictory_guard_is_refused(settings: Any, error: type[Exception], message: str) -> None:
    with ScriptedServer([]) as server, motet.atom(MODEL, base_url=server.url, api_key=KEY) as atom:
        with pytest.raises(error, match=message):
            motet.guard(**{"policy": POLICY, "atom": atom, **settings})
        guard = motet.guard(POLICY, atom=atom)
        with pytest.raises(TypeError, match="a guard sets briefs, tools itself"):
            guard.check("x", tools=[], briefs=[])
        with pytest.raises(ValueError, match="nothing to classify"):
            guard.check("")
        assert server.requests == []

"""What an answer cost, and what an estimate says before it is asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import motet
from motet.testing import Fault, Turn
from tests.support.server_scripts import CALL, LANES, PLAIN, WEATHER, asking


def test_cached_tokens_are_charged_once() -> None:
    price = {"input": "10", "cached": "1", "output": "100"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 600}}
    with asking(Turn(PLAIN, usage=usage), price=price) as (atom, _):
        metrics = atom.ask("Hi").metrics
    cash = metrics.cost.cash
    assert (cash.input, cash.cache, cash.output) == (Decimal("0.004"), Decimal("0.0006"), Decimal("0.002"))
    assert cash.total == Decimal("0.0066")
    assert metrics.size.tokens.cache.get == 600


def test_cached_tokens_default_to_the_input_price() -> None:
    with asking(Turn(PLAIN, cached=50)) as (atom, _):
        metrics = atom.ask("Hi").metrics
    assert metrics.size.tokens.input is not None
    assert metrics.cost.cash.input + metrics.cost.cash.cache == Decimal("0.15") * metrics.size.tokens.input / 1_000_000  # type: ignore[operator]


@pytest.mark.parametrize("lane", ["chat", "ids"])
def test_channel_costs_sum_to_the_total(lane: str) -> None:
    with asking(Turn(CALL, reasoning_tokens=lane == "chat"), style="vllm", lane=lane) as (atom, _):
        metrics = atom.ask("Hi", tools=[WEATHER]).metrics
    tokens, cash = metrics.size.tokens, metrics.cost.cash
    assert tokens.by_channel is not None
    assert cash.by_channel is not None
    assert sum(tokens.by_channel.values()) == tokens.output
    assert sum(cash.by_channel.values()) == cash.output
    assert tokens.by_channel["analysis"] == motet.count("I need the weather.")
    assert tokens.by_channel["commentary"] == motet.count("Let me look.") + motet.count('{"city": "Zürich"}')
    hidden = (cash.by_channel["analysis"] + cash.by_channel["markup"]) / cash.total  # type: ignore[operator]
    assert metrics.hidden_share == pytest.approx(float(hidden))
    assert any("motet counted it" in note for note in metrics.notes) is (lane == "ids")


def test_unknown_cost_is_not_zero() -> None:
    with asking(Turn(PLAIN, fault=Fault("no_usage")), Turn(PLAIN, fault=Fault("no_usage"))) as (atom, _):
        blocking_answer = atom.ask("Hi")
        with atom.stream("Hi") as stream:
            list(stream)
    for answer in (blocking_answer, stream.answer):
        cash, tokens = answer.metrics.cost.cash, answer.metrics.size.tokens
        assert (cash.total, cash.input, cash.output, cash.by_channel) == (None, None, None, None)
        assert (tokens.input, tokens.output, tokens.by_channel, answer.metrics.hidden_share) == (None, None, None, None)
        assert answer.metrics.unknown["cost.cash.total"] == "the service sent no count of tokens"
        assert answer.usage is None


def test_model_without_a_price_has_unknown_cost() -> None:
    with asking(PLAIN, slug="openai/gpt-oss-mini") as (atom, _):
        metrics = atom.ask("Hi").metrics
    assert metrics.cost.cash.total is None
    assert "give it: motet.atom" in metrics.unknown["cost.cash.total"]
    assert metrics.size.tokens.output is not None


def test_price_is_that_of_the_model_that_answered() -> None:
    with asking(Turn(PLAIN, model="openai/gpt-oss-20b"), Turn(PLAIN, model="new/model")) as (atom, _):
        cheap, unknown = atom.ask("Hi"), atom.ask("Hi")
    assert cheap.model == "openai/gpt-oss-20b"
    assert cheap.metrics.cost.cash.output == Decimal("0.2") * cheap.metrics.size.tokens.output / 1_000_000  # type: ignore[operator]
    assert any("openai/gpt-oss-20b answered, and openai/gpt-oss-120b was asked" in note for note in cheap.notes)
    assert unknown.metrics.cost.cash.total is None
    assert "new/model answered" in unknown.metrics.unknown["cost.cash.total"]


def test_foreign_vocabulary_is_charged_by_channel_shares() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 7}
    with asking(Turn(PLAIN, usage=usage), slug="together/kimi/k3") as (atom, _):
        metrics = atom.ask("Hi").metrics
    assert metrics.size.tokens.by_channel is not None
    assert sum(metrics.size.tokens.by_channel.values()) == 7
    assert any("shares" in note for note in metrics.notes)
    assert metrics.drift is None


def test_estimate_is_exact_for_the_prompt() -> None:
    for style, lane in LANES:
        with asking(PLAIN, style=style, lane=lane) as (atom, _):
            options: Any = {"briefs": ["Be brief."], "tools": [WEATHER], "reasoning_effort": "high", "max_tokens": 5000}
            estimate = atom.estimate("Why is the sky blue? 青", **options)
            answer = atom.ask("Why is the sky blue? 青", **options)
            assert estimate.exact
            assert estimate.tokens.input == answer.metrics.size.tokens.input
            assert answer.metrics.drift == 0
            assert estimate.cash.low < answer.metrics.cost.cash.total < estimate.cash.high
            later = atom.estimate("Why is the sky blue? 青", **options)
            assert later.tokens.output.expected == answer.metrics.size.tokens.output
            assert later.cash.expected == answer.metrics.cost.cash.total


def test_prompt_is_counted_before_the_lane_is_known() -> None:
    """Before the first request, the estimate is exact or close to the tokens of every lane."""
    for style in ("together", "vllm"):
        with asking(PLAIN, style=style, lane="auto") as (atom, server):
            estimate = atom.estimate("Why is the sky blue? 青")
            assert server.requests == []
            assert estimate.exact
            assert estimate.tokens.input == atom.ask("Why is the sky blue? 青").metrics.size.tokens.input
        with asking(PLAIN, style=style, lane="auto") as (atom, _):
            options: Any = {"briefs": ["Be brief."], "tools": [WEATHER]}
            estimate = atom.estimate("Hi", **options)
            assert abs(estimate.tokens.input - atom.ask("Hi", **options).metrics.size.tokens.input) <= 2
            assert estimate.exact or any("is not known" in note for note in estimate.notes)


def test_too_costly_prompt_is_not_sent_before_lane_detection() -> None:
    with asking(PLAIN, lane="auto") as (atom, server):
        with pytest.raises(motet.MaxCostError, match="nothing was sent"):
            atom.ask("Hi", max_cost="0.000009")
        assert server.requests == []


def test_unrenderable_tools_are_estimated_by_all_words() -> None:
    parameters = {"type": "object", "properties": {"size": {"enum": [1, 2], "default": 1}}}
    wordy = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    with asking(PLAIN, lane="chat") as (atom, _):
        day = "2025-06-28"
        estimate = atom.estimate("Hi", tools=[wordy], current_date=day)
        rendered = motet.render([{"role": "user", "content": "Hi"}], tools=[wordy], current_date=day)
        assert not estimate.exact
        assert estimate.tokens.input == len(rendered)
        assert any("is not known" in note for note in estimate.notes)
        metrics = atom.ask("Hi", tools=[wordy]).metrics
        assert metrics.drift is None
        assert "exact count" in metrics.unknown["drift"]


def test_estimate_lists_unknown_figures() -> None:
    with asking(slug="some/model") as (atom, server):
        estimate = atom.estimate("Hi")
        assert not estimate.exact
        assert (estimate.cash.low, estimate.cash.high, estimate.tokens.output.high) == (None, None, None)
        assert any("price" in note for note in estimate.notes)
        assert server.requests == []


def test_too_costly_prompt_is_not_sent() -> None:
    with asking(PLAIN) as (atom, server):
        with pytest.raises(motet.MaxCostError, match="nothing was sent") as caught:
            atom.ask("word " * 10_000, max_cost="0.001")
        assert caught.value.cost == 0
        assert server.requests == []
        with pytest.raises(motet.MaxCostError, match="nothing was sent"):
            atom.ask("word " * 10_000, max_cost=0.001)


def test_max_cost_needs_a_known_price() -> None:
    with asking(PLAIN, slug="some/model") as (atom, server):
        with pytest.raises(motet.ConfigError, match="cannot be limited"):
            atom.ask("Hi", max_cost="1")
        assert server.requests == []

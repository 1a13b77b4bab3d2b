"""Metrics of an answer: counted, summed and priced figures, and unknown ones."""

from __future__ import annotations

import decimal
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet import limits, metrics
from motet.metrics import Chars, Metrics, Price, Time, Usage

COUNTS = st.integers(0, 10**9)
MAYBE = st.none() | COUNTS
MONEY = st.decimals(min_value=0, max_value=10_000, places=6)
PRICES = st.builds(Price, *[st.none() | MONEY] * 3)
USAGES = st.builds(Usage, *[MAYBE] * 4)
CHANNELS = st.dictionaries(st.sampled_from(["analysis", "commentary", "final", "markup", "other"]), COUNTS)


def measured(
    usage: Usage | None = None,
    price: Price | None = None,
    channels: dict[str, int] | None = None,
    *,
    own_vocabulary: bool = True,
    counted_input: int | None = None,
) -> Metrics:
    return metrics.measure(
        usage=usage,
        price=price,
        no_price="the price is unknown",
        channels=channels or {},
        own_vocabulary=own_vocabulary,
        chars=Chars(0, 0, {}),
        time=Time(0.0),
        counted_input=counted_input,
        model="some/model",
    )


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Each figure under its path."""
    if not is_dataclass(value):
        return {path: value}
    collected: dict[str, Any] = {}
    for field in fields(value):
        collected |= leaves(getattr(value, field.name), f"{path}.{field.name}" if path else field.name)
    return collected


# What the service counted.


@pytest.mark.parametrize(
    ("shape", "usage"),
    [
        ({}, Usage()),
        ({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}, Usage(7, 3)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        ({"prompt_tokens_details": {"cached_tokens": 4}}, Usage(cached=4)),
        ({"cached_tokens": 4}, Usage(cached=4)),
        ({"completion_tokens_details": {"reasoning_tokens": 5}}, Usage(reasoning=5)),
        ({"reasoning_tokens": 5}, Usage(reasoning=5)),
        # The details say more than the flat key; where they say nothing it stands in.
        ({"cached_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(cached=4)),
        ({"cached_tokens": 9, "prompt_tokens_details": {"cached_tokens": 0}}, Usage(cached=0)),
        ({"cached_tokens": 9, "prompt_tokens_details": {"cached_tokens": None}}, Usage(cached=9)),
        ({"cached_tokens": 9, "prompt_tokens_details": None}, Usage(cached=9)),
        ({"cached_tokens": 9, "prompt_tokens_details": [4]}, Usage(cached=9)),
        ({"reasoning_tokens": 9, "completion_tokens_details": "none"}, Usage(reasoning=9)),
    ],
)
def test_usage_is_read_from_every_known_field(shape: dict[str, Any], usage: Usage) -> None:
    assert Usage.read(shape) == usage


@pytest.mark.parametrize("key", ["prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"])
@pytest.mark.parametrize(
    ("value", "count"),
    [
        (7, 7),
        (7.0, 7),
        (0, 0),
        (10**20, 10**20),
        (7.5, None),
        (-1, None),
        (-1.0, None),
        (True, None),
        (False, None),
        ("7", None),
        (None, None),
        ([7], None),
        ({"value": 7}, None),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
    ],
    ids=repr,
)
def test_invalid_counts_are_unknown(key: str, value: Any, count: int | None) -> None:
    read = Usage.read({key: value})
    got = {
        "prompt_tokens": read.input,
        "completion_tokens": read.output,
        "cached_tokens": read.cached,
        "reasoning_tokens": read.reasoning,
    }
    result = got.pop(key)
    assert (result, type(result)) == (count, type(count))
    assert set(got.values()) == {None}


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.floats() | st.lists(st.integers())))
def test_reading_usage_never_fails(shape: dict[str, Any]) -> None:
    for keys in (shape, {"prompt_tokens_details": shape, "completion_tokens_details": shape}):
        for count in leaves(Usage.read(keys)).values():
            assert count is None or (type(count) is int and count >= 0)


# What holds for all answers.


@given(USAGES, st.none() | PRICES, CHANNELS, st.booleans(), MAYBE)
def test_channel_costs_sum_to_the_total(
    usage: Usage, price: Price | None, channels: dict[str, int], own: bool, counted: int | None
) -> None:
    result = measured(usage, price, channels, own_vocabulary=own, counted_input=counted)
    tokens, cash = result.size.tokens, result.cost.cash
    if usage.output is not None:
        assert tokens.by_channel is not None
        assert list(tokens.by_channel) == ["analysis", "commentary", "final", "markup"]
        assert sum(tokens.by_channel.values()) == usage.output
        assert min(tokens.by_channel.values()) >= 0
    if cash.output is not None:
        assert cash.by_channel is not None
        assert sum(cash.by_channel.values()) == cash.output
    if cash.total is not None:
        assert None not in (cash.input, cash.cache, cash.output)
        assert cash.total == cash.input + cash.cache + cash.output  # type: ignore[operator]
    if result.hidden_share is not None:
        assert 0 <= result.hidden_share <= 1


@given(USAGES, st.none() | PRICES, CHANNELS, st.booleans(), MAYBE)
def test_unknown_costs_have_a_reason(
    usage: Usage, price: Price | None, channels: dict[str, int], own: bool, counted: int | None
) -> None:
    result = measured(usage, price, channels, own_vocabulary=own, counted_input=counted)
    figures = leaves(result)
    money = [value for path, value in figures.items() if path.startswith("cost.cash.")]
    money += (result.cost.cash.by_channel or {}).values()
    assert {type(value) for value in money} <= {Decimal, type(None), dict}
    # Unknowable here.
    for path in ("size.tokens.cache.set", "cost.time.first_token", "unknown", "notes"):
        del figures[path]
    assert {path for path, value in figures.items() if value is None} == set(result.unknown)
    assert all(result.unknown.values())


@given(COUNTS, COUNTS, MONEY, MONEY, MONEY, st.data())
def test_cached_tokens_are_charged_once(
    prompt: int, output: int, fresh: Decimal, cached_price: Decimal, written: Decimal, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, prompt))
    cash = measured(Usage(prompt, output, cached), Price(fresh, written, cached_price)).cost.cash
    expected = (fresh * (prompt - cached) + cached_price * cached + written * output) / 1_000_000
    assert cash.total == expected
    # Without a price of its own, a cached token costs what others do: the total is as if none were.
    same = measured(Usage(prompt, output, cached), Price(fresh, written)).cost.cash.total
    assert same == measured(Usage(prompt, output, 0), Price(fresh, written)).cost.cash.total
    assert same == metrics.cost_of(Price(fresh, written), prompt, output)


@given(COUNTS, MONEY)
def test_costs_ignore_the_decimal_context(count: int, price: Decimal) -> None:
    usage, prices = Usage(count, count, count // 2), Price(price, price, price / 3)
    exact = measured(usage, prices, {"final": count // 3})
    with decimal.localcontext(prec=3):
        assert measured(usage, prices, {"final": count // 3}).cost == exact.cost


# Single cases.


def test_excess_cached_tokens_are_noted_and_cost_nothing() -> None:
    result = measured(Usage(10, 0, 50), Price(1, 1, 0))  # type: ignore[arg-type]
    assert (result.cost.cash.input, result.cost.cash.cache) == (Decimal("0.00001"), 0)
    assert any("50 cached tokens in a prompt of 10" in note for note in result.notes)
    assert result.size.tokens.cache.get == 50


def test_missing_cache_counts_are_noted() -> None:
    apart, alike = Price(1, 1, Decimal("0.1")), Price(1, 1)  # type: ignore[arg-type]
    assert any("cached tokens" in note for note in measured(Usage(10, 0), apart).notes)
    assert measured(Usage(10, 0), alike).notes == measured(Usage(10, 0, 5), apart).notes == ()


def test_reasoning_prefers_the_count_of_the_service() -> None:
    entries = {"analysis": 30, "final": 10}
    reports = measured(Usage(5, 60, reasoning=40), channels=entries)
    assert reports.size.tokens.by_channel == {"analysis": 40, "commentary": 0, "final": 10, "markup": 10}
    assert reports.notes == ()
    own = measured(Usage(5, 60), channels=entries)
    assert own.size.tokens.by_channel == {"analysis": 30, "commentary": 0, "final": 10, "markup": 20}
    assert own.notes == ("the service gave no count of reasoning: motet counted it",)


def test_reasoning_is_capped_at_the_output() -> None:
    result = measured(Usage(5, 20, reasoning=70), channels={"final": 3})
    assert result.size.tokens.by_channel == {"analysis": 20, "commentary": 0, "final": 0, "markup": 0}


def test_mismatched_counts_are_used_as_shares() -> None:
    result = measured(Usage(5, 10), channels={"analysis": 30, "final": 30}, own_vocabulary=False)
    assert result.size.tokens.by_channel == {"analysis": 5, "commentary": 0, "final": 5, "markup": 0}
    assert any("shares" in note for note in result.notes)


def test_hidden_share_is_reasoning_and_markup() -> None:
    result = measured(Usage(0, 100, 0, 50), Price(0, 1), {"final": 30})  # type: ignore[arg-type]
    assert result.hidden_share == 0.7
    free = measured(Usage(10, 10), Price(0, 0))  # type: ignore[arg-type]
    assert (free.cost.cash.total, free.hidden_share) == (0, None)
    assert free.unknown["hidden_share"] == "the answer cost nothing"


def test_drift_is_the_difference_of_the_counts() -> None:
    assert measured(Usage(10, 1), counted_input=7).drift == 3
    assert measured(Usage(10, 1), counted_input=10).notes == ()
    assert "+3 tokens" in measured(Usage(10, 1), counted_input=7).notes[0]


def test_each_reason_is_named_once() -> None:
    nothing = measured()
    assert nothing.unknown["cost.cash.total"] == "the service sent no count of tokens"
    assert measured(Usage(1, 1)).unknown["cost.cash.total"] == "the price is unknown"
    both = measured(Usage(1), Price(1))  # type: ignore[arg-type]
    assert both.unknown["cost.cash.total"] == "the service sent no count of tokens"
    assert both.cost.cash.input == Decimal("0.000001")


@pytest.mark.parametrize("field", ["input", "output", "cached"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(0.15, TypeError), (True, TypeError), ([], TypeError), ("free", ValueError), ("-1", ValueError), (-1, ValueError)]
    + [(Decimal(word), ValueError) for word in ("NaN", "Infinity", "-0.01")],
)
def test_invalid_price_is_refused_before_the_request(field: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{field} must be"):
        Price(**{field: value})


def test_prices_are_decimals_for_every_input_type() -> None:
    price = Price("0.15", 2, Decimal("0.01"))  # type: ignore[arg-type]
    assert leaves(price) == {"input": Decimal("0.15"), "output": Decimal(2), "cached": Decimal("0.01")}
    assert leaves(Price()) == dict.fromkeys(("input", "output", "cached"))


def test_durations_are_shown_in_seconds() -> None:
    assert (str(Time(1.234)), float(Time(1.234))) == ("1.23 s", 1.234)


def test_limits_are_read_from_floats() -> None:
    assert [metrics.to_money(value, "max_cost", floats=True) for value in (0.05, 1e-7)] == [
        Decimal("0.05"),
        Decimal("1e-7"),
    ]
    for wrong in (float("nan"), float("inf"), -0.5):
        with pytest.raises(ValueError, match=r"^max_cost must be"):
            metrics.to_money(wrong, "max_cost", floats=True)
    assert limits.budget(0.01).limit == Decimal("0.01")

"""Columns of money beside `motet.metrics`, row by row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import Price, Usage, columns
from motet.catalog import find
from motet.metrics import Chars, Time, measure
from tests.support.completions import CALL

counts = st.none() | st.integers(0, 10**9)
amounts = st.none() | st.decimals(0, 10_000, places=6)
NOTHING = {"prompt": None, "cached": None, "completion": None, "total": None}


def measured(prompt: int | None, completion: int | None, cached: int | None, price: Price) -> dict[str, Any] | None:
    """The row of an answer with these counts, by `motet.metrics`."""
    if prompt is None and completion is None:
        return None
    metrics = measure(
        usage=Usage(prompt, completion, cached),
        price=price,
        no_price="unknown",
        channels={},
        own_vocabulary=True,
        chars=Chars(0, 0, {}),
        time=Time(0, None),
        counted_input=None,
        model="x",
    )
    cash = metrics.cost.cash
    return {"prompt": cash.input, "cached": cash.cache, "completion": cash.output, "total": cash.total}


@given(st.lists(st.tuples(counts, counts, counts, st.sampled_from("abc")), max_size=5), amounts, amounts, amounts)
def test_costs_equal_those_of_metrics(rows: list[Any], first: Any, second: Any, third: Any) -> None:
    prices = {"a": Price(first, second, third), "b": Price(second, third)}
    [prompt, completion, cached, model] = [list(items) for items in zip(*rows, strict=True)] or [[]] * 4
    arrays = [pa.array(items, pa.int64()) for items in (prompt, completion, cached)]
    column = columns.cost(arrays[0], arrays[1], cached=arrays[2], model=pa.array(model, pa.string()), price=prices)
    expected = [measured(*row[:3], prices.get(row[3], Price())) for row in rows]
    assert pa.array(column).to_pylist() == expected
    same = columns.cost(arrays[0], arrays[1], cached=arrays[2], price=prices["a"])
    assert pa.array(same).to_pylist() == [measured(*row[:3], prices["a"]) for row in rows]


def test_texts_and_ids_are_counted() -> None:
    price = Price("0.15", "0.6")
    ids = motet.encode(CALL, special="token")
    [row] = pa.array(columns.cost(pa.array(["Hello world"]), pa.array([CALL]), price=price)).to_pylist()
    assert row == pa.array(columns.cost(pa.array([2]), pa.array([ids]), price=price)).to_pylist()[0]
    assert row["total"] == Decimal("0.15") * 2 / 10**6 + Decimal("0.6") * len(ids) / 10**6


def test_slugs_have_the_price_of_the_catalogue() -> None:
    slug = "together/gpt-oss/120b"
    [row] = pa.array(columns.cost(pa.array([10**6]), pa.array([10**6]), price=slug)).to_pylist()
    price = find(slug).cost.cash
    assert price.input is not None
    assert price.output is not None
    assert row["total"] == price.input + price.output


def test_unknown_costs_are_null() -> None:
    price = Price("1", "1")
    rows = pa.array(columns.cost(pa.array([-1, 1]), pa.array([1, None]), price=price)).to_pylist()
    assert [row["total"] for row in rows] == [None, None]
    assert pa.array(columns.cost(None, pa.array([1]), price=price)).to_pylist()[0]["total"] is None
    names = pa.array(["b", None]).dictionary_encode()
    unknown = columns.cost(pa.array([1, 1]), pa.array([1, 1]), model=names, price={"a": price})
    assert pa.array(unknown).to_pylist() == [NOTHING, NOTHING]


def test_costs_refuse_what_cannot_be_priced() -> None:
    one, price = pa.array([1]), Price("1", "1")
    with pytest.raises(ValueError, match="different numbers of rows: 1, 2"):
        columns.cost(one, pa.array([1, 2]), price=price)
    with pytest.raises(ValueError, match=r"input must have at most 6 digits behind the point: 0\.0000001"):
        columns.cost(one, one, price=Price("0.0000001"))
    with pytest.raises(TypeError, match="needs the column `model`"):
        columns.cost(one, one, price={"a": price})
    with pytest.raises(TypeError, match=r"price must be a motet\.Price or a slug, not float"):
        columns.cost(one, one, price=0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="array of counts, text or token ids is needed, not one of Float64"):
        columns.cost(pa.array([0.5]), one, price=price)


def test_counts_may_be_run_end_encoded() -> None:
    price, plain = Price("0.15", "0.6"), pa.array([5, 5, None, 7])
    encoded = pc.run_end_encode(plain)
    expected = pa.array(columns.cost(plain, plain, price=price)).to_pylist()
    assert pa.array(columns.cost(encoded, plain.dictionary_encode(), price=price)).to_pylist() == expected

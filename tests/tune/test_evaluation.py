"""A model and its base, asked the same and scored."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import tune
from motet.errors import (
    ConfigError,
    InvalidDatasetError,
    MaxCostError,
    NotFoundError,
)
from motet.tune.evaluation import score, words
from tests.support.server_scripts import final
from tests.support.tune_service import (
    MODEL,
    answering,
    finished_job,
    rows,
    service,
    status,
)


def test_both_models_get_the_same_requests(data: Path) -> None:
    with service(answering) as it:
        job = finished_job(it, data)
        models: list[str] = []
        comparison = tune.compare(job, data, backend=it.backend, on_result=lambda model, _: models.append(model))
        assert comparison.base is not None
        assert (comparison.base.model, comparison.tuned.model) == (MODEL, job.output_model)
        assert [comparison.tuned.share(name) for name in ("exact", "normalised", "f1", "calls")] == [
            1.0,
            1.0,
            1.0,
            None,
        ]
        assert (comparison.base.share("exact"), comparison.base.failed) == (0.0, 0)
        assert 0 < (comparison.base.share("f1") or 0) < 0.5
        # The base model has a price, that of the new one is unknown.
        assert comparison.base.cost is not None
        assert comparison.base.cost > 0
        assert comparison.tuned.cost is None
        assert comparison.tuned.output == sum(result.output or 0 for result in comparison.tuned.results)
        assert [result.row.line for result in comparison.tuned.results] == [1, 2, 3, 4, 5, 6]
        assert models == [job.output_model] * 6 + [MODEL] * 6
        shape = json.loads(json.dumps(comparison.to_dict()))
        assert [model["model"] for model in shape["models"]] == [MODEL, job.output_model]
        assert shape["models"][0]["answers"][0]["scores"]["f1"] == comparison.base.results[0].scores.f1
        price = {"input": "1", "output": "2"}
        assert (
            tune.compare(job.id, data, limit=2, price=price, backend=it.backend).tuned.cost
            == Decimal(sum((item.input or 0) + 2 * (item.output or 0) for item in comparison.tuned.results[:2]))
            / 1_000_000
        )
        alone = tune.compare("scripted/another-model", data, backend=it.backend)
        assert (alone.base, len(alone.tallies)) == (None, 1)


TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}},
}


CALLED = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"x":1}<|call|>'


ASK = [{"role": "user", "content": "Call f with 1"}]


def calling(arguments: str = '{"x": 1}', name: str = "f") -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"messages": [*ASK, {"role": "assistant", "content": "", "tool_calls": [call]}], "tools": [TOOL]}


@pytest.mark.parametrize(
    ("row", "calls"),
    [
        (calling(), 1.0),
        (calling('{ "x" : 1 }'), 1.0),
        (calling('{"x": 2}'), 0.0),
        (calling("{"), 0.0),
        (calling(name="g"), 0.0),
        ({"messages": [*ASK, {"role": "assistant", "content": "No."}], "tools": [TOOL]}, 0.0),
    ],
    ids=str,
)
def test_calls_are_compared_by_value(row: dict[str, Any], calls: float) -> None:
    with service(lambda _: CALLED) as it:
        comparison = tune.compare(MODEL, [row], backend=it.backend)
        assert comparison.tuned.share("calls") == calls
        assert it.server.requests[-1].body["tools"][0]["function"]["name"] == "f"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Hi 1?", "completion": "Town 1"}, "Town 1"),
        ({"prompt": "Hi 1?"}, None),
        ({"prompt": "Hi 1?", "completion": None, "messages": None}, None),
        ({"messages": [{"role": "user", "content": "Hi 1?"}], "prompt": None}, None),
        ({"messages": [{"role": "user", "content": "Hi 1?"}]}, None),
        (
            {
                "input": {"messages": [{"role": "user", "content": "Hi 1?"}]},
                "preferred_output": [{"role": "assistant", "content": "Town 1"}],
                "non_preferred_output": [{"role": "assistant", "content": "?"}],
            },
            "Town 1",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi 1?", "weight": 0},
                    {"role": "assistant", "content": "Town 1", "reasoning": "Hm", "weight": 1},
                ]
            },
            "Town 1",
        ),
    ],
    ids=str,
)
def test_examples_of_every_form_can_be_evaluated(row: dict[str, Any], expected: str | None) -> None:
    with service(lambda _: final("Town 1")) as it:
        tally = tune.compare(MODEL, [row], backend=it.backend).tuned
        assert tally.results[0].row.expected == expected
        assert tally.share("exact") == (None if expected is None else 1.0)
        assert it.server.requests[-1].body["messages"] == [{"role": "user", "content": "Hi 1?"}]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"prompt": 7},
        7,
        None,
        {"text": "x"},
    ],
    ids=str,
)
def test_invalid_example_is_named_by_line(tmp_path: Path, row: Any) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(rows(1)[0])}\n\n{json.dumps(row)}\n")
    with service() as it:
        with pytest.raises(InvalidDatasetError, match="line 3 of"):
            tune.compare(MODEL, path, backend=it.backend)
        path.write_text("{")
        with pytest.raises(InvalidDatasetError, match=r"line 1 of .*: not valid JSON"):
            tune.compare(MODEL, path, backend=it.backend)
        path.write_text("\n")
        with pytest.raises(ConfigError, match="no examples"):
            tune.compare(MODEL, path, backend=it.backend)
        assert it.server.requests == []


def test_example_without_an_answer_counts_as_wrong(data: Path) -> None:
    def script(body: dict[str, Any]) -> Any:
        return status(400) if " 3?" in body["messages"][-1]["content"] else answering({**body, "model": "scripted/x"})

    with service(script) as it:
        tally = tune.compare(MODEL, data, parallel=1, backend=it.backend).tuned
        assert (tally.failed, tally.share("exact")) == (1, 5 / 6)
        assert "HTTP 400" in (tally.results[3].error or "")
        assert tally.cost is not None
        assert tally.cost > 0


def test_unserved_model_is_reported(data: Path) -> None:
    """Not once for each example."""
    with service(lambda _: status(404)) as it:
        with pytest.raises(NotFoundError):
            tune.compare(MODEL, data, parallel=1, backend=it.backend)
        assert len(it.server.requests) <= 2


def test_answers_are_kept_after_an_error(data: Path) -> None:
    """A base model may be removed while the model trained from it is served."""

    def script(body: dict[str, Any]) -> Any:
        return status(404) if body["model"] == MODEL else answering(body)

    with service(script) as it:
        comparison = tune.compare("scripted/model", data, base=MODEL, backend=it.backend)
        assert isinstance(comparison.stopped, NotFoundError)
        assert comparison.base is not None
        assert (len(comparison.tuned.results), comparison.base.results, comparison.base.cost) == (6, (), 0)
        assert "no such model" in comparison.to_dict()["stopped"]


def test_budget_ends_the_evaluation(data: Path) -> None:
    with service(answering) as it:
        whole = tune.compare(MODEL, data, parallel=1, backend=it.backend).tuned.cost
        assert whole is not None
        comparison = tune.compare(MODEL, data, parallel=1, max_cost=whole * 2 / 3, backend=it.backend)
        assert 0 < len(comparison.tuned.results) < 6
        assert isinstance(comparison.stopped, MaxCostError)
        # What has no price cannot be held to one.
        with pytest.raises(motet.MotetError, match="price"):
            tune.compare("some/model", data, max_cost="1", backend=it.backend)


@pytest.mark.parametrize(
    ("text", "expected", "exact", "normalised", "f1"),
    [
        ("Paris", "Paris", 1, 1, 1),
        (" Paris\n", "Paris", 1, 1, 1),
        ("paris.", "Paris", 0, 1, 1),
        ("It is Paris", "Paris", 0, 0, 0.5),
        ("London", "Paris", 0, 0, 0),
        ("", "Paris", 0, 0, 0),
        ("東京です", "東京", 0, 0, 2 / 3),
        ("Ｐａｒｉｓ", "paris", 0, 1, 1),
        ("?!", "?!", 1, 1, 1),
        ("?", "!", 0, 0, 0),
        ("a a a b", "a b b", 0, 0, 4 / 7),
    ],
)
def test_answers_are_scored(text: str, expected: str, exact: float, normalised: float, f1: float) -> None:
    scores = score(text, (), expected, ())
    assert (scores.exact, scores.normalised, scores.f1) == (exact, normalised, pytest.approx(f1))
    assert scores.calls is None


@given(st.text(), st.text())
def test_scores_are_shares_and_1_for_equal_texts(first: str, other: str) -> None:
    scores = score(first, (), other, ())
    for value in (scores.exact, scores.normalised, scores.f1):
        assert value is None or 0 <= value <= 1
    if first == other and first:
        assert (scores.exact, scores.normalised, scores.f1) == (1, 1, 1)
    assert words(first) == words(first.upper().lower()) or not first.isascii()

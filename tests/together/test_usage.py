"""What services count: where it stands, and counts that contradict each other or the answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import motet
from motet.metrics import Usage
from motet.testing import Turn
from tests.support.face_servers import MODEL
from tests.support.fault_cases import DONE, InMemoryService, sse
from tests.support.server_scripts import WEATHER, asking, final

COUNTS = {"prompt_tokens": 70, "completion_tokens": 9, "total_tokens": 79}


def answer_with(usage: Any, *, reasoning: str = "", place: str = "chunk") -> motet.Answer[Any]:
    """The streamed answer `Warm.` with a usage in a chunk of its own, beside the finish reason, or in the choice."""
    service = InMemoryService()
    choice: dict[str, Any] = {"index": 0, "delta": {"content": "Warm."}, "finish_reason": "stop"}
    if reasoning:
        choice["delta"]["reasoning"] = reasoning
    last: dict[str, Any] = {"choices": [choice]}
    if place == "choice":
        choice["usage"] = usage
    elif place == "finish":
        last["usage"] = usage
    elif place == "x_groq":
        last["x_groq"] = {"id": "req_1", "usage": usage}
    elif place == "timings":
        last["timings"] = usage
    chunks = [last, {"choices": [], "usage": usage}] if place == "chunk" else [last]
    service.tell(*map(sse, chunks), DONE)
    with service.atom().stream("Hi") as stream:
        list(stream)
    return stream.answer


@pytest.mark.parametrize("place", ["chunk", "finish", "choice", "x_groq"])
def test_usage_is_found_in_every_place(place: str) -> None:
    assert answer_with(COUNTS, place=place).usage == Usage(70, 9, total=79)


@pytest.mark.parametrize(
    ("shape", "usage"),
    [
        (COUNTS, Usage(70, 9, total=79)),
        ({"input_tokens": 70, "output_tokens": 9}, Usage(70, 9)),
        ({**COUNTS, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 6}, Usage(70, 9, 64, total=79)),
        ({**COUNTS, "prompt_tokens_details": {"cached_tokens": 64}}, Usage(70, 9, 64, total=79)),
        ({**COUNTS, "completion_tokens_details": {"reasoning_tokens": 4}}, Usage(70, 9, reasoning=4, total=79)),
    ],
)
def test_names_of_counts(shape: dict[str, Any], usage: Usage) -> None:
    answer = answer_with(shape)
    assert answer.usage == usage
    assert not any("service counted" in note and "reasoning" not in note for note in answer.notes)


def test_timings_of_llamacpp_count_without_usage() -> None:
    usage = answer_with({"cache_n": 64, "prompt_n": 6, "predicted_n": 9}, place="timings").usage
    assert usage is not None
    assert (usage.input, usage.cached, usage.output) == (70, 64, 9)


@pytest.mark.parametrize(
    ("shape", "reasoning", "counts", "words"),
    [
        # Reasoning outside of the output, as the total says.
        (
            {"prompt_tokens": 70, "completion_tokens": 9, "total_tokens": 104, "reasoning_tokens": 25},
            "Hm.",
            (70, 34, 25),
            "reasoning outside",
        ),
        ({**COUNTS, "total_tokens": 104}, "", (70, None, None), "70 + 9 = 104"),
        ({**COUNTS, "total_tokens": 20}, "", (None, None, None), "70 + 9 = 20"),
        ({**COUNTS, "reasoning_tokens": 0}, "Hm.", (70, 9, None), "counted no reasoning, and sent some"),
        ({**COUNTS, "reasoning_tokens": 30}, "Hm.", (70, 9, None), "30 tokens of reasoning in an output of 9"),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, "", (None, None, None), "zero tokens beside"),
        ({**COUNTS, "completion_tokens": 0, "total_tokens": 70}, "", (70, None, None), "zero tokens beside"),
    ],
)
def test_contradictory_counts_are_unknown(shape: Any, reasoning: str, counts: Any, words: str) -> None:
    answer = answer_with(shape, reasoning=reasoning)
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.output, answer.usage.reasoning) == counts
    assert any(words in note for note in answer.notes), answer.notes
    # Unknown is not zero.
    cost = answer.metrics.cost.cash.total
    assert (cost is None) == (None in counts[:2])
    assert cost is None or cost > 0


HIDDEN = {**COUNTS, "completion_tokens": 60, "total_tokens": 130, "completion_tokens_details": {"reasoning_tokens": 50}}
CALL = '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Bern"}<|call|>'


def get_weather(city: str) -> str:
    """The weather now."""
    return f"rain in {city}"


def test_reasoning_that_is_not_sent_is_counted_and_noted() -> None:
    with asking(Turn(final("Warm."), usage=HIDDEN), Turn(final("Warm."), usage=HIDDEN)) as (atom, _):
        answer = atom.ask("Hi")
        limited = atom.ask("Hi", max_reasoning_tokens=30)
    assert answer.metrics.size.tokens.by_channel["analysis"] == 50
    assert "the service counted 50 tokens of reasoning, and sent none of it" in answer.notes
    # It is paid for, so it is not thrown away.
    assert limited.output == "Warm."
    assert any("50 tokens of reasoning, more than max_reasoning_tokens=30" in note for note in limited.notes)


def test_limits_of_a_run_see_reasoning_that_is_not_sent() -> None:
    with (
        asking(Turn(CALL, usage=HIDDEN), Turn(final("Warm."), usage=HIDDEN)) as (atom, server),
        pytest.raises(motet.MaxTokensError, match="max_reasoning_tokens=30") as caught,
    ):
        atom.run("Hi", tools=[get_weather], max_reasoning_tokens=30)
    assert len(server.requests) == 1
    assert caught.value.state.steps[0].calls[0].content == "rain in Bern"


def test_empty_answer_after_reasoning_that_is_not_sent_says_so() -> None:
    with (
        asking(Turn(final(""), usage=HIDDEN)) as (atom, _),
        pytest.raises(motet.EmptyOutputError, match="after 50 tokens of reasoning that the service did not send"),
    ):
        atom.ask("Hi")


@pytest.mark.parametrize("options", [{"n": 2}, {"extra": {"n": 2}}, {"extra": {"best_of": 3}}], ids=str)
@pytest.mark.parametrize(("style", "lane"), [("together", "chat"), ("vllm", "ids")])
def test_several_choices_are_refused_unsent(options: Any, style: str, lane: str) -> None:
    with asking(final("Warm."), style=style, lane=lane) as (atom, server):
        with pytest.raises((motet.ConfigError, TypeError), match=r"\bn\b"):
            atom.ask("Hi", **options)
        assert all(request.method == "GET" for request in server.requests)


def test_second_choice_of_a_server_is_left_out() -> None:
    choices = [{"index": index, "delta": {"content": text}, "finish_reason": "stop"} for index, text in enumerate("ab")]
    service = InMemoryService()
    service.tell(*[sse({"choices": [choice]}) for choice in choices], sse({"choices": [], "usage": COUNTS}), DONE)
    with service.atom().stream("Hi", tools=[WEATHER]) as stream:
        assert "".join([event.delta for event in stream]) == "a"


# The model that answers under another name.


@pytest.mark.parametrize(
    ("name", "price"),
    [
        (MODEL, "own"),
        ("OpenAI/GPT-OSS-120B", "own"),
        ("gpt-oss-120b", "own"),
        ("gpt-oss:120b", "own"),
        ("/models/gpt-oss-120b-mxfp4.gguf", "own"),
        ("openai/gpt-oss-120b-2025-08-05", "own"),
        ("openai/gpt-oss-20b", "other"),
        ("gpt-oss:20b", "other"),
        ("gpt-oss", "unknown"),
        ("some/model", "unknown"),
        ("openai/gpt-oss-120b-q4", "unknown"),
    ],
)
def test_price_of_the_model_that_answers(name: str, price: str) -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}
    with asking(Turn(final("Warm."), model=name, usage=usage)) as (atom, _):
        answer = atom.ask("Hi")
    slug = {"own": "together/gpt-oss/120b", "other": "together/gpt-oss/20b"}.get(price)
    expected = None
    if slug is not None:
        cash = motet.atom(slug).spec.cost.cash
        assert cash.input is not None
        assert cash.output is not None
        expected = cash.input + cash.output
    assert answer.metrics.cost.cash.total == expected
    assert (f"{name} answered" in " ".join(answer.notes)) == (name != MODEL)


@pytest.mark.parametrize("name", ["gpt-oss:120b", "some/model"])
def test_price_of_the_caller_holds_for_any_model_in_a_run(name: str) -> None:
    turns = [Turn(CALL, model=name), Turn(final("Warm."), model=name)]
    with asking(*turns, price={"input": "1", "output": "1"}) as (atom, _):
        run = atom.run("Hi", tools=[get_weather], max_cost="0.01")
    assert run.output == "Warm."
    tokens = run.metrics.size.tokens
    assert run.metrics.cost.cash.total == Decimal((tokens.input or 0) + (tokens.output or 0)) / 1_000_000

"""Asking: what goes out, what comes back, what it cost. Real HTTP through the real SDK."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

import motet
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.server_scripts import ANSWER, CALL, KEY, LANES, PLAIN, SLUG, THOUGHT, WEATHER, asking, final


class Review(BaseModel):
    approved: bool
    issues: list[str]
    note: str | None = None


@dataclass
class Point:
    x: int
    y: int


class Place(TypedDict):
    city: str


# What comes back.


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_every_lane_gives_the_same_answer(style: str, lane: str) -> None:
    with asking(lambda _: PLAIN, style=style, lane=lane) as (brain, _):
        asked = brain.ask("Why is the sky blue?")
        with brain.stream("Why is the sky blue?") as stream:
            events = list(stream)
    for answer in (asked, stream.answer):
        assert (answer.output, answer.reasoning, answer.calls) == (ANSWER, THOUGHT, ())
        assert (answer.lane, answer.finish, answer.completion.stop) == (lane, "stop", "return")
        assert answer.metrics.drift == 0
        assert answer.completion.repairs == ()
    assert asked.completion == stream.answer.completion
    heard = [(event.kind, event.delta) for event in events if event.type == "delta"]
    assert "".join([delta for kind, delta in heard if kind == "reasoning"]) == THOUGHT
    assert "".join([delta for kind, delta in heard if kind == "text"]) == ANSWER
    assert [event.type for event in events if event.type != "delta"] == ["start", "end", "start", "end"]


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_every_lane_gives_the_same_call(style: str, lane: str) -> None:
    with asking(lambda _: CALL, style=style, lane=lane) as (brain, _):
        asked = brain.ask("Is Zürich warm?", tools=[WEATHER])
        with brain.stream("Is Zürich warm?", tools=[WEATHER]) as stream:
            events = list(stream)
    for answer in (asked, stream.answer):
        assert answer.output is None
        assert [(call.name, call.args()) for call in answer.calls] == [("get_weather", {"city": "Zürich"})]
        assert [part.type for part in answer.message.content] == ["reasoning", "preamble", "tool_call"]
        assert answer.completion.stop == "call"
        assert answer.calls[0].trusted is (lane != "text")
    arguments = "".join([event.delta for event in events if event.kind == "tool_call" and event.type == "delta"])
    assert arguments == '{"city": "Zürich"}'


def test_lane_is_chosen_from_the_server_capabilities() -> None:
    for style, lane in (("together", "chat"), ("vllm", "ids"), ("sglang", "ids"), ("llamacpp", "text")):
        with asking(lambda _: PLAIN, style=style, lane="auto") as (brain, server):
            answer = brain.ask("Why?")
            assert (answer.lane, len(server.requests)) == (lane, 2)
            assert style in answer.lane_reason.replace(".", "") or style == "together"
            brain.ask("Why?")
            assert [one.path for one in server.requests].count("/v1/models") == 1


def test_other_models_use_the_chat_lane() -> None:
    with asking(lambda _: final("Hi"), style="vllm", slug="together/kimi/k3", lane="auto") as (brain, server):
        assert brain.ask("Hello").lane == "chat"
        assert [one.path for one in server.requests] == ["/v1/chat/completions"]
        with pytest.raises(motet.ConfigError, match="does not speak harmony"):
            brain.ask("Hello", lane="ids")


def test_answers_pickle_and_compare() -> None:
    with asking(PLAIN) as (brain, _):
        answer = brain.ask("Why?")
    for travelled in (pickle.loads(pickle.dumps(answer)), copy.deepcopy(answer)):
        assert travelled == answer
    assert "It scatters" in repr(answer)
    assert answer.series is None


# Going on.


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_tool_result_is_sent_with_reasoning_of_the_turn(style: str, lane: str) -> None:
    with asking(CALL, PLAIN, PLAIN, style=style, lane=lane) as (brain, server):
        first = brain.ask("Is Zürich warm?", tools=[WEATHER], briefs=["Be brief."])
        second = brain.ask([motet.ToolResult(first.calls[0].id, '{"celsius": 24}')], on=first.episode, tools=[WEATHER])
        third = brain.ask("And why?", on=second, tools=[WEATHER])
        assert [second.output, third.output] == [ANSWER, ANSWER]
        bodies = [one.body for one in server.requests if one.method == "POST"]
    assert len(third.episode) == 3
    assert len({one.episode.hash for one in (first, second, third)}) == 3
    if lane == "chat":
        # Each call once, with its reasoning, then the result; after the final answer no reasoning is left.
        assert [m["role"] for m in bodies[1]["messages"]] == ["system", "user", "assistant", "tool"]
        said = bodies[1]["messages"][2]
        assert said["reasoning"] == "I need the weather."
        assert said["content"] == "Let me look."
        assert said["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city": "Zürich"}'}
        assert bodies[1]["messages"][3]["tool_call_id"] == said["tool_calls"][0]["id"]
        assert not any("reasoning" in m for m in bodies[2]["messages"])
    else:
        prompts = [b["prompt"] if lane == "text" else motet.decode(b["prompt"]) for b in bodies]
        assert prompts[1].count("to=functions.get_weather") == 1
        assert "I need the weather." in prompts[1]
        assert "I need the weather." not in prompts[2]
        assert "Be brief." in prompts[2]
        if lane == "ids":
            assert bodies[1]["prompt"][: len(bodies[0]["prompt"])] == bodies[0]["prompt"]


def test_an_episode_is_a_value() -> None:
    with asking(PLAIN, PLAIN, PLAIN) as (brain, _):
        first = brain.ask("Why?", briefs=["PAPAYA99"])
        before = first.episode
        brain.ask("And?", on=first)
        assert first.episode is before
        assert len(first.episode) == 1
        again = motet.Episode.from_dict(first.episode.to_dict())
        assert again == first.episode
        assert again.hash == first.episode.hash
        assert brain.ask("And?", on=again).episode.system == "PAPAYA99"


def test_episode_hashes_separate_adjacent_texts() -> None:
    def episode(asked: str, answered: str) -> motet.Episode:
        message = motet.Message("assistant", (motet.Text(answered),))
        return motet.Episode().add([motet.Message("user", (motet.Text(asked),))], message)

    assert episode("a\nb", "c").hash != episode("a", "b\nc").hash
    assert episode("a", "b").hash == episode("a", "b").hash


def test_arguments_of_the_caller_are_not_changed() -> None:
    tools, messages = [copy.deepcopy(WEATHER)], [{"role": "user", "content": "Hi"}]
    kept = copy.deepcopy((tools, messages))
    with asking(CALL) as (brain, _):
        brain.ask(messages, tools=tools)
    assert (tools, messages) == kept


def test_briefs_can_be_texts_or_files(tmp_path: Path) -> None:
    page = tmp_path / "style.md"
    page.write_text("Write short words.\n")
    with asking(PLAIN, PLAIN) as (brain, server):
        brain.ask("Hi", briefs=[page, "Be kind.", str(page)])
        front = server.requests[0].body["messages"][0]
        assert front == {"role": "system", "content": "Write short words.\n\nBe kind.\n\nWrite short words."}
        brain.ask(
            [{"role": "system", "content": "And be quick."}, {"role": "user", "content": "Hi"}], briefs=["Be kind."]
        )
        assert server.requests[1].body["messages"][0]["content"] == "Be kind.\n\nAnd be quick."
        with pytest.raises(motet.ConfigError, match=r"missing\.md"):
            brain.ask("Hi", briefs=[tmp_path / "missing.md"])
        with pytest.raises(TypeError, match="briefs must be a list"):
            brain.ask("Hi", briefs="Be kind.")


@pytest.mark.parametrize(
    ("prompt", "error"),
    [(7, TypeError), ({"role": "user"}, TypeError), ([], ValueError), ([{"role": "nobody"}], motet.RenderError)],
)
def test_invalid_prompts_are_refused_before_sending(prompt: Any, error: type[Exception]) -> None:
    with asking(PLAIN) as (brain, server):
        with pytest.raises(error):
            brain.ask(prompt)
        assert server.requests == []


def test_unknown_option_is_named() -> None:
    with asking(PLAIN) as (brain, _), pytest.raises(TypeError, match=r"max_token; options are .*max_tokens"):
        brain.ask("Hi", max_token=3)  # type: ignore[call-overload]


def test_settings_reach_the_service() -> None:
    with asking(PLAIN) as (brain, server):
        brain.ask(
            "Hi",
            reasoning_effort="low",
            max_tokens=900,
            temperature=0.5,
            top_p=0.9,
            seed=7,
            sampling={"top_k": 40},
            tool_choice="none",
            tools=["now"],
            extra={"safety_model": "guard"},
        )
        body = server.requests[0].body
    wanted = {"reasoning_effort": "low", "max_tokens": 900, "temperature": 0.5, "top_p": 0.9, "seed": 7, "top_k": 40}
    assert wanted.items() <= body.items()
    assert body["tool_choice"] == "none"
    assert body["tools"] == [{"type": "function", "function": {"name": "now"}}]
    assert body["safety_model"] == "guard"
    assert body["model"] == "openai/gpt-oss-120b"


# The type of the answer.

VALUES = [
    (Review, '{"approved": false, "issues": ["typo"], "note": null}', Review(approved=False, issues=["typo"])),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (Place, '{"city": "Oslo"}', {"city": "Oslo"}),
    (list[int], '{"value": [1, 2]}', [1, 2]),
    (
        list[Review],
        '{"value": [{"approved": true, "issues": [], "note": "x"}]}',
        [Review(approved=True, issues=[], note="x")],
    ),
    (int, '{"value": 42}', 42),
    (bool, '{"value": true}', True),
    (str | None, '{"value": "null"}', "null"),
    (str | None, '{"value": null}', None),
    (dict[str, int], '{"a": 1}', {"a": 1}),
]


@pytest.mark.parametrize(("wanted", "raw", "value"), VALUES, ids=lambda one: str(one)[:40])
@pytest.mark.parametrize(("style", "lane"), [("together", "chat"), ("vllm", "ids")])
def test_outputs_of_all_types(wanted: Any, raw: str, value: Any, style: str, lane: str) -> None:
    with asking(lambda _: final(raw), style=style, lane=lane) as (brain, server):
        answer = brain.ask("Go", output=wanted)
        assert answer.output == value
        body = server.requests[-1].body
        if lane == "chat":
            form = body["response_format"]["json_schema"]
            assert form["strict"] is True
            assert form["schema"]["type"] == "object"
            assert answer.response_format == "service"
        else:
            assert "# Response Formats" in motet.decode(body["prompt"])
            assert answer.response_format == "prompt"


def test_nested_schemas_are_strict() -> None:
    class Inner(BaseModel):
        default: int = 3

    class Outer(BaseModel):
        inner: Inner
        many: list[Inner] = []
        named: dict[str, Inner] = {}

    with asking(final('{"inner": {"default": 1}, "many": [], "named": {"k": {"default": 2}}}')) as (brain, server):
        assert brain.ask("Go", output=Outer).output == Outer(inner=Inner(default=1), named={"k": Inner(default=2)})
        schema = server.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["inner", "many", "named"]
    assert schema["additionalProperties"] is False
    inner = schema["$defs"]["Inner"]
    # A property that is named like a word of JSON Schema is still a property.
    assert inner["required"] == ["default"]
    assert "default" not in inner["properties"]["default"]
    assert schema["properties"]["named"]["additionalProperties"] == {"$ref": "#/$defs/Inner"}


def test_tools_and_output_type_combine() -> None:
    with asking(CALL, final('{"approved": true, "issues": [], "note": null}')) as (brain, server):
        first = brain.ask("Review", output=Review, tools=[WEATHER])
        assert first.output is None
        assert first.response_format == "prompt"
        second = brain.ask([motet.ToolResult(first.calls[0].id, "{}")], on=first, output=Review, tools=[WEATHER])
        assert second.output == Review(approved=True, issues=[])
        for one in server.requests:
            assert "response_format" not in one.body
            assert "# Response Formats" in one.body["messages"][0]["content"]
    assert "# Response Formats" not in second.episode.system


def test_untyped_output_is_the_text() -> None:
    with asking(final("null"), final('{"a": 1}')) as (brain, _):
        assert [brain.ask("Go").output, brain.ask("Go").output] == ["null", '{"a": 1}']


def test_json_in_a_code_fence_is_parsed_and_noted() -> None:
    with asking(final('Here:\n```json\n{"x": 1, "y": 2}\n```\n')) as (brain, _):
        answer = brain.ask("Go", output=Point)
        assert answer.output == Point(1, 2)
        assert any("fenced" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("script", "options", "error"),
    [
        (final("no JSON"), {"output": Review}, motet.InvalidJsonError),
        (final('{"approved": "perhaps"}'), {"output": Review}, motet.SchemaMismatchError),
        (final('{"approved": true, "issues": ["a'), {"output": Review, "max_tokens": 9}, motet.TruncatedOutputError),
        (PLAIN, {"max_tokens": 12}, motet.TruncatedOutputError),
        (CALL, {"max_tokens": 24, "tools": [WEATHER]}, motet.TruncatedOutputError),
        (final(""), {}, motet.EmptyOutputError),
        ("<|channel|>analysis<|message|>Hm.<|end|>", {}, motet.OutputError),
    ],
)
@pytest.mark.parametrize("how", ["ask", "aask", "stream", "astream", "limited"])
def test_mismatched_answer_raises_output_error(
    script: str, options: Any, error: type[motet.OutputError], how: str
) -> None:
    with asking(script) as (brain, _), pytest.raises(error) as caught:
        if how == "ask":
            brain.ask("Go", **options)
        elif how == "aask":
            asyncio.run(_aask(brain, "Go", **options))
        elif how == "stream":
            with brain.stream("Go", **options) as stream:
                list(stream)
        elif how == "astream":
            asyncio.run(_drain(brain, options))
        else:
            brain.ask("Go", max_cost="1", **options)
    found = caught.value
    assert isinstance(found.partial, motet.Answer)
    assert found.partial.output is None
    assert found.raw == found.partial.text
    assert found.usage.output == found.partial.metrics.size.tokens.output
    assert found.cost == found.partial.metrics.cost.cash.total > 0
    assert found.request_id
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again), again.raw) == (type(found), str(found), found.raw)
    if error is motet.SchemaMismatchError:
        assert found.problems == (
            "approved: Input should be a valid boolean, unable to interpret input",
            "issues: Field required",
        )  # type: ignore[attr-defined]


async def _aask(brain: motet.Atom, prompt: str, **options: Any) -> motet.Answer[Any]:
    async with brain:
        return await brain.aask(prompt, **options)


async def _drain(brain: motet.Atom, options: Any) -> None:
    async with brain, brain.astream("Go", **options) as stream:
        async for _ in stream:
            pass


def test_output_type_without_schema_is_refused() -> None:
    with asking(PLAIN) as (brain, server):
        with pytest.raises(TypeError, match="JSON Schema"):
            brain.ask("Go", output=threading.Lock)
        assert server.requests == []


# What it cost.


def test_cached_tokens_are_charged_once() -> None:
    price = {"input": "10", "cached": "1", "output": "100"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 600}}
    with asking(Turn(PLAIN, usage=usage), price=price) as (brain, _):
        metrics = brain.ask("Hi").metrics
    cash = metrics.cost.cash
    assert (cash.input, cash.cache, cash.output) == (Decimal("0.004"), Decimal("0.0006"), Decimal("0.002"))
    assert cash.total == Decimal("0.0066")
    assert metrics.size.tokens.cache.get == 600


def test_cached_tokens_default_to_the_input_price() -> None:
    with asking(Turn(PLAIN, cached=50)) as (brain, _):
        metrics = brain.ask("Hi").metrics
    assert metrics.size.tokens.input is not None
    assert metrics.cost.cash.input + metrics.cost.cash.cache == Decimal("0.15") * metrics.size.tokens.input / 1_000_000  # type: ignore[operator]


@pytest.mark.parametrize("lane", ["chat", "ids"])
def test_channel_costs_sum_to_the_total(lane: str) -> None:
    with asking(Turn(CALL, reasoning_tokens=lane == "chat"), style="vllm", lane=lane) as (brain, _):
        metrics = brain.ask("Hi", tools=[WEATHER]).metrics
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
    with asking(Turn(PLAIN, fault=Fault("no_usage")), Turn(PLAIN, fault=Fault("no_usage"))) as (brain, _):
        asked = brain.ask("Hi")
        with brain.stream("Hi") as stream:
            list(stream)
    for answer in (asked, stream.answer):
        cash, tokens = answer.metrics.cost.cash, answer.metrics.size.tokens
        assert (cash.total, cash.input, cash.output, cash.by_channel) == (None, None, None, None)
        assert (tokens.input, tokens.output, tokens.by_channel, answer.metrics.hidden_share) == (None, None, None, None)
        assert answer.metrics.unknown["cost.cash.total"] == "the service sent no count of tokens"
        assert answer.usage is None


def test_model_without_a_price_has_unknown_cost() -> None:
    with asking(PLAIN, slug="openai/gpt-oss-mini") as (brain, _):
        metrics = brain.ask("Hi").metrics
    assert metrics.cost.cash.total is None
    assert "give it: motet.atom" in metrics.unknown["cost.cash.total"]
    assert metrics.size.tokens.output is not None


def test_price_is_that_of_the_model_that_answered() -> None:
    with asking(Turn(PLAIN, model="openai/gpt-oss-20b"), Turn(PLAIN, model="new/model")) as (brain, _):
        cheap, unknown = brain.ask("Hi"), brain.ask("Hi")
    assert cheap.model == "openai/gpt-oss-20b"
    assert cheap.metrics.cost.cash.output == Decimal("0.2") * cheap.metrics.size.tokens.output / 1_000_000  # type: ignore[operator]
    assert any("openai/gpt-oss-20b answered, and openai/gpt-oss-120b was asked" in note for note in cheap.notes)
    assert unknown.metrics.cost.cash.total is None
    assert "new/model answered" in unknown.metrics.unknown["cost.cash.total"]


def test_foreign_vocabulary_is_charged_by_channel_shares() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 7}
    with asking(Turn(PLAIN, usage=usage), slug="together/kimi/k3") as (brain, _):
        metrics = brain.ask("Hi").metrics
    assert metrics.size.tokens.by_channel is not None
    assert sum(metrics.size.tokens.by_channel.values()) == 7
    assert any("shares" in note for note in metrics.notes)
    assert metrics.drift is None


def test_estimate_is_exact_for_the_prompt() -> None:
    for style, lane in LANES:
        with asking(PLAIN, style=style, lane=lane) as (brain, _):
            options: Any = {"briefs": ["Be brief."], "tools": [WEATHER], "reasoning_effort": "high", "max_tokens": 5000}
            estimate = brain.estimate("Why is the sky blue? 青", **options)
            answer = brain.ask("Why is the sky blue? 青", **options)
            assert estimate.exact
            assert estimate.tokens.input == answer.metrics.size.tokens.input
            assert answer.metrics.drift == 0
            assert estimate.cash.low < answer.metrics.cost.cash.total < estimate.cash.high
            later = brain.estimate("Why is the sky blue? 青", **options)
            assert later.tokens.output.expected == answer.metrics.size.tokens.output
            assert later.cash.expected == answer.metrics.cost.cash.total


def test_prompt_is_counted_before_the_lane_is_known() -> None:
    """As long as nobody asked it, and in every lane it has as many tokens or about."""
    for style in ("together", "vllm"):
        with asking(PLAIN, style=style, lane="auto") as (brain, server):
            estimate = brain.estimate("Why is the sky blue? 青")
            assert server.requests == []
            assert estimate.exact
            assert estimate.tokens.input == brain.ask("Why is the sky blue? 青").metrics.size.tokens.input
        with asking(PLAIN, style=style, lane="auto") as (brain, _):
            options: Any = {"briefs": ["Be brief."], "tools": [WEATHER]}
            estimate = brain.estimate("Hi", **options)
            assert abs(estimate.tokens.input - brain.ask("Hi", **options).metrics.size.tokens.input) <= 2
            assert estimate.exact or any("is not known" in note for note in estimate.notes)


def test_too_costly_prompt_is_not_sent_before_lane_detection() -> None:
    with asking(PLAIN, lane="auto") as (brain, server):
        with pytest.raises(motet.MaxCostError, match="nothing was sent"):
            brain.ask("Hi", max_cost="0.000009")
        assert server.requests == []


def test_unrenderable_tools_are_estimated_by_all_words() -> None:
    wordy = {"type": "function", "function": {"name": "f", "description": "one\ntwo", "parameters": {}}}
    with asking(PLAIN, lane="chat") as (brain, _):
        day = "2025-06-28"
        estimate = brain.estimate("Hi", tools=[wordy], current_date=day)
        rendered = motet.render([{"role": "user", "content": "Hi"}], tools=[wordy], current_date=day)
        assert not estimate.exact
        assert estimate.tokens.input == len(rendered)
        assert any("is not known" in note for note in estimate.notes)
        metrics = brain.ask("Hi", tools=[wordy]).metrics
        assert metrics.drift is None
        assert "exact count" in metrics.unknown["drift"]


def test_estimate_lists_unknown_figures() -> None:
    with asking(slug="some/model") as (brain, server):
        estimate = brain.estimate("Hi")
        assert not estimate.exact
        assert (estimate.cash.low, estimate.cash.high, estimate.tokens.output.high) == (None, None, None)
        assert any("price" in note for note in estimate.notes)
        assert server.requests == []


# Limits.


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
        with asking(Turn(long, delay=0.001)) as (brain, server):
            with pytest.raises(error) as caught, brain.stream("Hi", **options) as stream:
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
    with asking(Fault("status", status=401)) as (brain, _):
        with pytest.raises(motet.AuthenticationError) as caught, brain.stream("Hi") as stream:
            list(stream)
        assert (caught.value.partial, caught.value.usage, caught.value.cost) == (None, None, None)
        assert stream.answer.metrics.cost.cash.total is None


def test_limit_applies_to_ask() -> None:
    with asking(Turn(PLAIN, delay=0.001), Turn(PLAIN, delay=0.001)) as (brain, _):
        with pytest.raises(motet.MaxTokensError):
            brain.ask("Hi", max_reasoning_tokens=2)
        with pytest.raises(motet.MaxTokensError):
            asyncio.run(_aask(brain, "Hi", max_reasoning_tokens=2))


def test_too_costly_prompt_is_not_sent() -> None:
    with asking(PLAIN) as (brain, server):
        with pytest.raises(motet.MaxCostError, match="nothing was sent") as caught:
            brain.ask("word " * 10_000, max_cost="0.001")
        assert caught.value.cost == 0
        assert server.requests == []
        with pytest.raises(TypeError, match="not float"):
            brain.ask("Hi", max_cost=0.1)  # type: ignore[call-overload]


def test_max_cost_needs_a_known_price() -> None:
    with asking(PLAIN, slug="some/model") as (brain, server):
        with pytest.raises(motet.ConfigError, match="cannot be limited"):
            brain.ask("Hi", max_cost="1")
        assert server.requests == []


def test_stream_stops_a_service_that_ignores_max_tokens() -> None:
    class Deaf(ScriptedServer):
        def _next(self, body: Any) -> Any:
            body.pop("max_tokens")
            return super()._next(body)

    with (
        Deaf([Turn(PLAIN, delay=0.001)]) as server,
        motet.atom(SLUG, base_url=server.url, api_key=KEY) as brain,
        pytest.raises(motet.MaxTokensError, match="did not keep"),
        brain.stream("Hi", max_tokens=6) as stream,
    ):
        list(stream)


@pytest.mark.parametrize("how", ["break", "close"])
def test_leaving_a_stream_closes_the_connection(how: str) -> None:
    with asking(Turn(PLAIN * 20, delay=0.002)) as (brain, server):
        with brain.stream("Hi") as stream:
            for event in stream:
                if event.type == "delta":
                    if how == "close":
                        stream.close()
                    break
        assert server.hung_up.wait(5)
        assert stream.answer.reasoning.startswith("The")


def test_leaving_an_async_stream_closes_the_connection() -> None:
    async def main(brain: motet.Atom) -> str:
        async with brain, brain.astream("Hi") as stream:
            async for piece in stream.text:
                return piece
        return ""

    with asking(Turn(PLAIN * 20, delay=0.002)) as (brain, server):
        assert asyncio.run(main(brain)) == "It"
        assert server.hung_up.wait(5)


def test_stream_text_yields_the_answer_text() -> None:
    with asking(PLAIN) as (brain, _), brain.stream("Hi") as stream:
        assert "".join(stream.text) == ANSWER


# Many at once.


def test_concurrent_requests_get_their_own_answers() -> None:
    def echo(body: Any) -> Turn:
        return Turn(final(body["messages"][-1]["content"][::-1]), delay=0.05)

    async def main(brain: motet.Atom) -> list[Any]:
        asked = [brain.aask(f"question {n}") for n in range(200)]
        found = await asyncio.gather(*asked)
        await brain.aclose()
        return [answer.output for answer in found]

    with asking(echo) as (brain, server):
        assert asyncio.run(main(brain)) == [f"question {n}"[::-1] for n in range(200)]
        assert len(server.requests) == 200


def test_one_atom_is_shared_by_threads() -> None:
    def echo(body: Any) -> str:
        return final(body["messages"][-1]["content"][::-1])

    found: dict[int, Any] = {}
    with asking(echo) as (brain, _):
        threads = [
            threading.Thread(target=lambda n=n: found.__setitem__(n, brain.ask(f"q {n}").output)) for n in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {n: f"q {n}"[::-1] for n in range(40)}


# Keys and slugs.


def test_missing_key_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other-vendor-0123456789")
    brain = motet.atom(SLUG)
    for ask in (lambda: brain.ask("Hi"), lambda: asyncio.run(brain.aask("Hi"))):
        with pytest.raises(motet.MissingKeyError, match="TOGETHER_API_KEY is not set") as caught:
            ask()
        assert "OPENAI" not in str(caught.value)
    with pytest.raises(motet.MissingKeyError, match="no key has"):
        motet.atom(SLUG, api_key="two words").ask("Hi")


def test_key_of_another_vendor_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "XAI_API_KEY"):
        monkeypatch.setenv(name, "sk-other-vendor-0123456789")
    with ScriptedServer([PLAIN]) as server, motet.atom(SLUG, base_url=server.url) as brain:
        brain.ask("Hi")
        assert "sk-other-vendor" not in str(server.requests[0].headers)


def test_base_url_works_with_and_without_version() -> None:
    for tail in ("", "/", "/v1", "/v1/"):
        with (
            ScriptedServer([PLAIN]) as server,
            motet.atom(SLUG, base_url=server.url + tail, api_key=KEY, lane="chat") as brain,
        ):
            brain.ask("Hi")
            assert server.requests[0].path == "/v1/chat/completions"
    with pytest.raises(motet.ConfigError, match="base_url must be an address"):
        motet.atom(SLUG, base_url="api.together.ai", api_key=KEY).ask("Hi")


def test_given_client_is_used_and_left_open() -> None:
    import together

    with ScriptedServer([PLAIN, PLAIN]) as server:
        client = together.Together(api_key=KEY, base_url=server.url)
        with motet.atom(SLUG, client=client) as brain:
            assert brain.ask("Hi").output == ANSWER
        assert not client.is_closed()
        assert client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).choices


def test_unknown_slug_suggests_similar_ones() -> None:
    with pytest.raises(motet.UnknownAtomError) as caught:
        motet.atom("together/gpt-os/120b")
    assert caught.value.matches[0] == SLUG
    assert f"did you mean {SLUG}" in str(caught.value)
    with pytest.raises(motet.UnknownAtomError, match="known are"):
        motet.atom("zzz")
    assert motet.atom("openai/gpt-oss-120b").slug == SLUG
    assert motet.atom("someone/new-model").spec.model == "someone/new-model"


def test_own_server_has_no_price_and_no_removal_of_together() -> None:
    """`openai/gpt-oss-20b` on a server of one's own was billed at Together's price, with its notice of removal."""
    with ScriptedServer([PLAIN, PLAIN]) as server:
        with motet.atom("openai/gpt-oss-20b", base_url=server.url, lane="chat") as model:
            answer = model.ask("Hi")  # A warning would be an error here.
        assert answer.metrics.cost.cash.total is None
        assert "price" in answer.metrics.unknown["cost.cash.total"]
        free = {"input": "0", "output": "0"}
        with motet.atom("openai/gpt-oss-20b", base_url=server.url, lane="chat", price=free) as model:
            assert model.ask("Hi").metrics.cost.cash.total == 0
    assert motet.atom("openai/gpt-oss-20b", base_url="https://api.together.ai/v1").spec.slug == "together/gpt-oss/20b"


def test_removed_atom_warns() -> None:
    refused = Fault("status", status=404, body={"error": {"message": "Unable to access model"}})
    with asking(refused, PLAIN, slug="together/qwen3/coder-next") as (brain, _):
        with (
            pytest.warns(motet.RemovedAtomWarning, match=r"removed from the service on 2026-05-14; ask together/"),
            pytest.raises(motet.NotFoundError, match=r"Unable to access model; .* was removed .* on 2026-05-14"),
        ):
            brain.ask("Hi")
        with pytest.warns(motet.RemovedAtomWarning):
            assert any("2026-05-14" in note for note in brain.ask("Hi").notes)


def test_gen_brain_atom_is_atom() -> None:
    brain = motet.gen_brain_atom(slug=SLUG)
    assert (brain.slug, brain.repo, repr(brain)) == (SLUG, "together", f"Atom({SLUG!r})")
    assert brain.spec.cost.cash.input == Decimal("0.15")
    assert brain.spec.gain.size.context.tokens == 131072
    assert brain.spec.gain.grades.swe == Decimal("62.4")
    assert brain.spec.sources["cost.cash.input"].as_of == "2026-11"


def test_tool_objects_work_in_render_and_parse() -> None:
    @motet.tool
    def get_weather(city: str) -> str:
        """The weather."""
        return city

    rendered = motet.render([{"role": "user", "content": "Hi"}], tools=[get_weather])
    assert rendered.ids == motet.render([{"role": "user", "content": "Hi"}], tools=[get_weather.to_dict()]).ids
    bare = "<|channel|>commentary to=get_weather<|message|>{}<|call|>"
    assert motet.parse(bare, tools=[get_weather]).tool_calls[0].name == "get_weather"
    with asking(CALL) as (brain, server):
        brain.ask("Hi", tools=[get_weather])
        assert server.requests[0].body["tools"] == [get_weather.to_dict()]


def test_api_key_can_be_a_callable() -> None:
    fetched: list[str] = []

    def fetch() -> str:
        fetched.append(KEY)
        return KEY

    with ScriptedServer([PLAIN], key=KEY) as server, motet.atom(SLUG, base_url=server.url, api_key=fetch) as brain:
        assert fetched == []
        brain.ask("Hi", lane="chat")
        assert fetched == [KEY]


# What cannot be asked is refused before anything is sent.


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"lane": "fast"}, motet.ConfigError, "lane must be 'auto', 'chat', 'text' or 'ids', not 'fast'"),
        ({"current_date": "tomorrow"}, ValueError, "current_date must be a date as"),
        ({"current_date": "2025-6-1"}, ValueError, "current_date must be a date as"),
        ({"budget": 5}, TypeError, r"budget must be made by motet\.budget, not 5"),
        ({"sampling": 5}, TypeError, "sampling must be a dict, not int"),
        ({"extra": [1]}, TypeError, "extra must be a dict, not list"),
        ({"sampling": {"messages": []}}, TypeError, "sampling holds messages, which is set elsewhere"),
    ],
)
def test_invalid_options_are_refused_by_name(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with asking(PLAIN) as (brain, server):
        with pytest.raises(error, match=said):
            brain.ask("Hi", **options)
        assert server.requests == []


def test_slug_must_be_text() -> None:
    """None was the model id of those atoms that no service has."""
    for wrong in (None, 5):
        with pytest.raises(TypeError, match="slug must be a str"):
            motet.atom(wrong)  # type: ignore[arg-type]
    with pytest.raises(motet.UnknownAtomError) as caught:
        motet.atom("Together/GPT-OSS/120B")
    assert "together/gpt-oss/120b" in caught.value.matches


def test_unsupported_tool_choice_is_refused() -> None:
    """The raw lanes cannot hold a model to a choice of tools."""
    options: Any = {"tools": [WEATHER], "tool_choice": "required"}
    with asking(CALL, style="vllm", lane="ids") as (brain, server):
        with pytest.raises(motet.ConfigError, match="the ids lane has no place for tool_choice='required'"):
            brain.ask("Hi", **options)
        assert server.requests == []
    with asking(CALL, style="vllm", lane="auto") as (brain, server):
        answer = brain.ask("Hi", **options)
        assert (answer.lane, server.requests[-1].body["tool_choice"]) == ("chat", "required")
        assert "tool_choice" in answer.lane_reason


def test_removal_warning_points_at_the_caller() -> None:
    with asking(PLAIN, slug="together/gpt-oss/20b") as (brain, _):
        with pytest.warns(motet.RemovedAtomWarning) as caught:
            brain.ask("Hi")
        assert caught[0].filename == __file__


def test_tool_choice_of_an_unknown_tool_is_not_sent() -> None:
    named = {"type": "function", "function": {"name": "get_wether"}}
    with asking(CALL) as (brain, server):
        with pytest.raises(motet.UnknownToolError, match="names get_wether, and the tools are: get_weather") as caught:
            brain.ask("Hi", tools=[WEATHER], tool_choice=named)
        assert (caught.value.name, caught.value.known) == ("get_wether", ("get_weather",))
        with pytest.raises(ValueError, match="tool_choice must be 'auto'"):
            brain.ask("Hi", tools=[WEATHER], tool_choice="always")
        assert server.requests == []


def test_missing_ids_are_noted() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 900}
    with asking(Turn(PLAIN, usage=usage), PLAIN, style="vllm", lane="ids") as (brain, _):
        assert any("some text may be missing" in note for note in brain.ask("Hi").notes)
        assert brain.ask("Hi").notes == ()

"""What systems of this kind got wrong: a case each, where no other file has one."""

from __future__ import annotations

import asyncio
import datetime
import json
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import together
from pydantic import BaseModel

import motet
from motet import catalog
from motet.asking.options import PreparedOptions
from motet.asking.request import prepare
from motet.backend import Reply, Request
from motet.testing import Cassette, CassetteMissError, Fault, ScriptedServer, Turn
from motet.together.lanes import raw
from motet.together.lanes.chat_reader import ChatLane
from motet.together.lanes.raw import RawLane
from motet.together.services import SERVICES
from tests.support.server_scripts import ANSWER, CALL, KEY, LANES, PLAIN, SLUG, WEATHER, asking, final, prompt_text

ALONE = '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Oslo"}<|call|>'
SERVED = [spec for spec in catalog.specs() if spec.model is not None]


class Answer(BaseModel):
    text: str


class Number(BaseModel):
    number: int


@pytest.mark.parametrize("spec", SERVED, ids=lambda spec: spec.slug)
def test_every_atom_answers_and_calls_tools(spec: catalog.Spec) -> None:
    """A slug in the table that the service lacks was a TypeError at run time."""
    with asking(CALL, final("54"), slug=spec.slug) as (atom, server), warnings.catch_warnings():
        warnings.simplefilter("ignore", motet.RemovedAtomWarning)
        first = atom.ask("How warm?", briefs=["ZEBRA42"], tools=[WEATHER])
        second = atom.ask([motet.ToolResult(first.calls[0].id, "54")], on=first, tools=[WEATHER])
    assert [request.body["model"] for request in server.requests] == [spec.model] * 2
    assert all("ZEBRA42" in request.body["messages"][0]["content"] for request in server.requests)
    assert (first.output, second.output, second.series, len(second.episode)) == (None, "54", None, 2)
    price, tokens = spec.cost.cash, second.metrics.size.tokens
    if price.input is None or price.output is None:
        # The catalogue has models that no service lists with a price.
        assert second.metrics.cost.cash.total is None
        return
    expected = price.input * (tokens.input or 0) + price.output * (tokens.output or 0)
    assert second.metrics.cost.cash.total == expected / 1_000_000


@pytest.mark.parametrize("stream", [False, True])
def test_lone_call_has_no_content(stream: bool) -> None:
    """The content is null then; `content.map` of null failed."""
    with asking(ALONE) as (atom, server):
        if stream:
            with atom.stream("Warm?", tools=[WEATHER]) as result:
                events = list(result)
            assert {event.kind for event in events} == {"tool_call"}
            answer = result.answer
        else:
            answer = atom.ask("Warm?", tools=[WEATHER])
        assert server.requests[0].body["tools"] == [WEATHER], "tools are sent, not passed over"
    assert [call.args() for call in answer.calls] == [{"city": "Oslo"}]
    # Not `stop`: loops that continue by this word would end here.
    assert (answer.finish, answer.output, answer.text, answer.completion.stop) == ("tool_calls", None, "", "call")
    assert answer.usage is not None


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_dotted_tool_name_is_restored(style: str, lane: str) -> None:
    tool = {"type": "function", "function": {"name": "weather.lookup", "parameters": {"type": "object"}}}
    call = "<|channel|>commentary to=functions.weather.lookup <|constrain|>json<|message|>{}<|call|>"
    with asking(call, PLAIN, style=style, lane=lane) as (atom, server):
        first = atom.ask("Warm?", tools=[tool])
        assert [item.name for item in first.calls] == ["weather.lookup"]
        second = atom.ask([motet.ToolResult(first.calls[0].id, "24")], on=first, tools=[tool])
        assert second.output == ANSWER
        body = server.requests[-1].body
    if lane == "chat":
        assert body["tools"][0]["function"]["name"] == "weather.lookup"
        assert body["messages"][1]["tool_calls"][0]["function"]["name"] == "weather.lookup"
    else:
        prompt = prompt_text(body)
        assert prompt.count("to=functions.weather.lookup") == 1
        assert "<|start|>functions.weather.lookup to=assistant" in prompt


@pytest.mark.parametrize("arguments", ['{"city": "Os', "", "Oslo", "{'city': 1}"])
def test_call_with_broken_arguments_keeps_its_cost(arguments: str) -> None:
    """A bare SyntaxError lost the call and its paid metrics."""
    call = ALONE.replace('{"city": "Oslo"}', arguments)
    with asking(call, PLAIN) as (atom, _):
        answer = atom.ask("Warm?", tools=[WEATHER])
        (result,) = answer.calls
        assert result.arguments == arguments
        with pytest.raises(motet.InvalidArgumentsError) as caught:
            result.args()
        assert caught.value.raw == arguments
        assert answer.metrics.cost.cash.total is not None
        # The model receives the reason.
        assert (
            atom.ask([motet.ToolResult(result.id, "that is not valid JSON")], on=answer, tools=[WEATHER]).output
            == ANSWER
        )


def test_characters_count_the_whole_prompt() -> None:
    """History and tools were left out of the count."""
    with asking(PLAIN, PLAIN, CALL) as (atom, _):
        first = atom.ask("12345", briefs=["1234567"])
        second = atom.ask("123", on=first)
        third = atom.ask("1", tools=[WEATHER])
    assert first.metrics.size.chars.input == 12
    chars = first.metrics.size.chars.output
    assert chars == len(first.reasoning) + len(first.text)
    assert second.metrics.size.chars.input == 12 + chars + 3
    assert third.metrics.size.chars.input == 1 + len(json.dumps([WEATHER]))
    assert third.metrics.size.chars.by_channel == {
        "analysis": len("I need the weather."),
        "commentary": len("Let me look.") + len('{"city": "Zürich"}'),
        "final": 0,
    }


def test_readme_error_handling_works() -> None:
    """`except AuthenticationError` and `except RateLimitError: error.retry_after` were never reached."""
    refused = Fault("status", status=401, body={"error": {"message": "Invalid API key"}})
    busy = Fault("status", status=429, headers={"retry-after": "7"}, body={"error": {"message": "slow down"}})
    with asking(refused, busy, max_retries=0) as (atom, _):
        errors: list[Any] = []
        for _ in range(2):
            try:
                atom.ask("Hi")
            except motet.AuthenticationError as error:
                errors.append((error.status, error.retryable))
            except motet.RateLimitError as error:
                errors.append((error.status, error.retryable, error.retry_after))
    assert errors == [(401, False), (429, True, 7.0)]


def test_error_in_a_stream_is_raised() -> None:
    with asking(Fault("status", status=401)) as (atom, _), atom.stream("Hi") as stream:
        events = []
        with pytest.raises(motet.AuthenticationError):
            for event in stream:
                events.append(event)
        assert events == []


CHANGES: list[dict[str, Any]] = [
    {"output": Answer},
    {"output": Number},
    {"seed": 1},
    {"temperature": 0},
    {"top_p": 0.5},
    {"max_tokens": 900},
    {"reasoning_effort": "high"},
    {"tools": [WEATHER]},
    {"briefs": ["Be brief."]},
    {"sampling": {"top_k": 4}},
    {"extra": {"safety_model": "guard"}},
]


def test_cassette_key_covers_the_whole_request(tmp_path: Path) -> None:
    """A cache whose key left out the schema and the seed gave answers to other questions."""
    path = tmp_path / "cassette.jsonl"
    with asking(final('{"text": "", "number": 1}'), transport=Cassette(path, mode="record")) as (atom, _):
        atom.ask("Hi", output=Answer)
    with motet.atom(SLUG, lane="chat", api_key=KEY, transport=Cassette(path)) as atom:
        assert atom.ask("Hi", output=Answer).output == Answer(text="")
        for change in [{}, *CHANGES[1:]]:
            with pytest.raises(CassetteMissError):
                atom.ask("Hi", **{"output": Answer, **change} if change else {})


def test_slugs_sharing_a_model_keep_their_prices() -> None:
    with ScriptedServer(lambda _: PLAIN) as server:
        cost = []
        for price in ("1", "2"):
            with motet.atom(SLUG, base_url=server.url, lane="chat", price={"input": price, "output": price}) as atom:
                cost.append(atom.ask("Hi").metrics.cost.cash.total)
    assert cost[1] == 2 * (cost[0] or Decimal(0))


def test_price_of_the_caller_survives_a_renamed_model() -> None:
    motet.register_atom("mine/oss", model="openai/gpt-oss-120b", price={"input": 1, "output": 1})
    try:
        with asking(PLAIN, slug="mine/oss") as (atom, _):
            answer = atom.ask("Hi")
    finally:
        catalog.forget()
    assert answer.model == "openai/gpt-oss-120b"
    tokens = answer.metrics.size.tokens
    assert answer.metrics.cost.cash.total == Decimal((tokens.input or 0) + (tokens.output or 0)) / 1_000_000


@pytest.mark.parametrize("day", ["2025-06-28", datetime.date(2025, 6, 28)])
def test_prompt_can_be_fixed_to_a_date(day: Any) -> None:
    with asking(PLAIN, style="vllm", lane="ids") as (atom, server):
        counted = atom.estimate("Hi", current_date=day).tokens.input
        assert atom.ask("Hi", current_date=day).metrics.size.tokens.input == counted
        assert "Current date: 2025-06-28" in motet.decode(server.requests[-1].body["prompt"])
        with pytest.raises(TypeError, match="current_date must be a date or a str"):
            atom.ask("Hi", current_date=20250628)  # type: ignore[call-overload]


def test_model_without_figures_has_no_estimated_cost() -> None:
    """Half a price table, four characters a token and a thousand tokens of answer made up a sum."""
    with asking(slug="some/model") as (atom, _):
        estimate = atom.estimate("Hi", max_tokens=50)
    assert (estimate.cash.low, estimate.cash.expected, estimate.cash.high) == (None, None, None)
    assert estimate.tokens.output.high == 50


# Untested shapes of earlier implementations.


def test_message_beside_a_null_delta_is_read() -> None:
    lane = ChatLane()
    lane.read({"delta": None, "message": {"role": "assistant", "content": "Hi!"}})
    lane.close("stop", None)
    assert lane.completion.text == "Hi!"


def test_text_beside_empty_ids_is_read() -> None:
    lane = RawLane("ids", None)
    lane.read({"text": PLAIN, "token_ids": []})
    lane.close("stop", None)
    assert lane.completion.text == motet.parse(PLAIN).text
    assert lane.notes == ["the server sent no token ids, so its text was read"]


@pytest.mark.parametrize("lane", ["ids", "text"])
def test_together_gets_text_prompts(lane: Any) -> None:
    """Its completions accept no other field, vLLM's included."""
    request = Request.of("openai/gpt-oss-120b", [{"role": "user", "content": "Hi"}])
    rendered = raw.prompt(request)
    arguments = raw.body(request, rendered, rendered.ids, lane, SERVICES["together"], None)
    assert arguments["prompt"] == rendered.text
    assert arguments["stop"] == ["<|return|>", "<|call|>"]
    assert arguments.get("logprobs") == (1 if lane == "ids" else None)
    assert "extra_body" not in arguments


def test_model_id_is_priced_in_any_case() -> None:
    with asking(Turn(PLAIN, model="OpenAI/GPT-OSS-120B")) as (atom, _):
        assert atom.ask("Hi").metrics.cost.cash.total is not None


def test_filtered_answer_is_reported() -> None:
    question = prepare(motet.atom(SLUG).spec, "Hi", PreparedOptions.of(str, {}))
    lane = ChatLane()
    lane.read({"message": {"content": "Half of "}})
    lane.close("content_filter", None)
    answer = question.finish(Reply(lane.completion, "chat", "", finish="content_filter"))
    assert any("content_filter" in note for note in answer.notes)
    with pytest.raises(motet.EmptyOutputError, match="content_filter"):
        question.finish(Reply(ChatLane().completion, "chat", "", finish="content_filter"))


def test_cassette_is_never_bypassed(tmp_path: Path) -> None:
    """Passed as the sync transport alone, it let async requests go to the network."""
    path = tmp_path / "answers.jsonl"
    with (
        ScriptedServer([PLAIN]) as server,
        motet.atom(SLUG, base_url=server.url, transport=Cassette(path, mode="record")) as atom,
    ):
        answer = atom.ask("Hi").output

    async def awaited() -> Any:
        async with motet.atom(SLUG, base_url="http://127.0.0.1:9", transport=Cassette(path)) as replayed:
            return (await replayed.aask("Hi")).output

    assert asyncio.run(awaited()) == answer


def test_async_requests_use_the_url_of_a_given_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)

    async def awaited(url: str) -> Any:
        with together.Together(api_key=KEY, base_url=url) as sdk:
            async with motet.atom(SLUG, client=sdk) as atom:
                return (await atom.aask("Hi")).output

    with ScriptedServer([PLAIN], key=KEY) as server:
        assert asyncio.run(awaited(server.url)) == motet.parse(PLAIN).text
    with pytest.raises(TypeError, match=r"client must be a together\.Together, not AsyncTogether"):
        motet.atom(SLUG, client=together.AsyncTogether(api_key=KEY))


def test_answer_without_text_has_its_cost() -> None:
    with (
        asking(Turn(PLAIN, fault=Fault("no_choices"))) as (atom, _),
        pytest.raises(motet.StreamTruncatedError) as caught,
        atom.stream("Hi") as stream,
    ):
        list(stream)
    assert caught.value.usage is not None
    assert caught.value.cost == caught.value.partial.metrics.cost.cash.total
    assert caught.value.cost is not None

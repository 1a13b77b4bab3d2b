"""Atoms as models of LiteLLM, with the real library over the scripted server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

# Otherwise LiteLLM fetches its table of prices when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
pytest.importorskip("litellm")

import litellm

import motet
from motet.integrations.litellm import MotetLLM, register
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.server_scripts import ANSWER, CALL, KEY, PLAIN, SLUG, THOUGHT, WEATHER, asking, final

HI = [{"role": "user", "content": "Hi"}]
# LiteLLM logs in background tasks, which may end after their event loop.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(litellm, "suppress_debug_info", True)
    handlers = litellm.custom_provider_map
    yield
    litellm.custom_provider_map = handlers


def test_answer_has_reasoning_usage_and_cost() -> None:
    register()
    with ScriptedServer([PLAIN]) as server:
        response = litellm.completion(f"motet/{SLUG}", messages=HI, api_base=server.url, api_key=KEY)
    message = response.choices[0].message
    assert (message.content, message.reasoning_content) == (ANSWER, THOUGHT)
    assert response.choices[0].finish_reason == "stop"
    assert response.usage.completion_tokens_details.reasoning_tokens == motet.count(THOUGHT)
    cost = float(message.provider_specific_fields["cost"])
    assert cost == response._hidden_params["response_cost"] == response.usage.cost > 0
    assert litellm.completion_cost(response) == pytest.approx(cost)


def test_async_answer_equals_the_sync_one() -> None:
    async def ask(atom: motet.Atom) -> Any:
        async with atom:
            return await litellm.acompletion("motet/mine", messages=HI)

    with asking(PLAIN, PLAIN) as (atom, _):
        register(MotetLLM({"mine": atom}))
        whole = litellm.completion("motet/mine", messages=HI)
        other = asyncio.run(ask(atom))
        assert other.choices[0].message == whole.choices[0].message
        assert other.usage == whole.usage


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("script", [PLAIN, CALL])
def test_stream_builds_the_answer(mode: str, script: str) -> None:
    async def read(atom: motet.Atom) -> list[Any]:
        async with atom:
            return [chunk async for chunk in await litellm.acompletion("motet/mine", messages=HI, stream=True)]

    with asking(script, script) as (atom, _):
        register(MotetLLM({"mine": atom}))
        whole = litellm.completion("motet/mine", messages=HI)
        streamed = mode == "sync"
        chunks = (
            list(litellm.completion("motet/mine", messages=HI, stream=True)) if streamed else asyncio.run(read(atom))
        )
        built = litellm.stream_chunk_builder(chunks, messages=HI)
    assert built is not None
    message, expected = built.choices[0].message, whole.choices[0].message
    assert len(chunks) > 5
    assert (message.content, message.reasoning_content) == (expected.content, expected.reasoning_content)
    for call, expected_call in zip(message.tool_calls or [], expected.tool_calls or [], strict=True):
        assert call.function == expected_call.function
    assert built.choices[0].finish_reason == whole.choices[0].finish_reason
    assert built.usage.completion_tokens == whole.usage.completion_tokens
    assert built.usage.cost == whole.usage.cost


@pytest.mark.parametrize(("style", "lane"), [("together", "chat"), ("vllm", "ids")])
def test_tool_call_and_its_result_make_a_turn(style: str, lane: str) -> None:
    with asking(CALL, final("Yes, 24 °C."), style=style, lane=lane) as (atom, server):
        register(MotetLLM({"mine": atom}))
        called = litellm.completion("motet/mine", messages=HI, tools=[WEATHER]).choices[0].message
        result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "24 °C"}
        messages = [*HI, called.model_dump(), result]
        answer = litellm.completion("motet/mine", messages=messages, tools=[WEATHER])
        assert answer.choices[0].message.content == "Yes, 24 °C."
        body = server.requests[-1].body
        sent = str(body["messages"]) if lane == "chat" else motet.decode(body["prompt"])
        assert "I need the weather." in sent
        assert "24 °C" in sent


def test_parameters_become_options() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    with asking(final('{"a": 1}')) as (atom, server):
        register(MotetLLM({"mine": atom}))
        litellm.completion(
            "motet/mine",
            messages=HI,
            temperature=0.5,
            max_tokens=100,
            stop=["x"],
            seed=7,
            reasoning_effort="low",
            allowed_openai_params=["reasoning_effort"],
            response_format={"type": "json_schema", "json_schema": {"name": "A", "schema": schema}},
            max_cost="0.01",
        )
        body = server.requests[-1].body
        expected = {"temperature": 0.5, "max_tokens": 100, "stop": ["x"], "seed": 7, "reasoning_effort": "low"}
        assert expected.items() <= body.items()
        assert body["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, litellm.BadRequestError),
        (401, litellm.AuthenticationError),
        (404, litellm.NotFoundError),
        (429, litellm.RateLimitError),
        (500, litellm.InternalServerError),
        (503, litellm.ServiceUnavailableError),
    ],
)
def test_status_becomes_the_librarys_error(status: int, kind: type[Exception]) -> None:
    with asking(Fault("status", status=status), max_retries=0) as (atom, _):
        register(MotetLLM({"mine": atom}))
        with pytest.raises(kind) as caught:
            litellm.completion("motet/mine", messages=HI, max_retries=0)
    assert isinstance(caught.value.__cause__, motet.ApiError)


def test_limit_ends_the_answer_with_its_cost() -> None:
    with asking(PLAIN) as (atom, _):
        register(MotetLLM({"mine": atom}))
        with pytest.raises(litellm.BadRequestError) as caught:
            litellm.completion("motet/mine", messages=HI, max_reasoning_tokens=2)
    assert isinstance(caught.value.__cause__, motet.MaxTokensError)
    assert caught.value.__cause__.cost > 0


def test_broken_stream_raises_with_its_cost() -> None:
    with asking(Turn(PLAIN, fault=Fault("reset", after=4))) as (atom, _):
        register(MotetLLM({"mine": atom}))
        with pytest.raises(litellm.exceptions.MidStreamFallbackError) as caught:
            list(litellm.completion("motet/mine", messages=HI, stream=True))
    original = caught.value.original_exception
    assert isinstance(original, litellm.APIConnectionError)
    assert isinstance(original.__cause__, motet.StreamTruncatedError)
    assert original.__cause__.cost > 0


def test_cut_answer_has_the_finish_reason_length() -> None:
    with asking(final("one two three four five six seven eight nine ten")) as (atom, _):
        register(MotetLLM({"mine": atom}))
        response = litellm.completion("motet/mine", messages=HI, max_tokens=9)
    assert response.choices[0].finish_reason == "length"


def test_calls_read_from_text_are_not_passed_on() -> None:
    with asking(CALL, CALL, style="llamacpp", lane="text") as (atom, _):
        register(MotetLLM({"mine": atom}))
        with pytest.raises(litellm.BadRequestError, match="get_weather"):
            litellm.completion("motet/mine", messages=HI, tools=[WEATHER])
        register(MotetLLM({"mine": atom}, allow_text_calls=True))
        assert litellm.completion("motet/mine", messages=HI, tools=[WEATHER]).choices[0].message.tool_calls

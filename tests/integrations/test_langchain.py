"""An atom as a chat model of LangChain, with the real framework over the scripted server."""

from __future__ import annotations

import asyncio
import pickle
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core import exceptions
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel

import motet
from motet.integrations.langchain import ChatMotet
from motet.testing import Fault, Turn
from tests.support.server_scripts import ANSWER, CALL, PLAIN, THOUGHT, asking, final


@tool
def get_weather(city: str) -> str:
    """The weather now."""
    return f"24 °C in {city}"


def summed(chunks: list[Any]) -> AIMessageChunk:
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    assert isinstance(message, AIMessageChunk)
    return message


def test_answer_has_reasoning_usage_and_cost() -> None:
    with asking(PLAIN) as (atom, server), get_usage_metadata_callback() as usage:
        message = ChatMotet(atom=atom).invoke([SystemMessage("Be brief."), HumanMessage("Why is the sky blue?")])
        assert message.content == ANSWER
        assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
        assert message.content_blocks[0]["reasoning"] == THOUGHT  # type: ignore[typeddict-item]
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_token_details"] == {"reasoning": motet.count(THOUGHT)}
        assert message.response_metadata["finish_reason"] == "stop"
        assert Decimal(message.response_metadata["cost"]) > 0
        assert usage.usage_metadata == {"openai/gpt-oss-120b": message.usage_metadata}
        assert [sent["role"] for sent in server.requests[-1].body["messages"]] == ["system", "user"]


def test_async_answer_equals_the_sync_one() -> None:
    async def ask(atom: motet.Atom) -> AIMessage:
        async with atom:
            return await ChatMotet(atom=atom).ainvoke("Hi")

    with asking(PLAIN, PLAIN) as (atom, _):
        sync = ChatMotet(atom=atom).invoke("Hi")
        assert asyncio.run(ask(atom)).content_blocks == sync.content_blocks


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_stream_sums_to_the_answer(mode: str) -> None:
    async def read(atom: motet.Atom) -> list[Any]:
        async with atom:
            return [chunk async for chunk in ChatMotet(atom=atom).astream("Why is the sky blue?")]

    with asking(PLAIN, PLAIN) as (atom, _):
        whole = ChatMotet(atom=atom).invoke("Why is the sky blue?")
        chunks = (
            list(ChatMotet(atom=atom).stream("Why is the sky blue?")) if mode == "sync" else asyncio.run(read(atom))
        )
        assert len([chunk for chunk in chunks if chunk.content]) > 3
        message = summed(chunks)
        assert message.content_blocks == whole.content_blocks
        assert message.usage_metadata == whole.usage_metadata
        for key in ("cost", "finish_reason", "model_name", "lane"):
            assert message.response_metadata[key] == whole.response_metadata[key]


@pytest.mark.parametrize(("style", "lane"), [("together", "chat"), ("vllm", "ids")])
@pytest.mark.parametrize("streamed", [False, True])
def test_tool_call_and_its_result_make_a_turn(style: str, lane: str, streamed: bool) -> None:
    with asking(CALL, final("Yes, 24 °C."), style=style, lane=lane) as (atom, server):
        model = ChatMotet(atom=atom).bind_tools([get_weather])
        question = HumanMessage("Is it warm in Zürich?")
        called = summed(list(model.stream([question]))) if streamed else model.invoke([question])
        (call,) = called.tool_calls
        assert (call["name"], call["args"]) == ("get_weather", {"city": "Zürich"})
        assert called.content == "Let me look."
        result = get_weather.invoke(call)
        assert isinstance(result, ToolMessage)
        assert model.invoke([question, called, result]).content == "Yes, 24 °C."
        body = server.requests[-1].body
        if lane == "chat":
            assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool"]
            assert body["messages"][1]["reasoning"] == "I need the weather."
            assert body["messages"][1]["tool_calls"][0]["id"] == body["messages"][2]["tool_call_id"]
        else:
            assert "I need the weather." in motet.decode(body["prompt"])
            assert "24 °C in Zürich" in motet.decode(body["prompt"])


def test_arguments_that_are_not_json_are_invalid_calls() -> None:
    broken = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{city: Oslo<|call|>"
    with asking(broken, final("ok"), style="vllm", lane="ids") as (atom, _):
        model = ChatMotet(atom=atom).bind_tools([get_weather])
        message = model.invoke("Is it warm?")
        assert message.tool_calls == []
        assert message.invalid_tool_calls[0]["args"] == "{city: Oslo"
        # The history with the invalid call can be sent.
        result = ToolMessage("not JSON", tool_call_id=message.invalid_tool_calls[0]["id"] or "")
        assert model.invoke([HumanMessage("Is it warm?"), message, result]).content == "ok"


class Review(BaseModel):
    approved: bool


def test_structured_output_is_stated_in_the_request() -> None:
    with asking(final('{"approved": true}'), final("no")) as (atom, server):
        model = ChatMotet(atom=atom).with_structured_output(Review, include_raw=True)
        read = model.invoke("Review it.")
        assert isinstance(read, dict)
        assert read["parsed"] == Review(approved=True)
        assert server.requests[-1].body["response_format"]["json_schema"]["name"] == "Review"
        broken = model.invoke("Review it.")
        assert isinstance(broken, dict)
        assert broken["parsed"] is None
        assert broken["parsing_error"] is not None
        assert broken["raw"].response_metadata["cost"]


def test_structured_output_by_a_tool_forces_the_call() -> None:
    call = '<|channel|>commentary to=functions.Review <|constrain|>json<|message|>{"approved": false}<|call|>'
    with asking(call) as (atom, server):
        model = ChatMotet(atom=atom).with_structured_output(Review, method="function_calling")
        assert model.invoke("Review it.") == Review(approved=False)
        assert server.requests[-1].body["tool_choice"] == "required"


def test_arguments_and_fields_become_options() -> None:
    with asking(PLAIN, PLAIN) as (atom, server):
        model = ChatMotet(atom=atom, temperature=0.5, max_tokens=100, reasoning_effort="low", options={"seed": 1})
        model.invoke("Hi", stop=["x"], seed=2)
        expected = {"temperature": 0.5, "max_tokens": 100, "reasoning_effort": "low", "seed": 2, "stop": ["x"]}
        assert expected.items() <= server.requests[-1].body.items()
        with pytest.raises(motet.MaxCostError):
            model.invoke("Hi", max_cost="0.0000001")
        with pytest.raises(TypeError, match="unknown option sed"):
            model.invoke("Hi", sed=2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, exceptions.ModelInvalidRequestError),
        (401, exceptions.ModelAuthenticationError),
        (403, exceptions.ModelPermissionDeniedError),
        (404, exceptions.ModelNotFoundError),
        (429, exceptions.ModelRateLimitError),
        (503, exceptions.ModelAPIError),
    ],
)
def test_status_becomes_an_error_of_both_libraries(status: int, kind: type[Exception]) -> None:
    with asking(Fault("status", status=status), max_retries=0) as (atom, _), pytest.raises(kind) as caught:
        ChatMotet(atom=atom).invoke("Hi")
    assert isinstance(caught.value, motet.ApiError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, kind)
    assert copy.status == status


def test_broken_stream_raises_with_its_cost() -> None:
    with asking(Turn(PLAIN, fault=Fault("reset", after=4))) as (atom, _):
        with pytest.raises(exceptions.ModelConnectionError) as caught:
            list(ChatMotet(atom=atom).stream("Hi"))
        assert isinstance(caught.value, motet.StreamTruncatedError)
        assert caught.value.partial.reasoning
        assert caught.value.cost > 0


def test_fallbacks_of_the_framework_apply() -> None:
    with asking(Fault("status", status=500), max_retries=0) as (atom, _):
        other = RunnableLambda(lambda _: AIMessage("Hello"))
        model = ChatMotet(atom=atom).with_fallbacks([other], exceptions_to_handle=(exceptions.ModelError,))
        assert model.invoke("Hi").content == "Hello"


@pytest.mark.parametrize("streamed", [False, True])
def test_cut_answer_has_the_finish_reason_length(streamed: bool) -> None:
    with asking(final("one two three four five six seven eight nine ten")) as (atom, _):
        model = ChatMotet(atom=atom, max_tokens=9)
        message = summed(list(model.stream("Hi"))) if streamed else model.invoke("Hi")
        assert message.response_metadata["finish_reason"] == "length"
        assert message.content


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("error", "settings", "options"),
    [
        (motet.ToolError, {"style": "llamacpp", "lane": "text"}, {}),
        (motet.TruncatedOutputError, {}, {"max_tokens": 40}),
    ],
)
def test_doubtful_calls_are_not_passed_on(
    streamed: bool, error: type[motet.MotetError], settings: dict[str, Any], options: dict[str, Any]
) -> None:
    with asking(CALL, **settings) as (atom, _), pytest.raises(error) as caught:
        model = ChatMotet(atom=atom, **options).bind_tools([get_weather])
        list(model.stream("Is it warm?")) if streamed else model.invoke("Is it warm?")
    assert caught.value.partial.calls


def test_prompt_tokens_are_counted_exactly() -> None:
    with asking(PLAIN) as (atom, _):
        model = ChatMotet(atom=atom)
        counted = model.get_num_tokens_from_messages([HumanMessage("Hi")])
        message = model.invoke("Hi")
        assert message.usage_metadata is not None
        assert message.usage_metadata["input_tokens"] == counted
        assert model.get_num_tokens("Hi there") == 2


def test_model_needs_a_slug_or_an_atom() -> None:
    assert ChatMotet(model="together/gpt-oss/20b").model == "together/gpt-oss/20b"
    with pytest.raises(motet.ConfigError, match="either model= or atom="):
        ChatMotet()


def test_images_are_refused_with_their_message() -> None:
    image = HumanMessage([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}])
    with pytest.raises(motet.RenderError, match=r"messages\[1\] has a block 'image_url'"):
        ChatMotet(model="together/gpt-oss/20b").invoke([HumanMessage("Hi"), image])


def test_call_asks_another_model_of_the_service() -> None:
    other = "moonshotai/Kimi-K2.5"
    with asking(PLAIN, models=("openai/gpt-oss-120b", other)) as (atom, server):
        message = ChatMotet(atom=atom).invoke("Hi", model=other)
        assert server.requests[-1].body["model"] == message.response_metadata["model_name"] == other
        assert Decimal(message.response_metadata["cost"]) > 0


def test_history_in_blocks_of_anthropic_is_sent() -> None:
    call = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Oslo"}}
    called = AIMessage(
        [{"type": "text", "text": "Wait."}, call],
        tool_calls=[{"name": "get_weather", "args": {"city": "Oslo"}, "id": "call_1"}],
    )
    with asking(PLAIN) as (atom, server):
        ChatMotet(atom=atom).invoke([HumanMessage("Hi"), called, ToolMessage("24", tool_call_id="call_1")])
        sent = server.requests[-1].body["messages"][1]
        assert sent["content"] == "Wait."
        assert [each["id"] for each in sent["tool_calls"]] == ["call_1"]

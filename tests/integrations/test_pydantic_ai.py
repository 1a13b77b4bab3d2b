"""An atom as a model of pydantic-ai, with the real framework over the scripted server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("pydantic_ai")

from pydantic import BaseModel
from pydantic_ai import Agent, ModelSettings, NativeOutput, UsageLimits, exceptions
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel

import motet
from motet.integrations.pydantic_ai import MotetModel
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.server_scripts import ANSWER, CALL, PLAIN, THOUGHT, asking, final

Use = Callable[[MotetModel, ScriptedServer], Coroutine[Any, Any, Any]]


def with_model(*script: Any, use: Use, model: dict[str, Any] | None = None, **settings: Any) -> Any:
    """The result of `use` with a model over a server with a script."""

    async def run() -> Any:
        with asking(*script, **settings) as (atom, server):
            async with atom:
                return await use(MotetModel(atom, **(model or {})), server)

    return asyncio.run(run())


def test_answer_has_reasoning_usage_and_cost() -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        result = await Agent(model, instructions="Be brief.").run("Why is the sky blue?")
        assert result.output == ANSWER
        response = result.all_messages()[-1]
        assert isinstance(response, ModelResponse)
        assert response.parts == [ThinkingPart(THOUGHT), TextPart(ANSWER)]
        assert (response.finish_reason, response.model_name) == ("stop", "openai/gpt-oss-120b")
        usage = response.usage
        assert usage.input_tokens > 0
        assert usage.output_tokens == motet.count(THOUGHT) + motet.count(ANSWER) + usage.details["markup_tokens"]
        assert usage.output_reasoning_tokens == motet.count(THOUGHT)
        price = motet.atom("together/gpt-oss/120b").spec.cost.cash
        assert price.input is not None and price.output is not None
        cost = (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1_000_000
        assert usage.cost == cost == Decimal((response.provider_details or {})["cost"])
        assert result.usage.cost == cost

    with_model(PLAIN, use=use)


@pytest.mark.parametrize("lane", ["chat", "ids"])
def test_agent_calls_a_tool_and_answers(lane: str) -> None:
    async def use(model: MotetModel, server: ScriptedServer) -> None:
        agent = Agent(model, instructions="Use the tool.")

        @agent.tool_plain
        def get_weather(city: str) -> dict[str, int]:
            """The weather now."""
            assert city == "Zürich"
            return {"celsius": 24}

        result = await agent.run("Is it warm in Zürich?")
        assert result.output == "Yes, 24 °C."
        call = result.all_messages()[1]
        assert [type(part) for part in call.parts] == [ThinkingPart, TextPart, ToolCallPart]
        returned = result.all_messages()[2].parts[0]
        assert isinstance(returned, ToolReturnPart)
        assert returned.tool_call_id == call.parts[2].tool_call_id  # type: ignore[union-attr]
        if lane == "chat":
            roles = [message["role"] for message in server.requests[-1].body["messages"]]
            assert roles == ["system", "user", "assistant", "tool"]
            assert server.requests[-1].body["messages"][2]["reasoning"] == "I need the weather."
            assert server.requests[-1].body["messages"][3]["content"] == '{"celsius":24}'
        else:
            prompt = motet.decode(server.requests[-1].body["prompt"])
            assert "functions.get_weather to=assistant" in prompt
            assert "I need the weather." in prompt

    style = "together" if lane == "chat" else "vllm"
    with_model(CALL, final("Yes, 24 °C."), use=use, style=style, lane=lane)


def test_stream_has_deltas_of_each_part() -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        text, thought = "", ""
        async with Agent(model).iter("Why is the sky blue?") as run:
            async for node in run:
                if not Agent.is_model_request_node(node):
                    continue
                async with node.stream(run.ctx) as stream:
                    async for event in stream:
                        match event:
                            case PartStartEvent(part=ThinkingPart(content=str(delta))):
                                thought += delta
                            case PartStartEvent(part=TextPart(content=str(delta))):
                                text += delta
                            case PartDeltaEvent(delta=delta) if delta.part_delta_kind == "thinking":
                                thought += delta.content_delta or ""
                            case PartDeltaEvent(delta=delta) if delta.part_delta_kind == "text":
                                text += delta.content_delta
        assert (thought, text) == (THOUGHT, ANSWER)
        assert run.result is not None
        assert run.result.usage.cost is not None
        assert run.result.usage.output_reasoning_tokens == motet.count(THOUGHT)

    with_model(PLAIN, use=use)


def test_streamed_call_equals_the_call_of_a_request() -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        def get_weather(city: str) -> int:
            return len(city)

        async def read(_: Any, events: AsyncIterable[Any]) -> None:
            async for _event in events:
                pass

        agent = Agent(model, tools=[get_weather])
        whole = await agent.run("Is it warm?")
        # Not `run_stream`, which takes the first text of a response, here the preamble, for the output.
        streamed = await agent.run("Is it warm?", event_stream_handler=read)
        assert whole.output == streamed.output == "Yes."
        calls = [run.all_messages()[1].parts[2] for run in (whole, streamed)]
        assert [part.args for part in calls if isinstance(part, ToolCallPart)] == ['{"city": "Zürich"}'] * 2
        texts = [[part.content for part in run.all_messages()[1].parts[:2]] for run in (whole, streamed)]  # type: ignore[union-attr]
        assert texts[0] == texts[1] == ["I need the weather.", "Let me look."]
        assert whole.usage.output_tokens == streamed.usage.output_tokens
        assert streamed.usage.cost is not None

    with_model(CALL, final("Yes."), CALL, final("Yes."), use=use)


class Review(BaseModel):
    approved: bool


def test_output_tool_and_native_schema_are_read() -> None:
    by_tool = (
        "<|channel|>commentary to=functions.final_result <|constrain|>json<|message|>"
        '{"approved": true}<|call|>'
    )  # fmt: skip

    async def use(model: MotetModel, server: ScriptedServer) -> None:
        assert (await Agent(model, output_type=Review).run("Review it.")).output == Review(approved=True)
        assert server.requests[-1].body["tools"][0]["function"]["name"] == "final_result"
        native: Agent[None, Review] = Agent(model, output_type=NativeOutput(Review))
        assert (await native.run("Review it.")).output == Review(approved=False)
        assert server.requests[-1].body["response_format"]["json_schema"]["schema"]["required"] == ["approved"]

    with_model(by_tool, final('{"approved": false}'), use=use)


def test_settings_become_options() -> None:
    async def use(model: MotetModel, server: ScriptedServer) -> None:
        settings = ModelSettings(max_tokens=500, temperature=0.5, top_p=0.9, seed=7, thinking="high", top_k=40)
        await Agent(model).run("Hi", model_settings=settings)
        body = server.requests[-1].body
        expected = {"max_tokens": 500, "temperature": 0.5, "top_p": 0.9, "seed": 7, "top_k": 40}
        assert {**expected, "reasoning_effort": "high"}.items() <= body.items()

    with_model(PLAIN, use=use)


def test_motet_options_limit_the_cost() -> None:
    async def use(model: MotetModel, server: ScriptedServer) -> None:
        with pytest.raises(motet.MaxCostError) as caught:
            await Agent(model).run("Hi", model_settings={"motet_options": {"max_cost": "0.000001"}})  # type: ignore[typeddict-unknown-key]
        assert caught.value.cost == 0
        assert server.requests == []

    with_model(PLAIN, use=use)


def test_usage_limits_of_the_framework_apply() -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        with pytest.raises(exceptions.UsageLimitExceeded):
            await Agent(model).run("Hi", usage_limits=UsageLimits(output_tokens_limit=3))

    with_model(PLAIN, use=use)


def test_prompt_tokens_are_limited_before_the_request() -> None:
    async def use(model: MotetModel, server: ScriptedServer) -> None:
        exact = UsageLimits(input_tokens_limit=5, count_tokens_before_request=True)
        with pytest.raises(exceptions.UsageLimitExceeded):
            await Agent(model).run("Hi", usage_limits=exact)
        assert server.requests == []
        counted = await model.count_tokens([ModelRequest.user_text_prompt("Hi")], None, ModelRequestParameters())
        result = await Agent(model).run("Hi")
        assert result.usage.input_tokens == counted.input_tokens

    with_model(PLAIN, use=use)


def test_cancelled_stream_has_the_usage_of_what_arrived() -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        async with Agent(model).run_stream("Hi") as stream:
            async for _text in stream.stream_text(debounce_by=None):
                await stream.cancel()
                break
        assert stream.response.state == "interrupted"
        assert stream.response.usage.output_reasoning_tokens == motet.count(THOUGHT)
        assert stream.response.usage.cost is not None

    with_model(PLAIN, use=use)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, exceptions.ModelRequestRejectedError),
        (401, exceptions.ModelAuthenticationError),
        (402, exceptions.ModelQuotaExceededError),
        (404, exceptions.ModelNotFoundError),
        (429, exceptions.ModelRateLimitError),
        (500, exceptions.ModelServerError),
    ],
)
def test_status_becomes_the_frameworks_error(status: int, kind: type[Exception]) -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        with pytest.raises(kind) as caught:
            await Agent(model).run("Hi")
        assert isinstance(caught.value, exceptions.ModelHTTPError)
        assert caught.value.status_code == status
        assert isinstance(caught.value.__cause__, motet.ApiError)

    with_model(Fault("status", status=status), use=use, max_retries=0)


def test_broken_stream_raises_with_its_cost() -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        with pytest.raises(exceptions.ModelConnectionError) as caught:
            async with Agent(model).run_stream("Why is the sky blue?") as stream:
                await stream.get_output()
        error = caught.value.__cause__
        assert isinstance(error, motet.StreamTruncatedError)
        assert error.partial.reasoning
        assert error.cost > 0

    with_model(Turn(PLAIN, fault=Fault("reset", after=4)), use=use)


@pytest.mark.parametrize("stream", [False, True])
def test_fallback_model_answers_after_an_error(stream: bool) -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        agent = Agent(FallbackModel(model, TestModel(custom_output_text="Hello")))
        if stream:
            async with agent.run_stream("Hi") as result:
                assert await result.get_output() == "Hello"
        else:
            assert (await agent.run("Hi")).output == "Hello"

    with_model(Fault("status", status=500), use=use, max_retries=0)


@pytest.mark.parametrize("stream", [False, True])
def test_cut_answer_has_the_finish_reason_length(stream: bool) -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        settings = ModelSettings(max_tokens=9)
        if stream:
            async with Agent(model).run_stream("Hi", model_settings=settings) as streamed:
                await streamed.get_output()
            response = streamed.all_messages()[-1]
        else:
            response = (await Agent(model).run("Hi", model_settings=settings)).all_messages()[-1]
        assert isinstance(response, ModelResponse)
        assert response.finish_reason == "length"
        assert response.usage.cost is not None

    with_model(final("one two three four five six seven eight nine ten"), use=use)


@pytest.mark.parametrize("stream", [False, True])
def test_calls_read_from_text_are_not_passed_on(stream: bool) -> None:
    calls: list[str] = []

    def get_weather(city: str) -> str:
        calls.append(city)
        return "warm"

    async def use(model: MotetModel, _: ScriptedServer) -> None:
        agent = Agent(model, tools=[get_weather])
        with pytest.raises(motet.ToolError, match="get_weather") as caught:
            if stream:
                async with agent.run_stream("Is it warm?") as result:
                    await result.get_output()
            else:
                await agent.run("Is it warm?")
        assert caught.value.partial.calls

    with_model(CALL, use=use, style="llamacpp", lane="text")
    assert calls == []


def test_calls_read_from_text_are_allowed_on_request() -> None:
    async def use(model: MotetModel, _: ScriptedServer) -> None:
        def get_weather(city: str) -> str:
            return city

        assert (await Agent(model, tools=[get_weather]).run("Is it warm?")).output == "Yes."

    with_model(CALL, final("Yes."), use=use, model={"allow_text_calls": True}, style="llamacpp", lane="text")


def test_history_of_finished_turns_is_sent_again() -> None:
    async def use(model: MotetModel, server: ScriptedServer) -> None:
        agent = Agent(model, system_prompt="Be kind.")
        first = await agent.run("Hi")
        await agent.run("And now?", message_history=first.all_messages())
        messages = server.requests[-1].body["messages"]
        assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
        assert messages[2]["content"] == ANSWER
        assert isinstance(first.all_messages()[0], ModelRequest)

    with_model(PLAIN, PLAIN, use=use)

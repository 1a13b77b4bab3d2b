"""The SDKs of OpenAI and Anthropic against a proxy over real sockets, with each face of a server behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.support.proxies import HI, MODEL, TOOLS, proxied
from tests.support.server_scripts import ANSWER, CALL, PLAIN, THOUGHT, final

FACES = ("vllm", "sglang", "llamacpp", "together")


@contextmanager
def clients(*script: Any, **settings: Any) -> Iterator[tuple[openai.OpenAI, anthropic.Anthropic, Any]]:
    with (
        proxied(*script, **settings) as (url, server),
        openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as chat,
        anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0) as messages,
    ):
        yield chat, messages, server


@pytest.mark.parametrize("face", FACES)
def test_sdks_read_answers_and_calls(face: str) -> None:
    script = (PLAIN, CALL, CALL, CALL, CALL, CALL, PLAIN)
    with clients(*script, face=face) as (openai_client, anthropic_client, _):
        answer = openai_client.chat.completions.create(model=MODEL, messages=HI)
        assert answer.choices[0].message.content == ANSWER
        assert answer.choices[0].message.reasoning_content == THOUGHT
        assert answer.usage.completion_tokens_details.reasoning_tokens
        whole = openai_client.chat.completions.create(model=MODEL, messages=HI, tools=TOOLS["chat"])
        with openai_client.chat.completions.stream(model=MODEL, messages=HI, tools=TOOLS["chat"]) as stream:
            streamed = stream.get_final_completion()
        for choice in (whole.choices[0], streamed.choices[0]):
            assert choice.finish_reason == "tool_calls"
            assert choice.message.content == "Let me look."
            function = choice.message.tool_calls[0].function
            assert (function.name, function.arguments) == ("get_weather", '{"city": "Zürich"}')
        response = openai_client.responses.create(model=MODEL, input="Hi", tools=TOOLS["responses"])
        with openai_client.responses.stream(model=MODEL, input="Hi", tools=TOOLS["responses"]) as events:
            last = events.until_done().get_final_response()
        for reply in (response, last):
            assert [item.type for item in reply.output] == ["reasoning", "message", "function_call"]
            assert reply.output_text == "Let me look."
            assert json.loads(reply.output[-1].arguments) == {"city": "Zürich"}
        thinking = {"type": "enabled", "budget_tokens": 2000}
        with anthropic_client.messages.stream(
            model=MODEL, messages=HI, max_tokens=9000, thinking=thinking, tools=TOOLS["anthropic"]
        ) as stream:
            message = stream.get_final_message()
        assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
        assert message.content[-1].input == {"city": "Zürich"}
        assert message.stop_reason == "tool_use"
        message = anthropic_client.messages.create(model=MODEL, messages=HI, max_tokens=9000)
        assert [block.text for block in message.content] == [ANSWER]
        assert message.stop_reason == "end_turn"
        assert message.usage.input_tokens == answer.usage.prompt_tokens


class Review(BaseModel):
    """An output type."""

    approved: bool
    issues: list[str]


def test_parse_helpers_read_typed_outputs() -> None:
    text = '{"approved": true, "issues": ["a"]}'
    with clients(final(text), final(text), face="together") as (client, _, server):
        parsed = client.chat.completions.parse(model=MODEL, messages=HI, response_format=Review)
        assert parsed.choices[0].message.parsed == Review(approved=True, issues=["a"])
        assert client.responses.parse(model=MODEL, input="Hi", text_format=Review).output_parsed == Review(
            approved=True, issues=["a"]
        )
        formats = [request.body["response_format"]["type"] for request in server.requests if request.body]
        assert formats == ["json_schema", "json_schema"]


def test_stored_response_continues_and_is_deleted() -> None:
    with clients(CALL, PLAIN, PLAIN) as (client, _, server):
        first = client.responses.create(
            model=MODEL,
            input=[*HI, {"role": "user", "content": "Now?"}],
            tools=TOOLS["responses"],
            instructions="Brief.",
        )
        assert client.responses.retrieve(first.id).to_dict() == first.to_dict()
        items = list(client.responses.input_items.list(first.id, limit=1, order="asc"))
        assert [item.content[0].text for item in items] == [HI[0]["content"], "Now?"]
        result = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "sunny"}
        second = client.responses.create(model=MODEL, input=[result], previous_response_id=first.id)
        assert second.previous_response_id == first.id
        prompt = _prompt(server.requests[-1].body)
        assert "I need the weather." in prompt and "sunny" in prompt
        assert "Brief." not in prompt, "instructions are those of one request"
        client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first.id)
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model=MODEL, input="More", previous_response_id=second.id)
        assert caught.value.code == "previous_response_not_found"
        unstored = client.responses.create(model=MODEL, input="Hi", store=False)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(unstored.id)


def _prompt(body: dict[str, Any]) -> str:
    import motet

    return motet.decode(body["prompt"])


def test_models_and_counts_are_in_each_form() -> None:
    with clients(face="vllm") as (client, anthropic_client, _):
        assert [model.id for model in client.models.list()] == [MODEL]
        assert client.models.retrieve(MODEL).id == MODEL
        assert [model.id for model in anthropic_client.models.list()] == [MODEL]
        count = anthropic_client.messages.count_tokens(model=MODEL, messages=HI, tools=TOOLS["anthropic"])
        assert count.input_tokens > 60
        with pytest.raises(openai.NotFoundError, match="no upstream lists the model 'other'"):
            client.models.retrieve("other")


def test_one_call_where_the_client_takes_one() -> None:
    two = CALL.replace("<|call|>", "<|end|>") + CALL[CALL.rindex("<|start|>") :]
    with clients(two, two) as (client, _, _):
        both = client.chat.completions.create(model=MODEL, messages=HI, tools=TOOLS["chat"])
        assert len(both.choices[0].message.tool_calls) == 2
        raw = client.chat.completions.with_raw_response.create(
            model=MODEL, messages=HI, tools=TOOLS["chat"], parallel_tool_calls=False
        )
        assert len(raw.parse().choices[0].message.tool_calls) == 1
        assert "parallel_call_left_out" in raw.headers["x-motet-repairs"]


def test_cut_answer_has_the_reason_of_each_api() -> None:
    with clients(PLAIN, PLAIN, PLAIN) as (client, anthropic_client, _):
        chat = client.chat.completions.create(model=MODEL, messages=HI, max_completion_tokens=5)
        assert chat.choices[0].finish_reason == "length"
        response = client.responses.create(model=MODEL, input="Hi", max_output_tokens=5)
        assert response.status == "incomplete"
        assert response.incomplete_details.reason == "max_output_tokens"
        message = anthropic_client.messages.create(model=MODEL, messages=HI, max_tokens=5)
        assert message.stop_reason == "max_tokens"


@pytest.mark.parametrize("face", ["vllm", "together"])
def test_stop_strings_end_what_clients_see(face: str) -> None:
    """The reasoning has the string as well, and does not end there."""
    text = "<|channel|>analysis<|message|>Think. Observation: none.<|end|><|start|>assistant"
    text += final("Do it. Observation: it is done.")
    with clients(text, text, text, face=face) as (client, anthropic_client, server):
        answer = client.chat.completions.create(model=MODEL, messages=HI, stop=["Observation:"])
        assert answer.choices[0].message.content == "Do it. "
        assert answer.choices[0].message.reasoning_content == "Think. Observation: none."
        assert answer.choices[0].finish_reason == "stop"
        message = anthropic_client.messages.create(
            model=MODEL, messages=HI, max_tokens=999, stop_sequences=["\n\n", "Observation:"]
        )
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "Observation:")
        chunks = client.chat.completions.create(model=MODEL, messages=HI, stop="Observation:", stream=True)
        assert "".join([chunk.choices[0].delta.content or "" for chunk in chunks]) == "Do it. "
        bodies = [request.body for request in server.requests if request.body]
        assert all("Observation:" not in (body.get("stop") or []) for body in bodies)


def test_max_tokens_fit_into_the_context() -> None:
    with clients(PLAIN, face="vllm", server={"context": 500}) as (client, _, server):
        answer = client.chat.completions.create(model=MODEL, messages=HI, max_tokens=32_000)
        assert answer.choices[0].message.content == ANSWER
        assert server.requests[-1].body["max_tokens"] == 500 - answer.usage.prompt_tokens


FORCED: dict[str, Any] = {
    "chat": {"type": "function", "function": {"name": "get_weather"}},
    "responses": {"type": "function", "name": "get_weather"},
    "anthropic": {"type": "tool", "name": "get_weather"},
}


@pytest.mark.parametrize("face", ["vllm", "llamacpp", "together"])
def test_forced_tools_are_enforced_by_the_server(face: str) -> None:
    with clients(CALL, CALL, CALL, face=face) as (client, anthropic_client, server):
        chat = client.chat.completions.create(model=MODEL, messages=HI, tools=TOOLS["chat"], tool_choice=FORCED["chat"])
        assert chat.choices[0].message.tool_calls[0].function.name == "get_weather"
        response = client.responses.create(
            model=MODEL, input="Hi", tools=TOOLS["responses"], tool_choice=FORCED["responses"]
        )
        assert response.tool_choice.name == "get_weather"
        assert response.output[-1].name == "get_weather"
        message = anthropic_client.messages.create(
            model=MODEL, messages=HI, max_tokens=999, tools=TOOLS["anthropic"], tool_choice=FORCED["anthropic"]
        )
        assert message.stop_reason == "tool_use"
        key = {"vllm": "structured_outputs", "llamacpp": "grammar", "together": "tool_choice"}[face]
        assert all(request.body.get(key) for request in server.requests if request.body)


@pytest.mark.parametrize("stream", [False, True])
def test_required_call_in_the_answer_is_read(stream: bool) -> None:
    """A server that ignores `tool_choice`, and a model that writes the call as text."""
    text = final('{"city": "Zürich"}')
    with clients(text, text, text, face="together") as (client, anthropic_client, _):
        settings: dict[str, Any] = {"model": MODEL, "messages": HI}
        if stream:
            with client.chat.completions.stream(**settings, tools=TOOLS["chat"], tool_choice="required") as chunks:
                choice = chunks.get_final_completion().choices[0]
        else:
            choice = client.chat.completions.create(**settings, tools=TOOLS["chat"], tool_choice="required").choices[0]
        assert choice.finish_reason == "tool_calls"
        function = choice.message.tool_calls[0].function
        assert (function.name, json.loads(function.arguments)) == ("get_weather", {"city": "Zürich"})
        settings |= {"max_tokens": 999, "tools": TOOLS["anthropic"], "tool_choice": {"type": "any"}}
        if stream:
            with anthropic_client.messages.stream(**settings) as events:
                message = events.get_final_message()
        else:
            message = anthropic_client.messages.create(**settings)
        assert message.stop_reason == "tool_use"
        assert message.content[-1].input == {"city": "Zürich"}


@pytest.mark.parametrize("stream", [False, True])
def test_output_in_the_reasoning_is_read(stream: bool) -> None:
    text = '<|channel|>analysis<|message|>So: {"approved": true, "issues": []}<|end|><|start|>assistant' + final("")
    form = {"type": "json_schema", "json_schema": {"name": "review", "schema": Review.model_json_schema()}}
    with clients(text, face="together") as (client, _, _):
        settings: dict[str, Any] = {"model": MODEL, "messages": HI, "response_format": form}
        if stream:
            chunks = client.chat.completions.create(**settings, stream=True)
            content = "".join([chunk.choices[0].delta.content or "" for chunk in chunks])
        else:
            content = client.chat.completions.create(**settings).choices[0].message.content
        assert json.loads(content) == {"approved": True, "issues": []}


@anthropic.beta_tool
def get_weather(city: str) -> str:
    """The weather now.

    Args:
        city: its name
    """
    return f"sunny in {city}"


def test_tool_runner_of_anthropic_runs_without_threads() -> None:
    with clients(CALL, PLAIN) as (_, client, server):
        runner = client.beta.messages.tool_runner(model=MODEL, max_tokens=999, tools=[get_weather], messages=HI)
        message = runner.until_done()
        assert message.content[0].text == ANSWER
        prompt = _prompt(server.requests[-1].body)
        assert "sunny in Zürich" in prompt
        assert "I need the weather." in prompt, "the runner drops the reasoning, and the proxy has kept it"

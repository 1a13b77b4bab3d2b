"""Atoms as models of llm, with the real library and its command over the scripted server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llm")

import llm
from click.testing import CliRunner
from llm.cli import cli
from llm.plugins import load_plugins, pm

import motet
from motet.integrations import llm as plugin
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.server_scripts import ANSWER, CALL, KEY, PLAIN, SLUG, THOUGHT, final


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    load_plugins()
    # Where motet is installed, its entry point has registered the plugin.
    registers = not pm.is_registered(plugin)
    if registers:
        pm.register(plugin, name="motet")
    yield tmp_path
    if registers:
        pm.unregister(plugin)


def get_weather(city: str) -> str:
    "The weather now."
    return f"24 °C in {city}"


def test_plugin_registers_the_catalogue() -> None:
    ids = {model.model_id for model in llm.get_models()}
    assert {SLUG, "together/gpt-oss/20b"} <= ids
    assert SLUG in {model.model_id for model in llm.get_async_models()}


def test_answer_has_reasoning_usage_and_cost() -> None:
    with ScriptedServer([PLAIN]) as server:
        response = llm.get_model(SLUG).prompt("Why is the sky blue?", system="Be brief.", base_url=server.url)
        assert "".join(response) == ANSWER
        (message,) = response.messages()
        assert [(part.to_dict()["type"], part.text) for part in message.parts] == [
            ("reasoning", THOUGHT),
            ("text", ANSWER),
        ]
        usage = response.usage()
        assert usage.input > 0
        assert usage.output > motet.count(ANSWER)
        assert usage.details["reasoning_tokens"] == motet.count(THOUGHT)
        assert float(response.response_json["cost"]) > 0
        assert response.response_json["finish_reason"] == "stop"
        assert response.resolved_model == "openai/gpt-oss-120b"
        assert [sent["role"] for sent in server.requests[-1].body["messages"]] == ["system", "user"]


def test_async_model_streams_the_same_events() -> None:
    async def read(url: str) -> tuple[list[Any], Any]:
        response = llm.get_async_model(SLUG).prompt("Hi", base_url=url)
        return [event async for event in response.astream_events()], await response.usage()

    with ScriptedServer([PLAIN, PLAIN]) as server:
        sync = llm.get_model(SLUG).prompt("Hi", base_url=server.url)
        events = list(sync.stream_events())
        others, usage = asyncio.run(read(server.url))
        assert [(event.type, event.chunk) for event in events] == [(event.type, event.chunk) for event in others]
        assert {event.type for event in events} == {"reasoning", "text"}
        assert usage == sync.usage()


@pytest.mark.parametrize(("style", "lane"), [("together", "chat"), ("vllm", "ids")])
def test_chain_runs_a_tool_and_answers(style: Any, lane: str) -> None:
    with ScriptedServer([CALL, final("Yes, 24 °C.")], style=style) as server:
        options = {"base_url": server.url, "lane": lane}
        chain = llm.get_model(SLUG).chain("Is it warm in Zürich?", tools=[get_weather], options=options)
        assert chain.text() == "Let me look. Yes, 24 °C."
        body = server.requests[-1].body
        if lane == "chat":
            assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool"]
            assert body["messages"][1]["reasoning"] == "I need the weather."
            assert body["messages"][2]["content"] == "24 °C in Zürich"
        else:
            prompt = motet.decode(body["prompt"])
            assert "24 °C in Zürich" in prompt
            assert "I need the weather." in prompt


def test_conversation_sends_its_history() -> None:
    with ScriptedServer([PLAIN, final("Yes.")]) as server:
        conversation = llm.get_model(SLUG).conversation()
        conversation.prompt("Hi", base_url=server.url).text()
        assert conversation.prompt("Sure?", base_url=server.url).text() == "Yes."
        sent = server.requests[-1].body["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "user"]
        assert sent[1]["content"] == ANSWER


def test_arguments_that_are_not_json_fail_in_the_tool() -> None:
    broken = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{city: Oslo<|call|>"
    with ScriptedServer([broken, final("ok")], style="vllm") as server:
        options = {"base_url": server.url, "lane": "ids"}
        assert llm.get_model(SLUG).chain("Warm?", tools=[get_weather], options=options).text() == "ok"
        assert "invalid_arguments" in motet.decode(server.requests[-1].body["prompt"])


def test_schema_is_stated_in_the_request() -> None:
    schema = {"type": "object", "properties": {"approved": {"type": "boolean"}}, "required": ["approved"]}
    with ScriptedServer([final('{"approved": true}')]) as server:
        response = llm.get_model(SLUG).prompt("Review it.", schema=schema, base_url=server.url)
        assert json.loads(response.text()) == {"approved": True}
        assert server.requests[-1].body["response_format"]["json_schema"]["schema"] == schema


def test_error_of_the_service_is_of_both_libraries() -> None:
    with ScriptedServer([Turn(PLAIN, fault=Fault("reset", after=4))]) as server:
        response = llm.get_model(SLUG).prompt("Hi", base_url=server.url)
        with pytest.raises(llm.ModelError) as caught:
            response.text()
        assert isinstance(caught.value, motet.StreamTruncatedError)
        assert caught.value.cost > 0
        assert response.response_json["cost"] == str(caught.value.cost)


@pytest.mark.parametrize(
    ("error", "style", "options"),
    [
        (motet.ToolError, "llamacpp", {"lane": "text"}),
        (motet.TruncatedOutputError, "together", {"max_tokens": 40}),
    ],
)
def test_doubtful_calls_are_not_run(error: type[Exception], style: Any, options: dict[str, Any]) -> None:
    calls: list[str] = []

    def get_weather(city: str) -> str:
        calls.append(city)
        return "warm"

    with ScriptedServer([CALL], style=style) as server, pytest.raises(error) as caught:
        llm.get_model(SLUG).chain("Warm?", tools=[get_weather], options={"base_url": server.url, **options}).text()
    assert isinstance(caught.value, llm.ModelError)
    assert calls == []


def test_command_answers_and_logs_the_cost() -> None:
    with ScriptedServer([PLAIN]) as server:
        result = CliRunner().invoke(cli, ["-m", SLUG, "Hi", "-o", "base_url", server.url, "-o", "max_cost", "0.01"])
        assert result.exit_code == 0, result.output
        assert ANSWER in result.output
        logs = json.loads(CliRunner().invoke(cli, ["logs", "--json"]).output)
        assert logs[0]["model"] == SLUG
        assert logs[0]["output_tokens"] > 0


def test_command_says_what_failed() -> None:
    with ScriptedServer([Fault("status", status=401)]) as server:
        result = CliRunner().invoke(cli, ["-m", SLUG, "Hi", "-o", "base_url", server.url])
        assert result.exit_code == 1
        assert "Error: the service does not know the key (HTTP 401)" in result.output

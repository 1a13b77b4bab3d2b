"""Frameworks against a proxy over real sockets, each with a tool call; `make clients` has them."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.support.proxies import HI, MODEL, TOOLS, proxied
from tests.support.server_scripts import ANSWER, CALL, PLAIN, final, prompt_text

pytestmark = pytest.mark.filterwarnings("ignore")

FACES = ("vllm", "sglang", "llamacpp", "together")


class Weather(BaseModel):
    """An output type."""

    city: str
    degrees: int


def last_prompt(server: Any) -> str:
    return prompt_text(server.requests[-1].body)


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["responses", "chat"])
def test_openai_agents_runs_tools(api: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    agents = pytest.importorskip("agents")
    import openai

    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")

    @agents.function_tool
    def get_weather(city: str) -> str:
        """The weather now."""
        return f"sunny in {city}"

    async def run(url: str) -> str:
        agents.set_tracing_disabled(True)
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
            form = {"responses": agents.OpenAIResponsesModel, "chat": agents.OpenAIChatCompletionsModel}[api]
            model = form(model=MODEL, openai_client=client)
            agent = agents.Agent(name="helper", instructions="Be brief.", model=model, tools=[get_weather])
            if not stream:
                return (await agents.Runner.run(agent, "How is the weather?")).final_output
            result = agents.Runner.run_streamed(agent, "How is the weather?")
            async for _ in result.stream_events():
                pass
            return result.final_output

    with proxied(CALL, PLAIN) as (url, server):
        assert asyncio.run(run(url)) == ANSWER
        prompt = last_prompt(server)
        assert "sunny in Zürich" in prompt and "I need the weather." in prompt and "Be brief." in prompt


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["chat", "responses", "anthropic"])
def test_pydantic_ai_runs_tools(api: str, stream: bool) -> None:
    pydantic_ai = pytest.importorskip("pydantic_ai")
    pytest.importorskip("openai")
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    def model(url: str) -> Any:
        if api == "anthropic":
            import anthropic

            client = anthropic.AsyncAnthropic(base_url=url, api_key="unused", max_retries=0)
            return AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=client))
        form = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}[api]
        return form(MODEL, provider=OpenAIProvider(base_url=f"{url}/v1", api_key="unused"))

    async def run(url: str) -> str:
        agent = pydantic_ai.Agent(model(url), instructions="Be brief.")

        @agent.tool_plain
        def get_weather(city: str) -> str:
            """The weather now."""
            return f"sunny in {city}"

        if not stream:
            return (await agent.run("How is the weather?")).output
        async with agent.run_stream("How is the weather?") as result:
            return await result.get_output()

    with proxied(CALL.replace("Let me look.", ""), PLAIN) as (url, server):
        assert asyncio.run(run(url)) == ANSWER
        prompt = last_prompt(server)
        assert "sunny in Zürich" in prompt and "I need the weather." in prompt


def check_langchain_calls(model: Any) -> None:
    """A call, the answer to its result, and a streamed call."""
    from langchain_core.messages import HumanMessage, ToolMessage

    question = HumanMessage("How is the weather?")
    first = model.invoke([question])
    assert first.tool_calls[0]["args"] == {"city": "Zürich"}
    last = model.invoke([question, first, ToolMessage("sunny", tool_call_id=first.tool_calls[0]["id"])])
    assert last.text == ANSWER
    whole = functools.reduce(operator.add, model.stream("How is the weather?"))
    assert whole.tool_calls[0]["args"] == {"city": "Zürich"}


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_langchain_openai_binds_tools(api: str, face: str) -> None:
    chat_openai = pytest.importorskip("langchain_openai").ChatOpenAI

    with proxied(CALL, PLAIN, CALL, final('{"city":"Bern","degrees":3}'), face=face) as (url, _):
        model = chat_openai(
            model=MODEL, base_url=f"{url}/v1", api_key="unused", use_responses_api=api == "responses", max_retries=0
        )
        bound = model.bind_tools(TOOLS["chat"])
        check_langchain_calls(bound)
        assert model.with_structured_output(Weather).invoke("Bern?") == Weather(city="Bern", degrees=3)


def test_langchain_anthropic_binds_tools(face: str) -> None:
    chat_anthropic = pytest.importorskip("langchain_anthropic").ChatAnthropic

    with proxied(CALL, PLAIN, CALL, face=face) as (url, _):
        model = chat_anthropic(
            model=MODEL,
            base_url=url,
            api_key="unused",
            max_tokens=9000,
            thinking={"type": "enabled", "budget_tokens": 2000},
            max_retries=0,
        ).bind_tools(TOOLS["anthropic"])
        check_langchain_calls(model)


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm", "anthropic", "openai/responses"])
def test_litellm_calls_tools(provider: str, face: str) -> None:
    litellm = pytest.importorskip("litellm")
    with proxied(CALL, CALL, PLAIN, face=face) as (url, _):
        settings: dict[str, Any] = {
            "model": f"{provider}/{MODEL}",
            "api_base": url if provider == "anthropic" else f"{url}/v1",
            "api_key": "unused",
            "tools": TOOLS["chat"],
            "max_tokens": 9000,
        }
        whole = litellm.completion(messages=HI, **settings)
        chunks = list(litellm.completion(messages=HI, stream=True, **settings))
        for reply in (whole, litellm.stream_chunk_builder(chunks)):
            message = reply.choices[0].message
            assert reply.choices[0].finish_reason == "tool_calls"
            assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Zürich"}
        result = {"role": "tool", "tool_call_id": whole.choices[0].message.tool_calls[0].id, "content": "sunny"}
        history = [*HI, whole.choices[0].message.model_dump(), result]
        assert litellm.completion(messages=history, **settings).choices[0].message.content == ANSWER


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA", "ANTHROPIC_TOOLS", "RESPONSES_TOOLS"])
def test_instructor_reads_models(mode: str) -> None:
    instructor = pytest.importorskip("instructor")
    import anthropic
    import openai

    arguments = '{"city": "Bern", "degrees": 3}'
    as_call = CALL.replace("get_weather", "Weather").replace('{"city": "Zürich"}', arguments)
    with proxied(final(arguments) if mode == "JSON_SCHEMA" else as_call) as (url, _):
        settings: dict[str, Any] = {"model": MODEL, "messages": HI, "response_model": Weather, "max_retries": 0}
        if mode == "ANTHROPIC_TOOLS":
            with anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0) as messages:
                client = instructor.from_anthropic(messages, mode=instructor.Mode[mode])
                weather = client.create(max_tokens=9000, **settings)
        else:
            with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as chat:
                weather = instructor.from_openai(chat, mode=instructor.Mode[mode]).create(**settings)
        assert weather.model_dump() == {"city": "Bern", "degrees": 3}


def test_llm_chains_tools(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    pytest.importorskip("llm")
    from llm.default_plugins.openai_models import Chat

    def get_weather(city: str) -> str:
        """The weather now."""
        return f"sunny in {city}"

    with proxied(CALL, PLAIN) as (url, server):
        model = Chat(MODEL, model_name=MODEL, api_base=f"{url}/v1", supports_tools=True)
        text = model.chain("How is the weather?", tools=[get_weather], key="unused").text()
        assert text == f"Let me look. {ANSWER}"
        assert "sunny in Zürich" in last_prompt(server)


PAGE = Path(__file__).parents[2] / "docs" / "guides" / "proxy-clients.md"


def test_settings_of_the_page_work(capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("agents", "instructor", "langchain_openai", "litellm", "pydantic_ai"):
        pytest.importorskip(package)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    scope: dict[str, Any] = {"__name__": "page"}
    script = [*[PLAIN] * (len(blocks) - 1), final('{"cause": "Rayleigh scattering"}')]
    with proxied(*script) as (url, _):
        for block in blocks:
            exec(compile(block.replace("http://127.0.0.1:8400", url), PAGE.name, "exec"), scope)
    # Here, where the warnings of open clients are ignored, and not within a later test.
    scope.clear()
    gc.collect()
    assert capsys.readouterr().out.splitlines() == [*[ANSWER] * (len(blocks) - 1), "cause='Rayleigh scattering'"]

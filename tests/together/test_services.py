"""What is known of services, how they are recognised, and what is set by hand."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pydantic
import pytest

import motet
from motet.together import Service
from motet.together.services import SERVICES, UNKNOWN, service_at, service_of_owners
from tests.support.fault_cases import InMemoryService
from tests.support.server_scripts import CALL, KEY, PLAIN, WEATHER, asking, final

CHAT = {"choices": [{"message": {"content": "Warm."}, "finish_reason": "stop"}]}
HISTORY: list[Any] = [
    {"role": "user", "content": "Is it warm?"},
    {
        "role": "assistant",
        "reasoning": "Let me see.",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "a", "content": "24"},
]


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("", "together"),
        ("https://api.together.ai/v1", "together"),
        ("https://api.together.xyz", "together"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.cerebras.ai/v1", "cerebras"),
        ("https://groq.com.example.org", None),
        ("http://localhost:8000", None),
    ],
)
def test_hosted_services_are_known_by_host(base_url: str, name: str | None) -> None:
    service = service_at(base_url)
    assert (service and service.name) == name


@pytest.mark.parametrize(
    ("owners", "name"),
    [
        (["vllm"], "vllm"),
        (["sglang"], "sglang"),
        (["llamacpp"], "llamacpp"),
        (["library"], "ollama"),
        (["organization_owner"], "lmstudio"),
        (["an_organisation", "vllm"], "vllm"),
        (["an_organisation"], "unknown"),
        ([], "unknown"),
    ],
)
def test_own_servers_are_known_by_owner(owners: list[str], name: str) -> None:
    assert service_of_owners(owners).name == name


class Weather(pydantic.BaseModel):
    """An output of which all properties are required."""

    warm: bool


def body_of(receiver: InMemoryService) -> dict[str, Any]:
    """The body of the last request."""
    body: dict[str, Any] = json.loads(receiver.requests[-1].content)
    return body


def chat_body(prompt: Any, service: Any = None, **options: Any) -> dict[str, Any]:
    """The body of a chat request as a service receives it."""
    receiver = InMemoryService(httpx.Response(200, json=CHAT))
    receiver.models = [httpx.Response(200, json={"data": []})]
    atom = receiver.atom(lane="chat", service=service)
    atom.ask(prompt, **options)
    return body_of(receiver)


@pytest.mark.parametrize(
    ("service", "keys"),
    [
        ("together", {"reasoning"}),
        ("vllm", {"reasoning"}),
        ("sglang", {"reasoning_content"}),
        ("llamacpp", {"reasoning_content"}),
        ("ollama", {"reasoning"}),
        ("groq", {"reasoning"}),
        ("openrouter", {"reasoning"}),
        ("cerebras", {"reasoning"}),
        (None, {"reasoning"}),
        ({"reasoning_key": None}, set()),
        ({"reasoning_key": "reasoning_content"}, {"reasoning_content"}),
        ({"name": "groq", "reasoning_key": None}, set()),
        (Service(name="mine", reasoning_key="reasoning_content"), {"reasoning_content"}),
    ],
    ids=str,
)
def test_reasoning_goes_back_under_the_key_of_the_service(service: Any, keys: set[str]) -> None:
    assistant = chat_body(HISTORY, service)["messages"][1]
    assert {"reasoning", "reasoning_content"} & set(assistant) == keys


def test_unknown_service_gets_reasoning_in_the_key_that_it_sends() -> None:
    receiver = InMemoryService(httpx.Response(200, json=CHAT))
    atom = receiver.atom()
    for key in ("reasoning_content", "reasoning"):
        message = {"content": "Warm.", key: "Hm."}
        receiver.script = [httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "stop"}]})]
        receiver.models = [httpx.Response(200, json={"data": []})]
        atom.ask("Hi")
        atom.ask(HISTORY)
        sent = body_of(receiver)["messages"][1]
        assert {"reasoning", "reasoning_content"} & set(sent) == {key}


@pytest.mark.parametrize(
    ("service", "numbered"),
    [("together", True), ("groq", False), ("cerebras", False), ({"numbers_calls": False}, False)],
)
def test_calls_of_the_history_are_numbered_where_it_is_known(service: Any, numbered: bool) -> None:
    (call,) = chat_body(HISTORY, service)["messages"][1]["tool_calls"]
    assert ("index" in call) == numbered


@pytest.mark.parametrize(
    ("service", "output", "strict"),
    [
        ("together", dict[str, bool], True),
        ("groq", Weather, True),
        ("groq", dict[str, bool], None),
        ({"strict_schemas": False}, Weather, False),
        ({"strict_schemas": True}, dict[str, bool], True),
    ],
    ids=str,
)
def test_strict_schemas_follow_the_service(service: Any, output: Any, strict: bool | None) -> None:
    choice = {"message": {"content": '{"warm": true}'}, "finish_reason": "stop"}
    receiver = InMemoryService(httpx.Response(200, json={"choices": [choice]}))
    receiver.atom(lane="chat", service=service).ask("Hi", output=output)
    assert body_of(receiver)["response_format"]["json_schema"].get("strict") == strict


def test_refused_keys_are_left_out_and_noted() -> None:
    receiver = InMemoryService(httpx.Response(200, json=CHAT))
    atom = receiver.atom(service={"refused_keys": ["reasoning_effort", "stream_options", "seed"]})
    answer = atom.ask("Hi", reasoning_effort="high", seed=7, temperature=0)
    body = body_of(receiver)
    assert set(body) == {"model", "messages", "temperature"}
    assert any(
        "refuses reasoning_effort, seed" in note or "refuses seed, reasoning_effort" in note for note in answer.notes
    )
    with atom.stream("Hi") as stream:
        list(stream)
    assert "stream_options" not in body_of(receiver)


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("grok", "service must be one of together, vllm"),
        ({"reasoning": None}, "a service has no reasoning; its fields are"),
        ({"reasoning_key": "thoughts"}, "reasoning_key of a service must be one of"),
        ({"raw_lane": "chat"}, "raw_lane of a service must be one of"),
        ({"refused_keys": "seed"}, "refused_keys of a service must be a list"),
        (7, "service must be a name, a dict of fields or a Service"),
    ],
    ids=str,
)
def test_unknown_services_and_fields_are_refused(service: Any, words: str) -> None:
    with pytest.raises(motet.ConfigError, match=words):
        motet.atom("some/model", base_url="http://service.test", api_key=KEY, service=service)


def test_fields_set_by_hand_change_the_recognised_service() -> None:
    with asking(PLAIN, style="vllm", lane="auto", service={"raw_lane": "text"}) as (atom, server):
        assert atom.ask("Hi").lane == "text"
        # The rest is vLLM's.
        assert server.requests[-1].body["max_tokens"] > 100_000
    assert SERVICES["vllm"].raw_lane == "ids"
    assert UNKNOWN.raw_lane is None


# What the context leaves.


def test_unknown_context_is_noted_and_the_callers_is_used() -> None:
    models = [{"id": "openai/gpt-oss-120b", "owned_by": "vllm"}]
    with asking(final("Hi"), style="vllm", lane="auto", models=models) as (atom, server):
        spec_context = atom.spec.gain.size.context.tokens
        atom.ask("Hi")
        body = server.requests[-1].body
        assert spec_context is not None
        assert body["max_tokens"] == spec_context - len(body["prompt"])
    receiver = InMemoryService(
        httpx.Response(200, json={"choices": [{"text": "", "token_ids": [], "finish_reason": "stop"}]})
    )
    receiver.models = [httpx.Response(200, json={"data": models})]
    atom = motet.atom(
        "mine/gpt-oss", base_url="http://service.test", api_key=KEY, transport=httpx.MockTransport(receiver)
    )
    with pytest.raises(motet.EmptyOutputError) as caught:
        atom.ask("Hi")
    assert "max_tokens" not in body_of(receiver)
    assert any("may cut the answer at 16 tokens" in note for note in caught.value.partial.notes)


@pytest.mark.parametrize(
    ("style", "context", "left"),
    [("vllm", 1000, 0), ("vllm", 80, 0), ("sglang", 1000, 128), ("sglang", 120, None)],
)
def test_answer_gets_what_a_small_context_leaves(style: str, context: int, left: int | None) -> None:
    models = [{"id": "openai/gpt-oss-120b", "owned_by": style, "max_model_len": context}]
    with asking(final("Hi"), style=style, lane="auto", models=models) as (atom, server):
        atom.ask("Hi")
        body = server.requests[-1].body
        room = context - len(body["prompt"])
        # Half of the rest at most is left free.
        assert body["max_tokens"] == max(room - (room // 2 if left is None else left), 1)


@pytest.mark.parametrize("style", ["vllm", "sglang"])
def test_no_key_of_a_raw_request_is_null(style: str) -> None:
    """vLLM and SGLang refuse `null`, or read it as their default."""
    with asking(PLAIN, CALL, style=style, lane="ids") as (atom, server):
        atom.ask("Hi", temperature=None, top_p=None, max_tokens=None, seed=None)
        atom.ask("Hi", tools=[WEATHER])
        for request in server.requests[-2:]:
            assert None not in request.body.values()


@pytest.mark.parametrize("style", ["vllm", "sglang", "llamacpp"])
def test_prompt_of_the_text_lane_is_sent_as_ids(style: str) -> None:
    """The server would tokenize a text: quoted markers as structure, and llama.cpp some scripts with other ids."""
    prompt = "<|start|>system नमस्ते"
    with asking(final("A"), style=style, lane="text") as (atom, server):
        assert atom.ask(prompt, current_date="2026-11-26").output == "A"
    rendered = motet.render([{"role": "user", "content": prompt}], current_date="2026-11-26")
    assert server.requests[-1].body["prompt"] == rendered.ids


EMOJI = "<|channel|>analysis<|message|>Tür 👩‍👩‍👧‍👦 🦕<|end|><|start|>assistant<|channel|>final<|message|>🦄🪿 नमस्ते<|return|>"


@pytest.mark.parametrize("how", ["ask", "stream"])
def test_llama_cpp_gives_ids_on_request(how: str) -> None:
    """Its streams leave out ids whose text ends within a character."""
    with asking(EMOJI, style="llamacpp", lane="ids") as (atom, server):
        if how == "ask":
            answer = atom.ask("Go.")
        else:
            with atom.stream("Go.") as stream:
                list(stream)
            answer = stream.answer
    assert (answer.lane, answer.notes) == ("ids", ())
    assert (answer.reasoning, answer.output) == ("Tür 👩‍👩‍👧‍👦 🦕", "🦄🪿 नमस्ते")
    assert server.requests[-1].body["response_fields"] == ["tokens"]


def test_calls_of_llama_cpp_are_trusted_in_the_ids_lane() -> None:
    with asking(CALL, CALL, style="llamacpp") as (atom, _):
        trusted = [atom.ask("Go.", tools=[WEATHER], lane=lane).calls[0].trusted for lane in ("ids", "text")]
    assert trusted == [True, False]

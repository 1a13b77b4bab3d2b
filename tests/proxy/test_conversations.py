"""Reasoning of the running turn, kept for clients that drop it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

import motet
from motet import Message, Reasoning, Text, ToolCall, ToolResult
from motet.backend import Request
from motet.proxy import KeptTurn, Upstream, app
from motet.proxy.conversations import Conversations, conversation_keys
from motet.proxy.sqlite_state import SqliteState
from tests.support.fake_backend import FakeBackend
from tests.support.proxies import HI, PATHS, TOOLS, body_of, call
from tests.support.server_scripts import CALL, PLAIN

USER = Message("user", (Text("How is the weather?"),))


def asked(arguments: str, id: str = "c1", text: str = "") -> Message:
    preamble = (motet.Preamble(text),) if text else ()
    return Message("assistant", (*preamble, ToolCall("get_weather", arguments, id)))


def key(*messages: Message, client: str = "a") -> bytes:
    return conversation_keys(client, messages)[-1]


def test_keys_ignore_what_clients_change() -> None:
    base = key(USER, asked('{"city": "Zürich", "days": 1}'))
    assert key(USER, asked('{"days":1.0,"city":"Zürich"}', "other", "Let me look.")) == base
    developer = Message("developer", (motet.DeveloperContent("It is 12:01."),))
    assert key(developer, USER, asked('{"city": "Zürich", "days": 1}')) == base
    assert key(Message("user", (Text(" How is the weather?\n"),)), asked('{"city": "Zürich", "days": 1}')) == base


def test_keys_differ_by_client_question_and_call() -> None:
    keys = {
        key(USER, asked('{"city": "Zürich"}')),
        key(USER, asked('{"city": "Paris"}')),
        key(USER, asked('{"city": "Zürich"}'), client="b"),
        key(Message("user", (Text("And now?"),)), asked('{"city": "Zürich"}')),
        key(USER, asked('{"city": "Zürich"}'), Message("tool", (ToolResult("c1", "21"),))),
    }
    assert len(keys) == 5


def as_chat(reply: dict[str, Any]) -> list[Any]:
    message = {name: value for name, value in reply["choices"][0]["message"].items() if name != "reasoning_content"}
    return [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"}]


def as_responses(reply: dict[str, Any]) -> list[Any]:
    items = [item for item in reply["output"] if item["type"] != "reasoning"]
    return [*items, {"type": "function_call_output", "call_id": items[-1]["call_id"], "output": "sunny"}]


def as_anthropic(reply: dict[str, Any]) -> list[Any]:
    result = {"type": "tool_result", "tool_use_id": reply["content"][-1]["id"], "content": "sunny"}
    return [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": [result]}]


FORMS: dict[str, Callable[[dict[str, Any]], list[Any]]] = {
    "chat": as_chat,
    "responses": as_responses,
    "anthropic": as_anthropic,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", PATHS)
def test_dropped_reasoning_reaches_the_model_again(api: str, stream: bool) -> None:
    completions = [CALL, PLAIN, PLAIN]
    backend = FakeBackend(lambda _: completions.pop(0))
    application = app(Upstream(backend=backend))
    settings = {"store": False} if api == "responses" else {}

    async def converse() -> None:
        body = body_of(api, tools=TOOLS[api], **settings)
        first = await call(application, "POST", PATHS[api], body)
        if stream:
            completions.insert(0, CALL)
            events = (await call(application, "POST", PATHS[api], {**body, "stream": True})).events
            assert events
        turn = FORMS[api](first.json)
        assert "I need the weather." not in json.dumps(turn)
        field = "input" if api == "responses" else "messages"
        second = {**body, field: [*HI, *turn]}
        assert (await call(application, "POST", PATHS[api], second)).status == 200

    asyncio.run(converse())
    request: Request = backend.requests[-1]
    assert [message.role for message in request.messages] == ["user", "assistant", "tool"]
    assert request.messages[1].content[0] == Reasoning("I need the weather.")
    assert [part.type for part in request.messages[1].content] == ["reasoning", "preamble", "tool_call"]


def test_reasoning_of_answered_turns_is_not_restored() -> None:
    async def restore() -> None:
        state = SqliteState()
        conversations = Conversations(state)
        result = Message("tool", (ToolResult("c1", "sunny"),))
        thought = Message("assistant", (Reasoning("Hm."), *asked("{}").content))
        await conversations.keep("a", [USER], thought, None)
        running = [USER, asked("{}"), result]
        restored, _ = await conversations.restore("a", running)
        assert restored[1].reasoning == "Hm."
        answered = [*running, Message("assistant", (Text("Sunny."),)), USER]
        restored, _ = await conversations.restore("a", answered)
        assert list(restored) == answered
        others, _ = await conversations.restore("b", running)
        assert list(others) == running, "turns of one client are not those of another"
        await state.aclose()

    asyncio.run(restore())


def test_reasoning_between_calls_keeps_its_place() -> None:
    async def restore() -> list[str]:
        state = SqliteState()
        conversations = Conversations(state)
        first, second = ToolCall("f", "{}", "1"), ToolCall("g", "{}", "2")
        answer = Message("assistant", (Reasoning("A."), first, Reasoning("B."), second))
        await conversations.keep("a", [USER], answer, None)
        restored, _ = await conversations.restore("a", [USER, Message("assistant", (first, second))])
        await state.aclose()
        return [part.text if isinstance(part, Reasoning) else part.type for part in restored[1].content]

    assert asyncio.run(restore()) == ["A.", "tool_call", "B.", "tool_call"]


def test_clients_own_reasoning_stays() -> None:
    async def restore() -> str:
        state = SqliteState()
        await state.put_turn(key(USER, asked("{}")), KeptTurn(("kept", None)))
        own = Message("assistant", (Reasoning("own"), *asked("{}").content))
        restored, _ = await Conversations(state).restore("a", [USER, own])
        await state.aclose()
        return restored[1].reasoning

    assert asyncio.run(restore()) == "own"

"""The history of tool calls that servers accept, whatever the model wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

import motet
from motet.dialects.acceptable import acceptable_arguments, acceptable_name
from tests.support.fake_backend import calls
from tests.support.server_scripts import asking, final


@pytest.mark.parametrize(
    ("arguments", "accepted"),
    [
        ('{"city": "Paris"}', '{"city": "Paris"}'),
        ('{"city": "Par', '{"city": "Par"}'),
        ("{'city': 'Paris',}", '{"city": "Paris"}'),
        ("", "{}"),
        ("[1, 2]", '{"invalid_arguments": "[1, 2]"}'),
        ("Paris", '{"invalid_arguments": "Paris"}'),
        ('{"x": NaN}', '{"invalid_arguments": "{\\"x\\": NaN}"}'),
    ],
)
def test_arguments_become_a_json_object(arguments: str, accepted: str) -> None:
    assert acceptable_arguments(arguments) == accepted
    assert isinstance(json.loads(accepted), dict)


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("get_weather", "get_weather"),
        ("Web Search", "Web_Search"),
        ("a.b-c", "a.b-c"),
        ("天気", "_"),
        ("", "unknown_tool"),
    ],
)
def test_names_become_valid(name: str, accepted: str) -> None:
    assert acceptable_name(name) == accepted
    assert len(acceptable_name("x" * 100)) == 64


def test_run_goes_on_after_calls_no_server_accepts() -> None:
    def add(x: int) -> int:
        return x + 1

    scripts = [calls(("add", '{"x": 1'), "Web Search!"), final("Done.")]
    with asking(lambda body: scripts[sum(message["role"] == "assistant" for message in body["messages"])]) as (
        atom,
        server,
    ):
        run = atom.run("Go.", tools=[add])
        assert run.text == "Done."
        history: list[Any] = server.requests[-1].body["messages"]
        assert run.steps[0].message.tool_calls[0].arguments == '{"x": 1'
    for chat_dict in history:
        for call in chat_dict.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert motet.tools_from([{**call, "function": {"name": call["function"]["name"]}}], print)

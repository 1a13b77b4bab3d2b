"""What users read of wrong values: tools, outputs, the catalogue, money. `make snapshots` rewrites this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from inline_snapshot import snapshot
from pydantic import BaseModel

import motet
from motet.schema.output import Output
from motet.schema.tool import result_text, to_tool
from tests.support.messages import message_of


class Review(BaseModel):
    stars: int


def weather(city: str, days: int = 1) -> str:
    """The weather."""
    return city


INVALID_TOOLS: dict[str, Callable[[], Any]] = {
    "a number": lambda: to_tool(3),
    "a dict": lambda: to_tool({"type": "function"}),
    "a name": lambda: motet.tool(name="a b")(weather),
    "a timeout": lambda: motet.tool(timeout=0)(weather),
    "a positional parameter": lambda: motet.tool(lambda x, /: x),
    "no JSON": lambda: to_tool(weather).bind("{")(),
    "a missing argument": lambda: to_tool(weather).bind("{}")(),
    "an argument of another type": lambda: to_tool(weather).bind('{"city": "x", "days": "many"}')(),
    "bytes as a result": lambda: result_text(b"x"),
    "an object as a result": lambda: result_text(object()),
    "ambiguous JSON": lambda: motet.ToolCall("f", "{a b}").repaired_args(),
}
INVALID_OUTPUTS: dict[str, Callable[[], Any]] = {
    "no JSON": lambda: Output.of(Review).read("five stars"),
    "another type": lambda: Output.of(Review).read('{"stars": "many"}'),
    "a missing field": lambda: Output.of(Review).read("{}"),
    "nothing": lambda: Output.of(Review).read(""),
}
INVALID_ATOMS: dict[str, Callable[[], Any]] = {
    "an unknown slug": lambda: motet.atom("together/gpt-oss/121b", api_key="k"),
    "a slug of another type": lambda: motet.atom(None),  # type: ignore[arg-type]
    "no key": lambda: motet.atom("together/gpt-oss/120b").ask("Hi"),
    "an address": lambda: motet.atom("together/gpt-oss/120b", api_key="k", base_url="api.together.ai").ask("Hi"),
    "a lane": lambda: motet.atom("together/gpt-oss/120b", api_key="k", lane="fast"),  # type: ignore[arg-type]
    "an option": lambda: motet.atom("together/gpt-oss/120b", api_key="k").ask("Hi", colour="red"),  # type: ignore[call-overload]
    "max_tokens": lambda: motet.atom("together/gpt-oss/120b", api_key="k").ask("Hi", max_tokens=0),
    "max_cost": lambda: motet.atom("together/gpt-oss/120b", api_key="k").ask("Hi", max_cost="much"),
    "timeout": lambda: motet.atom("together/gpt-oss/120b", api_key="k").ask("Hi", timeout=-1),
    "a prompt": lambda: motet.atom("together/gpt-oss/120b", api_key="k").ask([]),
    "a budget": lambda: motet.budget("much"),
    "a price": lambda: motet.Price("free", 1),
    "a grammar": lambda: motet.grammar(["f"], format="ebnf"),  # type: ignore[call-overload]
}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.delenv("TOGETHER_BASE_URL", raising=False)


def test_messages_of_tools() -> None:
    assert {name: message_of(call) for name, call in INVALID_TOOLS.items()} == snapshot(
        {
            "a number": "TypeError: a tool must be a function, or made with motet.tool or motet.tools_from, not 3",
            "a dict": "TypeError: a tool must be a function, or made with motet.tool or motet.tools_from, not {'type': 'function'}",
            "a name": "TypeError: a tool needs a name of 1 to 64 letters, digits, _, - and dots, not 'a b'; give name=",
            "a timeout": "ValueError: timeout must be seconds, more than 0, not 0",
            "a positional parameter": "TypeError: a tool needs a name of 1 to 64 letters, digits, _, - and dots, not '<lambda>'; give name=",
            "no JSON": "InvalidArgumentsError: the arguments of weather are wrong: the value: Invalid JSON: EOF while parsing an object at line 1 column 1",
            "a missing argument": "InvalidArgumentsError: the arguments of weather are wrong: city: Field required",
            "an argument of another type": "InvalidArgumentsError: the arguments of weather are wrong: days: Input should be a valid integer, unable to parse string as an integer",
            "bytes as a result": "ToolResultError: the tool returned bytes; return text, or say in text where the bytes are",
            "an object as a result": "ToolResultError: the tool returned a object, which has no JSON form: Unable to serialize unknown type: <class 'object'>",
            "ambiguous JSON": "InvalidArgumentsError: arguments of 'f' cannot be read at 3 ('b}'): the key 'a' has no value",
        }
    )


def test_messages_of_outputs() -> None:
    assert {name: message_of(call) for name, call in INVALID_OUTPUTS.items()} == snapshot(
        {
            "no JSON": "InvalidJsonError: the answer is not JSON: Expecting value: line 1 column 1 (char 0); it begins 'five stars'",
            "another type": "SchemaMismatchError: the answer is not a Review: stars: Input should be a valid integer, unable to parse string as an integer",
            "a missing field": "SchemaMismatchError: the answer is not a Review: stars: Field required",
            "nothing": "InvalidJsonError: the answer is not JSON: Expecting value: line 1 column 1 (char 0); it begins ''",
        }
    )


def test_messages_of_atoms() -> None:
    assert {name: message_of(call) for name, call in INVALID_ATOMS.items()} == snapshot(
        {
            "an unknown slug": "UnknownAtomError: no atom has the slug 'together/gpt-oss/121b'; did you mean together/gpt-oss/120b or together/gpt-oss/20b or together/deepseek/r1?",
            "a slug of another type": "TypeError: slug must be a str as 'together/gpt-oss/120b', not NoneType",
            "no key": "MissingKeyError: TOGETHER_API_KEY is not set; set it, or give api_key=",
            "an address": "ConfigError: base_url must be an address as https://api.together.ai, not 'api.together.ai'",
            "a lane": "ConfigError: lane must be 'auto', 'chat', 'text' or 'ids', not 'fast'",
            "an option": "TypeError: unknown option colour; options are briefs, budget, builtin_tools, current_date, extra, fallbacks, first_token_timeout, lane, max_cost, max_reasoning_tokens, max_tokens, on, on_limit, reasoning_effort, retries, sampling, seed, temperature, timeout, tool_choice, tools, top_p",
            "max_tokens": "ValueError: max_tokens must be a whole number from 1 on, not 0",
            "max_cost": "ValueError: max_cost must be an amount as '0.05', not 'much'",
            "timeout": "ValueError: timeout must be seconds, more than 0, not -1",
            "a prompt": "ValueError: prompt is an empty list: there is nothing to ask",
            "a budget": "ValueError: budget must be an amount as '0.05', not 'much'",
            "a price": "ValueError: input must be an amount as '0.05', not 'free'",
            "a grammar": "ValueError: format must be one of lark, gbnf, structural_tag, not 'ebnf'",
        }
    )

"""The requests that several probes judge: fixed data, without what depends on the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["COLOUR", "GET_WEATHER", "LONG_TEXT", "NOW", "SITUATIONS", "UNICODE", "say", "tool"]

MAX_TOKENS = 4000
"""Enough for the reasoning of any probe."""
UNICODE = "Zürich 青い 🌍 ﷺ"
LONG_TEXT = " ".join(["The quick brown fox jumps over the lazy dog."] * 20)
"""201 tokens."""


def say(text: str) -> dict[str, Any]:
    """A message that asks for a text."""
    return {"role": "user", "content": f"Reply with exactly this text and nothing else: {text}"}


def call(*arguments: str, name: str = "get_weather") -> dict[str, Any]:
    """A message that asks for calls."""
    return {
        "role": "user",
        "content": f"Call the function {name} at once, with the arguments {' and '.join(arguments)}",
    }


def tool(
    name: str, parameters: Mapping[str, Any] | None = None, description: str = "The weather now."
) -> dict[str, Any]:
    """A function as a tool."""
    function: dict[str, Any] = {"name": name, "description": description}
    if parameters is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}


def history(
    *, reasoning: Mapping[str, str] | None = None, arguments: str = '{"city": "Paris"}'
) -> list[dict[str, Any]]:
    """A turn with a call whose result is there."""
    made = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    return [
        {"role": "user", "content": "Is Paris warm?"},
        {"role": "assistant", "content": "", "tool_calls": [made], **(reasoning or {})},
        {"role": "tool", "tool_call_id": "call_1", "content": "24 degrees"},
    ]


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
GET_WEATHER = tool("get_weather", CITY)
NOW = tool("get_time", description="The present time.")
ADDRESS = {
    "type": "object",
    "properties": {
        "city": {"type": "object", "properties": {"name": {"type": "string"}, "zip": {"type": "integer"}}},
        "days": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["city", "days"],
}
COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}, "why": {"type": "string"}},
    "required": ["colour", "why"],
    "additionalProperties": False,
}
_LONG_CALL = call(f'{{"city": "{"Llanfairpwllgwyngyll" * 8}"}}')
_CALL = call('{"city": "Zürich"}')
_COLOUR_PROMPT = {"role": "user", "content": "Which colour do you like better, red or blue? Say why."}
_COUNT = {"role": "user", "content": "Count from 1 to 40 in digits, separated by blanks, and write nothing else."}
_PUZZLE = {
    "role": "user",
    "content": "How many of the numbers from 1 to 30 are divisible by 3 or by 7? Think it through.",
}


def _request(*messages: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), "max_tokens": MAX_TOKENS, **fields}


def _json_format(schema: Mapping[str, Any], *, strict: bool = True) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}


_STREAM = {"stream": True, "stream_options": {"include_usage": True}}

SITUATIONS: Mapping[str, Mapping[str, Any]] = {
    "plain": _request(say("pong")),
    "unicode": _request(say(UNICODE)),
    "puzzle": _request(_PUZZLE),
    "count": {"messages": [_COUNT]},
    "call": _request(_CALL, tools=[GET_WEATHER]),
    "call_unicode": _request(call('{"city": "青い 🌍"}'), tools=[GET_WEATHER]),
    "call_nested": _request(
        call('{"city": {"name": "Bern", "zip": 3000}, "days": [1, 2]}'), tools=[tool("get_weather", ADDRESS)]
    ),
    "call_empty": _request(call("{}", name="get_time"), tools=[NOW, GET_WEATHER]),
    "call_twice": _request(call('{"city": "Bern"}', '{"city": "Rome"}'), tools=[GET_WEATHER]),
    "forced": _request(say("hello"), tools=[GET_WEATHER], tool_choice="required"),
    "forced_name": _request(
        say("hello"), tools=[GET_WEATHER, NOW], tool_choice={"type": "function", "function": {"name": "get_time"}}
    ),
    "forbidden": _request(_CALL, tools=[GET_WEATHER], tool_choice="none"),
    "unneeded": _request(say("pong"), tools=[GET_WEATHER]),
    "schema": _request(_COLOUR_PROMPT, response_format=_json_format(COLOUR)),
    "schema_optional": _request(
        _COLOUR_PROMPT, response_format=_json_format({**COLOUR, "required": ["colour"]}, strict=False)
    ),
    "schema_refs": _request(
        _COLOUR_PROMPT,
        response_format=_json_format(
            {
                **COLOUR,
                "properties": {"colour": {"$ref": "#/$defs/colour"}, "why": {"type": "string"}},
                "$defs": {"colour": {"type": "string", "enum": ["red", "blue"]}},
            }
        ),
    ),
    "schema_tools": _request(_COLOUR_PROMPT, response_format=_json_format(COLOUR), tools=[GET_WEATHER]),
    "json_object": _request(
        {"role": "user", "content": 'Which colour do you like better? Answer as JSON: {"colour": ..., "why": ...}'},
        response_format={"type": "json_object"},
    ),
    "stream": _request(say(UNICODE), **_STREAM),
    "stream_puzzle": _request(_PUZZLE, **_STREAM),
    "stream_call": _request(_CALL, tools=[GET_WEATHER], **_STREAM),
    "stream_twice": _request(call('{"city": "Bern"}', '{"city": "Rome"}'), tools=[GET_WEATHER], **_STREAM),
    "stream_long": _request(_LONG_CALL, tools=[GET_WEATHER], **_STREAM),
    "cut": {"messages": [_COUNT], "max_tokens": 24},
    "cut_new_name": {"messages": [_COUNT], "max_completion_tokens": 24},
    "cut_reasoning": {"messages": [_PUZZLE], "max_tokens": 16},
    "cut_call": {
        "messages": [_LONG_CALL],
        "tools": [GET_WEATHER],
        "max_tokens": 90,
        "reasoning_effort": "low",
    },
    "stop": _request(_COUNT, stop=["7"]),
    "result": _request(*history(), tools=[GET_WEATHER]),
    **{f"effort_{effort}": _request(say("pong"), reasoning_effort=effort) for effort in ("low", "medium", "high")},
}

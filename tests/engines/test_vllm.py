"""The parser of harmony completions in vLLM, beside vLLM's own on the cases of vLLM's tests."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import motet
from tests.support.engine_modules import import_vllm
from tests.support.server_scripts import CALL, PLAIN

START = "<|start|>assistant"
HEADER = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>"


def call(recipient: str, arguments: str, channel: str = "commentary", content_type: str = " <|constrain|>json") -> str:
    return f"<|channel|>{channel} to={recipient}{content_type}<|message|>{arguments}<|call|>"


THOUGHT = "<|channel|>analysis<|message|>I think.<|end|>"
ANSWER = "<|channel|>final<|message|>4<|return|>"
WELL_FORMED = {
    "reasoning": THOUGHT,
    "content": ANSWER,
    "reasoning and content": THOUGHT + START + ANSWER,
    "two reasonings": THOUGHT + START + THOUGHT + START + ANSWER,
    "preamble and call": CALL,
    "call on analysis": call("functions.f", '{"a": "Tokyo"}', "analysis"),
    "line breaks in arguments": call("functions.f", '{\n"a": 1\n}'),
    "two calls": call("functions.f", '{"a": 1}') + START + call("functions.g", "{}"),
    "without content type": call("functions.f", '{"a": 1}', content_type=""),
    "not JSON": call("functions.f", "foo", content_type=""),
    "without arguments": call("functions.f", ""),
    "bare recipient": call("get_weather", '{"a": 1}'),
    "dotted recipient": call("math.sum", '{"a": 2}'),
    "recipient behind the role": " to=functions.f<|channel|>commentary json<|message|>{}<|call|>",
    "call and answer": THOUGHT + START + call("functions.f", "{}") + START + ANSWER,
    "built-in tool": call("python", "print(1)", "analysis", " code"),
    "built-in tool on commentary": call("browser.search", '{"q": "a"}') + START + ANSWER,
    "cut answer": THOUGHT + START + "<|channel|>final<|message|>I'm in the middle",
    "cut reasoning": "<|channel|>analysis<|message|>I'm in the middle",
    "cut preamble": "<|channel|>commentary<|message|>I'll search",
    "cut arguments": HEADER + '{"a": "To',
    "nothing": "",
    "other alphabets": PLAIN,
}


class Parsers(NamedTuple):
    ours: Any
    theirs: Any


class Request(NamedTuple):
    """What the parsers read of a request."""

    include_reasoning: bool = True


@pytest.fixture(scope="module")
def vllm() -> ModuleType:
    return import_vllm()


@pytest.fixture
def parsers(vllm: ModuleType, lent_vocabulary: Path) -> Parsers:
    from vllm.parser.parser_manager import ParserManager

    from motet.engines.vllm import register

    # vLLM loads plugins in each process, and may do so again.
    register()
    register()
    ours = ParserManager.get_parser("motet", "motet", enable_auto_tools=True, is_harmony=True)
    theirs = ours.__mro__[1]
    theirs.reasoning_parser_cls = ours.reasoning_parser_cls.__mro__[1]
    theirs.tool_parser_cls = ours.tool_parser_cls.__mro__[1]
    return Parsers(ours, theirs)


class Tokenizer:
    """The part of a tokenizer that the parsers use."""

    def decode(self, ids: list[int]) -> str:
        return motet.decode(ids)


def encode(text: str) -> list[int]:
    return motet.encode(text, special="token")


def plain(arguments: str) -> Any:
    """vLLM writes JSON arguments anew, motet leaves them as they are."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def parsed(kind: Any, text: str) -> Any:
    reasoning, content, calls = kind(Tokenizer()).parse("", Request(), True, encode(text))
    return reasoning, content, [(each.name, plain(each.arguments)) for each in calls or []]


def streamed(kind: Any, text: str, size: int, request: Any = None) -> Any:
    parser = kind(Tokenizer())
    ids, reasoning, content = encode(text), "", ""
    calls: dict[int, list[str]] = {}
    for start in range(0, max(len(ids), 1), size):
        finished = start + size >= len(ids)
        delta = parser.parse_delta("", ids[start : start + size], request or Request(), finished=finished)
        if delta is None:
            continue
        reasoning += delta.reasoning or ""
        content += delta.content or ""
        for each in delta.tool_calls:
            assert (each.id is None) == (each.function.name is None)
            call = calls.setdefault(each.index, [each.function.name, ""])
            call[1] += each.function.arguments or ""
    return reasoning, content, [(name, plain(arguments)) for name, arguments in calls.values()]


def test_names_select_the_parser(parsers: Parsers) -> None:
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    assert "motet" in ReasoningParserManager.list_registered()
    assert "motet" in ToolParserManager.list_registered()
    assert parsers.ours.__name__ == "MotetHarmonyParser"
    # Structural tags of tool calls stay vLLM's.
    assert parsers.ours.tool_parser_cls.structural_tag_model == "harmony"


@pytest.mark.parametrize("name", WELL_FORMED)
def test_complete_output_equals_that_of_vllm(parsers: Parsers, name: str) -> None:
    assert parsed(parsers.ours, WELL_FORMED[name]) == parsed(parsers.theirs, WELL_FORMED[name])


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("name", WELL_FORMED)
def test_stream_equals_that_of_vllm(parsers: Parsers, name: str, size: int) -> None:
    assert streamed(parsers.ours, WELL_FORMED[name], size) == streamed(parsers.theirs, WELL_FORMED[name], size)


@pytest.mark.parametrize("name", WELL_FORMED)
def test_reasoning_tokens_equal_those_of_vllm(parsers: Parsers, name: str) -> None:
    ids = encode(WELL_FORMED[name])
    counts = [kind(Tokenizer()).count_reasoning_tokens(ids) for kind in parsers]
    assert counts[0] == counts[1]


def test_arguments_stay_as_the_model_wrote_them(parsers: Parsers) -> None:
    _, _, calls = parsers.ours(Tokenizer()).parse("", Request(), True, encode(call("functions.f", '{"a":  "ü"}')))
    assert calls[0].arguments == '{"a":  "ü"}'


MALFORMED = {
    "header without its message marker": (
        THOUGHT + START + '<|channel|>final {"answer": "hi"}<|return|>',
        ("I think.", '{"answer": "hi"}', []),
    ),
    "word behind the channel": ("<|channel|>final Hello<|message|>Hi<|return|>", (None, "Hi", [])),
    "text before the first frame": ("Sure. " + ANSWER, (None, "Sure. \n4", [])),
    "no start between frames": (THOUGHT + ANSWER, ("I think.", "4", [])),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_output_is_repaired(parsers: Parsers, name: str) -> None:
    text, expected = MALFORMED[name]
    assert parsed(parsers.ours, text) == expected
    reasoning, content, calls = streamed(parsers.ours, text, 1)
    assert (reasoning, content, calls) == (expected[0] or "", expected[1].replace("\n", ""), expected[2])


def test_text_to_the_assistant_is_content(parsers: Parsers) -> None:
    text = call("assistant", "Some text", content_type="") + START + ANSWER
    assert parsed(parsers.ours, text) == (None, "Some text\n4", [])
    # vLLM drops it.
    assert parsed(parsers.theirs, text) == (None, "4", [])


def test_parser_is_ready_for_another_turn(parsers: Parsers) -> None:
    parser = parsers.ours(Tokenizer())
    ids = encode(call("functions.f", "{}"))
    for _ in range(2):
        delta = parser.parse_delta("", ids, Request(), finished=True)
        assert [(each.index, each.function.name) for each in delta.tool_calls] == [(0, "f")]


def test_reasoning_is_left_out_on_request(parsers: Parsers) -> None:
    assert streamed(parsers.ours, THOUGHT + START + ANSWER, 1, Request(include_reasoning=False)) == ("", "4", [])


def test_damaged_tool_name_is_that_of_a_tool(parsers: Parsers) -> None:
    class Function(NamedTuple):
        name: str

    class Tool(NamedTuple):
        function: Function

    parser = parsers.ours(Tokenizer(), [Tool(Function("get_weather"))])
    _, _, calls = parser.parse("", Request(), True, encode(call("functions.get_weather<|channel|>commentary", "{}")))
    assert calls[0].name == "get_weather"

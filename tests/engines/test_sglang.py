"""SGLang's detectors for gpt-oss with motet's hooks, in SGLang's own parser and hook modules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.engine_modules import import_sglang
from tests.support.server_scripts import ANSWER, CALL, PLAIN, THOUGHT, WEATHER

START = "<|start|>assistant"
SECOND = '<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{"zone": "UTC"}<|call|>'


class Sglang(NamedTuple):
    reasoning: Any
    tools: Any
    known_tools: list[Any]


@pytest.fixture
def sglang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sglang]:
    import_sglang()
    from sglang.srt.entrypoints.openai.protocol import Tool
    from sglang.srt.function_call.function_call_parser import FunctionCallParser
    from sglang.srt.function_call.gpt_oss_detector import GptOssDetector as ToolDetector
    from sglang.srt.parser.reasoning_parser import GptOssDetector, ReasoningParser
    from sglang.srt.plugins.hook_registry import HookRegistry

    from motet.engines.sglang import register

    originals = [(kind, dict(vars(kind))) for kind in (ToolDetector, GptOssDetector)]
    register()
    assert not HookRegistry._hooks, "the plugin is active only where SGLANG_PLUGINS names it"
    monkeypatch.setenv("SGLANG_PLUGINS", "other, motet")
    register()
    HookRegistry.apply_hooks()
    time = {"type": "function", "function": {**WEATHER["function"], "name": "get_time"}}  # type: ignore[dict-item]
    yield Sglang(ReasoningParser, FunctionCallParser, [Tool(**WEATHER), Tool(**time)])
    HookRegistry.reset()
    for kind, members in originals:
        for name in set(vars(kind)) - set(members):
            delattr(kind, name)
        for name in ("detect_and_parse", "parse_streaming_increment", "has_tool_call"):
            if name in members:
                setattr(kind, name, members[name])


def parsed(sglang: Sglang, text: str) -> tuple[str, str, list[tuple[str, Any]]]:
    """What SGLang makes of a complete text: the reasoning parser first, then the parser of calls."""
    reasoning, rest = sglang.reasoning("gpt-oss").parse_non_stream(text)
    rest, calls = sglang.tools(sglang.known_tools, "gpt-oss").parse_non_stream(rest)
    return reasoning, rest, [(call.name, json.loads(call.parameters)) for call in calls]


def streamed(sglang: Sglang, text: str, size: int) -> tuple[str, str, list[tuple[str, Any]]]:
    """What SGLang makes of chunks."""
    reasoning_parser, tool_parser = sglang.reasoning("gpt-oss"), sglang.tools(sglang.known_tools, "gpt-oss")
    reasoning, rest = "", ""
    calls: dict[int, list[str]] = {}

    def add(parts: tuple[str, list[Any]]) -> str:
        for item in parts[1]:
            known = calls.setdefault(item.tool_index, [item.name, ""])
            known[1] += item.parameters
        return parts[0]

    for start in range(0, len(text), size):
        added, normal = reasoning_parser.parse_stream_chunk(text[start : start + size])
        reasoning += added
        rest += add(tool_parser.parse_stream_chunk(normal)) if normal else ""
    added, normal = reasoning_parser.parse_stream_end()
    reasoning += added
    rest += add(tool_parser.parse_stream_chunk(normal)) if normal else ""
    rest += add(tool_parser.parse_stream_end())
    assert [each["arguments"] for each in tool_parser.detector.prev_tool_call_arr] == [
        call[1] for call in calls.values()
    ]
    return reasoning, rest, [(name, json.loads(arguments)) for name, arguments in calls.values()]


CASES = {
    "answer": (PLAIN, (THOUGHT, ANSWER, [])),
    "call": (CALL, ("I need the weather.", "Let me look.", [("get_weather", {"city": "Zürich"})])),
    "two calls": (
        CALL + START + SECOND,
        ("I need the weather.", "Let me look.", [("get_weather", {"city": "Zürich"}), ("get_time", {"zone": "UTC"})]),
    ),
    "cut reasoning": ("<|channel|>analysis<|message|>I'm in the", ("I'm in the", "", [])),
    "call on analysis": (SECOND.replace("commentary", "analysis"), ("", "", [("get_time", {"zone": "UTC"})])),
    "recipient behind the role": (
        ' to=functions.get_time<|channel|>commentary <|constrain|>json<|message|>{"zone": "UTC"}<|call|>',
        ("", "", [("get_time", {"zone": "UTC"})]),
    ),
    "without content type": (SECOND.replace(" <|constrain|>json", ""), ("", "", [("get_time", {"zone": "UTC"})])),
    "no start between frames": (
        "<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>4",
        ("Hm.", "4", []),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_complete_text_is_parsed(sglang: Sglang, name: str) -> None:
    text, expected = CASES[name]
    assert parsed(sglang, text) == expected


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", CASES)
def test_stream_gives_the_same(sglang: Sglang, name: str, size: int) -> None:
    text, expected = CASES[name]
    assert streamed(sglang, text, size) == expected


def test_plain_text_of_the_answer_is_not_held_back(sglang: Sglang) -> None:
    parser = sglang.tools(sglang.known_tools, "gpt-oss")
    assert [parser.parse_stream_chunk(word)[0] for word in ("The ", "sky ", "is blue.")] == ["The ", "sky ", "is blue."]


def test_unknown_tools_are_left_out_as_sglang_does(sglang: Sglang) -> None:
    unknown = SECOND.replace("get_time", "drop_tables")
    assert parsed(sglang, unknown)[2] == []
    assert streamed(sglang, unknown, 5)[2] == []


def test_calls_are_found_without_a_reasoning_parser(sglang: Sglang) -> None:
    rest, calls = sglang.tools(sglang.known_tools, "gpt-oss").parse_non_stream(CALL)
    assert (rest, [call.name for call in calls]) == ("Let me look.", ["get_weather"])

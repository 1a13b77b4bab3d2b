"""SGLang's parser of gpt-oss on motet's core: `SGLANG_PLUGINS=motet python -m sglang.launch_server ...`.

`register` is the entry point that SGLang calls in each of its processes. SGLang accepts the names of its own parsers
only, so the plugin hooks the methods of the two detectors named `gpt-oss`, and does so only where `SGLANG_PLUGINS`
names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from motet import _core
from motet._core import Event

__all__ = ["register"]

NAME = "motet"
REASONING = "sglang.srt.parser.reasoning_parser.GptOssDetector"
TOOLS = "sglang.srt.function_call.gpt_oss_detector.GptOssDetector"


def register() -> None:
    """Hooks the detectors, if `SGLANG_PLUGINS` names `motet`."""
    names = os.environ.get("SGLANG_PLUGINS", "").split(",")
    if NAME not in [name.strip() for name in names]:
        return
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    for target, replacement in HOOKS.items():
        HookRegistry.register(target, replacement, HookType.REPLACE)


class _ReasoningStream:
    """Splits the text of a completion into reasoning and the rest. Calls stay in the rest, as harmony, for the detector
    of tool calls."""

    def __init__(self) -> None:
        # SGLang keeps markers in the text for these detectors, so that text without them has lost none.
        self._parser = _core.StreamParser(stripped="never")

    def feed(self, text: str) -> tuple[str, str]:
        """Reasoning and the rest that a chunk adds."""
        return self._read(self._parser.feed(text))

    def close(self) -> tuple[str, str]:
        """What was held back."""
        events = self._parser.close()
        self._parser.reset()
        return self._read(events)

    @staticmethod
    def _read(events: Iterable[Event]) -> tuple[str, str]:
        reasoning, rest = "", ""
        for event in events:
            if event.kind == "reasoning":
                reasoning += event.delta
            elif event.kind in ("text", "preamble"):
                rest += event.delta
            elif event.kind == "tool_call":
                rest += _call_text(event)
        return reasoning, rest


def _call_text(event: Event) -> str:
    """An event of a call as harmony."""
    marker = _core.MARKERS
    if event.type == "start":
        header = f"{marker['channel']}commentary to={event.recipient} {marker['constrain']}json"
        return f"{marker['start']}assistant{header}{marker['message']}"
    return marker["call"] if event.type == "end" and event.stop is not None else event.delta


class _ToolStream:
    """Splits text into the calls in it and the rest. Reasoning, if it was not split off before, is left out."""

    def __init__(self, tools: Sequence[Any]) -> None:
        from sglang.srt.environ import envs

        self._names = [tool.function.name for tool in tools if tool.function.name]
        self._passes_unknown = bool(envs.SGLANG_FORWARD_UNKNOWN_TOOLS.get())
        self._parser: _core.StreamParser | None = None
        self._numbers: dict[int, int] = {}
        """Numbers of the calls by the index of their frame."""

    def feed(self, text: str) -> tuple[str, list[tuple[int, str | None, str]]]:
        """The rest that a chunk adds, and what it adds to calls: number, name at a call's start, arguments."""
        if self._parser is None:
            # What a reasoning parser leaves begins as plain text, which would be held back as a possible header.
            is_harmony = text.startswith(("<", " to"))
            opened = None if is_harmony else f"{_core.MARKERS['channel']}final{_core.MARKERS['message']}"
            self._parser = _core.StreamParser(tools=self._names, stripped="never", opened=opened)
        return self._read(self._parser.feed(text))

    def close(self) -> tuple[str, list[tuple[int, str | None, str]]]:
        """What was held back."""
        return ("", []) if self._parser is None else self._read(self._parser.close())

    def _read(self, events: Iterable[Event]) -> tuple[str, list[tuple[int, str | None, str]]]:
        rest = ""
        calls: list[tuple[int, str | None, str]] = []
        for event in events:
            if event.kind in ("text", "preamble"):
                rest += event.delta
            elif event.kind == "tool_call" and event.type == "start":
                if event.name in self._names or self._passes_unknown:
                    self._numbers[event.index] = len(self._numbers)
                    calls.append((self._numbers[event.index], event.name, ""))
            elif event.kind == "tool_call" and event.type == "delta" and event.index in self._numbers:
                calls.append((self._numbers[event.index], None, event.delta))
        return rest, calls


# Replacements of methods: `detector` is their `self`.


def parse_reasoning(detector: Any, text: str) -> Any:
    """Reasoning and the rest of a complete text."""
    stream = _ReasoningStream()
    parts = [stream.feed(text), stream.close()]
    return detector._maybe_apply_force_nonempty_content(_reasoning_result(parts))


def stream_reasoning(detector: Any, new_text: str) -> Any:
    """Reasoning and the rest that a chunk adds."""
    return _reasoning_result([_stream_of(detector, _ReasoningStream).feed(new_text)])


def finish_reasoning(detector: Any) -> Any:
    """What was held back."""
    return _reasoning_result([_stream_of(detector, _ReasoningStream).close()])


def has_tool_call(detector: Any, text: str) -> bool:
    """True if the text has a call, complete or not."""
    return bool(_core.parse(text, stripped="never").tool_calls)


def parse_tools(detector: Any, text: str, tools: Sequence[Any]) -> Any:
    """The calls of a complete text, and the rest."""
    stream = _ToolStream(tools)
    parts = [stream.feed(text), stream.close()]
    calls: dict[int, list[str]] = {}
    for number, name, arguments in [call for _, added in parts for call in added]:
        calls.setdefault(number, [name or "", ""])[1] += arguments
    items = [(number, name, arguments) for number, (name, arguments) in calls.items()]
    return _tool_result("".join([rest for rest, _ in parts]).strip(), items)


def stream_tools(detector: Any, new_text: str, tools: Sequence[Any]) -> Any:
    """What a chunk adds to calls, and to the rest."""
    rest, calls = _stream_of(detector, lambda: _ToolStream(tools)).feed(new_text)
    _track(detector, calls)
    return _tool_result(rest, calls)


def finish_tools(detector: Any, tools: Sequence[Any]) -> Any:
    """What was held back."""
    rest, calls = _stream_of(detector, lambda: _ToolStream(tools)).close()
    _track(detector, calls)
    return _tool_result(rest, calls)


def _stream_of(detector: Any, make: Any) -> Any:
    """The stream of a detector, which SGLang makes for each request."""
    if not hasattr(detector, "_motet_stream"):
        detector._motet_stream = make()
    return detector._motet_stream


def _track(detector: Any, calls: Iterable[tuple[int, str | None, str]]) -> None:
    """Keeps the lists from which SGLang tells that there were calls, and that all of their arguments were sent."""
    for number, name, arguments in calls:
        if name is not None:
            detector.prev_tool_call_arr.append({"name": name, "arguments": ""})
            detector.streamed_args_for_tool.append("")
            detector.current_tool_id = number
        detector.streamed_args_for_tool[number] += arguments
        detector.prev_tool_call_arr[number]["arguments"] += arguments


def _reasoning_result(parts: Iterable[tuple[str, str]]) -> Any:
    from sglang.srt.parser.reasoning_parser import StreamingParseResult

    reasoning, rest = zip(*parts, strict=True)
    return StreamingParseResult(normal_text="".join(rest), reasoning_text="".join(reasoning))


def _tool_result(rest: str, calls: Iterable[tuple[int, str | None, str]]) -> Any:
    from sglang.srt.function_call.core_types import StreamingParseResult, ToolCallItem

    items = [ToolCallItem(tool_index=number, name=name, parameters=arguments) for number, name, arguments in calls]
    return StreamingParseResult(normal_text=rest, calls=items)


HOOKS = {
    f"{REASONING}.detect_and_parse": parse_reasoning,
    f"{REASONING}.parse_streaming_increment": stream_reasoning,
    f"{REASONING}.finish": finish_reasoning,
    f"{TOOLS}.has_tool_call": has_tool_call,
    f"{TOOLS}.detect_and_parse": parse_tools,
    f"{TOOLS}.parse_streaming_increment": stream_tools,
    f"{TOOLS}.finish": finish_tools,
}

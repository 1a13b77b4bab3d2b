"""The parser of harmony completions for vLLM's chat endpoint, and the two names that select it.

vLLM parses the completions of gpt-oss with a class of its own, whatever its registries say, and looks this class up
when a server composes its parser. Importing this module, which happens only where a parser named `motet` is selected,
puts `MotetHarmonyParser` in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vllm.entrypoints.generate.base.protocol import DeltaFunctionCall, DeltaMessage, DeltaToolCall, FunctionCall
from vllm.entrypoints.openai.parser.harmony_utils import is_function_recipient
from vllm.parser import harmony
from vllm.reasoning.gptoss_reasoning_parser import GptOssReasoningParser
from vllm.renderers.chat_utils import make_tool_call_id
from vllm.tool_parsers.gptoss_tool_parser import GptOssToolParser

from motet import _core
from motet._core import Event
from motet.message import Frame, Preamble, Reasoning, Text, ToolCall

__all__ = ["MotetHarmonyParser", "MotetReasoningParser", "MotetToolParser"]


class MotetReasoningParser(GptOssReasoningParser):
    """Selects `MotetHarmonyParser`, which then returns reasoning."""


class MotetToolParser(GptOssToolParser):
    """Selects `MotetHarmonyParser`, which then returns tool calls. Its structural tags are vLLM's."""


class MotetHarmonyParser(harmony.HarmonyParser):
    """vLLM's parser of harmony completions, on motet's core: deviations from the format are repaired, where vLLM's
    drops the tokens that it does not expect.

    `parse` and `parse_delta`, of the chat endpoint, are motet's. `process_chunk` and `flush`, of the Responses
    endpoint, return openai-harmony's messages and are vLLM's own.
    """

    def __init__(self, tokenizer: Any, tools: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, tools, *args, **kwargs)
        self._tool_names = list(_tool_names(tools or ()))
        self._stream = _core.StreamParser(tools=self._tool_names)
        self._numbers: dict[int, int] = {}
        """Numbers of the streamed calls by the index of their frame."""

    def parse(
        self,
        model_output: str,
        request: Any,
        enable_auto_tools: bool = False,
        model_output_token_ids: Sequence[int] = (),
    ) -> tuple[str | None, str | None, list[FunctionCall] | None]:
        """Reasoning, content and calls of a complete output. Arguments are as the model wrote them."""
        completion = _core.parse(list(model_output_token_ids), tools=self._tool_names)
        reasoning: list[str] = []
        content: list[str] = []
        calls: list[FunctionCall] = []
        for part in completion.message.content:
            if isinstance(part, ToolCall):
                if _is_function(part.recipient):
                    calls.append(FunctionCall(name=part.name, arguments=part.arguments))
                elif part.channel == "analysis" and part.arguments:
                    reasoning.append(part.arguments)
            elif isinstance(part, Reasoning):
                reasoning.append(part.text)
            elif isinstance(part, Preamble | Text):
                content.append(part.text)
        if not self.reasoning_parser:
            reasoning.clear()
        if not self.tool_parser:
            calls.clear()
        return _joined(reasoning), _joined(content), calls or None

    def parse_delta(
        self,
        delta_text: str,
        delta_token_ids: list[int],
        request: Any,
        prompt_token_ids: list[int] | None = None,
        *,
        finished: bool,
    ) -> DeltaMessage | None:
        """What the tokens add to the message. `None`: nothing. After `finished`, another turn may follow."""
        events = self._stream.feed(delta_token_ids)
        if finished:
            events += self._stream.close()
        reasoning, content = "", ""
        calls: list[DeltaToolCall] = []
        for event in events:
            if event.kind == "tool_call" and _is_function(event.recipient):
                self._add_call(event, calls)
            elif event.type == "delta" and _is_reasoning(event):
                reasoning += event.delta
            elif event.type == "delta" and event.kind in ("text", "preamble"):
                content += event.delta
        if finished:
            self._stream.reset()
            self._numbers.clear()
        if not self.reasoning_parser or not request.include_reasoning:
            reasoning = ""
        if not (reasoning or content or calls):
            return None
        fields = {"reasoning": reasoning, "content": content, "tool_calls": calls}
        return DeltaMessage(**{name: value for name, value in fields.items() if value})

    def _add_call(self, event: Event, calls: list[DeltaToolCall]) -> None:
        """Adds an event of a call; the arguments that arrive together are one delta."""
        if not self.tool_parser:
            return
        if event.type == "start":
            number = self._numbers[event.index] = len(self._numbers)
            function = DeltaFunctionCall(name=event.name, arguments="")
            calls.append(DeltaToolCall(id=make_tool_call_id(), type="function", index=number, function=function))
        elif event.type == "delta":
            number = self._numbers[event.index]
            if not calls or calls[-1].index != number:
                calls.append(DeltaToolCall(index=number, function=DeltaFunctionCall(arguments="")))
            calls[-1].function.arguments += event.delta

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        """Tokens of the reasoning and, as vLLM counts, of the calls on the commentary channel; headers and markers
        apart."""
        completion = _core.parse(list(token_ids), tools=self._tool_names)
        return completion.tokens["analysis"] + sum(map(_call_tokens, completion.frames))


def _call_tokens(frame: Frame) -> int:
    return _core.count(frame.content) if frame.channel == "commentary" and frame.recipient else 0


def _joined(texts: Iterable[str]) -> str | None:
    return "\n".join([text for text in texts if text]) or None


def _is_reasoning(event: Event) -> bool:
    """True also for calls of built-in tools on the analysis channel, which vLLM returns as reasoning."""
    return event.kind == "reasoning" or (event.kind == "tool_call" and event.channel == "analysis")


def _is_function(recipient: str | None) -> bool:
    """False for gpt-oss's built-in tools, which the chat endpoint does not return."""
    return recipient is not None and is_function_recipient(recipient)


def _tool_names(tools: Iterable[Any]) -> Iterable[str]:
    """The names of a request's tools, in the form of the Chat or the Responses API."""
    for tool in tools:
        name = getattr(getattr(tool, "function", tool), "name", None)
        if isinstance(name, str):
            yield name


harmony.HarmonyParser = MotetHarmonyParser

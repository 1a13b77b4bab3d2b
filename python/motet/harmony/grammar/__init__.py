"""Grammars of one completion for engines that constrain decoding: Lark, GBNF, or a structural tag.

A grammar is one tree of rules with three printers. It allows less than strict parsing: a call has one of the tools as
its recipient, a frame has a channel, and the completion ends with an answer or a call, as sampling does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, overload

from motet._core import MARKERS, SPECIAL_TOKENS, parse
from motet.harmony import Tools, render
from motet.harmony.grammar.answer import answer_node
from motet.harmony.grammar.completion import StopTokens, call_nodes, choose_calls, chosen_name, completion_rules
from motet.harmony.grammar.gbnf import to_gbnf
from motet.harmony.grammar.lark import to_lark
from motet.harmony.grammar.nodes import Concatenation
from motet.harmony.grammar.structural_tag import to_structural_tag
from motet.message import Frame
from motet.schema.builtin_functions import BuiltinTool

__all__ = ["grammar"]

Format: TypeAlias = Literal["lark", "gbnf", "structural_tag"]

_MARKERS = tuple(MARKERS.values())

# Stop tokens that the usual engine of each form adds after a complete grammar, and cannot match within one. xgrammar
# reads `return` from gpt-oss's tokenizer, llama.cpp has both; llguidance matches them in the grammar.
_ENGINE_ENDS: dict[str, tuple[str, ...]] = {
    "lark": (),
    "gbnf": (MARKERS["return"], MARKERS["call"]),
    "structural_tag": (MARKERS["return"],),
}
# xgrammar adds the tokens at which the request stops, too, where the server tells it: vLLM 0.33 and SGLang do, and
# earlier vLLM does not.
_OPTIONAL_ENDS: dict[str, tuple[str, ...]] = {"structural_tag": (MARKERS["call"],)}


@overload
def grammar(
    tools: Tools = ...,
    *,
    builtin_tools: Iterable[BuiltinTool] = ...,
    tool_choice: str | Mapping[str, Any] = ...,
    parallel_calls: bool = ...,
    reasoning: bool = ...,
    response_format: Mapping[str, Any] | None = ...,
    output: Mapping[str, Any] | None = ...,
    opened: str | None = ...,
    role: Literal["assistant"] | None = ...,
    quoting: bool = ...,
    eos: Iterable[int] | None = ...,
    format: Literal["lark", "gbnf"] = ...,
) -> str: ...
@overload
def grammar(
    tools: Tools = ...,
    *,
    builtin_tools: Iterable[BuiltinTool] = ...,
    tool_choice: str | Mapping[str, Any] = ...,
    parallel_calls: bool = ...,
    reasoning: bool = ...,
    response_format: Mapping[str, Any] | None = ...,
    output: Mapping[str, Any] | None = ...,
    opened: str | None = ...,
    role: Literal["assistant"] | None = ...,
    quoting: bool = ...,
    eos: Iterable[int] | None = ...,
    format: Literal["structural_tag"],
) -> dict[str, Any]: ...
def grammar(
    tools: Tools = (),
    *,
    builtin_tools: Iterable[BuiltinTool] = (),
    tool_choice: str | Mapping[str, Any] = "auto",
    parallel_calls: bool = False,
    reasoning: bool = True,
    response_format: Mapping[str, Any] | None = None,
    output: Mapping[str, Any] | None = None,
    opened: str | None = None,
    role: Literal["assistant"] | None = "assistant",
    quoting: bool = True,
    eos: Iterable[int] | None = None,
    format: Format = "lark",
) -> str | dict[str, Any]:
    """The grammar of a completion, from where the prompt ends.

    - `tools`, `builtin_tools`, `response_format`: as in `render`. Arguments follow the schema of their tool, answers
      that of the response format, as far as the form can express it.
    - `tool_choice`: `"auto"`, an answer or a call; `"none"`, an answer; `"required"`, a call; the name of the tool to
      call, or the dict that the APIs take, `{"type": "function", "function": {"name": ...}}`.
    - `parallel_calls`: True allows further frames after a call. Sampling usually ends there.
    - `reasoning`: True allows reasoning first.
    - `output`: what an answer is in place of a `response_format`, as a dict with one key: `{"json": schema}`,
      `{"json_object": True}`, `{"regex": "[0-9]+"}`, `{"choice": ["yes", "no"]}`, or `{"grammar": text}` in Lark for
      the form `lark` and in GBNF for the others. A text matches a regular expression as a whole.
    - `role`, `opened`: as in `parse`: the role and the header with which the prompt ends, up to `<|message|>`.
      `role=None`: the prompt ends before `<|start|>`.
    - `quoting`: True allows contents to spell markers in ordinary tokens, as an answer about this format does. False
      excludes spellings that a text parser could read as structure; the strings in JSON arguments are the engine's.
      GBNF matches characters and never allows it.
    - `eos`: the ids that the engine takes for the end of a sequence, which are left out at the end of the grammar.
      `None`: those of the usual engine, none in Lark, `<|return|>` and `<|call|>` in GBNF, `<|return|>` in tags, where
      `<|call|>` is optional.
    - `format`: `"lark"`, text for llguidance; `"gbnf"`, text for llama.cpp and xgrammar; `"structural_tag"`, a dict for
      xgrammar 0.2 and servers with it.

    Raises `RenderError` for tools that cannot be rendered, and `ValueError` for contradictory arguments.
    """
    if format not in _ENGINE_ENDS:
        raise ValueError(f"format must be one of {', '.join(_ENGINE_ENDS)}, not {format!r}")
    tools, builtin_tools = list(tools), list(builtin_tools)
    # Rendering refuses tools and formats that a prompt cannot contain.
    render([], tools=tools, builtin_tools=builtin_tools, response_format=response_format)
    stops = _stops(format) if eos is None else StopTokens(set(eos), set())
    choice = chosen_name(tool_choice)
    calls = choose_calls(call_nodes(tools, builtin_tools), choice)
    if parallel_calls and calls and stops.node(MARKERS["call"]) == Concatenation(()):
        raise ValueError("parallel_calls: frames cannot follow <|call|> if eos says that it ends the sequence")
    answer = answer_node(response_format, output, format)
    allows_answer = choice in ("auto", "none")
    rules = completion_rules(
        calls,
        answer if allows_answer else None,
        stops,
        parallel_calls,
        reasoning,
        None if opened is None else _opened_frame(opened),
        role is not None,
    )
    if format == "lark":
        return to_lark(rules, _MARKERS, quoting=quoting)
    if format == "gbnf":
        return to_gbnf(rules, _MARKERS)
    return to_structural_tag(rules, _MARKERS, quoting=quoting)


def _stops(format: Format) -> StopTokens:
    eos, optional = _ENGINE_ENDS[format], _OPTIONAL_ENDS.get(format, ())
    return StopTokens({SPECIAL_TOKENS[end] for end in eos}, {SPECIAL_TOKENS[end] for end in optional})


def _opened_frame(opened: str) -> Frame:
    """The frame that a prompt leaves open."""
    frames = parse("", opened=opened).frames
    if not frames:
        raise ValueError(f"opened must be a channel or a header up to {MARKERS['message']}, not {opened!r:.200}")
    return frames[0]

"""The grammar of one completion, for engines that constrain decoding: Lark, GBNF, or a structural tag.

A grammar is built once, from the few nodes below; three writers print it. What they take is also what strict parsing
takes without a remark, but not all of it: a call goes to one of the tools, a frame has its channel, and the completion
ends as sampling does, with an answer or a call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

from motet._core import SPECIAL_TOKENS
from motet.harmony import Tools, read_response_format, render
from motet.harmony.grammar.gbnf import Rules, literal
from motet.message import Message, ToolCall

__all__ = ["grammar"]

Format: TypeAlias = Literal["lark", "gbnf", "structural_tag"]

_START, _END, _MESSAGE, _CHANNEL = "<|start|>", "<|end|>", "<|message|>", "<|channel|>"
_CONSTRAIN, _RETURN, _CALL = "<|constrain|>", "<|return|>", "<|call|>"
_MARKERS = (_START, _END, _MESSAGE, _CHANNEL, _CONSTRAIN, _RETURN, _CALL, "<|endoftext|>")

# The stop tokens that the engine of each form takes for the end of a sequence: it puts them behind a grammar that is
# done, and does not find them in one. xgrammar reads <|return|> from gpt-oss's tokenizer; llama.cpp knows both;
# llguidance finds them in the grammar all the same.
_ENGINE_ENDS: dict[str, tuple[str, ...]] = {
    "lark": (),
    "gbnf": (_RETURN, _CALL),
    "structural_tag": (_RETURN,),
}

# As gpt-oss's prompt describes the browser.
_BROWSER: dict[str, dict[str, Any]] = {
    "browser.search": {
        "properties": {"query": {"type": "string"}, "topn": {"type": "number"}, "source": {"type": "string"}},
        "required": ["query"],
    },
    "browser.open": {
        "properties": {
            "id": {"type": ["number", "string"]},
            "cursor": {"type": "number"},
            "loc": {"type": "number"},
            "num_lines": {"type": "number"},
            "view_source": {"type": "boolean"},
            "source": {"type": "string"},
        },
    },
    "browser.find": {
        "properties": {"pattern": {"type": "string"}, "cursor": {"type": "number"}},
        "required": ["pattern"],
    },
}


@dataclass(frozen=True, slots=True)
class _Plain:
    """Text that stands there as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class _Mark:
    spelling: str


@dataclass(frozen=True, slots=True)
class _Text:
    """Any text without a marker."""


@dataclass(frozen=True, slots=True)
class _Json:
    schema: Any
    name: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """Another rule of the grammar."""

    name: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One behind the other."""

    nodes: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Either:
    nodes: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Maybe:
    node: _Node


@dataclass(frozen=True, slots=True)
class _Many:
    """Any number of times."""

    node: _Node


_Blank = _Maybe(_Plain(" "))

_Node: TypeAlias = _Plain | _Mark | _Text | _Json | _Rule | _Row | _Either | _Maybe | _Many
_Rules: TypeAlias = dict[str, _Node]


@overload
def grammar(
    tools: Tools = ...,
    *,
    builtin_tools: Iterable[Literal["browser", "python"]] = ...,
    tool_choice: str = ...,
    parallel_calls: bool = ...,
    reasoning: bool = ...,
    response_format: Mapping[str, Any] | None = ...,
    quoting: bool = ...,
    eos: Iterable[int] | None = ...,
    format: Literal["lark", "gbnf"] = ...,
) -> str: ...
@overload
def grammar(
    tools: Tools = ...,
    *,
    builtin_tools: Iterable[Literal["browser", "python"]] = ...,
    tool_choice: str = ...,
    parallel_calls: bool = ...,
    reasoning: bool = ...,
    response_format: Mapping[str, Any] | None = ...,
    quoting: bool = ...,
    eos: Iterable[int] | None = ...,
    format: Literal["structural_tag"],
) -> dict[str, Any]: ...
def grammar(
    tools: Tools = (),
    *,
    builtin_tools: Iterable[Literal["browser", "python"]] = (),
    tool_choice: str = "auto",
    parallel_calls: bool = False,
    reasoning: bool = True,
    response_format: Mapping[str, Any] | None = None,
    quoting: bool = True,
    eos: Iterable[int] | None = None,
    format: Format = "lark",
) -> str | dict[str, Any]:
    """The grammar of what a model may write behind a prompt that ends with `<|start|>assistant`.

    - `tools`, `builtin_tools`, `response_format`: as in `render`. Arguments follow the schema of their tool, answers
      that of the response format, as far as the form can say it.
    - `tool_choice`: `"auto"`, an answer or a call; `"none"`, an answer; `"required"`, a call; or the name of the tool
      that is to be called.
    - `parallel_calls`: whether frames may follow a call. Usually sampling ends there.
    - `reasoning`: whether the model may think first.
    - `quoting`: whether contents may spell markers in ordinary tokens, as an answer about this format does. `False`
      takes from texts what a reader of text could take for structure; the strings in JSON arguments are the
      engine's. GBNF, which knows no tokens, never allows it.
    - `eos`: the ids that the engine takes for the end of a sequence: they are left out at the end of the grammar.
      `None`: as its usual engine has it, none in Lark, `<|return|>` and `<|call|>` in GBNF, `<|return|>` in tags.
    - `format`: `"lark"` gives the text that llguidance reads, `"gbnf"` that of llama.cpp (xgrammar reads it, too),
      `"structural_tag"` the dict that xgrammar 0.2 and servers with it read.

    Raises `RenderError` for tools that could not be rendered, and `ValueError` for what cannot be.
    """
    if format not in _ENGINE_ENDS:
        raise ValueError(f"format must be one of {', '.join(_ENGINE_ENDS)}, not {format!r}")
    tools, builtin_tools = list(tools), list(builtin_tools)
    # What cannot stand in a prompt is refused as it is refused there.
    render([], tools=tools, builtin_tools=builtin_tools, response_format=response_format)
    ids = {SPECIAL_TOKENS[end] for end in _ENGINE_ENDS[format]} if eos is None else set(eos)
    ends = _Ends(ids)
    calls = _chosen(_calls(tools, builtin_tools), tool_choice)
    if parallel_calls and calls and ends.of(_CALL) == _Row(()):
        raise ValueError("parallel_calls: frames cannot follow <|call|> if eos says that it ends the sequence")
    answer = tool_choice in ("auto", "none")
    schema = read_response_format(response_format)
    rules = _completion(calls, answer and (schema[2] if schema else _Text()), ends, parallel_calls, reasoning)
    if format == "lark":
        return _lark(rules, quoting)
    if format == "gbnf":
        return _gbnf(rules)
    return {"type": "structural_tag", "format": _tag(rules["start"], rules, quoting)}


class _Ends:
    """Stop tokens at the end of the grammar, but for those that the engine puts there."""

    def __init__(self, eos: set[int]) -> None:
        self._eos = eos

    def of(self, marker: str) -> _Node:
        return _Row(()) if SPECIAL_TOKENS[marker] in self._eos else _Mark(marker)


def _calls(tools: Sequence[str | Mapping[str, Any]], builtin_tools: Iterable[str]) -> dict[str, _Node]:
    """For each tool by name the frame of its call, up to the stop token."""
    calls: dict[str, _Node] = {}
    for tool in tools:
        fields = {"name": tool} if isinstance(tool, str) else tool.get("function", tool)
        name = fields["name"].removeprefix("functions.")
        schema = fields.get("parameters") or {"type": "object"}
        calls[name] = _call(_recipient(name), ("commentary",), "json-type", _Json(schema, f"arguments-{len(calls)}"))
    own = ("analysis", "commentary")
    for builtin in builtin_tools:
        if builtin == "python":
            calls["python"] = _call("python", own, "code-type", _Text())
            continue
        for name, schema in _BROWSER.items():
            arguments = _Json({"type": "object", **schema}, f"arguments-{len(calls)}")
            calls[name] = _call(name, own, "builtin-type", arguments)
    return calls


def _recipient(name: str) -> str:
    """How a call of this tool is addressed: the core says it."""
    frame = render([Message("assistant", (ToolCall(name, "{}"),))], next_role=None).frames[-1]
    assert frame.recipient is not None
    return frame.recipient


def _call(recipient: str, channels: tuple[str, ...], content_type: str, arguments: _Node) -> _Node:
    to, channel = _Plain(f" to={recipient}"), _Either(tuple([_Plain(name) for name in channels]))
    places = _Either((_Row((to, _Mark(_CHANNEL), channel)), _Row((_Mark(_CHANNEL), channel, to))))
    return _Row((places, _Maybe(_Rule(content_type)), _Mark(_MESSAGE), arguments))


def _content_type(*names: str) -> _Node:
    name = _Either(tuple([_Plain(name) for name in names]))
    return _Either((_Row((_Plain(" "), name)), _Row((_Blank, _Mark(_CONSTRAIN), _Blank, name))))


# Behind a blank or a marker; the marker with blanks around it, as models write it.
_TYPES: _Rules = {
    "json-type": _content_type("json"),
    "code-type": _content_type("code"),
    "builtin-type": _content_type("json", "code"),
}


def _chosen(calls: dict[str, _Node], choice: str) -> dict[str, _Node]:
    if choice == "none":
        return {}
    if choice in ("auto", "required"):
        if choice == "required" and not calls:
            raise ValueError("tool_choice: a call is required, but there are no tools")
        return calls
    if choice not in calls:
        raise ValueError(f"tool_choice must be auto, none, required or one of the tools, not {choice!r}")
    return {choice: calls[choice]}


def _completion(calls: dict[str, _Node], answer: Any, ends: _Ends, parallel: bool, reasoning: bool) -> _Rules:
    """The rules of a completion. `answer` is `False`, `_Text()`, or the schema of the answer."""
    channels = [_Plain("commentary")]
    if reasoning:
        channels.insert(0, _Plain("analysis"))
    thought = _Row((_Mark(_CHANNEL), _Either(tuple(channels)), _Mark(_MESSAGE), _Text(), _Mark(_END)))
    again = _Row((_Mark(_START), _Plain("assistant")))
    before = _Many(_Row((_Rule("thought"), again)))
    rules: _Rules = {"start": _Rule("start"), "thought": thought}
    lasts: list[_Node] = []
    if answer is not False:
        content = answer if isinstance(answer, _Text) else _Json(answer, "answer")
        head = (_Mark(_CHANNEL), _Plain("final"), _Maybe(_Rule("json-type")), _Mark(_MESSAGE))
        rules["final"] = _Row((*head, content, ends.of(_RETURN)))
        lasts.append(_Rule("final"))
    for index, call in enumerate(calls.values()):
        rules[f"call-{index}"] = call
    if calls:
        rules["call"] = _Either(tuple([_Rule(f"call-{index}") for index in range(len(calls))]))
        more = _Many(_Row((_Mark(_CALL), again, before, _Rule("call"))))
        lasts.append(_Row((_Rule("call"), *([more] if parallel else []), ends.of(_CALL))))
    rules["start"] = _Row((before, _Either(tuple(lasts))))
    rules |= {name: node for name, node in _TYPES.items() if _Rule(name) in _within(rules)}
    return rules


def _within(rules: _Rules) -> Iterator[_Node]:
    """Every node of the rules, in order."""
    nodes = list(reversed(rules.values()))
    while nodes:
        node = nodes.pop()
        yield node
        match node:
            case _Row(inner) | _Either(inner):
                nodes += reversed(inner)
            case _Maybe(one) | _Many(one):
                nodes.append(one)


# Lark, as llguidance reads it: control tokens by name, JSON Schemas in place.

_ANY = r"/(?s:.*)/"
_UNQUOTED = rf"{_ANY} & ~/(?s:.*)<\|({'|'.join([marker[2:-2] for marker in _MARKERS])})\|>(?s:.*)/"


def _lark(rules: _Rules, quoting: bool) -> str:
    lines = ["%llguidance {}"]
    for name, node in rules.items():
        lines.append(f"{name}: {_lark_node(node)}")
    for name, schema in [(node.name, node.schema) for node in _within(rules) if isinstance(node, _Json)]:
        # What the engine cannot check is left open, as the other forms leave it.
        options = {"lenient": True, **(schema.get("x-guidance") or {})} if isinstance(schema, Mapping) else None
        written = {**schema, "x-guidance": options} if options else schema
        lines.append(f"{name}: %json {json.dumps(written, ensure_ascii=False)}")
    lines.append(f"TEXT: {_ANY if quoting else _UNQUOTED}")
    return "\n".join(lines) + "\n"


def _lark_node(node: _Node, inner: bool = False) -> str:
    match node:
        case _Plain(text):
            return json.dumps(text)
        case _Mark(spelling):
            return spelling
        case _Text():
            return "TEXT"
        case _Json(_, name) | _Rule(name):
            return name
    return _joined(node, _lark_node, inner)


def _joined(node: _Node, write: Any, inner: bool) -> str:
    """What Lark and GBNF write alike: rows, alternatives, repetitions."""
    match node:
        case _Row(nodes):
            return " ".join([text for text in (write(one, True) for one in nodes) if text])
        case _Either((only,)):
            return str(write(only, inner))
        case _Either(nodes):
            text = " | ".join([write(one, False) for one in nodes])
            return f"({text})" if inner else text
        case _Maybe(one):
            return f"({write(one, False)})?"
        case _Many(one):
            return f"({write(one, False)})*"
    raise AssertionError(node)


# GBNF, as llama.cpp reads it: characters only.


def _gbnf(rules: _Rules) -> str:
    out = Rules(_MARKERS)

    def write(node: _Node, inner: bool = False) -> str:
        match node:
            case _Plain(text) | _Mark(text):
                return literal(text)
            case _Text():
                return out.text()
            case _Json(schema, name):
                return out.schema(schema, name)
            case _Rule(name):
                return name
        return _joined(node, write, inner)

    for name, node in rules.items():
        out.add("root" if name == "start" else name, write(node))
    return str(out)


# A structural tag, as xgrammar reads it: JSON, control tokens by id.

_SPELLED = [*_MARKERS, "<|startoftext|>", "<|endofprompt|>", "<|reserved_"]


def _tag(node: _Node, rules: _Rules, quoting: bool) -> dict[str, Any]:
    def write(node: _Node) -> dict[str, Any]:
        match node:
            case _Plain(text):
                return {"type": "const_string", "value": text}
            case _Mark(spelling):
                return {"type": "token", "token": SPECIAL_TOKENS[spelling]}
            case _Text() if quoting:
                return {"type": "any_tokens", "exclude_tokens": sorted(set(SPECIAL_TOKENS.values()))}
            case _Text():
                return {"type": "any_text", "excludes": _SPELLED}
            case _Json(schema, _):
                # In strings a control token is its spelling to xgrammar, which would let it through. Longer exclusions
                # take it seconds to compile, and JSON can say `<|` with an escape.
                return {"type": "json_schema", "json_schema": schema, "excludes": ["<|"]}
            case _Rule(name):
                return write(rules[name])
            case _Row(nodes):
                return {"type": "sequence", "elements": [write(one) for one in nodes if one != _Row(())]}
            case _Either((only,)):
                return write(only)
            case _Either(nodes):
                return {"type": "or", "elements": [write(one) for one in nodes]}
            case _Maybe(one):
                return {"type": "optional", "content": write(one)}
            case _Many(one):
                return {"type": "star", "content": write(one)}

    return write(node)

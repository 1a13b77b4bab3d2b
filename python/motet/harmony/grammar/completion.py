"""The rules of one completion: frames of reasoning, then an answer or a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from motet._core import MARKERS, SPECIAL_TOKENS, function_recipient, name_of, tool_dicts, wire_names
from motet.harmony.grammar.json_schema import normalised
from motet.harmony.grammar.nodes import (
    BLANK,
    AnyText,
    Choice,
    Concatenation,
    FixedText,
    JsonValue,
    Node,
    Option,
    Repetition,
    RuleReference,
    RuleSet,
    SpecialToken,
    all_nodes,
)
from motet.message import Frame
from motet.schema.builtin_functions import BUILTIN_FUNCTIONS, functions_of

__all__ = ["StopTokens", "call_nodes", "choose_calls", "completion_rules"]


def _marker(word: str) -> SpecialToken:
    return SpecialToken(MARKERS[word])


def _row(*nodes: Node) -> Concatenation:
    return Concatenation(nodes)


class StopTokens:
    """The stop tokens at the end of the grammar, except those that the engine adds itself. `optional`: those that it
    adds or matches, depending on the request."""

    def __init__(self, eos: set[int], optional: set[int]) -> None:
        self._eos = eos
        self._optional = optional

    def node(self, marker: str) -> Node:
        """The stop token, optional or not, or nothing if the engine adds it."""
        if (token := SPECIAL_TOKENS[marker]) in self._eos:
            return _row()
        return Option(SpecialToken(marker)) if token in self._optional else SpecialToken(marker)


@dataclass(frozen=True, slots=True)
class CallFrame:
    """The frame of a call without its stop token."""

    recipient: str
    arguments: Node
    node: Node


def call_nodes(tools: Sequence[Any], builtin_tools: Iterable[str]) -> dict[str, CallFrame]:
    """The frame of a call of each tool, by name, without the stop token."""
    calls: dict[str, CallFrame] = {}
    functions = [tool["function"] for tool in tool_dicts(tools)]
    names = [name_of(fields["name"]) for fields in functions]
    for fields, name, wire_name in zip(functions, names, wire_names(names), strict=True):
        schema = normalised(fields.get("parameters") or {"type": "object"})
        calls[name] = _call(
            function_recipient(wire_name), ("commentary",), "json-type", JsonValue(schema, f"arguments-{len(calls)}")
        )
    builtin_channels = ("analysis", "commentary")
    for builtin in builtin_tools:
        if builtin == "python":
            # A function of the caller's may have this name, too.
            key = "python" if "python" not in calls else "python (built-in)"
            calls[key] = _call("python", builtin_channels, "code-type", AnyText())
            continue
        for name in functions_of(builtin):
            arguments = JsonValue(BUILTIN_FUNCTIONS[name][1], f"arguments-{len(calls)}")
            calls[name] = _call(name, builtin_channels, "builtin-type", arguments)
    return calls


def _call(recipient: str, channels: tuple[str, ...], content_type: str, arguments: Node) -> CallFrame:
    to, channel = FixedText(f" to={recipient}"), Choice(tuple([FixedText(name) for name in channels]))
    places = Choice(
        (
            _row(to, _marker("channel"), channel),
            _row(_marker("channel"), channel, to),
        )
    )
    node = _row(places, Option(RuleReference(content_type)), _marker("message"), arguments)
    return CallFrame(recipient, arguments, node)


def _content_type(*names: str) -> Node:
    name = Choice(tuple([FixedText(name) for name in names]))
    return Choice((_row(FixedText(" "), name), _row(BLANK, _marker("constrain"), BLANK, name)))


# After a space or a marker; models write the marker with spaces around it.
_TYPES: RuleSet = {
    "json-type": _content_type("json"),
    "code-type": _content_type("code"),
    "builtin-type": _content_type("json", "code"),
}


def chosen_name(choice: str | Mapping[str, Any]) -> str:
    """The `tool_choice` as a word: `auto`, `none`, `required`, or the name of a tool.

    Dicts are those of the APIs: `{"type": "function", "function": {"name": ...}}` of Chat, `{"type": "function",
    "name": ...}` of Responses, `{"type": "tool", "name": ...}` and `{"type": "any"}` of Anthropic's.
    """
    match choice:
        case str():
            return name_of(choice)
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function" | "tool", "name": str(name)}:
            return name_of(name)
        case {"type": "any"}:
            return "required"
        case {"type": "auto" | "none" as word}:
            return cast("str", word)
    forms = "'auto', 'none', 'required', a tool's name or {'type': 'function', 'function': {'name': ...}}"
    raise ValueError(f"tool_choice must be {forms}, not {choice!r:.200}")


def choose_calls(calls: dict[str, CallFrame], choice: str) -> dict[str, CallFrame]:
    """The calls that a `tool_choice` allows."""
    if choice == "none":
        return {}
    if choice in ("auto", "required"):
        if choice == "required" and not calls:
            raise ValueError("tool_choice: a call is required, but there are no tools")
        return calls
    if choice not in calls:
        names = ", ".join(calls) or "none"
        raise ValueError(f"tool_choice must be auto, none, required or one of the tools ({names}), not {choice!r}")
    return {choice: calls[choice]}


def completion_rules(
    calls: dict[str, CallFrame],
    answer: Node | None,
    stops: StopTokens,
    parallel: bool,
    reasoning: bool,
    opened: Frame | None = None,
    begins_with_role: bool = True,
) -> RuleSet:
    """The rules of a completion. `answer`: the content of an answer; `None` for none. `opened`: the frame in which the
    prompt ends. `begins_with_role`: False for a prompt that ends before `<|start|>`."""
    next_frame = _row(_marker("start"), FixedText("assistant"))
    before = Repetition(_row(RuleReference("thought"), next_frame))
    more = [Repetition(_row(_marker("call"), next_frame, before, RuleReference("call")))] if parallel else []
    call_end = (*more, stops.node(MARKERS["call"]))
    last_frames: list[Node] = []
    rules: RuleSet = {"start": RuleReference("start"), "thought": _thought(reasoning)}
    if answer is not None:
        rules["answer-end"] = _row(answer, stops.node(MARKERS["return"]))
        head = (_marker("channel"), FixedText("final"), Option(RuleReference("json-type")), _marker("message"))
        rules["final"] = _row(*head, answer, stops.node(MARKERS["return"]))
        last_frames.append(RuleReference("final"))
    for index, call in enumerate(calls.values()):
        rules[f"call-{index}"] = call.node
    if calls:
        rules["call"] = Choice(tuple([RuleReference(f"call-{index}") for index in range(len(calls))]))
        last_frames.append(_row(RuleReference("call"), *call_end))
    last_frame = Choice(tuple(last_frames))
    if opened is None:
        rules["start"] = _row(*([] if begins_with_role else [next_frame]), before, last_frame)
    elif opened.recipient is not None:
        rules["start"] = _row(_opened_call(calls, opened.recipient).arguments, *call_end)
    elif opened.channel in ("analysis", "commentary"):
        rules["start"] = _row(AnyText(), _marker("end"), next_frame, before, last_frame)
    elif answer is None:
        raise ValueError("opened: the frame is an answer, and tool_choice asks for a call")
    else:
        rules["start"] = RuleReference("answer-end")
    return _reachable({**rules, **_TYPES})


def _thought(reasoning: bool) -> Node:
    channels = [FixedText("analysis")] if reasoning else []
    channel = Choice((*channels, FixedText("commentary")))
    return _row(_marker("channel"), channel, _marker("message"), AnyText(), _marker("end"))


def _opened_call(calls: dict[str, CallFrame], recipient: str) -> CallFrame:
    for call in calls.values():
        if call.recipient == recipient:
            return call
    raise ValueError(f"opened: the frame is a call to {recipient}, which tools and tool_choice do not allow")


def _reachable(rules: RuleSet) -> RuleSet:
    """The rules that `start` leads to, in their order."""
    names, pending = {"start"}, ["start"]
    while pending:
        for node in all_nodes({"": rules[pending.pop()]}):
            if isinstance(node, RuleReference) and node.name not in names:
                names.add(node.name)
                pending.append(node.name)
    return {name: node for name, node in rules.items() if name in names}

"""The rules of the service's four formats, for one row: what may stand in it, where, and in which order.

Rules of the file (encoding, lines, JSON) are in lines.py and checks.py. Sources: the service's pages on data
preparation, function calling and reasoning, and the checks that its SDK made up to 2.12.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from motet.tune.findings import Finding, Severity
from motet.tune.plain import is_plain

__all__ = ["FORMATS", "Format", "check_row", "format_of"]

Format: TypeAlias = Literal["conversational", "instruction", "preference", "text"]
FORMATS: dict[Format, tuple[str, ...]] = {
    "conversational": ("messages",),
    "instruction": ("prompt", "completion"),
    "preference": ("input", "preferred_output", "non_preferred_output"),
    "text": ("text",),
}
"""Each format and the keys that a row of it has."""
_KEY_SETS = [(name, frozenset(keys)) for name, keys in FORMATS.items()]
_MORE = {"conversational": ("tools",)}
_ROLES = ("system", "user", "assistant", "tool")
_MESSAGE_KEYS = {"role", "content", "weight", "tool_calls", "tool_call_id", "name", "reasoning", "reasoning_content"}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def format_of(row: Mapping[str, Any]) -> Format | Finding:
    """The format of a row, by its keys; or what is wrong with them."""
    found = [name for name, keys in _KEY_SETS if keys <= row.keys()]
    if len(found) == 1:
        return found[0]
    if found:
        return Finding("two_formats", f"the row is {' and '.join(found)} at once", "keep the keys of one format")
    for name, keys in FORMATS.items():
        missing = [key for key in keys if key not in row]
        if len(missing) < len(keys):
            return Finding("missing_key", f"a row of the format {name} has no {' and no '.join(missing)}", "add it")
    known = "; ".join([", ".join(keys) for keys in FORMATS.values()])
    return Finding("unknown_format", f"the row has the keys {', '.join(row) or 'none'}", f"a row has one of: {known}")


def check_row(row: Mapping[str, Any], form: Format) -> list[Finding]:
    """All that is wrong with a row of this format."""
    findings = [*_keys(row, {*FORMATS[form], *_MORE.get(form, ()), "weight"}, "")]
    if "weight" in row and not (_is_number(row["weight"]) and row["weight"] >= 0):
        findings.append(_wrong("row_weight", "weight", "a number from 0 on", row["weight"]))
    match form:
        case "conversational":
            findings += _conversation(row["messages"], "messages", row.get("tools"), "tools")
        case "preference":
            findings += _preference(row)
        case "instruction" | "text":
            for key in FORMATS[form]:
                findings += _text(row[key], key, must_say="error" if key == "text" else "warning")
    return findings


def _keys(row: Mapping[str, Any], known: set[str], path: str) -> Iterator[Finding]:
    for key in row:
        if key not in known:
            where = f"{path}.{key}" if path else key
            if key == "thinking" and "reasoning" in known:
                yield Finding("thinking", "the service knows no `thinking`", "call it `reasoning`", where)
            else:
                yield _warn("unknown_key", f"`{key}` is not read by the training", "leave it out", where)


def _warn(code: str, message: str, mend: str, path: str) -> Finding:
    return Finding(code, message, mend, path, severity="warning")


def _wrong(code: str, path: str, wanted: str, value: Any) -> Finding:
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return Finding(code, f"{shown} is not {wanted}", f"write {wanted}", path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) != _INFINITY


_INFINITY = float("inf")


def _text(value: Any, path: str, *, must_say: Severity) -> Iterator[Finding]:
    if isinstance(value, list):
        yield Finding("not_text", "a list of parts, and gpt-oss reads text only", "write one string", path)
    elif not isinstance(value, str):
        yield _wrong("not_text", path, "a string", value)
    elif not value.strip():
        yield Finding("empty", "nothing is said here", "say something, or leave the row out", path, severity=must_say)


def _preference(row: Mapping[str, Any]) -> Iterator[Finding]:
    given = row["input"]
    tools: Any = None
    if not isinstance(given, Mapping):
        yield _wrong("not_object", "input", "an object with `messages`", given)
    elif "messages" not in given:
        yield Finding("missing_key", "`input` has no `messages`", "put the conversation there", "input")
    else:
        tools = given.get("tools")
        yield from _keys(given, {"messages", "tools"}, "input")
        yield from _conversation(given["messages"], "input.messages", tools, "input.tools", answered=False)
    for key in ("preferred_output", "non_preferred_output"):
        yield from _output(row[key], key, tools)
    if row["preferred_output"] == row["non_preferred_output"]:
        yield _warn("same_outputs", "both outputs are the same", "leave the row out", "non_preferred_output")


def _output(value: Any, path: str, tools: Any) -> Iterator[Finding]:
    if not isinstance(value, list) or len(value) != 1:
        yield _wrong("not_one_message", path, "a list with exactly one message", value)
        return
    one = value[0]
    if isinstance(one, Mapping) and one.get("role") != "assistant":
        yield _wrong("unknown_role", f"{path}[0].role", "'assistant'", one.get("role"))
        return
    if isinstance(one, Mapping) and "content" in one and one["content"] is None:
        yield Finding("null_content", "the service wants a string here", "leave `content` out", f"{path}[0].content")
    conversation = _Conversation(_names(tools))
    yield from conversation.message(one, f"{path}[0]")


def _conversation(messages: Any, path: str, tools: Any, tools_path: str, *, answered: bool = True) -> Iterator[Finding]:
    """`answered`: whether it holds what is to be learned; else it is what is answered."""
    if tools is not None:
        yield from _tools(tools, tools_path)
    if not isinstance(messages, list) or not messages:
        yield _wrong("no_messages", path, "a list of messages", messages)
        return
    if answered and is_plain(messages):
        return
    conversation = _Conversation(_names(tools))
    for index, message in enumerate(messages):
        yield from conversation.message(message, f"{path}[{index}]", index, first_may_answer=not answered)
    yield from conversation.end(path, answered=answered)


def _names(tools: Any) -> set[str] | None:
    """The names of the tools, as far as they can be read; `None` if none were given."""
    if not isinstance(tools, list) or not tools:
        return None
    functions = [one.get("function") for one in tools if isinstance(one, Mapping)]
    return {one["name"] for one in functions if isinstance(one, Mapping) and isinstance(one.get("name"), str)}


def _tools(tools: Any, path: str) -> Iterator[Finding]:
    if not isinstance(tools, list):
        yield _wrong("tools", path, "a list of tools", tools)
        return
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        where = f"{path}[{index}]"
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(tool, Mapping) or not isinstance(function, Mapping):
            yield _wrong("tools", where, 'a tool: {"type": "function", "function": {"name": ...}}', tool)
            continue
        if tool.get("type") != "function":
            yield _wrong("tools", f"{where}.type", "'function'", tool.get("type"))
        name = function.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield _wrong("tool_name", f"{where}.function.name", "a name of letters, digits, `_`, `.` and `-`", name)
        elif name in seen:
            yield Finding("tool_name", f"two tools are called {name!r}", "rename one", f"{where}.function.name")
        else:
            seen.add(name)
        if not isinstance(function.get("description", ""), str | None):
            yield _wrong("tools", f"{where}.function.description", "a string", function["description"])
        if not isinstance(function.get("parameters", {}), Mapping | None):
            yield _wrong("tools", f"{where}.function.parameters", "a JSON Schema", function["parameters"])


class _Conversation:
    """What is known of a conversation while its messages are read in turn."""

    def __init__(self, tools: set[str] | None) -> None:
        self._tools = tools
        self._last: str | None = None
        self._open: dict[str, str] = {}
        """The calls that have no result yet, by id: where they stand."""
        self._calls = 0
        """How many calls the last assistant made."""
        self._ids: set[str] = set()
        self._answers: list[tuple[str, bool, bool]] = []
        """The assistant's messages: where, whether there is reasoning, whether the weight is 0."""

    def message(self, one: Any, path: str, index: int = 0, *, first_may_answer: bool = True) -> Iterator[Finding]:
        """What is wrong with the next message."""
        if not isinstance(one, Mapping):
            yield _wrong("not_object", path, "a message: an object with a role", one)
            return
        yield from _keys(one, _MESSAGE_KEYS, path)
        role = one.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            yield self._unknown_role(one, path)
            self._last = None
            return
        yield from self._order(role, path, index, first_may_answer)
        if "weight" in one and (type(one["weight"]) is not int or one["weight"] not in (0, 1)):
            yield _wrong("weight", f"{path}.weight", "0 or 1", one["weight"])
        if role == "assistant":
            yield from self._assistant(one, path)
        else:
            found = [*_text(one.get("content"), f"{path}.content", must_say="warning")]
            # A tool may have nothing to say.
            yield from [finding for finding in found if role != "tool" or finding.code != "empty"]
            for key in ("reasoning", "reasoning_content", "tool_calls"):
                if key in one:
                    yield Finding("misplaced_key", f"`{key}` belongs to the assistant", "take it out", f"{path}.{key}")
        if role == "tool":
            yield from self._result(one, path)
        elif "tool_call_id" in one:
            where = f"{path}.tool_call_id"
            yield Finding("misplaced_key", "`tool_call_id` belongs to a tool's result", "take it out", where)
        self._last = role

    @staticmethod
    def _unknown_role(one: Mapping[str, Any], path: str) -> Finding:
        if "role" not in one:
            return Finding("missing_key", "a message without a role", "add `role`", path)
        if one["role"] == "developer":
            return Finding("unknown_role", "the service knows no developer", "write 'system'", f"{path}.role")
        return _wrong("unknown_role", f"{path}.role", "'system', 'user', 'assistant' or 'tool'", one["role"])

    def _order(self, role: str, path: str, index: int, first_may_answer: bool) -> Iterator[Finding]:
        last, where = self._last, f"{path}.role"
        if role == "system" and index:
            yield Finding("role_order", "a system message that is not the first", "move it to the front", where)
        elif role == "tool" and last not in ("assistant", "tool"):
            yield Finding(
                "role_order", "a result that follows no call", "let the assistant call the tool before", where
            )
        elif role == "assistant" and not index and not first_may_answer:
            yield Finding("role_order", "the assistant speaks first", "begin with 'system' or 'user'", where)
        elif role == last and role in ("user", "assistant"):
            yield Finding("role_order", f"two messages of the {role} in a row", "join them, or add the other's", where)
        elif role == "assistant" and last == "system":
            yield Finding("role_order", "the assistant answers to nobody", "add what the user says", where)
        elif role == "user" and last == "tool":
            yield _warn("role_order", "the user speaks before the assistant has seen the result", "check it", where)
        if role != "tool":
            yield from self._unanswered()

    def _unanswered(self) -> Iterator[Finding]:
        for identifier, where in self._open.items():
            yield Finding(
                "no_result", f"the call {identifier!r} has no result", "add a message of the role 'tool'", where
            )
        self._open.clear()

    def _assistant(self, one: Mapping[str, Any], path: str) -> Iterator[Finding]:
        for key in ("reasoning", "reasoning_content"):
            if key in one and not isinstance(one[key], str):
                yield _wrong("reasoning", f"{path}.{key}", "a string", one[key])
        if "reasoning" in one and "reasoning_content" in one:
            where = f"{path}.reasoning_content"
            yield Finding("reasoning", "reasoning under two names", "keep `reasoning`", where)
        calls = one.get("tool_calls")
        content = one.get("content")
        if content is None and calls is None:
            yield Finding("no_content", "the assistant says nothing", "add `content` or `tool_calls`", path)
        elif content is not None:
            # Beside calls nothing needs to be said.
            found = [*_text(content, f"{path}.content", must_say="warning")]
            yield from [finding for finding in found if calls is None or finding.code != "empty"]
        self._calls = 0
        if "tool_calls" in one:
            yield from self._tool_calls(calls, f"{path}.tool_calls")
        reasoning = bool(one.get("reasoning") or one.get("reasoning_content"))
        self._answers.append((path, reasoning, one.get("weight") == 0))

    def _tool_calls(self, calls: Any, path: str) -> Iterator[Finding]:
        if not isinstance(calls, list) or not calls:
            yield _wrong("tool_calls", path, "a list of calls", calls)
            return
        self._calls = len(calls)
        for index, call in enumerate(calls):
            yield from self._tool_call(call, f"{path}[{index}]")
        if self._tools is None:
            yield _warn("no_tools", "tools are called that the row does not list", "add `tools`", path)

    def _tool_call(self, call: Any, path: str) -> Iterator[Finding]:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(function, Mapping):
            yield _wrong("tool_calls", path, 'a call: {"id": ..., "type": "function", "function": {...}}', call)
            return
        if call.get("type") != "function":
            yield _wrong("tool_calls", f"{path}.type", "'function'", call.get("type"))
        identifier = call.get("id")
        if not isinstance(identifier, str) or not identifier:
            yield _wrong("call_id", f"{path}.id", "an id of the call", identifier)
        elif identifier in self._ids:
            yield Finding("call_id", f"the id {identifier!r} stands for two calls", "give it another", f"{path}.id")
        else:
            self._ids.add(identifier)
            self._open[identifier] = path
        name = function.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield _wrong("tool_name", f"{path}.function.name", "the name of a tool", name)
        elif self._tools is not None and name not in self._tools:
            where = f"{path}.function.name"
            yield Finding("unknown_tool", f"no tool {name!r} is listed", "list it in `tools`, or rename it", where)
        yield from _arguments(function.get("arguments"), f"{path}.function.arguments")

    def _result(self, one: Mapping[str, Any], path: str) -> Iterator[Finding]:
        identifier, where = one.get("tool_call_id"), f"{path}.tool_call_id"
        if identifier is None:
            if self._calls > 1:
                yield Finding("call_id", "it is open whose result this is", "add `tool_call_id`", where)
            self._open.clear()
        elif not isinstance(identifier, str):
            yield _wrong("call_id", where, "the id of a call", identifier)
        elif identifier not in self._open:
            yield Finding("call_id", f"no call {identifier!r} is waiting for a result", "write the call's id", where)
        else:
            del self._open[identifier]

    def end(self, path: str, *, answered: bool) -> Iterator[Finding]:
        """What is wrong with all of it."""
        if self._last != "assistant":
            yield from self._unanswered()
        if not answered:
            if self._last == "assistant":
                message = "the assistant has the last word, and the outputs are to answer"
                yield Finding("role_order", message, "let it end with the user or a tool", path)
            return
        if not self._answers:
            yield Finding("no_assistant", "the assistant says nothing, so nothing is learned", "add its answer", path)
        elif all(masked for _, _, masked in self._answers):
            yield _warn("untrained", "each answer has the weight 0, so nothing is learned", "give one 1", path)
        elif self._last not in (None, "assistant"):
            message = f"the {self._last} has the last word, from which nothing is learned"
            yield _warn("untrained", message, "let it end with the assistant", path)
        if len(self._answers) > 1:
            for where, reasoning, masked in self._answers[:-1]:
                if reasoning and not masked:
                    message = "the service trains reasoning models on the last answer only"
                    mend = "let each answer be the last of a row of its own, as `motet data build` does"
                    yield _warn("untrained_reasoning", message, mend, f"{where}.reasoning")


def _arguments(value: Any, path: str) -> Iterator[Finding]:
    if not isinstance(value, str):
        yield _wrong("arguments", path, "a string of JSON", value)
        return
    try:
        found = json.loads(value)
    except (ValueError, RecursionError) as error:
        yield Finding("arguments", f"the arguments are no JSON: {error}", "write a JSON object as a string", path)
        return
    if not isinstance(found, dict):
        yield _wrong("arguments", path, "a JSON object as a string", found)

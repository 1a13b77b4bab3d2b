"""One row of training data: its format, the rules that it breaks, and its tokens.

The formats are the service's four. Sources of the rules: the service's pages on data preparation, function calling and
reasoning, and the checks of its SDK up to 2.12. Rules of files and lines are in `dataset` and `lines`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from motet.errors import RenderError
from motet.tune.finding import Finding, Severity, first_of_each_severity, shortened
from motet.tune.tokens import count_conversation, count_text

__all__ = ["FORMATS", "Format", "RowReport", "format_of", "inspect_row", "is_plain", "without_nulls"]

Format: TypeAlias = Literal["conversational", "instruction", "preference", "text"]
FORMATS: dict[Format, tuple[str, ...]] = {
    "conversational": ("messages",),
    "instruction": ("prompt", "completion"),
    "preference": ("input", "preferred_output", "non_preferred_output"),
    "text": ("text",),
}
"""The keys that a row of each format has."""
_KEY_SETS = [(name, frozenset(keys)) for name, keys in FORMATS.items()]
_OPTIONAL_KEYS: dict[Format, tuple[str, ...]] = {"conversational": ("tools",)}
_ROLES = ("system", "user", "assistant", "tool")
_MESSAGE_KEYS = {"role", "content", "weight", "tool_calls", "tool_call_id", "name", "reasoning", "reasoning_content"}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class RowReport:
    """A row after its inspection. Adding, building, checking and uploading examples share it, so that a row is
    inspected once."""

    row: Mapping[str, Any]
    format: Format | None
    """`None`: its keys are of no format."""
    findings: tuple[Finding, ...]
    """The broken rules."""
    plain: bool = False
    """Whether its messages are as `is_plain` wants them."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple([finding for finding in self.findings if finding.severity == "error"])

    def measure(self, max_tokens: int | None = None) -> tuple[tuple[int, ...] | None, Finding | None]:
        """The exact tokens of its sequences, and what is wrong with them. A preference has two sequences, one for each
        output; any other row has one. `None`: they cannot be counted.

        Conversations are counted as gpt-oss's chat template renders them for training; an instruction is its two texts
        and a text itself, as the template does not know these formats. Rows with errors cannot be counted.
        """
        if self.format is None or self.errors:
            return None, None
        try:
            lengths = self._lengths(self.format)
        except (RenderError, TypeError) as error:
            message = f"gpt-oss's chat template cannot render it: {error}"
            return None, Finding("not_renderable", message, "change what the message names")
        if max_tokens is not None and max(lengths) > max_tokens:
            message = f"{max(lengths)} tokens, of {max_tokens} at most"
            return lengths, Finding("too_long", message, "shorten it, or leave it out")
        return lengths, None

    def _lengths(self, form: Format) -> tuple[int, ...]:
        row = self.row
        match form:
            case "conversational":
                return (count_conversation(row["messages"], row.get("tools"), plain=self.plain),)
            case "preference":
                messages, tools = row["input"]["messages"], row["input"].get("tools")
                outputs = (row["preferred_output"], row["non_preferred_output"])
                sequences = [[*messages, *output] for output in outputs]
                return tuple([count_conversation(texts, tools, plain=is_plain(texts)) for texts in sequences])
            case "instruction":
                return (count_text(row["prompt"]) + count_text(row["completion"]),)
            case "text":
                return (count_text(row["text"]),)


def inspect_row(row: Mapping[str, Any], form: Format | None = None) -> RowReport:
    """Applies all rules to a row. `form`: its format, if known; else its keys say it."""
    if form is None:
        row = without_nulls(row) if None in row.values() else row
        form_or_fault = format_of(row)
        if isinstance(form_or_fault, Finding):
            return RowReport(row, None, (form_or_fault,))
        form = form_or_fault
    plain = form == "conversational" and is_plain(row["messages"])
    if form == "conversational" and not plain:
        row = {**row, "messages": _cleaned(row["messages"])}
    null_contents = [*_null_contents(row)] if form == "preference" else []
    row = _cleaned_preference(row) if form == "preference" else row
    findings = first_of_each_severity(itertools.chain(_rules(row, form, plain), null_contents))
    return RowReport(row, form, tuple(findings), plain)


def _rules(row: Mapping[str, Any], form: Format, plain: bool) -> Iterator[Finding]:
    yield from _unknown_keys(row, {*FORMATS[form], *_OPTIONAL_KEYS.get(form, ()), "weight"}, "")
    if "weight" in row and not (_is_number(row["weight"]) and row["weight"] >= 0):
        yield _expected("row_weight", "weight", "a number from 0 on", row["weight"])
    match form:
        case "conversational":
            yield from _conversation(row["messages"], "messages", row.get("tools"), "tools", plain=plain)
        case "preference":
            yield from _preference(row)
        case "instruction" | "text":
            for key in FORMATS[form]:
                yield from _text(row[key], key, if_empty="error" if key == "text" else "warning")


def format_of(row: Mapping[str, Any]) -> Format | Finding:
    """The format of a row, by its keys; or what is wrong with them."""
    formats = [name for name, keys in _KEY_SETS if keys <= row.keys()]
    if len(formats) == 1:
        return formats[0]
    if formats:
        return Finding("two_formats", f"keys of several formats: {', '.join(formats)}", "keep the keys of one format")
    for name, keys in FORMATS.items():
        missing = [key for key in keys if key not in row]
        if len(missing) < len(keys):
            return Finding("missing_key", f"missing in a row of the format {name}: {', '.join(missing)}", "add it")
    formats_shown = "; ".join([", ".join(keys) for keys in FORMATS.values()])
    keys_shown = shortened(", ".join(row)) or "(none)"
    return Finding("unknown_format", f"unknown format, by the keys {keys_shown}", f"write one of: {formats_shown}")


def without_nulls(shape: Mapping[str, Any]) -> dict[str, Any]:
    """An object without the keys whose value is null: tables write every key in every row."""
    return {key: value for key, value in shape.items() if value is not None}


def _cleaned(messages: Any) -> Any:
    """Messages without null keys and empty lists of calls."""
    if not isinstance(messages, list):
        return messages
    cleaned = [without_nulls(message) if isinstance(message, Mapping) else message for message in messages]
    for message in cleaned:
        if isinstance(message, dict) and message.get("tool_calls") == []:
            del message["tool_calls"]
    return cleaned


def _cleaned_preference(row: Mapping[str, Any]) -> dict[str, Any]:
    cleaned = {**row, **{key: _cleaned(row[key]) for key in ("preferred_output", "non_preferred_output")}}
    if isinstance(row["input"], Mapping):
        prompt = without_nulls(row["input"])
        cleaned["input"] = {**prompt, **({"messages": _cleaned(prompt["messages"])} if "messages" in prompt else {})}
    return cleaned


def _null_contents(row: Mapping[str, Any]) -> Iterator[Finding]:
    for key in ("preferred_output", "non_preferred_output"):
        for index, message in enumerate(row[key] if isinstance(row[key], list) else ()):
            if isinstance(message, Mapping) and "content" in message and message["content"] is None:
                where = f"{key}[{index}].content"
                yield Finding("null_content", "`content` must be a string here", "leave `content` out", where)


def is_plain(messages: Any) -> bool:
    """Whether a conversation is of the simplest and most frequent form, which breaks no rule.

    That is: a system message or none, then user and assistant messages in turn, the last an assistant's of the weight
    1; each with text; reasoning only in the last message and in those of the weight 0; no other keys.
    """
    if not isinstance(messages, list | tuple):
        return False
    last, is_trained, has_reasoning = None, False, False
    for message in messages:
        if not isinstance(message, dict):
            return False
        role, content = message.get("role"), message.get("content")
        if type(content) is not str or not content or content.isspace():
            return False
        if role == "assistant":
            if last != "user" or has_reasoning or not message.keys() <= _PLAIN_ANSWER:
                return False
            weight, reasoning = message.get("weight", 1), message.get("reasoning", " ")
            if type(weight) is not int or weight not in (0, 1) or type(reasoning) is not str or not reasoning:
                return False
            is_trained = weight == 1
            has_reasoning = is_trained and "reasoning" in message
        elif role == "user":
            if last == "user" or message.keys() != _PLAIN_QUESTION:
                return False
        elif role != "system" or last is not None or message.keys() != _PLAIN_QUESTION:
            return False
        last = role
    return last == "assistant" and is_trained


_PLAIN_QUESTION = {"role", "content"}
_PLAIN_ANSWER = {"role", "content", "reasoning", "weight"}


def _warning(code: str, message: str, mend: str, path: str) -> Finding:
    return Finding(code, message, mend, path, severity="warning")


def _expected(code: str, path: str, form: str, value: Any) -> Finding:
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return Finding(code, f"must be {form}: {shown}", f"write {form}", path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _unknown_keys(row: Mapping[str, Any], keys: set[str], path: str) -> Iterator[Finding]:
    for key in row:
        if key in keys:
            continue
        key = shortened(key)
        where = f"{path}.{key}" if path else key
        if key == "thinking" and "reasoning" in keys:
            yield Finding("thinking", "unknown key `thinking`", "rename it to `reasoning`", where)
        else:
            yield _warning("unknown_key", f"`{key}` is ignored in training", "leave it out", where)


def _content(value: Any, path: str) -> Iterator[Finding]:
    """The rules of a message's content: a string, or parts that are all text."""
    if isinstance(value, list) and value:
        texts = [
            part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in value
        ]
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                message = f"part {index} is not a text; gpt-oss reads text only"
                yield Finding("not_text", message, "write one string, or text parts", path)
                return
        value = "".join(map(str, texts))
    yield from _text(value, path, if_empty="warning")


def _text(value: Any, path: str, *, if_empty: Severity) -> Iterator[Finding]:
    if isinstance(value, list):
        yield Finding("not_text", "a list of parts; gpt-oss reads text only", "write one string", path)
    elif not isinstance(value, str):
        yield _expected("not_text", path, "a string", value)
    elif not value.strip():
        yield Finding("empty", "the text is empty", "write a text, or leave the row out", path, severity=if_empty)


def _preference(row: Mapping[str, Any]) -> Iterator[Finding]:
    prompt = row["input"]
    tools: Any = None
    if not isinstance(prompt, Mapping):
        yield _expected("not_object", "input", "an object with `messages`", prompt)
    elif "messages" not in prompt:
        yield Finding("missing_key", "`input` has no `messages`", "add the conversation", "input")
    else:
        tools = prompt.get("tools")
        yield from _unknown_keys(prompt, {"messages", "tools"}, "input")
        yield from _conversation(prompt["messages"], "input.messages", tools, "input.tools", answered=False)
    for key in ("preferred_output", "non_preferred_output"):
        yield from _output(row[key], key, tools)
    if row["preferred_output"] == row["non_preferred_output"]:
        yield _warning("same_outputs", "both outputs are equal", "leave the row out", "non_preferred_output")


def _output(value: Any, path: str, tools: Any) -> Iterator[Finding]:
    if not isinstance(value, list) or len(value) != 1:
        yield _expected("not_one_message", path, "a list with exactly one message", value)
        return
    message = value[0]
    if isinstance(message, Mapping) and message.get("role") != "assistant":
        yield _expected("unknown_role", f"{path}[0].role", "'assistant'", message.get("role"))
        return
    yield from _Conversation(_tool_names(tools)).message(message, f"{path}[0]")


def _conversation(
    messages: Any, path: str, tools: Any, tools_path: str, *, answered: bool = True, plain: bool = False
) -> Iterator[Finding]:
    """`answered`: the conversation holds the answers to learn; else it is the input of a preference."""
    if tools is not None:
        yield from _tools(tools, tools_path)
    if plain:
        return
    if not isinstance(messages, list) or not messages:
        yield _expected("no_messages", path, "a list of messages", messages)
        return
    conversation = _Conversation(_tool_names(tools))
    for index, message in enumerate(messages):
        yield from conversation.message(message, f"{path}[{index}]", index, may_begin_with_answer=not answered)
    yield from conversation.end(path) if answered else conversation.end_of_input(path)


def _tool_names(tools: Any) -> set[str] | None:
    """The names of the tools, as far as they can be read; `None` without tools."""
    if not isinstance(tools, list) or not tools:
        return None
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return {tool["name"] for tool in functions if isinstance(tool, Mapping) and isinstance(tool.get("name"), str)}


def _tools(tools: Any, path: str) -> Iterator[Finding]:
    if not isinstance(tools, list):
        yield _expected("tools", path, "a list of tools", tools)
        return
    names: set[str] = set()
    for index, tool in enumerate(tools):
        where = f"{path}[{index}]"
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(tool, Mapping) or not isinstance(function, Mapping):
            yield _expected("tools", where, 'a tool: {"type": "function", "function": {"name": ...}}', tool)
            continue
        if tool.get("type") != "function":
            yield _expected("tools", f"{where}.type", "'function'", tool.get("type"))
        name, name_path = function.get("name"), f"{where}.function.name"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield _expected("tool_name", name_path, "a name of 1 to 64 letters, digits, `_`, `.` and `-`", name)
        elif name in names:
            yield Finding("tool_name", f"two tools have the name {name!r}", "rename one", name_path)
        else:
            names.add(name)
        if not isinstance(function.get("description", ""), str | None):
            yield _expected("tools", f"{where}.function.description", "a string", function["description"])
        if not isinstance(function.get("parameters", {}), Mapping | None):
            yield _expected("tools", f"{where}.function.parameters", "a JSON Schema", function["parameters"])


class _Conversation:
    """The rules of a conversation, message after message."""

    def __init__(self, tools: set[str] | None) -> None:
        self._tools = tools
        self._last: str | None = None
        """The role of the last message."""
        self._open: dict[str, str] = {}
        """The paths of calls without a result, by call id."""
        self._calls = 0
        """Calls of the last assistant message."""
        self._answers: list[tuple[str, bool, bool]] = []
        """Of each assistant message: its path, whether it has reasoning, whether its weight is 0."""

    def message(
        self, message: Any, path: str, index: int = 0, *, may_begin_with_answer: bool = True
    ) -> Iterator[Finding]:
        """The rules that the next message breaks."""
        if not isinstance(message, Mapping):
            yield _expected("not_object", path, "a message: an object with a role", message)
            return
        yield from _unknown_keys(message, _MESSAGE_KEYS, path)
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            yield self._unknown_role(message, path)
            self._last = None
            return
        yield from self._order(role, path, index, may_begin_with_answer)
        if "weight" in message and (type(message["weight"]) is not int or message["weight"] not in (0, 1)):
            yield _expected("weight", f"{path}.weight", "0 or 1", message["weight"])
        if role == "assistant":
            yield from self._assistant(message, path)
        else:
            yield from self._not_assistant(message, role, path)
        if role == "tool":
            yield from self._result(message, path)
        elif "tool_call_id" in message:
            where = f"{path}.tool_call_id"
            yield Finding("misplaced_key", "`tool_call_id` is for tool results only", "remove it", where)
        self._last = role

    @staticmethod
    def _unknown_role(message: Mapping[str, Any], path: str) -> Finding:
        if "role" not in message:
            return Finding("missing_key", "the message has no role", "add `role`", path)
        if message["role"] == "developer":
            return Finding("unknown_role", "unknown role 'developer'", "write 'system'", f"{path}.role")
        return _expected("unknown_role", f"{path}.role", "'system', 'user', 'assistant' or 'tool'", message["role"])

    def _order(self, role: str, path: str, index: int, may_begin_with_answer: bool) -> Iterator[Finding]:
        last, problem = self._last, None
        if role == "system" and index:
            problem = "the system message is not the first message", "move it to the front"
        elif role == "tool" and last not in ("assistant", "tool"):
            problem = "a tool result without a preceding call", "add the assistant's call before it"
        elif role == "assistant" and not index and not may_begin_with_answer:
            problem = "the first message is the assistant's", "begin with 'system' or 'user'"
        elif role == last and role in ("user", "assistant"):
            problem = f"two {role} messages in a row", "join them, or add the message between them"
        elif role == "assistant" and last == "system":
            problem = "the assistant message has no preceding user message", "add what the user says"
        if problem is not None:
            yield Finding("role_order", *problem, f"{path}.role")
        elif role == "user" and last == "tool":
            message = "a user message precedes the answer to the tool result"
            yield _warning("role_order", message, "check the order", f"{path}.role")
        if role != "tool":
            yield from self._unanswered()

    def _unanswered(self) -> Iterator[Finding]:
        for call_id, path in self._open.items():
            yield Finding("no_result", f"the call {call_id!r} has no result", "add a message of the role 'tool'", path)
        self._open.clear()

    def _not_assistant(self, message: Mapping[str, Any], role: str, path: str) -> Iterator[Finding]:
        for finding in _content(message.get("content"), f"{path}.content"):
            # A tool may return nothing.
            if role != "tool" or finding.code != "empty":
                yield finding
        for key in ("reasoning", "reasoning_content", "tool_calls"):
            if key in message:
                where = f"{path}.{key}"
                yield Finding("misplaced_key", f"`{key}` is for assistant messages only", "remove it", where)

    def _assistant(self, message: Mapping[str, Any], path: str) -> Iterator[Finding]:
        for key in ("reasoning", "reasoning_content"):
            if key in message and not isinstance(message[key], str):
                yield _expected("reasoning", f"{path}.{key}", "a string", message[key])
        if "reasoning" in message and "reasoning_content" in message:
            where = f"{path}.reasoning_content"
            yield Finding("reasoning", "reasoning under two keys", "keep `reasoning`", where)
        calls, content = message.get("tool_calls"), message.get("content")
        if content is None and calls is None:
            problem = "the assistant message has neither content nor tool calls"
            yield Finding("no_content", problem, "add `content` or `tool_calls`", path)
        elif content is not None:
            for finding in _content(content, f"{path}.content"):
                # Beside calls, content may be empty.
                if calls is None or finding.code != "empty":
                    yield finding
        self._calls = 0
        if "tool_calls" in message:
            yield from self._tool_calls(calls, f"{path}.tool_calls")
        has_reasoning = bool(message.get("reasoning") or message.get("reasoning_content"))
        self._answers.append((path, has_reasoning, message.get("weight") == 0))

    def _tool_calls(self, calls: Any, path: str) -> Iterator[Finding]:
        if not isinstance(calls, list) or not calls:
            yield _expected("tool_calls", path, "a list of calls", calls)
            return
        self._calls = len(calls)
        for index, call in enumerate(calls):
            yield from self._tool_call(call, f"{path}[{index}]")
        if self._tools is None:
            yield _warning("no_tools", "tools are called, but the row lists no tools", "add `tools`", path)

    def _tool_call(self, call: Any, path: str) -> Iterator[Finding]:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(function, Mapping):
            yield _expected("tool_calls", path, 'a call: {"id": ..., "type": "function", "function": {...}}', call)
            return
        if call.get("type") != "function":
            yield _expected("tool_calls", f"{path}.type", "'function'", call.get("type"))
        call_id = call.get("id")
        if not isinstance(call_id, str) or not call_id:
            yield _expected("call_id", f"{path}.id", "the id of the call", call_id)
        elif call_id in self._open:
            yield Finding("call_id", f"two open calls have the id {call_id!r}", "change one", f"{path}.id")
        else:
            self._open[call_id] = path
        name, name_path = function.get("name"), f"{path}.function.name"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield _expected("tool_name", name_path, "the name of a tool", name)
        elif self._tools is not None and name not in self._tools:
            mend = "list it in `tools`, or rename it"
            yield Finding("unknown_tool", f"the tool {name!r} is not listed", mend, name_path)
        yield from _arguments(function.get("arguments"), f"{path}.function.arguments")

    def _result(self, message: Mapping[str, Any], path: str) -> Iterator[Finding]:
        call_id, where = message.get("tool_call_id"), f"{path}.tool_call_id"
        if call_id is None:
            if self._calls > 1:
                yield Finding("call_id", "ambiguous tool result: several calls are open", "add `tool_call_id`", where)
            self._open.clear()
        elif not isinstance(call_id, str):
            yield _expected("call_id", where, "the id of a call", call_id)
        elif call_id not in self._open:
            yield Finding("call_id", f"no open call has the id {call_id!r}", "write the id of the call", where)
        else:
            del self._open[call_id]

    def end_of_input(self, path: str) -> Iterator[Finding]:
        """The rules that the input of a preference breaks as a whole."""
        if self._last == "assistant":
            message = "the last message is the assistant's, but the outputs are its answers"
            yield Finding("role_order", message, "end with a user or tool message", path)
        else:
            yield from self._unanswered()

    def end(self, path: str) -> Iterator[Finding]:
        """The rules that the conversation breaks as a whole."""
        if self._last != "assistant":
            yield from self._unanswered()
        if not self._answers:
            yield Finding("no_assistant", "no assistant message: nothing is learned", "add an answer", path)
        elif all(masked for _, _, masked in self._answers):
            message = "all answers have the weight 0: nothing is learned"
            yield _warning("untrained", message, "give one the weight 1", path)
        elif self._last not in (None, "assistant"):
            message = f"nothing is learned from the last message, which is of the role {self._last!r}"
            yield _warning("untrained", message, "end with an assistant message", path)
        for where, has_reasoning, masked in self._answers[:-1]:
            if has_reasoning and not masked:
                message = "the service trains reasoning models on the last answer only"
                mend = "make a row for each answer, as `motet data build` does"
                yield _warning("untrained_reasoning", message, mend, f"{where}.reasoning")


def _arguments(value: Any, path: str) -> Iterator[Finding]:
    form = "a JSON object as a string"
    if not isinstance(value, str):
        yield _expected("arguments", path, form, value)
        return
    try:
        arguments = json.loads(value)
    except (ValueError, RecursionError) as error:
        yield Finding("arguments", f"the arguments are not valid JSON: {error}", f"write {form}", path)
        return
    if not isinstance(arguments, dict):
        yield _expected("arguments", path, form, arguments)

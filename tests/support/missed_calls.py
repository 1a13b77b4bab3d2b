"""200 completions that miss a call or a typed output in the ways that issues and shims describe, and what each must
become: a table of ways for tools and schemas. Where a way was seen, its issue is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """A completion, what was asked for, and what is right."""

    way: str
    completion: str
    tools: tuple[Any, ...] = ()
    tool_choice: Any = None
    schema: Mapping[str, Any] | None = None
    calls: tuple[tuple[str, Any], ...] = ()
    """The calls that are right, as names and arguments. Without them and without `value`, nothing may be read."""
    value: Any = None
    """The typed output that is right."""

    @property
    def is_negative(self) -> bool:
        return not self.calls and self.value is None


def final(text: str) -> str:
    return f"<|channel|>final<|message|>{text}<|return|>"


def thought(text: str, answer: str = "") -> str:
    return f"<|channel|>analysis<|message|>{text}<|end|><|start|>assistant{final(answer)}"


def _tool(name: str, required: tuple[str, ...], /, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


_TEXT, _INTEGER, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
WEATHER = _tool("get_weather", ("city",), city=_TEXT, days=_INTEGER)
READ = _tool("read_file", ("path",), path=_TEXT)
COMMAND = _tool("run_command", ("command",), command=_TEXT, timeout=_INTEGER, background=_FLAG)
FILTERS = {"type": "object", "properties": {"site": _TEXT, "after": {"type": ["integer", "null"]}}}
SEARCH = _tool("web.search", ("query",), query=_TEXT, filters=FILTERS, sort={"enum": ["date", "rank"]})

SETS: list[tuple[tuple[Any, ...], str, dict[str, Any]]] = [
    ((WEATHER, "now", READ), "get_weather", {"city": "Paris", "days": 3}),
    ((COMMAND, READ, WEATHER), "run_command", {"command": "ls -la 'my docs'", "background": True}),
    ((SEARCH, READ), "web.search", {"query": "rust 1.90", "filters": {"site": "blog", "after": None}, "sort": "date"}),
]
"""Tools, the tool that is meant, and its arguments."""

Way = Callable[[str, dict[str, Any], str], str]


def _named(name: str, arguments: Any, key: str = "name", other: str = "arguments") -> str:
    return json.dumps({key: name, other: arguments})


def _parameters(arguments: Mapping[str, Any], tag: str, name: str = "=") -> str:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in arguments.items()}
    opening = '{} name="{}"' if name == "name" else "{}={}"
    return "".join([f"<{opening.format(tag, key)}>\n{value}\n</{tag}>\n" for key, value in texts.items()])


def _keywords(arguments: Mapping[str, Any]) -> str:
    return ", ".join([f"{key}={value!r}" for key, value in arguments.items()])


WAYS: dict[str, Way] = {
    # As the answer: vllm#25560, runpod-workers/worker-vllm#262 and #271.
    "arguments": lambda name, _, text: final(text),
    "named": lambda name, args, _: final(_named(name, args)),
    # In the words of other APIs: jundot/omlx#1153, cloudflare/ai#574, Extra-Chill/data-machine#2316.
    "parameters": lambda name, args, _: final(_named(name, args, other="parameters")),
    "flat": lambda name, args, _: final(json.dumps({"name": name, **args})),
    "tool_calls": lambda name, args, _: final(
        json.dumps({"tool_calls": [{"id": "1", "type": "function", "function": {"name": name, "arguments": args}}]})
    ),
    "function": lambda name, args, text: final(
        json.dumps({"type": "function", "function": {"name": name, "arguments": text}})
    ),
    "tool_use": lambda name, args, _: final(json.dumps({"type": "tool_use", "id": "t", "name": name, "input": args})),
    "recipient_name": lambda name, args, _: final(_named(f"functions.{name}", args, "recipient_name", "parameters")),
    "action": lambda name, args, _: final(_named(name, args, "action", "action_input")),
    "key": lambda name, args, _: final(json.dumps({name: args})),
    "nameless": lambda name, args, _: final(json.dumps({"arguments": args})),
    "string_arguments": lambda name, _, text: final(_named(name, text)),
    "json_in_json": lambda name, args, _: final(json.dumps(_named(name, args))),
    # With prose and fences: mattn/tensai#180, Gitlawb/openclaude#1076, vllm#19024.
    "fenced": lambda name, _, text: final(f"```json\n{text}\n```"),
    "prose_before": lambda name, args, _: final(f"I will look that up.\n\n{_named(name, args)}"),
    "prose_behind": lambda name, args, _: final(f"{_named(name, args)}\n\nAnything else about a city?"),
    "prose_around": lambda name, _, text: final(f"Let me use {name}:\n\n```json\n{text}\n```\n\nOne moment."),
    "name_before": lambda name, _, text: final(f"{name} {text}"),
    "react": lambda name, _, text: final(f"Action: {name}\nAction Input: {text}"),
    # In the thought or a preamble: vllm#25514, ggml-org/llama.cpp#15789, omeryasirkucuk/amx#372.
    "thought": lambda name, _, text: thought(f"We need the tool {name}. Arguments: {text}"),
    "thought_named": lambda name, args, _: thought(f"So the next step:\n{_named(name, args)}", "One moment."),
    "thought_to": lambda name, _, text: thought(f"We call functions.{name} with {text}."),
    "thought_doubt": lambda name, _, text: thought(f"We don't have live data. So we call {name} with {text}."),
    "answer_doubt": lambda name, _, text: final(f"I cannot see that by myself, so I use {name}:\n{text}"),
    "preamble": lambda name, args, _: (
        f"<|channel|>commentary<|message|>{_named(name, args)}<|end|><|start|>assistant{final('')}"
    ),
    # In the tags of other models: NousResearch/hermes-agent#742 and #83023, QwenLM/qwen-code#10692, jundot/omlx#3429,
    # vellum-ai/vellum-assistant#42234, sipeed/picoclaw#2104, waybarrios/vllm-mlx#15, ml-explore/mlx-lm#792.
    "tool_call_tag": lambda name, args, _: final(f"<tool_call>\n{_named(name, args)}\n</tool_call>"),
    "orphan_tag": lambda name, args, _: final(f"{_named(name, args)}\n</tool_call>"),
    "function_tag": lambda name, args, _: final(
        f"<tool_call>\n<function={name}>\n{_parameters(args, 'parameter')}</function>\n</tool_call>"
    ),
    "function_json": lambda name, _, text: final(f"<function={name}>{text}</function>"),
    "param_tag": lambda name, args, _: final(
        f'<function name="{name}">{_parameters(args, "param", "name")}</function>'
    ),
    "invoke": lambda name, args, _: final(
        f'<function_calls>\n<invoke name="{name}">\n{_parameters(args, "parameter", "name")}</invoke>\n</function_calls>'
    ),
    "own_tag": lambda name, _, text: final(f"<toolcall><{name}>{text}</{name}></toolcall>"),
    "arg_key": lambda name, args, _: final(
        f"<tool_call>{name}\n"
        + "\n".join(
            [
                f"<arg_key>{key}</arg_key>\n<arg_value>{value if isinstance(value, str) else json.dumps(value)}</arg_value>"
                for key, value in args.items()
            ]
        )
        + "</tool_call>"
    ),
    "calling_tool": lambda name, _, text: final(f"[Calling tool: {name}({text})]"),
    "mistral": lambda name, args, _: final(f"[TOOL_CALLS][{_named(name, args)}]"),
    "python_tag": lambda name, args, _: final(f"<|python_tag|>{_named(name, args, other='parameters')}"),
    "deepseek": lambda name, _, text: final(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{text}\n```<｜tool▁call▁end｜>"
    ),
    "kimi": lambda name, _, text: final(
        f"<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>{text}<|tool_call_end|>"
    ),
    # As Python: OpenHands#10187.
    "python": lambda name, args, _: final(f"functions.{name}({_keywords(args)})"),
    "python_fenced": lambda name, args, _: final(f"```python\nprint({name}({_keywords(args)}))\n```"),
    "python_list": lambda name, args, _: final(f"[{name}({_keywords(args)})]"),
    "repr": lambda name, args, _: final(repr({"name": name, "arguments": args})),
    # As JSON that is damaged: ollama#12064 and others of malformed input.
    "trailing_comma": lambda name, _, text: final(text[:-1] + ",\n}"),
    "doubled_braces": lambda name, _, text: final("{" + text + "}"),
    "bare_keys": lambda name, args, _: final(
        f"{name}({{" + ", ".join([f"{key}: {json.dumps(value)}" for key, value in args.items()]) + "})"
    ),
    "missing_brace": lambda name, _, text: final(text[:-1]),
    "key_value_lines": lambda name, args, _: final(
        f"{name}\n" + "\n".join([f"{key}: {value}" for key, value in args.items()])
    ),
    # More than one object.
    "twice": lambda name, args, _: final(f"{_named(name, args)}\n{_named(name, args)}"),
    "with_other": lambda name, _, text: final(f'{{"thought": "look first"}}\n{text}'),
}

REVIEW = {
    "type": "object",
    "properties": {"stars": {"type": "integer", "minimum": 1, "maximum": 5}, "why": _TEXT},
    "required": ["stars", "why"],
    "additionalProperties": False,
}
CITY = {
    "type": "object",
    "properties": {"name": _TEXT, "tags": {"type": "array", "items": _TEXT}, "capital": _FLAG},
    "required": ["name", "tags", "capital"],
    "additionalProperties": False,
}
OUTPUTS = [
    (REVIEW, "Review", {"stars": 4, "why": "It's short."}),
    (CITY, "City", {"name": "Bern", "tags": ["a", "b"], "capital": True}),
]

# promptfoo#5283, langchain4j#598, Cormanz/smartgpt#15, vllm#23120.
OUTPUT_WAYS: dict[str, Way] = {
    "prose": lambda name, _, text: final(f"Reasoning: []{text}"),
    "two_fences": lambda name, _, text: final(f"```python\nprint(1)\n```\n\n```json\n{text}\n```"),
    "thought": lambda name, _, text: thought(f"The answer is {text}"),
    "preamble": lambda name, _, text: f"<|channel|>commentary<|message|>{text}<|end|><|start|>assistant{final('')}",
    "trailing_comma": lambda name, _, text: final(f"{text[:-1]},}}"),
    "repr": lambda name, value, _: final(repr(value)),
    "wrapped": lambda name, value, _: final(json.dumps({name: value})),
    "named": lambda name, value, _: final(_named(name, value)),
    "json_in_json": lambda name, _, text: final(json.dumps(text)),
    "list_of_one": lambda name, value, _: final(json.dumps([value])),
    "call": lambda name, _, text: f"<|channel|>commentary to=functions.{name} json<|message|>{text}<|call|>",
}


def _negatives() -> Iterator[Case]:
    tools, city = (WEATHER, "now", READ), '{"city": "Paris"}'
    twins = (WEATHER, _tool("get_time", ("city",), city=_TEXT))
    register = _tool("register", ("name", "arguments"), name=_TEXT, arguments={"type": "object"})
    cases: list[tuple[str, str, tuple[Any, ...]]] = [
        ("two_calls", final('{"city": "Paris"}\n{"city": "Oslo"}'), tools),
        ("two_drafts", thought('First {"city": "Paris"}, no: {"city": "Lyon"}.'), tools),
        ("fits_two_tools", final(city), twins),
        ("fits_two_ways", final('{"name": "get_weather", "arguments": {"city": "Paris"}}'), (WEATHER, register)),
        ("list_of_arguments", final('[{"city": "Paris"}, {"city": "Oslo"}]'), tools),
        # guoqingbao/xinfer#236: examples are not calls.
        ("refusal", final(f"I can't look that up. A call would be get_weather({city})."), tools),
        ("example", final(f"For example, get_weather takes:\n```json\n{city}\n```"), tools),
        ("instruction", final(f"You can run it yourself: get_weather {city}"), tools),
        ("apology", final(f"I’m sorry, but no tool fits here, not even {city}."), tools),
        ("condition", thought(f"If you knew the city we could send {city}.", "Which city?"), tools),
        ("decision", thought(f"Could call get_weather with {city}. But the user said not to.", "As you like."), tools),
        ("german", final(f"Das kann ich leider nicht. Beispiel: {city}"), tools),
        ("essay", final("The weather tool has one parameter. " * 20 + city), tools),
        ("unknown_tool", final('{"name": "get_wether", "arguments": {"city": "Paris"}}'), tools),
        ("other_tool", final(f"to=functions.get_climate {city}"), tools),
        ("wrong_type", final('{"city": 5}'), tools),
        ("missing_property", final('{"name": "get_weather", "arguments": {"days": 3}}'), tools),
        ("undeclared_property", final('{"city": "Paris", "planet": "Earth"}'), tools),
        ("schema", final(json.dumps(WEATHER["function"]["parameters"])), tools),
        ("variable", final("get_weather(city=city)"), tools),
        ("empty", final("{}"), tools),
        ("cut", final('{"name": "get_weather", "arguments": {"city": "Par'), tools),
        ("duplicate_key", final('{"city": "Paris", "city": "Oslo"}'), tools),
        ("prose", final("I would call the weather tool for Paris."), tools),
    ]
    for way, completion, offered in cases:
        yield Case(way, completion, offered, "required")
    yield Case("not_chosen", final('{"name": "read_file", "arguments": {"path": "a"}}'), tools, "get_weather")
    yield Case("not_asked_for", final('{"name": "get_weather", "arguments": {"city": "Paris"}}'), tools, "auto")
    two = '{"stars": 4, "why": "a"} {"stars": 5, "why": "b"}'
    yield Case("two_values", final(two), schema=REVIEW)
    yield Case("example_value", final('I cannot rate it. It would look like {"stars": 4, "why": "a"}'), schema=REVIEW)


def _cases() -> Iterator[Case]:
    for way, write in WAYS.items():
        for tools, name, arguments in SETS:
            completion = write(name, arguments, json.dumps(arguments))
            choice = "required" if way != "nameless" else {"type": "function", "function": {"name": name}}
            yield Case(way, completion, tools, choice, calls=((name, arguments),))
    parallel = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})]
    tags = "\n".join([f"<tool_call>{_named(name, arguments)}</tool_call>" for name, arguments in parallel])
    for way, text in (
        ("parallel_tags", tags),
        ("parallel_list", json.dumps([{"name": name, "arguments": arguments} for name, arguments in parallel])),
        ("parallel_python", '[get_weather(city="Paris"), get_weather(city="Oslo")]'),
    ):
        yield Case(way, final(text), (WEATHER, READ), "required", calls=tuple(parallel))
    for way, write in OUTPUT_WAYS.items():
        for schema, name, value in OUTPUTS:
            yield Case(f"output_{way}", write(name, value, json.dumps(value)), schema=schema, value=value)
    yield from _negatives()


CASES = tuple(_cases())

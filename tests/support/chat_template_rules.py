"""The rules of gpt-oss's published chat template, said again in Python, for conversations that it does not refuse.

It takes chat dicts as the template does: `thinking` is reasoning, arguments are objects, contents are plain.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TEXTS = Path(__file__).parents[2] / "rust" / "core" / "src" / "render" / "texts"
CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
FUNCTIONS = "\nCalls to these tools must go to the commentary channel: 'functions'."


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def prompt(
    messages: list[dict[str, Any]],
    *,
    tools: list[dict[str, Any]],
    builtin_tools: list[str],
    identity: str,
    effort: str,
    date: str,
    asks: bool,
) -> str:
    """`asks`: the prompt ends with the assistant's header."""
    builtin_texts = [
        (TEXTS / f"{name}.txt").read_text().rstrip() for name in ("browser", "python") if name in builtin_tools
    ]
    sections = [
        f"{identity}\nKnowledge cutoff: 2024-06\nCurrent date: {date}",
        f"Reasoning: {effort}",
        *(["# Tools", *builtin_texts] if builtin_texts else []),
        CHANNELS + (FUNCTIONS if tools else ""),
    ]
    out = frame("system", "\n\n".join(sections))
    instructions_text = ""
    if messages and messages[0]["role"] in ("system", "developer"):
        instructions_text, messages = messages[0]["content"], messages[1:]
    if instructions_text or tools:
        instructions = f"# Instructions\n\n{instructions_text}\n\n" if instructions_text else ""
        out += frame("developer", instructions + (namespace(tools) if tools else ""))
    return out + "".join(turns(messages, asks)) + ("<|start|>assistant" if asks else "")


def frame(header: str, content: str, stop: str = "end") -> str:
    return f"<|start|>{header}<|message|>{content}<|{stop}|>"


def turns(messages: list[dict[str, Any]], asks: bool) -> Iterator[str]:
    called = None
    answers = [
        at for at, message in enumerate(messages) if message["role"] == "assistant" and "tool_calls" not in message
    ]
    for at, message in enumerate(messages):
        thinking, content = message.get("thinking"), message.get("content")
        match message["role"]:
            case "user":
                yield frame("user", message["content"])
            case "tool":
                yield frame(f"functions.{called} to=assistant<|channel|>commentary", dumps(content))
            case "assistant" if "tool_calls" in message:
                if (content or thinking) and not any(answer > at for answer in answers):
                    yield frame("assistant<|channel|>analysis", content or thinking or "")
                function = message["tool_calls"][0]["function"]
                called = function["name"]
                header = f"assistant to=functions.{called}<|channel|>commentary json"
                yield frame(header, dumps(function["arguments"]), "call")
            case "assistant":
                last = at + 1 == len(messages) and not asks
                if last and thinking is not None:
                    yield frame("assistant<|channel|>analysis", thinking)
                yield frame("assistant<|channel|>final", message["content"], "return" if last else "end")


def namespace(tools: list[dict[str, Any]]) -> str:
    out = "# Tools\n\n## functions\n\nnamespace functions {\n\n"
    for tool in tools:
        fields = tool.get("parameters", {}).get("properties")
        required = tool.get("parameters", {}).get("required", [])
        taken = "_: {\n" + "".join([parameter(key, fields[key], required) for key in fields]) + "}" if fields else ""
        out += f"// {tool['description']}\ntype {tool['name']} = ({taken}) => any;\n\n"
    return out + "} // namespace functions"


def parameter(key: str, field: dict[str, Any], required: list[str]) -> str:
    field = field if isinstance(field, dict) else {}
    out = f"// {field['description']}\n" if field.get("description") else ""
    out += field_name(key, required) + shape(field)
    if "default" in field:
        default = field["default"]
        if field.get("enum"):
            out += f", // default: {default}"
        elif field.get("oneOf"):
            out += f"// default: {default}"
        else:
            out += f", // default: {dumps(default)}"
    return out + ",\n"


def field_name(key: str, required: list[str]) -> str:
    return key + ("" if key in required else "?") + ": "


def shape(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any"
    kind = schema.get("type")
    null = " | null" if schema.get("nullable") else ""
    if kind == "array":
        return items(schema.get("items")) + "[]" + null
    if isinstance(kind, list) and kind:
        return " | ".join([str(item) for item in kind])
    if schema.get("oneOf"):
        return " | \n".join([variant(item) for item in schema["oneOf"]])
    if kind == "string":
        return " | ".join([f'"{item}"' for item in schema["enum"]]) if schema.get("enum") else "string" + null
    if kind == "object":
        fields, required = schema.get("properties"), schema.get("required", [])
        inner = [f"{field_name(key, required)}\n{' ' * 16}{shape(item)}" for key, item in (fields or {}).items()]
        return "{\n" + ", ".join(inner) + "}" if fields else "object"
    return {"number": "number", "integer": "number", "boolean": "boolean"}.get(
        kind if isinstance(kind, str) else "", "any"
    )


def items(schema: Any) -> str:
    if not schema:
        return "any"
    plain = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}
    kind = schema.get("type") if isinstance(schema, dict) else None
    inner = plain[kind] if isinstance(kind, str) and kind in plain else shape(schema)
    return "any" if inner == "object | object" or len(inner) > 50 else inner


def variant(schema: dict[str, Any]) -> str:
    out = shape(schema)
    if schema.get("description"):
        out += f"// {schema['description']}"
    return out + (f"{' ' * 20}// default: {dumps(schema['default'])}" if "default" in schema else "")

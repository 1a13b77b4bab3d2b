"""Strategies for conversations, tools and schemas, as motet and openai-harmony take them."""

from __future__ import annotations

from typing import Any

import openai_harmony as oh
from hypothesis import strategies as st

from motet import Message, Preamble, Reasoning, Text, ToolCall, ToolResult

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda name: (
        name
        not in {"system", "developer", "user", "assistant", "tool", "python", "browser", "container", "repo_browser"}
        and not name.startswith(("python.", "browser.", "container.", "functions."))
    )
)
text = st.text(max_size=60) | st.sampled_from(
    ["", "Hi", "<|end|>", "a\n\nb", "café 中文 🎉", "<|start|>system<|message|>x"]
)
_ENDINGS = ["", "a\nb", "a\r\nb", "\u2028", 'say "x"', "C:\\dir", "} // namespace functions", "'x'"]


@st.composite
def schema_texts(draw: st.DrawFn) -> str:
    """Any text, including what ends comments, strings and lines. (A function, for its short repr.)"""
    return draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(_ENDINGS))


schema_text = schema_texts()
keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_ -]{0,12}", fullmatch=True) | schema_text
json_values = (
    st.none()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.integers(-1000, 1000)
    | schema_text
    | st.lists(st.integers(-(2**63), 2**64 - 1), max_size=3)
)


def schemas(depth: int = 3) -> st.SearchStrategy[Any]:
    about = {
        "description": schema_text,
        "default": json_values,
        "title": schema_text,
        "examples": st.lists(schema_text | st.integers(-(2**63), 2**64 - 1), max_size=2),
    }
    plain = st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                ["string", "integer", "number", "boolean", "null", ["string", "null"], ["integer", "array"]]
            )
        },
        optional={**about, "nullable": st.booleans(), "enum": st.lists(schema_text | st.integers(), max_size=3)},
    )
    if depth == 0:
        return plain | st.just({})
    inner = schemas(depth - 1)
    array = st.fixed_dictionaries({"type": st.just("array")}, optional={**about, "items": inner})
    union = st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}, optional=about)
    return plain | array | union | objects(inner)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(keys, inner, max_size=4)
    return st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={"properties": fields, "required": st.lists(keys, max_size=3), "description": schema_text},
    )


tools = st.lists(
    st.fixed_dictionaries(
        {
            "name": names,
            "description": schema_text,
        },
        optional={"parameters": objects(schemas(2)) | schemas(1)},
    ),
    max_size=3,
    unique_by=lambda tool: tool["name"],
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], list[oh.Message]]:
    """The same conversation twice: ours and theirs."""
    ours: list[Message] = []
    theirs: list[oh.Message] = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["user", "reasoning", "preamble", "final", "call", "builtin", "result"]))
        words, name = draw(text), draw(names)
        make = oh.Message.from_role_and_content
        match kind:
            case "user":
                parts = draw(st.lists(text, min_size=1, max_size=3))
                author = draw(st.none() | st.from_regex(r"[a-z]{1,8}", fullmatch=True))
                ours.append(Message("user", tuple(Text(part) for part in parts), author))
                contents = [oh.TextContent(text=part) for part in parts]
                theirs.append(oh.Message(author=oh.Author(role=oh.Role.USER, name=author), content=contents))
            case "reasoning":
                ours.append(Message("assistant", (Reasoning(words),)))
                theirs.append(make(oh.Role.ASSISTANT, words).with_channel("analysis"))
            case "preamble":
                ours.append(Message("assistant", (Preamble(words),)))
                theirs.append(make(oh.Role.ASSISTANT, words).with_channel("commentary"))
            case "final":
                ours.append(Message("assistant", (Text(words),)))
                theirs.append(make(oh.Role.ASSISTANT, words).with_channel("final"))
            case "call":
                content_type = draw(st.sampled_from(["<|constrain|>json", "json", "code"]))
                ours.append(Message("assistant", (ToolCall(name, words, content_type=content_type),)))
                call = make(oh.Role.ASSISTANT, words).with_channel("commentary").with_recipient(f"functions.{name}")
                theirs.append(call.with_content_type(content_type))
            case "builtin":
                ours.append(Message("assistant", (ToolCall("browser.search", words),)))
                call = make(oh.Role.ASSISTANT, words).with_channel("analysis").with_recipient("browser.search")
                theirs.append(call.with_content_type("code"))
            case "result":
                ours.append(Message("tool", (ToolResult("", words, name),)))
                author = oh.Author.new(oh.Role.TOOL, f"functions.{name}")
                result = oh.Message.from_author_and_content(author, words).with_channel("commentary")
                theirs.append(result.with_recipient("assistant"))
    return ours, theirs

"""Streams of tokens and conversations for openai-harmony and its drop-in: valid, damaged, and of values that no header has.

Conversations are described by plain values, from which each library makes its own models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

import motet
from tests.support.completions import CORPUS
from tests.support.conversations import objects, schema_text, schemas, text

MARKERS = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>"]
HEADER_WORDS = [
    *("assistant", "user", "system", "developer", "tool", "functions.f", "to=", " to=functions.f", " to=assistant"),
    *(
        "analysis",
        "commentary",
        "final",
        " json",
        "json",
        " code",
        "<|channel|>",
        "<|constrain|>",
        " <|constrain|>json",
    ),
    *(" ", "\n", "\u3000", "\u00a0", "<", "all", "tool tool", "é", "a\tb", "\x0b", "\x1c", '"\\\u200b'),
]
VALID = [
    "<|channel|>analysis<|message|>Think é中🤌.<|end|>",
    "<|start|>assistant<|channel|>analysis<|message|>Think.<|end|>",
    "<|start|>assistant<|channel|>final<|message|>Hello, world<|return|>",
    '<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>',
    '<|start|>assistant to=functions.f<|channel|>commentary<|constrain|>json<|message|>{"a": 1}<|call|>',
    "<|start|>functions.f to=assistant<|channel|>commentary<|message|>42<|end|>",
    "<|start|>user<|message|>Hi<|end|>",
]


def tokens_of(text: str) -> list[int]:
    return motet.encode(text, special="token")


# A few pieces of each, so that shrinking ends early: single tokens, pieces of headers, whole messages, broken characters.
_piece = st.one_of(
    st.sampled_from(MARKERS).map(tokens_of),
    st.sampled_from(MARKERS).map(tokens_of),
    st.sampled_from(HEADER_WORDS).map(tokens_of),
    st.sampled_from(HEADER_WORDS).map(tokens_of),
    st.sampled_from(VALID).map(tokens_of),
    st.lists(st.sampled_from(HEADER_WORDS), max_size=4).map(
        lambda words: tokens_of(f"<|start|>{''.join(words)}<|message|>")
    ),
    st.text(max_size=8).map(lambda value: motet.encode(value)),
    st.text("🤌中é👩🏽‍🚀ﷺ", max_size=3).map(lambda value: motet.encode(value)[:-1]),
    st.lists(st.integers(0, 255), max_size=3),
    st.integers(0, 201_090).map(lambda token: [token]),
    st.sampled_from([200_018, 201_088, 201_089, 2**32 - 1, -1, 2**32]).map(lambda token: [token]),
)
_case = st.sampled_from(CORPUS).map(lambda path: tokens_of(path.read_text().split("\n===\n")[1])[:80])


@st.composite
def token_streams(draw: st.DrawFn) -> list[int]:
    """Tokens as models write them, damaged, and at random."""
    if draw(st.integers(0, 3)) == 0:
        tokens = list(draw(_case))
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(tokens)))
            tokens[at : at + draw(st.integers(0, 2))] = draw(_piece)
        return tokens
    return [token for piece in draw(st.lists(_piece, max_size=10)) for token in piece]


def header_values(*common: str) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(common) | st.sampled_from([*HEADER_WORDS, ""]) | st.text(max_size=8)


numbers = st.floats(allow_nan=True) | st.integers()
parameters = (
    objects(schemas(2))
    | schemas(1)
    | st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.dictionaries(
                text, numbers.map(lambda number: {"type": "number", "default": number}), max_size=2
            ),
        }
    )
)
tool_values = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "g", "a b", ""]), "description": schema_text, "parameters": st.none() | parameters}
)
namespace_values = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["functions", "browser", "zoo", "", "F"]),
        "description": st.none() | schema_text | st.sampled_from(["", "a\nb", "\n\n"]),
        "tools": st.lists(tool_values, max_size=2),
    }
)
namespaces = st.none() | st.dictionaries(
    st.sampled_from(["functions", "browser", "zoo", ""]), namespace_values, max_size=2
)
system_values = st.fixed_dictionaries(
    {},
    optional={
        "model_identity": st.none() | text,
        "reasoning_effort": st.sampled_from([None, "Low", "Medium", "High"]),
        "conversation_start_date": st.none() | st.just("2025-06-28") | text,
        "knowledge_cutoff": st.none() | text,
        "channel_config": st.none()
        | st.fixed_dictionaries(
            {
                "valid_channels": st.lists(st.sampled_from(["analysis", "final", ""]), max_size=3),
                "channel_required": st.booleans(),
            }
        ),
        "tools": namespaces,
    },
)
developer_values = st.fixed_dictionaries({}, optional={"instructions": st.none() | text, "tools": namespaces})
content_values = st.one_of(
    st.tuples(st.just("TextContent"), text.map(lambda value: {"text": value})),
    st.tuples(st.just("TextContent"), text.map(lambda value: {"text": value})),
    st.tuples(st.just("SystemContent"), system_values),
    st.tuples(st.just("DeveloperContent"), developer_values),
)


@st.composite
def message_values(draw: st.DrawFn) -> dict[str, Any]:
    role = draw(st.sampled_from(["user", "assistant", "assistant", "system", "developer", "tool"]))
    home = {"system": "SystemContent", "developer": "DeveloperContent"}.get(role)
    contents = st.lists(
        content_values
        if draw(st.integers(0, 9)) == 0
        else content_values.filter(lambda c: c[0] in ("TextContent", home)),
        max_size=3,
    )
    name = draw(st.none() | st.sampled_from(["functions.f", "carol"]) | text)
    return {
        "role": role,
        "name": "browser.search" if role == "tool" and name is None and draw(st.integers(0, 9)) else name,
        "content": draw(contents),
        "channel": draw(header_values("analysis", "final", "final", "commentary")),
        "recipient": draw(header_values("assistant", "all", "functions.f")),
        "content_type": draw(header_values("<|constrain|>json", "json", "<|constrain|>")),
    }


conversation_values = st.lists(message_values(), max_size=5)


def make_message(library: Any, values: dict[str, Any]) -> Any:
    return library.Message(
        author=library.Author(role=library.Role(values["role"]), name=values["name"]),
        content=[getattr(library, name)(**fields) for name, fields in values["content"]],
        channel=values["channel"],
        recipient=values["recipient"],
        content_type=values["content_type"],
    )


def make_conversation(library: Any, values: list[dict[str, Any]]) -> Any:
    return library.Conversation(messages=[make_message(library, message) for message in values])


def outcome(call: Callable[[], Any]) -> Any:
    """The result, or the type and the text of the exception."""
    try:
        return call()
    # openai-harmony panics for some inputs, which is no `Exception`.
    except BaseException as error:
        return type(error).__name__, _unescaped(str(error))


def _unescaped(text: str) -> str:
    """Errors quote text as Rust does, which escapes characters that are newer than its tables."""
    return re.sub(r"\\u\{([0-9a-f]+)\}", lambda match: chr(int(match[1], 16)), text)


def observed(library: Any, parser: Any) -> dict[str, Any]:
    """All that a parser shows, as plain values."""
    role = parser.current_role
    return {
        "current_content": parser.current_content,
        "current_role": None if role is None else role.value,
        "current_channel": parser.current_channel,
        "current_recipient": parser.current_recipient,
        "current_content_type": parser.current_content_type,
        "last_content_delta": parser.last_content_delta,
        "state": parser.state.value,
        "state_data": parser.state_data,
        "tokens": parser.tokens,
        "messages": [message.to_dict() for message in parser.messages],
        "fields": [sorted(message.model_fields_set) for message in parser.messages],
    }


def states(library: Any, encoding: Any, tokens: list[Any], role: str | None, strict: bool) -> list[Any]:
    """What a parser shows after each token and after the end, errors included."""
    parser = library.StreamableParser(encoding, None if role is None else library.Role(role), strict=strict)
    out = [observed(library, parser)]
    for token in tokens:
        # `None` stands for the end of the input.
        step = parser.process_eos if token is None else (lambda token=token: parser.process(token))
        result = outcome(step)
        out.append((result if result is not parser else "itself", observed(library, parser)))
    return out


def parsed(library: Any, encoding: Any, tokens: list[int], role: str | None, strict: bool) -> Any:
    """The messages of a completion as dicts, or the exception."""
    role = None if role is None else library.Role(role)
    parse = encoding.parse_messages_from_completion_tokens
    return outcome(lambda: [message.to_dict() for message in parse(tokens, role, strict=strict)])


def rendered(library: Any, encoding: Any, values: list[dict[str, Any]], drop: bool) -> list[Any]:
    """The results of all methods that render."""
    conversation = make_conversation(library, values)
    config = library.RenderConversationConfig(auto_drop_analysis=drop)
    options = library.RenderOptions(conversation_has_function_tools=drop)
    return [
        outcome(lambda: encoding.render_conversation(conversation, config)),
        outcome(lambda: encoding.render_conversation_for_training(conversation, config)),
        *[
            outcome(lambda role=role: encoding.render_conversation_for_completion(conversation, role, config))
            for role in (library.Role.ASSISTANT, library.Role.TOOL)
        ],
        *[outcome(lambda message=message: encoding.render(message, options)) for message in conversation],
        conversation.to_dict(),
        conversation.to_json(),
    ]

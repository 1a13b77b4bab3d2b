"""Plain chat dicts, which the native module reads: the same as `motet.dialects.chat` reads of them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import Message, Text, _core
from motet.dialects import chat

CALL = {"id": "c1", "type": "function", "function": {"name": "functions.f", "arguments": '{"a": 1}'}}
PLAIN: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi", "name": "alice"},
    {"role": "user", "content": [{"type": "text", "text": "2"}, {"type": "input_text", "text": "+2?"}]},
    {"role": "assistant", "content": "Let me see.", "reasoning_content": "add", "tool_calls": [CALL], "refusal": None},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "function_call": None},
    {"role": "tool", "tool_call_id": "c1", "content": "4"},
    {"role": "tool", "name": "f", "content": [{"type": "text", "text": "4"}]},
    {"role": "assistant", "content": "4", "reasoning": "sure", "tool_calls": None},
]

texts = st.text(alphabet=st.characters(codec=None), max_size=3)  # Lone surrogates included.
odd = st.sampled_from([None, "", 0, False, [], {}, ["x"], (), b"x"])


def mostly(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Valid values, and an odd one now and then: a dict with many keys is then often plain."""
    return st.sampled_from([values] * 7 + [odd]).flatmap(lambda strategy: strategy)


optional_texts = mostly(texts | st.none())
kinds = mostly(
    st.sampled_from(["text", "input_text", "output_text", "refusal", "image_url", "tool_use", "tool_result"])
)
text_parts = st.lists(mostly(st.fixed_dictionaries({"type": kinds, "text": mostly(texts)})), max_size=2)
names = mostly(st.sampled_from(["f", "functions.g"]))
functions = mostly(st.fixed_dictionaries({"name": names, "arguments": optional_texts | st.just({"a": 1})}))
calls = mostly(st.fixed_dictionaries({"id": optional_texts, "function": functions}))
roles = mostly(st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "robot"]))
dicts = st.fixed_dictionaries(
    {"role": roles, "content": mostly(texts | text_parts)},
    optional={
        "type": st.sampled_from([None, None, "message", "reasoning", "text"]),
        "name": optional_texts,
        "tool_name": optional_texts,
        "tool_call_id": optional_texts,
        "reasoning": optional_texts,
        "reasoning_content": optional_texts,
        "thinking": optional_texts,
        "refusal": optional_texts,
        "tool_calls": mostly(st.lists(calls, max_size=2)),
        "function_call": mostly(st.none()),
        "tools": mostly(st.sampled_from([None, [], [{"type": "function", "function": {"name": "f"}}]])),
    },
)


def whole(messages: list[Message]) -> list[Any]:
    """All fields, those included that are not compared."""
    return [
        (message.role, message.name, [(type(part), astuple(part)) for part in message.content]) for message in messages
    ]


@given(st.lists(dicts, min_size=1, max_size=3), st.booleans())
def test_plain_dicts_are_read_the_same_in_both_languages(items: list[Any], unnamed_results: bool) -> None:
    plain = _core.plain_messages(items, unnamed_results)
    if plain is not None:
        assert whole(plain) == whole(chat._read_items(items, unnamed_results))


@given(st.lists(dicts, min_size=1, max_size=3))
def test_dicts_render_as_the_messages_that_are_read_from_them(items: list[Any]) -> None:
    try:
        expected: object = motet.render(chat._read_items(items, False)).ids
    except (motet.RenderError, TypeError, UnicodeEncodeError) as error:
        expected = (type(error), str(error))
    try:
        actual: object = motet.render(items).ids
    except (motet.RenderError, TypeError, UnicodeEncodeError) as error:
        actual = (type(error), str(error))
    assert actual == expected


@pytest.mark.parametrize("item", PLAIN)
def test_dicts_of_usual_conversations_are_plain(item: dict[str, Any]) -> None:
    assert _core.plain_messages([item, Message("user", (Text("x"),))], False) is not None


def test_prompt_keeps_no_reference_to_the_dicts() -> None:
    items = copy.deepcopy(PLAIN)
    prompt = motet.render(items)
    items[1]["content"] = "changed"
    items[3]["tool_calls"][0]["function"]["arguments"] = "changed"
    for same in (prompt.extend(reasoning_effort="medium"), pickle.loads(pickle.dumps(prompt)), motet.render(PLAIN)):
        assert same == prompt


def test_pickled_prompt_keeps_every_part_of_its_messages() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    messages = [
        Message("developer", (motet.DeveloperContent("Be brief.", tools),)),
        *motet.parse_conversation(motet.render(PLAIN, next_role=None).ids),
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": {"rows": [1, 2]}},
    ]
    for dialect in ("motet", "openai_harmony"):
        prompt = motet.render(messages, dialect=dialect)  # type: ignore[arg-type]
        assert pickle.loads(pickle.dumps(prompt)) == prompt
        assert prompt.extend([PLAIN[1]], keep_analysis="all") == motet.render(
            [*messages, PLAIN[1]],
            dialect=dialect,  # type: ignore[arg-type]
            keep_analysis="all",
        )

"""Columns of conversations beside `motet.render`, row by row: as JSON and as structs."""

from __future__ import annotations

import json
import random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import columns
from tests.support.arrow_arrays import TEXT_TYPES, layout
from tests.support.conversations import conversations, tools

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
CALL = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}


def prompt(conversation: Any, **options: Any) -> dict[str, Any] | None:
    """The row of a conversation, by `motet.render`."""
    if conversation is None:
        return None
    try:
        ids = motet.render(conversation, **options).ids
    except (motet.RenderError, TypeError, ValueError) as error:
        return {"ids": None, "tokens": None, "error": str(error)}
    return {"ids": ids, "tokens": len(ids), "error": None}


def as_list(column: columns.Column) -> list[Any]:
    array = pa.array(column)
    array.validate(full=True)
    return array.to_pylist()


texts = st.none() | st.text(max_size=4)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "robot"])},
    optional={
        "content": texts | st.just([{"type": "text", "text": "part"}]) | st.just(["part"]) | st.just(7),
        "name": texts | st.just("functions.f"),
        "tool_name": texts,
        "tool_call_id": texts | st.just("a"),
        "reasoning": texts,
        "reasoning_content": texts | st.just(7),
        "thinking": texts,
        "tool_calls": st.none() | st.just([]) | st.just([CALL]) | st.just([{"function": {"name": "f"}}]) | st.just("x"),
        "function_call": st.none() | st.just({"name": "f", "arguments": "{}"}),
        "refusal": texts,
        "type": st.just("message"),
        "tools": st.none() | st.just([TOOL]),
    },
)
chats = st.lists(messages, max_size=5)
"""Chat messages of every shape, most of which some row of a real table has."""


@given(st.lists(st.none() | chats, max_size=4), st.sampled_from(TEXT_TYPES), st.randoms(use_true_random=False))
def test_prompts_of_json_equal_render(rows: list[Any], kind: pa.DataType, chance: random.Random) -> None:
    texts = [row if row is None else json.dumps(row, ensure_ascii=chance.random() < 0.5) for row in rows]
    array = layout(texts, kind, chance)
    assert as_list(columns.render(array, threads=2)) == [prompt(row) for row in rows]
    options = {"tools": [TOOL], "instructions": "Be brief.", "dialect": chance.choice(["motet", "chat_template"])}
    expected = [prompt(row, current_date="2026-01-01", **options) for row in rows]
    assert as_list(columns.render(array, current_date="2026-01-01", **options)) == expected


@given(conversations(), tools)
def test_prompts_of_generated_chats_equal_render(
    conversation: tuple[list[motet.Message], Any], tools: list[Any]
) -> None:
    chat = motet.to_chat(conversation[0])
    for row in (chat, [message.to_dict() for message in conversation[0]]):
        assert as_list(columns.render(pa.array([json.dumps(row)]), tools=tools)) == [prompt(row, tools=tools)]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def with_encoded_names(array: pa.Array) -> pa.Array:
    """The same conversations, with run-end encoded names."""
    messages = array.values
    index = messages.type.get_field_index("name")
    encoded = pc.run_end_encode(messages.field(index))
    arrays = [encoded if at == index else messages.field(at) for at in range(messages.type.num_fields)]
    items = pa.StructArray.from_arrays(arrays, [field.name for field in messages.type])
    return pa.ListArray.from_arrays(array.offsets, items, mask=array.is_null())


def test_prompts_of_structs_equal_render() -> None:
    rows = [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?", "name": "ada"}],
        [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "reasoning": "Ask.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "a", "content": "sunny"},
        ],
        None,
        [],
        [{"role": "robot", "content": "x"}],
    ]
    array = pa.array(rows)
    expected = [row if row is None else prompt(without_nulls(row)) for row in array.to_pylist()]
    assert expected[4] is not None
    assert "robot" in expected[4]["error"]
    for kind in (
        array,
        array.slice(1).cast(pa.large_list(array.type.value_type)),
        pa.chunked_array([array, array[2:]]),
    ):
        rendered = as_list(columns.render(kind))
        assert rendered == (expected + expected[2:] if len(kind) > 5 else expected[-len(kind) :])
    # Each row twice: one run of both.
    twice = pa.RunEndEncodedArray.from_arrays(range(2, 2 * len(array) + 1, 2), array)
    assert as_list(columns.render(twice)) == [row for row in expected for _ in range(2)]
    for view in (pa.list_view, pa.large_list_view):
        views = pa.array(array.to_pylist(), view(array.type.value_type))
        assert as_list(columns.render(views.slice(1))) == expected[1:]
    assert as_list(columns.render(with_encoded_names(array))) == expected
    pairs = pa.array([[[("role", "user"), ("content", "Hi")]]], pa.list_(pa.map_(pa.string(), pa.string())))
    assert as_list(columns.render(pairs)) == [prompt([{"role": "user", "content": "Hi"}])]


def test_text_that_is_not_json_is_an_error_of_its_row() -> None:
    rows = as_list(columns.render(pa.array(["no", '{"role": "user"}', "[]", '["\\ud800"]'])))
    assert [row["error"] is None for row in rows] == [False, False, True, False]
    assert rows[1]["error"] == "messages must be a list of messages, not dict"


def test_wrong_options_raise_before_any_row() -> None:
    with pytest.raises(TypeError, match='no option "tols"'):
        columns.render(pa.array([], pa.string()), tols=[])
    with pytest.raises(TypeError, match="no option 'sampled'"):
        columns.render(pa.array(["[]"]), sampled={})
    with pytest.raises(ValueError, match="dialect must be one of"):
        columns.render(pa.array(["[]"]), dialect="x")
    with pytest.raises(TypeError, match=r"array of chat messages is needed, not one of Float64"):
        columns.render(pa.array([1.5]))
    with pytest.raises(TypeError, match=r"array of chat messages is needed, not one of List\(Int64\)"):
        columns.render(pa.array([[1]]))

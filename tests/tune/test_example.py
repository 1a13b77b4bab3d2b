"""An example as a value: its content, its id and its JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

import motet
from motet.tune import Example
from tests.support.training_examples import TOOL, examples
from tests.support.training_rows import ANSWER, USER


def test_example_from_question_and_answer() -> None:
    example = Example.of("Q", "A", thinking="T", system="S", rejected="B", quality=0.5, tags=["x", "x", "y"])
    assert example.messages == (
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "reasoning": "T", "content": "A"},
    )
    assert example.rejected == {"role": "assistant", "content": "B"}
    assert (example.quality, example.tags) == (0.5, ("x", "y"))


def test_id_depends_on_trained_content_only() -> None:
    example = Example.of("Q", "A")
    assert len(example.id) == 32
    assert example.id == Example.of("Q", "A", quality=1, tags=["x"], source="s").id
    assert example.id == Example(({"content": "Q", "role": "user"}, dict(reversed(ANSWER.items())))).id
    others = [
        Example.of("Q", "A", thinking="T"),
        Example.of("Q", "A", rejected="B"),
        Example.of("Q", "a"),
        Example.of("Q", "A", tools=[TOOL]),
        Example.plain("Q"),
    ]
    assert len({example.id, *[item.id for item in others]}) == 6
    assert len({example, Example.of("Q", "A")}) == 1


def test_conversations_are_normalised_for_the_service() -> None:
    example = Example.conversation(
        [
            {"role": "developer", "content": "S"},
            USER,
            {"role": "assistant", "thinking": "T", "content": None, "tool_calls": [
                {"function": {"name": "functions.f", "arguments": {"a": 1}}},
                {"function": {"name": "g", "arguments": "{}"}, "id": "mine"},
            ]},
            {"role": "tool", "name": "g", "content": [1, 2]},
            {"role": "tool", "name": "functions.f", "content": "3"},
            {"role": "assistant", "reasoning_content": "U", "content": "A", "weight": 1},
        ]
    )  # fmt: skip
    arguments = {"name": "f", "arguments": '{"a":1}'}
    assert list(example.messages) == [
        {"role": "system", "content": "S"},
        USER,
        {
            "role": "assistant",
            "reasoning": "T",
            "tool_calls": [
                {"id": "call_0", "type": "function", "function": arguments},
                {"id": "mine", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "[1,2]", "tool_call_id": "mine"},
        {"role": "tool", "content": "3", "tool_call_id": "call_0"},
        {"role": "assistant", "reasoning": "U", "content": "A", "weight": 1},
    ]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Example.conversation([USER]), "no_assistant"),
        (lambda: Example.conversation([]), "no_messages"),
        (lambda: Example.conversation([USER, USER, ANSWER]), "role_order"),
        (lambda: Example.conversation([USER, {"role": "tool", "name": "f", "content": "3"}, ANSWER]), "role_order"),
        (lambda: Example.plain(""), "empty"),
        (lambda: Example.of("Q", "A", quality=2), "quality"),
        (lambda: Example.of("Q", "A", quality="good"), "quality"),
        (lambda: Example.of("Q", "A", tags=[""]), "tags"),
        (lambda: Example.of("Q", "A", tools=["f"]), "tools"),
    ],
)
def test_examples_without_an_answer_are_refused(make: Any, code: str) -> None:
    with pytest.raises(motet.DataError) as caught:
        make()
    assert code in [finding.code for finding in caught.value.findings]


@given(examples)
def test_example_survives_json(example: Example) -> None:
    assert Example.from_dict(json.loads(json.dumps(example.to_dict()))) == example

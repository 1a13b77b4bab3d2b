"""Prompts that keep what a model sampled, id for id."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import Message, Reasoning, Text, ToolCall, ToolResult
from tests.support.hypothesis_profiles import examples
from tests.support.sampled_streams import MARKS, TOOLS, cut_streams, noise, without_ids

ASKED = motet.render([{"role": "user", "content": "Weather?"}], tools=TOOLS)
MORE = Message("user", (Text("And tomorrow?"),))


def wire(text: str) -> list[int]:
    return motet.encode(text, special="token")


@examples(200)
@given(cut_streams())
def test_sampled_frames_stay_and_read_the_same(ids: list[int]) -> None:
    longer = ASKED.extend_ids(ids, [MORE])
    assert longer.ids[: len(ASKED) + len(ids)] == ASKED.ids + ids
    message = motet.parse(ids, tools=TOOLS).message
    expected = [*motet.parse_conversation(ASKED.ids), *([message] if message.content else []), MORE]
    assert [*map(without_ids, motet.parse_conversation(longer.ids, tools=TOOLS))] == [*map(without_ids, expected)]
    assert (
        motet.render(
            [{"role": "user", "content": "Weather?"}, message, MORE], tools=TOOLS, sampled={1: ids}, keep_analysis="all"
        )
        == longer
    )


@examples(200)
@given(noise, st.booleans())
def test_any_ids_stay_and_the_next_message_is_read(ids: list[int], by_hand: bool) -> None:
    longer = ASKED.extend_ids(iter(ids) if by_hand else ids, [MORE])
    assert longer.ids[: len(ASKED) + len(ids)] == ASKED.ids + ids
    assert sum(longer.attribution.sampled) == len(ids)
    assert motet.parse_conversation(longer.ids)[-1] == MORE
    assert len(longer.text) > len(ASKED.text)


@pytest.mark.parametrize(
    ("sampled", "close"),
    [
        ("<|channel|>final<|message|>Hi<|return|>", ""),
        ("<|channel|>final<|message|>Hi", "<|end|>"),
        ("<|channel|>analysis<|message|>Let me", "<|end|>"),
        ("<|channel|>analysis<|message|>Done.<|end|>", ""),
        ("<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{", "<|call|>"),
        ("<|channel|>commentary to=functions.get_w", "<|end|>"),
        ("<|channel|>analysis<|message|>a<|end|>assistant<|channel|>final<|message|>Hi", "<|end|>"),
        ("", "<|end|>"),
    ],
)
def test_open_frames_are_closed(sampled: str, close: str) -> None:
    longer = ASKED.extend_ids(wire(sampled), [MORE])
    rest = longer.ids[len(ASKED) + len(wire(sampled)) :]
    assert motet.decode(rest) == close + "<|start|>user<|message|>And tomorrow?<|end|><|start|>assistant"


def test_results_without_a_name_answer_the_calls_in_order() -> None:
    calls = [
        f"<|channel|>commentary to=functions.{name}<|message|>{{}}<|call|>" for name in ("get_weather", "search_files")
    ]
    results = [{"role": "tool", "tool_call_id": f"own-{number}", "content": str(number)} for number in range(2)]
    longer = ASKED.extend_ids(wire("<|start|>assistant".join(calls)), results)
    authors = [frame.name for frame in longer.frames if frame.role == "tool"]
    assert authors == ["functions.get_weather", "functions.search_files"]
    by_id = motet.parse(wire(calls[1])).tool_calls[0].id
    named = ASKED.extend_ids(wire(calls[1]), [Message("tool", (ToolResult(by_id, "x"),))])
    assert named.frames[-1].name == "functions.search_files"
    with pytest.raises(motet.RenderError, match=r"messages\[2\].*no tool call"):
        ASKED.extend_ids(wire("<|channel|>final<|message|>Hi<|return|>"), results[:1])


def test_prompt_that_was_extended_by_ids_keeps_all_of_them() -> None:
    text = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    longer = ASKED.extend_ids(wire(text), [MORE]).extend_ids(wire(text), [MORE])
    assert longer.ids[: len(ASKED)] == ASKED.ids
    assert longer.text.count("Hm.") == 2
    assert longer.dropped == ()
    last = longer.extend([MORE])
    assert last.ids[: len(longer) - 2] == longer.ids[:-2]
    assert [motet.decode(last.ids[start:end]) for start, end in last.spans[-2:]] == [
        "<|start|>user<|message|>And tomorrow?<|end|>"
    ] * 2
    assert last.extend() == last


def test_sampled_reasoning_of_ended_turns_is_dropped() -> None:
    answer = Message("assistant", (Reasoning("weather"), Text("weather")))
    letters = [token for letter in "weather" for token in motet.encode(letter)]
    sampled = [
        *wire("<|channel|>analysis<|message|>"),
        *letters,
        *wire("<|end|><|start|>assistant<|channel|>final<|message|>"),
        *letters,
    ]
    messages = [Message("user", (Text("?"),)), answer, MORE]
    prompt = motet.render(messages, sampled={1: sampled})
    assert prompt.dropped == ((1, 0),)
    ids = prompt.ids[slice(*prompt.spans[1])]
    assert ids == [*wire("<|start|>assistant<|channel|>final<|message|>"), *letters, MARKS["end"]]
    assert prompt.extend([answer]).ids[: len(prompt) - 2] == prompt.ids[:-2]
    # The first frame that stays has no `<|start|>` of its own.
    lost = [token for token in sampled if token != MARKS["start"]]
    assert motet.render(messages, sampled={1: lost}) == prompt
    with pytest.raises(motet.RenderError, match=r"messages\[0\]: sampled ids are for messages of the assistant"):
        motet.render(messages, sampled={0: sampled})
    with pytest.raises(motet.RenderError, match=r"messages\[1\]: the chat template"):
        motet.render(messages, sampled={1: sampled}, dialect="chat_template")


def test_open_frame_goes_on_with_sampled_ids() -> None:
    opened = motet.render([MORE, {"role": "assistant", "content": "It will"}], continue_final_message=True)
    longer = opened.extend_ids(motet.encode(" rain"), [MORE])
    assert longer.ids[: len(opened) + 1] == [*opened.ids, *motet.encode(" rain")]
    assert [message.text for message in motet.parse_conversation(longer.ids)[1:]] == [
        MORE.text,
        "It will rain",
        MORE.text,
    ]
    assert len(longer.spans) == 3
    assert set(longer.attribution.messages[slice(*longer.spans[1])]) == {1}


def test_answer_can_be_opened_behind_a_cut_thought() -> None:
    cut = wire("<|channel|>analysis<|message|>On and on")
    answer = ASKED.extend_ids(cut, [{"role": "assistant", "content": ""}], continue_final_message=True)
    assert answer.text.endswith("On and on<|end|><|start|>assistant<|channel|>final<|message|>")
    assert answer.opened == "<|channel|>final<|message|>"
    with pytest.raises(motet.RenderError, match="continue_final_message"):
        ASKED.extend_ids(cut, continue_final_message=True)
    with pytest.raises(motet.RenderError, match="open frame"):
        answer.extend([MORE])
    answered = answer.extend_ids(motet.encode("42"), [MORE])
    assert motet.parse_conversation(answered.ids)[-2].content == (Reasoning("On and on"), Text("42"))


@pytest.mark.parametrize("dialect", ["motet", "openai_harmony", "chat_template"])
def test_messages_behind_ids_are_rendered_in_the_dialect(dialect: Any) -> None:
    settings: dict[str, Any] = {"dialect": dialect, "tools": TOOLS, "current_date": "2026-01-02"}
    call = ToolCall("get_weather", "{}", id="call-1")
    messages = [MORE, Message("assistant", (call,)), Message("tool", (ToolResult("call-1", "sunny"),)), MORE]
    whole = motet.render(messages, **settings)
    start = motet.render(messages[:1], **settings)
    sampled = motet.render(messages[:2], next_role=None, **settings).ids[len(start) :]
    assert start.extend_ids(sampled, messages[2:]) == whole


def test_prompts_with_sampled_ids_pickle_and_change() -> None:
    sampled = wire("<|channel|>final<|message|>Hi<|return|>")
    longer = ASKED.extend_ids(sampled, [MORE]).extend([MORE])
    assert pickle.loads(pickle.dumps(longer)) == longer
    assert copy.deepcopy(longer) is longer
    hard = longer.extend(reasoning_effort="high")
    assert "Reasoning: high" in hard.text
    assert hard.text.count("Hi<|return|>") == 1
    with_samples = motet.render([MORE, Message("assistant", (Text("Hi"),))], sampled={1: sampled})
    assert pickle.loads(pickle.dumps(with_samples)) == with_samples
    assert "<|return|>" in with_samples.extend(reasoning_effort="low").text


@pytest.mark.parametrize("ids", ["abc", b"abc", 5, [1.5], [None], [-1], [motet.VOCAB_SIZE], [2**40]])
def test_what_is_not_an_id_is_refused(ids: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"token id|integer|sampled"):
        ASKED.extend_ids(ids)


def test_long_chains_of_prompts_end_without_recursion() -> None:
    prompt, sampled = ASKED, wire("<|channel|>final<|message|>Hi<|return|>")
    for _ in range(20_000):
        prompt = prompt.extend_ids(sampled, [])
    assert len(prompt.ids) == len(prompt) == len(ASKED) + 20_000 * (len(sampled) + 2)
    assert len(prompt.spans) == 20_001


def test_prompts_of_one_conversation_keep_their_own_ids() -> None:
    # Extended prompts write their ids behind those of the shorter one, in one list.
    def extended(prompt: motet.Prompt, text: str) -> motet.Prompt:
        return prompt.extend_ids(wire(f"<|channel|>final<|message|>{text}<|return|>"), [MORE])

    base = motet.render([{"role": "user", "content": "Weather?"}])
    own_ids = base.ids
    first, second = extended(base, "Sunny."), extended(base, "Rain, and wind.")
    unread = extended(first, "Yes.")
    third = extended(unread, "No.")
    prompts = [third, second, base, first, unread, base.extend([MORE]), third.extend([MORE])]
    for _ in range(2):
        for prompt in prompts:
            prompt.ids.append(0)
            assert prompt.ids == motet.encode(prompt.text, special="token")
    assert base.ids == own_ids

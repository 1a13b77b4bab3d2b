"""Where each token of a prompt is from, and loss masks, beside a slow rule that reads headers as text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

import motet
from motet import Attribution, Message, Preamble, Reasoning, Text, ToolCall, ToolResult
from tests.support.conversations import conversations
from tests.support.hypothesis_profiles import examples
from tests.support.sampled_streams import MARKS, TOOLS, cut_streams, is_cut_in_header, slow_mask

CHOICES: list[Any] = ["assistant", "final", "without_reasoning", "calls"]
CONVERSATION = [
    Message("user", (Text("Weather?"), Text(" In Paris."))),
    Message("assistant", (Reasoning("hm"), Preamble("Let me see."), ToolCall("get_weather", "{}", id="1"))),
    Message("tool", (ToolResult("1", "sunny"),)),
    Message("assistant", (Reasoning("so"), Text("It is sunny."))),
]


def pieces(prompt: Any, message: int, part: int) -> str:
    chosen = zip(prompt.ids, prompt.attribution.messages, prompt.attribution.parts, strict=True)
    return motet.decode([token for token, *place in chosen if place == [message, part]])


def test_tokens_name_their_message_and_part() -> None:
    prompt = motet.render(CONVERSATION, tools=TOOLS, keep_analysis="all")
    assert prompt.attribution is prompt.attribution
    assert [len(prompt)] * 4 == [*map(len, (lambda a: (a.messages, a.parts, a.kinds, a.sampled))(prompt.attribution))]
    assert pieces(prompt, 0, 0) == "<|start|>user<|message|>Weather?"
    assert pieces(prompt, 0, 1) == " In Paris.<|end|>"
    assert pieces(prompt, 1, 1) == "<|start|>assistant<|channel|>commentary<|message|>Let me see.<|end|>"
    assert pieces(prompt, 3, 1) == "<|start|>assistant<|channel|>final<|message|>It is sunny.<|end|>"
    assert pieces(prompt, -1, -1).endswith("<|end|><|start|>assistant")
    for index, (start, end) in enumerate(prompt.spans):
        assert set(prompt.attribution.messages[start:end]) == {index}


def test_tokens_are_content_header_or_marker() -> None:
    prompt = motet.render(CONVERSATION, tools=TOOLS)
    for token, kind in zip(prompt.ids, prompt.attribution.kinds, strict=True):
        assert (kind == Attribution.MARKER) == (token in MARKS.values())
    for frame in prompt.frames:
        assert frame.content in motet.decode(
            [
                token
                for token, kind in zip(prompt.ids, prompt.attribution.kinds, strict=True)
                if kind == Attribution.CONTENT
            ]
        )
    headers = [
        token for token, kind in zip(prompt.ids, prompt.attribution.kinds, strict=True) if kind == Attribution.HEADER
    ]
    assert motet.decode(headers).startswith("systemdeveloperuserassistantcommentaryassistantcommentary to=functions.")


@examples(100)
@given(conversations().map(lambda pair: pair[0]))
@pytest.mark.parametrize("dialect", ["motet", "openai_harmony"])
def test_attribution_and_masks_of_conversations(dialect: Any, messages: Any) -> None:
    prompt = motet.render(messages, dialect=dialect, keep_analysis="all")
    attribution = prompt.attribution
    for choice in CHOICES:
        assert list(prompt.loss_mask(choice)) == slow_mask(prompt.ids, choice)
    assert list(attribution.sampled) == slow_mask(prompt.ids, "assistant")
    for index, (start, end) in enumerate(prompt.spans):
        assert [place for place, message in enumerate(attribution.messages) if message == index] == [*range(start, end)]
    sample = motet.render_training(messages, dialect=dialect)
    assert list(sample.loss_mask()) == sample.weights == slow_mask(sample.ids, "assistant")
    assert sample.attribution.sampled == sample.loss_mask()


@examples(150)
@given(cut_streams())
def test_masks_of_sampled_ids(ids: list[int]) -> None:
    prompt = motet.render([Message("user", (Text("?"),))], tools=TOOLS)
    longer = prompt.extend_ids(ids, [Message("user", (Text("More?"),))])
    attribution = longer.attribution
    assert list(attribution.sampled) == [0] * len(prompt) + [1] * len(ids) + [0] * (
        len(longer) - len(prompt) - len(ids)
    )
    parts = set(attribution.parts[len(prompt) : len(prompt) + len(ids)]) - {-1}
    assert parts == set(range(len(motet.parse(ids, tools=TOOLS).message.content))) or not ids
    if is_cut_in_header(ids):
        return
    for choice in CHOICES:
        masked = zip(slow_mask(longer.ids, choice), attribution.sampled, strict=True)
        assert list(longer.loss_mask(choice)) == [weight & sampled for weight, sampled in masked]


def test_masks_leave_out_what_is_not_sampled() -> None:
    prompt = motet.render([Message("user", (Text("?"),))])
    cut = motet.encode("<|channel|>final<|message|>Hi", special="token")
    longer = prompt.extend_ids(cut, [Message("user", (Text("Go on"),))])
    chosen = [token for token, weight in zip(longer.ids, longer.loss_mask("final"), strict=True) if weight]
    assert chosen == cut
    with pytest.raises(ValueError, match="tokens must be one of 'assistant', 'final', 'without_reasoning', 'calls'"):
        longer.loss_mask("all")  # type: ignore[arg-type]

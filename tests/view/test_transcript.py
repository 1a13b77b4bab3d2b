"""Transcripts: frames with their tokens, repairs at their places, calls with their results."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet.asking.episode import Episode
from motet.loop.run import Run, Step
from motet.message import Message
from motet.view.transcript import TokenSpan
from tests.support.completions import wild_ids, wild_text
from tests.support.transcripts import METRICS, RUN


def texts(spans: tuple[TokenSpan, ...], part: str) -> str:
    return "".join([span.text for span in spans if span.part == part])


@given(wild_ids | wild_text, st.sampled_from(["assistant", None]), st.sampled_from(["auto", "always"]))
def test_every_token_and_repair_is_in_one_frame(raw: Any, role: Any, stripped: Any) -> None:
    transcript = motet.transcript(raw, role=role, stripped=stripped)
    spans = [span for frame in transcript.frames for span in frame.spans]
    ids = motet.encode(raw, special="token") if isinstance(raw, str) else list(raw)
    assert [token for span in spans for token in span.ids] == ids
    assert sum(transcript.tokens.values()) == len(ids)
    if transcript.frames:
        assert sorted(repr(repair) for frame in transcript.frames for repair in frame.repairs) == sorted(
            map(repr, transcript.repairs)
        )


def test_frames_of_a_completion_have_headers_and_contents() -> None:
    transcript = motet.transcript(
        "<|channel|>analysis<|message|>Hé 😀<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    )
    reasoning, answer = transcript.frames
    assert (reasoning.kind, answer.kind) == ("reasoning", "text")
    assert [texts(frame.spans, "content") for frame in transcript.frames] == ["Hé 😀", "Hi"]
    assert texts(answer.spans, "header") == "assistantfinal"
    assert texts(answer.spans, "marker") == "<|start|><|channel|><|message|><|return|>"
    assert transcript.tokens == {"analysis": 3, "markup": 10, "final": 1}


def test_tokens_that_share_a_character_are_one_span() -> None:
    ids = motet.encode("\N{CUNEIFORM SIGN A}")
    assert len(ids) > 1
    (frame,) = motet.transcript([*motet.encode("<|channel|>final<|message|>", special="token"), *ids]).frames
    assert frame.spans[-1].ids == tuple(ids)
    assert frame.spans[-1].text == "\N{CUNEIFORM SIGN A}"


def test_repairs_stand_at_their_tokens() -> None:
    transcript = motet.transcript("<|channel|>final<|message|>a<|channel|>b<|end|>")
    (frame,) = transcript.frames
    marked = {span.text: [repair.code for repair in span.repairs] for span in frame.spans if span.repairs}
    assert marked == {"<|channel|>": ["marker_in_content"]}
    assert frame.repairs == transcript.repairs


def test_frame_without_stop_token_ends_before_the_next() -> None:
    transcript = motet.transcript(
        "<|channel|>analysis<|message|>A<|start|>assistant<|channel|>final<|message|>B<|return|>"
    )
    first, second = transcript.frames
    assert (texts(first.spans, "content"), texts(second.spans, "marker")[:9]) == ("A", "<|start|>")
    assert [repair.code for repair in second.repairs] == ["missing_end"]


def test_contents_without_markers_are_found_by_text() -> None:
    transcript = motet.transcript("analysisWe need to greet. assistantfinalHello there")
    reasoning, answer = transcript.frames
    assert texts(reasoning.spans, "content").startswith("We need to greet.")
    assert texts(answer.spans, "content") == "Hello there"


@pytest.mark.parametrize("invalid", [300_000, -1, 2**40])
def test_numbers_that_are_no_ids_are_shown(invalid: int) -> None:
    transcript = motet.transcript([invalid, *motet.encode(" and")])
    assert transcript.frames[0].spans[0].text == "\N{REPLACEMENT CHARACTER}"
    assert transcript.repairs[0].code == "invalid_id"


def test_prompt_has_no_repairs_and_ends_in_a_header() -> None:
    prompt = motet.render([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    transcript = motet.transcript(prompt)
    assert transcript.source == "prompt"
    assert [frame.kind for frame in transcript.frames] == ["system_content", "developer_content", "text", None]
    assert list(transcript.ids) == prompt.ids
    assert transcript.repairs == ()


def test_run_pairs_calls_with_results_and_steps() -> None:
    transcript = motet.transcript(RUN)
    assert [(frame.kind, frame.step) for frame in transcript.frames] == [
        ("text", None),
        ("reasoning", 1),
        ("tool_call", 1),
        ("tool_result", 1),
        ("text", 2),
    ]
    (call,) = transcript.calls
    assert (call.call, call.result, call.signal, call.seconds) == (2, 3, "success", 0.5)
    assert [step.n for step in transcript.steps] == [1, 2]
    assert transcript.metrics == RUN.metrics
    assert transcript.tokens_of_step(2)["final"] == 2


def test_saved_run_gives_the_same_transcript() -> None:
    assert motet.transcript(RUN.to_dict()) == motet.transcript(RUN)


def test_sampled_ids_of_a_step_are_shown_with_their_repairs() -> None:
    sampled = array("I", motet.encode("<|channel|>final<|message|>Yes<|channel|>.<|return|>", special="token"))
    step = Step(1, motet.parse(list(sampled)).message, (), METRICS, sampled=sampled)
    transcript = motet.transcript(Run("x/y/z", (Message("user", "Hi"),), Episode(), (step,)))
    assert transcript.frames[-1].ids == sampled
    assert [repair.code for repair in transcript.repairs] == ["marker_in_content"]


def test_conversation_of_chat_dicts_pairs_results_by_id() -> None:
    calls = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in ("a", "b")]
    transcript = motet.transcript(
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "b", "content": "2"},
        ]
    )
    assert [(call.call, call.result) for call in transcript.calls] == [(1, None), (2, 3)]


def test_results_in_a_prompt_are_paired_by_name() -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    prompt = motet.render(
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "a", "content": "2"},
        ]
    )
    transcript = motet.transcript(prompt)
    (call,) = transcript.calls
    assert call.result is not None
    assert transcript.frames[call.result].content == "2"


@pytest.mark.parametrize("source", [{"a": 1}, 5, [1.5]])
def test_other_values_are_refused(source: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        motet.transcript(source)

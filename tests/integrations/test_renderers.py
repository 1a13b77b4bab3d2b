"""gpt-oss behind the protocol of `renderers`, and where that package's own renderer of gpt-oss differs."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

pytest.importorskip("renderers")

import renderers
from hypothesis import given

import motet
from motet.integrations.renderers import MotetRenderer, MotetRendererConfig
from motet.transformers import Tokenizer
from tests.support.hypothesis_profiles import examples
from tests.support.sampled_streams import MARKS, cut_streams, noise

IMPORT_PATH = "motet.integrations.renderers.MotetRenderer"
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "search_files")
]
CALL = {"id": "call-1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Weather?"}]
TURN = [
    *ASKED,
    {"role": "assistant", "reasoning_content": "first thought", "content": "Let me see.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call-1", "content": "24 degrees"},
    {"role": "assistant", "reasoning_content": "second thought", "content": "It is warm."},
]
RENDERER = MotetRenderer()
KEEPING = MotetRenderer(config=MotetRendererConfig(keep_analysis="all"))
PROMPT = RENDERER.render_ids(ASKED, tools=TOOLS, add_generation_prompt=True)


def wire(text: str) -> list[int]:
    return motet.encode(text, special="token")


def flagged(ids: list[int], mask: list[bool]) -> str:
    return motet.decode([token for token, flag in zip(ids, mask, strict=True) if flag])


def chosen(rendered: Any, mask: list[bool], message: int) -> str:
    rows = zip(rendered.token_ids, rendered.message_indices, mask, strict=True)
    return motet.decode([token for token, index, flag in rows if flag and index == message])


def test_package_makes_the_renderer_from_its_import_path() -> None:
    config = renderers.CustomRendererConfig(import_path=IMPORT_PATH, reasoning_effort="high")
    renderer = renderers.create_renderer(Tokenizer(), config, chat_template_kwargs={"reasoning_effort": "low"})
    assert isinstance(renderer, renderers.Renderer)
    assert not renderers.is_multimodal(renderer)
    assert "Reasoning: low" in motet.decode(renderer.render_ids(ASKED))
    assert renderer.get_stop_token_ids() == [MARKS["return"], MARKS["call"]]
    with pytest.raises(ValueError, match="keep_analysis"):
        renderers.CustomRendererConfig(import_path=IMPORT_PATH, keep_analysis="some")


def test_tokenizers_of_other_models_are_refused() -> None:
    class OtherTokenizer(Tokenizer):
        def convert_tokens_to_ids(self, tokens: Any) -> Any:
            return 0

    with pytest.raises(motet.ConfigError, match="not a tokenizer of gpt-oss: it has 0 for <"):
        MotetRenderer(OtherTokenizer())


def test_rendered_tokens_name_their_message() -> None:
    rendered = RENDERER.render(TURN, tools=TOOLS)
    assert rendered.token_ids == RENDERER.render_ids(TURN, tools=TOOLS)
    assert rendered.message_roles == [message["role"] for message in TURN]
    assert rendered.message_tool_names == [None, None, None, "get_weather", None]
    assert sum(rendered.tokens_per_message()) + rendered.message_indices.count(-1) == len(rendered.token_ids)
    answer = (
        "<|channel|>analysis<|message|>second thought<|end|>"
        "<|start|>assistant<|channel|>final<|message|>It is warm.<|return|>"
    )
    assert chosen(rendered, rendered.sampled_mask, 4) == answer
    assert flagged(rendered.token_ids, [index == 4 for index in rendered.message_indices]) == (
        "<|start|>assistant" + answer
    )


def test_content_is_what_the_messages_say() -> None:
    rendered = RENDERER.render(TURN, tools=TOOLS, add_generation_prompt=True)
    bodies = [chosen(rendered, rendered.is_content, index) for index in (0, 1, 3)]
    # One token has the end of the instructions and the blank line behind them.
    assert bodies == ["Be kind.\n\n", "Weather?", "24 degrees"]
    for index in (2, 4):
        assert chosen(rendered, rendered.is_content, index) == chosen(rendered, rendered.sampled_mask, index)
    assert not any(rendered.is_content[-2:])
    assert rendered.message_indices[-2:] == [-1, -1]


def test_mask_has_exactly_what_a_completion_has() -> None:
    rendered = RENDERER.render(TURN[:3], tools=TOOLS)
    assert rendered.token_ids[: len(PROMPT)] == PROMPT
    assert rendered.sampled_mask == [False] * len(PROMPT) + [True] * (len(rendered.token_ids) - len(PROMPT))
    calls = [CALL, {**CALL, "id": "call-2"}]
    two = RENDERER.render([*ASKED, {"role": "assistant", "content": "", "tool_calls": calls}], tools=TOOLS)
    scaffold = [not sampled for sampled in two.sampled_mask[len(PROMPT) :]]
    assert flagged(two.token_ids[len(PROMPT) :], scaffold) == "<|start|>assistant"


def test_training_samples_are_built_by_the_package() -> None:
    sample = renderers.build_training_sample(
        RENDERER,
        TURN,
        tools=TOOLS,
        role_to_mask=lambda message: message["role"] == "assistant",
        content_sft_roles={"tool"},
        ensure_final_stop=True,
    )
    trained = flagged(sample.token_ids, sample.loss_mask)
    assert trained.startswith("<|channel|>analysis<|message|>first thought<|end|>")
    assert "<|call|>24 degrees<|channel|>" in trained
    assert trained.endswith("It is warm.<|return|>")
    step = renderers.build_trajectory_step(RENDERER, TURN[:2], TURN[2:3], tools=TOOLS)
    assert step["prompt_ids"] == PROMPT


def test_reasoning_of_ended_turns_is_dropped_unless_kept() -> None:
    answer = {"role": "assistant", "reasoning_content": "third thought", "content": "No."}
    longer = [*TURN, {"role": "user", "content": "And Rome?"}, answer]
    for renderer, kept in ((RENDERER, [False, False, True]), (KEEPING, [True, True, True])):
        text = motet.decode(renderer.render_ids(longer))
        assert [f"{number} thought" in text for number in ("first", "second", "third")] == kept
    served = motet.render(longer[:-1], tools=TOOLS).ids
    assert RENDERER.render_ids(longer[:-1], tools=TOOLS, add_generation_prompt=True) == served


@pytest.mark.parametrize(
    ("sampled", "opened", "expected"),
    [
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>", "", ("hm", "Hi", True)),
        ("hm<|end|>assistant<|channel|>final<|message|>Hi<|return|>", "<|channel|>analysis<|message|>", ("hm", "Hi", True)),
        ("hm", "<|channel|>analysis<|message|>", ("hm", "", False)),
        ("hm<|end|>", "<|channel|>analysis<|message|>Earlier ", ("hm", "", True)),
        ("final<|message|>Hi<|return|>", "<|channel|>", (None, "Hi", True)),
        ("hm<|return|>", "<|channel|>analysis<|message|>", ("hm", "", False)),
        ("", "<|channel|>analysis<|message|>", ("", "", False)),
        ("<|start|>assistant<|channel|>final<|message|>Hi", None, (None, "Hi", True)),
        ("", None, (None, "", True)),
    ],
)  # fmt: skip
def test_responses_are_parsed_behind_their_prompt(sampled: str, opened: str | None, expected: tuple[Any, ...]) -> None:
    prompt = None if opened is None else PROMPT + wire(opened)
    parsed = RENDERER.parse_response(wire(sampled), prompt_ids=prompt)
    assert (parsed.reasoning_content, parsed.content, parsed.reasoning_complete) == expected
    assert parsed.tool_calls == []


@pytest.mark.parametrize(
    ("body", "arguments", "status"),
    [
        ('to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>', {"city": "Paris"}, "ok"),
        ("to=get_weather<|message|>{}<|call|>", {}, "ok"),
        ("to=functions.get_weather<|message|>{", "{", "invalid_json"),
        ("to=functions.get_weather<|message|>{}", {}, "unclosed_block"),
        ("to=functions.get_weather<|message|>[1]<|call|>", "[1]", "malformed_structure"),
        ("to=python code<|message|>1 + 1<|call|>", "1 + 1", "ok"),
    ],
)  # fmt: skip
def test_calls_have_spans_and_a_status(body: str, arguments: object, status: str) -> None:
    thought = wire("hm<|end|>")
    frame = wire(f"<|start|>assistant<|channel|>commentary {body}")
    parsed = RENDERER.parse_response(
        thought + frame, tools=TOOLS, prompt_ids=PROMPT + wire("<|channel|>analysis<|message|>")
    )
    (call,) = parsed.tool_calls
    assert (call.arguments, call.status.value) == (arguments, status)
    assert call.token_span == (len(thought), len(thought + frame))
    alone = RENDERER.parse_response(frame[2:], tools=TOOLS, prompt_ids=PROMPT)
    assert alone.tool_calls[0].token_span == (0, len(frame) - 2)


@examples(100)
@given(cut_streams() | noise)
def test_bridges_keep_all_ids_of_prompt_and_completion(sampled: list[int]) -> None:
    message = {"role": "user", "content": "And tomorrow?"}
    bridged = KEEPING.bridge_to_next_turn(PROMPT, sampled, [message], tools=TOOLS)
    if bridged is None:
        assert MARKS["return"] in sampled
        return
    previous = PROMPT + sampled
    assert bridged.token_ids[: len(previous)] == previous
    assert motet.decode(bridged.token_ids).endswith("<|start|>user<|message|>And tomorrow?<|end|><|start|>assistant")
    assert {*map(len, (bridged.message_indices, bridged.sampled_mask, bridged.is_content))} == {len(bridged.token_ids)}
    assert not any(bridged.sampled_mask)
    assert chosen(bridged, bridged.is_content, 0) == "And tomorrow?"
    assert set(bridged.message_indices[: len(previous)]) == {-1}


def test_results_in_bridges_answer_the_sampled_calls() -> None:
    call = wire("<|channel|>commentary to=functions.get_weather<|message|>{<|call|>")
    bridged = RENDERER.bridge_to_next_turn(PROMPT, call, [{"role": "tool", "content": "24 degrees"}], tools=TOOLS)
    assert bridged is not None
    assert "<|start|>functions.get_weather to=assistant" in motet.decode(bridged.token_ids)
    assert bridged.tokens_per_message() == [len(bridged.token_ids) - len(PROMPT) - len(call) - 2]
    # A prompt that ends with a whole message: the completion brings its own header.
    begun = RENDERER.bridge_to_next_turn(PROMPT[:-2], PROMPT[-2:] + call, [{"role": "tool", "content": "24 degrees"}])
    assert begun is not None
    assert begun.token_ids == bridged.token_ids


@pytest.mark.parametrize(
    ("completion", "messages"),
    [
        ("<|channel|>final<|message|>Hi<|return|>", [{"role": "assistant", "content": "no"}]),
        ("<|channel|>final<|message|>Hi<|return|>", []),
        ("<|channel|>final<|message|>Hi<|return|>", [{"role": "user", "content": "next"}]),
        ("<|channel|>final<|message|>Hi<|return|>", [{"role": "tool", "content": "for no call"}]),
        ("<|channel|>analysis<|message|>Hm<|return|>", [{"role": "tool", "content": "for no call"}]),
    ],
)
def test_bridges_leave_to_full_renders_what_changes_history(completion: str, messages: list[Any]) -> None:
    assert RENDERER.bridge_to_next_turn(PROMPT, wire(completion), messages) is None
    assert RENDERER.bridge_to_next_turn([], wire(completion), messages) is None


def test_conversations_without_a_place_are_refused() -> None:
    with pytest.raises(ValueError, match="messages must not be empty"):
        RENDERER.render([])
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(motet.RenderError, match="gpt-oss reads text only"):
        RENDERER.render([{"role": "user", "content": [image]}])


VERSION = importlib.metadata.version("renderers")


@pytest.mark.skipif(VERSION != "0.1.12", reason="the table of docs/guides/trainers.md is about renderers 0.1.12")
def test_differences_from_the_packages_renderer(lent_vocabulary: Any) -> None:
    from renderers.gpt_oss import GptOssRenderer

    theirs = GptOssRenderer(Tokenizer())
    rendered = theirs.render(TURN, tools=TOOLS)
    text = motet.decode(rendered.token_ids)
    assert "<|channel|>" not in flagged(rendered.token_ids, rendered.sampled_mask)
    assert "second thought" not in text
    assert "<|constrain|>" not in text
    assert "<|channel|>final<|message|>Let me see.<|end|>" in text
    assert "<|start|>functions.unknown to=assistant" in text
    opened = theirs.render_ids(ASKED, tools=TOOLS, add_generation_prompt=True)
    assert motet.decode(opened).endswith("<|start|>assistant<|channel|>analysis<|message|>")
    lost_start = wire("hm<|end|>assistant<|channel|>final<|message|>Hi<|return|>")
    assert theirs.parse_response(lost_start, prompt_ids=opened).content == ""
    own_header = wire(
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    )
    assert theirs.parse_response(own_header, prompt_ids=PROMPT).content.startswith("<|channel|>analysis")
    python = wire("hm<|end|><|start|>assistant<|channel|>analysis to=python code<|message|>1<|call|>")
    assert theirs.parse_response(python, prompt_ids=opened).tool_calls == []
    more = wire("hm<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>{}<|call|>more")
    bridged = theirs.bridge_to_next_turn(opened, more, [{"role": "tool", "content": "24"}])
    assert bridged.token_ids[: len(opened + more)] != opened + more
    ended = theirs.bridge_to_next_turn(opened, wire("hm<|end|>"), [{"role": "tool", "content": "24"}])
    assert "hm<|end|><|end|>" in motet.decode(ended.token_ids)

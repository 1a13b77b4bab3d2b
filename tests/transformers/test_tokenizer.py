"""The tokenizer under the names of `transformers`: what that library gives for the published files, written down."""

from __future__ import annotations

import pickle
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet.transformers import BatchEncoding, Tokenizer, pretrained_tokenizer
from tests.support.hypothesis_profiles import examples

TOKENIZER = Tokenizer()
TEXTS = ["Hello world", "<|end|> x", ""]
CHAT = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "thinking": "hm", "content": "Sunny."},
]


def test_special_tokens_are_those_of_the_published_tokenizer() -> None:
    assert TOKENIZER.special_tokens_map == {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|return|>",
        "pad_token": "<|endoftext|>",
    }
    assert (TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id) == (199998, 200002, 199999)
    assert TOKENIZER.all_special_ids == [199998, 200002, 199999]
    assert (len(TOKENIZER), TOKENIZER.vocab_size, TOKENIZER.unk_token_id) == (200_019, 199_998, None)
    assert sorted(TOKENIZER.get_added_vocab().values()) == [*range(199_998, 200_019)]
    vocabulary = TOKENIZER.get_vocab()
    assert len(vocabulary) == 200_019
    assert TOKENIZER.convert_tokens_to_ids(list(vocabulary)) == list(vocabulary.values())


@examples(100)
@given(
    st.text(max_size=30) | st.lists(st.sampled_from(["<|end|>", "<|reserved_200019|>", "a", " é", "\n"])).map("".join)
)
def test_texts_and_tokens_go_back_and_forth(text: str) -> None:
    row = TOKENIZER(text, return_offsets_mapping=True)
    assert TOKENIZER.decode(row.input_ids) == text
    tokens = TOKENIZER.tokenize(text)
    assert tokens == TOKENIZER.convert_ids_to_tokens(row.input_ids)
    assert TOKENIZER.convert_tokens_to_ids(tokens) == row.input_ids
    assert TOKENIZER.convert_tokens_to_string(tokens) == text
    assert len(row.offset_mapping) == len(row.input_ids)
    assert TOKENIZER.encode(text, split_special_tokens=True) == motet.encode(text)


def test_batches_are_padded_and_truncated() -> None:
    assert TOKENIZER(TEXTS, padding=True) == {
        "input_ids": [[13225, 2375], [200007, 1215], [199999, 199999]],
        "attention_mask": [[1, 1], [1, 1], [0, 0]],
    }
    left = TOKENIZER(TEXTS[:1], padding="max_length", max_length=4, padding_side="left")
    assert left.input_ids == [[199999, 199999, 13225, 2375]]
    assert TOKENIZER(TEXTS, truncation=True, max_length=1).input_ids == [[13225], [200007], []]
    cut = Tokenizer(truncation_side="left", model_max_length=1)(TEXTS[0], truncation=True)
    assert cut.input_ids == [2375]
    multiple = TOKENIZER(
        TEXTS[0], padding=True, pad_to_multiple_of=4, return_length=True, return_special_tokens_mask=True
    )
    assert (multiple.length, multiple.special_tokens_mask) == ([4], [0, 0, 1, 1])
    array = TOKENIZER(TEXTS, padding=True, return_tensors="np")
    assert (array.input_ids.shape, array.input_ids.dtype) == ((3, 2), numpy.int64)
    assert TOKENIZER("Hello", return_tensors="np").input_ids.shape == (1, 1)
    words = TOKENIZER(["Hello", " world"], is_split_into_words=True, return_offsets_mapping=True)
    assert (words.input_ids, words.offset_mapping) == ([13225, 2375], [(0, 5), (0, 6)])


def test_encoded_rows_are_padded_as_collators_do() -> None:
    rows = [{"input_ids": [1, 2], "labels": [1, 2]}, {"input_ids": numpy.array([3]), "labels": [-100]}]
    batch = TOKENIZER.pad(rows, return_tensors="np")
    assert batch.input_ids.tolist() == [[1, 2], [3, 199999]]
    assert batch.labels.tolist() == [[1, 2], [-100, -100]]
    assert batch.attention_mask.tolist() == [[1, 1], [1, 0]]
    assert TOKENIZER.pad({"input_ids": [[1], [2, 3]]}).input_ids == [[1, 199999], [2, 3]]
    with pytest.raises(ValueError, match="no padding is known for scores"):
        TOKENIZER.pad([{"input_ids": [1], "scores": [0.5]}])


def test_ids_are_decoded_with_and_without_special_tokens() -> None:
    ids = [200006, 13225, 2375, 200007]
    assert TOKENIZER.decode(ids) == "<|start|>Hello world<|end|>"
    assert TOKENIZER.decode(numpy.array(ids), skip_special_tokens=True) == "Hello world"
    assert TOKENIZER.batch_decode([ids, [13225]], skip_special_tokens=True) == ["Hello world", "Hello"]
    assert TOKENIZER.decode([[13225], [2375]]) == ["Hello", " world"]
    assert TOKENIZER.convert_ids_to_tokens(2375) == "Ġworld"
    assert TOKENIZER.convert_tokens_to_ids(["Ġworld", "no token", ""]) == [2375, None, None]
    assert TOKENIZER.get_special_tokens_mask(ids) == [1, 0, 0, 1]


def test_conversations_become_prompts_with_masks() -> None:
    batch = TOKENIZER.apply_chat_template(CHAT, return_assistant_tokens_mask=True, current_date="2026-01-02")
    prompt = motet.render(CHAT, dialect="chat_template", next_role=None, current_date="2026-01-02")
    assert batch.input_ids == prompt.ids
    masked = [token for token, weight in zip(batch.input_ids, batch.assistant_masks, strict=True) if weight]
    assert motet.decode(masked) == (
        "<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>Sunny.<|return|>"
    )
    ids = TOKENIZER.apply_chat_template(CHAT[:1], add_generation_prompt=True, return_dict=False)
    assert motet.decode(ids[-2:]) == "<|start|>assistant"
    both = TOKENIZER.apply_chat_template([CHAT, CHAT[:1]], padding=True, return_tensors="np", dialect="motet")
    assert both.input_ids.shape == both.attention_mask.shape
    text = TOKENIZER.apply_chat_template(CHAT, tokenize=False, reasoning_effort="high", continue_final_message=True)
    assert "Reasoning: high" in text
    assert text.endswith("Sunny.")


def test_functions_are_tools_of_the_template() -> None:
    def get_weather(city: str) -> str:
        """The weather now."""
        return city

    text = TOKENIZER.apply_chat_template(CHAT, tools=[get_weather], tokenize=False)
    assert "// The weather now.\ntype get_weather = (_: {\ncity: string,\n}) => any;" in text


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TOKENIZER("a", "b"), ValueError, "text_pair"),
        (lambda: TOKENIZER(5), TypeError, "must be str"),
        (lambda: TOKENIZER([5]), TypeError, "not int"),
        (lambda: TOKENIZER("a", padding="max_length"), ValueError, "needs max_length"),
        (lambda: TOKENIZER("a", padding="other"), ValueError, "padding must be"),
        (lambda: TOKENIZER(["a", "b c"], return_tensors="np"), ValueError, "different lengths"),
        (lambda: TOKENIZER("a", return_tensors="tf"), ValueError, "'np' or 'pt'"),
        (lambda: TOKENIZER("a", return_overflowing_tokens=True), ValueError, "return_overflowing_tokens"),
        (lambda: TOKENIZER.apply_chat_template(CHAT, chat_template="{{ x }}"), ValueError, "chat templates"),
        (
            lambda: TOKENIZER.apply_chat_template(CHAT, return_assistant_tokens_mask=True, tokenize=False),
            ValueError,
            "return_dict=True",
        ),
    ],
)
def test_what_the_tokenizer_has_not_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_batches_are_dicts_with_attributes() -> None:
    batch = TOKENIZER("Hello")
    assert isinstance(batch, BatchEncoding)
    assert batch.data == dict(batch)
    assert batch.to("cpu") == batch
    with pytest.raises(AttributeError, match="labels"):
        _ = batch.labels


def test_pretrained_tokenizer_is_one_of_transformers() -> None:
    transformers: Any = pytest.importorskip("transformers")
    tokenizer = pretrained_tokenizer(padding_side="left")
    assert isinstance(tokenizer, transformers.PreTrainedTokenizerBase)
    assert isinstance(tokenizer(TEXTS, padding=True), transformers.BatchEncoding)
    assert pickle.loads(pickle.dumps(tokenizer)).padding_side == "left"
    collated = transformers.DataCollatorWithPadding(tokenizer, return_tensors="np")(
        [{"input_ids": [1]}, {"input_ids": [2, 3]}]
    )
    assert collated["input_ids"].tolist() == [[199999, 1], [2, 3]]


def test_other_chat_templates_are_refused() -> None:
    own = Tokenizer()
    assert own.apply_chat_template(CHAT, chat_template=own.chat_template) == own.apply_chat_template(CHAT)
    with pytest.raises(ValueError, match="other chat templates have no place"):
        own.apply_chat_template(CHAT, chat_template="{{ messages }}")
    own.chat_template = "{{ messages }}"
    with pytest.raises(ValueError, match="other chat templates have no place"):
        own.apply_chat_template(CHAT)


@pytest.mark.parametrize("dialect", ["motet", "openai_harmony", "chat_template"])
def test_answers_at_the_end_are_ended_by_return(dialect: str) -> None:
    options: Any = {"dialect": dialect, "tokenize": False}
    assert "hm" in TOKENIZER.apply_chat_template(CHAT, **options)
    assert TOKENIZER.apply_chat_template(CHAT, **options).endswith("Sunny.<|return|>")
    assert TOKENIZER.apply_chat_template(CHAT, add_generation_prompt=True, **options).endswith(
        "Sunny.<|end|><|start|>assistant"
    )
    sample = TOKENIZER.apply_chat_template(CHAT, dialect=dialect, return_assistant_tokens_mask=True)
    assert (sample.input_ids[-1], sample.assistant_masks[-1]) == (TOKENIZER.eos_token_id, 1)

"""TRL's trainer on a small gpt-oss of random weights: it trains exactly what the assistant writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
import transformers
import trl
from datasets import Dataset
from trl import chat_template_utils

import motet
from motet.transformers import pretrained_tokenizer

CALL = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
ROWS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "thinking": "first thought", "content": "Hello."},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "thinking": "second thought", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "name": "get_weather", "content": "24"},
            {"role": "assistant", "thinking": None, "content": "Warm."},
        ]
    },
]


def small_model() -> Any:
    config = transformers.GptOssConfig(
        vocab_size=motet.VOCAB_SIZE,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        num_local_experts=1,
        num_experts_per_tok=1,
    )
    torch.manual_seed(0)
    return transformers.GptOssForCausalLM(config)


def trainer(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Any:
    arguments = trl.SFTConfig(
        str(folder),
        assistant_only_loss=True,
        max_steps=1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        disable_tqdm=True,
        **options,
    )
    dataset = Dataset.from_list(rows)
    return trl.SFTTrainer(small_model(), arguments, train_dataset=dataset, processing_class=pretrained_tokenizer())


def trained_texts(rows: Any) -> list[str]:
    return [
        motet.decode([token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100])
        for row in rows
    ]


@pytest.mark.filterwarnings("ignore")
def test_trainer_trains_on_what_the_assistant_writes(tmp_path: Path) -> None:
    # Arrow gives each row all keys of all rows, with `None` for those that it has not.
    training = trainer(tmp_path, ROWS, per_device_train_batch_size=2)
    assert trained_texts(training.train_dataset) == [
        "<|channel|>analysis<|message|>first thought<|end|><|channel|>final<|message|>Hello.<|return|>",
        ' to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Paris"}<|call|>'
        "<|channel|>final<|message|>Warm.<|return|>",
    ]
    assert training.train().training_loss > 0
    training.save_model(str(tmp_path / "saved"))
    assert (tmp_path / "saved/model.safetensors").exists()


@pytest.mark.filterwarnings("ignore")
def test_rows_choose_how_they_are_rendered(tmp_path: Path) -> None:
    options = {"dialect": "motet", "keep_analysis": "all", "reasoning_effort": "low"}
    training = trainer(tmp_path, [{**row, "chat_template_kwargs": options} for row in ROWS])
    texts = trained_texts(training.train_dataset)
    assert "<|channel|>analysis<|message|>second thought<|end|>" in texts[1]
    assert "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>" in texts[1]
    assert texts[1].endswith("Warm.<|return|>")
    assert "Reasoning: low" in motet.decode(training.train_dataset[0]["input_ids"])


def test_checks_of_templates_pass() -> None:
    tokenizer = pretrained_tokenizer()
    assert chat_template_utils.has_generation_markers(tokenizer.chat_template)
    assert chat_template_utils.is_chat_template_stop_token_trained(tokenizer)

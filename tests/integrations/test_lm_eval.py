"""A task of lm-evaluation-harness scores answers, with its own evaluator and a model that writes harmony."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from motet.integrations.lm_eval import AnswerFilter, answers_only

CAPITALS = {"France": "Paris", "Norway": "Oslo", "Japan": "Tokyo", "Italy": "Rome"}
MARKED = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>"
FORMS = [MARKED, MARKED.removesuffix("<|return|>"), "analysisEasy.assistantfinal{}", "{}"]
"""With markers, without the stop token, with markers that the server removed, and without markup."""


class Writer(LM):
    """Answers each question in another form."""

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        countries = [next(name for name in CAPITALS if name in request.args[0]) for request in requests]
        return [form.format(CAPITALS[country]) for form, country in zip(FORMS, countries, strict=True)]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError


def task(folder: Path, filters: str) -> TaskManager:
    rows = [{"question": f"What is the capital of {country}?", "answer": city} for country, city in CAPITALS.items()]
    (folder / "rows.jsonl").write_text("".join([json.dumps(row) + "\n" for row in rows]))
    (folder / "capitals.yaml").write_text(
        f"""\
task: motet_capitals
dataset_path: json
dataset_kwargs:
  data_files: {{test: {folder / "rows.jsonl"}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: []}}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
{filters}
"""
    )
    return TaskManager(include_path=str(folder), include_defaults=False)


def accuracy(lm: LM, manager: TaskManager, name: str = "none") -> float:
    results = lm_eval.simple_evaluate(lm, tasks=["motet_capitals"], task_manager=manager, bootstrap_iters=0)
    return float(results["results"]["motet_capitals"][f"exact_match,{name}"])


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_filter_scores_the_answers(tmp_path: Path) -> None:
    assert accuracy(Writer(), task(tmp_path, "")) == 0.25
    filters = "filter_list: [{name: answer, filter: [{function: motet}, {function: take_first}]}]"
    assert accuracy(Writer(), task(tmp_path, filters), "answer") == 1.0


def test_model_returns_answers_to_tasks_without_filters(tmp_path: Path) -> None:
    assert accuracy(answers_only(Writer()), task(tmp_path, "")) == 1.0


def test_filter_leaves_log_likelihoods() -> None:
    rows = [[(-1.5, True)], ["Paris", MARKED.format("Oslo")]]
    assert [*AnswerFilter().apply(rows, [{}, {}])] == [[(-1.5, True)], ["Paris", "Oslo"]]

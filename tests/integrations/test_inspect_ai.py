"""A task of Inspect scores answers, with its own evaluator and a model that writes harmony."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Scorer, exact
from inspect_ai.solver import generate

from motet.integrations.inspect_ai import answers, read_harmony

MARKED = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>Paris<|return|>"
FORMS = [MARKED, MARKED.removesuffix("<|return|>"), "analysisEasy.assistantfinalParis", "Paris"]


def run(folder: Path, solver: Any, scorer: Scorer) -> EvalLog:
    outputs = [ModelOutput.from_content("mockllm/model", form) for form in FORMS]
    for output in outputs:
        # Without it the mock downloads a tokenizer to count.
        output.usage = ModelUsage(input_tokens=10, output_tokens=10, total_tokens=20)
    task = Task(
        dataset=[Sample("Capital of France?", target="Paris", id=number) for number in range(4)],
        solver=solver,
        scorer=scorer,
    )
    (log,) = eval(
        task,
        model=get_model("mockllm/model", custom_outputs=outputs, memoize=False),
        log_dir=str(folder),
        display="none",
        max_samples=1,
    )
    assert log.status == "success", log.error
    return log


def accuracy(log: EvalLog) -> float:
    assert log.results is not None
    return float(log.results.scores[0].metrics["mean"].value)


def test_solver_gives_the_scorer_the_answers(tmp_path: Path) -> None:
    assert accuracy(run(tmp_path, generate(), exact())) == 0.25
    log = run(tmp_path, [generate(), read_harmony()], exact())
    assert accuracy(log) == 1.0
    samples = log.samples
    assert samples is not None
    assert [sample.output.completion for sample in samples] == ["Paris"] * 4
    reasoning = [part.reasoning for part in samples[0].messages[-1].content if part.type == "reasoning"]  # type: ignore[union-attr]
    assert reasoning == ["Easy."]
    assert samples[0].metadata["harmony"] == {"raw": MARKED, "repairs": []}
    assert samples[2].metadata["harmony"]["repairs"][0]["code"] == "stripped_markers"
    assert "harmony" not in samples[3].metadata


def test_wrapped_scorer_sees_the_answers(tmp_path: Path) -> None:
    log = run(tmp_path, generate(), answers(exact()))
    assert accuracy(log) == 1.0
    assert log.results is not None
    assert log.results.scores[0].name == "exact"
    # The log keeps what the model wrote.
    assert log.samples is not None
    assert log.samples[0].output.completion == MARKED

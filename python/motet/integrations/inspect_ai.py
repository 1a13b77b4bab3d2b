"""Inspect scores the answer of a gpt-oss model, not its markup: a solver behind `generate()`, and a wrapper of scorers.

Task(dataset=..., solver=[generate(), read_harmony()], scorer=match())
Task(dataset=..., solver=generate(), scorer=answers(match()))   # and for logs: inspect score
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ContentText, ModelOutput
from inspect_ai.scorer import Score, Scorer, Target
from inspect_ai.solver import Generate, Solver, TaskState, solver

from motet.integrations.evals import completion_of

__all__ = ["answers", "read_harmony"]


@solver
def read_harmony(tools: Sequence[Any] | None = None) -> Solver:
    """Replaces the completion in the last answer by its parts: the answer as text, the reasoning as reasoning.

    A completion has its markers, or markers that the server removed; a text without markup is left as it is. The text
    as it was generated and the repairs are in the metadata of the sample, under `harmony`.

    `tools`: the tools that the model was offered: names or OpenAI tool dicts.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        output = _read(state.output, tools)
        if output is None:
            return state
        raw = state.output.completion
        if state.messages and isinstance(state.messages[-1], ChatMessageAssistant):
            state.messages[-1] = output.message
        state.output = output
        completion = completion_of(raw, tools=tools)
        repairs = [] if completion is None else [dataclasses.asdict(repair) for repair in completion.repairs]
        state.metadata["harmony"] = {"raw": raw, "repairs": repairs}
        return state

    return solve


def answers(scorer: Scorer, tools: Sequence[Any] | None = None) -> Scorer:
    """The scorer, which sees the answer in place of the completion. The state of the sample is not changed.

    `tools`: see `read_harmony`.
    """

    @functools.wraps(scorer)
    async def score(state: TaskState, target: Target) -> Score | None:
        output = _read(state.output, tools)
        if output is not None:
            state = copy.copy(state)
            state.output = output
        return await scorer(state, target)

    return score


def _read(output: ModelOutput, tools: Sequence[Any] | None) -> ModelOutput | None:
    """The output with the parts of its completion. `None`: it has no markup."""
    if output.empty or (completion := completion_of(output.completion, tools=tools)) is None:
        return None
    read = output.model_copy(deep=True)
    content: list[Any] = [ContentReasoning(reasoning=completion.reasoning)] if completion.reasoning else []
    read.choices[0].message.content = [*content, ContentText(text=completion.text)]
    read.completion = completion.text
    return read

"""lm-evaluation-harness scores the answer of a gpt-oss model, not its markup: a filter, and a wrapper of models.

A task names the filter in its YAML, before its own filters, after `import motet.integrations.lm_eval`:

    filter_list:
      - name: answer
        filter:
          - function: motet
          - function: take_first

Tasks that score the response itself, as IFEval does, are run with `lm_eval.simple_evaluate(answers_only(lm), ...)`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from lm_eval.api.filter import Filter
from lm_eval.api.model import LM
from lm_eval.api.registry import register_filter

from motet.integrations.evals import answer_of

__all__ = ["AnswerFilter", "answers_only"]

M = TypeVar("M", bound=LM)


@register_filter("motet")
class AnswerFilter(Filter):
    """The answers of completions, with their markers or with markers that were removed. Texts without markup and
    log-likelihoods are left as they are. Registered as `motet`."""

    def __init__(self, tools: list[Any] | None = None) -> None:
        """`tools`: the tools that the model was offered: names or OpenAI tool dicts."""
        self._tools = tools

    def apply(self, resps: Iterable[Iterable[Any]], docs: list[dict[str, Any]]) -> Iterator[list[Any]]:
        """The responses of each document, in their order."""
        return ([_answer(response, self._tools) for response in responses] for responses in resps)


def answers_only(lm: M, tools: list[Any] | None = None) -> M:
    """The model with answers in place of the completions that `generate_until` returns. The model itself is changed."""
    generate = lm.generate_until

    @functools.wraps(generate)
    def generate_until(requests: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return [_answer(response, tools) for response in generate(requests, *args, **kwargs)]

    lm.generate_until = generate_until  # type: ignore[method-assign]
    return lm


def _answer(response: Any, tools: list[Any] | None) -> Any:
    return answer_of(response, tools=tools) if isinstance(response, str) else response

"""Lark in llguidance: masked sampling, and stop tokens within the grammar."""

from __future__ import annotations

import random
from typing import Any

import pytest

import motet
from tests.support import grammar_engines as engines
from tests.support.grammars import CALL, RETURN, REVIEW, TOOLS, engine, ids_of

# One process only: the compiled grammars of both engines take 1.7 GB.
pytestmark = [pytest.mark.usefixtures("lent_vocabulary"), pytest.mark.xdist_group("grammar_engines")]


@pytest.mark.parametrize("settings", [{}, {"parallel_calls": True}, {"quoting": False}, {"response_format": REVIEW}])
def test_masked_sampling_follows_the_format(settings: dict[str, Any]) -> None:
    result = engine("lark", **settings)
    assert isinstance(result, engines.Llguidance)
    for seed in range(20):
        chance, matcher, ids = random.Random(seed), result.matcher(), []
        while len(ids) < 60 and not matcher.is_stopped():
            choices = result.choices(matcher)
            if matcher.is_accepting():
                # Sampling may end here, which the engine says with the token of its own.
                assert RETURN in choices
                choices = choices[choices != RETURN]
                if not choices.size or chance.random() < 0.5:
                    break
            # Markers come now and then, or no frame would end.
            marks = choices[choices >= 199_998]
            pool = marks if marks.size and chance.random() < 0.4 else choices
            token = int(pool[chance.randrange(len(pool))])
            assert result.take(matcher, token)
            ids.append(token)
        completion = motet.parse(ids, tools=TOOLS)
        codes = {repair.code for repair in completion.repairs}
        if matcher.is_accepting():
            assert codes <= {"multiple_finals", "empty_answer"}, (motet.decode(ids), completion)
            assert motet.parse(ids, tools=TOOLS, strict=True) == completion
        else:
            assert codes <= {"truncated_content", "truncated_header", "stray_text", "invalid_json", "invalid_utf8",
                             "empty_arguments", "missing_message", "empty_answer", "no_markup"}  # fmt: skip


def test_engine_stop_tokens_are_left_out_of_the_grammar() -> None:
    for eos in ([], [RETURN], [RETURN, CALL]):
        for stop in (RETURN, CALL):
            assert (motet.decode([stop]) in motet.grammar(["f"], eos=eos)) is (stop not in eos)
    matcher = engines.Llguidance(motet.grammar(["now"], eos=[RETURN]))
    assert matcher.accepts(ids_of("<|channel|>final<|message|>Hi<|return|>"))

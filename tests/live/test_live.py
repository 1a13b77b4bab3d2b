"""The real service. Never run unless asked for: `pytest -m live`, with TOGETHER_API_KEY set. Costs less than a cent."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import motet
from tests.support.server_scripts import SLUG, WEATHER

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not os.environ.get("TOGETHER_API_KEY"), reason="needs TOGETHER_API_KEY"),
]


@pytest.fixture
def model_atom() -> Iterator[motet.Atom]:
    with motet.atom(SLUG) as atom:
        yield atom


def test_answer_has_its_cost(atom: motet.Atom) -> None:
    answer = atom.ask("Say the word PAPAYA and nothing else.", reasoning_effort="low", max_tokens=400)
    assert "PAPAYA" in (answer.output or "")
    assert answer.metrics.cost.cash.total
    # If this fails, the service renders something that motet does not know of.
    assert answer.metrics.drift == 0


def test_stream_has_its_usage(atom: motet.Atom) -> None:
    with atom.stream("Count from 1 to 5.", reasoning_effort="low", max_tokens=400) as stream:
        assert "".join(stream.text)
    assert stream.answer.usage is not None


def test_tool_call_and_answer(atom: motet.Atom) -> None:
    answer = atom.ask("What is the weather in Zürich?", tools=[WEATHER], reasoning_effort="low", max_tokens=600)
    assert [call.name for call in answer.calls] == ["get_weather"]
    results = [motet.ToolResult(call.id, '{"celsius": 31}') for call in answer.calls]
    assert "31" in (atom.ask(results, on=answer, tools=[WEATHER], max_tokens=600).output or "")


def test_service_is_healthy_and_lists_models(atom: motet.Atom) -> None:
    assert atom.health()
    assert motet.models(refresh=True).source == "service"

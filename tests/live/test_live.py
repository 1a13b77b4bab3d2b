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
def brain() -> Iterator[motet.Atom]:
    with motet.atom(SLUG) as atom:
        yield atom


def test_answer_has_its_cost(brain: motet.Atom) -> None:
    answer = brain.ask("Say the word PAPAYA and nothing else.", reasoning_effort="low", max_tokens=400)
    assert "PAPAYA" in (answer.output or "")
    assert answer.metrics.cost.cash.total
    # If this fails, the service renders something that motet does not know of.
    assert answer.metrics.drift == 0


def test_stream_has_its_usage(brain: motet.Atom) -> None:
    with brain.stream("Count from 1 to 5.", reasoning_effort="low", max_tokens=400) as stream:
        assert "".join(stream.text)
    assert stream.answer.usage is not None


def test_tool_call_and_answer(brain: motet.Atom) -> None:
    asked = brain.ask("What is the weather in Zürich?", tools=[WEATHER], reasoning_effort="low", max_tokens=600)
    assert [call.name for call in asked.calls] == ["get_weather"]
    results = [motet.ToolResult(call.id, '{"celsius": 31}') for call in asked.calls]
    assert "31" in (brain.ask(results, on=asked, tools=[WEATHER], max_tokens=600).output or "")


def test_service_is_healthy_and_lists_models(brain: motet.Atom) -> None:
    assert brain.health()
    assert motet.models(refresh=True).source == "service"

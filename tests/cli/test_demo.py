"""`motet demo`."""

from __future__ import annotations

from tests.support.command_line import command


def test_demo_renders_its_completion_back() -> None:
    printed = command("demo")
    assert printed.startswith("Scripted replay: ")
    assert "identical to what the model wrote." in printed
    assert printed.count("of the cost is analysis and markup") == 2
    assert "\x1b" not in printed
    for word in ("reasoning", "preamble", "tool_call functions.get_forecast", "text"):
        assert word in printed

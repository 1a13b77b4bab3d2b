"""What a prompt may be: texts, messages, episodes, briefs and settings."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

import motet
from tests.support.server_scripts import ANSWER, CALL, LANES, PLAIN, WEATHER, asking, prompt_text


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_tool_result_is_sent_with_reasoning_of_the_turn(style: str, lane: str) -> None:
    with asking(CALL, PLAIN, PLAIN, style=style, lane=lane) as (atom, server):
        first = atom.ask("Is Zürich warm?", tools=[WEATHER], briefs=["Be brief."])
        second = atom.ask([motet.ToolResult(first.calls[0].id, '{"celsius": 24}')], on=first.episode, tools=[WEATHER])
        third = atom.ask("And why?", on=second, tools=[WEATHER])
        assert [second.output, third.output] == [ANSWER, ANSWER]
        bodies = [request.body for request in server.requests if request.method == "POST"]
    assert len(third.episode) == 3
    assert len({request.episode.hash for request in (first, second, third)}) == 3
    if lane == "chat":
        # Each call once, with its reasoning, then the result; after the final answer no reasoning is left.
        assert [m["role"] for m in bodies[1]["messages"]] == ["system", "user", "assistant", "tool"]
        message = bodies[1]["messages"][2]
        assert message["reasoning"] == "I need the weather."
        assert message["content"] == "Let me look."
        assert message["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city": "Zürich"}'}
        assert bodies[1]["messages"][3]["tool_call_id"] == message["tool_calls"][0]["id"]
        assert not any("reasoning" in m for m in bodies[2]["messages"])
    else:
        prompts = [prompt_text(body) for body in bodies]
        assert prompts[1].count("to=functions.get_weather") == 1
        assert "I need the weather." in prompts[1]
        assert "I need the weather." not in prompts[2]
        assert "Be brief." in prompts[2]
        if lane == "ids":
            assert bodies[1]["prompt"][: len(bodies[0]["prompt"])] == bodies[0]["prompt"]


def test_an_episode_is_a_value() -> None:
    with asking(PLAIN, PLAIN, PLAIN) as (atom, _):
        first = atom.ask("Why?", briefs=["PAPAYA99"])
        before = first.episode
        atom.ask("And?", on=first)
        assert first.episode is before
        assert len(first.episode) == 1
        again = motet.Episode.from_dict(first.episode.to_dict())
        assert again == first.episode
        assert again.hash == first.episode.hash
        assert atom.ask("And?", on=again).episode.system == "PAPAYA99"


def test_episode_hashes_separate_adjacent_texts() -> None:
    def episode(question: str, answered: str) -> motet.Episode:
        message = motet.Message("assistant", (motet.Text(answered),))
        return motet.Episode().add([motet.Message("user", (motet.Text(question),))], message)

    assert episode("a\nb", "c").hash != episode("a", "b\nc").hash
    assert episode("a", "b").hash == episode("a", "b").hash


def test_arguments_of_the_caller_are_not_changed() -> None:
    tools, messages = [copy.deepcopy(WEATHER)], [{"role": "user", "content": "Hi"}]
    copies = copy.deepcopy((tools, messages))
    with asking(CALL) as (atom, _):
        atom.ask(messages, tools=tools)
    assert (tools, messages) == copies


def test_briefs_can_be_texts_or_files(tmp_path: Path) -> None:
    page = tmp_path / "style.md"
    page.write_text("Write short words.\n")
    with asking(PLAIN, PLAIN) as (atom, server):
        atom.ask("Hi", briefs=[page, "Be kind.", str(page)])
        front = server.requests[0].body["messages"][0]
        assert front == {"role": "system", "content": "Write short words.\n\nBe kind.\n\nWrite short words."}
        atom.ask(
            [{"role": "system", "content": "And be quick."}, {"role": "user", "content": "Hi"}], briefs=["Be kind."]
        )
        assert server.requests[1].body["messages"][0]["content"] == "Be kind.\n\nAnd be quick."
        with pytest.raises(motet.ConfigError, match=r"missing\.md"):
            atom.ask("Hi", briefs=[tmp_path / "missing.md"])
        with pytest.raises(TypeError, match="briefs must be a list"):
            atom.ask("Hi", briefs="Be kind.")


@pytest.mark.parametrize(
    ("prompt", "error"),
    [(7, TypeError), ({"role": "user"}, TypeError), ([], ValueError), ([{"role": "nobody"}], motet.RenderError)],
)
def test_invalid_prompts_are_refused_before_sending(prompt: Any, error: type[Exception]) -> None:
    with asking(PLAIN) as (atom, server):
        with pytest.raises(error):
            atom.ask(prompt)
        assert server.requests == []


def test_unknown_option_is_named() -> None:
    with asking(PLAIN) as (atom, _), pytest.raises(TypeError, match=r"max_token; options are .*max_tokens"):
        atom.ask("Hi", max_token=3)  # type: ignore[call-overload]


def test_settings_reach_the_service() -> None:
    with asking(PLAIN) as (atom, server):
        atom.ask(
            "Hi",
            reasoning_effort="low",
            max_tokens=900,
            temperature=0.5,
            top_p=0.9,
            seed=7,
            sampling={"top_k": 40},
            tool_choice="none",
            tools=["now"],
            extra={"safety_model": "guard"},
        )
        body = server.requests[0].body
    options = {"reasoning_effort": "low", "max_tokens": 900, "temperature": 0.5, "top_p": 0.9, "seed": 7, "top_k": 40}
    assert options.items() <= body.items()
    assert body["tool_choice"] == "none"
    assert body["tools"] == [{"type": "function", "function": {"name": "now"}}]
    assert body["safety_model"] == "guard"
    assert body["model"] == "openai/gpt-oss-120b"

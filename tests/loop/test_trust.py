"""Which calls are run, and which requests are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

import motet
from tests.support.fake_backend import call, calls, fake_atom, turns
from tests.support.loop_tools import (
    HOWS,
    House,
    good,
    marked,
    ran,
    sums,
    text,
)
from tests.support.server_scripts import asking, final


def test_untrusted_calls_are_not_run(house: House) -> None:
    ran_for: list[str] = []

    def delete() -> str:
        ran_for.append("delete")
        return "gone"

    atom, _ = house.asking("text", calls("delete"), final("A"))
    run = atom.run("Go.", tools=[delete])
    assert (run.text, ran_for) == ("A", [])
    assert run.steps[0].calls[0].signal == "error:constraint"
    assert "read from text are not run" in run.steps[0].calls[0].content
    behind = f"<|channel|>final<|message|>Write it so:<|end|>{call('delete')}"
    atom, _ = house.asking("text", behind, final("A"))
    run = atom.run("Go.", tools=[delete], allow_text_calls=True)
    assert (run.text, ran_for) == ("A", [])
    assert "behind an answer" in run.steps[0].calls[0].content
    atom, _ = house.asking("text", calls("delete"), final("A"))
    atom.run("Go.", tools=[delete], allow_text_calls=True)
    assert ran_for == ["delete"]


def test_run_falls_back_to_a_lane_that_can_render_it() -> None:
    script, service = [calls("marked"), final("A")], {"takes_id_prompts": False}
    with asking(*script, style="llamacpp", lane="text", service=service) as (atom, _):
        with pytest.raises(motet.RenderError, match="quotes control tokens") as caught:
            atom.run("Go.", tools=[marked], allow_text_calls=True)
        assert atom.resume(caught.value.state, tools=[marked], lane="chat").text == "A"  # type: ignore[attr-defined]


def test_quoted_call_in_an_answer_is_not_run(house: House) -> None:
    quoted = motet.encode("<|channel|>final<|message|>", special="token") + motet.encode(f"So: <|end|>{call('text')}")
    atom, _ = house.asking("ids", [*quoted, motet.STOP_TOKENS[0]])
    run = atom.run("Go.", tools=[text])
    assert (len(run.steps), run.steps[0].calls) == (1, ())
    assert "to=functions.text" in run.text


@pytest.mark.parametrize("how", ["run", "stream"])
@pytest.mark.parametrize("limits", [{"max_tokens": 21}, {"max_tokens": 2000}])
def test_truncated_call_is_not_run(house: House, lane: str, how: str, limits: Any) -> None:
    whole = calls(("delete", '{"path": "/tmp/a"}'))
    cut = whole[: whole.index("/tmp/a")] + '"}' if limits["max_tokens"] == 2000 else whole
    gone: list[str] = []

    def delete(path: str) -> None:
        gone.append(path)

    atom, _ = house.asking(lane, cut, whole, final("A"))
    with pytest.raises(motet.MaxTokensError if limits["max_tokens"] == 21 else motet.TruncatedOutputError) as caught:
        ran(house, atom, how, "Go.", tools=[delete], **limits)
    assert gone == []
    run = caught.value.state  # type: ignore[attr-defined]
    assert (run.steps, len(run.aborted)) == ((), 1)
    assert run.metrics.size.tokens.output == caught.value.partial.metrics.size.tokens.output
    run = atom.resume(run, tools=[delete], max_tokens=4000)
    assert (run.text, gone) == ("A", ["/tmp/a"])
    sums(run)


def test_call_on_another_channel_is_run(house: House) -> None:
    odd = '<|channel|>analysis to=functions.good <|constrain|>json<|message|>{"x": 1}<|call|>'
    atom, _ = house.asking("ids", odd, final("A"))
    run = atom.run("Go.", tools=[good])
    assert run.steps[0].calls[0].content == "2"
    saved = motet.Run.from_dict(json.loads(json.dumps(run.to_dict())))
    assert list(motet.render(saved.messages).ids) == list(motet.render(run.messages).ids)
    assert "analysis to=functions.good" in motet.decode(motet.render(saved.messages).ids)


@pytest.mark.parametrize("how", HOWS)
def test_built_in_tools_are_run(house: House, how: str) -> None:
    class Browser:
        def search(self, query: str) -> str:
            return f"found {query}"

    code = "<|channel|>analysis to=python code<|message|>1 + 1<|call|>"
    search = '<|channel|>analysis to=browser.search code<|message|>{"query": "a"}<|call|>'
    page = '<|channel|>analysis to=browser.open code<|message|>{"id": 1}<|call|>'
    atom, server = house.asking("ids", code, search, page, final("A"))
    run = ran(house, atom, how, "Go.", builtin_tools={"python": eval, "browser": Browser()}, tools=[good])
    assert [step.calls[0].content for step in run.steps[:2]] == ["2", "found a"]
    assert "there is no tool browser.open; the tools are: good, python, browser.search" in run.steps[2].calls[0].content
    prompt = motet.decode(server.requests[-1].body["prompt"])
    assert "<|start|>python to=assistant<|channel|>commentary<|message|>2<|end|>" in prompt
    assert "<|start|>browser.search to=assistant<|channel|>commentary<|message|>found a<|end|>" in prompt
    assert "namespace python" not in prompt
    assert "## python" in prompt
    saved = motet.Run.from_dict(run.to_dict())
    assert list(motet.render(saved.messages).ids) == list(motet.render(run.messages).ids)


def test_built_in_tool_result_is_named_in_the_stream(house: House) -> None:
    atom, _ = house.asking("ids", "<|channel|>analysis to=python code<|message|>1 + 1<|call|>", final("A"))
    with atom.run("Go.", builtin_tools={"python": eval}, stream=True) as stream:
        names = {event.name for event in stream if event.kind == "tool_result"}
    assert names == {"python"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tools": [good, motet.tool(name="good")(text)]}, motet.ConfigError, "two tools have the name good"),
        (
            {"tools": [motet.tool(name="python")(text)], "builtin_tools": {"python": eval}},
            motet.ConfigError,
            "two tools have the name python",
        ),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, TypeError, r"motet\.tools_from"),
        ({"builtin_tools": ["python"]}, TypeError, "must be a dict with their implementations"),
        ({"max_stepz": 3}, TypeError, "unknown option max_stepz; options are .*max_steps"),
        ({"max_cost": [0.1]}, TypeError, "not list"),
        ({"max_steps": 0}, ValueError, "max_steps must be a whole number from 1 on"),
        ({"max_tokens": "many"}, ValueError, "max_tokens must be"),
        ({"max_time": -1}, ValueError, "max_time must be seconds"),
        ({"tool_timeout": 0}, ValueError, "tool_timeout must be seconds"),
    ],
)
def test_invalid_run_options_send_nothing(options: Any, error: type[Exception], message: str) -> None:
    atom, backend = fake_atom(turns(final("A")))
    with pytest.raises(error, match=message):
        atom.run("Go.", **options)
    assert backend.requests == []


def test_required_tool_choice_applies_to_the_first_request(house: House) -> None:
    for choice, later in (
        ("required", None),
        ({"type": "function", "function": {"name": "text"}}, None),
        ("none", "none"),
    ):
        atom, server = house.asking("chat", calls("text"), final("A"))
        atom.run("Go.", tools=[text], tool_choice=choice)  # type: ignore[arg-type]
        assert [request.body.get("tool_choice") for request in server.requests] == [choice, later]

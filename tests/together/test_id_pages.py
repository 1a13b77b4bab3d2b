"""The ids lane over pages that take and return ids alone: vLLM's `/inference/v1/generate` and SGLang's `/generate`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import motet
from motet.testing.server.wire_shapes import logprob_of
from motet.together.lanes.id_pages import SglangChoices, page_body
from tests.support.server_scripts import ANSWER, CALL, PLAIN, WEATHER, aask, asking, final

PAGES: list[tuple[Any, str]] = [("vllm", "/inference/v1/generate"), ("sglang", "/generate")]
IDS = motet.encode(PLAIN, special="token")


def service(page: str) -> dict[str, Any]:
    return {"lane": "ids", "service": {"ids_page": page}}


@pytest.mark.parametrize(("style", "page"), PAGES)
@pytest.mark.parametrize("whole", [True, False])
def test_answers_come_from_the_page(style: Any, page: str, whole: bool) -> None:
    with asking(PLAIN, style=style, **service(page)) as (atom, server):
        if whole:
            answer = atom.ask("Why?", sampling={"logprobs": 0, "temperature": 0.5, "seed": 1})
        else:
            with atom.stream("Why?", sampling={"logprobs": 0, "temperature": 0.5, "seed": 1}) as stream:
                deltas = [event.delta for event in stream if event.kind == "text"]
            answer = stream.answer
            assert "".join(deltas) == ANSWER
        request = server.requests[-1]
    assert request.path == page
    assert (answer.text, answer.lane, answer.finish) == (ANSWER, "ids", "stop")
    assert answer.request_id is not None
    assert answer.usage is not None and answer.usage.output == len(IDS)
    trace = answer.token_trace
    assert trace is not None
    assert (list(trace.sampled_ids), trace.logprobs) == (IDS, trace.logprobs)
    assert list(trace.logprobs or ()) == [logprob_of(token) for token in IDS]
    assert list(trace.prompt_ids) == request.body["token_ids" if style == "vllm" else "input_ids"]
    assert motet.decode(trace.prompt_ids).endswith("<|start|>user<|message|>Why?<|end|><|start|>assistant")
    parameters = request.body["sampling_params"]
    assert parameters["stop_token_ids"] == [200002, 200012]
    assert (parameters["skip_special_tokens"], parameters["temperature"]) == (False, 0.5)
    assert parameters["seed" if style == "vllm" else "sampling_seed"] == 1


@pytest.mark.parametrize(("style", "page"), PAGES)
def test_awaited_answers_come_from_the_page(style: Any, page: str) -> None:
    with asking(PLAIN, style=style, **service(page)) as (atom, server):
        answer = asyncio.run(aask(atom, "Why?"))
        assert server.requests[-1].path == page
    assert answer.text == ANSWER
    assert answer.token_trace is not None and answer.token_trace.logprobs is None


@pytest.mark.parametrize(("style", "page"), PAGES)
def test_loops_are_one_trajectory_over_the_page(style: Any, page: str) -> None:
    def get_weather(city: str) -> str:
        return f"sunny in {city}"

    with asking(CALL, final("Sunny."), style=style, **service(page)) as (atom, _):
        run = atom.run("Weather?", tools=[get_weather], sampling={"logprobs": 0})
    (trajectory,) = motet.trajectories(run)
    assert trajectory.answers == 2
    assert sum(trajectory.response_mask) == sum(
        len(motet.encode(text, special="token")) for text in (CALL, final("Sunny."))
    )


@pytest.mark.parametrize(("style", "page"), PAGES)
def test_limits_and_grammars_are_sampling_parameters(style: Any, page: str) -> None:
    with asking(PLAIN, PLAIN, style=style, **service(page)) as (atom, server):
        with pytest.raises(motet.TruncatedOutputError):
            atom.ask("Why?", max_tokens=5)
        atom.ask("Why?", tools=[WEATHER], tool_choice="none")
        limited, constrained = [
            each.body["sampling_params"] for each in server.requests if "sampling_params" in (each.body or {})
        ]
    assert limited["max_tokens" if style == "vllm" else "max_new_tokens"] == 5
    tag = constrained["structured_outputs"]["structural_tag"] if style == "vllm" else constrained["structural_tag"]
    assert json.loads(tag)["type"] == "structural_tag"


def test_unknown_pages_are_refused() -> None:
    with pytest.raises(motet.ConfigError, match="ids_page of a service must be one of"):
        motet.atom("together/gpt-oss/20b", base_url="http://localhost:1", service={"ids_page": "/v2"})


def test_body_of_completions_is_left_alone() -> None:
    body = {"model": "m", "prompt": [1], "max_tokens": 3}
    assert page_body(body, "/v1/completions") == body
    assert page_body({**body, "priority": 1}, "/inference/v1/generate") == {
        "model": "m",
        "priority": 1,
        "token_ids": [1],
        "sampling_params": {"max_tokens": 3},
    }
    formats: list[Any] = [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": {"type": "null"}}}]
    schemas = [
        page_body({**body, "response_format": each}, "/generate")["sampling_params"]["json_schema"] for each in formats
    ]
    assert schemas == ['{"type": "object"}', '{"type": "null"}']


@pytest.mark.parametrize("repeats", [True, False])
def test_chunks_of_sglang_repeat_or_go_on(repeats: bool) -> None:
    choices, ids, values = SglangChoices(), [], []
    for start, end in ((0, 2), (2, 3), (3, 3), (3, 5)):
        first = 0 if repeats else start
        meta = {
            "id": "a",
            "completion_tokens": end,
            "output_token_logprobs": [[-token / 10, token, None] for token in IDS[first:end]],
            "finish_reason": {"type": "length", "length": 5} if end == 5 else None,
        }
        (choice,) = choices.read({"output_ids": IDS[first:end], "meta_info": meta})["choices"]
        ids += choice["token_ids"]
        values += choice["logprobs"]["token_logprobs"]
    assert ids == IDS[:5]
    assert values == [-token / 10 for token in IDS[:5]]
    assert choice["finish_reason"] == "length"
    with pytest.raises(ValueError, match="output_ids must be a list, not str"):
        choices.read({"output_ids": "abc", "meta_info": {}})

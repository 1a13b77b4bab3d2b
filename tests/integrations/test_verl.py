"""verl's agent loop with prompts and calls by motet."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("verl")

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, DictConfigWrap, ToolListWrap
from verl.experimental.agent_loop.tool_parser import ToolParser
from verl.tools.function_tool import FunctionTool
from verl.tools.schemas import OpenAIFunctionToolSchema
from verl.workers.rollout.replica import TokenOutput

import motet
from motet.integrations.verl import MotetAgentLoop
from motet.transformers import pretrained_tokenizer

SCHEMA: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CONFIG: dict[str, Any] = {
    "actor_rollout_ref": {
        "rollout": {
            "prompt_length": 1000,
            "response_length": 1000,
            "full_determinism": False,
            "multi_turn": {
                "format": "motet",
                "max_user_turns": None,
                "max_assistant_turns": None,
                "max_parallel_calls": 2,
                "max_tool_response_length": 100,
                "tool_response_truncate_side": "right",
            },
        }
    },
    "data": {"apply_chat_template_kwargs": {"reasoning_effort": "low", "conversation_start_date": "2026-11-21"}},
}
MESSAGES = [{"role": "user", "content": "Weather in Paris?"}]


def wire(text: str) -> list[int]:
    return motet.encode(text, special="token")


LETTERS = [token for letter in "weather" for token in motet.encode(letter)]
CALL = [
    *wire("<|channel|>analysis<|message|>"),
    *LETTERS,
    *wire(
        '<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather<|message|>{"city": "Paris"}<|call|>'
    ),
]
ANSWER = wire("<|channel|>final<|message|>24 degrees.<|return|>")


class FakeServers:
    """verl's client of rollout servers: answers in order, and keeps the prompts."""

    def __init__(self, *answers: list[int], logprobs: bool = True) -> None:
        self.answers = list(answers)
        self.logprobs = logprobs
        self.prompts: list[list[int]] = []
        self.parameters: list[dict[str, Any]] = []

    async def generate(self, *, prompt_ids: list[int], sampling_params: dict[str, Any], **options: Any) -> TokenOutput:
        self.prompts.append(list(prompt_ids))
        self.parameters.append(sampling_params)
        ids = self.answers.pop(0)
        return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids) if self.logprobs else None)


def get_weather(city: str) -> str:
    return f"24 degrees in {city}"


def rollout(servers: FakeServers) -> AgentLoopOutput:
    async def run() -> AgentLoopOutput:
        config = OmegaConf.create(CONFIG)
        schema = OpenAIFunctionToolSchema.model_validate(SCHEMA)
        loop = MotetAgentLoop(
            trainer_config=DictConfigWrap(config),
            server_manager=servers,
            tokenizer=pretrained_tokenizer(),
            processor=None,
            dataset_cls=SimpleNamespace,
            data_config=DictConfigWrap(config.data),
            hf_model_type="gpt_oss",
            tools=ToolListWrap([FunctionTool(name="get_weather", fn=get_weather, tool_schema=schema)]),
        )
        return await loop.run({"temperature": 1.0}, raw_prompt=MESSAGES)

    return asyncio.run(run())


@pytest.mark.parametrize("logprobs", [True, False])
def test_rollout_keeps_what_was_sampled(logprobs: bool) -> None:
    servers = FakeServers(CALL, ANSWER, logprobs=logprobs)
    output = rollout(servers)
    first, second = servers.prompts
    options: Any = {"reasoning_effort": "low", "current_date": "2026-11-21"}
    assert first == motet.render(MESSAGES, tools=[SCHEMA], **options).ids == output.prompt_ids
    assert second[: len(first) + len(CALL)] == first + CALL
    between = second[len(first) + len(CALL) :]
    assert motet.decode(between) == (
        "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>24 degrees in Paris<|end|>"
        "<|start|>assistant"
    )
    assert output.response_ids == CALL + between + ANSWER
    assert output.response_mask == [1] * len(CALL) + [0] * len(between) + [1] * len(ANSWER)
    sampled, scaffold = [-0.5] * len(CALL), [0.0] * len(between)
    assert output.response_logprobs == (sampled + scaffold + [-0.5] * len(ANSWER) if logprobs else None)
    assert set(servers.parameters[0]["stop_token_ids"]) == {200002, 200012}
    assert output.num_turns == 4


def test_calls_are_read_by_the_tolerant_parser() -> None:
    parser = ToolParser.get_tool_parser("motet", pretrained_tokenizer())
    schema = OpenAIFunctionToolSchema.model_validate(SCHEMA)
    content, calls = asyncio.run(parser.extract_tool_calls(CALL, [schema]))
    assert (content, [(call.name, call.arguments) for call in calls]) == ("", [("get_weather", '{"city": "Paris"}')])
    assert asyncio.run(parser.extract_tool_calls(ANSWER))[0] == "24 degrees."
    # verl's own parser of gpt-oss finds no call without `<|constrain|>`.
    assert asyncio.run(ToolParser.get_tool_parser("gpt-oss", pretrained_tokenizer()).extract_tool_calls(CALL))[1] == []

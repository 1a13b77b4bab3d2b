"""Compares motet's renderer for trainers with that of PrimeIntellect's `renderers`, and times `extend_ids` behind histories
of different lengths.

Each round runs all candidates of a row on the same input, one after the other, so that noise of the machine affects all.
Reported are the median of the processor time, and the median and the range of the ratio over the rounds. `make trainers` makes an environment with `renderers`:

    .venv/trainers/bin/python benches/trainers.py [--rounds 15] [--only WORD]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import motet  # noqa: E402
from motet.transformers import Tokenizer  # noqa: E402
from tests.support import peer_vocabulary  # noqa: E402

Run = Callable[[], object]
MIN_SECONDS = 0.02
"""A shorter task is repeated within a round."""
SENTENCE = "Tell me about the weather in Paris, and whether I need an umbrella there. " * 2
CALL = {"id": "c", "type": "function", "function": {"name": "tool_1", "arguments": {"city": "Paris"}}}
TOOLS: list[dict[str, Any]] = [
    {
        "name": f"tool_{number}",
        "description": "Does something useful.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    for number in range(5)
]
SAMPLED = motet.encode(
    "<|channel|>analysis<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.tool_1 "
    '<|constrain|>json<|message|>{"city": "Paris"}<|call|>',
    special="token",
)
RESULT = [{"role": "tool", "tool_call_id": "c", "name": "tool_1", "content": SENTENCE}]


@dataclass(frozen=True, slots=True)
class Row:
    """A task, done by several candidates; ratios are those of each to the first."""

    task: str
    candidates: Mapping[str, Run]


def conversation(messages: int) -> list[dict[str, Any]]:
    """A system message, then tool loops of four messages each."""
    loop: list[dict[str, Any]] = [
        {"role": "user", "content": SENTENCE},
        {"role": "assistant", "reasoning_content": SENTENCE, "content": "", "tool_calls": [CALL]},
        *RESULT,
        {"role": "assistant", "content": SENTENCE},
    ]
    return [{"role": "system", "content": SENTENCE}, *(loop * (messages // 4 + 1))][:messages]


def beside_renderers() -> Iterator[Row]:
    from renderers.gpt_oss import GptOssRenderer

    from motet.integrations.renderers import MotetRenderer, MotetRendererConfig

    theirs: Any = GptOssRenderer(Tokenizer())
    ours = MotetRenderer(config=MotetRendererConfig(keep_analysis="all"))

    def arrays(messages: list[Any]) -> None:
        prompt = motet.render(messages, tools=TOOLS, keep_analysis="all")
        _ = (prompt.ids, prompt.attribution)

    for count in (10, 102, 1002):
        messages = conversation(count)
        read = motet.to_messages(messages)
        yield Row(
            f"render with attribution, {count} messages",
            {
                "motet, Messages": partial(arrays, read),
                "motet, dicts": partial(arrays, messages),
                "MotetRenderer": partial(ours.render, messages, tools=TOOLS),
                "GptOssRenderer": partial(theirs.render, messages, tools=TOOLS),
            },
        )
    for count in (10, 102, 1002):
        prompt = ours.render_ids(conversation(count), tools=TOOLS, add_generation_prompt=True)
        yield Row(
            f"bridge to the next step, {count} messages",
            {
                "MotetRenderer": partial(ours.bridge_to_next_turn, prompt, SAMPLED, RESULT, tools=TOOLS),
                "GptOssRenderer": partial(theirs.bridge_to_next_turn, prompt, SAMPLED, RESULT, tools=TOOLS),
            },
        )
    yield Row(
        "parse a completion with a call",
        {
            "MotetRenderer": lambda: ours.parse_response(SAMPLED, prompt_ids=prompt, tools=TOOLS),
            "GptOssRenderer": lambda: theirs.parse_response(SAMPLED, prompt_ids=prompt, tools=TOOLS),
        },
    )


def history() -> Iterator[Row]:
    def extend(prompt: motet.Prompt) -> Run:
        return lambda: prompt.extend_ids(SAMPLED, RESULT)

    def steps(prompt: motet.Prompt) -> motet.Prompt:
        for _ in range(100):
            prompt = prompt.extend_ids(SAMPLED, RESULT)
        return prompt

    prompts = {count: motet.render(conversation(count), tools=TOOLS) for count in (10, 102, 1002, 10_002)}
    yield Row("extend_ids", {f"{count:,} messages": extend(prompt) for count, prompt in prompts.items()})
    longer = {count: steps(prompt) for count, prompt in prompts.items()}
    yield Row("extend_ids after 100 times", {f"{count:,} messages": extend(prompt) for count, prompt in longer.items()})


def seconds(run: Run, repetitions: int) -> float:
    start = time.process_time()
    for _ in range(repetitions):
        run()
    return (time.process_time() - start) / repetitions


def measure(row: Row, rounds: int) -> None:
    repetitions = {name: max(int(MIN_SECONDS / seconds(run, 1)), 1) for name, run in row.candidates.items()}
    times: dict[str, list[float]] = {name: [] for name in row.candidates}
    for _ in range(rounds):
        for name, run in row.candidates.items():
            times[name].append(seconds(run, repetitions[name]))
    first = next(iter(times.values()))
    print(row.task)
    for name, values in times.items():
        ratios = [value / base for value, base in zip(values, first, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"  {name:18} {statistics.median(values) * 1e6:12.1f} us  x{statistics.median(ratios):.2f}  ({spread})")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--only", default="", help="a word of the task's name")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peer_vocabulary.export_for_peers(Path(folder))
        # What is made before a row needs the packages of all rows of its group.
        for group in (history,) if chosen.only.startswith("extend_ids") else (history, beside_renderers):
            for row in group():
                if chosen.only in row.task:
                    measure(row, chosen.rounds)


if __name__ == "__main__":
    main()

"""The overhead of motet over the bare SDK for each chunk of a stream: both read the same body, alternating.

python benches/parser/overhead.py [--chunks 5000] [--rounds 15]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx
import together

import motet
from motet.testing import Turn
from motet.testing.server.wire_shapes import chat_chunks

KEY = "none"
WORDS = (
    "so",
    "the",
    "answer",
    "of",
    "is",
    "wrong",
    "12",
    "divided",
    "by",
    "gives",
    "3,",
    "which",
    "we",
    "check:",
    "on",
)
MODEL = "openai/gpt-oss-120b"


def body_of(chunks: int) -> bytes:
    """A stream of `chunks` chunks in the service's form, half of them reasoning. Text without repetitions, for which
    `on_limit="answer"` would end it."""
    numbers = random.Random(1)
    words = [f" {numbers.choice(WORDS)}" for _ in range(chunks)]
    reasoning, answer = "".join(words[: chunks // 2]), "".join(words[chunks // 2 :])
    turn = Turn(
        f"<|channel|>analysis<|message|>{reasoning}<|end|><|start|>assistant<|channel|>final<|message|>{answer}<|return|>"
    )
    request = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chat_chunks(turn, request, 1)]
    return b"".join([*events, b"data: [DONE]\n\n"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--chunks", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    body = body_of(options.chunks)
    count = body.count(b"\n\n") - 1
    # The size of a TCP segment.
    segments = [body[start : start + 1400] for start in range(0, len(body), 1400)]
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, content=iter(segments))
    )
    sdk = together.Together(api_key=KEY, http_client=httpx.Client(transport=transport))
    model = motet.atom(MODEL, api_key=KEY, transport=transport, lane="chat")

    def bare() -> None:
        for chunk in sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True
        ):
            if chunk.choices:
                _ = chunk.choices[0].delta.content

    def ours() -> None:
        with model.stream("Hi") as stream:
            for event in stream:
                _ = event.delta

    def limited() -> None:
        with model.stream("Hi", max_cost="1") as stream:
            for event in stream:
                _ = event.delta

    def all_limits() -> None:
        limits: dict[str, Any] = {"max_cost": "1", "max_tokens": 100_000, "max_reasoning_tokens": 90_000}
        with motet.budget("1"), model.stream("Hi", **limits, on_limit="answer", timeout=600) as stream:
            for event in stream:
                _ = event.delta

    readers: dict[str, Callable[[], None]] = {
        "the bare SDK": bare,
        "motet": ours,
        "motet, max_cost": limited,
        "motet, all limits": all_limits,
    }
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(options.rounds):
        for name, read in readers.items():
            began = time.process_time()
            read()
            times[name].append((time.process_time() - began) / count * 1e6)
    for name, taken in times.items():
        ratios = [mine / theirs for mine, theirs in zip(taken, times["the bare SDK"], strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(
            f"{name:<18} {statistics.median(taken):6.1f} µs a chunk, {statistics.median(ratios):.2f} of the SDK's ({spread})"
        )


if __name__ == "__main__":
    main()

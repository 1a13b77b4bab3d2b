"""The work for each turn of an agent: parse the sampled ids, read the message and its tokens, extend the prompt by the ids
and a tool's result, and count the prompt. Beside it: rendering the whole conversation anew.

    python benches/agent.py [--turns 50] [--rounds 9]

The first turns warm the caches. Reported are microseconds of the fastest of the rounds, at the tenth turn and at the last.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import motet  # noqa: E402
from tests.support import peer_vocabulary  # noqa: E402

RESULT = "Sunny, 21 degrees, with a light wind from the west and no rain until the evening. " * 6
SAMPLED = (
    "<|channel|>analysis<|message|>The user asks for the weather of the next day, so I call the tool again."
    '<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{{"day": {turn}}}'
    "<|call|>"
)
TOOLS = [
    {"name": "weather", "description": "The weather.", "parameters": {"type": "object", "properties": {"day": {}}}}
]
PARTS = ("parse", "extend", "account", "ids")
"""`ids` makes the list for the next request, which takes as long as the conversation has tokens."""


def run(turns: int, peer: Any) -> list[dict[str, float]]:
    """Seconds of each part, for each turn."""
    messages = [motet.Message("user", (motet.Text(RESULT),))]
    prompt, rows = motet.render(messages, tools=TOOLS), []
    for turn in range(turns):
        ids = motet.encode(SAMPLED.format(turn=turn), special="token")
        times = [time.perf_counter()]
        completion = motet.parse(ids, tools=TOOLS, turn=turn)
        message, call = completion.message, completion.tool_calls[0]
        times.append(time.perf_counter())
        result = motet.Message("tool", (motet.ToolResult(call.id, RESULT, call.name),))
        prompt = prompt.extend_ids(ids, [result])
        times.append(time.perf_counter())
        _ = (len(prompt), completion.tokens, motet.count(RESULT))
        times.append(time.perf_counter())
        all_ids = prompt.ids
        times.append(time.perf_counter())
        row = {part: end - start for part, start, end in zip(PARTS, times, times[1:], strict=False)}
        messages += [message, result]
        del all_ids
        rows.append(row)
        # Not at other turns: it would take the caches of the processor from the next one.
        if turn not in (min(9, turns - 1), turns - 1):
            continue
        start = time.perf_counter()
        _ = motet.render(messages, tools=TOOLS).ids
        row["render anew"] = time.perf_counter() - start
        if peer:
            row["openai-harmony renders anew"] = peer(messages)
    return rows


def openai_harmony(folder: str) -> Any:
    """What times openai-harmony's rendering of messages; `None` where it is not installed."""
    peer_vocabulary.export_for_peers(Path(folder))
    try:
        import openai_harmony as oh
    except ImportError:
        return None
    encoding = oh.load_harmony_encoding(oh.HarmonyEncodingName.HARMONY_GPT_OSS)

    def seconds(messages: list[motet.Message]) -> float:
        # Without the header of the answer, two tokens.
        frames = encoding.parse_messages_from_completion_tokens(motet.render(messages, tools=TOOLS).ids[:-2], None)
        conversation = oh.Conversation.from_messages(frames)
        start = time.perf_counter()
        encoding.render_conversation_for_completion(conversation, oh.Role.ASSISTANT)
        return time.perf_counter() - start

    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peer = openai_harmony(folder)
        rounds = [run(options.turns, peer) for _ in range(options.rounds)]
    early, last = min(9, options.turns - 1), options.turns - 1
    print(f"| | turn {early + 1} | turn {last + 1} |\n|---|---|---|")
    best = [{part: min(rows[turn][part] for rows in rounds) for part in rounds[0][turn]} for turn in (early, last)]
    for part in best[-1]:
        print(f"| {part} | {best[0][part] * 1e6:,.1f} µs | {best[1][part] * 1e6:,.1f} µs |")
    work = sum([best[1][part] for part in PARTS[:3]])
    for part in list(best[-1])[len(PARTS) :]:
        print(f"| parse, extend and account, of `{part}` | | {100 * work / best[1][part]:.2f} % |")


if __name__ == "__main__":
    main()

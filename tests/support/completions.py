"""Completions of every kind: the corpus, strategies, and ways to cut and stream them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import motet
from motet import Completion, Event

CORPUS = sorted((Path(__file__).parents[1] / "corpus").glob("*.txt"))


WORDS = [
    *("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>", "<|endoftext|>"),
    *("assistant", "user", "system", "analysis", "commentary", "final", " to=functions.f", " to=x", " json", "json"),
    *("Hello", " ", "\n", '{"a": 1}', "?", "é", "中", "<|", "<|reserved_200050|>", "<|end", "functions.f"),
]


wild_text = st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=25).map("".join)


wild_ids = st.lists(
    st.sampled_from([motet.SPECIAL_TOKENS[m] for m in WORDS[:8]])
    | st.integers(0, 201_200)
    | st.sampled_from([35644, 17196]),
    min_size=1,
    max_size=30,
)


def cut(draw: Any, items: Any) -> list[Any]:
    """The items in runs of drawn lengths."""
    places = sorted(draw(st.lists(st.integers(0, len(items)), max_size=6)))
    return [items[start:end] for start, end in zip([0, *places], [*places, len(items)], strict=True)]


def stream(chunks: list[Any], **settings: Any) -> tuple[list[Event], Completion]:
    parser = motet.StreamParser(**settings)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    events += parser.close()
    return events, parser.completion


def joined(events: list[Event]) -> list[Any]:
    """Events with neighbouring deltas joined: independent of chunk boundaries."""
    out: list[Any] = []
    for event in events:
        if event.type == "delta" and out and out[-1][0] == ("delta", event.index):
            out[-1] = (out[-1][0], out[-1][1] + event.delta)
        elif event.type == "delta":
            out.append((("delta", event.index), event.delta))
        else:
            out.append(
                ((event.type, event.index), (event.kind, event.channel, event.recipient, event.stop, event.repair))
            )
    return out


CALL = '<|channel|>analysis<|message|>think<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'


STRIPPED = 'analysisNeed tool.assistantcommentary to=functions.get_weather json{"city":"Tokyo"}'

"""Draws benches/results/tokenizers.svg from benches/results/tokenizers.json: the speed of each tokenizer, by kind of text.

python benches/tokenizer/plot.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from motet._plot import Bar, bars_svg

RESULTS = Path(__file__).parents[1] / "results"
KINDS = ("English", "Python code", "JSON calls", "mixed languages", "CJK")
NAMES = ("motet", "fastokens", "gigatoken", "splintr", "toktok", "quicktok", "tiktoken", "openai_harmony")
OURS, OTHERS = "#c2410c", "#a8b3bf"


def bars(speeds: dict[str, float]) -> Iterator[Bar]:
    for name in NAMES:
        if name in speeds:
            ours = name == "motet"
            yield Bar(speeds[name], name.replace("_", "-"), f"{speeds[name]:,.0f}", OURS if ours else OTHERS, ours)


def draw(results: dict[str, Any]) -> str:
    rows = {row["what"]: row["values"] for row in results["encode"]["fastest"]}
    return bars_svg(
        [(kind, [*bars(rows[kind])]) for kind in KINDS],
        title="Encoding text that was not seen before, MB/s",
        subtitle="One thread on one core, each in its fastest form. Longer is better.",
    )


if __name__ == "__main__":
    results = json.loads((RESULTS / "tokenizers.json").read_text("utf-8"))
    (RESULTS / "tokenizers.svg").write_text(draw(results), "utf-8")

"""Draws benches/results/tokenizers.svg from benches/results/tokenizers.json: how fast each tokenizer is on each kind of text.

python benches/tokenizer/plot.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
KINDS = ("English", "Python code", "JSON calls", "mixed languages", "CJK")
SHOWN = ("motet", "fastokens", "gigatoken", "splintr", "toktok", "quicktok", "tiktoken", "openai_harmony")
BAR, GAP, LEFT, WIDTH, TOP = 13, 22, 150, 760, 78
INK, PALE, OURS, OTHERS = "#24292f", "#6e7781", "#c2410c", "#a8b3bf"
FONT = "font-family='ui-sans-serif, system-ui, Helvetica, Arial, sans-serif'"


def text(x: float, y: float, words: str, size: int = 12, fill: str = INK, more: str = "") -> str:
    return f"<text x='{x:.0f}' y='{y:.0f}' font-size='{size}' fill='{fill}' {FONT} {more}>{words}</text>"


def draw(results: dict[str, Any]) -> str:
    rows = {row["what"]: row["values"] for row in results["encode"]["fastest"]}
    names = [name for name in SHOWN if name in results["names"]]
    most = max(rows[kind].get(name, 0) for kind in KINDS for name in names)
    scale = (WIDTH - LEFT - 190) / most
    parts, y = [], TOP
    for kind in KINDS:
        parts.append(
            text(LEFT - 16, y + BAR * len(names) / 2 + 4, kind, 13, more="text-anchor='end' font-weight='600'")
        )
        for name in names:
            speed = rows[kind].get(name)
            if speed is not None:
                width = max(speed * scale, 1)
                ours = name == "motet"
                fill = OURS if ours else OTHERS
                label = f"{name.replace('_', '-')}  {speed:,.0f}"
                parts.append(
                    f"<rect x='{LEFT}' y='{y + 1}' width='{width:.1f}' height='{BAR - 2}' rx='2' fill='{fill}'/>"
                )
                weight = "font-weight='600'" if ours else ""
                parts.append(text(LEFT + width + 6, y + BAR - 3, label, 10, OURS if ours else PALE, weight))
            y += BAR
        y += GAP
    head = [
        text(24, 32, "Encoding text that was not seen before, MB/s", 17, more="font-weight='600'"),
        text(24, 52, "One thread on one core, each in its fastest form. Longer is better.", 12, PALE),
    ]
    box = f"<rect width='{WIDTH}' height='{y}' fill='white'/>"
    size = f"viewBox='0 0 {WIDTH} {y}' width='{WIDTH}' height='{y}'"
    return "\n".join([f"<svg xmlns='http://www.w3.org/2000/svg' {size}>", box, *head, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    found = json.loads((RESULTS / "tokenizers.json").read_text("utf-8"))
    (RESULTS / "tokenizers.svg").write_text(draw(found), "utf-8")

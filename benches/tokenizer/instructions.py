"""Instructions per token, by corpus, counted by callgrind: independent of the load of the machine.

python benches/tokenizer/instructions.py            counts, and writes benches/results/instructions.json
python benches/tokenizer/instructions.py --check    counts, and fails where a count is 5 % above the kept one
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benches/tokenizer"))

import corpora  # noqa: E402

KEPT = ROOT / "benches/results/instructions.json"
STEPS = ("split", "count", "encode", "decode")
SIZE = 100_000


def build() -> str:
    """Build the program that performs one step on a file; returns its path."""
    command = ["cargo", "build", "--release", "--example", "tokens", "--message-format", "json"]
    process = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    messages = [json.loads(line) for line in process.stdout.splitlines()]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "tokens")


def count(program: str, step: str, path: Path) -> float:
    """Instructions per token: half the difference between three runs of the step and one, which cancels the start."""

    def total(times: int) -> tuple[int, int]:
        command = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            program,
            step,
            str(times),
            str(path),
        ]
        process = subprocess.run(command, check=True, capture_output=True, text=True)
        collected = next(line for line in process.stderr.splitlines() if "Collected" in line)
        return int(collected.split(":")[1]), int(process.stdout.split()[-2])

    (once, tokens), (thrice, _) = total(1), total(3)
    return round((thrice - once) / 2 / tokens, 1)


def main() -> None:
    program, counts = build(), {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (*corpora.PLAIN, *corpora.HOSTILE):
            path = Path(folder) / "text"
            path.write_text(next(corpora.texts(name, 1, SIZE)), "utf-8", newline="")
            counts[name] = {step: count(program, step, path) for step in STEPS}
            print(f"{name:<20} {counts[name]}", flush=True)
    if "--check" not in sys.argv:
        KEPT.write_text(json.dumps(counts, indent=1) + "\n", "utf-8")
        return
    saved = json.loads(KEPT.read_text("utf-8"))
    worse = [
        f"{name}, {step}: {now} instructions a token, {saved[name][step]} kept"
        for name, steps in counts.items()
        for step, now in steps.items()
        if now > saved[name][step] * 1.05 + 0.5
    ]
    if worse:
        raise SystemExit("\n".join(worse))


if __name__ == "__main__":
    main()

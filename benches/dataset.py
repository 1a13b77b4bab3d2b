"""How fast a large data set is made and checked, and in how much memory.

python benches/dataset.py [--gigabytes 1] [--folder /tmp]

Examples of about 1.4 kB, prose with reasoning, are added to a file, built into training and validation data, and checked.
Each step runs in a process of its own. What is written is deleted afterwards.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

WORDS = Path(__file__).parent.parent.joinpath("docs/format.md").read_text().split()


def make(path: Path, size: int) -> None:
    """Training data of about that many bytes."""
    from motet.tune.lines import dumps

    chosen = random.Random(7)
    texts = [" ".join(chosen.choices(WORDS, k=100)) for _ in range(2000)]
    written = number = 0
    with path.open("wb") as file:
        while written < size:
            number += 1
            thought, said = chosen.choice(texts), chosen.choice(texts)
            answer = {"role": "assistant", "reasoning": thought, "content": said}
            asked = {"role": "user", "content": f"Question {number}: {said[:60]}?"}
            written += file.write(dumps({"messages": [asked, answer]}))


def add(folder: Path) -> None:
    from motet.tune import Examples, read_examples

    Examples(folder / "examples.jsonl").add(read_examples(folder / "source.jsonl"))


def build(folder: Path) -> None:
    from motet.tune import build

    build(folder / "examples.jsonl", folder / "train.jsonl", folder / "validation.jsonl")


def check(folder: Path) -> None:
    from motet.tune import check

    assert check(folder / "train.jsonl").ok


STEPS = {"add": add, "build": build, "check": check}
READS = {"add": "source.jsonl", "build": "examples.jsonl", "check": "train.jsonl"}


def step(name: str, folder: Path) -> None:
    """Runs in a process of its own, and prints its seconds and by how much its memory grew, in KiB."""
    import motet
    import motet.tune.dataset

    motet.count("warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    STEPS[name](folder)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))


def measured(folder: Path) -> Iterator[tuple[str, int, float, int]]:
    for name in STEPS:
        words = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        seconds, grown = json.loads(done.stdout)
        yield name, (folder / READS[name]).stat().st_size, seconds, grown


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--step", choices=tuple(STEPS))
    options = parser.parse_args()
    if options.step:
        step(options.step, options.folder)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        make(Path(name) / "source.jsonl", int(options.gigabytes * 1e9))
        print("| step | read | seconds | MB/s | memory grown by |\n|---|---|---|---|---|")
        for step_name, size, seconds, grown in measured(Path(name)):
            speed = size / 1e6 / seconds
            print(
                f"| {step_name} | {size / 1e9:.2f} GB | {seconds:.1f} | {speed:.1f} | {grown / 1024:.0f} MiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()

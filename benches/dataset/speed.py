"""Speed and memory of making and checking a large data set.

python benches/dataset/speed.py [--gigabytes 1] [--folder /tmp] [--workers N]

Examples of about 1.4 kB, prose with reasoning, are added to a file, built into training and validation data, and checked.
Each step runs in a new process, with `--workers` processes; the files are deleted afterwards.
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

WORDS = Path(__file__).parents[2].joinpath("docs/concepts/format.md").read_text().split()


def make(path: Path, size: int) -> None:
    """Write training data of about `size` bytes."""
    from motet.tune.lines import dumps

    rng = random.Random(7)
    texts = [" ".join(rng.choices(WORDS, k=100)) for _ in range(2000)]
    written = number = 0
    with path.open("wb") as file:
        while written < size:
            number += 1
            reasoning, text = rng.choice(texts), rng.choice(texts)
            answer = {"role": "assistant", "reasoning": reasoning, "content": text}
            question = {"role": "user", "content": f"Question {number}: {text[:60]}?"}
            written += file.write(dumps({"messages": [question, answer]}))


def add(folder: Path, workers: int | None) -> None:
    from motet.tune import Examples, read_examples

    Examples(folder / "examples.jsonl").add(read_examples(folder / "source.jsonl", workers=workers))


def build(folder: Path, workers: int | None) -> None:
    from motet.tune import build

    build(folder / "examples.jsonl", folder / "train.jsonl", folder / "validation.jsonl", workers=workers)


def check(folder: Path, workers: int | None) -> None:
    from motet.tune import check

    assert check(folder / "train.jsonl", workers=workers).ok


STEPS = {"add": add, "build": build, "check": check}
READS = {"add": "source.jsonl", "build": "examples.jsonl", "check": "train.jsonl"}


def step(name: str, folder: Path, workers: int | None) -> None:
    """Run one step and print, as JSON: seconds, CPU seconds of this process and of its children, the growth of this
    process in KiB, and the size of the largest child in KiB."""
    import motet
    import motet.tune.dataset

    motet.count("warm")
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    STEPS[name](folder, workers)
    seconds = time.perf_counter() - start
    after, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = [usage.ru_utime + usage.ru_stime for usage in (after, others)]
    cpu[0] -= before.ru_utime + before.ru_stime
    print(json.dumps([seconds, *cpu, after.ru_maxrss - before.ru_maxrss, others.ru_maxrss]))


def measured(folder: Path, workers: int | None) -> Iterator[tuple[str, int, list[float]]]:
    for name in STEPS:
        words = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
        words += ["--workers", str(workers)] if workers else []
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        yield name, (folder / READS[name]).stat().st_size, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--workers", type=int)
    parser.add_argument("--step", choices=tuple(STEPS))
    options = parser.parse_args()
    if options.step:
        step(options.step, options.folder, options.workers)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        make(Path(name) / "source.jsonl", int(options.gigabytes * 1e9))
        print("| step | read | seconds | MB/s | CPU s | of the others | memory grown by | each other has |")
        print("|---|---|---|---|---|---|---|---|")
        for step_name, size, (seconds, own, others, grown, other) in measured(Path(name), options.workers):
            print(
                f"| {step_name} | {size / 1e9:.2f} GB | {seconds:.1f} | {size / 1e6 / seconds:.1f} | {own:.1f} "
                f"| {others:.1f} | {grown / 1024:.0f} MiB | {other / 1024:.0f} MiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()

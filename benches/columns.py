"""Compares `motet.columns` with what reads tables of completions otherwise: a loop over motet, over openai-harmony or over
tiktoken, tiktoken's batches, polars-tokenizer, and a regular expression.

Each round runs all candidates of a row one after the other, so that noise of the machine affects all. Candidates that are
slow get a part of the rows. Reported are the median speed by wall time, as the fast ones use all cores, and the median and
the range of motet's ratio to each over the rounds. Writes benches/results/columns.json and its part of benches/README.md, unless `--dry`.

    .venv/bench/bin/python benches/columns.py [--rounds 9] [--megabytes 64] [--only WORD] [--dry]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import motet  # noqa: E402
from benches.tokenizer import corpora  # noqa: E402
from motet import columns  # noqa: E402
from tests.support import peer_vocabulary  # noqa: E402

RESULTS = ROOT / "benches/results/columns.json"
HEADING = "\n## Columns\n"
FRAMES = re.compile(
    r"<\|channel\|>(\w+)(?: to=([\w.]+))?[^<]*(?:<\|constrain\|>\w+)?<\|message\|>(.*?)(?:<\|end\|>|<\|return\|>|<\|call\|>|$)",
    re.DOTALL,
)
CALL = '<|start|>assistant<|channel|>commentary to=functions.search <|constrain|>json<|message|>{"query": "weather"}<|call|>'


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to do a task. `share`: the part of the rows that it gets, so that a round takes seconds."""

    name: str
    run: Callable[[Any], object]
    share: float = 1.0
    reads_list: bool = True
    """Takes a list of texts, and not an Arrow array."""


@dataclass(frozen=True, slots=True)
class Row:
    """A task; ratios are those of the first candidate to the others."""

    task: str
    texts: Sequence[str]
    candidates: Sequence[Candidate]


def completions(size: int, bytes_of_each: int) -> list[str]:
    """Completions with a thought, and an answer or a call."""
    made: list[str] = []
    total = 0
    words = "".join([*corpora.texts("English", 1, 1_000_000), *corpora.texts("Python code", 1, 400_000)])
    for turn in itertools.count():
        # Each turn cuts the words elsewhere.
        for at in range(turn * 977 % bytes_of_each, len(words) - bytes_of_each, bytes_of_each):
            text = words[at : at + bytes_of_each]
            thought, answer = text[: bytes_of_each // 2], text[bytes_of_each // 2 :]
            last = CALL if len(made) % 4 == 0 else f"<|start|>assistant<|channel|>final<|message|>{answer}<|return|>"
            made.append(f"<|channel|>analysis<|message|>{thought}<|end|>{last}")
            total += len(made[-1].encode())
            if total >= size:
                return made
    raise AssertionError


def loop(work: Callable[[str], object]) -> Callable[[Sequence[str]], object]:
    """A loop over rows in Python."""
    return lambda texts: [work(text) for text in texts]


def parsing(size: int) -> Iterator[Row]:
    import openai_harmony as oh

    peer = oh.load_harmony_encoding(oh.HarmonyEncodingName.HARMONY_GPT_OSS)

    def by_peer(text: str) -> object:
        ids = peer.encode(text, allowed_special="all")
        return peer.parse_messages_from_completion_tokens(ids, oh.Role.ASSISTANT)

    for name, bytes_of_each, share in (("long", 16_000, 0.02), ("short", 200, 0.02)):
        texts = completions(size if name == "long" else size // 4, bytes_of_each)
        yield Row(
            f"parse {name} completions",
            texts,
            [
                Candidate("motet.columns.parse", lambda array: columns.parse(array), reads_list=False),
                Candidate("without tokens", lambda array: columns.parse(array, tokens=False), reads_list=False),
                Candidate("loop over motet.parse", loop(lambda text: motet.parse(text).message), 0.1),
                Candidate("loop over openai-harmony", loop(by_peer), share),
                Candidate("regular expression", loop(FRAMES.findall), 0.3),
            ],
        )


def counting(size: int) -> Iterator[Row]:
    import tiktoken

    peer = tiktoken.get_encoding("o200k_harmony")
    candidates = [
        Candidate("motet.columns.count", lambda array: columns.count(array), reads_list=False),
        Candidate("motet.encode_batch", motet.encode_batch),
        Candidate("loop over motet.count", loop(motet.count), 0.5),
        Candidate(
            "tiktoken, batch", lambda texts: peer.encode_ordinary_batch(texts, num_threads=os.cpu_count() or 1), 0.1
        ),
    ]
    try:
        import polars as pl
        import polars_tokenizer

        expression = polars_tokenizer.count(pl.col("text"), "o200k_base")
        by_polars = Candidate(
            "polars-tokenizer",
            lambda array: pl.DataFrame({"text": pl.from_arrow(array)}).select(expression),
            0.2,
            reads_list=False,
        )
        candidates.append(by_polars)
    except ImportError as error:
        print(f"without polars-tokenizer: {error}")
    texts = list(corpora.texts("English", 90, 16_000)) * max(1, size // 4 // 1_440_000)
    yield Row("count tokens", texts, candidates)
    yield Row(
        "encode",
        texts,
        [
            Candidate("motet.columns.encode", lambda array: columns.encode(array), reads_list=False),
            Candidate("motet.encode_batch", motet.encode_batch),
            Candidate("tiktoken, batch", candidates[3].run, 0.1),
        ],
    )


def measure(row: Row, rounds: int) -> dict[str, Any]:
    speeds: dict[str, list[float]] = {candidate.name: [] for candidate in row.candidates}
    rows: dict[str, list[float]] = {candidate.name: [] for candidate in row.candidates}
    inputs: dict[str, Any] = {}
    for candidate in row.candidates:
        texts = list(row.texts[: max(1, int(len(row.texts) * candidate.share))])
        inputs[candidate.name] = (texts if candidate.reads_list else pa.array(texts), len(texts), _size(texts))
    for _ in range(rounds):
        for candidate in row.candidates:
            given, count, size = inputs[candidate.name]
            start = time.perf_counter()
            candidate.run(given)
            seconds = time.perf_counter() - start
            speeds[candidate.name].append(size / seconds / 1e6)
            rows[candidate.name].append(count / seconds)
    first = speeds[row.candidates[0].name]
    result = {}
    for name, values in speeds.items():
        ratios = sorted([base / value for base, value in zip(first, values, strict=True)])
        cut = len(ratios) // 10
        result[name] = {
            "MB/s": round(statistics.median(values), 1),
            "rows/s": round(statistics.median(rows[name])),
            "ratio": round(statistics.median(ratios), 2),
            "range": [round(ratios[cut], 2), round(ratios[-1 - cut], 2)],
        }
    return result


def _size(texts: Sequence[str]) -> int:
    return sum([len(text.encode()) for text in texts])


def table(results: dict[str, dict[str, Any]]) -> str:
    lines = ["| task | by | MB/s | rows a second | motet's ratio | range |", "|---|---|---|---|---|---|"]
    for task, candidates in results.items():
        for name, figures in candidates.items():
            low, high = figures["range"]
            is_first = name == next(iter(candidates))
            ratio = ["", ""] if is_first else [f"**{figures['ratio']:g}**", f"{low:g} to {high:g}"]
            lines.append(f"| {task} | {name} | {figures['MB/s']:,g} | {figures['rows/s']:,} | {' | '.join(ratio)} |")
    return "\n".join(lines) + "\n"


PAGE = """Arrow arrays in, columns out, on all cores, by wall time, in one run of `benches/columns.py` in rounds that alternate; long
completions have 16 kB, short ones 200 bytes. Above 1, the first way of a task is faster. Ratios are of one round; the range excludes the
lowest and the highest tenth. {machine}.

"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--megabytes", type=float, default=64.0)
    options.add_argument("--only", default="", help="a word of the task's name")
    options.add_argument("--dry", action="store_true", help="writes no file")
    chosen = options.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        peer_vocabulary.export_for_peers(Path(folder))
        for group in (parsing, counting):
            for row in group(int(chosen.megabytes * 1e6)):
                if chosen.only in row.task:
                    results[row.task] = measure(row, chosen.rounds)
    print(table(results))
    if not chosen.dry and not chosen.only:
        machine = (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        RESULTS.write_text(json.dumps({"machine": machine, "tasks": results}, indent=1) + "\n")
        write_page(machine, table(results))


def write_page(machine: str, text: str) -> None:
    """Replaces the part of the page."""
    page = ROOT / "benches/README.md"
    before, _, rest = page.read_text("utf-8").partition(HEADING)
    _, next_heading, others = rest.partition("\n## ")
    content = before + HEADING + PAGE.format(machine=machine) + text + next_heading + others
    page.write_text(content, "utf-8")


if __name__ == "__main__":
    main()

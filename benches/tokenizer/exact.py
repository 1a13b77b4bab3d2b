"""Compares motet's ids with tiktoken's on text made at random, until enough is compared or one differs.

python benches/tokenizer/exact.py [--megabytes 200] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import motet
from tests import vocabulary

# Blocks of Unicode by their first and last code point: scripts, marks, signs, emoji, and all of it.
BLOCKS = [(0x20, 0x7E), (0x20, 0x7E), (0x41, 0x7A), (0xA0, 0x24F), (0x2B0, 0x36F), (0x370, 0x52F), (0x590, 0x6FF)]
BLOCKS += [(0x900, 0xDFF), (0xE00, 0x11FF), (0x1E00, 0x20CF), (0x2100, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF)]
BLOCKS += [(0xAC00, 0xD7A3), (0xF900, 0xFFFD), (0x1F300, 0x1FAFF), (0x0, 0xD7FF), (0xE000, 0x10FFFF)]
GLUE = [
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "'s",
    "'LL",
    "'ſ",
    "/",
    ".",
    "1",
    "2024",
    "a",
    "A",
    "\u0301",
    "\u200d",
    "<|end|>",
    "",
]


def text(rng: random.Random) -> str:
    """Some words of one or two blocks, glued with what the split pattern looks at, in runs now and then."""
    blocks = rng.sample(BLOCKS, 2)
    parts = []
    for _ in range(rng.randrange(1, 30)):
        first, last = rng.choice(blocks)
        word = "".join([chr(rng.randint(first, last)) for _ in range(rng.randrange(1, 9))])
        parts += [word * rng.choice((1, 1, 1, 1, 1, 9)), rng.choice(GLUE)]
    return "".join(parts)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=float, default=200)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vocabulary.lend(Path(folder))
        import tiktoken

        peer = tiktoken.get_encoding("o200k_harmony")
    rng = random.Random(given.seed)
    done, texts, start = 0, 0, time.monotonic()
    while done < given.megabytes * 1e6:
        some = [text(rng) for _ in range(2000)]
        ours = motet.encode_batch(some)
        for one, ids, expected in zip(some, ours, peer.encode_ordinary_batch(some, num_threads=2), strict=True):
            if list(ids) != expected or motet.count(one) != len(expected):
                raise SystemExit(f"differs: {one!r}")
        done += sum([len(one.encode()) for one in some])
        texts += len(some)
    print(f"{texts:,} texts, {done / 1e6:,.0f} MB, no difference ({time.monotonic() - start:,.0f} s)")


if __name__ == "__main__":
    main()

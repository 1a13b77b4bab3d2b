"""Compares motet's ids with tiktoken's on random text, up to a size or to the first difference.

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
from tests.support import peer_vocabulary

# Unicode blocks, first and last code point: scripts, marks, symbols, emoji, and the whole range.
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
    """Words of two blocks, joined by characters that the split pattern distinguishes; one in six is repeated."""
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
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peer_vocabulary.export_for_peers(Path(folder))
        import tiktoken

        peer = tiktoken.get_encoding("o200k_harmony")
    rng = random.Random(arguments.seed)
    size, texts, start = 0, 0, time.monotonic()
    while size < arguments.megabytes * 1e6:
        batch = [text(rng) for _ in range(2000)]
        ours = motet.encode_batch(batch)
        for sample, ids, expected in zip(batch, ours, peer.encode_ordinary_batch(batch, num_threads=2), strict=True):
            if list(ids) != expected or motet.count(sample) != len(expected):
                raise SystemExit(f"ids differ: {sample!r}")
        size += sum([len(sample.encode()) for sample in batch])
        texts += len(batch)
    print(f"{texts:,} texts, {size / 1e6:,.1f} MB, no difference ({time.monotonic() - start:,.0f} s)")


if __name__ == "__main__":
    main()

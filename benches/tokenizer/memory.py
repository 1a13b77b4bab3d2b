"""Resident memory while much text is encoded that was not seen before, and while many threads come and go.

python benches/tokenizer/memory.py [--gigabytes 5] [--threads 5000] [--limit 200]

Linux only: reads /proc/self/statm. Fails if more than --limit MB are added to what the process has at its start.
"""

from __future__ import annotations

import argparse
import random
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import motet

TEXT_BYTES = 1_000_000
THREADS_AT_ONCE = 32
THREAD_TEXT_BYTES = 100_000
# A sixth of the bytes becomes a space, the others letters: words of six letters on average.
ALPHABET = bytes([b" abcdefghijklmnopqrstuvwxyz"[n % 27] if n % 6 else 32 for n in range(256)])


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def random_text(rng: random.Random, size: int) -> str:
    return rng.randbytes(size).translate(ALPHABET).decode()


def unseen_text(gigabytes: float, rng: random.Random) -> Iterator[str]:
    """Encode text in lists, arrays, counts, batches and streams in turn. Yields what was done after each tenth."""
    rounds = max(10, round(gigabytes * 1e9 / TEXT_BYTES))
    encoder = motet.StreamEncoder()
    for number in range(1, rounds + 1):
        text = random_text(rng, TEXT_BYTES if gigabytes * 1e9 >= 10 * TEXT_BYTES else round(gigabytes * 1e8))
        match number % 5:
            case 0:
                motet.decode(motet.encode(text))
            case 1:
                motet.encode_array(text)
            case 2:
                motet.count(text)
            case 3:
                motet.encode_batch([text[start : start + 10_000] for start in range(0, len(text), 10_000)])
            case _:
                encoder.feed(text)
        if number % (rounds // 10) == 0:
            yield f"{number * len(text) / 1e9:.2f} GB of unseen text"


def threads_that_end(count: int, rng: random.Random) -> Iterator[str]:
    """Threads that encode one text each and end, 32 at once. Yields what was done after each tenth."""
    size = min(THREAD_TEXT_BYTES, 1000 * count)
    waves = max(10, round(count / THREADS_AT_ONCE))
    for wave in range(1, waves + 1):
        texts = [random_text(rng, size) for _ in range(THREADS_AT_ONCE)]
        threads = [threading.Thread(target=motet.count, args=[text]) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wave % (waves // 10) == 0:
            yield f"{wave * THREADS_AT_ONCE} threads"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--threads", type=int, default=5_000)
    parser.add_argument("--limit", type=float, default=200)
    options = parser.parse_args()
    rng = random.Random(1)
    start = resident_mb()
    most = 0.0
    print(f"at the start: {start:.0f} MB")
    for work in (unseen_text(options.gigabytes, rng), threads_that_end(options.threads, rng)):
        for done in work:
            added = resident_mb() - start
            most = max(most, added)
            print(f"{done}: {added:.0f} MB more", flush=True)
    if most > options.limit:
        raise SystemExit(f"{most:.0f} MB were added, more than {options.limit:.0f}")


if __name__ == "__main__":
    main()

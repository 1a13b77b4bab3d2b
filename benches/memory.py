"""Resident memory while unseen text is encoded, while threads come and go, and while completions are parsed.

    python benches/memory.py [--gigabytes 5] [--threads 10000] [--completions 10000000] [--limit 64]
    python benches/memory.py --peers [--peer-gigabytes 0.3] [--peer-threads 1000] [--peer-completions 100000]

Linux only: reads /proc/self/statm. Each tokenizer has a process of its own. Reported is what is added to its memory
behind loading, at most. Fails if motet adds more than --limit MB. With --peers the installed peers follow, with less work,
and results/memory.json is written, from which `tokenizer/compare.py` makes a table.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benches.tokenizer import peers  # noqa: E402

RESULTS = ROOT / "benches/results/memory.json"
TEXT_BYTES = 1_000_000
THREADS_AT_ONCE = 32
THREAD_TEXT_BYTES = 100_000
COMPLETIONS_AT_ONCE = 1_000
# A sixth of the bytes becomes a space, the others letters: words of six letters on average.
ALPHABET = bytes([b" abcdefghijklmnopqrstuvwxyz"[n % 27] if n % 6 else 32 for n in range(256)])


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def random_words(rng: random.Random, size: int) -> str:
    return rng.randbytes(size).translate(ALPHABET).decode()


def random_unicode(rng: random.Random, size: int) -> str:
    """Code points of the first plane, and of the others where two random surrogates are a pair."""
    return rng.randbytes(size - size % 2).decode("utf-16-le", "ignore")


def unseen_text(tokenizer: peers.Tokenizer, gigabytes: float, rng: random.Random) -> Iterator[None]:
    """Encodes half words, half random Unicode, in each form in turn."""
    size = min(TEXT_BYTES, max(1_000, round(gigabytes * 1e8)))
    forms = [tokenizer.list, tokenizer.array, tokenizer.count]
    if batch := tokenizer.batch:
        forms.append(lambda text: batch([text[at : at + 10_000] for at in range(0, len(text), 10_000)]))
    forms = [form for form in forms if form]
    for number in range(max(10, round(gigabytes * 1e9 / size))):
        text = (random_words if number % 2 else random_unicode)(rng, size)
        form = forms[number // 2 % len(forms)]
        if form:
            form(text)
        yield


def threads_that_end(tokenizer: peers.Tokenizer, count: int, rng: random.Random) -> Iterator[None]:
    """Threads that encode one text each and end, 32 at once."""
    size = min(THREAD_TEXT_BYTES, 1_000 * count)
    for _ in range(max(1, count // THREADS_AT_ONCE)):
        texts = [random_words(rng, size) for _ in range(THREADS_AT_ONCE)]
        encode = tokenizer.count or tokenizer.list
        threads = [threading.Thread(target=encode, args=[text]) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield


def completions(name: str, count: int, rng: random.Random) -> Iterator[None]:
    """Completions of a call each: parsed whole, and fed to a stream parser."""
    head, call = [200005, 35644, 200008], [200007, 200006, 173781, 200005, 12606, 815, 316, 28, 44580, 1294, 200008]
    if name == "motet":
        import motet

        def run(ids: list[int], is_streamed: bool) -> None:
            if not is_streamed:
                _ = motet.parse(ids).message
                return
            parser = motet.StreamParser()
            for token in ids:
                parser.feed(token)
            parser.close()
    elif name == "openai_harmony":
        import openai_harmony as oh

        encoding = oh.load_harmony_encoding(oh.HarmonyEncodingName.HARMONY_GPT_OSS)

        def run(ids: list[int], is_streamed: bool) -> None:
            if not is_streamed:
                encoding.parse_messages_from_completion_tokens(ids, oh.Role.ASSISTANT)
                return
            parser = oh.StreamableParser(encoding, oh.Role.ASSISTANT)
            for token in ids:
                parser.process(token)
    else:
        return
    for _ in range(max(1, count // COMPLETIONS_AT_ONCE)):
        words = [rng.randrange(199_000) for _ in range(COMPLETIONS_AT_ONCE + 8)]
        for at in range(COMPLETIONS_AT_ONCE):
            run([*head, *words[at : at + 8], *call, 12083, 200012], at % 10 == 0)
        yield


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    """The most megabytes that each work adds to what the process has behind loading."""
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        if name != "motet":
            peers.write_vocabulary(Path(folder))
        tokenizer = peers.load(name, Path(folder))
        start = resident_mb()
        works = {
            "text": unseen_text(tokenizer, options.gigabytes, rng),
            "threads": threads_that_end(tokenizer, options.threads, rng),
            "completions": completions(name, options.completions, rng),
        }
        added: dict[str, float] = {}
        for work, steps in works.items():
            for number, _ in enumerate(steps):
                if number % 10 == 0:
                    added[work] = max(added.get(work, 0.0), resident_mb() - start)
                    print(f"{name}, {work}, {number} steps: {added[work]:.0f} MB more", file=sys.stderr, flush=True)
    return {work: round(most, 1) for work, most in added.items()}


def in_a_process(name: str, gigabytes: float, threads: int, completions: int) -> dict[str, float] | None:
    """What a tokenizer adds; `None` if it fails."""
    amounts = ["--gigabytes", str(gigabytes), "--threads", str(threads), "--completions", str(completions)]
    command = [sys.executable, __file__, "--measure", name, *amounts]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    added: dict[str, float] | None = json.loads(process.stdout) if process.returncode == 0 else None
    print(f"{name}, {gigabytes} GB, {threads} threads, {completions} completions: {added}", flush=True)
    return added


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for prefix, amounts in {"": (5.0, 10_000, 10_000_000), "peer-": (0.3, 1_000, 100_000)}.items():
        for amount, default in zip(("gigabytes", "threads", "completions"), amounts, strict=True):
            parser.add_argument(f"--{prefix}{amount}", type=type(default), default=default)
    parser.add_argument("--limit", type=float, default=64)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options)))
        return
    added = in_a_process("motet", options.gigabytes, options.threads, options.completions)
    if options.peers:
        small = (options.peer_gigabytes, options.peer_threads, options.peer_completions)
        rows: dict[str, Any] = {name: in_a_process(name, *small) for name in peers.installed()}
        works = [f"{prefix}{work}" for prefix in ("", "peer_") for work in ("gigabytes", "threads", "completions")]
        results = {
            "amounts": {work: getattr(options, work) for work in works},
            "motet": added,
            "less": {name: row for name, row in rows.items() if row},
        }
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if added is None or max(added.values()) > options.limit:
        raise SystemExit(f"more than {options.limit:.0f} MB were added: {added}")


if __name__ == "__main__":
    main()

"""Texts for the tokenizer's benches: ordinary ones, and ones made to be slow.

All texts of a corpus differ, so that caches help only as far as words repeat, as in new text.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import pydoc_data.topics
import random
import string
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path

__all__ = ["HOSTILE", "PLAIN", "chat", "texts"]

STDLIB = Path(os.__file__).parent
CASED = "en de fr es pt it nl sv pl cs fi hu ro tr vi id ru uk el"
UNCASED = "ar he fa hi bn ta ko"


@cache
def _english() -> str:
    """Python's reference and the docstrings of its library: about 2 MB of prose by many authors."""
    parts = list(pydoc_data.topics.topics.values())
    for path in sorted(STDLIB.rglob("*.py")):
        if "site-packages" in path.parts or "test" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                parts.append(ast.get_docstring(node) or "")
    parts = [part for part in parts if len(part) > 80]
    random.Random(1).shuffle(parts)
    return "\n\n".join(parts)


@cache
def _code() -> str:
    paths = [path for path in sorted(STDLIB.rglob("*.py")) if "site-packages" not in path.parts]
    random.Random(2).shuffle(paths)
    return "\n".join([path.read_text("utf-8", "replace") for path in paths])[:24_000_000]


@cache
def _words(language: str) -> tuple[list[str], list[float]]:
    """The most frequent words of a language, and their cumulative frequencies."""
    import wordfreq

    common = sorted(wordfreq.get_frequency_dict(language, "small").items(), key=lambda pair: -pair[1])[:20_000]
    return [word for word, _ in common], list(accumulate([frequency for _, frequency in common]))


def _sentence(rng: random.Random, language: str) -> str:
    """Words by their frequency, in random order."""
    words, weights = _words(language)
    sentence = rng.choices(words, cum_weights=weights, k=rng.randrange(5, 22))
    if language in ("zh", "ja"):
        cut = rng.randrange(3, 12)
        return "".join(sentence[:cut]) + "，、"[language == "ja"] + "".join(sentence[cut:]) + rng.choice("。。。！？")
    if rng.random() < 0.4:
        sentence[len(sentence) // 2] += ","
    text = " ".join(sentence) + rng.choice("....!?:")
    return text[:1].upper() + text[1:]


def _paragraphs(rng: random.Random, languages: list[str], size: int) -> str:
    parts, length = [], 0
    while length < size:
        language = rng.choice(languages)
        glue = "" if language in ("zh", "ja") else " "
        parts.append(glue.join([_sentence(rng, language) for _ in range(rng.randrange(1, 6))]) + "\n")
        length += len(parts[-1].encode())
    return "".join(parts)


def _call(rng: random.Random) -> str:
    words, weights = _words("en")

    def phrase(limit: int) -> str:
        return " ".join(rng.choices(words, cum_weights=weights, k=rng.randrange(1, limit)))

    arguments = {
        "query": phrase(9),
        "path": f"/srv/{phrase(2)}/{phrase(2)}_{rng.randrange(100)}.py",
        "limit": rng.randrange(1000),
        "score": round(rng.random(), rng.randrange(2, 7)),
        "city": rng.choice(["Paris", "São Paulo", "New York", "Zürich", "東京", "Kraków"]),
        "created_at": f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:30:00Z",
        "recursive": rng.random() < 0.5,
        "tags": [phrase(2) for _ in range(rng.randrange(4))],
        "filter": {"field": phrase(2), "op": rng.choice(["eq", "lt", "contains"]), "value": None},
    }
    sample = dict(rng.sample(sorted(arguments.items()), rng.randrange(2, 7)))
    identity = "".join(rng.choices(string.ascii_letters + string.digits, k=24))
    call = {"id": f"call_{identity}", "type": "function", "function": {"name": f"{phrase(2)}_{phrase(2)}"}}
    call["arguments"] = json.dumps(sample) if rng.random() < 0.5 else sample
    return json.dumps(call, ensure_ascii=rng.random() < 0.3, indent=rng.choice([None, None, 2]))


def _until(make: Callable[[], str], size: int) -> str:
    parts, length = [], 0
    while length < size:
        parts.append(make())
        length += len(parts[-1].encode())
    return "\n".join(parts)


def _slices(whole: str, count: int, size: int) -> list[str]:
    if count * size > len(whole):
        raise ValueError(f"the corpus has {len(whole):,} characters, not {count} times {size:,}")
    return [whole[at : at + size] for at in range(0, count * size, size)]


def _scattered(rng: random.Random, first: int, last: int, size: int, stop: str = "") -> str:
    """Random code points of a range; one in ten is a character of `stop`."""
    parts = [rng.choice(stop) if stop and rng.random() < 0.1 else chr(rng.randint(first, last)) for _ in range(size)]
    return "".join(parts)


def _unicode(rng: random.Random, size: int) -> str:
    return "".join([chr(c) for c in rng.choices(range(0x110000), k=size // 4) if not 0xD800 <= c < 0xE000])


PLAIN = ("English", "Python code", "JSON calls", "mixed languages", "CJK", "random CJK")
"""What people, models and tools write; and random ideographs, of which few pairs are a token."""

_RUNS: dict[str, Callable[[random.Random, int], str]] = {
    "a run of one letter": lambda rng, size: rng.choice("abcdefghijklmnopqrstuvwxyz") * size,
    "a run of spaces": lambda rng, size: " " * size,
    "a run of newlines": lambda rng, size: "\n" * size,
    "mixed white space": lambda rng, size: "".join(rng.choices(" \t\n\r\v\u00a0", k=size)),
    "random letters": lambda rng, size: "".join(rng.choices(string.ascii_lowercase, k=size)),
    "random punctuation": lambda rng, size: "".join(rng.choices(string.punctuation, k=size)),
    "random Latin-1": lambda rng, size: _scattered(rng, 0, 255, size),
    "random Unicode": _unicode,
    "base64": lambda rng, size: base64.b64encode(rng.randbytes(size * 3 // 4)).decode(),
}
HOSTILE = tuple(_RUNS)
"""Texts made to be slow, and binary data as text."""


def texts(name: str, count: int, size: int = 100_000, seed: int = 1) -> Iterator[str]:
    """`count` texts of a corpus, of about `size` bytes each."""
    rng = random.Random(f"{name} {seed}")
    match name:
        case "English":
            yield from _slices(_english(), count, size)
        case "Python code":
            yield from _slices(_code(), count, size)
        case "JSON calls":
            yield from (_until(lambda: _call(rng), size) for _ in range(count))
        case "mixed languages":
            yield from (_paragraphs(rng, f"{CASED} {UNCASED} zh ja".split(), size) for _ in range(count))
        case "CJK":
            yield from (_paragraphs(rng, ["zh", "zh", "ja"], size) for _ in range(count))
        case "random CJK":
            yield from (_scattered(rng, 0x4E00, 0x5500, size // 3, "，。") for _ in range(count))
        case _:
            # Of different lengths, so that runs differ too.
            yield from (_RUNS[name](rng, size - 4 * number) for number in range(count))


def chat(count: int, seed: int = 1) -> list[str]:
    """Chat messages: 20 to 200 characters of prose each."""
    rng = random.Random(seed)
    whole = " ".join(_english().split())
    starts = rng.sample(range(len(whole) - 200), count)
    return [whole[start : start + rng.randrange(20, 201)] for start in starts]

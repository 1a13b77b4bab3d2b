"""Reasoning that goes in circles is found, and reasoning that repeats itself soundly is not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motet.asking.repetition import (
    MAX_PERIOD,
    MIN_REPEATED_UNITS,
    MIN_UNCERTAIN_UNITS,
    Repetition,
    RepetitionDetector,
)

WORDS = ["wait", "so", "the", "sum", "is", "let", "me", "check", "again", "no", "Überlauf", "что"]
units = st.sampled_from([*WORDS, "17", "0", ",", ".", "(", "=", "青"])


def found(text: str, size: int = 50) -> Repetition | None:
    detector = RepetitionDetector()
    chunks = (text[start : start + size] for start in range(0, len(text), size))
    return next((repetition for chunk in chunks if (repetition := detector.feed(chunk)) is not None), None)


def joined(parts: Iterator[str], count: int) -> str:
    return " ".join(itertools.islice(parts, count)) + " "


@settings(max_examples=30)
@given(st.lists(units, min_size=1, max_size=300), st.lists(units, max_size=200), st.integers(1, 40))
def test_repeated_passage_is_found(passage: list[str], before: list[str], size: int) -> None:
    has_word = any(unit[0].isalpha() for unit in passage)
    least = max(MIN_REPEATED_UNITS if has_word else MIN_UNCERTAIN_UNITS, 2 * len(passage))
    text = joined(iter(before), len(before)) + joined(itertools.cycle(passage), least + 3 * MAX_PERIOD)
    repetition = found(text, size)
    assert repetition is not None
    assert len(passage) % repetition.period == 0 or repetition.period < len(passage)


@pytest.mark.parametrize("period", [1, 2, 16, 17, 300, 1023, 1024])
def test_period_and_copies_are_exact(period: int) -> None:
    rng = random.Random(period)
    passage = [rng.choice(WORDS) + str(place) for place in range(period)]
    # A word and its number are two units.
    passage = passage[: max(period // 2, 1)] if period > 1 else ["wait"]
    length = 1 if period == 1 else 2 * len(passage)
    repetition = found(" ".join(passage * 3000), 7)
    assert repetition is not None
    assert repetition.period == length
    assert repetition.repeated >= max(MIN_REPEATED_UNITS, 2 * length)
    assert repetition.copies == repetition.repeated // length + 1


@pytest.mark.parametrize("period", [1, 7, 300])
def test_nothing_is_found_below_the_threshold(period: int) -> None:
    passage = [f"{WORDS[place % 12]}{'abcdefghij'[place % 10]}{'klmnopq'[place % 7]}" for place in range(period)]
    least = max(MIN_REPEATED_UNITS, 2 * period)
    assert found(joined(itertools.cycle(passage), period + least - 1)) is None
    assert found(joined(itertools.cycle(passage), period + least)) is not None


def test_longer_periods_are_not_found() -> None:
    passage = [f"w{letter}{other}" for letter, other in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=2)] * 2
    passage = [f"{word}{place % 3 * 'x'}" for place, word in enumerate(passage)]
    assert len(passage) > MAX_PERIOD
    assert found(joined(itertools.cycle(passage), 8 * len(passage)), 500) is None


def test_counting_is_found_with_a_higher_threshold() -> None:
    lines = [f"Case {n}: the square of {n + 1} is not it, next.\n" for n in range(600)]
    repetition = found("".join(lines))
    assert repetition is not None
    assert repetition.period == 13
    assert repetition.repeated >= MIN_UNCERTAIN_UNITS
    assert found("".join(lines[:300])) is None
    # Numbers that change otherwise are content.
    assert found("".join(f"Case {n}: {n * n} is not it, next.\n" for n in range(2000)), 500) is None


@given(st.lists(st.sampled_from(["aé", " ", "1", "23", "x" * 20, "\n", "।", "青青", "1" * 18]), max_size=60), st.data())
def test_chunks_do_not_matter(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts) * 60
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=20)))
    chunked, whole = RepetitionDetector(), RepetitionDetector()
    for start, end in itertools.pairwise([0, *cuts, len(text)]):
        chunked.feed(text[start:end])
    whole.feed(text)
    assert vars(chunked._equal) == vars(whole._equal)
    assert (chunked._count, chunked._rest) == (whole._count, whole._rest)


def test_memory_is_bounded() -> None:
    detector = RepetitionDetector()
    for number in range(20_000):
        detector.feed(f"word{number} ")
    assert len(detector._places) <= 2 * MAX_PERIOD + 1
    assert len(detector._rest) < 16


# Sound text.

SENTENCES = [
    "Let me recompute the {a} term: {n} times {m} gives {p}.",
    "Wait, that contradicts the {a} case, where {x} was at most {n}.",
    "So {x} = {n} + {m} = {s}, and the remainder is {n} mod {k}.",
    "Hmm, but if {x} is even then the {a} sum cannot be {s}.",
    "Therefore we try {x} = {n}; the {a} condition holds.",
    "Alternatively, split on the {a} branch and bound {x} by {m}.",
]


def argument(rng: random.Random) -> str:
    n, m, k = rng.randint(2, 99), rng.randint(2, 99), rng.randint(2, 9)
    values = {"n": n, "m": m, "k": k, "p": n * m, "s": n + m, "x": rng.choice("xyzabc")}
    return rng.choice(SENTENCES).format(**values, a=rng.choice(["first", "second", "last", "inner", "odd"]))


def texts() -> dict[str, str]:
    rng = random.Random(7)
    board = "\n".join(" ".join(["empty,"] * 19) for _ in range(19))
    refrain = "Row, row, row your boat, gently down the stream. " * 20
    return {
        "reasoning": " ".join(argument(rng) for _ in range(8000)),
        "two sentences in turn with other numbers": " ".join(
            f"For a = {n} we get {n * n % 97}. Try the next." for n in range(3000)
        ),
        "table": "\n".join(f"| {n} | item {n % 7} | {n * 13 % 101} | yes | no |" for n in range(2000)),
        "table rules": ("|---|---|---|---|---|---|\n" + "| a | b | c | d | e | f |\n" * 30) * 2,
        "empty cells": "<tr>" + "<td></td>" * 120 + "</tr>\n" + "x " + "<td></td>" * 120,
        "numbered list": "\n".join(f"{n}. {argument(rng)}" for n in range(1500)),
        "counted list": "\n".join(f"{n}. item" for n in range(1, 1300)),
        "code": "\n".join(f"    def test_{n}(self):\n        self.assertEqual(f({n}), {n * n})\n" for n in range(1500)),
        "equal lines of data": '{"name": "a", "value": 0},\n' * 60,
        "board": f"The board is\n{board}\nand after the move\n" + board.replace("empty", "black", 1),
        "grid of numbers": "\n".join(" ".join(["0"] * 30) for _ in range(30)) + "\nbecomes\n" + "0 " * 899 + "1",
        "digits": " ".join(str(rng.randint(0, 9)) for _ in range(20000)),
        "binary": "".join(rng.choice("01") for _ in range(50_000)),
        "hexadecimal": "".join(rng.choice("0123456789abcdef") for _ in range(50_000)),
        "rules": "=" * 80 + "\n" + "-" * 2000 + "\n" + refrain,
        "two words": " ".join(rng.choice(["yes", "no"]) for _ in range(20_000)),
        "primes": " ".join(
            f"{n} is prime." if all(n % d for d in range(2, n)) else f"{n} is not." for n in range(2, 900)
        ),
        "中文": "".join(
            rng.choice("我们需要计算这个值然后检查结果是否正确因为前面的假设可能有误") for _ in range(20_000)
        ),
        "moves": " ".join(f"{n}. {rng.choice('abcdefgh')}{rng.randint(1, 8)}" for n in range(4000)),
        "an answer written three times": (" ".join(argument(rng) for _ in range(40)) + "\n") * 2,
    }


@pytest.mark.parametrize("name", texts())
def test_sound_text_is_not_found(name: str) -> None:
    assert found(texts()[name], 1000) is None

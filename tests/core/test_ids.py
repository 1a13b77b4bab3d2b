"""Reading lists of ids without PyO3: with arbitrary items, and while other threads change them."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet

OPENING = motet.encode("<|channel|>final<|message|>", special="token")


class Sub(int):
    """A subclass of int, whose own code may run."""


class Index:
    """An id with a side effect on reading."""

    def __init__(self, value: int, act: Callable[[], object] = lambda: None) -> None:
        self.value = value
        self.act = act

    def __index__(self) -> int:
        self.act()
        return self.value


fitting = st.integers(0, 201_087)
integers = fitting | st.integers(-(2**70), 2**70) | st.sampled_from([-1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64])


@given(st.lists(integers), st.lists(st.sampled_from([int, Sub, Index])))
def test_all_integer_types_are_accepted_as_ids(values: list[int], kinds: list[Any]) -> None:
    kinds = (kinds + [int] * len(values))[: len(values)]
    plain = motet.parse([*OPENING, *values])
    assert motet.parse([*OPENING, *[kind(value) for kind, value in zip(kinds, values, strict=True)]]) == plain
    assert motet.parse(iter([*OPENING, *values])) == plain


@pytest.mark.parametrize("odd", [True, None, 1.0, "1", b"1", [1]])
@pytest.mark.parametrize("place", [0, 3, 5])
def test_invalid_id_is_reported_with_its_index(odd: Any, place: int) -> None:
    ids: list[Any] = [*OPENING, 1, 2, 3]
    ids[place] = odd
    with pytest.raises(TypeError, match=rf"raw\[{place}\] must be a token id \(an int\), not {type(odd).__name__}"):
        motet.parse(ids)


@pytest.mark.parametrize("change", ["clear", "shorten", "lengthen", "replace"])
def test_list_of_ids_may_change_while_it_is_read(change: str) -> None:
    ids: list[Any] = [*OPENING, *motet.encode("one two three")]
    act: dict[str, Callable[[], object]] = {
        "clear": ids.clear,
        "shorten": lambda: ids.__delitem__(slice(5, None)),
        "lengthen": lambda: ids.extend(motet.encode(" four")) if len(ids) < 20 else None,
        "replace": lambda: ids.__setitem__(slice(5, None), [object()]),
    }
    ids.insert(4, Index(motet.encode("x")[0], act[change]))
    if change == "replace":
        with pytest.raises(TypeError, match=r"raw\[5\]"):
            motet.parse(ids)
    else:
        assert motet.parse(ids).text.startswith("onex")


def test_another_thread_may_change_the_list_of_ids() -> None:
    ids = [*OPENING, *motet.encode("word " * 20_000)]
    rest, ends = list(ids), time.monotonic() + 1

    def change() -> None:
        while time.monotonic() < ends:
            del ids[5:]
            ids[5:] = [int(str(example)) for example in rest[5:]]

    thread = threading.Thread(target=change)
    thread.start()
    lengths = set()
    while thread.is_alive():
        completion = motet.parse(ids)
        assert completion.text == ("word " * 20_000)[: len(completion.text)]
        lengths.add(len(completion.text))
    assert lengths


def test_kept_events_do_not_change() -> None:
    """Event objects are recycled unless the caller keeps a reference."""
    parser, words = motet.StreamParser(), motet.encode("one two one two two one " * 50)
    for token in OPENING:
        parser.feed(token)
    lists, iterators, first = [], [], []
    for number, token in enumerate(words):
        events = parser.feed(token)
        assert len(events) == 1
        match number % 4:
            case 0:
                lists.append(events)
            case 1:
                iterators.append(iter(events))
            case 2:
                first.append(parser.feed(token)[0])
            case _:
                events.append(events[0])
                events.clear()
    texts = [motet.decode([token]) for token in words]
    assert [event.delta for events in lists for event in events] == texts[0::4]
    assert [next(event).delta for event in iterators] == texts[1::4]
    assert [event.delta for event in first] == texts[2::4]
    other, again = motet.StreamParser(), motet.encode(" one", special="token")
    for channel in ("analysis", "final"):
        for token in motet.encode(f"<|start|>assistant<|channel|>{channel}<|message|>", special="token"):
            other.feed(token)
        assert [(event.delta, event.channel) for event in other.feed(again)] == [(" one", channel)]
        other.feed(200007)


def test_reentrant_feed_during_reading_is_safe() -> None:
    parser = motet.StreamParser()
    parser.feed(OPENING)
    a, b = motet.encode("a b")
    parser.feed(Index(b, lambda: parser.feed(a)))
    parser.feed(token for token in [a, b] if parser.feed(token))
    assert parser.completion.text == motet.decode([a, b, a, b, a, b])


def test_lists_share_cached_ints_and_release_them() -> None:
    text = "shared, kept and given back: 東京 " * 3
    ids = motet.encode(text)
    again = motet.encode(text)
    assert ids == again and all(type(token) is int for token in ids)
    assert all(token is other for token, other in zip(ids, again, strict=True))
    rare = max(ids)
    before = sys.getrefcount(rare)
    many = [motet.encode(text) for _ in range(100)]
    assert sys.getrefcount(rare) == before + 100 * ids.count(rare)
    many[0].clear()
    many[1][:] = [0]
    assert many[2] == ids
    del many
    gc.collect()
    assert sys.getrefcount(rare) == before


def test_threads_encode_the_same_text_at_once() -> None:
    program = """
import threading, motet
texts = [f"{n} {chr(0x4e00 + n)} word{n}" for n in range(3000)]
start, made = threading.Barrier(8), []
def work():
    start.wait()
    made.append([motet.encode(text) for text in texts])
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
arrays = [motet.encode_array(text).tolist() for text in texts]
assert len(made) == 8 and all(one == arrays for one in made)
"""
    subprocess.run([sys.executable, "-X", "dev", "-c", program], check=True)

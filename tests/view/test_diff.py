"""Differences of transcripts: the first differing token, aligned frames, changed tokens."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

import motet
from motet.message import Message, Text
from motet.view.difference import Difference, diff
from motet.view.edit_script import Region, StepBudget, changed_regions, common_prefix
from tests.support.command_line import command, run
from tests.support.transcripts import RUN

WORDS = st.lists(st.integers(0, 3), max_size=8)
IDS = st.lists(st.sampled_from([*motet.SPECIAL_TOKENS.values(), *motet.encode("analysis assistant Hi é😀")]))
HI = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Hi Ann<|return|>"
CHAT = [{"role": "user", "content": "Is Paris warm?"}, {"role": "assistant", "content": "Yes, 24 degrees.\nCome."}]
OTHER = [{"role": "user", "content": "Is Paris warm?"}, {"role": "assistant", "content": "No, 14 degrees.\n日本"}]


def apply(a: Sequence[int], b: Sequence[int], regions: Sequence[Region]) -> list[int]:
    """`a` with the items of `b` in the regions."""
    result: list[int] = []
    place = 0
    for a_start, a_end, b_start, b_end in regions:
        result += [*a[place:a_start], *b[b_start:b_end]]
        place = a_end
    return [*result, *a[place:]]


def regions_of(difference: Difference) -> list[Region]:
    return [(change.a_start, change.a_end, change.b_start, change.b_end) for change in difference.changes]


@given(WORDS, WORDS, st.integers(0, 40))
def test_changed_regions_turn_a_into_b(a: list[int], b: list[int], steps: int) -> None:
    assert apply(a, b, changed_regions(a, b, StepBudget(steps))) == b


@given(WORDS, WORDS)
def test_changed_regions_are_the_smallest(a: list[int], b: list[int]) -> None:
    @cache
    def common(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        return 1 + common(i + 1, j + 1) if a[i] == b[j] else max(common(i + 1, j), common(i, j + 1))

    regions = changed_regions(a, b, StepBudget())
    assert sum([a_end - a_start + b_end - b_start for a_start, a_end, b_start, b_end in regions]) == (
        len(a) + len(b) - 2 * common(0, 0)
    )


@given(WORDS, WORDS, st.integers(0, 3), st.integers(0, 3))
def test_common_prefix_counts_equal_items(a: list[int], b: list[int], i: int, j: int) -> None:
    i, j = min(i, len(a)), min(j, len(b))
    pairs = list(zip(a[i:], b[j:], strict=False))
    expected = next((place for place, (x, y) in enumerate(pairs) if x != y), len(pairs))
    assert common_prefix(a, b, i, j) == expected


@given(IDS, IDS)
def test_difference_of_completions_turns_a_into_b(a: list[int], b: list[int]) -> None:
    difference = diff(a, b)
    assert apply(a, b, regions_of(difference)) == b
    assert difference.equal == (a == b)
    if difference.parting is not None:
        assert a[: difference.parting.position] == b[: difference.parting.position]


def test_changes_in_a_million_tokens_take_few_steps() -> None:
    a = array("I", range(1_000_000))
    b = array("I", a)
    b[123_456] = b[900_000] = 0
    budget = StepBudget()
    before = budget.left
    assert changed_regions(a, b, budget) == [(123_456, 123_457) * 2, (900_000, 900_001) * 2]
    assert before - budget.left == 15


def test_unlike_sequences_are_one_change_when_steps_end() -> None:
    a = array("I", range(100_000))
    assert changed_regions(a, a[::-1], StepBudget(1000)) == [(0, 100_000, 0, 100_000)]


def test_parting_names_the_frame_and_the_token() -> None:
    difference = diff(HI, HI.replace("Ann", "Bob"))
    parting = difference.parting
    assert parting is not None
    assert (parting.a_frame, parting.b_frame, parting.a_place, parting.before) == (
        1,
        1,
        6,
        "<|start|>assistant<|channel|>final<|message|>Hi",
    )
    assert motet.decode([parting.a_id or 0, parting.b_id or 0]) == " Ann Bob"
    assert [bool(pair.changes) for pair in difference.frames] == [False, True]


def test_missing_frame_has_no_partner() -> None:
    difference = diff(CHAT, [CHAT[0], {"role": "user", "content": "Well?"}, CHAT[1]])
    assert [(pair.a and pair.a.index, pair.b and pair.b.index) for pair in difference.frames] == [
        (0, 0),
        (None, 1),
        (1, 2),
    ]


def test_frames_pair_by_channel_where_texts_differ() -> None:
    difference = diff(HI.replace("Hm", "One"), HI.replace("Hm", "Two").replace("Ann", "Bob"))
    assert [(pair.a and pair.a.channel, pair.b and pair.b.channel) for pair in difference.frames] == [
        ("analysis", "analysis"),
        ("final", "final"),
    ]


def test_frames_pair_where_every_frame_differs() -> None:
    chats = [[{"role": "user", "content": f"{word} {n}"} for n in range(1000)] for word in ("one", "two")]
    difference = diff(*chats)
    assert len(difference.frames) == 1000
    assert all(pair.a and pair.b for pair in difference.frames)


def test_frame_written_anew_leaves_steps_for_others() -> None:
    anew = " ".join(map(str, range(3000)))
    chats = [
        [{"role": "user", "content": text}, {"role": "user", "content": f"{text[:2]} at noon"}] for text in ("a", anew)
    ]
    second = diff(*chats).frames[1]
    assert [change.a_end - change.a_start for change in second.changes] == [1]


def test_equal_texts_of_other_tokens_are_reported() -> None:
    head = motet.encode("<|channel|>final<|message|>", special="token")
    a, b = [*head, *motet.encode("hello")], [*head, *motet.encode("hel"), *motet.encode("lo")]
    (pair,) = diff(a, b).frames
    assert pair.changes
    assert pair.has_equal_text


def test_prompts_in_two_dialects_differ_in_their_preface() -> None:
    prompts = [motet.render(CHAT[:1], dialect=dialect) for dialect in ("motet", "chat_template")]
    difference = diff(*prompts)
    assert difference.ids == tuple([array("I", prompt.ids) for prompt in prompts])
    assert [pair.a.role for pair in difference.frames if pair.changes and pair.a] == ["system"]


def test_runs_are_equal_up_to_their_parting() -> None:
    last = replace(RUN.steps[1], message=Message("assistant", (Text("No."),)))
    parting = diff(RUN, replace(RUN, steps=(RUN.steps[0], last))).parting
    assert parting is not None
    assert motet.transcript(RUN).frames[parting.a_frame or 0].step == 2


def files(folder: Path) -> tuple[str, str]:
    (folder / "a.json").write_text(json.dumps(CHAT))
    (folder / "b.json").write_text(json.dumps([*OTHER, {"role": "user", "content": "ok\x1b[2J"}]))
    return str(folder / "a.json"), str(folder / "b.json")


def test_wide_terminals_show_two_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    result = run("diff", *files(tmp_path))
    assert result.code == 1
    assert result.out == snapshot("""\
A  a.json: 22 tokens in 2 frames
B  b.json: 30 tokens in 3 frames
equal for 13 tokens (59.1% of A, 43.3% of B), then:
     behind '<|start|>assistant<|channel|>final<|message|>'
  A  token 13022 'Yes': token 6 of frame 2, final
  B  token 3160 'No': token 6 of frame 2, final

= 1 equal frame, 8 tokens

2 final  (14 tokens)                                       │ 2 final  (13 tokens)
  <|start|>assistant<|channel|>final<|message|>[-Yes-], [- │   <|start|>assistant<|channel|>final<|message|>{+No+}, {+1
  24-] degrees.                                            │   4+} degrees.
  [-Come.-]<|return|>                                      │   {+日本+}<|return|>

                                                           │ 3 user  (9 tokens)
                                                           │   {+<|start|>user<|message|>ok\\x1b[2J<|end|>+}
""")


def test_narrow_terminals_show_one_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    result = run("diff", *files(tmp_path), "--context", "2")
    assert result.code == 1
    assert result.out == snapshot("""\
A  a.json: 22 tokens in 2 frames
B  b.json: 30 tokens in 3 frames
equal for 13 tokens (59.1% of A, 43.3% of B), then:
     behind '<|start|>assistant<|channel|>final<|message|>'
  A  token 13022 'Yes': token 6 of frame 2, final
  B  token 3160 'No': token 6 of frame 2, final

= 1 equal frame, 8 tokens

- 2 final  (14 tokens)
+ 2 final  (13 tokens)
  …final<|message|>[-Yes-]{+No+}, [-24-]{+14+} degrees.
  [-Come.-]{+日本+}<|return|>

+ 3 user  (9 tokens)
  {+<|start|>user<|message|>ok\\x1b[2J<|end|>+}
""")


def test_lines_break_between_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for name, text in (("a", ""), ("b", "unbroken " * 40)):
        (tmp_path / f"{name}.json").write_text(json.dumps([{"role": "user", "content": text}]))
    out = run("diff", str(tmp_path / "a.json"), str(tmp_path / "b.json")).out
    assert max(map(len, out.splitlines()[-6:])) <= 60
    assert out.count("unbroken") == 40


def test_json_has_places_ids_and_texts(tmp_path: Path) -> None:
    result = run("diff", *files(tmp_path), "--json")
    assert result.code == 1
    shape = json.loads(result.out)
    assert shape["parting"]["position"] == 13
    assert shape["frames"][0]["changes"][0] == {
        "a": {"start": 5, "ids": motet.encode("Yes"), "text": "Yes"},
        "b": {"start": 5, "ids": motet.encode("No"), "text": "No"},
    }


def test_equal_files_give_exit_code_zero(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text(json.dumps(motet.encode(HI, special="token")))
    assert command("diff", str(tmp_path / "ids.json"), "-", stdin=HI).endswith("the tokens are equal\n")
    ids = (tmp_path / "ids.json").read_text()
    assert command("diff", "-", str(tmp_path / "ids.json"), stdin=ids).endswith("the tokens are equal\n")


def test_files_that_cannot_be_read_give_exit_code_two(tmp_path: Path) -> None:
    assert command("diff", "missing.json", "-", code=2) == "motet: no such file or folder: 'missing.json'\n"
    assert "only one of the two" in command("diff", "-", "-", code=2)


def test_rows_of_tables_are_chosen_by_number(tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    table.write_text("".join([json.dumps({"completion": text}) + "\n" for text in (HI, HI.replace("Ann", "Bob"))]))
    assert run("diff", f"{table}#1", f"{table}#2").code == 1
    assert run("diff", f"{table}", f"{table}").code == 0
    assert "choose one as" in command("diff", f"{table}", f"{table}#1", code=2)
    assert "has 2 transcripts" in command("diff", f"{table}#1", f"{table}#3", code=2)

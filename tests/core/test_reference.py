"""motet beside the reference parser: what strict parsing takes, and what becomes of one damage."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
import tiktoken
from hypothesis import example, given
from hypothesis import strategies as st

import motet
from tests.support import harmony_reference as reference
from tests.support.harmony_reference import Read
from tests.support.hypothesis_profiles import examples

MARKERS = list(reference.MARKERS)
WORDS = [
    *("assistant", "user", "system", "tool", ":al", "analysis", "commentary", "final", "comment", "FINAL", "other"),
    *(
        " to=functions.f",
        " to=x",
        " to=assistant",
        " to=python",
        " to=none",
        " to=final",
        " to=tool:",
        "to=",
        "functions.f",
        "functions.",
        "python",
        "f",
    ),
    *(
        " json",
        "json",
        " code",
        " text",
        " assistant",
        " ",
        "  ",
        "\n",
        "\u00a0",
        "Hi",
        "{}",
        "=",
        "<|",
        "é",
        "{",
        "x" * 40,
    ),
]
WELL_FORMED = [
    "<|channel|>final<|message|>Hi<|return|>",
    "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>",
    " to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
    "<|channel|>commentary to=functions.f json<|message|>{}<|call|><|start|>assistant<|channel|>commentary<|message|>x<|end|>",
    "<|start|>user:al<|message|>hi<|end|><|start|>functions.f to=assistant<|channel|>commentary<|message|>x<|end|><|start|>assistant",
]
PIECE = re.compile(
    "|".join([re.escape(word) for word in sorted([*MARKERS, *WORDS], key=len, reverse=True)]) + "|.", re.S
)

wild = st.lists(st.sampled_from(MARKERS) | st.sampled_from(WORDS), max_size=14).map("".join)


@st.composite
def damaged(draw: Any) -> str:
    """A well-formed wire with up to three pieces more, less, or other."""
    pieces = PIECE.findall(draw(st.sampled_from(WELL_FORMED)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(pieces)))
        pieces[at : at + draw(st.integers(0, 1))] = draw(st.lists(st.sampled_from([*MARKERS, *WORDS]), max_size=1))
    return "".join(pieces)


def shown(frames: Any) -> list[Read]:
    return [Read(*(getattr(frame, field.name) for field in dataclasses.fields(Read))) for frame in frames]


def strict(parse: Callable[..., Any], raw: Any) -> list[Read] | None:
    try:
        completion = parse(raw, strict=True)
    except motet.ParseError:
        return None
    return shown(completion.frames if isinstance(completion, motet.Completion) else completion)


@example("<|channel|>final<|message|>" + " " * 1100)
@example("<|channel|>final" + " " * 1100 + "<|message|>x<|end|>")
@example("<|start|>user:<|message|>x<|end|>")
@example(" <|constrain|>json<|channel|>final<|message|>x<|end|>")
@example("to=functions.f<|message|>{}<|call|>")
@given(wild | damaged())
def test_strict_parsing_accepts_what_the_format_page_says(peer_tokenizer: tiktoken.Encoding, text: str) -> None:
    ids = motet.encode(text, special="token")
    for transcript, parse in ((False, motet.parse), (True, motet.frames)):
        expected = reference.read(reference.wire_of_text(text), transcript=transcript)
        assert strict(parse, text) == expected
        assert reference.read(reference.wire_of_ids(ids, peer_tokenizer), transcript=transcript) == expected
        assert strict(parse, ids) == expected


@given(
    st.lists(st.integers(0, 201_200) | st.sampled_from(list(reference.MARKERS.values())), max_size=12), st.booleans()
)
def test_any_ids_parse_as_the_format_page_says(
    peer_tokenizer: tiktoken.Encoding, content: list[int], whole: bool
) -> None:
    opening, end = motet.encode("<|channel|>final<|message|>", special="token"), [200002]
    ids = [*opening, *content, *end] if whole else content
    assert strict(motet.parse, ids) == reference.read(reference.wire_of_ids(ids, peer_tokenizer))


# One damage, and what the tables of the pages say about it. A wire is a list of frames in pieces.


@dataclasses.dataclass
class Pieces:
    """A frame on the wire."""

    start: str
    header: str
    message: str
    content: str
    stop: str

    def __str__(self) -> str:
        return self.start + self.header + self.message + self.content + self.stop


STOPS = {"end": "<|end|>", "call": "<|call|>", "return": "<|return|>"}


def written(frames: list[Read]) -> list[Pieces]:
    out = []
    for index, frame in enumerate(frames):
        to = f" to={frame.recipient}" if frame.recipient else ""
        kind = f" {frame.content_type}" if frame.content_type else ""
        start = "<|start|>assistant" if index else ""
        assert frame.stop
        out.append(
            Pieces(start, f"<|channel|>{frame.channel}{to}{kind}", "<|message|>", frame.content, STOPS[frame.stop])
        )
    return out


Damage = Callable[[list[Pieces], list[Read], int], object]
"""Changes the wire, and the frames to what is expected. `False`: it cannot happen to that frame."""


def change(frames: list[Read], at: int, **values: Any) -> None:
    frames[at] = dataclasses.replace(frames[at], **values)


def set_piece(name: str, write: Callable[[str], str]) -> Damage:
    """A damage that does not change the frames."""

    def damage(wire: list[Pieces], frames: list[Read], at: int) -> bool:
        before = getattr(wire[at], name)
        setattr(wire[at], name, write(before))
        return write(before) != before

    return damage


def end_is_missing(wire: list[Pieces], frames: list[Read], at: int) -> None:
    wire[at].stop = ""
    change(frames, at, stop=None)


def channel_is_replaced(wire: list[Pieces], frames: list[Read], at: int) -> None:
    wire[at].header = f"<|channel|>{'final' if frames[at].channel != 'final' else 'analysis'}{wire[at].header}"


def call_is_ended_by_return(wire: list[Pieces], frames: list[Read], at: int) -> bool:
    is_call = frames[at].stop == "call"
    wire[at].stop = "<|return|>"
    change(frames, at, stop="return")
    return is_call


def marker_is_quoted(wire: list[Pieces], frames: list[Read], at: int) -> None:
    quoted = f"{wire[at].content}<|start|>assistant is said{wire[at].content}"
    wire[at].content = quoted
    change(frames, at, content=quoted)


def text_ends_it(wire: list[Pieces], frames: list[Read], at: int) -> bool:
    wire[at].stop = "<|endoftext|>"
    return frames[at].stop == "return"


def user_speaks(wire: list[Pieces], frames: list[Read], at: int) -> None:
    wire.append(Pieces("<|start|>user", "", "<|message|>", "next", "<|end|>"))
    frames.append(Read("user", None, None, None, None, "next", "end"))


# By the code that names it: the damage, and which frames it can happen to.
ANY, FIRST, LATER, LAST = "any", "first", "later", "last"
DAMAGES: list[tuple[str, str, Damage]] = [
    ("missing_start", LATER, set_piece("start", lambda _: "")),
    ("missing_start", LATER, set_piece("start", lambda _: "assistant")),
    ("duplicate_start", LATER, set_piece("start", lambda start: "<|start|>" + start)),
    ("repeated_start", FIRST, set_piece("start", lambda _: "<|start|>assistant")),
    ("missing_role", LATER, set_piece("start", lambda _: "<|start|>")),
    ("stray_text", LATER, set_piece("start", lambda start: "\n" + start)),
    ("stray_text", LATER, set_piece("start", lambda start: " and so on\n" + start)),
    ("redundant_stop", ANY, set_piece("stop", lambda stop: stop + "<|end|>")),
    ("redundant_stop", LAST, set_piece("stop", lambda stop: stop + "<|return|>")),
    ("end_of_text", LAST, text_ends_it),
    ("empty_channel", ANY, set_piece("header", lambda header: "<|channel|>" + header)),
    ("channel_case", ANY, set_piece("header", lambda header: header.replace("|>commentary", "|>Commentary"))),
    ("channel_case", ANY, set_piece("header", lambda header: header.replace("|>final", "|>FINAL"))),
    ("duplicate_channel", ANY, channel_is_replaced),
    ("garbage_channel", ANY, set_piece("header", lambda header: header.replace("|>commentary", "|>comment"))),
    ("duplicate_recipient", ANY, set_piece("header", lambda header: re.sub(r"( to=\S+)", r"\1\1", header))),
    ("duplicate_content_type", ANY, set_piece("header", lambda header: re.sub(r"json$", "json json", header))),
    ("empty_content_type", ANY, set_piece("header", lambda header: header + "<|constrain|>")),
    ("header_order", ANY, set_piece("header", lambda header: re.sub(r"( to=\S+)( .*)", r"\2\1", header))),
    ("odd_space", ANY, set_piece("header", lambda header: header.replace(" to", "\u00a0to"))),
    ("duplicate_message", ANY, set_piece("message", lambda message: message * 2)),
    ("missing_end", LATER, lambda wire, frames, at: end_is_missing(wire, frames, at - 1)),
    ("truncated_content", LAST, end_is_missing),
    ("call_ended_by_stop", LAST, call_is_ended_by_return),
    ("marker_in_content", ANY, marker_is_quoted),
    ("foreign_role", LAST, user_speaks),
]

words = st.lists(st.integers(100, 999).map("w{}".format), max_size=3).map(" ".join)
thoughts = st.builds(
    lambda channel, text: Read("assistant", None, None, channel, None, text, "end"),
    st.sampled_from(["analysis", "commentary"]),
    words,
)


def calls(*kinds: str | None) -> st.SearchStrategy[Read]:
    return st.builds(
        lambda kind, text: Read("assistant", None, "functions.f", "commentary", kind, text, "call"),
        st.sampled_from(kinds),
        words.map('{{"a": "{}"}}'.format),
    )


answers = st.builds(lambda text: Read("assistant", None, None, "final", None, text, "return"), words)


@pytest.mark.parametrize(("code", "where", "damage"), DAMAGES, ids=[code for code, _, _ in DAMAGES])
@given(
    st.lists(thoughts | calls(None, "json"), min_size=1, max_size=2),
    calls("json", "<|constrain|>json"),
    answers,
    st.data(),
)
@examples(100)
def test_single_damage_is_repaired_as_the_pages_say(
    code: str, where: str, damage: Damage, before: list[Read], call: Read, answer: Read, data: Any
) -> None:
    choices = []
    for frames in ([*before, call], [*before, answer]):
        assert reference.read(wire_of(written(frames))) == frames
        last = len(frames) - 1
        start, end = {ANY: (0, last), FIRST: (0, 0), LATER: (1, last), LAST: (last, last)}[where]
        for at in range(start, end + 1):
            wire, expected = written(frames), list(frames)
            if damage(wire, expected, at) is not False:
                choices.append((wire, expected))
    wire, expected = data.draw(st.sampled_from(choices))
    assert reference.read(wire_of(wire)) is None
    text = "".join(map(str, wire))
    for raw in (text, motet.encode(text, special="token")):
        completion = motet.parse(raw)
        assert shown(completion.frames) == expected, text
        assert code in {repair.code for repair in completion.repairs}
        assert strict(motet.parse, raw) is None


def wire_of(pieces: list[Pieces]) -> str:
    return reference.wire_of_text("".join(map(str, pieces)))


@given(st.lists(st.sampled_from(MARKERS) | st.sampled_from(WORDS[:-9]) | words, max_size=14).map("".join))
def test_contents_keep_the_order_of_the_input(text: str) -> None:
    for raw in (text, motet.encode(text, special="token")):
        completion = motet.parse(raw)
        at = 0
        for frame in completion.frames:
            at = text.find(frame.content, at)
            assert at >= 0, (frame, completion)
            at += len(frame.content)
        # What is in no frame is in a repair, and nothing is in two frames.
        texts = [value for frame in shown(completion.frames) for value in dataclasses.astuple(frame) if value]
        repaired = [repair.text for repair in completion.repairs]
        for word in set(re.findall(r"w\d{3}", text)):
            framed = sum(value.count(word) for value in texts)
            assert framed <= text.count(word)
            assert framed == text.count(word) or any(word in result for result in repaired)

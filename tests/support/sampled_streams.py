"""Completions as models sample them, canonical or not and cut anywhere, and the loss mask by a slow rule of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

import motet
from motet import _core
from motet._core import MARKERS

__all__ = ["MARKS", "TOOLS", "cut_streams", "is_cut_in_header", "noise", "slow_mask", "without_ids"]

MARKS = {name: motet.encode(spelling, special="token")[0] for name, spelling in MARKERS.items()}
_NAMES = {token: name for name, token in MARKS.items()}
_STOPS = ("end", "call", "return")
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "search_files")
]

_texts = st.lists(
    st.sampled_from(
        ["weather", "天気は 世界", '{"a": "b"}', "I think", "naïve 🤌", "\n\n", " done.", "assistant", "final", "to="]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    max_size=4,
).map("".join)
_bodies = st.one_of(
    st.tuples(st.just("analysis"), _texts, st.just("end")),
    st.tuples(st.just("commentary"), _texts, st.just("end")),
    st.tuples(
        st.sampled_from(["functions.get_weather", "functions.search_files", "get_weather", "functions.other"]).map(
            "commentary to={} ".format
        ),
        st.sampled_from(['{"city": "Paris"}', "{}", '{"city": "Os']),
        st.just("call"),
    ),
)
_answers = st.tuples(st.just("final"), _texts, st.sampled_from(["return", "end"]))


@st.composite
def _segmented(draw: st.DrawFn, text: str) -> list[int]:
    """Ids of a text in tokens of random lengths."""
    data, ids, at = text.encode(), [], 0
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=8))
    while at < len(data):
        sizes = range(min(lengths[len(ids) % len(lengths)], len(data) - at), 0, -1)
        tokens = [(size, _core._token_id(data[at : at + size])) for size in sizes]
        size, token = next((size, token) for size, token in tokens if token is not None and token not in _NAMES)
        ids.append(token)
        at += size
    return ids


@st.composite
def cut_streams(draw: st.DrawFn) -> list[int]:
    """A completion of frames of the assistant: some without their `<|start|>`, cut anywhere."""

    def encoded(text: str) -> list[int]:
        return draw(_segmented(text)) if draw(st.booleans()) else motet.encode(text)

    ids: list[int] = []
    bodies = [*draw(st.lists(_bodies, max_size=3)), *draw(st.lists(_answers | _bodies, min_size=1, max_size=1))]
    for place, (header, content, stop) in enumerate(bodies):
        if place:
            ids += [MARKS["start"]] if draw(st.sampled_from([True, True, True, False])) else []
            ids += encoded("assistant")
        constrained = [MARKS["constrain"], *encoded("json")] if stop == "call" else []
        ids += [MARKS["channel"], *encoded(header), *constrained, MARKS["message"], *encoded(content), MARKS[stop]]
    return ids[: draw(st.integers(0, len(ids)))] if draw(st.booleans()) else ids


noise = st.lists(
    st.sampled_from(sorted(MARKS.values())).map(lambda token: [token])
    | st.sampled_from(["assistant", "final", "analysis", " to=functions.f", "user", "Hi", "{}"]).map(motet.encode)
    | st.integers(0, motet.VOCAB_SIZE - 1).map(lambda token: [token]),
    max_size=12,
).map(lambda groups: [token for group in groups for token in group])
"""Any ids, most of them with a meaning in the format."""


def is_cut_in_header(ids: Sequence[int]) -> bool:
    """Whether a completion ends before the `<|message|>` of its last frame: no text says what that frame is."""
    stops = [place for place, token in enumerate(ids) if _NAMES.get(token) in _STOPS]
    start = stops[-1] + 1 if stops else 0
    return MARKS["message"] not in ids[start:] and (start < len(ids) or not ids)


def slow_mask(ids: Sequence[int], tokens: str) -> list[int]:
    """The mask of a transcript, by reading each frame's header as text: a frame begins with `<|start|>`, or without it
    behind a stop token."""
    mask = [0] * len(ids)
    starts = [
        place
        for place, token in enumerate(ids)
        if token == MARKS["start"] or (place and _NAMES.get(ids[place - 1]) in _STOPS)
    ]
    for start, following in zip(starts, [*starts[1:], len(ids)], strict=True):
        header_end = next((place for place in range(start, following) if ids[place] == MARKS["message"]), following)
        header = motet.decode(ids[start:header_end])
        role = re.match(r"(?:<\|start\|>)?assistant(:\w+)?(?=[ <])", header)
        if role is None:
            continue
        channel = re.search(r"<\|channel\|>(\w+)", header)
        kind = (
            "calls"
            if " to=" in header
            else {"analysis": "reasoning", "final": "final"}.get(channel[1] if channel else "")
        )
        expected = {
            "assistant": True,
            "final": kind == "final",
            "without_reasoning": kind != "reasoning",
            "calls": kind == "calls",
        }
        if expected[tokens]:
            prefix = next(place for place in range(start, following) if motet.decode(ids[start:place]) == role[0])
            stop = next(
                (place for place in range(header_end, following) if _NAMES.get(ids[place]) in _STOPS), following
            )
            mask[prefix : stop + 1] = [1] * (min(stop + 1, following) - prefix)
    return mask


def without_ids(message: motet.Message) -> tuple[str, list[dict[str, Any]]]:
    """A message's role and parts, without the ids that calls are given."""
    parts = [part.to_dict() for part in message.content]
    return message.role, [{key: part[key] for key in part if key not in ("id", "tool_call_id")} for part in parts]

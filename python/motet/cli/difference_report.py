"""Differences of transcripts as lines of text: side by side, or unified on narrow terminals."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from motet import _core
from motet.cli.style import Style
from motet.cli.terminal import visible
from motet.view.difference import Change, Difference, FramePair, Parting
from motet.view.frames import TranscriptFrame, token_texts
from motet.view.plain import frame_heading
from motet.view.transcript import Transcript

__all__ = ["difference_lines"]

MIN_SIDE_BY_SIDE = 100
"""Columns of the terminal: two texts of 48 characters are still readable."""
MAX_CHANGED = 400
"""Tokens of a change that are shown; of longer ones the middle is left out."""
_MARKS = {"-": ("[-", "-]"), "+": ("{+", "+}"), " ": ("", "")}
_KINDS = {"-": "repair", "+": "text", " ": None}
"""The colours of what A has and of what B has, by the kinds of `Style`."""
_DIVIDER = " │ "

Piece = tuple[str, str]
"""A sign, `-` of A, `+` of B, or a space for both, and a text."""


def difference_lines(difference: Difference, style: Style, *, width: int, context: int) -> Iterator[str]:
    """The place of the parting, then the frames that differ, with `context` equal tokens around each change."""
    for letter, item, ids in zip("AB", (difference.a, difference.b), difference.ids, strict=True):
        yield style("title", f"{letter}  {item.title}: {len(ids):,} tokens in {_count(len(item.frames))}")
    if difference.parting is None:
        yield "the tokens are equal"
        return
    yield from _parting_lines(difference, difference.parting, style)
    equal: list[FramePair] = []
    for pair in difference.frames:
        if not pair.changes:
            equal.append(pair)
            continue
        yield from _equal_lines(equal, style)
        equal = []
        yield ""
        if width >= MIN_SIDE_BY_SIDE:
            yield from _side_by_side(pair, style, width, context)
        else:
            yield from _unified(pair, style, width, context)
        if pair.has_equal_text:
            yield style("markup", "  the texts are equal, the tokens are not")
    yield from _equal_lines(equal, style)


def _parting_lines(difference: Difference, parting: Parting, style: Style) -> Iterator[str]:
    shares = [
        f"{parting.position / max(len(ids), 1):.1%} of {letter}"
        for letter, ids in zip("AB", difference.ids, strict=True)
    ]
    yield f"equal for {parting.position:,} tokens ({', '.join(shares)}), then:"
    if parting.before:
        yield style("markup", f"     behind {visible(repr(parting.before))}")
    sides = (
        ("A", parting.a_id, parting.a_frame, parting.a_place, difference.a),
        ("B", parting.b_id, parting.b_frame, parting.b_place, difference.b),
    )
    for letter, token, index, place, item in sides:
        yield f"  {letter}  {_token_line(token, index, place, item)}"


def _token_line(token: int | None, index: int | None, place: int, item: Transcript) -> str:
    if token is None or index is None:
        return "ends"
    text = "".join([text for _, text in token_texts([token])])
    frame = frame_heading(item.frames[index]).partition("  (")[0]
    return f"token {token} {text!r}: token {place + 1:,} of frame {index + 1:,}, {frame}"


def _equal_lines(pairs: Sequence[FramePair], style: Style) -> Iterator[str]:
    if pairs:
        tokens = sum([pair.a.tokens for pair in pairs if pair.a is not None])
        yield ""
        yield style("markup", f"= {_count(len(pairs), 'equal ')}, {tokens:,} tokens")


def _count(frames: int, adjective: str = "") -> str:
    return f"{frames:,} {adjective}{'frame' if frames == 1 else 'frames'}"


def _frame_title(frame: TranscriptFrame | None) -> str:
    return "" if frame is None else f"{frame.index + 1:,} {frame_heading(frame)}"


def _side_by_side(pair: FramePair, style: Style, width: int, context: int) -> Iterator[str]:
    column = (width - len(_DIVIDER)) // 2
    pieces = list(_pieces(pair, context))
    sides = [
        [*_wrapped([(" ", _frame_title(frame))] if frame else [], column), *_wrapped(shown, column - 2, indent=2)]
        for frame, shown in (
            (pair.a, [piece for piece in pieces if piece[0] != "+"] if pair.a else []),
            (pair.b, [piece for piece in pieces if piece[0] != "-"] if pair.b else []),
        )
    ]
    for row in range(max(map(len, sides))):
        left, right = [lines[row] if row < len(lines) else [] for lines in sides]
        padding = " " * (column - sum([_width(text) for _, text in left]))
        yield f"{_painted(left, style)}{padding}{_DIVIDER}{_painted(right, style)}".rstrip()


def _unified(pair: FramePair, style: Style, width: int, context: int) -> Iterator[str]:
    titles = [_frame_title(frame) for frame in (pair.a, pair.b)]
    if titles[0] == titles[1]:
        yield f"~ {titles[0]}"
    else:
        yield from [f"{sign} {title}" for sign, title in zip("-+", titles, strict=True) if title]
    for line in _wrapped(_pieces(pair, context), width - 2, indent=2):
        yield _painted(line, style)


def _pieces(pair: FramePair, context: int) -> Iterator[Piece]:
    """The changes of a pair with the equal tokens around them; `…` for tokens that are left out."""
    a = [] if pair.a is None else pair.a.ids
    b = [] if pair.b is None else pair.b.ids
    end = 0
    changes = _widened(pair.changes, a, b)
    for number, change in enumerate(changes):
        yield " ", _gap(a[end : change.a_start], context, is_first=number == 0, is_last=False)
        for sign, ids in (("-", a[change.a_start : change.a_end]), ("+", b[change.b_start : change.b_end])):
            if len(ids):
                yield sign, _gap(ids, MAX_CHANGED // 2, is_first=False, is_last=False)
        end = change.a_end
    yield " ", _gap(a[end:], context, is_first=False, is_last=True)


def _gap(ids: Sequence[int], context: int, *, is_first: bool, is_last: bool) -> str:
    """The text of tokens, without those that are further than `context` from a change."""
    head, tail = 0 if is_first else context, 0 if is_last else context
    if len(ids) <= head + tail:
        return _text(ids)
    return f"{_text(ids[:head])}…{_text(ids[len(ids) - tail :])}"


def _widened(changes: Sequence[Change], a: Sequence[int], b: Sequence[int]) -> list[Change]:
    """The changes up to the bounds of characters: tokens that share a character are shown together."""
    widened: list[Change] = []
    for change in changes:
        a_start, a_end, b_start, b_end = change.a_start, change.a_end, change.b_start, change.b_end
        while min(a_start, b_start) > 0 and (_continues(a, a_start) or _continues(b, b_start)):
            a_start, b_start = a_start - 1, b_start - 1
        while _continues(a, a_end) and _continues(b, b_end):
            a_end, b_end = a_end + 1, b_end + 1
        if widened and widened[-1].a_end >= a_start:
            before = widened.pop()
            a_start, b_start = before.a_start, before.b_start
        widened.append(Change(a_start, a_end, b_start, b_end))
    return widened


def _continues(ids: Sequence[int], place: int) -> bool:
    """Whether a token begins within a UTF-8 character."""
    if place >= len(ids):
        return False
    try:
        data = _core.decode_bytes(ids[place : place + 1])
    except ValueError:
        return False
    return bool(data) and data[0] & 0xC0 == 0x80


def _text(ids: Sequence[int]) -> str:
    return "".join([text for _, text in token_texts(ids)])


def _wrapped(pieces: Iterator[Piece] | Sequence[Piece], width: int, indent: int = 0) -> list[list[Piece]]:
    """Lines of pieces, each at most `width` wide, with marks around what differs. Changed line breaks are `↵`."""
    lines: list[list[Piece]] = [[(" ", " " * indent)]]
    left = width
    for sign, text in pieces:
        opening, closing = _MARKS[sign]
        shown = f"{opening}{text.replace(chr(10), '↵' + chr(10)) if sign != ' ' else text}{closing}"
        run = ""
        for character in visible(shown).replace("\r\n", "\n").replace("\t", "    "):
            if character == "\n" or _width(character) > left:
                head, rest = (run, "") if character in "\n " else _at_last_space(run, width)
                lines[-1].append((sign, head))
                lines.append([(" ", " " * indent)])
                run, left = rest, width - _width(rest)
            if character != "\n":
                run += character
                left -= _width(character)
        lines[-1].append((sign, run))
    return lines if any(text.strip() for line in lines for _, text in line) else []


def _at_last_space(run: str, width: int) -> tuple[str, str]:
    """A line and the word that continues on the next one; words longer than half a line are broken."""
    head, space, word = run.rpartition(" ")
    return (head + space, word) if space and _width(word) <= width // 2 else (run, "")


def _width(text: str) -> int:
    """The columns of a text in a terminal."""
    return sum(
        [
            0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
            for character in text
        ]
    )


def _painted(line: Sequence[Piece], style: Style) -> str:
    return "".join([style(_KINDS[sign], text) for sign, text in line])

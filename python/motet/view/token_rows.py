"""What the parser does with each token of a completion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from motet import _core
from motet.message import Repair, Role

__all__ = ["TokenRow", "first_place", "text_of_token", "token_rows"]

Place: TypeAlias = Literal["content", "header", "between"]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token and what the parser did with it."""

    position: int
    id: int
    """-1 for the end of the input."""
    text: str
    kind: str | None
    """The kind of part whose content it is; `markup` for special tokens and headers."""
    meaning: str
    repairs: tuple[Repair, ...]


def first_place(role: Role | None, opened: str | None) -> Place:
    """Where the first token stands: between frames, behind the header that the prompt opened, or within it."""
    if role is None:
        return "between"
    complete = opened is not None and (opened.endswith(_core.MARKERS["message"]) or "<" not in opened)
    return "content" if complete else "header"


def token_rows(ids: Iterable[int], parser: _core.StreamParser, place: Place) -> Iterator[TokenRow]:
    """The rows of tokens while a parser reads them. `place`: where the first stands.

    Raises `ParseError` if the parser is strict, behind the rows of the tokens that follow the format.
    """
    position = -1
    for position, token in enumerate(ids):
        events = parser.feed(token)
        yield _row(position, token, events, place)
        ends = [event.type for event in events if event.type in ("start", "end")]
        if ends:
            place = "content" if ends[-1] == "start" else "between"
        elif place == "between" and token in _OPENING:
            place = "header"
        elif place == "header" and token in _core.STOP_TOKENS:
            place = "between"
    rest = parser.close()
    if rest:
        yield _row(position + 1, -1, rest, place)


_SPECIAL = frozenset(_core.SPECIAL_TOKENS.values())
_OPENING = [_core.SPECIAL_TOKENS[_core.MARKERS[word]] for word in ("start", "channel", "constrain")]


def _row(position: int, token: int, events: list[_core.Event], place: Place) -> TokenRow:
    repairs = tuple([event.repair for event in events if event.repair is not None])
    marker = token in _SPECIAL
    kind: str | None = "markup"
    meaning: list[str] = []
    for event in events:
        text = "" if event.type == "repair" else _meaning(event)
        if event.type == "delta" and not marker:
            kind = event.kind
        if text and text not in meaning[-1:]:
            meaning.append(text)
    if not meaning:
        meaning.append(_meaning_without_event(token, marker, place))
    return TokenRow(position, token, "" if token < 0 else text_of_token(token), kind, ", ".join(meaning), repairs)


def _meaning_without_event(token: int, marker: bool, place: Place) -> str:
    """The meaning of a token without an event of its own."""
    if token < 0:
        return "the input ends"
    if place == "content":
        return "held back: a header may begin here"
    return "marker" if marker else "header" if place == "header" else "between frames"


def text_of_token(token: int) -> str:
    """The text of a token as a literal; `?` for a number that is not an id."""
    return repr(_core.decode([token])) if 0 <= token < _core.VOCAB_SIZE else "?"


def _meaning(event: _core.Event) -> str:
    if event.type == "delta":
        return f"content of {event.channel or event.kind}"
    if event.type == "end":
        return f"{event.kind} ends ({event.stop or 'no stop token'})"
    header = [
        event.role,
        event.name,
        event.channel,
        event.recipient and f"to={event.recipient}",
        event.content_type,
    ]
    return f"{event.kind} begins ({' '.join([word for word in header if word])})"

"""Reasoning between `<think>` tags in an answer, split off while the answer streams."""

from __future__ import annotations

from typing import Literal

__all__ = ["ThinkTags"]

_OPEN, _CLOSE = "<think>", "</think>"

Piece = tuple[Literal["reasoning", "text"], str]


class ThinkTags:
    """Splits content into reasoning and text. The tag counts at the very beginning only, after white space; line breaks
    behind a tag belong to it."""

    def __init__(self, *, opened: bool = False) -> None:
        """`opened`: the prompt ends with the opening tag, so the content begins with reasoning."""
        self._state: Literal["start", "reasoning", "text"] = "reasoning" if opened else "start"
        self._held = ""
        """Text that may be the beginning of a tag."""
        self._after_tag = False

    def feed(self, content: str) -> list[Piece]:
        """The pieces that are certain by now."""
        self._held += content
        pieces: list[Piece] = []
        if self._state == "start":
            self._start(pieces)
        if self._state == "reasoning":
            self._reasoning(pieces)
        if self._state == "text":
            self._emit("text", self._held, pieces)
            self._held = ""
        return pieces

    def close(self) -> list[Piece]:
        """What is held back at the end of the content."""
        pieces: list[Piece] = []
        self._emit("reasoning" if self._state == "reasoning" else "text", self._held, pieces)
        self._held = ""
        return pieces

    def _start(self, pieces: list[Piece]) -> None:
        content = self._held.lstrip()
        if content.startswith(_OPEN):
            self._state, self._held, self._after_tag = "reasoning", content.removeprefix(_OPEN), True
        elif not _OPEN.startswith(content):
            self._state = "text"

    def _reasoning(self, pieces: list[Piece]) -> None:
        reasoning, tag, rest = self._held.partition(_CLOSE)
        if tag:
            self._emit("reasoning", reasoning, pieces)
            self._state, self._held, self._after_tag = "text", rest, True
            return
        held = next((n for n in range(len(_CLOSE) - 1, 0, -1) if reasoning.endswith(_CLOSE[:n])), 0)
        self._emit("reasoning", reasoning[: len(reasoning) - held], pieces)
        self._held = reasoning[len(reasoning) - held :]

    def _emit(self, kind: Literal["reasoning", "text"], text: str, pieces: list[Piece]) -> None:
        if self._after_tag:
            text = text.lstrip("\r\n")
        if text:
            self._after_tag = False
            pieces.append((kind, text))

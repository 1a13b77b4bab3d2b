"""The rows that one example gives, whatever the others are: all of a data set's making that processes can share."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from motet.errors import RenderError
from motet.tune.conversations import split_answers
from motet.tune.example import Example
from motet.tune.examples import Corrupt, matches, read_line
from motet.tune.findings import Finding
from motet.tune.lines import Line, dumps
from motet.tune.rows import Format, check_row
from motet.tune.secrets import find_secrets, may_hold_secret
from motet.tune.seen import fingerprint, normalised
from motet.tune.tokens import lengths_of

__all__ = ["Dedupe", "Made", "Making", "Row", "Split"]

Dedupe: TypeAlias = Literal["normalised", "exact", "none"]
Split: TypeAlias = Literal["reasoning", "all", "none"]


class Row(NamedTuple):
    """A row that an example gives."""

    line: bytes
    aside: bool
    """Whether it is for the validation."""
    secrets: list[Finding]
    misfit: tuple[str, str] | None
    """Why it has to be left out, as a code and in words."""
    lengths: tuple[int, ...] = ()
    """The tokens of its sequences, if it may stay."""
    key: int | None = None
    """The same for rows that count as the same. `None`: all count as different."""


class Made(NamedTuple):
    """What an example gives."""

    id: str
    rows: list[Row]
    is_filtered: bool = False
    """Whether it is left out because somebody wanted it so."""
    is_split: bool = False
    misfit: str | None = None
    """Why it has no place in the format."""


@dataclass(frozen=True, slots=True)
class Making:
    """The rules, called with an example, or with its line."""

    form: Format
    min_quality: float | None
    tags: frozenset[str]
    dedupe: Dedupe
    max_tokens: int | None
    split: Split
    allow: frozenset[str]
    fraction: float
    """The share of the validation, from 0 to 1."""

    def of_line(self, line: Line) -> Made | Corrupt | None:
        """`None`: the line is blank."""
        example = read_line(line)
        return self.of(example) if isinstance(example, Example) else example

    def of(self, example: Example) -> Made:
        if not matches(example, self.min_quality, self.tags):
            return Made(example.id, [], is_filtered=True)
        problem = _misfit(example, self.form)
        if problem is not None:
            return Made(example.id, [], misfit=problem)
        if self.form == "text":
            return Made(example.id, [self._row({"text": example.text}, self._is_aside(example.text), example)])
        asked = itertools.takewhile(lambda message: message["role"] != "assistant", example.messages)
        aside = self._is_aside([*asked])
        is_split = self.form == "conversational" and self._is_split(example)
        rows = [self._row(row, aside, example) for row in self._shapes(example, is_split)]
        return Made(example.id, rows, is_split=is_split)

    def _is_split(self, example: Example) -> bool:
        answers = [message for message in example.messages if message["role"] == "assistant"]
        reasoned = any("reasoning" in answer for answer in answers)
        return len(answers) > 1 and (self.split == "all" or (self.split == "reasoning" and reasoned))

    def _shapes(self, example: Example, is_split: bool) -> Iterator[dict[str, Any]]:
        match self.form:
            case "instruction":
                prompt, answer = example.messages
                yield {"prompt": prompt["content"], "completion": answer["content"]}
            case "preference":
                yield example.row[0]
            case _:
                tools = {"tools": list(example.tools)} if example.tools else {}
                whole: Iterable[list[dict[str, Any]]] = [list(example.messages)]
                for messages in split_answers(example.messages) if is_split else whole:
                    yield {"messages": messages, **tools}

    def _is_aside(self, question: Any) -> bool:
        """The same for the same question, and evenly so."""
        if not self.fraction:
            return False
        digest = hashlib.sha256(b"split" + normalised(question)).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.fraction

    def _row(self, row: dict[str, Any], aside: bool, example: Example) -> Row:
        line = dumps(row)
        suspect = may_hold_secret(line, self.allow)
        secrets = [*find_secrets(row, self.allow, f"example {example.id}")] if suspect else []
        for finding in check_row(row, self.form):
            if finding.severity == "error":
                return Row(line, aside, secrets, (finding.code, str(finding)))
        try:
            lengths = lengths_of(row, self.form)
        except (RenderError, TypeError) as error:
            return Row(line, aside, secrets, ("not_renderable", str(error)))
        if self.max_tokens is not None and max(lengths) > self.max_tokens:
            return Row(line, aside, secrets, ("too_long", f"{max(lengths)} tokens"))
        key = None
        if self.dedupe != "none":
            key = fingerprint(line if self.dedupe == "exact" else normalised(row))
        return Row(line, aside, secrets, None, lengths, key)


def _misfit(example: Example, form: Format) -> str | None:
    """Why an example has no place in a format. `None`: it has."""
    if (example.text is not None) != (form == "text"):
        return f"{'a text' if form != 'text' else 'a conversation'} has no place there"
    if form == "preference" and example.rejected is None:
        return "no rejected answer is known"
    if form == "instruction":
        roles = [message["role"] for message in example.messages]
        if roles != ["user", "assistant"] or "tool_calls" in example.messages[1]:
            return "an instruction is one question and one answer"
        if "reasoning" in example.messages[1]:
            return "an instruction has no place for reasoning"
    return None

"""Answers in the files of evaluations: what was scored with its markup is scored without.

Reads the logs of OpenAI's `evals` (`{"type": "sampling", "data": {"sampled": ...}}`), rows of its Evals API
(`{"item": ..., "sample": {"output_text": ...}}`), and rows with the text of a model under a usual name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motet import _core
from motet._atomic_files import atomic_write
from motet._tables import json_objects
from motet.message import Completion

__all__ = ["CleanedFile", "answer_of", "clean_file", "completion_of"]

TEXT_KEYS = ("sampled", "completion", "output", "output_text", "response", "prediction", "answer")
"""Names under which rows have the text of a model."""


def completion_of(text: str, *, tools: Iterable[Any] | None = None) -> Completion | None:
    """The completion in a model's text, with its markers or with markers that a server removed. `None`: the text has no
    markup, so it is the answer itself."""
    completion = _core.parse(text, tools=tools)
    is_plain = any(repair.code == "no_markup" for repair in completion.repairs)
    return None if is_plain or not completion.frames else completion


def answer_of(text: str, *, tools: Iterable[Any] | None = None) -> str:
    """The answer in a model's text: what stands on the final channel. A text without markup is returned unchanged; a
    completion that was cut before its answer gives an empty text.

    `tools`: the tools that the model was offered, as `motet.parse` takes them.
    """
    completion = completion_of(text, tools=tools)
    return text if completion is None else completion.text


@dataclass(frozen=True, slots=True)
class CleanedFile:
    """What `clean_file` did."""

    rows: int
    cleaned: int
    """Rows in which a text had markup."""
    rescored: int
    """Matches that were scored again."""
    accuracy_before: float | None
    """The share of correct matches in the source. `None`: it has no matches."""
    accuracy: float | None
    """The share of correct matches in the target. `None`: there are none."""


def clean_file(source: str | Path, target: str | Path, *, tools: Iterable[Any] | None = None) -> CleanedFile:
    """Writes a file of an evaluation, in JSON lines, with answers in place of completions.

    A `match` is scored again by the rule of `evals` (the answer begins with an expected text, white space around it
    removed) where that rule explains its score; others keep their score. The accuracy of a final report is that of the
    matches. The target is written whole or not at all, and may be the source. Raises `DataError` with the line of a row
    that is not a JSON object.
    """
    names = None if tools is None else list(tools)
    cleaner = _Cleaner(names)
    with atomic_write(Path(target)) as (file,):
        for _, row in json_objects(Path(source)):
            file.write(json.dumps(cleaner.clean(row), ensure_ascii=True).encode() + b"\n")
    return cleaner.summary()


class _Cleaner:
    def __init__(self, tools: Sequence[Any] | None) -> None:
        self._tools = tools
        self._rows = self._cleaned = self._rescored = 0
        self._before: list[bool] = []
        self._after: list[bool] = []

    def clean(self, row: dict[str, Any]) -> dict[str, Any]:
        self._rows += 1
        if isinstance(row.get("final_report"), dict):
            return {**row, "final_report": self._report(row["final_report"])}
        texts = {key: row[key] for key in TEXT_KEYS if key in row}
        shape = {**row, **{key: self._texts(value) for key, value in texts.items()}}
        for name in ("data", "sample"):
            if isinstance(row.get(name), dict):
                shape[name] = self._inner(row[name])
        if row.get("type") == "match" and isinstance(shape.get("data"), dict):
            shape["data"] = self._match(row["data"], shape["data"])
        self._cleaned += shape != row
        return shape

    def _inner(self, data: dict[str, Any]) -> dict[str, Any]:
        shape = {**data, **{key: self._texts(data[key]) for key in TEXT_KEYS if key in data}}
        if isinstance(data.get("outputs"), list):
            # Messages, in rows of the Evals API.
            shape["outputs"] = [
                {**item, "content": self._texts(item["content"])}
                if isinstance(item, dict) and "content" in item
                else item
                for item in data["outputs"]
            ]
        return shape

    def _texts(self, value: Any) -> Any:
        if isinstance(value, str):
            return answer_of(value, tools=self._tools)
        return [self._texts(item) for item in value] if isinstance(value, list) else value

    def _match(self, before: Mapping[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        correct, expected = before.get("correct"), before.get("expected")
        if not isinstance(correct, bool):
            return data
        self._before.append(correct)
        options = expected if isinstance(expected, list) else [expected]
        sampled = (before.get("sampled"), data.get("sampled"))
        is_text = all(isinstance(text, str) for text in (*options, *sampled))
        # Whether the rule of `evals` made the score: others, such as fuzzy matches, are not known here.
        if is_text and sampled[0] != sampled[1] and (_picked(sampled[0], options) is not None) == correct:
            picked = _picked(sampled[1], options)
            data = {**data, "correct": picked is not None, "picked": picked}
            self._rescored += 1
        self._after.append(bool(data["correct"]))
        return data

    def _report(self, report: dict[str, Any]) -> dict[str, Any]:
        if not self._rescored or "accuracy" not in report:
            return report
        # The spread of the accuracy was computed from the former scores.
        kept = {name: value for name, value in report.items() if "bootstrap" not in name and "boostrap" not in name}
        return {**kept, "accuracy": _share(self._after)}

    def summary(self) -> CleanedFile:
        return CleanedFile(self._rows, self._cleaned, self._rescored, _share(self._before), _share(self._after))


def _picked(sampled: Any, options: Sequence[Any]) -> str | None:
    return next((option for option in options if sampled.strip().startswith(option)), None)


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None

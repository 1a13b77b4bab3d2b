"""Transcripts of files: completions, prompts, runs, conversations, cassettes, tables, and the state of a proxy."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from motet._tables import json_object, rows_of
from motet.dialects.chat import to_messages
from motet.errors import DataError
from motet.loop.run import Run
from motet.message import Message
from motet.view.exchanges import transcript_of_exchange
from motet.view.sources import transcript
from motet.view.transcript import Transcript

__all__ = ["transcripts"]

_SQLITE = b"SQLite format 3\0"
_RAW_COLUMNS = ("ids", "token_ids", "completion_ids", "completion", "raw", "text", "prompt_ids", "prompt")
"""Columns of tables that hold a completion or a prompt, as ids or as text; the first that a row has is shown."""


def transcripts(path: str | Path, **options: Any) -> list[Transcript]:
    """The transcripts in a file.

    - `path`: a raw completion or prompt (text, or a JSON list of ids); a saved run or its checkpoint, an episode or a
      completion as JSON; a list of messages; a cassette; a table of these in JSONL, JSON or Parquet; the SQLite file of
      a proxy's state, of which each conversation of stored responses is one.
    - `options`: how raw input is parsed: see `motet.transcript`.

    Raises `DataError` for rows of another kind, `ConfigError` for a run that cannot be read, and `OSError`.
    """
    path = Path(path)
    data = b"" if path.suffix.lower() == ".parquet" else path.read_bytes()
    if data.startswith(_SQLITE):
        return list(_stored_responses(path))
    if not data:
        rows = rows_of(path) if path.suffix.lower() == ".parquet" else ()
        return [_of_row(_without_nulls(row), f"{path}, row {n}", options) for n, row in enumerate(rows, 1)]
    if data.lstrip()[:1] in (b"{", b"["):
        try:
            shape = json.loads(data)
        except (ValueError, RecursionError):
            if path.suffix.lower() in (".jsonl", ".ndjson") or _is_json(data.lstrip().split(b"\n", 1)[0]):
                return list(_lines(data, path, options))
        else:
            return _of_json(shape, path, options)
    return [transcript(_without_final_newline(data), title=path.name, **options)]


def _without_final_newline(data: bytes) -> bytes:
    return data[:-1].removesuffix(b"\r") if data.endswith(b"\n") else data


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _of_json(shape: Any, path: Path, options: Mapping[str, Any]) -> list[Transcript]:
    if isinstance(shape, Mapping) and "motet_run" in shape:
        # The journal beside it has the calls of the last step.
        return [transcript(Run.load(path), title=path.name)]
    if isinstance(shape, list) and not all(isinstance(item, int) for item in shape):
        if all(isinstance(item, Mapping) and ("role" in item or "type" in item) for item in shape):
            return [transcript(to_messages(shape, unnamed_results=True), title=path.name)]
        return [_of_row(row, f"{path}, row {number}", options) for number, row in enumerate(shape, 1)]
    return [_of_row(shape, path.name, options)]


def _lines(data: bytes, path: Path, options: Mapping[str, Any]) -> Iterator[Transcript]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        is_list = line.lstrip()[:1] == b"["
        yield _of_row(json.loads(line) if is_list else json_object(line, place), place, options)


def _of_row(row: Any, place: str, options: Mapping[str, Any]) -> Transcript:
    """The transcript of a line, a row or a JSON value."""
    try:
        match row:
            case {"request": Mapping(), "response": Mapping()}:
                return transcript_of_exchange(row, place)
            case {"messages": list(messages)}:
                return transcript(to_messages(messages, unnamed_results=True), title=_title(row, place))
            case {"messages": str(text)} if text.lstrip()[:1] == "[":
                return transcript(to_messages(json.loads(text), unnamed_results=True), title=_title(row, place))
            case Mapping() if not {"motet_run", "exchanges", "frames", "role"} & row.keys():
                column = next((name for name in _RAW_COLUMNS if row.get(name) is not None), None)
                if column is None:
                    raise ValueError(f"no column of a transcript among {', '.join(map(str, row))}")
                return transcript(row[column], title=_title(row, place), **options)
        if isinstance(row, list) and row and isinstance(row[0], Mapping):
            return transcript(row, title=place)
        return transcript(row, title=place, **options)
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{place}: {error}") from error


def _title(row: Mapping[str, Any], place: str) -> str:
    """The row's own title or id behind its place."""
    name = next((row[key] for key in ("title", "id", "custom_id") if isinstance(row.get(key), str)), None)
    return place if name is None else f"{place}: {name}"


def _without_nulls(value: Any) -> Any:
    """Arrow gives each struct of a list the keys of all of them."""
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _stored_responses(path: Path) -> Iterator[Transcript]:
    """A transcript for each conversation of a proxy's stored responses, the newest first."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            rows = connection.execute(
                "SELECT client, id, previous_id, response, messages FROM responses ORDER BY at DESC"
            ).fetchall()
        except sqlite3.Error as error:
            raise DataError(f"{path} is not the state of a proxy: {error}") from error
    by_id = {(client, id): (previous, response, messages) for client, id, previous, response, messages in rows}
    continued = {(client, previous) for client, _, previous, _, _ in rows}
    for client, id, *_ in rows:
        if (client, id) not in continued:
            yield _of_responses(client, id, by_id)


def _of_responses(client: str, id: str, by_id: Mapping[tuple[str, str], tuple[str | None, str, str]]) -> Transcript:
    messages: list[Message] = []
    key: str | None = id
    model = json.loads(by_id[client, id][1]).get("model")
    while key is not None and (client, key) in by_id:
        previous, _, texts = by_id[client, key]
        messages[:0] = [Message.from_dict(shape, wire=True) for shape in json.loads(texts)]
        key = previous
    return transcript(messages, title=f"{id} of {client}" + (f", {model}" if model else ""))

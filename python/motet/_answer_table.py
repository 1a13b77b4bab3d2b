"""Answers as rows of a table: what was said, what it cost, and what went wrong, in the same columns for each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from motet._atomic_files import atomic_write
from motet._surrogates import joined_surrogates
from motet._tables import load_pyarrow, parquet_file
from motet.asking.answer import Answer
from motet.errors import ConfigError, MotetError

__all__ = ["CHANNELS", "COLUMNS", "Summary", "answer_row", "arrow_table", "error_row", "with_verdict", "write_rows"]

CHANNELS = ("analysis", "commentary", "final", "markup")
COLUMNS = (
    *("row", "text", "output", "reasoning", "preamble", "tool_calls", "finish", "repairs", "model"),
    *("input_tokens", "cached_tokens", "output_tokens", "tokens", "cost", "error", "error_type"),
)
"""The columns, in their order."""
VERDICT_COLUMNS = ("label", "reason", "confidence", "rules")
"""Columns behind these where a guard was asked."""
_CALL = ("id", "name", "arguments", "recipient", "trusted")
_REPAIR = ("code", "position", "text", "message", "count")
"""The fields of `motet.columns.parse`."""
_SCALE = 15
"""Decimal places of costs: a price has up to 6 beside the 6 of a million tokens, and a discount some more."""


def answer_row(number: int, answer: Answer[Any], error: Exception | None = None) -> dict[str, Any]:
    """The row of an answer. `error`: what is wrong with it, while it was paid for."""
    completion, tokens = answer.completion, answer.metrics.size.tokens
    return {
        "row": number,
        "text": completion.text,
        "output": _output(answer.output),
        "reasoning": completion.reasoning,
        "preamble": completion.preamble,
        "tool_calls": [{name: getattr(call, name) for name in _CALL} for call in answer.calls],
        "finish": answer.finish,
        "repairs": [{name: getattr(repair, name) for name in _REPAIR} for repair in completion.repairs],
        "model": answer.model,
        "input_tokens": tokens.input,
        "cached_tokens": tokens.cache.get,
        "output_tokens": tokens.output,
        "tokens": None if tokens.by_channel is None else {name: tokens.by_channel.get(name) for name in CHANNELS},
        "cost": answer.cost,
        **_fault(error),
    }


def error_row(number: int, error: Exception) -> dict[str, Any]:
    """The row of a request that failed, with the part of the answer that arrived."""
    partial = getattr(error, "partial", None)
    if isinstance(partial, Answer):
        return answer_row(number, partial, error)
    cost = error.cost if isinstance(error, MotetError) else None
    return {**dict.fromkeys(COLUMNS), "row": number, "tool_calls": [], "repairs": [], "cost": cost, **_fault(error)}


def with_verdict(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a guard's answer with the columns of the verdict in its `output`; they are null if it has an error."""
    verdict = {} if row["error"] is not None or row["output"] is None else json.loads(row["output"])
    return {**row, **{name: verdict.get(name) for name in VERDICT_COLUMNS}}


def _output(output: Any) -> str | None:
    """A typed output as JSON. `None` for text, which is in `text`."""
    if output is None or isinstance(output, str):
        return None
    import pydantic_core

    return pydantic_core.to_json(output).decode()


def _fault(error: Exception | None) -> dict[str, str | None]:
    return {
        "error": None if error is None else str(error),
        "error_type": None if error is None else type(error).__name__,
    }


@dataclass
class Summary:
    """Counts over rows."""

    rows: int = 0
    answered: int = 0
    """Rows with an answer and without an error."""
    errors: Counter[str] = field(default_factory=Counter)
    """Rows with an error, by its type."""
    repairs: Counter[str] = field(default_factory=Counter)
    """Deviations from the format that were repaired, by code."""
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    """Tokens of the answered rows. `None`: not known for each of them."""
    cost: Decimal | None = Decimal(0)
    """US dollars of the rows with an answer. `None`: not known for each of them."""

    def add(self, row: Mapping[str, Any]) -> None:
        self.rows += 1
        self.answered += row["error"] is None
        if row["error_type"] is not None:
            self.errors[row["error_type"]] += 1
        for repair in row["repairs"] or ():
            self.repairs[repair["code"]] += repair["count"]
        # A row without text was refused or never sent: it costs nothing that could be known.
        if row["text"] is not None:
            for name in ("input_tokens", "output_tokens", "cost"):
                sum_, value = getattr(self, name), row[name]
                setattr(self, name, None if sum_ is None or value is None else sum_ + value)

    def counted(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows, counted as they pass."""
        for row in rows:
            self.add(row)
            yield row


def _schema(*, has_verdicts: bool = False) -> Any:
    pa = _pyarrow()
    text, count = pa.string(), pa.int64()
    call = pa.struct([(name, pa.bool_() if name == "trusted" else text) for name in _CALL])
    repair = pa.struct([(name, count if name in ("position", "count") else text) for name in _REPAIR])
    types = {
        **dict.fromkeys(("row", "input_tokens", "cached_tokens", "output_tokens"), count),
        "tool_calls": pa.list_(call),
        "repairs": pa.list_(repair),
        "tokens": pa.struct([(name, count) for name in CHANNELS]),
        "cost": pa.decimal128(38, _SCALE),
        "rules": pa.list_(text),
    }
    names = COLUMNS + VERDICT_COLUMNS if has_verdicts else COLUMNS
    return pa.schema([(name, types.get(name, text)) for name in names])


def _pyarrow() -> Any:
    return load_pyarrow("Arrow tables and parquet files")


def arrow_table(rows: Iterable[Mapping[str, Any]], *, has_verdicts: bool = False) -> Any:
    """The rows as a `pyarrow.Table`. `has_verdicts`: with the columns that `with_verdict` adds."""
    pa, schema = _pyarrow(), _schema(has_verdicts=has_verdicts)
    return pa.Table.from_batches([*_batches(rows, pa, schema)], schema=schema)


def _batches(rows: Iterable[Mapping[str, Any]], pa: Any, schema: Any, size: int = 4096) -> Iterator[Any]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append({**row, "cost": _scaled(row["cost"]), **_surrogates_replaced(row)})
        if len(chunk) == size:
            yield pa.RecordBatch.from_pylist(chunk, schema=schema)
            chunk = []
    if chunk:
        yield pa.RecordBatch.from_pylist(chunk, schema=schema)


def _scaled(cost: Decimal | None) -> Decimal | None:
    return None if cost is None else round(cost, _SCALE)


def _surrogates_replaced(row: Mapping[str, Any]) -> dict[str, str]:
    """Texts that UTF-8 cannot encode, which is the encoding of Arrow's, with replacement characters."""
    return {name: joined_surrogates(value) for name, value in row.items() if isinstance(value, str)}


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Writes rows to a `.parquet` or a `.jsonl` file, whole or not at all. Costs are texts in JSON, to stay exact."""
    if path.suffix.lower() not in (".parquet", ".jsonl", ".ndjson"):
        raise ConfigError(f"answers are written to a .parquet or a .jsonl file: {str(path)!r}")
    with atomic_write(path) as (file,):
        if path.suffix.lower() == ".parquet":
            _write_parquet(rows, file)
            return
        for row in rows:
            shape = {**row, "cost": None if row["cost"] is None else f"{row['cost']:f}"}
            file.write(json.dumps(shape, ensure_ascii=True).encode() + b"\n")


def _write_parquet(rows: Iterable[Mapping[str, Any]], file: Any) -> None:
    pa, schema = _pyarrow(), _schema()
    with pa.parquet.ParquetWriter(parquet_file(file), schema) as writer:
        for batch in _batches(rows, pa, schema):
            writer.write_batch(batch)

"""A model asked once for each row of a table: bounded concurrency, a budget, a checkpoint, errors as a column."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from motet._answer_table import answer_row, arrow_table, error_row, with_verdict
from motet._tables import prompt_in, rows_of
from motet.asking.answer import Answer
from motet.columns.asked_rows import AskedRows, key_of
from motet.columns.asker import Asker, asker_of, result_json
from motet.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    DataError,
    MaxCostError,
    MotetError,
    NotFoundError,
    QuotaError,
)
from motet.limits import Budget
from motet.metrics import to_money

__all__ = ["ask"]

_ENDING = (AccessDeniedError, AuthenticationError, NotFoundError, QuotaError)
"""Errors that every other row would have as well."""


def ask(
    table: Any,
    atom: Any,
    *,
    column: str | None = None,
    output: Any = str,
    parallel: int = 8,
    budget: Budget | Decimal | str | float | None = None,
    checkpoint: str | Path | None = None,
    retry_errors: bool = False,
    on_row: Callable[[Mapping[str, Any]], None] | None = None,
    **options: Any,
) -> Any:
    """Asks an atom or a guard the prompt of each row, and returns a table of answers in the order of the rows.

    - `table`: a list of dicts or texts, a `.jsonl`, `.json`, `.csv` or `.parquet` file, an Arrow table, or a polars or
      pandas frame.
    - `atom`: a `motet.Atom`; a `motet.Guard`, whose `check` takes each prompt as the content; or an object with
      such an `ask`, whose result is an `Answer` or has one in `.answer`.
    - `column`: the prompts: texts, or lists of chat dicts. Default: `messages`, else `prompt`, else the only column.
    - `output`: the type of the answers, as `Atom.ask` takes it. A guard sets it itself.
    - `parallel`: requests at once, from 1.
    - `budget`: US dollars for the whole table, the rows of the checkpoint included, or a `motet.budget`. When it is
      used up, the rest is not asked.
    - `checkpoint`: a file to which each row is added as soon as its answer is there. A later call, also after a kill,
      does not ask its rows again: those with the same prompt, model and options, and the same policy and labels of a
      guard. Rows whose request may succeed later (the service was overloaded or not reached) are asked again; with
      `retry_errors`, all rows with an error.
    - `on_row`: called with each row when it is known, in the order in which that happens.
    - `options`: of `Atom.ask`: `briefs`, `reasoning_effort`, `max_tokens`, `retries`, ...

    The columns are `row` (from 0), `text`, `output` (a typed output, as JSON), `reasoning`, `preamble`, `tool_calls`,
    `finish`, `repairs`, `model`, `input_tokens`, `cached_tokens`, `output_tokens`, `tokens` (by channel), `cost` (US
    dollars, exact), `error` and `error_type`; behind them, if a guard is asked, `label`, `reason`, `confidence` and
    `rules` of the verdict, null where there is an error. The result is a `pyarrow.Table`, or a list of dicts where
    pyarrow is not installed. An answer that was cut has its text, its cost and its error.

    Raises what every row would raise (no key, no credit, an unknown model) if there is no answer yet; else the rows
    that were not asked have the error. After an interrupt, requests that are sent are waited for and kept.
    """
    if isinstance(parallel, bool) or not isinstance(parallel, int) or parallel < 1:
        raise ValueError(f"parallel must be a whole number from 1 on, not {parallel!r}")
    asker = asker_of(atom, output, options)
    asked = AskedRows(None if checkpoint is None else Path(checkpoint), retry_errors=retry_errors)
    run = _Run(asker, column, asked, on_row)
    asked.open()
    try:
        with _budget(budget, asked.cost) as spend:
            run.budget = spend
            run.ask_all(enumerate(rows_of(table)), parallel)
    finally:
        asked.close()
    return _as_table(run.in_order(), has_verdicts=asker.has_verdicts)


@contextlib.contextmanager
def _budget(limit: Budget | Decimal | str | float | None, spent: Decimal) -> Iterator[Budget | None]:
    """The budget of the requests. `spent`: what rows of the checkpoint have cost."""
    if limit is None:
        yield None
    elif isinstance(limit, Budget):
        with limit:
            yield limit
    else:
        with Budget(max(to_money(limit, "budget", floats=True) - spent, Decimal(0))) as own:
            yield own


def _as_table(rows: list[dict[str, Any]], *, has_verdicts: bool) -> Any:
    try:
        return arrow_table(rows, has_verdicts=has_verdicts)
    except ConfigError:
        return rows


@dataclass
class _Run:
    """The rows of one call, and the threads that ask them."""

    asker: Asker
    column: str | None
    asked: AskedRows
    on_row: Callable[[Mapping[str, Any]], None] | None
    budget: Budget | None = None
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    stopped: MotetError | None = None
    """Why the remaining rows are not asked."""
    interrupted: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask_all(self, rows: Iterator[tuple[int, Mapping[str, Any]]], parallel: int) -> None:
        with ThreadPoolExecutor(parallel, thread_name_prefix="motet-ask") as pool:
            # The budgets of the caller's `with` blocks are in its context.
            workers = [pool.submit(contextvars.copy_context().run, self._work, rows) for _ in range(parallel)]
            try:
                wait(workers, return_when=FIRST_EXCEPTION)
            finally:
                self.interrupted = True
        for worker in workers:
            worker.result()
        if self.stopped is not None and not any(row["text"] is not None for row in self.rows.values()):
            raise self.stopped

    def _work(self, rows: Iterator[tuple[int, Mapping[str, Any]]]) -> None:
        while not self.interrupted:
            with self._lock:
                item = next(rows, None)
            if item is None:
                return
            row = self._row(*item)
            if self.asker.has_verdicts:
                row = with_verdict(row)
            with self._lock:
                self.rows[item[0]] = row
                if self.on_row is not None:
                    self.on_row(row)

    def _row(self, number: int, source: Mapping[str, Any]) -> dict[str, Any]:
        try:
            prompt = prompt_in(source, self.column)
        except DataError as error:
            return error_row(number, error)
        key = key_of(self.asker.slug, prompt, self.asker.settings)
        with self._lock:
            known = self.asked.take(key)
        if known is not None:
            return {**known, "row": number}
        if self.stopped is not None:
            # Its cost, if any, is that of another row.
            return error_row(number, type(self.stopped)(f"not asked: {self.stopped}"))
        row, is_sent, retryable = self._ask(number, prompt)
        with self._lock:
            if is_sent:
                self.asked.save(key, row, retryable=retryable)
            return self.asked.with_failures(key, row)

    def _ask(self, number: int, prompt: Any) -> tuple[dict[str, Any], bool, bool]:
        """A row, whether a request of it was sent, and whether it may succeed later."""
        try:
            result = self.asker.ask(prompt)
        except _ENDING as error:
            self.stopped = error
            return error_row(number, error), error.partial is not None, True
        except MaxCostError as error:
            is_budget = error.option == "budget"
            self.stopped = error if is_budget else self.stopped
            # Without an answer the request was refused before it was sent.
            return error_row(number, error), error.partial is not None, is_budget
        except ConfigError as error:
            return error_row(number, error), False, False
        except (MotetError, TypeError, ValueError) as error:
            return error_row(number, error), isinstance(error, MotetError), getattr(error, "retryable", False)
        answer = result if isinstance(result, Answer) else result.answer
        row = answer_row(number, answer)
        if result is not answer:
            row["output"] = result_json(result)
        return row, True, False

    def in_order(self) -> list[dict[str, Any]]:
        """The rows in the order of the table."""
        return [self.rows[number] for number in sorted(self.rows)]

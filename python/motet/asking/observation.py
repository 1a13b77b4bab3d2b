"""One request as traces and ledgers record it."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from concurrent.futures import Future
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from motet import _core, trace
from motet.asking.answer import Answer
from motet.asking.request import PreparedRequest
from motet.backend import Backend
from motet.errors import ConfigError, HarmonyError, MotetError, OutputError
from motet.ledgers.entry import LedgerEntry, timestamp
from motet.ledgers.ledger import LedgerWarning, distinct
from motet.ledgers.writer import in_writer_thread
from motet.message import Completion, Preamble
from motet.metrics import share_of

__all__ = ["Observation", "ledger_entry"]

T = TypeVar("T")


class Observation:
    """Records the end of one request: its answer or its error, once.

    As a `with` block it records the error that leaves the block, and waits until the rows are committed: what is paid
    for is on disk when the caller has it.
    """

    def __init__(self, prepared: PreparedRequest, backend: Backend) -> None:
        self._prepared = prepared
        self._backend = prepared.backend or backend
        self._span = trace.Span(prepared.request)
        shared = [budget.ledger for budget in prepared.budgets if budget.ledger is not None]
        self._ledgers = distinct([*prepared.ledgers, *shared])
        self._commits: list[Future[Any]] = []
        self._recorded = not self._ledgers

    def record(self, answer: Answer[T], counted: Decimal | None = None) -> Answer[T]:
        """Records an answer, and returns it. `counted`: the cost by motet's own count."""
        self._write(answer, answer.finish, None, counted)
        return self._span.record(answer)

    def failed(self, error: BaseException, counted: Decimal | None = None) -> None:
        """Records an error with its partial answer."""
        self._span.failed(error)
        if _was_sent(error):
            answer = getattr(error, "partial", None)
            if isinstance(answer, Answer):
                self._write(answer, answer.finish, error, counted)
            else:
                self._write(None, None, error, counted)

    def close(self, answer: Answer[Any] | None, counted: Decimal | None = None) -> None:
        """Ends the request. `answer`: what had arrived when the caller closed the stream; `None`: it was not sent, or
        has ended."""
        if answer is not None:
            self._write(answer, "closed", None, counted)
        self._span.end()

    def _write(
        self, answer: Answer[Any] | None, stop: str | None, error: BaseException | None, counted: Decimal | None
    ) -> None:
        if self._recorded:
            return
        self._recorded = True
        for ledger in self._ledgers:
            entry = ledger_entry(
                self._prepared, answer, stop, error, counted, service=service_of(self._backend), content=ledger.content
            )
            commit = ledger.add(entry)
            if not in_writer_thread():
                self._commits.append(commit)

    def wait(self) -> None:
        """Waits until the rows are committed; warns if they cannot be."""
        for commit in self._take():
            try:
                commit.result()
            except (sqlite3.Error, ConfigError) as error:
                _warn(error)

    async def await_(self) -> None:
        """`wait`, awaited."""
        for commit in self._take():
            try:
                await asyncio.shield(asyncio.wrap_future(commit))
            except (sqlite3.Error, ConfigError) as error:
                _warn(error)

    def _take(self) -> list[Future[Any]]:
        commits, self._commits = self._commits, []
        return commits

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.failed(error)
        self._span.end()
        self.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.failed(error)
        self._span.end()
        if not isinstance(error, asyncio.CancelledError):
            await self.await_()


def _warn(error: Exception) -> None:
    warnings.warn(f"an answer is not in its ledger yet: {error}", LedgerWarning, stacklevel=4)


def _was_sent(error: BaseException) -> bool:
    """False if the error came before the request was sent: it then has neither an answer nor a cost."""
    if isinstance(error, OutputError):
        return True
    if isinstance(error, ConfigError | HarmonyError):
        return False
    is_free = isinstance(error, MotetError) and error.cost == 0 and error.partial is None
    return not (is_free and not getattr(error, "attempts", ()))


def service_of(backend: Any) -> str | None:
    """Host and port of a backend's server. `None`: unknown."""
    address = getattr(backend, "base_url", None)
    return urlsplit(address).netloc or None if isinstance(address, str) else None


def ledger_entry(
    prepared: PreparedRequest,
    answer: Answer[Any] | None,
    stop: str | None,
    error: BaseException | None,
    counted: Decimal | None,
    *,
    service: str | None,
    content: bool,
    key: str | None = None,
) -> LedgerEntry:
    """The row of an answer, or of an error without one."""
    fields: dict[str, Any] = {}
    if answer is not None:
        fields = {**_sizes(answer), "model": answer.model, "lane": answer.lane, "request_id": answer.request_id}
    elif isinstance(error, MotetError):
        fields = {"request_id": error.request_id}
        if was_refused(error):
            fields["cash"] = Decimal(0)
    attempts = getattr(error, "attempts", ()) or (answer.attempts if answer is not None else ())
    if content:
        fields["content"] = {
            "input": [message.to_dict() for message in prepared.request.messages],
            "output": None if answer is None else answer.message.to_dict(),
        }
    return LedgerEntry(
        ended_at=timestamp(),
        key=key,
        requested_model=prepared.request.model,
        service=service,
        counted_cash=counted if fields.get("cash") is None else None,
        attempts=len(attempts) or None,
        stop=stop,
        error=None if error is None else type(error).__name__,
        labels=prepared.labels,
        **fields,
    )


def was_refused(error: MotetError) -> bool:
    """True if the service did not begin to answer, so that it does not bill."""
    attempts = getattr(error, "attempts", ())
    return bool(attempts) and not any(attempt.may_be_billed or attempt.outcome == "200" for attempt in attempts)


def _sizes(answer: Answer[Any]) -> dict[str, Any]:
    """Tokens, cash and times of an answer, by channel."""
    tokens, cash, time = answer.metrics.size.tokens, answer.metrics.cost.cash, answer.metrics.cost.time
    fields: dict[str, Any] = {
        "input_tokens": tokens.input,
        "cached_tokens": tokens.cache.get,
        "output_tokens": tokens.output,
        "cash": cash.total,
        "prompt_cash": cash.input,
        "cached_cash": cash.cache,
        "seconds": time.total,
        "first_token_seconds": time.first_token,
    }
    names = {"reasoning": "analysis", "text": "final", "markup": "markup"}
    if tokens.by_channel is not None:
        fields |= {f"{name}_tokens": tokens.by_channel[channel] for name, channel in names.items()}
        commentary = tokens.by_channel["commentary"]
        preamble = _preamble_tokens(answer.completion, commentary)
        fields |= {"preamble_tokens": preamble, "tool_call_tokens": commentary - preamble}
        if cash.by_channel is not None:
            fields |= {f"{name}_cash": cash.by_channel[channel] for name, channel in names.items()}
            paid = cash.by_channel["commentary"]
            fields["preamble_cash"] = share_of(paid, preamble, commentary)
            fields["tool_call_cash"] = share_of(paid, commentary - preamble, commentary)
    return fields


def _preamble_tokens(completion: Completion, commentary: int) -> int:
    """The tokens of the channel `commentary` that are text to the user; the others are calls."""
    preambles = [part.text for part in completion.message.content if isinstance(part, Preamble)]
    if not preambles:
        return 0
    return min(sum(map(_core.count, preambles)), commentary) if completion.tool_calls else commentary

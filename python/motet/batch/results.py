"""The results of a batch in the order of its requests, as rows with what they cost."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from motet import _core, catalog
from motet._answer_table import Summary, answer_row, arrow_table, error_row, write_rows
from motet._tables import json_object
from motet.asking.answer import Answer
from motet.asking.episode import Episode
from motet.asking.observation import ledger_entry
from motet.asking.request import PreparedRequest
from motet.backend import Request
from motet.batch.folder import Batch, Part
from motet.batch.lines import CHAT, BatchRequest, BatchResult, lines_with_offsets, result_of
from motet.catalog import Spec, SpecCost
from motet.dialects.chat import to_messages
from motet.errors import ApiError, MotetError
from motet.ledgers.ledger import active_labels, active_ledgers
from motet.message import Message
from motet.metrics import Price
from motet.schema.output import Output

__all__ = ["Results", "unanswered"]


@dataclass(frozen=True)
class Results:
    """The answers of a batch. Iterable: a dict for each request, in their order.

    The keys are `row` (from 0), `text`, `output` (a typed output, as JSON), `reasoning`, `preamble`, `tool_calls`,
    `finish`, `repairs`, `model`, `input_tokens`, `cached_tokens`, `output_tokens`, `tokens` (by channel), `cost` (US
    dollars, a `Decimal`), `error` and `error_type` (`None`: no error). What is unknown is `None`.
    """

    batch: Batch
    output: Output[Any] = field(default_factory=lambda: Output.of(str))
    files: tuple[Path, ...] | None = None
    """Files of results from elsewhere. `None`: those of the jobs."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        reader = _Reader(self.batch, self.output)
        for number, (request, result, part) in enumerate(_matches(self.batch, self.files)):
            yield reader.row(number, request, result, part)

    @functools.cached_property
    def summary(self) -> Summary:
        """Counts over all rows: answered, errors by type, repairs by code, tokens, cost."""
        summary = Summary()
        for _ in summary.counted(self):
            pass
        return summary

    def to_arrow(self) -> Any:
        """The rows as a `pyarrow.Table`."""
        return arrow_table(self)

    def write(self, path: str | Path) -> Summary:
        """Writes the rows to a `.parquet` or `.jsonl` file, whole or not at all, and returns their summary."""
        summary = Summary()
        write_rows(summary.counted(self), Path(path))
        return summary


class _Place(NamedTuple):
    """A line of a file of results."""

    file: int
    offset: int
    is_error: bool


def _index(files: Sequence[BinaryIO]) -> dict[str, _Place]:
    """The line of each custom id; that of an answer before that of an error."""
    places: dict[str, _Place] = {}
    for number, file in enumerate(files):
        file.seek(0)
        for offset, line in lines_with_offsets(file):
            result = _result(file, line, offset)
            known = places.get(result.custom_id)
            if known is None or (known.is_error and result.body is not None):
                places[result.custom_id] = _Place(number, offset, result.body is None)
    return places


def _result(file: BinaryIO, line: bytes, offset: int) -> BatchResult:
    place = f"{file.name}, byte {offset}"
    return result_of(json_object(line, place), place)


def _matches(batch: Batch, files: tuple[Path, ...] | None) -> Iterator[tuple[BatchRequest, BatchResult | None, Part]]:
    """Each request with its result, `None` where there is none, and the part that asked it last."""
    if files is not None:
        yield from _part_matches(batch, [part for part in batch.parts if part.of is None], files)
        return
    for root in [part for part in batch.parts if part.of is None]:
        paths = [
            batch.folder / name
            for part in (root, *repeats_of(batch, root))
            for name in (part.output_name, part.error_name)
        ]
        yield from _part_matches(batch, [root], [path for path in paths if path.exists()])


def _part_matches(
    batch: Batch, roots: Sequence[Part], paths: Iterable[Path]
) -> Iterator[tuple[BatchRequest, BatchResult | None, Part]]:
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        places = _index(files)
        for root in roots:
            tries = (root, *repeats_of(batch, root))
            with (batch.folder / root.name).open("rb") as requests:
                for offset, line in lines_with_offsets(requests):
                    place = f"{root.name}, byte {offset}"
                    request = BatchRequest.of(json_object(line, place), place)
                    found = [places.get(custom_id(request, index)) for index in range(len(tries))]
                    best = next((item for item in found if item is not None and not item.is_error), None)
                    best = best or next((item for item in reversed(found) if item is not None), None)
                    yield request, None if best is None else _read(files, best), tries[-1]


def _read(files: Sequence[BinaryIO], place: _Place) -> BatchResult:
    file = files[place.file]
    file.seek(place.offset)
    return _result(file, file.readline(), place.offset)


def repeats_of(batch: Batch, root: Part) -> tuple[Part, ...]:
    """The parts that ask requests of a part again, in their order."""
    return tuple([part for part in batch.parts if part.of == root.name])


def custom_id(request: BatchRequest, repeat: int) -> str:
    """The custom id of a request when it is asked again: services refuse a file that has the same bytes."""
    return request.custom_id if repeat == 0 else f"{request.custom_id}-r{repeat + 1}"


def unanswered(batch: Batch, root: Part, *, errors: bool) -> Iterator[BatchRequest]:
    """The requests of a part without an answer, under their next custom ids. `errors`: those that failed as well."""
    repeat = len(repeats_of(batch, root)) + 1
    alone = replace(batch, parts=(root, *repeats_of(batch, root)))
    for request, result, _ in _matches(alone, None):
        if result is None or (errors and result.body is None):
            yield replace(request, custom_id=custom_id(request, repeat))


class _Reader:
    """Results as rows."""

    def __init__(self, batch: Batch, output: Output[Any]) -> None:
        from motet.together.offline import error_of, read_offline, service_named

        self._batch, self._output = batch, output
        self._service = service_named(None if batch.service == "unknown" else batch.service)
        self._error_of, self._read_offline = error_of, read_offline
        self._spec = _discounted(batch)
        self._ledgers, self._labels = active_ledgers(), active_labels()

    def row(self, number: int, request: BatchRequest, result: BatchResult | None, part: Part) -> dict[str, Any]:
        if result is None:
            return error_row(number, ApiError(_reason(part)))
        if result.body is None:
            return error_row(number, self._error_of(result.error))
        prepared = self._prepared(request)
        try:
            reply = self._read_offline(result.body, prepared.request, self._batch.lane, self._service)
            answered = prepared.finish(reply)
            self._record(prepared, answered, None, request, part)
            return answer_row(number, answered)
        except MotetError as error:
            error = prepared.enrich_error(error)
            partial = error.partial if isinstance(error.partial, Answer) else None
            self._record(prepared, partial, error, request, part)
            return error_row(number, error)

    def _record(
        self,
        prepared: PreparedRequest,
        answer: Answer[Any] | None,
        error: MotetError | None,
        request: BatchRequest,
        part: Part,
    ) -> None:
        """Writes the row of an answer that was paid for; once, however often it is read."""
        key = f"{self._batch.service}/{part.name if part.job is None else part.job.id}/{request.custom_id}"
        for ledger in self._ledgers:
            entry = ledger_entry(
                prepared,
                answer,
                None if answer is None else answer.finish,
                error,
                None,
                service=self._batch.service,
                content=ledger.content,
                key=key,
            )
            ledger.add(entry)

    def _prepared(self, line: BatchRequest) -> PreparedRequest:
        """The request of a line, as far as its answer needs it."""
        body = line.body
        model = str(body.get("model") or self._spec.model)
        spec = self._spec
        if spec.model is None or not catalog.same_model(spec.model, model):
            spec = replace(catalog.find_by_model(model) or catalog.uncatalogued(model), cost=SpecCost(Price()))
        messages = _messages(line)
        request = Request(
            model=model,
            messages=messages,
            tools=self._batch.tools or tuple(body.get("tools") or ()),
            max_tokens=body.get("max_tokens"),
            harmony=spec.harmony,
            think_tags=bool(spec.gain.skills.think_tags),
        )
        spec = replace(spec, price_is_own=True)
        return PreparedRequest(
            spec=spec,
            request=request,
            output=self._output,
            input_messages=messages,
            episode=Episode(),
            max_cost=None,
            max_reasoning_tokens=None,
            budgets=(),
            notes=(),
            labels=self._labels,
        )


def _discounted(batch: Batch) -> Spec:
    """The spec of the model, with the price of a request in a batch; without the discount it is unknown."""
    spec = catalog.find_by_model(batch.model) or catalog.uncatalogued(batch.model)
    price = Price() if batch.discount is None else batch.price.discounted(batch.discount)
    return replace(spec, cost=SpecCost(price))


def _messages(line: BatchRequest) -> tuple[Message, ...]:
    """The prompt of a request. Empty for one that cannot be read: its answer can."""
    with contextlib.suppress(MotetError, TypeError, ValueError, LookupError):
        if line.url == CHAT:
            return tuple(to_messages(line.body["messages"]))
        return tuple(_core.parse_conversation(line.body["prompt"]))
    return ()


def _reason(part: Part) -> str:
    job = part.job
    if job is None:
        return "there is no result for this request"
    why = f": {job.error}" if job.error else ""
    return f"the batch {job.id} is {job.status} and has no result for this request{why}; ask again with retry"

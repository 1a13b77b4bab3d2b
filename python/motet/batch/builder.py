"""A table of prompts becomes files of requests, within the limits of a service."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from motet import catalog
from motet._atomic_files import AtomicWriter, atomic_files
from motet._tables import prompt_in, rows_of
from motet.asking.options import Options, PreparedOptions
from motet.asking.request import prepare
from motet.atoms.atom import Atom
from motet.atoms.factory import atom
from motet.backend import LaneChoice
from motet.batch.folder import MANIFEST, Batch, Part, locked
from motet.batch.lines import CHAT, COMPLETIONS, BatchRequest
from motet.catalog import Spec
from motet.errors import ConfigError, DataError, RenderError
from motet.message import Lane
from motet.metrics import Price, to_money

if TYPE_CHECKING:
    from motet.together.services import Service, ServiceChoice

__all__ = ["build", "write_parts"]

MAX_REQUESTS = 50_000
MAX_BYTES = 100_000_000
"""Of a file: docs.together.ai, batch overview, 2026. OpenAI's limits are 50,000 and 200 MB."""
_LIVE_OPTIONS = ("budget", "fallbacks", "first_token_timeout", "max_cost", "max_reasoning_tokens", "retries", "timeout")
"""Options of answers that arrive over a connection."""


def build(
    table: Any,
    folder: str | Path,
    model: str | Atom = "together/gpt-oss/120b",
    *,
    column: str | None = None,
    service: ServiceChoice = None,
    openai_format: bool | None = None,
    output: Any = str,
    price: Price | Mapping[str, Any] | None = None,
    discount: Decimal | str | float | None = None,
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
    on_progress: Callable[[int], None] | None = None,
    **options: Unpack[Options],
) -> Batch:
    """Writes the requests of a table to files in a folder. Nothing is sent.

    - `table`: a list of dicts or texts, a `.jsonl`, `.json`, `.csv` or `.parquet` file, an Arrow table, or a polars or
      pandas frame. Rows with `custom_id` and `body` are requests already (OpenAI's format and Together's), and are
      taken as they are.
    - `folder`: for the files; it must not have a batch yet.
    - `model`: a slug, a model id, or an atom. Rows that are requests name it themselves.
    - `column`: the prompts: texts, or lists of chat dicts. Default: `messages`, else `prompt`, else the only column.
    - `service`: who answers, as `motet.together.Backend` takes it: `"vllm"`, ... Default: Together.
    - `openai_format`: whether lines have `method` and `url`. Default: for other services than Together.
    - `output`: the type of the answers, whose schema is sent; `collect` checks the answers against it.
    - `price`: US dollars for a million tokens. Default: the catalogue's, for Together.
    - `discount`: the share of the price that batches save, from 0 to 1. Default: the catalogue's; where it knows none,
      costs are unknown.
    - `max_requests`, `max_bytes`: of a file; more requests are split into several files.
    - `on_progress`: called with the number of requests so far, every thousand.
    - `options`: of `ask`, without those that need an open connection: `briefs`, `tools`, `reasoning_effort`,
      `max_tokens`, `temperature`, ... `lane` is `chat` by default; `ids` and `text` make requests to `/v1/completions`
      with prompts that motet renders, which Together's Batch API and vLLM's runner (0.33) do not take.

    Raises `DataError` with the row of a prompt that cannot be asked, and `ConfigError`; then nothing is written.
    """
    from motet.together.offline import service_named

    if live := sorted(set(_LIVE_OPTIONS) & {name for name, value in options.items() if value is not None}):
        raise ConfigError(f"{', '.join(live)} cannot be given for a batch: its requests are answered later")
    path, target, lane = Path(folder), service_named(service), _lane(options.get("lane"))
    if target.name == "together" and lane != "chat":
        raise ConfigError(f"Together's Batch API takes lane='chat' only, not {lane!r}; give service= for another one")
    path.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if (path / MANIFEST).exists():
            raise ConfigError(f"{path} has a batch already; choose another folder")
        source = _Requests(_spec(model, price, target), lane, target, PreparedOptions.of(output, options), column)
        openai = target.name != "together" if openai_format is None else openai_format
        parts = write_parts(source.requests(rows_of(table)), path, openai, max_requests, max_bytes, on_progress)
        if not parts:
            raise DataError("the table has no rows: there is nothing to ask")
        spec, url = source.spec, source.url or (CHAT if lane == "chat" else COMPLETIONS)
        share, share_source = _discount(spec, discount)
        batch = Batch(
            path,
            spec.slug,
            spec.model or "",
            url,
            # Requests of others may ask for ids or not: the reader sees which came.
            lane if source.url is None else "chat" if url == CHAT else "ids",
            target.name,
            openai,
            parts,
            spec.cost.cash,
            share,
            share_source,
            source.options.tools,
            source.prompt_tokens,
        )
        batch.save()
    return batch


def _lane(choice: LaneChoice | None) -> Lane:
    return "chat" if choice is None or choice == "auto" else choice


def _spec(model: str | Atom, price: Price | Mapping[str, Any] | None, service: Service) -> Spec:
    spec = model.spec if isinstance(model, Atom) else _named(model)
    if service.name != "together":
        spec = catalog.on_another_server(spec, spec.slug, service.name)
    if price is not None:
        spec = replace(spec, cost=replace(spec.cost, cash=catalog.to_price(price)), price_is_own=True)
    return spec


def _named(model: str) -> Spec:
    with atom(model) as named:
        return named.spec


def _discount(spec: Spec, given: Decimal | str | float | None) -> tuple[Decimal | None, str]:
    """The discount, and its source."""
    if given is not None:
        share = to_money(given, "discount", floats=True)
        if share > 1:
            raise ValueError(f"discount must be a share from 0 to 1, not {given!r}")
        return share, "given by the caller"
    source = spec.sources.get("cost.batch_discount")
    return spec.cost.batch_discount, "" if source is None else f"{source.text} ({source.as_of})"


@dataclass
class _Requests:
    """Rows as requests."""

    spec: Spec
    lane: Lane
    service: Service
    options: PreparedOptions
    column: str | None
    prompt_tokens: int | None = 0
    url: str | None = None
    """The path of requests that the table holds. `None`: the rows are prompts."""
    batch_id: str = field(default_factory=lambda: secrets.token_hex(4))
    """Part of the custom ids, so that the files of two batches differ: equal files would be one job."""
    custom_ids: set[str] = field(default_factory=set)

    def requests(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[BatchRequest]:
        for number, row in enumerate(rows):
            place = f"row {number}"
            if "custom_id" in row and "body" in row:
                yield self._ready(row, place)
                continue
            if self.url is not None:
                raise DataError(f"{place} is a prompt, and rows before it are requests")
            try:
                yield self._request(row, f"{self.batch_id}-{number}")
            except (DataError, RenderError, TypeError, ValueError, LookupError) as error:
                if isinstance(error, ConfigError):
                    raise
                raise DataError(f"{place}: {error}") from error

    def _ready(self, row: Mapping[str, Any], place: str) -> BatchRequest:
        request = BatchRequest.of(row, place)
        if self.url not in (None, request.url) or (self.url is None and self.custom_ids):
            raise DataError(f"{place} is for {request.url}, and rows before it are for {self.url or 'prompts'}")
        if request.custom_id in self.custom_ids:
            raise DataError(f"{place}: the custom_id {request.custom_id!r} occurs twice")
        if not self.custom_ids and not self.spec.price_is_own:
            name = str(request.body.get("model") or "")
            self.spec = catalog.find_by_model(name) or catalog.uncatalogued(name)
        self.custom_ids.add(request.custom_id)
        self.url, self.prompt_tokens = request.url, None
        return request

    def _request(self, row: Mapping[str, Any], custom_id: str) -> BatchRequest:
        from motet.together.offline import prepare_offline

        prepared = prepare(self.spec, prompt_in(row, self.column), self.options)
        offline = prepare_offline(prepared.request, self.lane, self.service)
        tokens = offline.prompt_tokens if offline.prompt_tokens is not None else offline.prompt_estimate
        if self.prompt_tokens is not None:
            self.prompt_tokens = None if tokens is None else self.prompt_tokens + tokens
        self.custom_ids = self.custom_ids or {custom_id}
        return BatchRequest(custom_id, offline.body or {}, CHAT if self.lane == "chat" else COMPLETIONS)


def write_parts(
    requests: Iterable[BatchRequest],
    folder: Path,
    openai: bool,
    max_requests: int,
    max_bytes: int,
    on_progress: Callable[[int], None] | None = None,
    *,
    first: int = 1,
) -> tuple[Part, ...]:
    """Writes requests to files within the limits, all or none of them. `first`: the number of the first file."""
    parts: list[Part] = []
    file: AtomicWriter | None = None
    count = 0
    with atomic_files() as new_file:
        for request in requests:
            line = request.line(openai=openai)
            if len(line) > max_bytes:
                raise DataError(
                    f"the request {request.custom_id} has {len(line)} bytes, and a file at most {max_bytes}"
                )
            part = parts[-1] if parts else None
            if file is None or part is None or part.requests == max_requests or part.bytes + len(line) > max_bytes:
                if file is not None:
                    file.seal()
                part = Part(f"requests-{first + len(parts):05d}.jsonl", 0, 0)
                file = new_file(folder / part.name)
                parts.append(part)
            file.write(line)
            parts[-1] = replace(part, requests=part.requests + 1, bytes=part.bytes + len(line))
            count += 1
            if on_progress is not None and count % 1000 == 0:
                on_progress(count)
    if on_progress is not None:
        on_progress(count)
    return tuple(parts)

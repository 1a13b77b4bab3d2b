"""The folder of a batch: its files of requests and results, and `batch.json`, which is replaced atomically."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from motet._atomic_files import lock, write_whole
from motet.batch.job_states import BatchJob
from motet.errors import ConfigError
from motet.message import Lane
from motet.metrics import Price

__all__ = ["Batch", "Part", "locked"]

MANIFEST = "batch.json"
VERSION = 1
_PLAIN_FIELDS = ("slug", "model", "url", "lane", "service", "openai", "prompt_tokens")
"""Fields of a batch that stand in the file as they are."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of requests, and its job."""

    name: str
    """Of the file: `requests-00001.jsonl`."""
    requests: int
    bytes: int
    of: str | None = None
    """The part whose requests without an answer this one has again. `None`: it has requests of its own."""
    file: str | None = None
    """The id of the uploaded file. `None`: not uploaded."""
    job: BatchJob | None = None
    """`None`: not submitted."""
    collected: bool = False
    """True if the files of the job's results are in the folder."""

    @property
    def output_name(self) -> str:
        """The file of its answers."""
        return self.name.replace("requests", "answers")

    @property
    def error_name(self) -> str:
        """The file of its requests that failed."""
        return self.name.replace("requests", "errors")

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> Part:
        job = shape["job"]
        return cls(**{**shape, "job": None if job is None else BatchJob.read(job)})

    def to_dict(self) -> dict[str, Any]:
        shape = {name: getattr(self, name) for name in ("name", "requests", "bytes", "of", "file", "collected")}
        return {**shape, "job": None if self.job is None else self.job.to_dict()}


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch at one moment: its files and their jobs. Made by `motet.batch.build`."""

    folder: Path
    slug: str
    """The slug of the model."""
    model: str
    """The service's id of the model."""
    url: str
    """The path that the requests are for."""
    lane: Lane
    service: str
    openai: bool
    """True: the files are in OpenAI's format; False: in Together's."""
    parts: tuple[Part, ...]
    price: Price = field(default_factory=Price)
    """US dollars for a million tokens, without the discount."""
    discount: Decimal | None = None
    """The share of the price that a request in a batch saves. `None`: unknown."""
    discount_source: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    prompt_tokens: int | None = None
    """Tokens of all prompts. `None`: not countable."""
    trouble: str | None = None
    """Why the last request failed; the other fields are of the one before."""

    @property
    def requests(self) -> int:
        """The number of requests, each counted once."""
        return sum(part.requests for part in self.parts if part.of is None)

    @property
    def jobs(self) -> tuple[BatchJob, ...]:
        return tuple([part.job for part in self.parts if part.job is not None])

    @property
    def status(self) -> str:
        """The service's words for its jobs, each once."""
        words = dict.fromkeys(job.status for job in self.jobs)
        return ", ".join(words) or "not submitted"

    @property
    def phase(self) -> str:
        """The phase of the jobs that have not ended, else of all: `waiting`, `running`, `completed`, `failed`, ...;
        `unknown` if one of them is, `mixed` if ended jobs differ."""
        phases = {job.phase for job in self.jobs if not job.ended} or {job.phase for job in self.jobs}
        if len(phases) == 1:
            return next(iter(phases))
        return next((name for name in ("unknown", "running", "waiting") if name in phases), "mixed")

    @property
    def ended(self) -> bool:
        """True if every job has ended."""
        return bool(self.parts) and all(part.job is not None and part.job.ended for part in self.parts)

    @property
    def share(self) -> float | None:
        """The share of the requests that is done, from 0 to 1. `None`: unknown."""
        total = sum(part.requests for part in self.parts)
        done = 0.0
        for part in self.parts:
            share = 0.0 if part.job is None else 1.0 if part.job.phase == "completed" else part.job.share
            if share is None:
                return None
            done += share * part.requests
        return done / total if total else None

    def with_part(self, part: Part) -> Batch:
        """The batch with another state of a part."""
        return replace(self, parts=tuple([part if other.name == part.name else other for other in self.parts]))

    def save(self) -> None:
        """Replaces `batch.json`."""
        shape = {
            "version": VERSION,
            **{name: getattr(self, name) for name in _PLAIN_FIELDS},
            "price": {name: _text(getattr(self.price, name)) for name in ("input", "output", "cached")},
            "discount": _text(self.discount),
            "discount_source": self.discount_source,
            "tools": [dict(tool) for tool in self.tools],
            "parts": [part.to_dict() for part in self.parts],
        }
        write_whole(self.folder / MANIFEST, json.dumps(shape, indent=1, ensure_ascii=False, default=str))

    @classmethod
    def load(cls, folder: str | Path) -> Batch:
        """The batch of a folder. Raises `ConfigError`."""
        path = Path(folder) / MANIFEST
        try:
            shape = json.loads(path.read_bytes())
            if shape["version"] != VERSION:
                raise ConfigError(f"{path} is of version {shape['version']!r}, and this motet reads version {VERSION}")
            discount = shape["discount"]
            return cls(
                Path(folder),
                **{name: shape[name] for name in _PLAIN_FIELDS},
                price=Price(**shape["price"]),
                discount=None if discount is None else Decimal(discount),
                discount_source=shape["discount_source"],
                tools=tuple(shape["tools"]),
                parts=tuple([Part.read(part) for part in shape["parts"]]),
            )
        except FileNotFoundError:
            raise ConfigError(f"{folder} has no batch: build one with motet batch build FILE -o {folder}") from None
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} cannot be read as a batch: {error}") from None


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Excludes other processes that submit, retry or collect. Raises `ConfigError` while one does."""
    if not Path(folder).is_dir():
        raise ConfigError(f"no such folder: {str(folder)!r}")
    try:
        handle = lock(Path(folder) / ".lock", wait=False)
    except BlockingIOError:
        raise ConfigError(f"another process works on the batch in {folder}; wait for its end") from None
    try:
        yield
    finally:
        os.close(handle)

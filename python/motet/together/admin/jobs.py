"""The service's fine-tunes on the wire. What their states mean is decided elsewhere."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from motet.together.admin.client import Rest, safe_id
from motet.together.backend import TogetherBackend

__all__ = ["Content", "Jobs"]

Rows: TypeAlias = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a checkpoint, or the rest of them, while they arrive."""

    pieces: Iterator[bytes]
    start: int
    """Where in the whole they begin."""
    total: int | None
    """How many the whole has. `None`: the service does not say."""
    etag: str | None
    """What the service calls this version of them."""
    sha256: str | None
    """Of the whole, hexadecimal, if the service says."""


class Jobs:
    """The fine-tunes of a service."""

    def __init__(self, backend: TogetherBackend) -> None:
        self._rest = Rest(backend)

    def limits(self, model: str) -> Mapping[str, Any]:
        """What a model can be trained with."""
        shape = self._rest.ask(lambda sdk: sdk.fine_tuning.with_raw_response.model_limits(model_name=model))
        if not isinstance(shape, Mapping) or "max_num_epochs" not in shape:
            raise self._rest.bad(f"the service's limits of {model} are none", shape)
        return shape

    def estimate(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a job may cost. `settings`: as the SDK's `estimate_price` names them."""
        shape = self._rest.ask(lambda sdk: sdk.fine_tuning.with_raw_response.estimate_price(**settings))
        if not isinstance(shape, Mapping) or "estimation_available" not in shape:
            raise self._rest.bad("the service's estimate is none", shape)
        return shape

    def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A new job. `body`: as the SDK's `create` sends it.

        That one asks for limits and price on its way, and does not say which of its requests failed; here it has to be
        known whether there may be a job.
        """
        return self._rest.one(lambda sdk: sdk.post("/v1/fine-tunes", cast_to=httpx.Response, body=body), "new job")

    def retrieve(self, job_id: str) -> Mapping[str, Any]:
        safe_id(job_id, "a job")
        shape = self._rest.one(lambda sdk: sdk.fine_tuning.with_raw_response.retrieve(job_id), "job")
        if not isinstance(shape.get("status"), str):
            raise self._rest.bad("the service's job has no status", shape)
        return shape

    def list(self) -> Rows:
        return self._rest.rows(lambda sdk: sdk.fine_tuning.with_raw_response.list(), "jobs")

    def events(self, job_id: str) -> Rows:
        safe_id(job_id, "a job")
        return self._rest.rows(lambda sdk: sdk.fine_tuning.with_raw_response.list_events(job_id), "events")

    def metrics(self, job_id: str) -> Rows:
        safe_id(job_id, "a job")
        return self._rest.rows(lambda sdk: sdk.fine_tuning.with_raw_response.list_metrics(job_id), "metrics", "metrics")

    def checkpoints(self, job_id: str) -> Rows:
        safe_id(job_id, "a job")
        return self._rest.rows(lambda sdk: sdk.fine_tuning.with_raw_response.list_checkpoints(job_id), "checkpoints")

    def cancel(self, job_id: str) -> None:
        safe_id(job_id, "a job")
        self._rest.ask(lambda sdk: sdk.fine_tuning.with_raw_response.cancel(job_id))

    @contextlib.contextmanager
    def content(
        self, job_id: str, checkpoint: str, step: int | None, *, start: int = 0, etag: str | None = None
    ) -> Iterator[Content]:
        """A checkpoint from a place on, if it still is the version that `etag` names; else from its beginning."""
        asked: dict[str, Any] = {"ft_id": safe_id(job_id, "a job"), "checkpoint": checkpoint}
        if step is not None:
            asked["checkpoint_step"] = step
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            # A weak name does not promise the same bytes.
            headers |= {"If-Range": etag} if etag and not etag.startswith("W/") else {}
        with self._rest.opened(
            lambda sdk: sdk.fine_tuning.with_streaming_response.content(**asked, extra_headers=headers),
            headers,
        ) as (response, pieces):
            first, total = _extent(response.headers)
            kind = response.headers.get("content-type", "")
            if total == 0 or re.match(r"(text/|application/json)", kind):
                # A page of whatever stands between here and there.
                raise self._rest.bad(f"the service sends no checkpoint, but {kind or 'nothing'}", next(pieces, b""))
            yield Content(
                pieces,
                first,
                total,
                response.headers.get("etag"),
                _digest(response.headers),
            )


def _extent(headers: Mapping[str, str]) -> tuple[int, int | None]:
    """Where a body begins, and how long the whole is."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("content-range", "").strip())
    if found is not None:
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = headers.get("content-length", "")
    return 0, int(length) if length.isascii() and length.isdecimal() else None


def _digest(headers: Mapping[str, str]) -> str | None:
    """The SHA-256 of the whole, where stores write it: RFC 9530, RFC 3230, S3."""
    digest = headers.get("repr-digest", "") or headers.get("digest", "")
    found = re.search(r"(?i)\bsha-256=:?([A-Za-z0-9+/]+=*):?", digest)
    text = found[1] if found is not None else headers.get("x-amz-checksum-sha256", "")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data.hex() if len(data) == 32 else None

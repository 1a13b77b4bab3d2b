"""The service's routes for fine-tuning jobs. `tune.job_states` has the meaning of their states."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from motet.together.admin.client import AdminClient, safe_id
from motet.together.backend import TogetherBackend

__all__ = ["CheckpointBody", "Jobs"]

Rows: TypeAlias = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class CheckpointBody:
    """The bytes of a checkpoint, or the rest of them, as a stream."""

    chunks: Iterator[bytes]
    start: int
    """The position of the first byte in the checkpoint."""
    total: int | None
    """The size of the checkpoint. `None`: unknown."""
    etag: str | None
    """The service's name of this version."""
    sha256: str | None
    """Of the checkpoint, hexadecimal. `None`: unknown."""


class Jobs:
    """The fine-tuning jobs of an account."""

    def __init__(self, backend: TogetherBackend) -> None:
        self._client = AdminClient(backend)

    def limits(self, model: str) -> Mapping[str, Any]:
        """What a model can be trained with."""
        shape = self._client.json(lambda sdk: sdk.fine_tuning.with_raw_response.model_limits(model_name=model))
        if not isinstance(shape, Mapping) or "max_num_epochs" not in shape:
            raise self._client.unexpected(f"the limits of {model}", shape)
        return shape

    def estimate(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The price of a job. `body`: the arguments of the SDK's `estimate_price`."""
        shape = self._client.json(lambda sdk: sdk.fine_tuning.with_raw_response.estimate_price(**body))
        if not isinstance(shape, Mapping) or "estimation_available" not in shape:
            raise self._client.unexpected("a price estimate", shape)
        return shape

    def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A new job. `body`: as the SDK's `create` sends it.

        Not by that function: it makes other requests first, and does not say which of them failed. Here the caller has
        to know whether a job may exist.
        """
        return self._client.item(lambda sdk: sdk.post("/v1/fine-tunes", cast_to=httpx.Response, body=body), "a new job")

    def retrieve(self, job_id: str) -> Mapping[str, Any]:
        safe_id(job_id, "a job")
        shape = self._client.item(lambda sdk: sdk.fine_tuning.with_raw_response.retrieve(job_id), "a job")
        if not isinstance(shape.get("status"), str):
            raise self._client.unexpected("a job, without a status", shape)
        return shape

    def list(self) -> Rows:
        return self._client.rows(lambda sdk: sdk.fine_tuning.with_raw_response.list(), "the list of jobs")

    def events(self, job_id: str) -> Rows:
        safe_id(job_id, "a job")
        return self._client.rows(
            lambda sdk: sdk.fine_tuning.with_raw_response.list_events(job_id), "the events of a job"
        )

    def metrics(self, job_id: str) -> Rows:
        safe_id(job_id, "a job")
        return self._client.rows(
            lambda sdk: sdk.fine_tuning.with_raw_response.list_metrics(job_id), "the metrics of a job", "metrics"
        )

    def checkpoints(self, job_id: str) -> Rows:
        safe_id(job_id, "a job")
        return self._client.rows(
            lambda sdk: sdk.fine_tuning.with_raw_response.list_checkpoints(job_id), "the checkpoints of a job"
        )

    def cancel(self, job_id: str) -> None:
        safe_id(job_id, "a job")
        self._client.json(lambda sdk: sdk.fine_tuning.with_raw_response.cancel(job_id))

    @contextlib.contextmanager
    def content(
        self, job_id: str, checkpoint: str, step: int | None, *, start: int = 0, etag: str | None = None
    ) -> Iterator[CheckpointBody]:
        """A checkpoint from byte `start` on, if it still is the version `etag`; else from its beginning."""
        query: dict[str, Any] = {"ft_id": safe_id(job_id, "a job"), "checkpoint": checkpoint}
        if step is not None:
            query["checkpoint_step"] = step
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            # A weak etag does not promise equal bytes.
            headers |= {"If-Range": etag} if etag and not etag.startswith("W/") else {}
        with self._client.stream(
            lambda sdk: sdk.fine_tuning.with_streaming_response.content(**query, extra_headers=headers), headers
        ) as (response, chunks):
            first, total = _extent(response.headers)
            kind = response.headers.get("content-type", "")
            if total == 0 or re.match(r"(text/|application/json)", kind):
                # The page of a proxy or of a store, in place of the checkpoint.
                raise self._client.unexpected(f"a checkpoint: {kind or 'no bytes'}", next(chunks, b""))
            yield CheckpointBody(chunks, first, total, response.headers.get("etag"), _digest(response.headers))


def _extent(headers: Mapping[str, str]) -> tuple[int, int | None]:
    """The position of a body in the whole, and the size of the whole."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("content-range", "").strip())
    if match is not None:
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = headers.get("content-length", "")
    return 0, int(length) if length.isascii() and length.isdecimal() else None


def _digest(headers: Mapping[str, str]) -> str | None:
    """The SHA-256 of the whole, in the headers of RFC 9530, RFC 3230 and S3."""
    digest = headers.get("repr-digest", "") or headers.get("digest", "")
    match = re.search(r"(?i)\bsha-256=:?([A-Za-z0-9+/]+=*):?", digest)
    text = match[1] if match is not None else headers.get("x-amz-checksum-sha256", "")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data.hex() if len(data) == 32 else None

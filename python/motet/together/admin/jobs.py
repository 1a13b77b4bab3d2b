"""The service's routes for fine-tuning jobs. `tune.job_states` has the meaning of their states."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import httpx
import together

from motet.together.admin.client import AdminClient, safe_id
from motet.together.admin.content import Content, open_content
from motet.together.backend import TogetherBackend

__all__ = ["Jobs"]

Rows: TypeAlias = list[Mapping[str, Any]]


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
    ) -> Iterator[Content]:
        """A checkpoint from byte `start` on, if it still is the version `etag`; else from its beginning."""
        query: dict[str, Any] = {"ft_id": safe_id(job_id, "a job"), "checkpoint": checkpoint}
        if step is not None:
            query["checkpoint_step"] = step

        def call(sdk: together.Together, headers: Mapping[str, str]) -> Any:
            return sdk.fine_tuning.with_streaming_response.content(**query, extra_headers=headers)

        page = r"(text/|application/json)"
        with open_content(self._client, call, "a checkpoint", start=start, etag=etag, page=page) as content:
            if content.total == 0:
                raise self._client.unexpected("a checkpoint: no bytes", b"")
            yield content

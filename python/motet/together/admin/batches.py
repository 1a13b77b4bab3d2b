"""The service's routes for batches of requests. `batch.job_states` has the meaning of their states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from motet.together.admin.client import AdminClient, safe_id
from motet.together.backend import TogetherBackend

__all__ = ["Batches"]


class Batches:
    """The batch jobs of an account."""

    def __init__(self, backend: TogetherBackend) -> None:
        self._client = AdminClient(backend)

    def create(self, file_id: str, endpoint: str) -> Mapping[str, Any]:
        """A new job for an uploaded file. `endpoint`: the path that each request of the file is for.

        Not by the SDK's function, whose type has no `/v1/completions`: servers with OpenAI's API take it.
        """
        body = {"input_file_id": safe_id(file_id, "a file"), "endpoint": endpoint, "completion_window": "24h"}
        shape = self._client.json(lambda sdk: sdk.post("/v1/batches", cast_to=httpx.Response, body=body))
        # Together wraps the job, OpenAI does not.
        job = shape.get("job", shape) if isinstance(shape, Mapping) else None
        if not isinstance(job, Mapping) or not isinstance(job.get("id"), str):
            raise self._client.unexpected("a new batch", shape)
        return job

    def retrieve(self, job_id: str) -> Mapping[str, Any]:
        safe_id(job_id, "a batch")
        shape = self._client.item(lambda sdk: sdk.batches.with_raw_response.retrieve(job_id), "a batch")
        if not isinstance(shape.get("status"), str):
            raise self._client.unexpected("a batch, without a status", shape)
        return shape

    def list(self) -> list[Mapping[str, Any]]:
        return self._client.rows(lambda sdk: sdk.batches.with_raw_response.list(), "the list of batches")

    def cancel(self, job_id: str) -> None:
        safe_id(job_id, "a batch")
        self._client.json(lambda sdk: sdk.batches.with_raw_response.cancel(job_id))

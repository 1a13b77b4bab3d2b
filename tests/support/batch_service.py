"""A scripted service with a Batch API, and batches for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from motet import batch
from motet.testing import BatchService, Fault, ScriptedServer, Training
from motet.together import Backend
from tests.support.fake_clock import FakeClock
from tests.support.server_scripts import KEY


def echo(body: Mapping[str, Any]) -> str:
    """An answer that repeats the question."""
    question = body["messages"][-1]["content"]
    return (
        f"<|channel|>analysis<|message|>They ask {question}<|end|>"
        f"<|start|>assistant<|channel|>final<|message|>You asked: {question}<|return|>"
    )


class BatchServer:
    """A scripted server, a client with a clock of its own, and what the server has."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.service = server.batches
        self.storage = server.training.storage
        self.clock = FakeClock()
        # Without certificates, which take longer to be read than all else.
        self.backend = Backend(base_url=server.url, api_key=KEY, transport=httpx.HTTPTransport(verify=False))
        self.client = batch.BatchClient(self.backend, self.clock)

    @property
    def uploads(self) -> list[str]:
        return [request.path for request in self.server.requests if request.method == "PUT"]

    def run(self, folder: Path) -> batch.Results:
        """Submits, watches and collects."""
        self.client.submit(folder)
        self.client.watch(folder)
        return self.client.collect(folder)


@contextmanager
def batch_server(
    script: Any = echo,
    *,
    service: BatchService | None = None,
    files: Mapping[str, Sequence[Fault | None]] | None = None,
) -> Iterator[BatchServer]:
    """`files`: faults of the routes of files."""
    training = Training(faults=files)
    with ScriptedServer(script, key=KEY, batches=service, training=training) as server:
        it = BatchServer(server)
        with it.backend:
            yield it


def prompts(count: int) -> list[str]:
    return [f"question {number}" for number in range(count)]

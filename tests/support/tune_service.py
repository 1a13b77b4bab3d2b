"""A scripted service that trains, and files for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from motet import tune
from motet.testing import Fault, ScriptedServer, Training
from motet.testing.server.training_service import checkpoint_archive
from motet.together import Backend
from tests.support.fake_clock import FakeClock
from tests.support.server_scripts import KEY, PLAIN, final

MODEL = "openai/gpt-oss-120b"
OK: dict[str, Any] = {"check": False}
"""For uploads of any content."""

RESET = Fault("reset_before")
LOST = Fault("reset_after")
HTML = Fault("html")


def status(code: int, **more: Any) -> Fault:
    return Fault("status", status=code, **more)


class TuneService:
    """A scripted server, its address, and its requests."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.training = server.training
        self.storage = server.training.storage
        self.clock = FakeClock()
        # Without certificates, which take longer to be read than all else.
        self.backend = Backend(base_url=server.url, api_key=KEY, transport=httpx.HTTPTransport(verify=False))
        self.client = tune.TuneClient(self.backend, self.clock)
        self.how: dict[str, Any] = {"backend": self.client}

    def request_lines(self, method: str = "", part: str = "") -> list[str]:
        """The requests, as `POST /v1/files`."""
        lines = [f"{request.method} {request.path}" for request in self.server.requests]
        return [request for request in lines if request.startswith(method) and part in request]

    def file(self, path: Path) -> tune.File:
        return tune.upload(path, **OK, **self.how)

    def job(self, path: Path, **settings: Any) -> tune.Job:
        return tune.start(self.file(path), MODEL, **self.how, **settings)


@contextmanager
def service(
    script: Any = None, *, faults: dict[str, Sequence[Fault | None]] | None = None, **training: Any
) -> Iterator[TuneService]:
    with ScriptedServer(script or (lambda _: PLAIN), key=KEY, training=Training(faults=faults, **training)) as server:
        tune_service = TuneService(server)
        with tune_service.backend:
            yield tune_service


def rows(count: int = 6) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is the capital of country {number}?"},
                {"role": "assistant", "content": f"The capital of country {number} is Town {number}."},
            ]
        }
        for number in range(count)
    ]


def written(path: Path, some: list[dict[str, Any]] | None = None) -> Path:
    path.write_text("".join([json.dumps(row) + "\n" for row in some or rows()]))
    return path


# What cannot be packed smaller.
BIG = checkpoint_archive({"model.safetensors": b"".join([hashlib.sha256(b"%d" % n).digest() for n in range(4000)])})


def answering(body: dict[str, Any]) -> str:
    """The trained model answers all questions, the base model half of them."""
    number = body["messages"][-1]["content"].rpartition(" ")[2].rstrip("?")
    if "scripted/" in body["model"]:
        return final(f"The capital of country {number} is Town {number}.")
    return final(f"Town {number}, I think.")


def finished_job(it: TuneService, data: Path) -> tune.Job:
    return tune.watch(it.job(data), **it.how)


def states_of(it: TuneService, job: tune.Job | str, **options: Any) -> list[tune.Job]:
    """Each state of a job that is followed to its end."""
    return list(tune.follow(job, **it.how, **options))

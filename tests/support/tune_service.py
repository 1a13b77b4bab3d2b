"""A service that trains, a file for it, and a clock that is told the time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from motet import tune
from motet.testing import Fault, ScriptedServer, Training
from motet.together import Backend
from tests.support.server_scripts import KEY, PLAIN

MODEL = "openai/gpt-oss-120b"
OK: dict[str, Any] = {"check": False}
"""For uploads whose file is no matter."""

RESET = Fault("reset_before")
LOST = Fault("reset_after")
HTML = Fault("html")


def status(code: int, **more: Any) -> Fault:
    return Fault("status", status=code, **more)


class Told(tune.Clock):
    """Its time goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.time += seconds


class Service:
    """A scripted server, how to reach it, and what it was asked."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.training = server.training
        self.storage = server.training.storage
        self.clock = Told()
        # Without certificates, which take longer to be read than all else.
        self.backend = Backend(base_url=server.url, api_key=KEY, transport=httpx.HTTPTransport(verify=False))
        self.how: dict[str, Any] = {"backend": self.backend, "clock": self.clock}

    def asked(self, method: str = "", part: str = "") -> list[str]:
        """The requests, as `POST /v1/files`."""
        found = [f"{one.method} {one.path}" for one in self.server.requests]
        return [one for one in found if one.startswith(method) and part in one]

    def file(self, path: Path) -> tune.File:
        return tune.upload(path, **OK, **self.how)

    def job(self, path: Path, **settings: Any) -> tune.Job:
        return tune.start(self.file(path), MODEL, **self.how, **settings)


@contextmanager
def service(
    script: Any = None, *, faults: dict[str, Sequence[Fault | None]] | None = None, **training: Any
) -> Iterator[Service]:
    with ScriptedServer(script or (lambda _: PLAIN), key=KEY, training=Training(faults=faults, **training)) as server:
        made = Service(server)
        with made.backend:
            yield made


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

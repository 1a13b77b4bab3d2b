"""Upload, training, watch, download and evaluation, with one fault at each request."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from motet import tune
from motet.errors import (
    ApiError,
)
from motet.testing import Fault, Training
from motet.tune import service as service_module
from tests.support.server_scripts import KEY
from tests.support.tune_service import (
    BIG,
    HTML,
    LOST,
    MODEL,
    RESET,
    answering,
    service,
    status,
)

BREAKING = [RESET, LOST, status(500), HTML, Fault("empty"), Fault("close", after=3)]


@pytest.mark.parametrize("operation", Training.OPERATIONS)
def test_any_single_fault_does_not_stop_the_workflow(data: Path, tmp_path: Path, operation: str) -> None:
    """Each request of the workflow fails once, in each way, also after a success. Only a new job is not
    requested twice: a second start after an error without a job creates one."""
    for number, fault in enumerate([*BREAKING, RESET, LOST]):
        sound = [None] * (number >= len(BREAKING))
        if operation in ("put", "part") and fault.kind in ("html", "empty"):
            # Bytes that were said to have arrived, and have not: the next step finds that.
            continue
        with service(answering, archive=BIG, redirect_downloads=True, faults={operation: [*sound, fault]}) as it:
            try:
                job = it.job(data)
            except ApiError:
                assert operation == "create"
                assert len(it.training.jobs) == 0
                job = it.job(data)
            job = tune.watch(job, **it.how)
            assert job.ok
            download = tune.download(job, tmp_path / f"{number}", **it.how)
            assert (download.path.read_bytes(), download.verified) == (BIG, "sha256")
            cancelled = tune.cancel(it.job(data, suffix="second"), **it.how) if operation == "cancel" else None
            assert cancelled is None or cancelled.phase == "cancelled"
            assert [file.data for file in it.storage.files.values()] == [data.read_bytes()]
            assert len(it.training.jobs) == 1 + (cancelled is not None)


def test_client_has_every_function_as_a_method(data: Path) -> None:
    """`TuneClient(backend, clock).start(...)` is `start(..., backend=client)`."""
    with service() as it, tune.TuneClient(it.backend, it.clock) as client:
        job = client.watch(client.start(it.file(data), MODEL), timeout=600)
        assert [job.id for job in client.jobs()] == [job.id] == [job.id for job in tune.jobs(backend=it.backend)]
        functions = {name for name in vars(service_module) if name in service_module.__all__} - {"TuneClient", "Clock"}
        assert functions == {name for name in dir(client) if name in service_module.__all__}
        assert not any("clock" in inspect.signature(getattr(tune, name)).parameters for name in functions)


def test_client_closes_only_its_own_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    with service() as it, monkeypatch.context() as patch:
        closed: list[object] = []
        patch.setenv("TOGETHER_API_KEY", KEY)
        patch.setenv("TOGETHER_BASE_URL", it.server.url)
        patch.setattr(type(it.backend), "close", lambda backend: closed.append(backend))
        with tune.TuneClient(it.backend):
            pass
        assert tune.jobs() == ()
        assert len(closed) == 1 and closed[0] is not it.backend

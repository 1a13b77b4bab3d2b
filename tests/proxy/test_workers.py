"""Several workers of one proxy: they share the address, the state and the figures, and survive each other."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from motet.testing import ScriptedServer
from tests.support.child_processes import children
from tests.support.proxies import PATHS, TOOLS, body_of
from tests.support.server_scripts import CALL

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")


def test_workers_replace_each_other(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: CALL, face="vllm") as server:
        words = ["proxy", "--upstream", server.url, "--port", "0", "--workers", "2", "--state", str(tmp_path / "state")]
        process = subprocess.Popen(
            [sys.executable, "-m", "motet", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None and process.stderr is not None
            url = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]

            def ask() -> str:
                # A connection of its own, which the system gives to any of the workers.
                body = body_of("responses", tools=TOOLS["responses"])
                id: str = httpx.post(url + PATHS["responses"], json=body, timeout=60).json()["id"]
                return id

            ids = [ask() for _ in range(6)]
            for id in ids:
                assert httpx.get(f"{url}/v1/responses/{id}").status_code == 200, "any worker finds any response"
            figures = ""
            while 'motet_requests_total{api="responses",model="openai/gpt-oss-120b",status="200"} 6' not in figures:
                # Each worker knows its own at once, and those of the others within a second.
                figures = httpx.get(f"{url}/metrics").text
            workers = children(process.pid)
            assert len(workers) == 2
            os.kill(workers[0], signal.SIGKILL)
            while len(set(children(process.pid)) - set(workers)) < 1:
                httpx.get(f"{url}/health")
            assert httpx.get(f"{url}/v1/responses/{ask()}").status_code == 200
            process.terminate()
            process.wait(60)
            log = process.stderr.read()
        finally:
            for worker in [*children(process.pid), process.pid] if process.poll() is None else []:
                os.kill(worker, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, log
    assert "another takes its place" in log
    assert "Traceback" not in log

"""The servers of the benches, each in a process of its own: upstream, proxies, and what they use."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

FOLDER = Path(__file__).parent
START_SECONDS = 120.0
"""litellm takes half a minute on a loaded machine."""


@dataclass
class Server:
    """A process that serves on a port."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """CPU time of all threads and child processes so far, in seconds. Read from the scheduler's nanoseconds."""
        total = 0
        for process in _tree(self.process.pid):
            for path in Path(f"/proc/{process}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    total += int(path.read_text().split()[0])
        return total / 1e9

    def resident_bytes(self) -> int:
        """Resident memory of the process and its children."""
        total = 0
        for process in _tree(self.process.pid):
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return total


def _tree(process: int) -> list[int]:
    """A process and its descendants."""
    processes = [process]
    for parent in processes:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                processes += map(int, path.read_text().split())
    return processes


class Servers:
    """Starts servers, and ends them when the block is left."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="motet-bench-")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def upstream(self) -> Server:
        """The server that is asked in the end."""
        return self._start("direct", [sys.executable, str(FOLDER / "upstream.py"), "{port}"])

    def motet(self, upstream: Server, name: str, *, lane: str = "auto", workers: int = 1) -> Server:
        """`motet proxy` with its state in a file, as by default."""
        state = str(self._folder / f"{name.replace(' ', '-')}.sqlite3")
        address = f"http://127.0.0.1:{upstream.port}"
        command = [sys.executable, "-m", "motet", "proxy", "--upstream", address, "--port", "{port}", "--lane", lane]
        return self._start(name, [*command, "--state", state, "--workers", str(workers)])

    def nginx(self, upstream: Server) -> Server | None:
        """A plain reverse proxy that passes each chunk on at once. `None`: not installed."""
        program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            return None
        port = free_port()
        config = self._folder / "nginx.conf"
        config.write_text(
            f"daemon off; pid {self._folder}/nginx.pid; error_log stderr error; worker_processes 1;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; client_body_temp_path /tmp; proxy_temp_path /tmp;\n"
            f"upstream up {{ server 127.0.0.1:{upstream.port}; keepalive 512; }}\n"
            f"server {{ listen 127.0.0.1:{port}; client_max_body_size 32m;\n"
            'location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";\n'
            "proxy_buffering off; } } }\n"
        )
        return self._start("nginx", [program, "-c", str(config), "-p", str(self._folder)], port)

    def litellm(self, upstream: Server, program: str | None) -> Server | None:
        """litellm's proxy. `None`: not installed."""
        program = program or shutil.which("litellm")
        if program is None:
            return None
        config = self._folder / "litellm.yaml"
        config.write_text(
            'model_list:\n  - model_name: "*"\n    litellm_params:\n      model: "hosted_vllm/*"\n'
            f'      api_base: "http://127.0.0.1:{upstream.port}/v1"\n      api_key: "none"\n'
            'general_settings:\n  master_key: "sk-benchmark"\n  dangerously_permit_weak_or_unset_master_key: true\n'
        )
        return self._start("litellm", [program, "--config", str(config), "--host", "127.0.0.1", "--port", "{port}"])

    def _start(self, name: str, command: list[str], port: int | None = None) -> Server:
        port = port or free_port()
        log = self._stack.enter_context((self._folder / f"{name.replace(' ', '-')}.log").open("wb"))
        process = subprocess.Popen([word.format(port=port) for word in command], stdout=log, stderr=log)
        self._stack.callback(_end, process)
        for _ in _attempts(process):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return Server(name, port, process)
        raise SystemExit(f"{name} does not start:\n{Path(log.name).read_text()[-2000:]}")


def _attempts(process: subprocess.Popen[bytes]) -> Iterator[None]:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        yield
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port of this machine that is free."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

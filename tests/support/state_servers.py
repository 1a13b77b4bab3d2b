"""Real Redis and PostgreSQL servers on Unix sockets, started for the tests where they are installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

START_SECONDS = 60


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The address of a Redis server without a file."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server is installed")
    with _folder() as folder:
        socket = folder / "redis.sock"
        command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
        with _running(command, folder, socket.exists):
            yield f"unix://{socket}"


@contextlib.contextmanager
def postgresql_server() -> Iterator[str]:
    """The address of a PostgreSQL server with an empty database."""
    # Debian has the server's programs outside of the path.
    found = [shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    initdb = next((Path(path) for path in reversed(found) if path), None)
    if initdb is None:
        pytest.skip("no postgresql is installed")
    with _folder() as folder:
        # The server refuses to run as root.
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if user:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        make = [
            *user,
            str(initdb),
            "--pgdata",
            str(data),
            "--username=motet",
            "--auth=trust",
            "--no-sync",
            "--locale=C",
        ]
        subprocess.run([*make, "--encoding=UTF8"], check=True, capture_output=True, timeout=START_SECONDS, cwd="/")
        settings = ["fsync=off", "listen_addresses=", f"unix_socket_directories={folder}"]
        command = [*user, str(initdb.with_name("postgres")), "-D", str(data)]
        for setting in settings:
            command += ["-c", setting]
        is_ready = (folder / ".s.PGSQL.5432").exists
        with _running(command, folder, is_ready):
            yield f"postgresql://motet@/postgres?host={folder}"


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # Short: the path of a socket has at most 107 bytes, and folders of pytest are private to its user.
    with tempfile.TemporaryDirectory(prefix="motet-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def _running(command: list[str], folder: Path, is_ready: Callable[[], bool]) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
    try:
        end = time.monotonic() + START_SECONDS
        while not is_ready():
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text("utf-8", "replace")
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)

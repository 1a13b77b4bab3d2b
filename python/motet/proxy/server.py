"""Serves an application with uvicorn, in this process or in several workers that share its address."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

from starlette.types import ASGIApp

from motet.errors import ConfigError

__all__ = ["serve"]

log = logging.getLogger("motet.proxy")

MAX_HEADER_BYTES = 65_536
KEEP_ALIVE_SECONDS = 75
"""Longer than the idle time of common load balancers, which is 60 seconds: they close first."""
SHUTDOWN_SECONDS = 30
"""For answers that are on their way when the proxy is stopped."""
MIN_LIFE_SECONDS = 5.0
"""A worker that ends earlier has a fault that a new one would have as well."""


def serve(make_app: Callable[[], ASGIApp], listener: socket.socket, *, workers: int = 1) -> None:
    """Answers on a listening socket until SIGINT or SIGTERM; what is being answered then is finished.

    - `make_app`: is called in the process that serves, as connections and files must not be shared.
    - `workers`: processes. One that is killed is replaced. Raises `ConfigError` if the system cannot fork, and if a
      worker fails at its start.
    """
    if listener.family != getattr(socket, "AF_UNIX", None):
        # Connections inherit it. asyncio sets it only for listeners that it opens itself, and without it the first
        # token waits up to 40 ms until the client has confirmed the headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if workers == 1:
        _run(make_app, listener)
    elif not hasattr(os, "fork"):
        raise ConfigError("several workers need a system with fork(); give one")
    else:
        _Workers(make_app, listener, workers).run()


def _run(make_app: Callable[[], ASGIApp], listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        make_app(),
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        access_log=False,
        log_config=None,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


class _Workers:
    """Processes that accept connections of one socket; the system gives each to one of them."""

    def __init__(self, make_app: Callable[[], ASGIApp], listener: socket.socket, count: int) -> None:
        self._make_app = make_app
        self._listener = listener
        self._count = count
        self._started: dict[int, float] = {}
        """When each worker started, by its process id."""
        self._is_stopping = False

    def run(self) -> None:
        handlers = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for _ in range(self._count):
                self._start()
            while self._started:
                self._replace(*os.wait())
        finally:
            self._stop()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        process = os.fork()
        if process:
            self._started[process] = time.monotonic()
            return
        code = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            _run(self._make_app, self._listener)
            code = 0
        except KeyboardInterrupt:
            code = 0
        except BaseException:
            log.exception("a worker failed")
        finally:
            # Not `sys.exit`: what the parent would do at its end is not for its copies to do.
            os._exit(code)

    def _replace(self, process: int, status: int) -> None:
        life = time.monotonic() - self._started.pop(process, 0.0)
        if self._is_stopping:
            return
        if life < MIN_LIFE_SECONDS and not os.WIFSIGNALED(status):
            self._stop()
            raise ConfigError("a worker ended at its start; the log has the reason")
        log.warning("worker %d ended with status %d; another takes its place", process, status)
        self._start()

    def _stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        self._is_stopping = True
        for process in self._started:
            os.kill(process, signal.SIGTERM)

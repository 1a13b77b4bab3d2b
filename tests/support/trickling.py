"""Servers whose answers come byte by byte."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["TRICKLES", "Trickle", "trickling"]


@dataclass
class Trickle:
    """A server that answers each request with a head, and then a drop at a time, for ever."""

    url: str
    drops: list[int] = field(default_factory=list)
    """The number of drops sent to each connection."""
    hung_up: threading.Event = field(default_factory=threading.Event)

    def is_trickling(self, connections: int = 1) -> bool:
        """Whether so many connections have had several drops."""
        return sum(drops >= 3 for drops in self.drops) >= connections


@contextlib.contextmanager
def trickling(*heads: bytes, drop: bytes, every: float = 0.02) -> Iterator[Trickle]:
    listener = socket.create_server(("127.0.0.1", 0))
    trickle = Trickle(f"http://127.0.0.1:{listener.getsockname()[1]}")
    ended = threading.Event()

    def serve(client: socket.socket, number: int) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(1 << 20)
            client.sendall(b"".join(heads))
            while not ended.wait(every):
                client.sendall(drop)
                trickle.drops[number] += 1
        trickle.hung_up.set()

    def accept() -> None:
        with contextlib.suppress(OSError):
            for number in itertools.count():
                client = listener.accept()[0]
                trickle.drops.append(0)
                threading.Thread(target=serve, args=(client, number), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield trickle
    finally:
        ended.set()
        listener.close()


OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TRICKLES: dict[str, tuple[tuple[bytes, ...], bytes]] = {
    "a header": ((b"HTTP/1.1 200 OK\r\nx-slow: ",), b"x"),
    "early hints": ((), b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a comment": ((OK,), b"1\r\n:\r\n"),
    "an event": ((OK, b"6\r\ndata: \r\n"), b"1\r\nx\r\n"),
    "a blank": ((b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n",), b" "),
    "a refusal": ((b"HTTP/1.1 500 No\r\ncontent-length: 9999\r\n\r\n",), b"x"),
    "gzip": ((b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9999\r\n\r\n\x1f\x8b\x08\x08",), b"x"),
}

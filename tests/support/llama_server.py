"""llama.cpp's server on this machine, with a gpt-oss of random weights: a real engine. `make engine` builds both."""

from __future__ import annotations

import collections
import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

import motet

__all__ = ["CONTEXT", "MODEL", "NAME", "SERVER", "likely", "llama_server", "post"]

SERVER = os.environ.get("MOTET_LLAMA_SERVER")
"""The path of the program `llama-server`."""
MODEL = os.environ.get("MOTET_ENGINE_MODEL")
"""The path of the model, as `tests/support/write_model.py` writes it."""
CONTEXT = 4096
"""Tokens of prompt and answer together."""

NAME = "gpt-oss-random"
_LETTERS = [*'{[:,"\\<', *"0123456789-", *"abcdefghijklmnopqrstuvwxyz ", "<|", "é", "青"]
_HEADER_WORDS = ["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "assistant", "analysis", "commentary"]
_ENDS = ["<|end|>", "<|return|>", "<|call|>", "final", " to", '"', "}", "]"]


@contextlib.contextmanager
def llama_server() -> Iterator[str]:
    """The address of a server that runs until the end of the block."""
    assert SERVER and MODEL
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        SERVER,
        *("--model", MODEL, "--alias", NAME, "--host", "127.0.0.1", "--port", str(port)),
        *("--ctx-size", str(CONTEXT), "--parallel", "1", "--threads", "1", "--no-warmup", "--no-webui"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = _Log(process)
    try:
        log.wait_until_ready()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.join()


class _Log(threading.Thread):
    """Reads what the server logs, so that its pipe never fills, and keeps the last lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._lines: collections.deque[str] = collections.deque(maxlen=40)
        self._ready = False
        self._answered = threading.Event()
        self.start()

    def run(self) -> None:
        with self._process.stderr or contextlib.nullcontext(()) as lines:
            for line in lines:
                self._lines.append(line)
                if "listening on http" in line:
                    self._ready = True
                    self._answered.set()
        self._answered.set()

    def wait_until_ready(self) -> None:
        self._answered.wait(timeout=300)
        if not self._ready:
            raise RuntimeError("llama-server ended before it listened:\n" + "".join(self._lines))


def likely(**weights: float) -> dict[str, Any]:
    """Keys of a request that make random weights end what they begin: letters, digits, JSON, headers and stop tokens
    have a bias. Without it each of 201,088 tokens is as likely as the next, and no string would be closed."""
    bias = dict.fromkeys([_token(text) for text in _LETTERS], 9.0)
    bias |= dict.fromkeys([_token(text) for text in _HEADER_WORDS], 12.0)
    bias |= dict.fromkeys([_token(text) for text in _ENDS], 14.0)
    bias |= {_token(f"<|{name}|>"): weight for name, weight in weights.items()}
    return {"logit_bias": {str(token): weight for token, weight in bias.items()}, "top_k": 0, "min_p": 0.0}


def _token(text: str) -> int:
    return motet.encode(text, special="token")[0]


def post(url: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
    """A request without motet's client."""
    return httpx.post(url + path, json=dict(body), timeout=600)

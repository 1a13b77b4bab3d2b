"""`motet serve`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import motet


def test_serve_answers_with_files(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("<|channel|>final<|message|>One<|return|>\n")
    (tmp_path / "two.txt").write_text("<|channel|>final<|message|>Two<|return|>\n")
    command = [sys.executable, "-m", "motet.cli", "serve", "one.txt", "two.txt", "--port", "0", "--style", "vllm"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        url = server.stdout.readline().decode().split()[0]
        try:
            with motet.atom("together/gpt-oss/120b", base_url=url) as atom:
                assert [atom.ask("Hi").output for _ in range(3)] == ["One", "Two", "One"]
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=10)
        assert server.returncode == 130

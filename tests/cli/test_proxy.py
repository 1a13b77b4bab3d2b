"""`motet proxy`: its options, and one run as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from motet.cli.commands import proxy
from motet.cli.failure import UsageError
from motet.testing import ScriptedServer
from tests.support.command_line import command
from tests.support.server_scripts import ANSWER, PLAIN


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a proxy needs a server: --upstream URL, or --model NAME=URL"),
        (("--upstream", "http://x", "--host", "0.0.0.0"), "--host 0.0.0.0 needs keys"),
        (("--upstream", "http://x", "--host", "gpu.local"), "--host gpu.local needs keys"),
        (("--model", "http://x"), "--model must be NAME=URL or NAME=MODEL@URL: 'http://x'"),
        (("--model", "a=ftp://x"), "--model a: the address must be an address such as"),
        (("--upstream", "http://x", "--key", "short"), "must have at least 8 ASCII characters"),
    ],
)
def test_wrong_options_are_described(words: tuple[str, ...], message: str) -> None:
    assert message in command("proxy", *words, code=2)


def test_models_name_servers_and_their_names() -> None:
    words = ["a=http://x:1/v1", "b=openai/gpt-oss-20b@https://y"]
    assert proxy._models(words) == [("a", None, "http://x:1/v1"), ("b", "openai/gpt-oss-20b", "https://y")]


def test_keys_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys.txt"
    file.write_text("# clients\nalice:key-of-alice:5\n\nbob:key-of-bob\n")
    assert proxy._keys([f"@{file}", "key-of-carol"]) == ["alice:key-of-alice:5", "bob:key-of-bob", "key-of-carol"]
    monkeypatch.setenv("MOTET_PROXY_KEYS", "key-of-dave a:key-of-erin")
    assert proxy._keys([]) == ["key-of-dave", "a:key-of-erin"]
    file.write_text("\n")
    with pytest.raises(UsageError, match="hold no keys"):
        proxy._keys([f"@{file}"])


def test_process_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    with ScriptedServer([PLAIN], face="vllm") as server:
        words = [sys.executable, "-m", "motet", "proxy", "--upstream", server.url, "--port", "0"]
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None and process.stderr is not None
            url = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
            body = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "Hi"}]}
            headers = {"content-type": "application/json"}
            request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
            with urllib.request.urlopen(request, timeout=60) as response:
                assert json.load(response)["choices"][0]["message"]["content"] == ANSWER
            process.send_signal(signal.SIGINT)
            process.wait(60)
            log = process.stderr.read()
        finally:
            process.kill()
            process.communicate()
    assert process.returncode in (0, 130, -signal.SIGINT), log
    assert "chat 200 id=" in log
    assert "Traceback" not in log
    assert (tmp_path / "motet" / "proxy.sqlite3").exists()

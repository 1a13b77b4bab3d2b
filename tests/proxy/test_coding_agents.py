"""Coding agents that mend a file of a repository, with a scripted model behind a proxy; `make clients` has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.proxies import MODEL, proxied
from tests.support.server_scripts import final, prompt_text

pytestmark = pytest.mark.filterwarnings("ignore")

BROKEN = "def add(a, b):\n    return a - b\n"
MENDED = "def add(a, b):\n    return a + b\n"
TASK = "add subtracts: mend it."


def bash(thought: str, command: str) -> str:
    return (
        f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>commentary to=functions.bash "
        f"<|constrain|>json<|message|>{json.dumps({'command': command})}<|call|>"
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one broken file."""
    path = tmp_path / "repository"
    path.mkdir()
    (path / "sums.py").write_text(BROKEN)
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *arguments], cwd=path, check=True)
    return path


def run_agent(command: list[str], cwd: Path, **variables: str) -> str:
    """The output of an agent that ended well. Its settings are in a folder of its own."""
    home = cwd.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", **variables}
    process = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.mark.parametrize(
    ("provider", "face"), [("openai", "vllm"), ("openai", "llamacpp"), ("openai", "together"), ("anthropic", "vllm")]
)
def test_mini_swe_agent_mends_a_file(provider: str, face: str, repository: Path) -> None:
    pytest.importorskip("minisweagent", reason="make clients")
    script = [
        bash("First look.", "cat sums.py"),
        bash("Replace the sign.", "sed -i 's/a - b/a + b/' sums.py"),
        bash("That is all.", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"),
    ]
    with proxied(*script, face=face) as (url, server):
        base = url if provider == "anthropic" else f"{url}/v1"
        command = [sys.executable, "-m", "minisweagent", "--model", f"{provider}/{MODEL}", "--task", TASK, "--yolo"]
        command += ["--exit-immediately", "--output", str(repository.parent / "trajectory.json")]
        for setting in ("mini.yaml", f"model.model_kwargs.api_base={base}", "model.model_kwargs.api_key=unused"):
            command += ["--config", setting]
        run_agent(command, repository, MSWEA_CONFIGURED="true", MSWEA_COST_TRACKING="ignore_errors")
        assert (repository / "sums.py").read_text() == MENDED
        bodies = [request.body for request in server.requests if request.body]
        if face != "together":
            prompt = prompt_text(bodies[-1])
            assert "return a - b" in prompt and "First look." in prompt and "Replace the sign." in prompt


BLOCK = "sums.py\n```python\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n```\n"


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_aider_mends_a_file(provider: str, stream: str, repository: Path) -> None:
    aider = os.environ.get("MOTET_AIDER", "")
    if not Path(aider).is_file():
        pytest.skip("make clients, with a Python below 3.13")
    thought = "<|channel|>analysis<|message|>The sign is wrong.<|end|><|start|>assistant"

    def answer(_: Any) -> str:
        return thought + final(BLOCK)

    with proxied(answer) as (url, server):
        command = [aider, "--model", f"{provider}/{MODEL}", "--message", TASK, "--edit-format", "diff", stream]
        command += ["--yes-always", "--no-auto-commits", "--no-show-model-warnings", "--no-check-update"]
        command += ["--no-analytics", "--no-gitignore", "--map-tokens", "0", "--no-pretty", "sums.py"]
        variables = {"OPENAI_API_BASE": f"{url}/v1", "OPENAI_API_KEY": "unused"}
        variables |= {"ANTHROPIC_API_BASE": url, "ANTHROPIC_API_KEY": "unused"}
        run_agent(command, repository, **variables)
        assert (repository / "sums.py").read_text() == MENDED
        assert "return a - b" in prompt_text(server.requests[-1].body)

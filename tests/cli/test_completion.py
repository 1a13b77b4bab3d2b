"""`motet completion`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import command

CASES = {
    ("pa",): "parse",
    ("ask", "--ef"): "--effort",
    ("ask", "--effort", ""): "low medium high",
    ("data", ""): "add list show remove build check --help --log",
    ("tune", "start", "--m"): "--model --max-seq-length --method --max-cost",
    ("completion", "f"): "fish",
    ("ask", "--tools", ""): "",
}


def test_bash_completes_commands_options_and_values(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    script = tmp_path / "motet.bash"
    script.write_text(command("completion", "bash"))
    lines = [
        f"COMP_WORDS=(motet {' '.join([repr(word) for word in words])}); COMP_CWORD={len(words)}; _motet; "
        'echo "${COMPREPLY[*]}"'
        for words in CASES
    ]
    done = subprocess.run([bash, "-c", "\n".join([f"source {script}", *lines])], capture_output=True, text=True)
    assert done.stdout.splitlines() == list(CASES.values())


def test_each_shell_has_all_commands_and_options() -> None:
    for shell in ("zsh", "fish"):
        script = command("completion", shell)
        for word in ("checkpoint", "dialect", "conversational", "download"):
            assert word in script
    assert "SHELL must be one of" in command("completion", "tcsh", code=2)

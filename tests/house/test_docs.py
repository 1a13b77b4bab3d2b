"""The Python in the documentation runs as it is written, and its links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from motet import catalog
from motet.cli.commands.service import markdown
from motet.testing import ScriptedServer, Stage, Training
from tests.support.server_scripts import KEY, PLAIN, final

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/motet-dev/motet"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benches/README.md"]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def answer(body: dict[str, Any]) -> str:
    """What a model might answer to the questions of the pages."""
    if body.get("response_format"):
        return final('{"approved": true, "issues": []}')
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        return '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>'
    return PLAIN


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    # A job that has ended at the first look: nobody waits.
    with ScriptedServer(answer, training=Training(stages=[Stage("completed", 20)])) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        yield
    catalog.forget()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_blocks_of_pages_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)
    scope: dict[str, object] = {"__name__": page.stem}
    for block in blocks:
        exec(compile(block, page.name, "exec"), scope)
    assert page != ROOT / "README.md" or len(blocks) >= 5


def test_commands_of_the_readme_run(tmp_path: Path) -> None:
    (tmp_path / "completion.txt").write_text("<|channel|>final<|message|>Hi<|return|>")
    (tmp_path / "chat.json").write_text('[{"role": "user", "content": "Hi"}]')
    (tmp_path / "README.md").write_text("Hello")
    shown = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
    (tmp_path / "held.jsonl").write_text(json.dumps(shown) + "\n")
    commands = re.findall(r"^(motet .*?) *(?:#.*)?$", (ROOT / "README.md").read_text(), re.M)
    assert len(commands) >= 8
    job = "ft-..."
    for command in commands:
        words = shlex.split(command.replace("ft-...", job))[1:]
        done = subprocess.run([sys.executable, "-m", "motet.cli", *words], cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout
        if command.startswith("motet tune start"):
            job = re.findall(r"ft-[\w-]+", (done.stdout + done.stderr).decode())[0]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_of_pages_exist(page: Path) -> None:
    """Links to the repository are absolute outside of docs/, so that they work on a package index and on the site."""
    text = page.read_text()
    for target in re.findall(rf"{REPOSITORY}/(?:blob|tree|raw)/main/([^)#\s]+)", text):
        assert (ROOT / target).exists(), target
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert page.name != "README.md", f"relative link in a page that a package index shows: {target}"
        path = (page.parent / target).resolve()
        assert path.exists(), target
        assert path.is_relative_to(ROOT / "docs") == page.is_relative_to(ROOT / "docs"), target


def test_model_table_of_the_readme_equals_the_catalogue() -> None:
    table = (ROOT / "README.md").read_text().split("prints -->\n")[1].split("\n<!-- /models -->")[0]
    assert table == markdown([spec for spec in catalog.specs() if spec.removal_notice() is None])


def test_architecture_page_names_every_module() -> None:
    page = (ROOT / "docs/contributing/architecture.md").read_text()
    for path in [*(ROOT / "rust/core/src").glob("*.rs"), *(ROOT / "python/motet").glob("*.py")]:
        assert path.name in ("lib.rs", "base64.rs") or path.name in page, path.name


def test_promises_of_the_readme_name_existing_tests() -> None:
    tests = "".join([path.read_text() for path in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("rust/core/**/*.rs")]])
    table = (ROOT / "README.md").read_text().split("what holds it")[1]
    for name in re.findall(r"`(\w+\*?\w*\*?\w*)`", table.split("|---|---|")[1]):
        if name.startswith(("test_", "every", "however")):
            pattern = r"\w*".join([re.escape(part) for part in name.split("*")])
            assert re.search(rf"fn {pattern}|def {pattern}", tests), name

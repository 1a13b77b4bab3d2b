"""The Python in the documentation runs as written, and its links resolve."""

from __future__ import annotations

import gc
import importlib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from motet import catalog
from motet.cli.commands.models import markdown
from motet.testing import BatchService, BatchStage, ScriptedServer, Stage, Training
from tests.support.command_line import run
from tests.support.server_scripts import KEY, PLAIN, final

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/motet-dev/motet"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benches/README.md"]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


LOCAL_SERVERS = {
    "http://localhost:8000": "vllm",
    "http://localhost:8080": "llamacpp",
    "http://localhost:30000": "sglang",
    "http://localhost:1234": "lmstudio",
    "http://localhost:11434": "ollama",
}
"""Servers that the pages ask, and the face of the scripted one that stands in for each."""
REQUIREMENTS = {
    "frameworks.md": ("pydantic_ai", "dbos", "langchain_core", "litellm", "llm"),
    "proxy-clients.md": ("agents", "instructor", "langchain_openai", "litellm", "pydantic_ai"),
    "table-engines.md": ("polars", "duckdb", "pandas", "ray", "pyspark"),
    "trainers.md": ("renderers", "trl"),
}
"""Packages of pages that `make clients`, `make frameworks`, `make tables` and `make trainers` run."""


def answer(body: Mapping[str, Any]) -> str:
    """Plausible answers to the questions of the pages."""
    constraint = str(body.get("structured_outputs") or body.get("response_format"))
    if "rationale" in constraint:
        return final('{"label": "spam", "rationale": "SP1: it is an offer."}')
    if "messages" not in body:
        return PLAIN
    if body.get("response_format"):
        return final('{"approved": true, "issues": []}')
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        return '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>'
    return PLAIN


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    # The folder of llm's keys and logs, and a table of prices that LiteLLM fetches otherwise.
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # The jobs have ended at the first poll, so that nothing waits.
    training, batches = Training(stages=[Stage("completed", 20)]), BatchService([BatchStage("COMPLETED", 100.0)])
    with ScriptedServer(answer, training=training, batches=batches) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        yield
    catalog.forget()


# Pages leave clients open, as short scripts do.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_blocks_of_pages_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in REQUIREMENTS.get(page.name, ()):
        pytest.importorskip(package)
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)
    scope: dict[str, object] = {"__name__": page.stem}
    with ExitStack() as stack:
        for address, face in LOCAL_SERVERS.items():
            if any(f'"{address}"' in block for block in blocks):
                models = ("openai/gpt-oss-20b", "gpt-oss-20b", "gpt-oss:20b", "openai/gpt-oss-safeguard-20b")
                server = stack.enter_context(ScriptedServer(answer, face=face, models=models))  # type: ignore[arg-type]
                # `localhost` is a server of the user's own for the atoms, and `127.0.0.1` stands in for Together.
                url = server.url.replace("127.0.0.1", "localhost")
                blocks = [block.replace(f'"{address}"', f'"{url}"') for block in blocks]
        for block in blocks:
            exec(compile(block, page.name, "exec"), scope)
    # Here, where the warning of an open client is expected, and not within a later test.
    scope.clear()
    gc.collect()
    assert page != ROOT / "README.md" or len(blocks) >= 5


@pytest.mark.parametrize("page", ["README.md", "docs/reference/cli.md"])
def test_commands_of_a_page_run(page: str, tmp_path: Path) -> None:
    (tmp_path / "completion.txt").write_text("<|channel|>final<|message|>Hi<|return|>")
    (tmp_path / "chat.json").write_text('[{"role": "user", "content": "Hi"}]')
    (tmp_path / "README.md").write_text("Hello")
    (tmp_path / "weather.py").write_text("def get_weather(city: str) -> int:\n    return 24\n")
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    commands = re.findall(r"^(motet .*?) *(?:#.*)?$", "".join(blocks), re.M)
    assert commands
    job = "ft-..."
    sys.modules.pop("weather", None)
    for command in commands:
        words = shlex.split(command.replace("ft-...", job))[1:]
        result = run(*words, folder=tmp_path)
        assert result.code == 0, (command, result.err)
        assert result.out
        if command.startswith("motet tune start"):
            job = re.findall(r"ft-[\w-]+", result.out + result.err)[0]


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


def test_model_table_of_the_page_equals_the_catalogue() -> None:
    page = (ROOT / "docs/reference/api/catalogue.md").read_text()
    table = page.split("prints -->\n")[1].split("\n<!-- /models -->")[0]
    assert table == markdown([spec for spec in catalog.specs() if spec.removal_notice() is None])


def test_architecture_page_names_every_room() -> None:
    page = (ROOT / "docs/contributing/architecture.md").read_text()
    rooms = [
        path for folder in ("rust/core/src", "rust/columns/src", "python/motet") for path in (ROOT / folder).iterdir()
    ]
    for room in rooms:
        if (room.is_dir() and room.name != "__pycache__") or room.suffix in (".py", ".pyi", ".rs"):
            name = f"`{room.name}/`" if room.is_dir() else f"`{room.name}`"
            assert name in page or room.name in ("lib.rs", "base64.rs"), room


def test_promises_name_existing_tests() -> None:
    files = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("rust/core/**/*.rs")]
    tests = "".join([path.read_text() for path in files])
    table = (ROOT / "docs/contributing/testing.md").read_text().split("the test that holds it")[1]
    for name in re.findall(r"`([\w/*.]+)`", table.split("|---|---|")[1]):
        if name.endswith(".py"):
            assert any(path.as_posix().endswith(f"/{name}") for path in files), name
        elif name.startswith(("test_", "every", "however")):
            pattern = r"\w*".join([re.escape(part) for part in name.split("*")])
            assert re.search(rf"fn {pattern}|def {pattern}", tests), name


PUBLIC = (
    "motet",
    "motet.backend",
    "motet.columns",
    "motet.errors",
    "motet.message",
    "motet.metrics",
    "motet.proxy",
    "motet.testing",
    "motet.tiktoken",
    "motet.together",
    "motet.trace",
    "motet.tune",
)
"""Packages and modules from which users import."""


def test_every_public_name_is_in_the_reference() -> None:
    """Each is on a page by its public path; what several modules hand on needs one of its paths."""
    pages = "\n".join([page.read_text() for page in (ROOT / "docs/reference").rglob("*.md")])
    paths = re.findall(r"^::: ([\w.]+)$", pages, re.M)
    assert len(paths) == len(set(paths))
    named = {path for path in paths if path not in PUBLIC}
    named |= {f"{path}.{name}" for path in paths if path in PUBLIC for name in importlib.import_module(path).__all__}
    values = [value for path in named for value in [_value_of(path)] if not isinstance(value, str | int | tuple)]
    missing = [
        f"{module}.{name}"
        for module in PUBLIC
        for name in importlib.import_module(module).__all__
        if f"{module}.{name}" not in named and not any(_value_of(f"{module}.{name}") is value for value in values)
    ]
    assert missing == []


def _value_of(path: str) -> object:
    module, _, name = path.rpartition(".")
    parent = importlib.import_module(module)
    # A submodule is an attribute once it is imported, which other tests may have done or not.
    return getattr(parent, name) if hasattr(parent, name) else importlib.import_module(path)

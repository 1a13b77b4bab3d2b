"""What must never be: rooms that import upwards, and an import that does more than import."""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from motet import _core

PACKAGE = Path(__file__).parents[2] / "python" / "motet"
FILES = sorted(PACKAGE.rglob("*.py"))
FLOORS = [
    "errors _lazy _light_dataclass _message_words _surrogates _visible_text _context _retry _plot",
    "_core tolerant_json _atomic_files _lazy_completion _sqlite",
    "message metrics _tables",
    "catalog schema dialects ledgers",
    "harmony limits repository",
    "backend tiktoken openai_harmony transformers",
    "trace oss_harmony engines",
    "together asking",
    "loop",
    "atoms _answer_table",
    "safeguard",
    "columns tune testing integrations verify view",
    "batch proxy",
    "__init__",
    "cli",
    "__main__",
]
"""Rooms, from the ground up. A room is a folder or a single module of the package."""
HEIGHTS = {name: height for height, names in enumerate(FLOORS) for name in names.split()}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def below(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def module(path: Path) -> str:
    """`motet.loop.run`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def room(name: str) -> str:
    """The room of a module."""
    return name.split(".")[1] if "." in name else "__init__"


MODULES = {module(path) for path in FILES} | {"motet._core"}


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """The modules of the package that a file imports, in functions as well."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole way"
            origin = node.module or ""
            imported = {f"{origin}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else origin for name in imported}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(names & MODULES - {module(path)})


def test_every_room_has_a_floor() -> None:
    assert {room(name) for name in MODULES} == HEIGHTS.keys()


@pytest.mark.parametrize("path", FILES, ids=below)
def test_rooms_import_only_from_lower_floors(path: Path) -> None:
    own = room(module(path))
    for name in imports(path):
        assert room(name) == own or HEIGHTS[room(name)] < HEIGHTS[own], f"{own} imports {name}"


def test_no_module_imports_itself_through_others() -> None:
    graph = {module(path): imports(path) for path in FILES}
    # `motet` hands on names of all rooms, and no room imports it: see the floors.
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=below)
def test_no_submodule_has_the_name_of_a_public_attribute(path: Path) -> None:
    """Otherwise importing the submodule would replace the attribute."""
    package = importlib.import_module(module(path))
    submodules = {file.name.removesuffix(".py") for file in path.parent.iterdir() if file.suffix in ("", ".py")}
    assert submodules & set(getattr(package, "__all__", ())) == set()


def test_modules_that_users_do_not_need_begin_with_an_underscore() -> None:
    """A module without an underscore defines a name that `motet` re-exports, or is documented by its own name."""
    pages = "".join([page.read_text() for page in (PACKAGE.parents[1] / "docs/reference").rglob("*.md")])
    public = set(importlib.import_module("motet").__all__)
    for path in PACKAGE.glob("*.py"):
        name = module(path)
        if name not in ("motet", "motet.__main__"):
            names = set(importlib.import_module(name).__all__)
            is_documented = bool(names & public) or f"{name}." in pages or f"`{name}`" in pages
            assert is_documented != path.name.startswith("_"), name


@functools.cache
def foreign(path: Path) -> list[tuple[str, bool]]:
    """The packages that a file imports, and whether it does so within a function."""
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = {inner for function in functions for inner in ast.walk(function)}
    imports: list[tuple[str, bool]] = []
    for node in ast.walk(tree(path)):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        imports += [(name.partition(".")[0], node in late) for name in names]
    return imports


@pytest.mark.parametrize(
    ("package", "rooms", "late"),
    [
        ("together", "together", ""),
        ("httpx", "together testing verify", ""),
        ("httpcore", "together", ""),
        ("h11", "together", ""),
        ("anyio", "together", "loop"),
        ("pydantic", "testing integrations openai_harmony", "schema"),
        ("pydantic_core", "", "schema _answer_table"),
        ("pyarrow", "columns", "_tables _answer_table"),
        ("typing_extensions", "", "schema"),
        ("aiohttp", "testing", ""),
        ("pytest", "testing", ""),
        ("opentelemetry", "", "trace"),
        ("rich", "view", "cli"),
        ("textual", "view", ""),
        ("numpy", "tiktoken", "transformers"),
        ("jinja2", "", "tune"),
        ("torch", "", "transformers"),
        ("transformers", "", "transformers"),
        ("langchain_core", "integrations", ""),
        ("litellm", "integrations", ""),
        ("llm", "integrations", ""),
        ("lm_eval", "integrations", ""),
        ("inspect_ai", "integrations", ""),
        ("mcp", "", "integrations"),
        ("pydantic_ai", "integrations", ""),
        ("renderers", "integrations", ""),
        ("verl", "integrations", ""),
        ("psycopg", "", "proxy"),
        ("psycopg_pool", "", "proxy"),
        ("redis", "", "proxy"),
        ("starlette", "proxy", ""),
        ("uvicorn", "", "cli proxy"),
        ("duckdb", "columns", ""),
        ("pandas", "columns", ""),
        ("polars", "columns", ""),
        ("pyspark", "columns", ""),
        ("ray", "columns", ""),
        ("sglang", "", "engines"),
        ("vllm", "engines", ""),
        ("compression", "", "tune"),
        ("backports", "", "tune"),
    ],
)
def test_packages_are_imported_only_where_allowed(package: str, rooms: str, late: str) -> None:
    """`late`: modules that import it within functions only, so that it loads on use."""
    importers = {(room(module(path)), within) for path in FILES for name, within in foreign(path) if name == package}
    assert importers, f"no module imports {package}"
    allowed = {(name, within) for name in rooms.split() for within in (True, False)}
    assert importers <= allowed | {(name, True) for name in late.split()}


def test_no_other_package_is_imported() -> None:
    allowed = {
        "motet",
        "together",
        "httpx",
        "httpcore",
        "h11",
        "anyio",
        "pydantic",
        "pydantic_core",
        "pyarrow",
        "typing_extensions",
        "aiohttp",
        "pytest",
        "opentelemetry",
        "rich",
        "textual",
        "numpy",
        "torch",
        "jinja2",
        "transformers",
        "langchain_core",
        "litellm",
        "llm",
        "lm_eval",
        "inspect_ai",
        "mcp",
        "pydantic_ai",
        "renderers",
        "verl",
        "psycopg",
        "psycopg_pool",
        "redis",
        "starlette",
        "uvicorn",
        "duckdb",
        "pandas",
        "polars",
        "pyspark",
        "ray",
        "sglang",
        "vllm",
        # Zstandard, from Python 3.14 on and before.
        "compression",
        "backports",
    }
    result = {name for path in FILES for name, _ in foreign(path)}
    assert result - allowed - sys.stdlib_module_names == set()


def mentions(node: ast.AST, word: str) -> bool:
    names = [
        inner.id if isinstance(inner, ast.Name) else inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name | ast.Attribute)
    ]
    return any(word in name for name in names)


def test_http_statuses_are_read_in_one_file() -> None:
    """Elsewhere nothing is compared with one: neither `status == 404` nor `match status: case 404`."""
    for path in {*FILES} - {PACKAGE / "together/errors.py"}:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Compare | ast.Match) and mentions(getattr(node, "subject", node), "status"):
                numbers = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant)]
                assert not any(type(item) is int and 100 <= item < 600 for item in numbers), f"{path}:{node.lineno}"


def test_prices_are_multiplied_in_one_file() -> None:
    """Money is computed in one place: elsewhere a price is neither multiplied nor divided."""
    for path in {*FILES} - {PACKAGE / "metrics.py"}:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
                assert not (mentions(node, "price") or mentions(node, "MILLION")), f"{path}:{node.lineno}"


def isolated(program: str) -> str:
    # The package beside these tests, whichever is installed.
    program = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n{program}"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = {
    "together",
    "httpx",
    "pydantic",
    "aiohttp",
    "anyio",
    "rich",
    "requests",
    "socket",
    "ssl",
    "asyncio",
    "argparse",
    "numpy",
    "opentelemetry",
    "pytest",
}


def test_importing_loads_nothing_heavy() -> None:
    assert HEAVY & set(isolated("import motet; print(*sys.modules)").split()) == set()


def test_sdk_is_not_loaded_before_an_atom_is_made() -> None:
    program = """
import motet
for name in motet.__all__: getattr(motet, name)
print(*sys.modules)
atom = motet.atom("together/gpt-oss/120b")
print(*sys.modules)
"""
    named, loaded = [set(line.split()) for line in isolated(program).splitlines()]
    assert {"together", "httpx", "pydantic", "aiohttp", "opentelemetry"} & named == set()
    assert {"together", "httpx"} <= loaded
    # What only tests and traces need is not loaded by asking, either.
    assert {"aiohttp", "opentelemetry", "pytest", "motet.testing"} & loaded == set()


def test_import_reads_no_files_and_no_environment() -> None:
    """The Python side; `tidy.rs` checks that the native code does no I/O."""
    program = """
import os, sys
read = []
class Watched(dict):
    def __getitem__(self, key): read.append(key); return super().__getitem__(key)
    def get(self, key, default=None): read.append(key); return super().get(key, default)
os.environ = Watched(os.environ)
sys.addaudithook(lambda name, args: read.append(args[0]) if name in ("open", "socket.connect", "urllib.Request") else None)
import motet
motet.encode("hello"); motet.decode([1]); motet.parse("<|channel|>final<|message|>Hi")
motet.render([{"role": "user", "content": "Hi"}])
print([name for name in read if not str(name).endswith((".py", ".pyc", ".so"))])
"""
    assert isolated(program).strip() == "[]"


# Scripts of completions are data; a message names a marker to the user.
SPELLING_ALLOWED = {"testing/script.py", "cli/commands/serve.py", "harmony/grammar/__init__.py"}


def _literals(path: Path) -> list[str]:
    """The string literals of a file, docstrings left out."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    bodies = [node.body for node in nodes if isinstance(getattr(node, "body", None), list)]
    docstrings = {id(item.value) for body in bodies for item in body if isinstance(item, ast.Expr)}
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings]
    texts = [node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value for node in constants]
    return [text for text in texts if isinstance(text, str)]


def test_markers_and_function_prefix_are_spelled_in_the_core() -> None:
    package = Path(__file__).parents[2] / "python" / "motet"
    spellings = [*_core.MARKERS.values(), "functions."]
    for path in package.rglob("*.py"):
        if path.relative_to(package).as_posix() not in SPELLING_ALLOWED:
            spelled = [text for text in _literals(path) if any(spelling in text for spelling in spellings)]
            assert not spelled, path

"""What must never be: rooms that import upwards, and an import that does more than import."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "python" / "motet"
ROOMS = {
    name: height
    for height, names in enumerate(
        [
            "errors _lazy _context _retry _plot",
            "_core tolerant_json _atomic_files",
            "message metrics",
            "catalog schema dialects",
            "harmony limits",
            "backend",
            "trace",
            "together asking",
            "loop",
            "atoms",
            "tune testing",
            "__init__",
            "cli",
        ]
    )
    for name in names.split()
}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.ImportFrom) or node.level == 0, "imports name the whole way"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "motet":
            inner = node.module.split(".")[1:]
            names |= {inner[0]} if inner else {a.name if a.name in ROOMS else "__init__" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {"__init__" for a in node.names if a.name.split(".")[0] == "motet"}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_from_lower_floors(path: Path) -> None:
    own = room(path)
    for name in imported(path) - {own}:
        assert ROOMS[name] < ROOMS[own], f"{own} imports {name}"


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
        ("httpx", "together testing", ""),
        ("httpcore", "together", ""),
        ("anyio", "together", "loop"),
        ("pydantic", "testing", "schema"),
        ("pydantic_core", "", "schema"),
        ("typing_extensions", "", "schema"),
        ("aiohttp", "testing", ""),
        ("pytest", "testing", ""),
        ("opentelemetry", "", "trace"),
        ("rich", "", "cli"),
        ("compression", "", "tune"),
        ("backports", "", "tune"),
    ],
)
def test_packages_are_imported_only_where_allowed(package: str, rooms: str, late: str) -> None:
    """`late`: only within functions, so that whoever does not need it does not load it."""
    found = {
        (room(path), within) for path in PACKAGE.rglob("*.py") for name, within in foreign(path) if name == package
    }
    assert found, f"nobody imports {package}"
    allowed = {(name, within) for name in rooms.split() for within in (True, False)}
    assert found <= allowed | {(name, True) for name in late.split()}


def test_no_other_package_is_imported() -> None:
    known = {
        "motet",
        "together",
        "httpx",
        "httpcore",
        "anyio",
        "pydantic",
        "pydantic_core",
        "typing_extensions",
        "aiohttp",
        "pytest",
        "opentelemetry",
        "rich",
        # Zstandard, from Python 3.14 on and before.
        "compression",
        "backports",
    }
    found = {name for path in PACKAGE.rglob("*.py") for name, _ in foreign(path)}
    assert found - known - sys.stdlib_module_names == set()


def mentions(node: ast.AST, word: str) -> bool:
    names = [
        inner.id if isinstance(inner, ast.Name) else inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name | ast.Attribute)
    ]
    return any(word in name for name in names)


def test_http_statuses_are_read_in_one_file() -> None:
    """Elsewhere nothing is compared with one: neither `status == 404` nor `match status: case 404`."""
    for path in {*PACKAGE.rglob("*.py")} - {PACKAGE / "together/errors.py"}:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Compare | ast.Match) and mentions(getattr(node, "subject", node), "status"):
                numbers = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
                assert not any(type(one) is int and 100 <= one < 600 for one in numbers), f"{path}:{node.lineno}"


def test_prices_are_multiplied_in_one_file() -> None:
    """A sum of money is made nowhere else: elsewhere nothing is multiplied or divided by what a price says."""
    for path in {*PACKAGE.rglob("*.py")} - {PACKAGE / "metrics.py"}:
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
brain = motet.atom("together/gpt-oss/120b")
print(*sys.modules)
"""
    named, made = [set(line.split()) for line in isolated(program).splitlines()]
    assert {"together", "httpx", "pydantic", "aiohttp", "opentelemetry"} & named == set()
    assert {"together", "httpx"} <= made
    # What only tests and traces need is not loaded by asking, either.
    assert {"aiohttp", "opentelemetry", "pytest", "motet.testing"} & made == set()


def test_import_reads_no_files_and_no_environment() -> None:
    """Python's side of it; that the native code has no way to read anything is for `tidy.rs`."""
    program = """
import os, sys
read = []
class Watched(dict):
    def __getitem__(self, key): read.append(key); return super().__getitem__(key)
    def get(self, key, default=None): read.append(key); return super().get(key, default)
os.environ = Watched(os.environ)
sys.addaudithook(lambda name, args: read.append(args[0]) if name in ("open", "socket.connect", "urllib.Request") else None)
import motet
read = [one for one in read if not str(one).endswith((".py", ".pyc", ".so"))]
motet.encode("hello"); motet.decode([1]); motet.parse("<|channel|>final<|message|>Hi")
motet.render([{"role": "user", "content": "Hi"}])
print(read)
"""
    assert isolated(program).strip() == "[]"


def test_public_names_exist() -> None:
    import motet

    for name in motet.__all__:
        assert getattr(motet, name) is not None
    assert motet.__doc__

"""What must never be: rooms that import upwards, and an import that does more than import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "python" / "motet"
ROOMS = {
    name: height
    for height, names in enumerate(
        [
            "errors",
            "_core",
            "message",
            "chat metrics",
            "harmony catalog output episode",
            "backend",
            "together testing trace answers",
            "limits tools",
            "question",
            "streams runs",
            "loop",
            "drive",
            "atoms",
            "brains",
            "__init__",
            "cli",
        ]
    )
    for name in names.split()
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.ImportFrom) or node.level == 0, "imports name the whole way"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "motet":
            inner = node.module.split(".")[1:]
            names |= {inner[0]} if inner else {a.name if a.name in ROOMS else "__init__" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {"__init__" for a in node.names if a.name.split(".")[0] == "motet"}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_lower_ones(path: Path) -> None:
    own = room(path)
    for name in imported(path) - {own}:
        assert ROOMS[name] < ROOMS[own], f"{own} imports {name}"


def isolated(program: str) -> str:
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_nothing_heavy() -> None:
    loaded = isolated("import motet, sys; print(*sys.modules)").split()
    heavy = {"together", "httpx", "pydantic", "rich", "requests", "socket", "ssl", "asyncio", "argparse", "numpy"}
    assert heavy & set(loaded) == set()


def test_nothing_is_read_but_the_package_itself() -> None:
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


def test_public_names_are_there() -> None:
    import motet

    for name in motet.__all__:
        assert getattr(motet, name) is not None
    assert motet.__doc__

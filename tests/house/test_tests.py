"""The tests themselves: named in the field's terms, found by the path of what they test, and independent of each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "python" / "motet"
FILES = sorted(TESTS.rglob("*.py"))
ROOMS = {"core", "values", "house", "properties", "live"}
"""Folders of tests beside those of the package's rooms: the native module, single modules, the repository, what holds
across rooms, and the real service."""
IN_VALUES = {"schema"}
"""Rooms whose tests are in `values`."""
SHARED = {"support", "corpus", "schemas"}
MAX_NAME = 60
MAX_LINES = 600


def name_of(path: Path) -> str:
    return str(path.relative_to(TESTS))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_names_have_at_most_60_characters(path: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    names = [node.name for node in functions if node.name.startswith("test_")]
    assert [name for name in names if len(name) > MAX_NAME] == []
    assert len(names) == len(set(names)), "a test that is defined twice runs once"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_tests_import_support_and_no_tests(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        inner = [name for name in names if name.split(".")[0] == "tests"]
        assert all(name.startswith("tests.support") for name in inner), inner


def test_each_room_has_its_folder() -> None:
    folders = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == (rooms - IN_VALUES) | ROOMS
    assert not list(TESTS.glob("test_*.py")), "a test belongs into the folder of what it tests"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_say_what_they_test_and_are_short(path: Path) -> None:
    text = path.read_text()
    if path.name == "__init__.py" and not text:
        return
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= MAX_LINES

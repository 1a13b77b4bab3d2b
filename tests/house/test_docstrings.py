"""`help()` of public names: the docstrings are there at run time, and the stub repeats those of the extension."""

from __future__ import annotations

import ast
import importlib
import inspect
import runpy
from pathlib import Path
from typing import Any

import pytest

import motet
from motet import _core

STUB_DOCS = runpy.run_path(str(Path(__file__).parents[2] / "rust" / "python" / "stub_docs.py"))
STUB = STUB_DOCS["STUB"].read_text()
MODULES = [
    "motet",
    *(f"motet.{name}" for name in ("backend", "errors", "harmony", "limits", "message", "metrics", "proxy", "testing")),
    *(f"motet.{name}" for name in ("together", "tolerant_json", "trace", "tune")),
]


def test_stub_has_the_docstrings_of_the_extension() -> None:
    assert STUB_DOCS["updated"](STUB) == STUB, "run `make stub`"


def stub_parameters(node: ast.FunctionDef) -> list[tuple[str, bool, Any]]:
    """Name, whether it is given by keyword alone, and default of each parameter of a stub's function."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = [*zip(positional, [*defaults, *arguments.defaults], strict=True)]
    keyword = [*zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    is_empty = inspect.Parameter.empty
    return [
        (parameter.arg, only, is_empty if default is None else ast.literal_eval(default))
        for group, only in ((pairs, False), (keyword, True))
        for parameter, default in group
        if parameter.arg not in ("self", "cls")
    ]


def test_stub_has_the_signatures_of_the_extension() -> None:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for node, item in STUB_DOCS["definitions"](ast.parse(STUB).body, _core):
        constructors = [inner for inner in node.body if getattr(inner, "name", "") == "__new__"]
        for stub in [node] if isinstance(node, ast.FunctionDef) else constructors:
            if not inspect.isgetsetdescriptor(item) and not inspect.ismemberdescriptor(item):
                parameters = inspect.signature(item).parameters.values()
                expected = [
                    (parameter.name, parameter.kind is parameter.KEYWORD_ONLY, parameter.default)
                    for parameter in parameters
                    if parameter.kind not in variable and parameter.name != "self"
                ]
                assert stub_parameters(stub) == expected, node.name


def test_stub_defines_what_the_extension_has() -> None:
    nodes = ast.parse(STUB).body
    names = [getattr(node, "name", None) or getattr(getattr(node, "target", None), "id", None) for node in nodes]
    defined = {name for name in names if name and name not in ("_Raw", "_Special", "_Stripped")}
    assert defined == set(_core.__all__) | {"__version__"}


def public_members(item: type) -> set[str]:
    """The names that motet's own classes define, those of inherited classes included."""
    own = [base for base in item.__mro__ if base.__module__.startswith("motet")]
    return {name for base in own for name in vars(base) if not name.startswith("_")}


@pytest.mark.parametrize("module", MODULES)
def test_public_names_have_docstrings(module: str) -> None:
    """Also each public method and property of a public class; constants and type aliases are for the module's own."""
    owner = importlib.import_module(module)
    for name in owner.__all__:
        item = getattr(owner, name)
        if not (inspect.isroutine(item) or inspect.isclass(item)):
            assert module != "motet" or f"`{name}`" in (owner.__doc__ or ""), name
            continue
        # A dataclass without a docstring is given its signature.
        assert item.__doc__ and not item.__doc__.startswith(f"{name}("), name
        for member_name in public_members(item) if inspect.isclass(item) else []:
            member = getattr(item, member_name)
            if inspect.isroutine(member) or inspect.isdatadescriptor(member):
                is_field = inspect.ismemberdescriptor(member) and item.__module__ != "motet._core"
                assert is_field or inspect.getdoc(member), f"{name}.{member_name}"


def test_dir_lists_public_names() -> None:
    assert dir(motet) == sorted(motet.__all__)

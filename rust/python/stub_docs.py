"""Copies the docstrings of the extension into its stub, for editors and the site: `make stub`.

The doc comments of the Rust functions are the source. They are compiled into the extension, where `help()` finds them.
Signatures in the stub are written by hand, as they have types; `stubtest` compares them with the extension.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

STUB = Path(__file__).parents[2] / "python" / "motet" / "_core.pyi"

Definition = ast.FunctionDef | ast.ClassDef


def definitions(body: list[ast.stmt], owner: object) -> list[tuple[Definition, object]]:
    """The public functions, classes, methods and properties of a stub with their objects; special methods left out."""
    pairs: list[tuple[Definition, object]] = []
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("__"):
            item = inspect.getattr_static(owner, node.name)
            pairs.append((node, item))
            if isinstance(node, ast.ClassDef):
                pairs += definitions(node.body, item)
    return pairs


def with_docstring(lines: list[str], node: Definition, docstring: str) -> list[str]:
    """The lines of the stub with a definition's docstring put in place of the old one, or of `...`."""
    first = node.body[0]
    indent = " " * (node.col_offset + 4)
    text = docstring if "\n" not in docstring else f"{docstring}\n"
    quoted = [f"{indent}{line}".rstrip() for line in f'"""{text}"""'.splitlines()]
    before, after = lines[: first.lineno - 1], lines[first.end_lineno or first.lineno :]
    is_string = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.value.value is not ...
    if isinstance(first, ast.Expr) and not is_string and first.lineno == (node.returns or node).end_lineno:
        before.append(lines[first.lineno - 1].removesuffix(" ..."))
    elif not is_string:
        after = lines[first.lineno - 1 :]
    return [*before, *quoted, *after]


def updated(stub: str) -> str:
    """The stub with the extension's docstrings."""
    from motet import _core

    lines = stub.splitlines()
    pairs = definitions(ast.parse(stub).body, _core)
    for node, item in sorted(pairs, key=lambda pair: pair[0].lineno, reverse=True):
        docstring = inspect.cleandoc(getattr(item, "__doc__", None) or "")
        if not docstring:
            raise ValueError(f"{node.name} has no doc comment in rust/python/src")
        lines = with_docstring(lines, node, docstring)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    STUB.write_text(updated(STUB.read_text()))

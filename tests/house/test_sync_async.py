"""Code that exists with and without `await` stands side by side, and says the same but for the words of asyncio."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "python" / "motet"
MAX_DISTANCE = 25
"""Lines between the end of the one and the beginning of the other."""

DIFFERENT = {
    "_context.py::asingle": "an async generator cannot delegate to another",
    "asking/stream.py::_atry_batches": "a generator that is closed early closes its stream itself",
    "asking/stream.py::_abatches": "an async generator cannot delegate to another",
    "asking/stream.py::AsyncAnswerStream": "a generator expression cannot be awaited",
    "atoms/atom.py::Atom.arun": "`run` also returns a stream, for which `arun_stream` is the other half",
    "atoms/atom.py::Atom.aresume": "`resume` also returns a stream, for which `aresume_stream` is the other half",
    "integrations/mcp.py::McpTools.aclose": "the connection belongs to a thread, which is joined in another",
    "limits.py::Reservation.aacquire": "waits for an event of the event loop",
    "loop/executor.py::aexecute": "tasks can be cancelled, threads cannot",
    "loop/executor.py::_arun": "a sync tool runs in a thread, an async one in this task",
    "loop/manual.py::AsyncStepLoop": "async generators return no value and take none from `send`",
    "loop/runner.py::AsyncRunStream": "async generators return no value and cannot delegate",
    "testing/cassette.py::_AsyncRecordedStream": "httpx has a class for each kind of stream",
    "safeguard.py::Guard.acheck_all": "tasks share a semaphore, threads a pool",
    "safeguard.py::_aoutcome": "a task waits for its turn, a pool does not start a thread before",
    "together/backend.py::TogetherBackend.aclose": "closes both clients",
    "together/backend.py::TogetherBackend._amachine": "waits for the lock with a time limit of anyio",
    "together/backend.py::TogetherBackend._aget_models": "the time limit of anyio needs no thread of its own",
    "together/transport/bounded_body.py::aguard": "shares the other half, which does no I/O",
    "together/transport/bounded_body.py::_BoundedBody.aclose": "a cancelled task still closes its connection",
    "together/transport/io_drivers.py::_aread_rest": "a deadline is the socket's there and the task's here",
    "together/transport/io_drivers.py::AsyncStream": "the sync half keeps its state apart for a finaliser",
}
"""What may differ beyond the words of asyncio, with the reason."""

WORDS = {
    "AsyncKeyModel": "KeyModel",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
    "SyncByteStream": "ByteStream",
    "aiter": "iter",
    "anext": "next",
}


class Pair(NamedTuple):
    name: str
    sync: ast.stmt
    asynchronous: ast.stmt


Scope = dict[str, ast.stmt]


def scopes(path: Path) -> list[tuple[str, Scope]]:
    """The definitions of a module and of its classes, by name."""
    tree = ast.parse(path.read_text())
    bodies: list[tuple[str, list[ast.stmt]]] = [("", tree.body)]
    bodies += [(f"{node.name}.", node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
    return [(prefix, {node.name: node for node in body if hasattr(node, "name")}) for prefix, body in bodies]


def sync_name(name: str) -> str | None:
    """`ask` for `aask`, `Stream` for `AsyncStream`: the name of the other half, if this may be the async one."""
    matched = re.fullmatch(r"(_?)(?:Async(?=[A-Z])|a(?=[a-z]))(\w+)", name)
    return matched and matched[1] + matched[2]


@functools.cache
def pairs() -> dict[str, Pair]:
    collected: dict[str, Pair] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for prefix, scope in scopes(path):
            for name, node in scope.items():
                other = scope.get(sync_name(name) or "")
                if other is not None:
                    key = f"{path.relative_to(PACKAGE)}::{prefix}{name}"
                    collected[key] = Pair(key, other, node)
    return collected


@functools.cache
def renamed() -> dict[str, str]:
    """The async names of the package, and their sync counterparts."""
    names = [key.rpartition("::")[2].rpartition(".")[2] for key in pairs()]
    return {name: sync_name(name) or name for name in names} | WORDS


class WithoutAwait(ast.NodeTransformer):
    """Removes `async` and `await`, docstrings and types: the types of the two halves differ by necessity."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return self.visit_FunctionDef(ast.FunctionDef(**{field: getattr(node, field, []) for field in node._fields}))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.generic_visit(node)
        node.returns = None
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        self.generic_visit(node)
        return self._without_docstring(node)

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        self.generic_visit(node)
        return node if node.value is None else ast.Assign([node.target], node.value)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> Any:
        self.generic_visit(node)
        return ast.For(**{field: getattr(node, field, None) for field in node._fields})

    def visit_AsyncWith(self, node: ast.AsyncWith) -> Any:
        self.generic_visit(node)
        return ast.With(**{field: getattr(node, field, None) for field in node._fields})

    def visit_Await(self, node: ast.Await) -> Any:
        self.generic_visit(node)
        return node.value

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        self.generic_visit(node)
        node.is_async = 0
        return node

    @staticmethod
    def _without_docstring(node: Any) -> Any:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        node.body = node.body or [ast.Pass()]
        return node


def plain(node: ast.stmt) -> str:
    """The source without asyncio's names."""
    copy = ast.parse(ast.unparse(node))
    text = ast.unparse(ast.fix_missing_locations(WithoutAwait().visit(copy)))
    text = re.sub(r"^(\s*)\.\.\.$", r"\1pass", text, flags=re.M)
    text = re.sub(r"\b_?\w+\b", lambda match: renamed().get(match[0], match[0]), text)
    return text.replace("async_", "")


@pytest.mark.parametrize("key", pairs())
def test_both_halves_stand_side_by_side(key: str) -> None:
    pair = pairs()[key]
    end = pair.sync.end_lineno
    assert end is not None
    assert 0 < pair.asynchronous.lineno - end <= MAX_DISTANCE


@pytest.mark.parametrize("key", pairs())
def test_both_halves_say_the_same(key: str) -> None:
    pair = pairs()[key]
    if key in DIFFERENT:
        assert plain(pair.sync) != plain(pair.asynchronous), "no longer different"
    else:
        assert plain(pair.sync) == plain(pair.asynchronous)


def test_differences_are_of_pairs_that_exist() -> None:
    assert DIFFERENT.keys() <= pairs().keys()


def test_no_async_half_is_in_another_file() -> None:
    """A name such as `AsyncStream` needs `Stream` beside it."""
    scattered = [
        f"{path.relative_to(PACKAGE)}::{name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for prefix, scope in scopes(path)
        for name in scope
        if re.match(r"_?Async[A-Z]", name) and sync_name(name) not in scope
    ]
    assert scattered == []

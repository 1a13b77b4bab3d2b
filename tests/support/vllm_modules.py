"""vLLM's own parser modules, imported without a GPU: from an installed vLLM, or from an unpacked wheel whose path is in
`MOTET_VLLM`. There, packages and parts of vLLM that its parsers import and do not use are stubs: names that exist and do
nothing.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

STUBS = [
    "PIL",
    "cloudpickle",
    "cpuinfo",
    "fastapi",
    "huggingface_hub",
    "msgspec",
    "partial_json_parser",
    "prometheus_client",
    "pybase64",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "uvloop",
    "zmq",
    "vllm._C",
    "vllm.config",
    "vllm.distributed",
    "vllm.model_executor",
    "vllm.multimodal",
    "vllm.platforms",
]


class _StubType(type):
    """The type of stubs: any attribute of a stub is a stub, so that it can be a decorator, a base class or a hint."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return stub(name)

    def __or__(cls, other: object) -> Any:
        return cls

    __ror__ = __or__

    def __iter__(cls) -> Iterator[Any]:
        return iter(())


def stub(name: str) -> Any:
    class Stub(metaclass=_StubType):
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __init_subclass__(cls, **_: Any) -> None: ...

        def __class_getitem__(cls, _: Any) -> Any:
            return cls

        def __getattr__(self, attribute: str) -> Any:
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            return stub(attribute)

        def __call__(self, *arguments: Any, **keywords: Any) -> Any:
            is_decorated = len(arguments) == 1 and callable(arguments[0]) and not keywords
            return arguments[0] if is_decorated else self

        def __lt__(self, _: object) -> bool:
            return False

        def __ge__(self, _: object) -> bool:
            return True

        def __iter__(self) -> Iterator[Any]:
            return iter(())

        def __bool__(self) -> bool:
            return False

    Stub.__name__ = Stub.__qualname__ = name
    return Stub


class _StubModule(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return "99.0"
        if name.startswith("__"):
            raise AttributeError(name)
        value = stub(name)
        setattr(self, name, value)
        return value


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if any(name == each or name.startswith(f"{each}.") for each in self._names):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StubModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None: ...


def import_vllm() -> types.ModuleType:
    """`vllm`, whose submodules can be imported. Skips the test where there is none."""
    if "vllm" in sys.modules:
        return sys.modules["vllm"]
    folder = os.environ.get("MOTET_VLLM")
    if folder is None:
        return pytest.importorskip("vllm", reason="needs vLLM, or its unpacked wheel in MOTET_VLLM: `make engines`")
    sys.path.insert(0, folder)
    # Stubs of the packages that are not there, and of the parts of vLLM that load its extension.
    missing = [name for name in STUBS if name.startswith("vllm.") or importlib.util.find_spec(name) is None]
    sys.meta_path.insert(0, _StubFinder(missing))
    return importlib.import_module("vllm")

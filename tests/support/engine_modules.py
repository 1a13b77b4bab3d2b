"""The parser modules of vLLM and SGLang, imported without a GPU: from an installed engine, or from an unpacked wheel
whose path is in `MOTET_VLLM` or `MOTET_SGLANG`. There, packages and parts of the engine that its parsers import and do not
use are stubs: names that exist and do nothing.
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
    "IPython",
    "PIL",
    "cloudpickle",
    "cpuinfo",
    "fastapi",
    "huggingface_hub",
    "msgspec",
    "orjson",
    "partial_json_parser",
    "prometheus_client",
    "pybase64",
    "safetensors",
    "sgl_kernel",
    "starlette",
    "tokenizers",
    "torch",
    "tqdm",
    "transformers",
    "triton",
    "uvloop",
    "zmq",
    "vllm._C",
    "vllm.config",
    "vllm.distributed",
    "vllm.model_executor",
    "vllm.multimodal",
    "vllm.platforms",
    "sglang.srt.utils",
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
    return _import_engine("vllm")


def import_sglang() -> types.ModuleType:
    """`sglang`, whose submodules can be imported. Skips the test where there is none."""
    if "sglang" not in sys.modules and (folder := os.environ.get("MOTET_SGLANG")) is not None:
        # Without its own code, which mends the parts of transformers that it uses.
        package = sys.modules["sglang"] = types.ModuleType("sglang")
        package.__path__ = [f"{folder}/sglang"]
    return _import_engine("sglang")


def _import_engine(name: str) -> types.ModuleType:
    folder = os.environ.get(f"MOTET_{name.upper()}")
    if folder is None:
        reason = f"needs {name}, or its unpacked wheel in MOTET_{name.upper()}: `make engine-plugins`"
        return pytest.importorskip(name, reason=reason)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if not any(isinstance(finder, _StubFinder) for finder in sys.meta_path):
        # Stubs of the packages that are not there, and of the parts of engines that load their extensions.
        missing = [each for each in STUBS if "." in each or importlib.util.find_spec(each) is None]
        sys.meta_path.insert(0, _StubFinder(missing))
    return importlib.import_module(name)

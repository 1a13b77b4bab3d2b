"""Late imports: names of a package that are imported on first use, so that importing the package is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["load"]


def load(package: dict[str, Any], name: str, modules: Mapping[str, str]) -> object:
    """The value of a package's attribute `name`, for its `__getattr__`.

    `modules` maps names to the submodule that defines them, or to `module:other` where it has another name there.
    `package` is the `globals()` of the package, which keep the value. Raises `AttributeError` for other names.
    """
    if name not in modules:
        raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
    module, _, other = modules[name].partition(":")
    value = package[name] = getattr(import_module(f"{package['__name__']}.{module}"), other or name)
    return value

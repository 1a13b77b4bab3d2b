"""Late imports: names of a package that are imported on first use, so that importing the package is cheap."""

from __future__ import annotations

import sys

# Not from `typing`: its import takes as long as Python's start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["LateModule", "load"]


def load(package: dict[str, Any], name: str, modules: Mapping[str, str], submodules: tuple[str, ...] = ()) -> object:
    """The value of a package's attribute `name`, for its `__getattr__`.

    `modules` maps names to the submodule that defines them, or to `module:other` where it has another name there.
    `submodules` are attributes themselves. `package` is the `globals()` of the package, which keep the value. Raises
    `AttributeError` for other names.
    """
    if name in modules:
        module, _, other = modules[name].partition(":")
        value = package[name] = getattr(_imported(f"{package['__name__']}.{module}"), other or name)
        return value
    if name in submodules:
        return _imported(f"{package['__name__']}.{name}")
    raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")


class LateModule:
    """Stands for a module, which is imported at the first read of an attribute: for names in annotations alone."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(_imported(self._name), attribute)


def _imported(module: str) -> object:
    # `importlib` is not loaded at Python's start.
    __import__(module)
    return sys.modules[module]

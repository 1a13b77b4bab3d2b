"""The caller's implementations of the tools that gpt-oss was trained with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from motet.errors import ConfigError, InvalidArgumentsError
from motet.schema.builtin_functions import BUILTIN_FUNCTIONS, functions_of
from motet.schema.tool import Tool, parse_arguments

__all__ = ["builtin_tools"]

_ALIASES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "container.": {"cmd": ("command", "commands")},
    "repo_browser.": {
        "path": ("file_path", "file", "filename"),
        "query": ("pattern",),
        "line_start": ("start_line",),
        "line_end": ("end_line",),
        "patch": ("input",),
    },
}
"""Other names that gpt-oss gives these arguments: arXiv 2604.00362 and public logs."""

_FORMS: Mapping[str, str] = {
    "python": "a function of the code",
    "browser": "an object with search, open and find",
    "container": "a function of the command, or an object with exec",
    "repo_browser": "an object with print_tree, search, open_file, list_dir and apply_patch, or some of them",
}


def builtin_tools(implementations: Mapping[str, Any]) -> list[Tool]:
    """The built-in tools of gpt-oss with the caller's implementations.

    - `{"python": run_code}`: a function of the code.
    - `{"browser": browser}`, `{"repo_browser": files}`: an object with the functions as methods, or a dict of them. A
      method that it lacks is not called.
    - `{"container": run}`: a function of `cmd`, a list of words, and the other arguments by name; or an object or a
      dict with `exec`.
    """
    tools = []
    for builtin, implementation in implementations.items():
        if builtin not in _FORMS:
            raise ConfigError(f"builtin_tools knows {', '.join(sorted(_FORMS))}, not {builtin!r}")
        methods = _methods(builtin, implementation)
        if not methods or not all(map(callable, methods.values())):
            raise TypeError(f"builtin_tools[{builtin!r}] must be {_FORMS[builtin]}, not {implementation!r:.80}")
        for name, method in methods.items():
            tool = method if isinstance(method, Tool) else Tool(name, "", {}, method)
            tools.append(replace(tool, name=name, description="", parameters={}, _bind=_bind(builtin)))
    return tools


def _methods(builtin: str, implementation: Any) -> dict[str, Any]:
    """The implementations by function."""
    names = functions_of(builtin)
    is_function = isinstance(implementation, Tool) or not isinstance(implementation, Mapping)
    if builtin == "python":
        return {"python": implementation}
    short_names = [name.rpartition(".")[2] for name in names]
    if is_function and len(names) == 1 and callable(implementation) and not hasattr(implementation, short_names[0]):
        return {names[0]: implementation}
    if isinstance(implementation, Mapping):
        methods = [implementation.get(name) for name in short_names]
    else:
        methods = [getattr(implementation, name, None) for name in short_names]
    return {name: method for name, method in zip(names, methods, strict=True) if method is not None}


def _bind(builtin: str) -> Callable[[Tool, str], Callable[[], Any]]:
    if builtin == "python":
        return lambda tool, arguments: functools.partial(tool.function, arguments)
    if builtin == "browser":
        return lambda tool, arguments: functools.partial(tool.function, **parse_arguments(tool, arguments))
    return lambda tool, arguments: functools.partial(tool.function, **_arguments(tool, arguments))


def _arguments(tool: Tool, arguments: str) -> dict[str, Any]:
    """The arguments under the names of the prompt, and whole numbers as `int`."""
    values = parse_arguments(tool, arguments)
    for name, aliases in next(aliases for prefix, aliases in _ALIASES.items() if tool.name.startswith(prefix)).items():
        for alias in aliases:
            if alias in values and name not in values:
                values[name] = values.pop(alias)
    schema = BUILTIN_FUNCTIONS[tool.name][1]
    properties = schema["properties"]
    unknown = sorted(set(values) - set(properties))
    missing = [name for name in schema.get("required", ()) if name not in values]
    if tool.name == "repo_browser.print_tree":
        # Required in the prompt; models leave it out.
        missing = [name for name in missing if name == "path"]
    if unknown or missing:
        problem = f"has no argument {', '.join(unknown)}" if unknown else f"needs {', '.join(missing)}"
        raise InvalidArgumentsError(f"{tool.name} {problem}; its arguments are {', '.join(properties)}", raw=arguments)
    if isinstance(values.get("cmd"), str):
        values["cmd"] = ["bash", "-lc", values["cmd"]]
    whole = {name: int(value) for name, value in values.items() if isinstance(value, float) and value.is_integer()}
    return {name: value for name, value in (values | whole).items() if value is not None}

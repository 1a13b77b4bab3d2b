"""Functions as tools."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, overload

from motet._core import tool_dicts
from motet.errors import InvalidArgumentsError
from motet.schema.arguments import Arguments, signature_function
from motet.schema.docstring import parse_docstring
from motet.schema.result import MAX_RESULT, result_text

__all__ = ["Tool", "parse_arguments", "result_text", "to_tool", "tool", "tools_from"]

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, repr=False)
class Tool:
    """A function that a model may call. Made by `motet.tool`; calling the tool calls the function."""

    name: str
    """1 to 64 letters, digits, `_`, `-` and dots: `weather.lookup`."""
    description: str
    """The description for the model; may be empty."""
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments."""
    function: Callable[..., Any]
    """The implementation, sync or async."""
    idempotent: bool = False
    """True if a repeated call has no further effect, so that it may be repeated after a crash."""
    timeout: float | None = None
    """Seconds for a call. `None`: the loop's `tool_timeout`."""
    max_result: int = MAX_RESULT
    """Characters of a result; longer ones are shortened for the model."""
    max_calls: int | None = None
    """Calls in one run, from 1; further ones are denied. `None`: no limit."""
    _bind: Callable[[Tool, str], Callable[[], Any]] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """True if the function is a coroutine function."""
        called = signature_function(self.function)
        return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(self.function)

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's tool dict."""
        shape: dict[str, Any] = {"name": self.name, "parameters": dict(self.parameters)}
        if self.description:
            shape["description"] = self.description
        return {"type": "function", "function": shape}

    def bind(self, arguments: str) -> Callable[[], Any]:
        """The call with these JSON arguments; invoking it returns the function's result or its coroutine.

        Raises `InvalidArgumentsError`, which names the invalid arguments.
        """
        return (self._bind or _bind_parsed)(self, arguments)


def _bind_parsed(tool: Tool, arguments: str) -> Callable[[], Any]:
    values = parse_arguments(tool, arguments)
    return lambda: tool.function(**values)


def _bind_dispatched(tool: Tool, arguments: str) -> Callable[[], Any]:
    values = parse_arguments(tool, arguments)
    return lambda: tool.function(tool.name, values)


def parse_arguments(tool: Tool, arguments: str) -> dict[str, Any]:
    """The JSON arguments of a call. Raises `InvalidArgumentsError` unless they are an object."""
    try:
        values = json.loads(arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentsError(f"the arguments of {tool.name} are not JSON: {error}", raw=arguments) from None
    if not isinstance(values, dict):
        raise InvalidArgumentsError(f"the arguments of {tool.name} must be an object", raw=arguments)
    return values


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    timeout: float | None = None,
    max_result: int = MAX_RESULT,
    max_calls: int | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    timeout: float | None = None,
    max_result: int = MAX_RESULT,
    max_calls: int | None = None,
) -> Any:
    """Makes a tool of a function or a method, sync or async: `@motet.tool`, or `@motet.tool(idempotent=True)`.

    - `name`: default: the function's; with dots for a namespace.
    - `description`: default: the docstring without its sections. Parameters are described by the docstring, in Google,
      numpy or Sphinx style. Types are those that pydantic supports; `Annotated` and `Field` refine them. Arguments that
      `functools.partial` has bound are not part of the schema.
    - `idempotent`: True if a repeated call has no further effect.
    - `timeout`: seconds for a call. `max_result`: characters of a result for the model. `max_calls`: calls in one run.

    Raises `TypeError` for a signature that JSON arguments cannot fill.
    """
    settings = (name, description, idempotent, timeout, max_result, max_calls)

    def make(called: Callable[..., Any]) -> Any:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be seconds, more than 0, not {timeout!r}")
        if max_result < 1:
            raise ValueError(f"max_result must be characters, 1 or more, not {max_result!r}")
        if max_calls is not None and max_calls < 1:
            raise ValueError(f"max_calls must be a whole number from 1 on, not {max_calls!r}")
        return _Method(called, settings) if _is_method(called) else _tool_of(called, *settings)

    return make if function is None else make(function)


def _tool_of(
    called: Any,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    timeout: float | None = None,
    max_result: int = MAX_RESULT,
    max_calls: int | None = None,
) -> Tool:
    if isinstance(called, Tool):
        raise TypeError(f"{called!r} is a tool already")
    if isinstance(called, type) or not callable(called):
        raise TypeError(f"a tool must be a function or a method, not {called!r:.80}")
    inner = called.func if isinstance(called, functools.partial) else called
    tool_name = name if name is not None else getattr(inner, "__name__", "")
    if not NAME.fullmatch(tool_name):
        raise TypeError(f"a tool needs a name of 1 to 64 letters, digits, _, - and dots, not {tool_name!r}; give name=")
    # inspect.getdoc looks a method up in its class, which makes its tool again.
    text, parameters = parse_docstring(inspect.cleandoc(signature_function(called).__doc__ or inner.__doc__ or ""))
    arguments = Arguments.of(called, tool_name, parameters)

    def bind(tool: Tool, json_arguments: str) -> Callable[[], Any]:
        return arguments.bind(tool.function, tool.name, json_arguments)

    text = description if description is not None else text
    limits = (idempotent, timeout, max_result, max_calls)
    return Tool(tool_name, text, arguments.schema, called, *limits, bind)


def _is_method(called: Any) -> bool:
    """True for a function that is defined as a method: the model does not fill its first parameter."""
    if not inspect.isfunction(called) or next(iter(inspect.signature(called).parameters), "") not in ("self", "cls"):
        return False
    return called.__qualname__.rpartition(".")[0].rpartition(".")[2] not in ("", "<locals>")


class _Method:
    """A method decorated with `@motet.tool`: accessed on an object, it is the tool of that object."""

    def __init__(self, function: Callable[..., Any], settings: tuple[Any, ...]) -> None:
        self._function = function
        self._settings = settings
        functools.update_wrapper(self, function)

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else _tool_of(self._function.__get__(instance, owner), *self._settings)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


def to_tool(value: Any) -> Tool:
    """The tool itself, or the tool of a function. Raises `TypeError` for anything else."""
    if isinstance(value, Tool):
        return value
    if isinstance(value, _Method) or _is_method(value):
        raise TypeError(f"{value.__qualname__} is a method: take it from an object, tools=[thing.{value.__name__}]")
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"a tool must be a function, or made with motet.tool or motet.tools_from, not {value!r:.80}")
    return _tool_of(value)


def tools_from(dicts: Iterable[Mapping[str, Any]], dispatch: Callable[[str, dict[str, Any]], Any]) -> list[Tool]:
    """Tools from the tool dicts of OpenAI, MCP or Anthropic, all implemented by `dispatch(name, arguments)`.

    `dispatch` may be sync or async. Names may have any characters, as those of MCP servers: prompts and services get
    a valid form of them, calls the declared one. Objects with `model_dump`, as MCP's SDK lists them, are read, too.

    The arguments are parsed and checked to be an object; `dispatch` checks them against the schema.
    """
    if not callable(dispatch):
        raise TypeError(f"dispatch must be a function of a name and arguments, not {type(dispatch).__name__}")
    dicts = list(dicts)
    if any(isinstance(shape, str) for shape in dicts):
        raise TypeError("tools_from takes tool dicts, not names: a name has no parameters")
    tools = []
    for shape in tool_dicts(dicts):
        function = shape["function"]
        name, description = function["name"], function.get("description") or ""
        if not name:
            raise TypeError("a tool needs a name, and this one is empty")
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        tools.append(Tool(name, description, parameters, dispatch, _bind=_bind_dispatched))
    return tools

"""Functions as tools: their JSON Schema for the model, its arguments validated, their results as text.

pydantic reads signatures, validates and writes JSON; here is only what a tool is.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, overload

from motet.errors import ConfigError, InvalidArgumentsError, ToolResultError
from motet.output import known_type, problems_of

__all__ = ["Tool", "builtin_tools", "result_text", "to_tool", "tool", "tools_from"]

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_RESULT = 100_000
"""Characters of a result that the model is shown, unless the tool says otherwise: about 25,000 tokens."""


@dataclass(frozen=True, slots=True, repr=False)
class Tool:
    """A function that a model may call. Made by `motet.tool`; calling it calls the function."""

    name: str
    """With dots, if it has a namespace: `weather.lookup`."""
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments."""
    function: Callable[..., Any]
    idempotent: bool = False
    """Whether calling it twice does no more than calling it once: such a call may be repeated after a crash."""
    timeout: float | None = None
    """Seconds. `None`: the loop's."""
    max_result: int = MAX_RESULT
    """Characters of a result that the model is shown."""
    _model: Any = field(default=None, compare=False)
    _dispatched: bool = field(default=False, compare=False)
    _raw: bool = field(default=False, compare=False)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether the function is to be awaited."""
        called = self.function if inspect.isroutine(self.function) else getattr(self.function, "__call__", None)  # noqa: B004
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(called)

    def to_dict(self) -> dict[str, Any]:
        """As OpenAI's tool dict."""
        shape: dict[str, Any] = {"name": self.name, "parameters": dict(self.parameters)}
        if self.description:
            shape["description"] = self.description
        return {"type": "function", "function": shape}

    def bind(self, arguments: str) -> Callable[[], Any]:
        """The call with these arguments, ready to be made: what it gives is the function's result, or its coroutine.

        Raises `InvalidArgumentsError` that says which argument is wrong.
        """
        if self._raw:
            return lambda: self.function(arguments)
        if self._model is None:
            values = self._parsed(arguments)
            if self._dispatched:
                return lambda: self.function(self.name, values)
            return lambda: self.function(**values)
        import pydantic

        try:
            bound = self._model.model_validate_json(arguments or "{}")
        except pydantic.ValidationError as error:
            problems = "; ".join(problems_of(error)[:5])
            raise InvalidArgumentsError(f"the arguments of {self.name} are wrong: {problems}", raw=arguments) from None
        values = {info.alias or name: getattr(bound, name) for name, info in self._model.model_fields.items()}
        return lambda: self.function(**values, **(bound.model_extra or {}))

    def _parsed(self, arguments: str) -> dict[str, Any]:
        try:
            values = json.loads(arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentsError(f"the arguments of {self.name} are not JSON: {error}", raw=arguments) from None
        if not isinstance(values, dict):
            raise InvalidArgumentsError(f"the arguments of {self.name} must be an object", raw=arguments)
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
) -> Any:
    """Makes a tool of a function or a method, sync or async: `@motet.tool`, or `@motet.tool(idempotent=True)`.

    Its name is the function's, unless `name` gives one (with dots, if it is to have a namespace). Its schema comes from
    the signature, the descriptions from the docstring: what stands before `Args:`, and the lines under it. Types are
    those that pydantic knows. Raises `TypeError` for a signature that a model cannot fill.

    `idempotent`: calling it twice does no more than calling it once. `timeout`: seconds. `max_result`: characters of
    its result that the model is shown.
    """

    def make(called: Callable[..., Any]) -> Tool:
        if isinstance(called, Tool):
            raise TypeError(f"{called!r} is a tool already")
        own = name if name is not None else getattr(called, "__name__", "")
        if not NAME.fullmatch(own):
            raise TypeError(f"a tool needs a name of 1 to 64 letters, digits, _, - and dots, not {own!r}; give name=")
        text, described = _docstring(inspect.getdoc(called) or "")
        model = _arguments(called, own, described)
        schema = _inlined(model.model_json_schema(by_alias=True))
        told = description if description is not None else text
        return Tool(own, told, schema, called, idempotent, timeout, max_result, model)

    return make if function is None else make(function)


def _arguments(called: Callable[..., Any], name: str, described: Mapping[str, str]) -> Any:
    """A pydantic model of a function's parameters. Their names are aliases, so that any name will do."""
    try:
        import pydantic
    except ImportError as error:
        raise ConfigError("tools need pydantic: pip install 'motet[together]'") from error
    try:
        signature = inspect.signature(called)
        target = called if inspect.isroutine(called) else type(called).__call__
        hints = typing.get_type_hints(target, include_extras=True)
    except (TypeError, ValueError, NameError) as error:
        raise TypeError(f"the signature of the tool {name} cannot be read: {error}") from error
    fields: dict[str, Any] = {}
    extra: typing.Literal["allow", "forbid"] = "forbid"
    for place, parameter in enumerate(signature.parameters.values()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise TypeError(f"the tool {name} takes {parameter}, which a model cannot name; make it a keyword")
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = "allow"
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        info = pydantic.Field(default, alias=parameter.name, description=described.get(parameter.name))
        fields[f"p{place}"] = (known_type(hints.get(parameter.name, Any)), info)
    try:
        config = pydantic.ConfigDict(extra=extra, arbitrary_types_allowed=False)
        model = pydantic.create_model(name.replace(".", "_"), __config__=config, **fields)
        model.model_json_schema()
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(f"the parameters of the tool {name} have no JSON Schema: {error}") from error
    return model


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with each definition where it is used, and without the titles that pydantic makes of names: models
    are shown tools as TypeScript, where a pointer says nothing. A type that contains itself stays a pointer."""
    definitions = schema.pop("$defs", {})
    kept: dict[str, Any] = {}

    def inline(value: Any, within: tuple[str, ...], *, names: bool = False) -> Any:
        if isinstance(value, list):
            return [inline(item, within) for item in value]
        if not isinstance(value, dict):
            return value
        pointer = value.get("$ref") if not names else None
        if isinstance(pointer, str):
            name = pointer.rpartition("/")[2]
            if name in within:
                kept[name] = definitions[name]
                return value
            rest = {key: item for key, item in value.items() if key != "$ref"}
            return inline({**definitions[name], **rest}, (*within, name))
        # Under `properties` stand names of the user's, and one of them may be `title`.
        return {
            key: inline(item, within, names=key == "properties" and not names)
            for key, item in value.items()
            if names or key != "title"
        }

    whole: dict[str, Any] = inline(schema, ())
    return {**whole, "$defs": kept} if kept else whole


_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Example|Examples|Note|Notes):\s*$")


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of each parameter (under `Args:`, as `name: what it is`)."""
    about: list[str] = []
    described: dict[str, str] = {}
    section, last = "", ""
    for line in text.splitlines():
        heading = _SECTION.match(line)
        if heading:
            section = heading[1]
        elif not section:
            about.append(line)
        elif section in ("Args", "Arguments", "Parameters"):
            named = re.match(r"^\s{1,8}\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$", line)
            if named:
                last = named[1]
                described[last] = named[2]
            elif last and line.strip():
                described[last] += f" {line.strip()}"
    return "\n".join(about).strip(), described


def to_tool(given: Any) -> Tool:
    """A tool: itself, or made of a function. Raises `TypeError` for anything else."""
    if isinstance(given, Tool):
        return given
    if not callable(given) or isinstance(given, type):
        raise TypeError(f"a tool must be a function, or made with motet.tool or motet.tools_from, not {given!r:.80}")
    return tool(given)


def tools_from(dicts: Iterable[Mapping[str, Any]], dispatch: Callable[[str, dict[str, Any]], Any]) -> list[Tool]:
    """Tools from OpenAI tool dicts, all of them carried out by one function of the name and the arguments.

    The arguments are parsed, and checked to be an object; whether they fit the schema is the function's affair.
    """
    found = []
    for shape in dicts:
        function = shape.get("function", shape)
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise TypeError(f"not an OpenAI tool dict with a name: {shape!r:.200}")
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        found.append(Tool(name, function.get("description") or "", parameters, dispatch, _dispatched=True))
    return found


def builtin_tools(given: Mapping[str, Any]) -> list[Tool]:
    """Tools of the namespaces that gpt-oss was trained with, carried out by the caller's own functions.

    `{"python": run_code}`: a function of the code. `{"browser": browser}`: an object with the methods `search`, `open`
    and `find`, or a dict of them; their arguments are those of the model.
    """
    found = []
    for namespace, actor in given.items():
        if namespace == "python":
            found.append(Tool("python", "", {}, actor, _raw=True))
        elif namespace == "browser":
            for name in ("search", "open", "find"):
                method = actor.get(name) if isinstance(actor, Mapping) else getattr(actor, name, None)
                if method is not None:
                    found.append(Tool(f"browser.{name}", "", {}, method))
        else:
            raise ConfigError(f"builtin_tools knows python and browser, not {namespace!r}")
    return found


def result_text(value: Any, most: int = MAX_RESULT) -> tuple[str, str | None]:
    """What the model is told of a result, and the whole text if that was cut.

    A `str` is told as it is; pydantic models, dataclasses and other values as JSON. Lone surrogates are escaped.
    Raises `ToolResultError` for bytes and for what has no JSON.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        raise ToolResultError("the tool returned bytes; return text, or say in text where the bytes are")
    if isinstance(value, str):
        text = value
    else:
        import pydantic_core

        try:
            text = pydantic_core.to_json(value, inf_nan_mode="strings").decode("utf-8")
        except (pydantic_core.PydanticSerializationError, ValueError, RecursionError) as error:
            raise ToolResultError(f"the tool returned a {type(value).__name__}, which has no JSON: {error}") from None
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= most:
        return text, None
    return f"{text[:most]}\n[cut: {len(text) - most} of {len(text)} characters left out]", text

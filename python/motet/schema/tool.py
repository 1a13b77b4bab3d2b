"""Functions as tools: their JSON Schema for the model, its arguments validated, their results as text.

pydantic reads signatures, validates and writes JSON; here is only what a tool is.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, overload

from motet.errors import ConfigError, InvalidArgumentsError, ToolResultError
from motet.schema.output import known_type, problems_of

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
    _bind: Callable[[Tool, str], Callable[[], Any]] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether the function is to be awaited."""
        called = _written(self.function)
        return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(self.function)

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
        return (self._bind or _bind_parsed)(self, arguments)


def _bind_raw(tool: Tool, arguments: str) -> Callable[[], Any]:
    return lambda: tool.function(arguments)


def _bind_parsed(tool: Tool, arguments: str) -> Callable[[], Any]:
    values = _parsed(tool, arguments)
    return lambda: tool.function(**values)


def _bind_dispatched(tool: Tool, arguments: str) -> Callable[[], Any]:
    values = _parsed(tool, arguments)
    return lambda: tool.function(tool.name, values)


def _parsed(tool: Tool, arguments: str) -> dict[str, Any]:
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
    those that pydantic knows; `Annotated` and `Field` say more of them. What `functools.partial` has filled in already,
    the model is not shown. Raises `TypeError` for a signature that a model cannot fill.

    `idempotent`: calling it twice does no more than calling it once. `timeout`: seconds. `max_result`: characters of
    its result that the model is shown.
    """
    settings = (name, description, idempotent, timeout, max_result)

    def make(called: Callable[..., Any]) -> Any:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be seconds, more than 0, not {timeout!r}")
        if max_result < 1:
            raise ValueError(f"max_result must be characters, 1 or more, not {max_result!r}")
        return _Method(called, settings) if _is_method(called) else _made(called, *settings)

    return make if function is None else make(function)


def _made(
    called: Any,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    timeout: float | None = None,
    max_result: int = MAX_RESULT,
) -> Tool:
    if isinstance(called, Tool):
        raise TypeError(f"{called!r} is a tool already")
    if isinstance(called, type) or not callable(called):
        raise TypeError(f"a tool must be a function or a method, not {called!r:.80}")
    inner = called.func if isinstance(called, functools.partial) else called
    own = name if name is not None else getattr(inner, "__name__", "")
    if not NAME.fullmatch(own):
        raise TypeError(f"a tool needs a name of 1 to 64 letters, digits, _, - and dots, not {own!r}; give name=")
    # Not with getdoc, which looks the method up in its class, and so makes its tool again.
    text, described = _docstring(inspect.cleandoc(_written(called).__doc__ or inner.__doc__ or ""))
    arguments = _Arguments.of(called, own, described)
    told = description if description is not None else text
    return Tool(own, told, arguments.schema, called, idempotent, timeout, max_result, arguments.bind)


def _written(called: Any) -> Any:
    """The function whose signature and docstring somebody wrote: the one behind a `partial`, the method of an object
    that can be called."""
    while isinstance(called, functools.partial):
        called = called.func
    return called if inspect.isroutine(called) else type(called).__call__


def _is_method(called: Any) -> bool:
    """Whether a function has been, or is being, defined as a method: its first parameter is not the model's to fill."""
    if not inspect.isfunction(called) or next(iter(inspect.signature(called).parameters), "") not in ("self", "cls"):
        return False
    return called.__qualname__.rpartition(".")[0].rpartition(".")[2] not in ("", "<locals>")


class _Method:
    """What `@motet.tool` makes of a method: of an object's, taken from the object, it is the object's tool."""

    def __init__(self, function: Callable[..., Any], settings: tuple[Any, ...]) -> None:
        self._function = function
        self._settings = settings
        functools.update_wrapper(self, function)

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else _made(self._function.__get__(instance, owner), *self._settings)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class _Arguments:
    """The parameters of a function, as a pydantic model: its fields have other names, so that any name will do."""

    model: Any
    schema: dict[str, Any]
    names: Mapping[str, str]
    """From the model's fields to the parameters."""

    @classmethod
    def of(cls, called: Callable[..., Any], name: str, described: Mapping[str, str]) -> _Arguments:
        try:
            import pydantic
        except ImportError as error:
            raise ConfigError("tools need pydantic: pip install 'motet[together]'") from error
        try:
            signature = inspect.signature(called)
            hints = typing.get_type_hints(_written(called), include_extras=True)
        except (TypeError, ValueError, NameError) as error:
            raise TypeError(f"the signature of the tool {name} cannot be read: {error}") from error
        filled = called.keywords if isinstance(called, functools.partial) else {}
        fields: dict[str, Any] = {}
        names: dict[str, str] = {}
        extra: typing.Literal["allow", "forbid"] = "forbid"
        for place, parameter in enumerate(signature.parameters.values()):
            if parameter.name in filled:
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                shown = str(parameter.replace(annotation=parameter.empty))
                raise TypeError(f"the tool {name} takes {shown} by its place alone; make it a keyword")
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
                continue
            hint = hints.get(parameter.name, Any)
            fields[f"p{place}"] = _field(parameter, hint, described.get(parameter.name))
            names[f"p{place}"] = parameter.name
        try:
            model = pydantic.create_model("arguments", __config__=pydantic.ConfigDict(extra=extra), **fields)
            schema = model.model_json_schema(schema_generator=_generator())
        except (pydantic.errors.PydanticUserError, pydantic.errors.PydanticUndefinedAnnotation) as error:
            reason = str(error).partition("\n")[0]
            raise TypeError(f"the parameters of the tool {name} have no JSON Schema: {reason}") from error
        return cls(model, _inlined(schema, name), names)

    def bind(self, tool: Tool, arguments: str) -> Callable[[], Any]:
        import pydantic

        try:
            bound = self.model.model_validate_json(arguments or "{}")
        except pydantic.ValidationError as error:
            problems = "; ".join(problems_of(error)[:5])
            raise InvalidArgumentsError(f"the arguments of {tool.name} are wrong: {problems}", raw=arguments) from None
        values = {parameter: getattr(bound, name) for name, parameter in self.names.items()}
        more = bound.model_extra or {}
        if twice := values.keys() & more.keys():
            problem = f"{', '.join(sorted(twice))}: not a name that may be given"
            raise InvalidArgumentsError(f"the arguments of {tool.name} are wrong: {problem}", raw=arguments)
        return lambda: tool.function(**values, **more)


def _field(parameter: inspect.Parameter, hint: Any, described: str | None) -> tuple[Any, Any]:
    """A field for a parameter. What `Annotated` says, or a `Field` as the default, goes before the docstring."""
    import pydantic
    from pydantic.fields import FieldInfo

    hint, *said = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    default = parameter.default
    if isinstance(default, FieldInfo):
        said.append(default)
        default = pydantic.Field()
    known = pydantic.Field(alias=parameter.name, description=described)
    return Annotated[(known_type(hint), known, *said)], ... if default is parameter.empty else default


@functools.cache
def _generator() -> Any:
    """Schemas without the titles that pydantic makes of names. Defaults that JSON cannot hold are left out."""
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return Generator


_DATA = ("default", "const", "enum", "examples", "example")
"""Words of JSON Schema whose values are values, and no schemas."""
_MOST_SCHEMAS = 20_000


def _inlined(schema: dict[str, Any], tool: str) -> dict[str, Any]:
    """The schema with each definition where it is used: models are shown tools as TypeScript, where a pointer says
    nothing. A type that contains itself stays a pointer there."""
    definitions = schema.pop("$defs", {})
    for name, definition in definitions.items():
        # The name of a class is none of the model's business; a title that somebody gave it is.
        if str(definition.get("title")) in name:
            del definition["title"]
    kept: dict[str, Any] = {}
    left = _MOST_SCHEMAS

    def inline(value: Any, within: tuple[str, ...]) -> Any:
        nonlocal left
        if isinstance(value, list):
            return [inline(item, within) for item in value]
        if not isinstance(value, dict):
            return value
        left -= 1
        if left < 0:
            raise TypeError(f"the parameters of the tool {tool} are too many: types contain others, and those others")
        pointer = value.get("$ref")
        if isinstance(pointer, str):
            name = pointer.rpartition("/")[2]
            if name in within:
                if name not in kept:
                    kept[name] = {}
                    kept[name] = inline(definitions[name], (name,))
                return value
            rest = {key: item for key, item in value.items() if key != "$ref"}
            return inline({**definitions[name], **rest}, (*within, name))
        return {key: word(key, item, within) for key, item in value.items()}

    def word(key: str, value: Any, within: tuple[str, ...]) -> Any:
        if key in _DATA:
            return value
        if key in ("properties", "patternProperties"):
            # Under these stand names of the user's, and one of them may be `$ref`.
            return {name: inline(item, within) for name, item in value.items()}
        if key == "discriminator":
            return {"propertyName": value["propertyName"]}
        return inline(value, within)

    whole: dict[str, Any] = inline({key: value for key, value in schema.items() if key != "title"}, ())
    return {**whole, "$defs": kept} if kept else whole


_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Example|Examples|Note|Notes):\s*$")


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of each parameter (under `Args:`, as `name: what it is`)."""
    about: list[str] = []
    described: dict[str, str] = {}
    section, last, depth = "", "", 0
    for line in text.splitlines():
        heading = _SECTION.match(line)
        indent = len(line) - len(line.lstrip())
        if heading:
            section, last, depth = heading[1], "", 0
        elif section and line.strip() and not indent:
            # What is not indented stands under no heading any more.
            section = ""
            about += ["", line]
        elif not section:
            about.append(line)
        elif section in ("Args", "Arguments", "Parameters"):
            depth = depth or indent
            named = re.match(r"^\s+\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$", line) if indent <= depth else None
            if named:
                last = named[1]
                described[last] = named[2]
            elif last and line.strip():
                described[last] = f"{described[last]} {line.strip()}".strip()
    about_text = re.sub(r"\n{3,}", "\n\n", "\n".join(about))
    return about_text.strip(), described


def to_tool(given: Any) -> Tool:
    """A tool: itself, or made of a function. Raises `TypeError` for anything else."""
    if isinstance(given, Tool):
        return given
    if isinstance(given, _Method) or _is_method(given):
        raise TypeError(f"{given.__qualname__} is a method: take it from an object, tools=[thing.{given.__name__}]")
    if not callable(given) or isinstance(given, type):
        raise TypeError(f"a tool must be a function, or made with motet.tool or motet.tools_from, not {given!r:.80}")
    return _made(given)


def tools_from(dicts: Iterable[Mapping[str, Any]], dispatch: Callable[[str, dict[str, Any]], Any]) -> list[Tool]:
    """Tools from OpenAI tool dicts, all of them carried out by one function of the name and the arguments.

    The arguments are parsed, and checked to be an object; whether they fit the schema is the function's affair.
    """
    if not callable(dispatch):
        raise TypeError(f"dispatch must be a function of a name and arguments, not {type(dispatch).__name__}")
    found = []
    for shape in dicts:
        function = shape.get("function", shape) if isinstance(shape, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if function is None or not isinstance(name, str) or not NAME.fullmatch(name):
            raise TypeError(f"not an OpenAI tool dict with a name: {shape!r:.200}")
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        found.append(Tool(name, function.get("description") or "", parameters, dispatch, _bind=_bind_dispatched))
    return found


def builtin_tools(given: Mapping[str, Any]) -> list[Tool]:
    """Tools of the namespaces that gpt-oss was trained with, carried out by the caller's own functions.

    `{"python": run_code}`: a function of the code. `{"browser": browser}`: an object with the methods `search`, `open`
    and `find`, or a dict of them; their arguments are those of the model.
    """
    found = []
    for namespace, actor in given.items():
        if namespace not in ("python", "browser"):
            raise ConfigError(f"builtin_tools knows python and browser, not {namespace!r}")
        methods = {"python": actor} if namespace == "python" else _browser(actor)
        if not methods or not all(map(callable, methods.values())):
            wanted = "a function of the code" if namespace == "python" else "an object with search, open and find"
            raise TypeError(f"builtin_tools[{namespace!r}] must be {wanted}, not {actor!r:.80}")
        bind = _bind_raw if namespace == "python" else _bind_parsed
        for name, method in methods.items():
            own = method if isinstance(method, Tool) else Tool(name, "", {}, method)
            found.append(replace(own, name=name, description="", parameters={}, _bind=bind))
    return found


def _browser(actor: Any) -> dict[str, Any]:
    names = ("search", "open", "find")
    has = actor if isinstance(actor, Mapping) else {name: getattr(actor, name, None) for name in names}
    return {f"browser.{name}": has[name] for name in names if has.get(name) is not None}


def result_text(value: Any, most: int = MAX_RESULT) -> tuple[str, str | None]:
    """What the model is told of a result, and the whole text if that was cut.

    A `str` is told as it is; pydantic models, dataclasses and other values as JSON, `None` as `null`. Lone surrogates
    are escaped. Raises `ToolResultError` for bytes and for what has no JSON.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        raise ToolResultError("the tool returned bytes; return text, or say in text where the bytes are")
    if isinstance(value, str):
        text = value
    else:
        try:
            text = _json(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise ToolResultError(f"the tool returned a {type(value).__name__}, which has no JSON: {error}") from None
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= most:
        return text, None
    return f"{text[:most]}\n[cut: {len(text) - most} of {len(text)} characters left out]", text


def _json(value: Any) -> str:
    import pydantic_core

    try:
        return pydantic_core.to_json(value, inf_nan_mode="strings").decode("utf-8")
    except pydantic_core.PydanticSerializationError as error:
        if "surrogates not allowed" not in str(error):
            raise
        return json.dumps(pydantic_core.to_jsonable_python(value, inf_nan_mode="strings"), ensure_ascii=False)

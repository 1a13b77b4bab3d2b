"""Output types: their JSON Schema for the request, and the value in the text of the answer."""

from __future__ import annotations

import json
import re
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, cast

from motet.errors import ConfigError, InvalidJsonError, OutputError, SchemaMismatchError
from motet.schema.subschemas import map_keyword

__all__ = ["Output", "known_type", "problems_of"]

T = TypeVar("T")

_WRAPPER = "value"


@dataclass(frozen=True, slots=True)
class Output(Generic[T]):
    """A type with its JSON Schema. Made by `Output.of`."""

    type: Any
    name: str
    schema: Mapping[str, Any] | None
    """In strict form: all properties are required and no others allowed. `None`: the output is plain text."""
    wrapped: bool = False
    """True if the value is in an object under the key `value`, as services require an object at the top."""
    optional_text: bool = False
    """True for `str | None`: an empty answer is `None`."""
    choices: tuple[str, ...] = ()
    """The texts of which the answer is one. Empty: any text, or one that follows the schema."""
    _adapter: Any = None

    @classmethod
    def of(cls, output: Any) -> Output[Any]:
        """`output` is `str` or `str | None` for plain text, or a type that pydantic supports: a model, a dataclass, a
        TypedDict, a list, a union, a scalar. An `Output` is returned unchanged. Raises `TypeError` for a type without a
        JSON Schema, and for a dict.
        """
        if isinstance(output, Output):
            return output
        if isinstance(output, Mapping):
            # pydantic would read a dict as a schema of its own, whose types have the names of Python's.
            raise TypeError(
                f"output must be a type, not a dict: {output!r:.80}; write a JSON Schema as a pydantic model, a "
                "dataclass or a TypedDict"
            )
        if output is str:
            return Output(str, "text", None)
        arguments = typing.get_args(output)
        if len(arguments) == 2 and str in arguments and type(None) in arguments:
            return Output(output, "text", None, optional_text=True)
        try:
            import pydantic
        except ImportError as error:
            raise ConfigError("output= needs pydantic: pip install 'motet[together]'") from error
        try:
            adapter = pydantic.TypeAdapter(known_type(output))
            schema = adapter.json_schema(mode="validation")
        except (pydantic.errors.PydanticUserError, pydantic.errors.PydanticInvalidForJsonSchema, NameError) as error:
            reason = str(error).partition("\n")[0]
            raise TypeError(f"output={output!r} cannot be written as JSON Schema: {reason}") from error
        definitions = schema.pop("$defs", {})
        if "$ref" in schema:
            # A recursive type: services require the object at the top, not a reference to it.
            schema = dict(definitions[schema["$ref"].rpartition("/")[2]])
        wrapped = schema.get("type") != "object"
        if wrapped:
            schema = {"type": "object", "properties": {_WRAPPER: schema}, "required": [_WRAPPER]}
        if definitions:
            schema["$defs"] = definitions
        name = _schema_name(getattr(output, "__name__", ""))
        return Output(output, name, _strict(schema), wrapped, _adapter=adapter)

    @classmethod
    def of_schema(cls, schema: Mapping[str, Any], name: str = "answer") -> Output[str | None]:
        """Text for which the request states a JSON Schema of the caller. The schema is sent unchanged, and the text is
        returned without a check: the caller reads it. An empty answer is `None`.
        """
        return Output(str, _schema_name(name), schema, optional_text=True)

    def accepts(self, text: str) -> bool:
        """True if a text is known to have a value of the type. Texts of `str` and of `of_schema` are not checked: True
        without a schema, else False."""
        if self._adapter is None:
            return self.schema is None
        try:
            self.read(text)
        except OutputError:
            return False
        return True

    def read(self, text: str) -> tuple[T, str | None]:
        """The value in a text, and a remark if the text deviates from the requested form.

        Raises `InvalidJsonError` and `SchemaMismatchError`, both with the text in `.raw`.
        """
        if self._adapter is None:
            return cast("T", None if self.optional_text and not text.strip() else text), None
        import pydantic

        value, note = _json_in(text, exact=_contains_decimal(self._adapter.core_schema))
        readings = [(value, note)]
        if self.wrapped:
            readings = [(value, "the value stands alone, without the requested object around it")]
            if isinstance(value, dict) and set(value) == {_WRAPPER}:
                readings.insert(0, (value[_WRAPPER], note))
        errors: list[pydantic.ValidationError] = []
        for reading, remark in readings:
            try:
                # Validated as JSON, in which a date is a text and a tuple a list.
                return self._adapter.validate_json(json.dumps(reading)), remark
            except pydantic.ValidationError as error:
                errors.append(error)
        problems = problems_of(errors[0])
        if errors[0].errors()[0]["type"] == "json_invalid":
            # A lone surrogate, or nesting that pydantic refuses.
            raise InvalidJsonError(f"the answer is not JSON: {problems[0]}", raw=text, problems=problems) from errors[0]
        raise SchemaMismatchError(
            f"the answer is not a {self.name}: {'; '.join(problems[:5])}", raw=text, problems=problems
        ) from errors[0]


def _schema_name(name: str) -> str:
    """A name that services accept for a response format: at most 64 letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "answer"


def problems_of(error: Any) -> tuple[str, ...]:
    """The problems of a pydantic `ValidationError`, each with its place."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple([f"{'.'.join(map(str, problem['loc'])) or 'the value'}: {problem['msg']}" for problem in problems])


def known_type(hint: Any) -> Any:
    """The type in a form that pydantic supports. Before Python 3.12, pydantic refuses `typing.TypedDict`, which lacks
    the list of optional keys; each becomes a `typing_extensions.TypedDict`."""
    return _known(hint, {})


def _known(hint: Any, converted: dict[Any, Any]) -> Any:
    """`converted`: the TypedDicts that are converted already, `None` while one is in progress."""
    if sys.version_info >= (3, 12):
        return hint
    arguments = typing.get_args(hint)
    parts = tuple([_known(part, converted) for part in arguments])
    if any(new is not old for new, old in zip(parts, arguments, strict=True)):
        if isinstance(hint, types.UnionType):
            return typing.Union[parts]  # noqa: UP007 - a union of any number of types
        origin = typing.get_origin(hint)
        return hint.copy_with(parts) if hasattr(hint, "copy_with") and origin is not Annotated else origin[parts]
    if not typing.is_typeddict(hint):
        return hint
    if hint not in converted:
        converted[hint] = None
        converted[hint] = _typed_dict(hint, converted)
    if converted[hint] is None:
        raise TypeError(f"{hint!r} is recursive: before Python 3.12, use typing_extensions.TypedDict")
    return converted[hint]


def _typed_dict(hint: Any, converted: dict[Any, Any]) -> Any:
    import typing_extensions

    fields: dict[str, Any] = {}
    for name, field_hint in typing.get_type_hints(hint, include_extras=True).items():
        required = name in hint.__required_keys__
        if typing.get_origin(field_hint) in (typing.Required, typing.NotRequired):
            required = typing.get_origin(field_hint) is typing.Required
            (field_hint,) = typing.get_args(field_hint)
        item_type = _known(field_hint, converted)
        fields[name] = item_type if required else typing_extensions.NotRequired[item_type]
    make: Any = typing_extensions.TypedDict
    typed_dict = make(hint.__name__, fields)
    for name in ("__module__", "__qualname__", "__doc__", "__pydantic_config__"):
        if hasattr(hint, name):
            setattr(typed_dict, name, getattr(hint, name))
    return typed_dict


def _strict(schema: Any) -> Any:
    """The schema in the form that services require with `strict`: each object requires all its properties and allows no
    others. Objects for mappings keep the schema of their values."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: map_keyword(key, value, _strict) for key, value in schema.items() if key != "default"}
    if strict.get("properties"):
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    elif "properties" in strict:
        strict.setdefault("additionalProperties", False)
    return strict


_FENCED = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n(.*?)\n?```", re.DOTALL)


def _json_in(text: str, *, exact: bool) -> tuple[Any, str | None]:
    """The JSON value of a text, or of the only fenced block in it. `exact`: numbers that a float would round are
    texts, which pydantic reads as `Decimal` without loss."""

    def load(json_text: str) -> Any:
        return json.loads(json_text, parse_float=_exact_number if exact else None)

    try:
        return load(text), None
    except (ValueError, RecursionError) as error:
        blocks = _FENCED.findall(text)
        if len(blocks) == 1:
            try:
                return load(blocks[0]), "the JSON stood in a fenced block, with text around it"
            except (ValueError, RecursionError):
                pass
        raise InvalidJsonError(
            f"the answer is not JSON: {error}; it begins {text[:80]!r}", raw=text, problems=(f"not JSON: {error}",)
        ) from error


def _exact_number(number: str) -> float | str:
    return float(number) if repr(float(number)) == number else number


def _contains_decimal(core_schema: Any) -> bool:
    """True if the schema of a pydantic type has a `Decimal` in it."""
    pending = [core_schema]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if value.get("type") == "decimal":
                return True
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
    return False

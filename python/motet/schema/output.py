"""The type that an answer is to have: its JSON Schema for the model, and the value in what the model wrote.

pydantic knows types; here it is asked, when an output other than `str` is wanted.
"""

from __future__ import annotations

import json
import re
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, cast

from motet.errors import ConfigError, InvalidJsonError, SchemaMismatchError

__all__ = ["Output", "known_type", "problems_of"]

T = TypeVar("T")

_WRAPPER = "value"


@dataclass(frozen=True, slots=True)
class Output(Generic[T]):
    """A type, as JSON Schema and back. Made by `Output.of`."""

    type: Any
    name: str
    schema: Mapping[str, Any] | None
    """In the strict form: every property is required, and no other is allowed. `None`: text, as it is."""
    wrapped: bool = False
    """Whether the value stands in an object under the key `value`: services want an object at the top."""
    _adapter: Any = None

    @classmethod
    def of(cls, wanted: Any) -> Output[Any]:
        """`wanted` is `str` for text as it is, or what pydantic knows: a model, a dataclass, a TypedDict, a list, a
        union, a scalar. Raises `TypeError` for what has no JSON Schema.
        """
        if wanted is str:
            return Output(str, "text", None)
        try:
            import pydantic
        except ImportError as error:
            raise ConfigError("output= needs pydantic: pip install 'motet[together]'") from error
        try:
            adapter = pydantic.TypeAdapter(known_type(wanted))
            schema = adapter.json_schema(mode="validation")
        except (pydantic.errors.PydanticUserError, pydantic.errors.PydanticInvalidForJsonSchema, NameError) as error:
            reason = str(error).partition("\n")[0]
            raise TypeError(f"output={wanted!r} cannot be written as JSON Schema: {reason}") from error
        definitions = schema.pop("$defs", {})
        if "$ref" in schema:
            # A type that contains itself; services want the object at the top, not a pointer to it.
            schema = dict(definitions[schema["$ref"].rpartition("/")[2]])
        wrapped = schema.get("type") != "object"
        if wrapped:
            schema = {"type": "object", "properties": {_WRAPPER: schema}, "required": [_WRAPPER]}
        if definitions:
            schema["$defs"] = definitions
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", getattr(wanted, "__name__", "") or "answer").strip("_") or "answer"
        return Output(wanted, name[:64], _strict(schema), wrapped, adapter)

    def read(self, text: str) -> tuple[T, str | None]:
        """The value in a text, and what had to be overlooked to find it.

        Raises `InvalidJsonError` and `SchemaMismatchError`; both hold the text in `.raw`.
        """
        if self.schema is None:
            return cast("T", text), None
        import pydantic

        shape, note = _json_in(text)
        readings = [(shape, note)]
        if self.wrapped:
            readings = [(shape, "the value stood bare, not in the object that was asked for")]
            if isinstance(shape, dict) and set(shape) == {_WRAPPER}:
                readings.insert(0, (shape[_WRAPPER], note))
        errors: list[pydantic.ValidationError] = []
        for reading, said in readings:
            try:
                # As JSON and not as Python: a date is a text there, and a tuple a list.
                return self._adapter.validate_json(json.dumps(reading)), said
            except pydantic.ValidationError as error:
                errors.append(error)
        problems = problems_of(errors[0])
        if errors[0].errors()[0]["type"] == "json_invalid":
            # Half a surrogate pair, or deeper than anybody nests.
            raise InvalidJsonError(f"the answer is not JSON: {problems[0]}", raw=text) from errors[0]
        raise SchemaMismatchError(
            f"the answer is not a {self.name}: {'; '.join(problems[:5])}", raw=text, problems=problems
        ) from errors[0]


def problems_of(error: Any) -> tuple[str, ...]:
    """What pydantic found wrong: each a place, and what is wrong there."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple([f"{'.'.join(map(str, one['loc'])) or 'the value'}: {one['msg']}" for one in found])


def known_type(wanted: Any) -> Any:
    """The type as pydantic knows it: `_known`, which says what is changed."""
    return _known(wanted, {})


def _known(wanted: Any, made: dict[Any, Any]) -> Any:
    """The type, with each TypedDict in a form that pydantic knows: before Python 3.12 the standard library's does not
    tell which keys may be missing. `made`: those that there are already; `None` while one is being made."""
    if sys.version_info >= (3, 12):
        return wanted
    arguments = typing.get_args(wanted)
    parts = tuple([_known(part, made) for part in arguments])
    if any(new is not old for new, old in zip(parts, arguments, strict=True)):
        if isinstance(wanted, types.UnionType):
            return typing.Union[parts]  # noqa: UP007 - a union of as many as there are
        origin = typing.get_origin(wanted)
        return wanted.copy_with(parts) if hasattr(wanted, "copy_with") and origin is not Annotated else origin[parts]
    if not typing.is_typeddict(wanted):
        return wanted
    if wanted not in made:
        made[wanted] = None
        made[wanted] = _typed_dict(wanted, made)
    if made[wanted] is None:
        raise TypeError(f"{wanted!r} contains itself: before Python 3.12, take typing_extensions.TypedDict")
    return made[wanted]


def _typed_dict(wanted: Any, made: dict[Any, Any]) -> Any:
    import typing_extensions

    fields: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(wanted, include_extras=True).items():
        required = name in wanted.__required_keys__
        if typing.get_origin(hint) in (typing.Required, typing.NotRequired):
            required = typing.get_origin(hint) is typing.Required
            (hint,) = typing.get_args(hint)
        fields[name] = _known(hint, made) if required else typing_extensions.NotRequired[_known(hint, made)]
    make: Any = typing_extensions.TypedDict
    found = make(wanted.__name__, fields)
    for name in ("__module__", "__qualname__", "__doc__", "__pydantic_config__"):
        if hasattr(wanted, name):
            setattr(found, name, getattr(wanted, name))
    return found


def _strict(schema: Any) -> Any:
    """The schema as services take it with `strict`: each object lists all its properties as required and allows no
    other. Objects that stand for mappings keep the schema of their values."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Under these keys stand names of the user's, each with a schema; elsewhere keys are words of JSON Schema.
    named = {"properties", "patternProperties", "$defs"}
    strict = {
        key: {name: _strict(inner) for name, inner in value.items()} if key in named else _strict_word(key, value)
        for key, value in schema.items()
        if key != "default"
    }
    if strict.get("properties"):
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    elif "properties" in strict:
        strict.setdefault("additionalProperties", False)
    return strict


def _strict_word(key: str, value: Any) -> Any:
    """A keyword's value: what lists values, not schemas, is left as it is."""
    return value if key in ("enum", "const", "example", "examples", "required", "discriminator") else _strict(value)


_FENCED = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n(.*?)\n?```", re.DOTALL)


def _json_in(text: str) -> tuple[Any, str | None]:
    """The JSON in a text: the text itself, or the one fenced block in it."""
    try:
        return json.loads(text), None
    except (ValueError, RecursionError) as error:
        blocks = _FENCED.findall(text)
        if len(blocks) == 1:
            try:
                return json.loads(blocks[0]), "the JSON stood in a fenced block, with text around it"
            except (ValueError, RecursionError):
                pass
        raise InvalidJsonError(f"the answer is not JSON: {error}; it begins {text[:80]!r}", raw=text) from error

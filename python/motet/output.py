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
from typing import Any, Generic, TypeVar, cast

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
            schema = definitions[schema["$ref"].rpartition("/")[2]]
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
        shape, note = _json_in(text)
        if self.wrapped:
            if isinstance(shape, dict) and set(shape) == {_WRAPPER}:
                shape = shape[_WRAPPER]
            else:
                note = "the value stood bare, not in the object that was asked for"
        import pydantic

        try:
            # As JSON and not as Python: a date is a text there, and a tuple a list.
            return self._adapter.validate_json(json.dumps(shape)), note
        except pydantic.ValidationError as error:
            problems = problems_of(error)
            raise SchemaMismatchError(
                f"the answer is not a {self.name}: {'; '.join(problems[:5])}", raw=text, problems=problems
            ) from error


def problems_of(error: Any) -> tuple[str, ...]:
    """What pydantic found wrong: each a place, and what is wrong there."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple([f"{'.'.join(map(str, one['loc'])) or 'the value'}: {one['msg']}" for one in found])


def known_type(wanted: Any) -> Any:
    """The type, with each TypedDict in a form that pydantic knows: before Python 3.12 the standard library's does not
    tell which keys may be missing."""
    if sys.version_info >= (3, 12):
        return wanted
    if args := typing.get_args(wanted):
        parts = tuple([known_type(part) for part in args])
        if all(new is old for new, old in zip(parts, args, strict=True)):
            return wanted
        if isinstance(wanted, types.UnionType):
            return typing.Union[parts]  # noqa: UP007 - a union of as many as there are
        if hasattr(wanted, "__metadata__"):
            return typing.Annotated[(parts[0], *wanted.__metadata__)]
        return wanted.copy_with(parts) if hasattr(wanted, "copy_with") else typing.get_origin(wanted)[parts]
    if not typing.is_typeddict(wanted):
        return wanted
    import typing_extensions

    hints = typing.get_type_hints(wanted, include_extras=True)
    fields = {
        name: known_type(hint) if name in wanted.__required_keys__ else typing_extensions.NotRequired[known_type(hint)]
        for name, hint in hints.items()
    }
    return typing_extensions.TypedDict(wanted.__name__, fields)  # type: ignore[operator]


def _strict(schema: Any) -> Any:
    """The schema as services take it with `strict`: each object lists all its properties as required and allows no
    other. Objects that stand for mappings keep the schema of their values."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Under these keys stand names of the user's, each with a schema; elsewhere keys are words of JSON Schema.
    named = {"properties", "$defs"}
    strict = {
        key: {name: _strict(inner) for name, inner in value.items()} if key in named else _strict_word(key, value)
        for key, value in schema.items()
        if key != "default"
    }
    if "properties" in strict:
        strict["required"] = list(strict["properties"])
        strict.setdefault("additionalProperties", False)
    return strict


def _strict_word(key: str, value: Any) -> Any:
    """A keyword's value: what lists values, not schemas, is left as it is."""
    return value if key in ("enum", "const", "examples", "required", "discriminator") else _strict(value)


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

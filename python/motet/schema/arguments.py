"""Parameters of a function: their JSON Schema, and arguments validated against it."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from motet.errors import ConfigError, InvalidArgumentsError
from motet.schema.inline import inline_definitions
from motet.schema.output import known_type, problems_of

__all__ = ["Arguments", "signature_function"]


def signature_function(called: Any) -> Any:
    """The function that has the signature and the docstring: the one behind a `partial`, or the `__call__` of an
    object."""
    while isinstance(called, functools.partial):
        called = called.func
    return called if inspect.isroutine(called) else type(called).__call__


@dataclass(frozen=True, slots=True)
class Arguments:
    """The parameters of a function as a pydantic model. Its fields have names of their own, because pydantic reserves
    some names."""

    model: Any
    schema: dict[str, Any]
    names: Mapping[str, str]
    """From fields of the model to parameters."""

    @classmethod
    def of(cls, called: Callable[..., Any], name: str, descriptions: Mapping[str, str]) -> Arguments:
        """`name`: of the tool, for errors. `descriptions`: of the parameters, from the docstring."""
        try:
            import pydantic
        except ImportError as error:
            raise ConfigError("tools need pydantic: pip install 'motet[together]'") from error
        try:
            signature = inspect.signature(called)
            hints = typing.get_type_hints(signature_function(called), include_extras=True)
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
                raise TypeError(f"the tool {name} takes {shown} by position only; make it a keyword parameter")
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
                continue
            hint = hints.get(parameter.name, Any)
            fields[f"p{place}"] = _field(parameter, hint, descriptions.get(parameter.name))
            names[f"p{place}"] = parameter.name
        try:
            model = pydantic.create_model("arguments", __config__=pydantic.ConfigDict(extra=extra), **fields)
            schema = model.model_json_schema(schema_generator=_generator())
        except (pydantic.errors.PydanticUserError, pydantic.errors.PydanticUndefinedAnnotation) as error:
            reason = str(error).partition("\n")[0]
            raise TypeError(f"the parameters of the tool {name} have no JSON Schema: {reason}") from error
        return cls(model, inline_definitions(schema, name), names)

    def bind(self, function: Callable[..., Any], name: str, arguments: str) -> Callable[[], Any]:
        """The call of `function` with JSON arguments. Raises `InvalidArgumentsError`, which names them."""
        import pydantic

        try:
            bound = self.model.model_validate_json(arguments or "{}")
        except pydantic.ValidationError as error:
            problems = "; ".join(problems_of(error)[:5])
            raise InvalidArgumentsError(f"the arguments of {name} are wrong: {problems}", raw=arguments) from None
        values = {parameter: getattr(bound, field) for field, parameter in self.names.items()}
        more = bound.model_extra or {}
        if duplicates := values.keys() & more.keys():
            problem = f"{', '.join(sorted(duplicates))}: duplicate name"
            raise InvalidArgumentsError(f"the arguments of {name} are wrong: {problem}", raw=arguments)
        return lambda: function(**values, **more)


def _field(parameter: inspect.Parameter, hint: Any, description: str | None) -> tuple[Any, Any]:
    """The field of a parameter. `Annotated` metadata, or a `Field` as the default, overrides the docstring."""
    import pydantic
    from pydantic.fields import FieldInfo

    hint, *metadata = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    default = parameter.default
    if isinstance(default, FieldInfo):
        metadata.append(default)
        default = pydantic.Field()
    field = pydantic.Field(alias=parameter.name, description=description)
    return Annotated[(known_type(hint), field, *metadata)], ... if default is parameter.empty else default


@functools.cache
def _generator() -> Any:
    """A schema generator without titles derived from names. Defaults without a JSON form are left out."""
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return Generator

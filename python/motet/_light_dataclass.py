"""Frozen dataclasses with slots, made without the module `dataclasses`, for what every completion consists of.

`dataclasses` imports `inspect`, `re` and `enum`, and compiles five methods for each class: 20 ms before the first
message. The classes made here are dataclasses to `fields`, `replace`, `asdict`, `is_dataclass`, subclasses and `match`;
their `Field` objects are made when they are first read.
"""

from __future__ import annotations

from _operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["dataclass", "field"]

_MISSING = object()


class _Declaration:
    """What `field` returns: the arguments of `dataclasses.field`."""

    __slots__ = ("compare", "default", "init", "repr")

    def __init__(self, default: Any, init: bool, repr: bool, compare: bool) -> None:
        self.default, self.init, self.repr, self.compare = default, init, repr, compare


def field(*, default: Any = _MISSING, init: bool = True, repr: bool = True, compare: bool = True) -> Any:
    """As `dataclasses.field`, for immutable defaults."""
    return _Declaration(default, init, repr, compare)


def dataclass(*, frozen: bool, slots: bool, repr: bool) -> Callable[[type], type]:
    """As `dataclasses.dataclass` with `frozen=True, slots=True, repr=False`, and no other arguments.

    The annotations of a class are its fields. Its bases have no fields.
    """
    if not (frozen and slots and not repr):
        raise ValueError("only frozen=True, slots=True, repr=False")
    return _with_fields


def _with_fields(cls: type) -> type:
    declarations = {}
    for name in cls.__annotations__:
        default = cls.__dict__.get(name, _MISSING)
        declarations[name] = default if isinstance(default, _Declaration) else field(default=default)
    names = tuple(declarations)
    namespace = {key: value for key, value in cls.__dict__.items() if key not in {*names, "__dict__", "__weakref__"}}
    namespace["__slots__"] = names
    namespace["__match_args__"] = tuple([name for name, declaration in declarations.items() if declaration.init])
    # Slots belong to the class from its making on: it is made anew, as `dataclasses` does.
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    methods = {
        "__init__": _init(made, declarations),
        **_comparisons([name for name, declaration in declarations.items() if declaration.compare]),
        **_frozen_attributes(made, names),
        **_copying(names),
    }
    for name, method in methods.items():
        method.__qualname__ = f"{made.__qualname__}.{name}"
        setattr(made, name, method)
    for name in ("__dataclass_fields__", "__dataclass_params__"):
        setattr(made, name, _LateAttribute(name, made, declarations))
    return made


def _init(cls: type, declarations: dict[str, _Declaration]) -> Callable[..., None]:
    scope: dict[str, Any] = {}
    parameters, lines = ["self"], []
    for name, declaration in declarations.items():
        # The slot's own setter: `__setattr__` of the class refuses.
        scope[f"set_{name}"] = cls.__dict__[name].__set__
        scope[f"default_{name}"] = declaration.default
        if declaration.init:
            parameters.append(name if declaration.default is _MISSING else f"{name}=default_{name}")
            lines.append(f" set_{name}(self, {name})")
        else:
            lines.append(f" set_{name}(self, default_{name})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines), scope)
    init: Callable[..., None] = scope["__init__"]
    init.__module__ = cls.__module__
    annotations = {name: cls.__annotations__[name] for name, item in declarations.items() if item.init}
    init.__annotations__ = {**annotations, "return": None}
    return init


def _comparisons(names: list[str]) -> dict[str, Callable[..., Any]]:
    read = attrgetter(*names)

    def __eq__(self: object, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(read(self) == read(other))

    def __hash__(self: object) -> int:
        return hash(read(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


def _frozen_attributes(cls: Any, names: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    def __setattr__(self: object, name: str, value: object) -> None:
        if type(self) is cls or name in names:
            raise _frozen_error(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: object, name: str) -> None:
        if type(self) is cls or name in names:
            raise _frozen_error(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {"__setattr__": __setattr__, "__delattr__": __delattr__}


def _frozen_error(message: str) -> AttributeError:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(message)


def _copying(names: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    def __getstate__(self: object) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: object, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    def __replace__(self: Any, /, **changes: Any) -> Any:
        from dataclasses import replace

        return replace(self, **changes)

    return {"__getstate__": __getstate__, "__setstate__": __setstate__, "__replace__": __replace__}


class _LateAttribute:
    """An attribute of a class that is copied at its first read from a dataclass with the same declarations."""

    def __init__(self, name: str, cls: type, declarations: dict[str, _Declaration]) -> None:
        self._name, self._cls, self._declarations = name, cls, declarations

    def __get__(self, instance: object, owner: type) -> Any:
        import dataclasses

        declared: list[tuple[str, Any, Any]] = []
        for name, item in self._declarations.items():
            options: dict[str, Any] = {"init": item.init, "repr": item.repr, "compare": item.compare}
            if item.default is not _MISSING:
                options["default"] = item.default
            declared.append((name, self._cls.__annotations__[name], dataclasses.field(**options)))
        twin = dataclasses.make_dataclass(self._cls.__name__, declared, frozen=True, slots=True, repr=False)
        value = getattr(twin, self._name)
        setattr(self._cls, self._name, value)
        return value

"""Dataclasses made without the module `dataclasses`: the same as those made with it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing

import pytest

from motet import message
from motet._light_dataclass import dataclass, field

CLASSES = [value for value in map(message.__dict__.get, message.__all__) if isinstance(value, type)]


@dataclass(frozen=True, slots=True, repr=False)
class Point:
    """A point."""

    x: int
    label: str | None = None
    note: str | None = field(default="n", compare=False, repr=False)
    cached: typing.Any = field(default=None, init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cached", self.x * 2)


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Twin:
    """A point."""

    x: int
    label: str | None = None
    note: str | None = dataclasses.field(default="n", compare=False, repr=False)
    cached: typing.Any = dataclasses.field(default=None, init=False, compare=False)


def description(cls: type) -> list[tuple[object, ...]]:
    return [
        (item.name, item.type, item.default, item.init, item.repr, item.compare, item.hash, item.kw_only)
        for item in dataclasses.fields(cls)
    ]


def test_class_has_the_fields_and_signature_of_a_dataclass() -> None:
    assert dataclasses.is_dataclass(Point)
    assert description(Point) == description(Twin)
    assert repr(Point.__dataclass_params__) == repr(Twin.__dataclass_params__)  # type: ignore[attr-defined]
    assert inspect.signature(Point) == inspect.signature(Twin)
    assert Point.__match_args__ == Twin.__match_args__ == ("x", "label", "note")  # type: ignore[attr-defined]
    assert (Point.__doc__, Point.__slots__) == (Twin.__doc__, Twin.__slots__)  # type: ignore[attr-defined]
    assert not hasattr(Point(1), "__dict__")


def test_values_compare_and_hash_by_compared_fields() -> None:
    assert Point(1, "a", "other") == Point(1, "a")
    assert Point(1, "a") != Point(2, "a")
    assert Point(1) != Twin(1)
    assert len({Point(1, "a"), Point(1, "a", "other"), Point(1, "b")}) == 2


def test_fields_cannot_be_set_or_deleted() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'y'"):
        point.y = 2  # type: ignore[attr-defined]
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]


def test_values_are_copied_replaced_and_pickled() -> None:
    point = Point(1, "a", "b")
    for other in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
        assert dataclasses.astuple(other) == (1, "a", "b", 2)
    assert dataclasses.astuple(dataclasses.replace(point, x=3)) == (3, "a", "b", 6)
    assert point.__replace__(label=None) == Point(1)  # type: ignore[attr-defined]
    assert dataclasses.asdict(point) == {"x": 1, "label": "a", "note": "b", "cached": 2}


def test_match_statement_reads_positions() -> None:
    match Point(1, "a"):
        case Point(x, label):
            assert (x, label) == (1, "a")
        case _:
            pytest.fail("no match")


def test_dataclass_extends_the_class() -> None:
    @dataclasses.dataclass(frozen=True)
    class Labelled(Point):
        more: int = 0

    assert [item.name for item in dataclasses.fields(Labelled)] == ["x", "label", "note", "cached", "more"]
    assert Labelled(1, more=2).more == 2


@pytest.mark.parametrize("cls", CLASSES)
def test_annotations_of_messages_resolve(cls: type) -> None:
    hints = typing.get_type_hints(cls)
    assert [item.name for item in dataclasses.fields(cls)] == list(hints)


def test_other_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="only frozen=True, slots=True, repr=False"):
        dataclass(frozen=False, slots=True, repr=False)

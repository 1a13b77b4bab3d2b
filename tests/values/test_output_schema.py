"""Types as JSON Schema, and values back from what a model wrote."""

from __future__ import annotations

import datetime
import enum
import json
import sys
import threading
import types
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Optional, Required, TypedDict, TypeVar

import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, field_validator

import motet
from motet.schema.output import Output
from tests.support.hypothesis_profiles import examples

T = TypeVar("T")


class Severity(enum.Enum):
    BLOCKER = "blocker"
    NITPICK = "nitpick"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Issue(BaseModel):
    file: str
    line: int = Field(ge=0)
    severity: Severity
    note: str | None = None


class Review(BaseModel):
    """A review of a change."""

    approved: bool
    issues: list[Issue] = []
    by_file: dict[str, Issue] = {}
    when: datetime.datetime | None = None


class Tree(BaseModel):
    label: str
    children: list[Tree] = []


class Left(BaseModel):
    kind: Literal["left"] = "left"
    right: Right | None = None


class Right(BaseModel):
    kind: Literal["right"] = "right"
    left: Left | None = None


class Box(BaseModel, Generic[T]):
    content: T
    default: int = 3


class Renamed(BaseModel):
    from_: str = Field(alias="from")


class Words(BaseModel):
    """Names that are also JSON Schema keywords."""

    default: int
    required: bool
    properties: dict[str, int]
    enum: str
    const: str = Field(json_schema_extra={"example": {"default": 1}, "examples": [{"default": 1}]})


class Free(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: int


class Nothing(BaseModel):
    pass


@dataclass
class Point:
    x: int
    y: float = 0.5
    tags: tuple[str, ...] = dataclass_field(default_factory=tuple)


class Pair(NamedTuple):
    first: int
    second: str = "two"


class Place(TypedDict):
    """Where it is."""

    city: str
    country: NotRequired[str]


class Sparse(TypedDict, total=False):
    a: Required[int]
    b: Annotated[int, Field(gt=0)]
    place: Place


class Extended(typing_extensions.TypedDict):
    inner: typing_extensions.NotRequired[list[Extended]]


class Ring(TypedDict):
    rings: list[Ring]


REAL = st.floats(allow_nan=False, allow_infinity=False)
INT = st.integers(-(2**53), 2**53)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ISSUES = st.builds(
    Issue, file=TEXT, line=st.integers(0, 10**6), severity=st.sampled_from(Severity), note=st.none() | TEXT
)
TREES = st.recursive(
    st.builds(Tree, label=TEXT), lambda inner: st.builds(Tree, label=TEXT, children=st.lists(inner, max_size=3))
)
PLACES = st.fixed_dictionaries({"city": TEXT}, optional={"country": TEXT})
# Each type, and its values.
TYPES: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(),
    float: REAL,
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    bytes: TEXT.map(str.encode),
    datetime.date: st.dates(),
    datetime.datetime: st.datetimes(timezones=st.just(datetime.UTC)),
    datetime.timedelta: st.integers(0, 10**6).map(lambda seconds: datetime.timedelta(seconds=seconds)),
    uuid.UUID: st.uuids(),
    types.NoneType: st.none(),
    Severity: st.sampled_from(Severity),
    Level: st.sampled_from(Level),
    Literal["yes", "no", 3]: st.sampled_from(["yes", "no", 3]),
    Optional[Place]: st.none() | PLACES,  # noqa: UP045 - a form of its own
    int | str | list[bool]: INT | TEXT | st.lists(st.booleans()),
    Issue | Place: ISSUES | PLACES,
    list[str]: st.lists(TEXT),
    list[Issue]: st.lists(ISSUES, max_size=3),
    tuple[int, str]: st.tuples(INT, TEXT),
    tuple[float, ...]: st.lists(REAL).map(tuple),
    set[int]: st.sets(INT),
    frozenset[str]: st.frozensets(TEXT),
    dict[str, int]: st.dictionaries(TEXT, INT),
    dict[str, Place]: st.dictionaries(TEXT, PLACES, max_size=3),
    Annotated[int, Field(gt=0)]: st.integers(1),
    list[Annotated[Place, "a place"]]: st.lists(PLACES, max_size=3),
    Annotated[Left | Right, Field(discriminator="kind")]: st.sampled_from(
        [Left(), Right(left=Left()), Left(right=Right(left=Left()))]
    ),
    Any: st.recursive(st.none() | st.booleans() | INT | TEXT, st.lists),
    Issue: ISSUES,
    Review: st.builds(
        Review,
        approved=st.booleans(),
        issues=st.lists(ISSUES, max_size=2),
        by_file=st.dictionaries(TEXT, ISSUES, max_size=2),
        when=st.none() | st.datetimes(timezones=st.just(datetime.UTC)),
    ),
    Tree: TREES,
    list[Tree]: st.lists(TREES, max_size=2),
    Left: st.builds(Left, right=st.none() | st.builds(Right)),
    Box[int]: st.builds(Box[int], content=INT),
    RootModel[list[int]]: st.lists(INT).map(RootModel[list[int]]),
    RootModel[dict[str, int]]: st.dictionaries(TEXT, INT).map(RootModel[dict[str, int]]),
    Renamed: TEXT.map(lambda text: Renamed(**{"from": text})),
    Words: st.builds(
        Words, default=INT, required=st.booleans(), properties=st.dictionaries(TEXT, INT), enum=TEXT, const=TEXT
    ),
    Nothing: st.builds(Nothing),
    Point: st.builds(Point, x=INT, y=REAL, tags=st.lists(TEXT).map(tuple)),
    list[Point]: st.lists(st.builds(Point, x=INT, y=REAL), max_size=3),
    Pair: st.builds(Pair, INT, TEXT),
    Place: PLACES,
    Sparse: st.fixed_dictionaries({"a": INT}, optional={"b": st.integers(1), "place": PLACES}),
    Extended: st.recursive(st.just({}), lambda inner: st.fixed_dictionaries({"inner": st.lists(inner, max_size=2)})),
}


def name_of(hint: Any) -> str:
    return getattr(hint, "__name__", "") if isinstance(hint, type) else str(hint)[:60]


def objects(schema: Any, named: bool = False) -> Iterator[dict[str, Any]]:
    """Each schema within a schema. `named`: the keys here are user-defined names."""
    if isinstance(schema, list):
        for inner in schema:
            yield from objects(inner)
    elif isinstance(schema, dict):
        if not named:
            yield schema
        for key, inner in schema.items():
            if named or key not in ("enum", "const", "examples", "example", "required", "discriminator"):
                yield from objects(inner, not named and key in ("properties", "$defs", "patternProperties"))


@pytest.mark.parametrize("hint", TYPES, ids=name_of)
@examples(25)
@given(data=st.data())
def test_values_survive_their_json(hint: Any, data: st.DataObject) -> None:
    value = data.draw(TYPES[hint])
    output = Output.of(hint)
    shape = json.loads(output._adapter.dump_json(value, by_alias=True))
    result, note = output.read(json.dumps({"value": shape} if output.wrapped else shape))
    assert (result, type(result), note) == (value, type(value), None)


@pytest.mark.parametrize("hint", TYPES, ids=name_of)
def test_the_schema_is_strict_everywhere(hint: Any) -> None:
    output = Output.of(hint)
    assert output.schema is not None
    assert output.schema["type"] == "object"
    schemas = list(objects(json.loads(json.dumps(output.schema))))
    for schema in schemas:
        assert "default" not in schema
        if "properties" in schema:
            assert schema.get("required", []) == list(schema["properties"])
            assert schema["additionalProperties"] is False
        if "$ref" in schema:
            assert schema["$ref"].removeprefix("#/$defs/") in output.schema["$defs"]
    assert output.wrapped is (list(output.schema.get("properties", ())) == ["value"])


@pytest.mark.parametrize("hint", TYPES, ids=name_of)
def test_schema_name_is_valid_for_services(hint: Any) -> None:
    name = Output.of(hint).name
    assert 0 < len(name) <= 64
    assert name.isascii()
    assert name.replace("_", "").replace("-", "").isalnum()


@pytest.mark.parametrize(
    ("name", "sane"),
    [
        ("Box[int]", "Box_int"),
        ("Café au lait", "Caf_au_lait"),
        ("答え", "answer"),
        ("_", "answer"),
        ("x" * 99, "x" * 64),
    ],
)
def test_schema_names_are_sanitized(name: str, sane: str) -> None:
    assert Output.of(type(name, (BaseModel,), {})).name == sane


def test_field_names_equal_to_keywords_are_not_keywords() -> None:
    schema = Output.of(Words).schema
    assert schema is not None
    assert list(schema["properties"]) == schema["required"] == ["default", "required", "properties", "enum", "const"]
    assert schema["properties"]["properties"]["additionalProperties"] == {"type": "integer"}
    assert schema["properties"]["const"]["examples"] == [{"default": 1}]
    assert schema["properties"]["const"]["example"] == {"default": 1}


def test_recursive_type_is_defined_once() -> None:
    schema = Output.of(Tree).schema
    assert schema is not None
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert schema["$defs"]["Tree"]["required"] == ["label", "children"]
    assert "$defs" not in schema["$defs"]["Tree"]


def test_models_with_extra_fields_are_closed_in_the_schema() -> None:
    assert Output.of(Free).schema["additionalProperties"] is False  # type: ignore[index]
    # A mapping has no names that could be listed.
    assert Output.of(dict[str, int]).schema["additionalProperties"] == {"type": "integer"}  # type: ignore[index]
    assert Output.of(dict).schema["additionalProperties"] is True  # type: ignore[index]


def test_pattern_properties_are_names() -> None:
    schema = Output.of(dict[Annotated[str, Field(pattern="default")], int]).schema
    assert schema is not None
    assert schema["patternProperties"] == {"default": {"type": "integer"}}


def test_typed_dict_keeps_its_single_definition() -> None:
    schema = Output.of(tuple[Place, Place]).schema
    assert schema is not None
    assert list(schema["$defs"]) == ["Place"]
    assert schema["$defs"]["Place"]["description"] == "Where it is."
    assert Output.of(Place).name == "Place"


def test_str_output_is_the_plain_text() -> None:
    output = Output.of(str)
    assert (output.schema, output.wrapped) == (None, False)
    for text in ("null", "", '{"value": 1}', "\ud800"):
        assert output.read(text) == (text, None)
    # A text that is to follow a rule is JSON.
    assert Output.of(Annotated[str, Field(max_length=3)]).read('{"value": "abc"}') == ("abc", None)


@pytest.mark.parametrize(
    ("hint", "text", "value", "note"),
    [
        (int, '{"value": 3}', 3, None),
        (int, " \n3 ", 3, "stands alone"),
        (list[int], "[1, 2]", [1, 2], "stands alone"),
        (list[int], "```json\n[1, 2]\n```", [1, 2], "stands alone"),
        (list[int], 'Here:\n```json\n{"value": [1]}\n```\nDone.', [1], "fenced block"),
        (Place, '```\n{"city": "Oslo"}\n```', {"city": "Oslo"}, "fenced block"),
        # An object of its own with the only key `value` is not mistaken for the wrapper.
        (Box[int] | dict[str, int], '{"value": 3}', {"value": 3}, "stands alone"),
        (Box[int] | dict[str, int], '{"value": {"value": 3}}', {"value": 3}, None),
        (float, '{"value": 1e2}', 100.0, None),
        (int, '{"value": 123456789012345678901234567890}', 123456789012345678901234567890, None),
        (dict[str, int], '{"a": 1, "a": 2}', {"a": 2}, None),
    ],
)
def test_tolerated_output_deviations_are_reported(hint: Any, text: str, value: Any, note: str | None) -> None:
    reading, report = Output.of(hint).read(text)
    assert reading == value
    assert report is None if note is None else note in str(report)


@pytest.mark.parametrize(
    "text",
    ["", "yes", "{", '{"value": 3', "```json\n{\n```", "```\n1\n```\n```\n2\n```", '{"value": "\\ud800"}', "'a'"]
    + ["[" * depth for depth in (100, 100_000)]
    + ["[" * 500 + "]" * 500],
    ids=lambda text: text[:12],
)
def test_invalid_json_output_keeps_the_text(text: str) -> None:
    with pytest.raises(motet.InvalidJsonError, match="the answer is not JSON") as caught:
        Output.of(list[Any]).read(text)
    assert caught.value.raw == text


@pytest.mark.parametrize(
    ("hint", "text", "problems"),
    [
        (Issue, '{"file": "a", "line": -1, "severity": "huge"}', ["line: ", "severity: "]),
        (Issue, "[]", ["the value: "]),
        (Review, '{"approved": true, "issues": [{"file": 3}]}', ["issues.0.file: ", "issues.0.line: "]),
        (int, '{"value": "three"}', ["the value: "]),
        (list[int], '{"value": [1, "two"]}', ["1: "]),
        (Place, "{}", ["city: Field required"]),
        (Literal["yes"], '{"value": "no"}', ["the value: Input should be 'yes'"]),
        (bool, '{"value": null}', ["the value: "]),
        (tuple[int, int], '{"value": [1]}', ["1: Field required"]),
    ],
)
def test_type_mismatches_are_listed_by_path(hint: Any, text: str, problems: list[str]) -> None:
    with pytest.raises(motet.SchemaMismatchError, match="the answer is not a ") as caught:
        Output.of(hint).read(text)
    assert caught.value.raw == text
    for problem in problems:
        assert any(item.startswith(problem) for item in caught.value.problems), caught.value.problems


def test_validator_failures_are_mismatches() -> None:
    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def even(cls, number: int) -> int:
            if number % 2:
                raise ValueError("odd")
            return number

    with pytest.raises(motet.SchemaMismatchError, match=r"number: Value error, odd"):
        Output.of(Even).read('{"number": 3}')


@given(st.text())
def test_any_text_gives_a_value_or_an_output_error(text: str) -> None:
    for hint in (int, Place, Any):
        try:
            Output.of(hint).read(text)
        except motet.OutputError as error:
            assert error.raw == text


@pytest.mark.parametrize(
    "hint",
    [
        5,
        "Nobody",
        object(),
        Tree(label="x"),
        Callable[[int], str],
        print,
        [],
        threading.Lock,
        Iterable[threading.Thread],
    ],
    ids=lambda value: type(value).__name__,
)
def test_types_without_a_schema_are_refused(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"^output=.* cannot be written as JSON Schema: "):
        Output.of(hint)


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": "int"}, {"title": "Place"}], ids=str)
def test_json_schema_in_place_of_a_type_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"^output must be a type, not a dict: \{.*; write a JSON Schema as"):
        Output.of(schema)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes it there")
def test_recursive_typed_dict_is_refused_with_a_hint() -> None:
    with pytest.raises(TypeError, match=r"is recursive: before Python 3\.12, use typing_extensions\.TypedDict"):
        Output.of(Ring)


def test_types_with_equal_names_stay_distinct() -> None:
    other: Any = type("Issue", (BaseModel,), {"__annotations__": {"text": str}})
    output = Output.of(tuple[Issue, other])
    assert output.schema is not None
    assert len([name for name in output.schema["$defs"] if "Issue" in name]) == 2
    value = (Issue(file="a", line=1, severity=Severity.NITPICK), other(text="x"))
    shape = json.loads(TypeAdapter(tuple[Issue, other]).dump_json(value))
    assert output.read(json.dumps({"value": shape}))[0] == value

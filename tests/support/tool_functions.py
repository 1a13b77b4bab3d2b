"""Functions and types that become tools, and how the model sees and calls them."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable
from typing import Any, Literal, NotRequired, TypedDict

from pydantic import BaseModel

import motet
from motet.schema.tool import to_tool


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Meta(BaseModel):
    key: int
    """Not shown."""


class Node(BaseModel):
    """A node."""

    meta: Meta
    children: list[Node] = []
    labels: dict[str, Any] = {"title": "kept"}


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Place(TypedDict):
    city: str
    country: NotRequired[str]


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def shape(function: Callable[..., Any]) -> dict[str, Any]:
    return dict(motet.tool(function).parameters)


def field(function: Callable[..., Any], name: str = "x") -> dict[str, Any]:
    result: dict[str, Any] = shape(function)["properties"][name]
    return result


def shown(*tools: Any) -> str:
    """The tools as the model sees them."""
    dicts = [to_tool(tool).to_dict() for tool in tools]
    rest = json.dumps(dicts)
    prompt = motet.render([motet.Message("user", "Hi")], tools=dicts)
    assert json.dumps(dicts) == rest
    text = motet.decode(prompt.ids)
    return text[text.index("namespace functions {") : text.index("} // namespace functions")]


def called(tool: Any, arguments: str) -> Any:
    return to_tool(tool).bind(arguments)()


def plain(x: int) -> None: ...


INTEGER = {"type": "integer"}


META = {"type": "object", "properties": {"key": INTEGER}, "required": ["key"]}


POINT = {
    "type": "object",
    "properties": {"x": INTEGER, "y": {"default": 0, "type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}


def append(x: list[int] = []) -> list[int]:  # noqa: B006
    x.append(1)
    return x


def nothing() -> str:
    """Says nothing."""
    return ""


class Thermometer:
    """It measures."""

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def read(self, x: int) -> int:
        """Reads."""
        return x + self.offset

    async def wait(self, x: int) -> int:
        return x + self.offset

    @motet.tool
    def bare(self, x: int) -> int:
        """Bare."""
        return x + self.offset

    @motet.tool(name="thermo.deep", idempotent=True, timeout=3, max_result=9)
    async def deep(self, x: int) -> int:
        return x + self.offset

    @staticmethod
    @motet.tool
    def inner(x: int) -> int:
        return x

    @motet.tool
    @staticmethod
    def outer(x: int) -> int:
        return x

    @classmethod
    @motet.tool
    def of(cls, x: int) -> str:
        return f"{cls.__name__}{x}"

    def __call__(self, x: int) -> int:
        """Calls."""
        return x + self.offset


thing = Thermometer(10)

"""The nodes that grammars are built from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class FixedText:
    """A fixed text."""

    text: str


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """A special token, by its spelling."""

    spelling: str


@dataclass(frozen=True, slots=True)
class AnyText:
    """Any text without special tokens."""


@dataclass(frozen=True, slots=True)
class JsonValue:
    """JSON of a schema."""

    schema: Any
    name: str
    """The name of its rule."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that matches a regular expression as a whole."""

    pattern: str


@dataclass(frozen=True, slots=True)
class UserGrammar:
    """A text of a grammar that the user brings, in Lark or GBNF."""

    text: str
    name: str
    """The name of its rule."""


@dataclass(frozen=True, slots=True)
class RuleReference:
    """A reference to another rule."""

    name: str


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Nodes one after the other."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several nodes."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """A node or nothing."""

    node: Node


@dataclass(frozen=True, slots=True)
class Repetition:
    """A node any number of times, including none."""

    node: Node


BLANK = Option(FixedText(" "))

Node: TypeAlias = (
    FixedText
    | SpecialToken
    | AnyText
    | JsonValue
    | Pattern
    | UserGrammar
    | RuleReference
    | Concatenation
    | Choice
    | Option
    | Repetition
)
RuleSet: TypeAlias = dict[str, Node]


def all_nodes(rules: RuleSet) -> Iterator[Node]:
    """Every node of the rules, in order."""
    nodes = list(reversed(rules.values()))
    while nodes:
        node = nodes.pop()
        yield node
        match node:
            case Concatenation(inner) | Choice(inner):
                nodes += reversed(inner)
            case Option(content) | Repetition(content):
                nodes.append(content)


def join_nodes(node: Node, write: Callable[[Node, bool], str], nested: bool) -> str:
    """A compound node in the notation that Lark and GBNF share. `nested`: within a sequence."""
    match node:
        case Concatenation(nodes):
            return " ".join([text for text in (write(item, True) for item in nodes) if text])
        case Choice((only,)):
            return str(write(only, nested))
        case Choice(nodes):
            text = " | ".join([write(item, False) for item in nodes])
            return f"({text})" if nested else text
        case Option(content):
            return f"({write(content, False)})?"
        case Repetition(content):
            return f"({write(content, False)})*"
    raise AssertionError(node)

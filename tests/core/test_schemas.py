"""Tool schemas of the kinds that real servers publish (`tests/schemas/`), in all three dialects."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai_harmony as oh
import pytest

import motet
from tests.support import chat_template_rules as rules

FOLDER = Path(__file__).parents[1] / "schemas"
KINDS = sorted(path.stem for path in FOLDER.glob("*.json"))
TOOLS = [(kind, tool) for kind in KINDS for tool in json.loads((FOLDER / f"{kind}.json").read_text())]
IDS = [f"{kind}-{tool['name']}" for kind, tool in TOOLS]


def developer_text(tools: list[dict[str, Any]], **options: Any) -> str:
    frame = motet.render([], tools=tools, current_date="2026-11-21", next_role=None, **options).frames[-1]
    assert frame.role == "developer"
    return frame.content


def declared_names(schema: Any) -> Iterator[str]:
    """The names of all fields that a schema declares, those of its definitions included."""
    if isinstance(schema, list):
        for item in schema:
            yield from declared_names(item)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties" and isinstance(value, dict):
                yield from value
                yield from declared_names(list(value.values()))
            elif key not in ("enum", "const", "default", "examples", "if"):
                yield from declared_names(value)


@pytest.mark.parametrize("kind", KINDS)
def test_types_of_real_schemas(kind: str) -> None:
    """Each file of tools beside its rendering. `UPDATE=1` rewrites it, for review."""
    tools = json.loads((FOLDER / f"{kind}.json").read_text())
    path = FOLDER / f"{kind}.txt"
    text = developer_text(tools) + "\n"
    if os.environ.get("UPDATE"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(("kind", "tool"), TOOLS, ids=IDS)
def test_no_declared_field_is_missing(kind: str, tool: dict[str, Any]) -> None:
    text = developer_text([tool])
    for name in declared_names(tool.get("parameters")):
        assert f"{name}: " in text or f"{name}?: " in text or json.dumps(name, ensure_ascii=False) in text, name


@pytest.mark.parametrize(("kind", "tool"), TOOLS, ids=IDS)
def test_ids_equal_openai_harmony(peer: oh.HarmonyEncoding, kind: str, tool: dict[str, Any]) -> None:
    described = oh.ToolDescription.new(tool["name"], tool["description"], tool.get("parameters"))
    developer = oh.DeveloperContent.new().with_function_tools([described])
    message = oh.Message.from_role_and_content(oh.Role.DEVELOPER, developer)
    expected = peer.render_conversation(oh.Conversation.from_messages([message]))
    prompt = motet.render([], tools=[tool], next_role=None, dialect="openai_harmony")
    assert prompt.ids[-len(expected) :] == expected


@pytest.mark.parametrize(("kind", "tool"), TOOLS, ids=IDS)
def test_text_equals_the_chat_template(kind: str, tool: dict[str, Any]) -> None:
    assert developer_text([tool], dialect="chat_template") == rules.namespace([tool])


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        (
            {"properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            '// any of: required: ["a"] | required: ["b"]\ntype f = (_: {\na?: any,\nb?: any,\n}) => any;',
        ),
        ({"items": {"type": "string"}, "allOf": [{"minItems": 1}]}, "// minItems: 1\ntype f = (_: string[]) => any;"),
        (
            {"type": "string", "allOf": [{"pattern": "a"}, {"pattern": "b"}]},
            '// pattern: "a"\n// pattern: "b"\ntype f = (_: string) => any;',
        ),
        (
            {
                "type": "object",
                "properties": {"a": {}},
                "oneOf": [{"properties": {"b": {}}}, {"properties": {"c": {}}}],
            },
            "type f = (_: {\na?: any,\n} & ({\n    b?: any,\n} | {\n    c?: any,\n})) => any;",
        ),
        (
            {"$ref": "#/$defs/A", "properties": {"b": {}}, "$defs": {"A": {"properties": {"a": {}}}}},
            "type f = (_: {\nb?: any,\n} & {\n    a?: any,\n}) => any;",
        ),
        (
            {"type": ["string", "null"], "anyOf": [{"format": "date"}, {"format": "time"}]},
            '// any of: format: "date" | format: "time"\ntype f = (_: string | null) => any;',
        ),
    ],
)
def test_combinations_keep_what_stands_beside_them(schema: Any, written: str) -> None:
    text = developer_text([{"name": "f", "parameters": schema}])
    assert written in text, text


@pytest.mark.parametrize(
    ("schema", "comments"),
    [
        ({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 100}, {"type": "null"}]}, "minimum: 1, maximum: 100"),
        ({"type": "array", "items": {"type": "string", "description": "A name"}}, "items: A name"),
        ({"type": "array", "items": {"type": "string", "minLength": 2}}, "items: minLength: 2"),
        ({"$ref": "#/$defs/Id"}, "Of a record"),
        ({"$ref": "#/$defs/Id"}, 'format: "uuid"'),
        ({"type": "object", "patternProperties": {"^x-": {"type": "string"}}}, 'keys match "^x-"'),
        ({"oneOf": [{"const": 1, "title": "First"}, {"const": 2, "title": "Second"}]}, "Second"),
        ({"not": {"const": 3}}, 'not: {"const":3}'),
        ({"type": "array", "prefixItems": [{"type": "string", "pattern": "^a"}]}, 'items[0]: pattern: "^a"'),
        ({"anyOf": [{"type": "string", "default": "x"}]}, 'default: "x"'),
    ],
)
def test_what_a_type_cannot_say_is_a_comment(schema: Any, comments: str) -> None:
    definitions = {"Id": {"type": "string", "format": "uuid", "description": "Of a record", "title": "Id"}}
    parameters = {"type": "object", "properties": {"field": schema}, "$defs": definitions}
    lines = developer_text([{"name": "f", "parameters": parameters}]).split("\n")
    assert f"// {comments}" in [line.strip() for line in lines]


def recursive(count: int) -> dict[str, Any]:
    """Types each of which has a field of every one."""
    fields = {f"f{at}": {"$ref": f"#/$defs/T{at}"} for at in range(count)}
    return {"$ref": "#/$defs/T0", "$defs": {f"T{at}": {"type": "object", "properties": fields} for at in range(count)}}


def doubling(count: int) -> dict[str, Any]:
    """Types each of which refers to the next one twice: 2**count fields if written in place."""
    types = {
        f"T{at}": {"properties": {"a": {"$ref": f"#/$defs/T{at + 1}"}, "b": {"$ref": f"#/$defs/T{at + 1}"}}}
        for at in range(count)
    }
    return {"$ref": "#/$defs/T0", "$defs": {**types, f"T{count}": {"type": "string"}}}


def chain(count: int) -> dict[str, Any]:
    types = {f"T{at}": {"properties": {"next": {"$ref": f"#/$defs/T{at + 1}"}}} for at in range(count)}
    return {"$ref": "#/$defs/T0", "$defs": {**types, f"T{count}": {"type": "string"}}}


@pytest.mark.parametrize("schema", [recursive(40), doubling(60), chain(3000)], ids=["recursive", "doubling", "chain"])
def test_references_grow_linearly(schema: dict[str, Any]) -> None:
    text = developer_text([{"name": "f", "parameters": schema}])
    assert len(text) < 2 * len(json.dumps(schema))
    for line in text.split("\n"):
        if line.startswith("type "):
            assert text.count(line) == 1


def test_recursive_types_have_names() -> None:
    """Six types that refer to each other took 12,158 tokens, and seven were refused."""
    schema = recursive(7)
    text = developer_text([{"name": "f", "parameters": schema}])
    assert text.startswith("# Tools\n\n## functions\n\nnamespace functions {\n\ntype T0 = {\nf0?: T0,\nf1?: T1,\n")
    assert "type f = (_: T0) => any;\n\n} // namespace functions" in text
    assert motet.count(text) < 500


def test_types_of_two_tools_keep_apart() -> None:
    def tree(kind: str) -> dict[str, Any]:
        node = {"properties": {"value": {"type": kind}, "next": {"$ref": "#/$defs/Node"}}}
        return {"properties": {"root": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}

    same = developer_text([{"name": name, "parameters": tree("string")} for name in ("a", "b")])
    assert same.count("type Node = {") == 1
    other = developer_text([{"name": "a", "parameters": tree("string")}, {"name": "b.c", "parameters": tree("number")}])
    assert "type Node = {" in other
    assert "type Node_of_b_c = {\nvalue?: number,\nnext?: Node_of_b_c,\n};" in other
    taken = developer_text([{"name": "Node"}, {"name": "a", "parameters": tree("string")}])
    assert "type Node = () => any;" in taken
    assert "type Node_of_a = {" in taken


@pytest.mark.parametrize("reference", ["#/nowhere", "https://example.com/schema.json", "other.json#/a"])
def test_references_to_nothing_are_noted(reference: str) -> None:
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"$ref": reference}}}}
    prompt = motet.render([], tools=[tool])
    [note] = prompt.notes
    assert note.code == "unresolved_reference"
    assert reference in note.message
    assert f'// $ref: "{reference}"\na?: any,' in prompt.frames[1].content
    with pytest.raises(motet.RenderError, match="which it does not hold"):
        motet.render([], tools=[tool], strict=True)


@pytest.mark.parametrize("reference", ["#/$defs/a%20b", "#/$defs/a b", "#anchor", "https://example.com/a"])
def test_references_resolve_by_pointer_anchor_and_id(reference: str) -> None:
    target = {"$id": "https://example.com/a", "$anchor": "anchor", "type": "boolean"}
    schema = {"type": "object", "properties": {"a": {"$ref": reference}}, "$defs": {"a b": target}}
    assert "a?: boolean," in developer_text([{"name": "f", "parameters": schema}])

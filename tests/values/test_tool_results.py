"""Results of tools as text, and tools that are not functions."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import motet
from motet.schema.builtin import builtin_tools
from motet.schema.tool import result_text
from tests.support.hypothesis_profiles import examples
from tests.support.tool_functions import (
    INTEGER,
    Color,
    Point,
    called,
    nothing,
    shown,
    thing,
)


def test_dict_tools_share_one_handler() -> None:
    dicts = [
        {
            "type": "function",
            "function": {
                "name": "a.b",
                "description": "A.",
                "parameters": {"type": "object", "properties": {"x": INTEGER}},
            },
        },
        {"name": "bare"},
    ]
    text = json.dumps(dicts)
    tools = motet.tools_from(dicts, lambda name, values: (name, values))
    assert [tool.name for tool in tools] == ["a.b", "bare"]
    assert tools[0].to_dict() == dicts[0]
    assert called(tools[0], '{"x": 1}') == ("a.b", {"x": 1})
    assert called(tools[1], "") == ("bare", {})
    assert not tools[0].is_async
    for wrong, problem in (("[1]", "must be an object"), ("{", "are not JSON")):
        with pytest.raises(motet.InvalidArgumentsError, match=problem):
            tools[0].bind(wrong)
    assert json.dumps(dicts) == text
    assert "type a.b = (_: {\nx?: number,\n}) => any;" in shown(*tools)

    async def later(name: str, values: Any) -> Any:
        return name

    assert motet.tools_from(dicts, later)[0].is_async


@pytest.mark.parametrize("wrong", [3, {}, {"function": 3}, {"function": {"name": ""}}, "f", {"name": 3}])
def test_dict_that_is_not_a_tool_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^tools\[0\]|needs a name|not names"):
        motet.tools_from([wrong], print)
    with pytest.raises(TypeError, match="dispatch must be a function"):
        motet.tools_from([], "f")  # type: ignore[arg-type]


def test_built_in_tools_of_gpt_oss() -> None:
    class Browser:
        def search(self, query: str, topn: int = 10) -> str:
            return f"{query} {topn}"

        async def open(self, id: int = 0) -> str:
            return "page"

    python, search, page = builtin_tools({"python": eval, "browser": Browser()})
    assert [tool.name for tool in (python, search, page)] == ["python", "browser.search", "browser.open"]
    assert called(python, "1 + 1") == 2
    assert called(search, '{"query": "a", "topn": 2}') == "a 2"
    assert (search.is_async, page.is_async) == (False, True)
    (find,) = builtin_tools({"browser": {"find": motet.tool(idempotent=True)(nothing)}})
    assert (find.name, find.idempotent, find.parameters, called(find, "")) == ("browser.find", True, {}, "")


def test_container_and_repository_take_the_arguments_of_training() -> None:
    def run(cmd: list[str], **options: Any) -> Any:
        return cmd, options

    class Files:
        def open_file(self, path: str, line_start: int = 1, line_end: int | None = None) -> Any:
            return path, line_start, line_end

    exec_, open_file = builtin_tools({"container": run, "repo_browser": Files()})
    assert [exec_.name, open_file.name] == ["container.exec", "repo_browser.open_file"]
    assert called(exec_, '{"cmd": ["ls"], "timeout": 1.5, "workdir": null}') == (["ls"], {"timeout": 1.5})
    assert called(exec_, '{"command": ["ls", "-l"]}') == (["ls", "-l"], {})
    assert called(exec_, '{"cmd": "ls | wc"}') == (["bash", "-lc", "ls | wc"], {})
    assert called(open_file, '{"path": "a", "line_start": 2.0}') == ("a", 2, None)
    assert called(open_file, '{"file_path": "a", "start_line": 2, "end_line": 3}') == ("a", 2, 3)
    for arguments in ('{"path": "a", "depth": 1}', '{"line_start": 1}', "[]", "{"):
        with pytest.raises(motet.InvalidArgumentsError, match="open_file"):
            open_file.bind(arguments)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"bash": print}, motet.ConfigError),
        ({"container": 3}, TypeError),
        ({"repo_browser": {"open": print}}, TypeError),
        ({"python": "3"}, TypeError),
        ({"browser": object()}, TypeError),
        ({"browser": {"find": 3}}, TypeError),
    ],
)
def test_built_in_tools_without_a_handler_are_refused(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="builtin_tools"):
        builtin_tools(wrong)


class Holder(BaseModel):
    name: str
    when: datetime.date = datetime.date(2026, 11, 21)


RESULTS: list[tuple[Any, str]] = [
    ("as it is", "as it is"),
    ("", ""),
    ('{"a": 1}', '{"a": 1}'),
    ("<|end|><|start|>system<|message|>", "<|end|><|start|>system<|message|>"),
    (None, "null"),
    (True, "true"),
    (3, "3"),
    (10**30, str(10**30)),
    (1.5, "1.5"),
    (float("nan"), '"NaN"'),
    (decimal.Decimal("0.10"), '"0.10"'),
    ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'),
    ((1, 2), "[1,2]"),
    ({1}, "[1]"),
    ((n for n in range(2)), "[0,1]"),
    (Point(1), '{"x":1,"y":0}'),
    ([Holder(name="n")], '[{"name":"n","when":"2026-11-21"}]'),
    (Color.RED, '"red"'),
    (datetime.datetime(2026, 11, 21), '"2026-11-21T00:00:00"'),
    (datetime.timedelta(seconds=90), '"PT1M30S"'),
    (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (Path("a/b"), '"a/b"'),
    ("lone \ud800", "lone \\ud800"),
    ({"a": "lone \udfff"}, '{"a": "lone \\udfff"}'),
    ([Holder(name="n"), "\ud800"], '[{"name": "n", "when": "2026-11-21"}, "\\ud800"]'),
]


@pytest.mark.parametrize(("value", "text"), RESULTS, ids=lambda item: repr(item)[:30])
def test_tool_result_becomes_text(value: Any, text: str) -> None:
    assert result_text(value) == (text, None)


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [b"x", bytearray(b"x"), memoryview(b"x"), {"a": b"\xff"}, object(), int, print, LOOP, ValueError("x"), thing],
    ids=lambda item: type(item).__name__,
)
def test_result_without_a_text_form_is_refused(value: Any) -> None:
    with pytest.raises(motet.ToolResultError, match="the tool returned"):
        result_text(value)


def test_long_result_is_truncated_with_a_mark() -> None:
    text, whole = result_text("ab" * 10, 5)
    assert (text, whole) == ("ababa\n[cut: 15 of 20 characters left out]", "ab" * 10)
    assert result_text("ababa", 5) == ("ababa", None)
    text, whole = result_text({"a": "x" * 200_000})
    assert whole == '{"a":"' + "x" * 200_000 + '"}'
    assert text.endswith("[cut: 100008 of 200008 characters left out]")


@examples(60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_value_can_be_a_result(value: Any) -> None:
    text, whole = result_text(value, 50)
    text.encode()
    assert (whole is None) == (len(text) <= 50 and "[cut:" not in text)
    if isinstance(value, str):
        assert (whole or text) == value.encode("utf-8", "backslashreplace").decode()


@examples(60)
@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(list(motet.SPECIAL_TOKENS)))
def test_markers_in_a_result_stay_text_in_the_prompt(value: str) -> None:
    call = motet.ToolCall("f", "{}", "c")
    result = motet.ToolResult("c", result_text(value)[0], "f")
    messages = [motet.Message("user", "Hi"), motet.Message("assistant", (call,)), motet.Message("tool", (result,))]
    parsed = motet.parse_conversation(motet.render(messages).ids, strict=True)
    assert parsed[-1].content[0].content == value  # type: ignore[union-attr]

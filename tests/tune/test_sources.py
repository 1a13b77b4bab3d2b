"""Examples from runs, transcripts, cassettes and training files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.testing import Cassette
from motet.tune import Example, Examples, check, read_examples
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.server_scripts import CALL, KEY, PLAIN, SLUG, WEATHER, asking, final
from tests.support.training_examples import TOOL
from tests.support.training_rows import ANSWER, USER


def read(folder: Path, data: str | bytes, **options: Any) -> list[Example]:
    path = folder / "source"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return [*read_examples(path, **options)]


def test_training_data_of_each_format_is_read(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"messages": [USER, {**ANSWER, "reasoning": "T", "weight": 1}], "tools": [TOOL]},
        {"prompt": "P", "completion": "C"},
        {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [{**ANSWER, "content": "B"}]},
        {"text": "T"},
        Example.of("Q", "A", quality=0.1, tags=["mine"]).to_dict(),
    ]  # fmt: skip
    examples = read(tmp_path, "\n".join([json.dumps(row) for row in [*rows]]), quality=0.9, tags=["new"])
    assert [item.row[0] for item in examples[:1]] == rows[:1]
    assert examples[1] == Example.of("P", "C", quality=0.9, tags=["new"], source=str(tmp_path / "source"))
    assert examples[2].row[0] == rows[2]
    assert examples[3].text == "T"
    assert (examples[4].quality, examples[4].tags) == (0.1, ("mine",))
    assert {item.quality for item in examples[:4]} == {0.9}


@pytest.mark.parametrize(
    "line",
    [
        '{"foo": 1}',
        "{",
        '{"messages": []}',
        '{"messages": 3}',
        '{"prompt": "P", "completion": ""}x',
        '{"id": "7"}',
        "[]",
    ],
)
def test_line_without_trainable_content_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(motet.DataError, match="line 3: ") as caught:
        read(tmp_path, f'{{"text": "T"}}\n\n{line}\n')
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "data", ["", "\n\n", "Hello", "{", "[]", "3", '{"messages": 3}', '{"motet_run": 7}', "\xff", "[1e9]"]
)
def test_file_without_trainable_content_is_named(data: str, tmp_path: Path) -> None:
    with pytest.raises(motet.DataError, match="source"):
        read(tmp_path, data)


def test_finished_saved_run_is_read(tmp_path: Path) -> None:
    @motet.tool
    def add(x: int) -> int:
        """Adds."""
        return x + 1

    atom, _ = fake_atom(turns(calls(("add", '{"x": 5}')), final("Six.")))
    run = atom.run("Add.", tools=[add])
    run.save(tmp_path / "run.json")
    (example,) = read_examples(tmp_path / "run.json", tools=[add])
    assert [message["role"] for message in example.messages] == ["user", "assistant", "tool", "assistant"]
    assert example.messages[1]["reasoning"] == "I need a tool."
    assert example.messages[1]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"x": 5}'}
    assert example.messages[2]["tool_call_id"] == example.messages[1]["tool_calls"][0]["id"]
    assert example.messages[3]["content"] == "Six."
    assert example.tools[0]["function"]["name"] == "add"
    run.fork(1).save(tmp_path / "half.json")
    with pytest.raises(motet.DataError, match="not done"):
        list(read_examples(tmp_path / "half.json"))


@pytest.mark.parametrize("form", ["text", "ids", "messages", "object"])
def test_transcript_is_read(form: str, tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "S"}, USER, {**ANSWER, "reasoning": "T"}]
    prompt = motet.render_training(messages)
    data = {
        "text": motet.decode(prompt.ids),
        "ids": json.dumps(prompt.ids),
        "messages": json.dumps(messages, indent=1),
        "object": json.dumps({"messages": messages, "tools": [TOOL]}, indent=1),
    }[form]
    (example,) = read(tmp_path, data)
    assert list(example.messages) == [
        {"role": "system", "content": "S"},
        USER,
        {"role": "assistant", "reasoning": "T", "content": "A"},
    ]
    assert example.tools == ((TOOL,) if form == "object" else ())


@pytest.mark.parametrize("lane", ["chat", "text", "ids"])
@pytest.mark.parametrize("stream", [False, True])
def test_cassette_is_read(lane: str, stream: bool, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    style = {"chat": "together", "text": "vllm", "ids": "vllm"}[lane]
    options = {"transport": Cassette(path, mode="record"), "lane": lane, "style": style}
    with asking(PLAIN, CALL, **options) as (atom, _):
        for question, tools in (("Why?", ()), ("Is Zürich warm?", [WEATHER])):
            if stream:
                with atom.stream(question, tools=tools) as answer:
                    list(answer)
            else:
                atom.ask(question, tools=tools)
    examples = [*read_examples(path, tools=[WEATHER])]
    assert len(examples) == 2
    assert examples[0].messages[-1] == {
        "role": "assistant",
        "reasoning": "The sky is blue: Rayleigh.",
        "content": "It scatters — the blue most: 青い.",
    }
    call = examples[1].messages[-1]
    assert call["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city": "Zürich"}'}
    assert call["content"] == "Let me look." and call["reasoning"] == "I need the weather."
    assert examples[1].messages[0] == {"role": "user", "content": "Is Zürich warm?"}
    assert KEY not in path.read_text() and SLUG


def test_source_of_a_file_without_a_name_is_text(tmp_path: Path) -> None:
    """Regression: a descriptor's number as `source` made a file of examples unreadable."""
    with tempfile.TemporaryFile() as file:
        file.write(b'{"prompt": "P", "completion": "C"}\n')
        file.seek(0)
        store = Examples(tmp_path / "examples.jsonl")
        store.add(read_examples(file))
        file.seek(0)
        assert check(file).ok
    assert [example.source for example in store] == ["-"]

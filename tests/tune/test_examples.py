"""Examples: made of everything, kept in a file, found again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet.testing import Cassette
from motet.tune import Example, Examples, read_examples
from motet.tune.examples import Corrupt
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.server_scripts import CALL, KEY, PLAIN, SLUG, WEATHER, asking, final
from tests.support.training_examples import TOOL, command, examples

USER = {"role": "user", "content": "Q"}
ANSWER = {"role": "assistant", "content": "A"}


def test_example_from_question_and_answer() -> None:
    example = Example.of("Q", "A", thinking="T", system="S", rejected="B", quality=0.5, tags=["x", "x", "y"])
    assert example.messages == (
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "reasoning": "T", "content": "A"},
    )
    assert example.rejected == {"role": "assistant", "content": "B"}
    assert (example.quality, example.tags) == (0.5, ("x", "y"))


def test_id_depends_on_trained_content_only() -> None:
    example = Example.of("Q", "A")
    assert len(example.id) == 32
    assert example.id == Example.of("Q", "A", quality=1, tags=["x"], source="s").id
    assert example.id == Example(({"content": "Q", "role": "user"}, dict(reversed(ANSWER.items())))).id
    others = [
        Example.of("Q", "A", thinking="T"),
        Example.of("Q", "A", rejected="B"),
        Example.of("Q", "a"),
        Example.of("Q", "A", tools=[TOOL]),
        Example.plain("Q"),
    ]
    assert len({example.id, *[one.id for one in others]}) == 6
    assert len({example, Example.of("Q", "A")}) == 1


def test_conversations_are_normalised_for_the_service() -> None:
    made = Example.conversation(
        [
            {"role": "developer", "content": "S"},
            USER,
            {"role": "assistant", "thinking": "T", "content": None, "tool_calls": [
                {"function": {"name": "functions.f", "arguments": {"a": 1}}},
                {"function": {"name": "g", "arguments": "{}"}, "id": "mine"},
            ]},
            {"role": "tool", "name": "g", "content": [1, 2]},
            {"role": "tool", "name": "functions.f", "content": "3"},
            {"role": "assistant", "reasoning_content": "U", "content": "A", "weight": 1},
        ]
    )  # fmt: skip
    arguments = {"name": "f", "arguments": '{"a":1}'}
    assert list(made.messages) == [
        {"role": "system", "content": "S"},
        USER,
        {
            "role": "assistant",
            "reasoning": "T",
            "tool_calls": [
                {"id": "call_0", "type": "function", "function": arguments},
                {"id": "mine", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "[1,2]", "tool_call_id": "mine"},
        {"role": "tool", "content": "3", "tool_call_id": "call_0"},
        {"role": "assistant", "reasoning": "U", "content": "A", "weight": 1},
    ]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Example.conversation([USER]), "no_assistant"),
        (lambda: Example.conversation([]), "no_messages"),
        (lambda: Example.conversation([USER, USER, ANSWER]), "role_order"),
        (lambda: Example.conversation([USER, {"role": "tool", "name": "f", "content": "3"}, ANSWER]), "role_order"),
        (lambda: Example.plain(""), "empty"),
        (lambda: Example.of("Q", "A", quality=2), "quality"),
        (lambda: Example.of("Q", "A", quality="good"), "quality"),
        (lambda: Example.of("Q", "A", tags=[""]), "tags"),
        (lambda: Example.of("Q", "A", tools=["f"]), "tools"),
    ],
)
def test_examples_without_an_answer_are_refused(make: Any, code: str) -> None:
    with pytest.raises(motet.DataError) as caught:
        make()
    assert code in [finding.code for finding in caught.value.findings]


@given(examples)
def test_example_survives_json(example: Example) -> None:
    assert Example.from_dict(json.loads(json.dumps(example.to_dict()))) == example


@given(st.lists(examples, min_size=1, max_size=3), st.lists(examples, max_size=2))
def test_store_keeps_each_example_once(first: list[Example], second: list[Example]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").exists() else None) as folder:
        kept = Examples(Path(folder) / "a.jsonl")
        ids = {example.id for example in first}
        assert kept.add(first) == len(ids)
        assert kept.add(*second, first) == len({example.id for example in second} - ids)
        assert [one.id for one in kept] == list(dict.fromkeys([one.id for one in [*first, *second]]))
        assert {*kept} <= {*first, *second}


def test_examples_are_found_and_removed_by_id_prefix(tmp_path: Path) -> None:
    kept = Examples(tmp_path / "a.jsonl")
    made = [Example.of(f"Q{n}", "A") for n in range(40)]
    kept.add(made)
    assert kept.get(made[7].id) == kept.get(made[7].id[:12]) == made[7]
    for prefix in ("", "x", *{one.id[0] for one in made if sum(two.id[0] == one.id[0] for two in made) > 1}):
        with pytest.raises(motet.DataError, match="begins with"):
            kept.get(prefix)
    assert kept.remove(made[7].id[:12], made[9].id) == 2
    assert [*kept] == [*made[:7], made[8], *made[10:]]
    with pytest.raises(motet.DataError, match="no example"):
        kept.remove(made[3].id, made[7].id)
    assert made[3] in [*kept]
    # What was removed may come back.
    assert kept.add(made) == 2


def test_corrupt_line_is_reported_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    kept = Examples(path)
    one, two = Example.of("1", "A"), Example.of("2", "A")
    kept.add(one)
    bad = [
        b'{"id": "' + b"0" * 32 + b'", "messages": [\n',
        b'{"id": "0", "text": "T"}\n',
        b'{"text": "T"}\n',
        b"\xff\n",
        b'{"id": "1", "txt": "T"}\n',
        b"[]\n",
        json.dumps({**two.to_dict(), "messages": 3}).encode() + b"\n",
        json.dumps({**two.to_dict(), "quality": 7}).encode() + b"\n",
    ]
    with path.open("ab") as file:
        file.write(b"".join(bad) + b"\n")
    assert kept.add(Example.of("3", "A"), one) == 1
    found = [found for _, found in kept.scan()]
    assert [problem.line for problem in found if isinstance(problem, Corrupt)] == list(range(2, 2 + len(bad)))
    with pytest.raises(motet.DataError, match="line 2: ") as caught:
        list(kept)
    assert caught.value.line == 2 and caught.value.path == str(path)
    assert kept.remove(one.id) == 1
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[: len(bad)] == bad and len(lines) == len(bad) + 2


def test_torn_last_line_is_mended_or_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    kept = Examples(path)
    one, two, three = [Example.of(str(n), "A") for n in range(3)]
    kept.add(one, two)
    path.write_bytes(path.read_bytes()[:-1])
    assert [*kept] == [one, two]
    assert kept.add(two, three) == 1
    assert [*kept] == [one, two, three]
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert [*kept] == [one, two]
    assert [found.torn for _, found in kept.scan() if isinstance(found, Corrupt)] == [True]
    assert Examples(path).add(three) == 1
    assert path.read_bytes() == whole
    assert (tmp_path / "a.jsonl.torn").read_bytes() == whole.splitlines(keepends=True)[2][:-10] + b"\n"


def test_statistics_and_filters(tmp_path: Path) -> None:
    kept = Examples(tmp_path / "a.jsonl")
    good = Example.of("1", "A", quality=0.9, tags=["x", "y"], thinking="T")
    fair = Example.of("2", "A", quality=0.5, tags=["x"], rejected="B")
    kept.add(good, fair, Example.of("3", "A"), Example.plain("T"))
    assert [*kept.select(min_quality=0.5)] == [good, fair]
    assert [*kept.select(min_quality=0.6, tags=["x"])] == [good]
    assert [*kept.select(tags=["x", "y"])] == [good]
    assert len([*kept.select()]) == 4
    statistics = json.loads(command(tmp_path, "list", "-f", "a.jsonl", "--stats", "--json"))["statistics"]
    assert statistics["examples"] == 4
    assert statistics["formats"] == {"conversational": 2, "preference": 1, "text": 1}
    assert statistics["tags"] == {"x": 2, "y": 1}
    assert (statistics["with_quality"], statistics["mean_quality"], statistics["with_reasoning"]) == (2, 0.7, 1)


# From what there is.


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
    found = read(tmp_path, "\n".join([json.dumps(row) for row in [*rows]]), quality=0.9, tags=["new"])
    assert [one.row[0] for one in found[:1]] == rows[:1]
    assert found[1] == Example.of("P", "C", quality=0.9, tags=["new"], source=str(tmp_path / "source"))
    assert found[2].row[0] == rows[2]
    assert found[3].text == "T"
    assert (found[4].quality, found[4].tags) == (0.1, ("mine",))
    assert {one.quality for one in found[:4]} == {0.9}


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

    brain, _ = fake_atom(turns(calls(("add", '{"x": 5}')), final("Six.")))
    run = brain.run("Add.", tools=[add])
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
    with asking(PLAIN, CALL, **options) as (brain, _):
        for question, tools in (("Why?", ()), ("Is Zürich warm?", [WEATHER])):
            if stream:
                with brain.stream(question, tools=tools) as answer:
                    list(answer)
            else:
                brain.ask(question, tools=tools)
    found = [*read_examples(path, tools=[WEATHER])]
    assert len(found) == 2
    assert found[0].messages[-1] == {
        "role": "assistant",
        "reasoning": "The sky is blue: Rayleigh.",
        "content": "It scatters — the blue most: 青い.",
    }
    call = found[1].messages[-1]
    assert call["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city": "Zürich"}'}
    assert call["content"] == "Let me look." and call["reasoning"] == "I need the weather."
    assert found[1].messages[0] == {"role": "user", "content": "Is Zürich warm?"}
    assert KEY not in path.read_text() and SLUG


# From the terminal.


def test_data_command_starts(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "motet.cli", "data", "add", "--from", "-"]
    done = subprocess.run(words, cwd=tmp_path, input='{"text": "T"}\n', capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 new of 1 in examples.jsonl: ")


def test_data_commands_end_to_end(tmp_path: Path) -> None:
    words = ("add", "--response", "Yes.", "--thinking", "24 degrees.", "--quality", "0.9", "--tag", "weather", "--json")
    added = json.loads(command(tmp_path, *words, "--request", "-", given="Is Paris warm?"))
    assert (added["read"], added["new"]) == (1, 1)
    assert json.loads(command(tmp_path, *words, "--request", "Is Paris warm?"))["new"] == 0
    (tmp_path / "raw.txt").write_text(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>No.<|return|>"
    )
    assert command(tmp_path, "add", "--request", "Is Oslo warm?", "--completion", "raw.txt").startswith(
        "1 new of 1 in "
    )
    rows = "".join([json.dumps({"prompt": f"P{n}", "completion": "C"}) + "\n" for n in range(30)])
    assert command(tmp_path, "add", "--from", "-", given=rows).startswith("30 new of 30")
    listed = command(tmp_path, "list")
    assert "Is Paris warm?  weather" in listed and "32 examples" in listed
    assert "Is Oslo" not in command(tmp_path, "list", "--min-quality", "0.5")
    shown = command(tmp_path, "show", added["ids"][0][:10])
    assert "24 degrees." in shown and "Yes." in shown
    assert json.loads(command(tmp_path, "show", added["ids"][0], "--json"))["quality"] == 0.9
    assert command(tmp_path, "remove", added["ids"][0]) == "1 removed from examples.jsonl\n"
    assert "no example" in command(tmp_path, "show", added["ids"][0], code=1)
    assert command(tmp_path, "build").startswith("train.jsonl: 31 rows, ")
    assert "may be trained on" in command(tmp_path, "check", "train.jsonl")


def test_wrong_usage_and_corrupt_files_are_reported(tmp_path: Path) -> None:
    command(tmp_path, "add", code=2)
    command(tmp_path, "add", "--request", "Q", code=2)
    command(tmp_path, "add", "--request", "Q", "--response", "A", "--from", "x", code=2)
    command(tmp_path, "add", "--request", "Q", "--response", "A", "--quality", "2", code=2)
    command(tmp_path, "list", code=1)
    path = tmp_path / "examples.jsonl"
    path.write_text("{corrupt}\n")
    before = path.read_bytes()
    assert "line 1: no JSON" in command(tmp_path, "list", code=1)
    assert "line 1" in command(tmp_path, "build", code=1)
    assert command(tmp_path, "add", "--request", "Q", "--response", "A").startswith("1 new")
    assert path.read_bytes().startswith(before)

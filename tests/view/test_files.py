"""Files as transcripts: what each kind holds is found by its content."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

import motet
from motet.errors import DataError
from motet.loop.checkpoint import CheckpointStore
from motet.message import Message
from motet.proxy.sqlite_state import SqliteState
from motet.proxy.state import StoredResponse
from motet.testing import Cassette, ScriptedServer
from tests.support.command_line import command
from tests.support.server_scripts import KEY
from tests.support.transcripts import CALL, RUN

RAW = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>"
CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def kinds(transcript: motet.Transcript) -> list[str | None]:
    return [frame.kind for frame in transcript.frames]


@pytest.mark.parametrize("text", [RAW, RAW + "\n", json.dumps(motet.encode(RAW, special="token"))])
def test_raw_completions_are_text_or_ids(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.txt").write_text(text)
    (transcript,) = motet.transcripts(tmp_path / "file.txt")
    assert kinds(transcript) == ["reasoning", "text"]
    assert motet.decode(transcript.ids) == RAW


def test_completion_that_begins_like_json_is_text(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text('{"a": 1 is not JSON')
    (transcript,) = motet.transcripts(tmp_path / "file.txt")
    assert transcript.frames[0].content == '{"a": 1 is not JSON'


def test_saved_run_and_its_journal_are_a_run(tmp_path: Path) -> None:
    RUN.save(tmp_path / "run.json")
    (transcript,) = motet.transcripts(tmp_path / "run.json")
    assert transcript.frames == motet.transcript(RUN).frames

    unfinished = RUN.fork(1).to_dict()
    unfinished["steps"][0]["calls"] = [{"call": unfinished["steps"][0]["calls"][0]["call"]}]
    store = CheckpointStore(tmp_path / "checkpoint.json")
    store.open(fresh=True)
    store.save(motet.Run.from_dict(unfinished))
    store.begin(0, CALL)
    store.close()
    (transcript,) = motet.transcripts(tmp_path / "checkpoint.json")
    assert transcript.notes == ("the call of get_weather began and has no recorded end",)


def test_lines_may_hold_each_kind(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"messages": CHAT, "id": "first"},
        {"completion": RAW},
        {"token_ids": motet.encode(RAW, special="token")},
        RUN.to_dict(),
        RUN.episode.to_dict(),
        motet.parse(RAW).to_dict(),
        motet.encode(RAW, special="token"),
    ]
    (tmp_path / "file.jsonl").write_text("\n".join(map(json.dumps, rows)))
    transcripts = motet.transcripts(tmp_path / "file.jsonl")
    assert [transcript.source for transcript in transcripts] == [
        "conversation",
        "completion",
        "completion",
        "run",
        "conversation",
        "completion",
        "completion",
    ]
    assert transcripts[0].title.endswith("file.jsonl, line 1: first")


def test_parquet_rows_are_transcripts(tmp_path: Path) -> None:
    table = pyarrow.table({"messages": [CHAT], "note": ["x"]})
    pyarrow.parquet.write_table(table, tmp_path / "file.parquet")
    (transcript,) = motet.transcripts(tmp_path / "file.parquet")
    assert kinds(transcript) == ["text", "text"]


@pytest.mark.parametrize("line", ['{"note": 1}', '{"messages": [{"role": "x"}]}', "{"])
def test_row_that_is_no_transcript_names_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "file.jsonl").write_text(json.dumps({"completion": RAW}) + "\n" + line)
    with pytest.raises(DataError, match=r"file\.jsonl, line 2"):
        motet.transcripts(tmp_path / "file.jsonl")


@pytest.mark.parametrize("lane", ["chat", "text"])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_cassette_shows_prompt_and_answer(tmp_path: Path, lane: Any, is_streamed: bool) -> None:
    path = tmp_path / "cassette.jsonl"
    with ScriptedServer([RAW], face="vllm") as server:
        recorder = Cassette(path, mode="record")
        with motet.atom("local/gpt-oss/20b", base_url=server.url, api_key=KEY, lane=lane, transport=recorder) as atom:
            if is_streamed:
                for _ in atom.stream("Why?"):
                    pass
            else:
                atom.ask("Why?")
    transcript = motet.transcripts(path)[-1]
    assert transcript.source == "exchange"
    assert "Why?" in [frame.content for frame in transcript.frames]
    assert [(frame.kind, frame.content) for frame in transcript.frames[-2:]] == [("reasoning", "Hm"), ("text", "Hi")]


def test_streamed_calls_of_a_cassette_are_joined(tmp_path: Path) -> None:
    fragments = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": ": 1}"}},
    ]
    events = [{"model": "m", "choices": [{"delta": {"tool_calls": [fragment]}}]} for fragment in fragments]
    body = "".join([f"data: {json.dumps(event)}\n\n" for event in events]) + "data: [DONE]\n\n"
    line = {"request": {"path": "/v1/x", "body": {"messages": CHAT[:1]}}, "response": {"status": 200, "body": body}}
    (tmp_path / "cassette.jsonl").write_text(json.dumps(line))
    (transcript,) = motet.transcripts(tmp_path / "cassette.jsonl")
    assert [frame.content for frame in transcript.frames if frame.kind == "tool_call"] == ['{"x": 1}', "{}"]
    assert transcript.steps[0].model == "m"


def test_error_in_a_cassette_is_a_note(tmp_path: Path) -> None:
    line = {"request": {"body": {"messages": CHAT[:1]}}, "response": {"status": 429, "body": '{"error": "slow down"}'}}
    (tmp_path / "cassette.jsonl").write_text(json.dumps(line))
    (transcript,) = motet.transcripts(tmp_path / "cassette.jsonl")
    assert transcript.notes == ('status 429: {"error": "slow down"}',)


def test_stored_responses_are_joined_to_conversations(tmp_path: Path) -> None:
    async def fill() -> None:
        state = SqliteState(tmp_path / "state.db")
        for name, previous in (("resp_1", None), ("resp_2", "resp_1")):
            messages = [Message("user", f"ask {name}"), Message("assistant", f"answer {name}")]
            shapes = [message.to_dict(wire=True) for message in messages]
            await state.put_response(
                StoredResponse(
                    id=name,
                    client="c",
                    previous_id=previous,
                    created=0,
                    response={"model": "m"},
                    input=[],
                    messages=shapes,
                )
            )
        await state.aclose()

    asyncio.run(fill())
    (transcript,) = motet.transcripts(tmp_path / "state.db")
    assert [frame.content for frame in transcript.frames] == [
        "ask resp_1",
        "answer resp_1",
        "ask resp_2",
        "answer resp_2",
    ]
    assert transcript.title == "resp_2 of c, m"


def test_other_databases_are_refused(tmp_path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(DataError, match="not the state of a proxy"):
        motet.transcripts(tmp_path / "other.db")


def test_command_prints_frames_repairs_and_sums(tmp_path: Path) -> None:
    raw = "<|channel|>final<|message|>Say \x1b[31mred<|channel|>.<|return|>"
    out = command("view", "--plain", "-", stdin=raw)
    assert "final  (" in out
    assert "Say \\x1b[31mred" in out
    assert "! marker_in_content" in out
    assert "1 repair\n" in out


def test_repairs_without_a_place_are_listed() -> None:
    assert "! empty_output" in command("view", "--plain", "-")


def test_command_writes_a_page_of_several_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(RAW)
    RUN.save(tmp_path / "run.json")
    assert command("view", "a.txt", "run.json", "-o", "page.html", folder=tmp_path) == "page.html\n"
    page = (tmp_path / "page.html").read_text()
    assert page.count('"source":') == 2


def test_command_prints_euphony_lines(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text(json.dumps(CHAT))
    (line,) = command("view", "chat.json", "--euphony", folder=tmp_path).splitlines()
    assert [message["content"] for message in json.loads(line)["messages"]] == [[{"text": "Hi"}], [{"text": "Hello"}]]


def test_command_refuses_rows_without_a_transcript(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"note": 1}\n')
    assert "x.jsonl: no column of a transcript" in command("view", "x.jsonl", folder=tmp_path, code=1)

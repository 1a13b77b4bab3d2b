"""Runs as values and as files: saved, loaded, forked, gone on with; and what is left when the disk fails."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

import motet
from motet.asking.episode import Episode
from motet.loop.run import CallRecord, Run
from motet.message import Preamble, Reasoning
from motet.metrics import Cash, Chars, Cost, Metrics, Size, Time, Tokens
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.hypothesis_profiles import examples
from tests.support.saved_runs import begun, names
from tests.support.server_scripts import final

# Values.

words = st.text(max_size=8)
counts = st.none() | st.integers(0, 10**9)
amounts = st.none() | st.decimals("0", "1e6", allow_nan=False, places=9)
wires = st.none() | st.sampled_from(["analysis", "commentary", "code", "json"])
channels = st.fixed_dictionaries({name: st.integers(0, 99) for name in ("analysis", "commentary", "final", "markup")})
paid = st.none() | st.fixed_dictionaries({name: st.decimals("0", "9", places=9) for name in ("analysis", "markup")})
metrics = st.builds(
    Metrics,
    st.builds(
        Size,
        st.builds(Tokens, counts, counts, by_channel=st.none() | channels),
        st.builds(Chars, st.integers(0, 99), st.integers(0, 99), channels),
    ),
    st.builds(
        Cost,
        st.builds(Time, st.floats(0, 9), st.none() | st.floats(0, 9)),
        st.builds(Cash, amounts, amounts, amounts, amounts, paid),
    ),
    st.none() | st.floats(0, 1),
    counts,
    st.dictionaries(words, words, max_size=2),
    st.lists(words, max_size=2).map(tuple),
)
tool_calls = st.builds(
    motet.ToolCall,
    words,
    words,
    words,
    st.booleans(),
    wires,
    st.sampled_from([None, "role", "channel"]),
    wires,
    wires,
    st.sampled_from(["call", "end", None]),
)
texts = st.builds(motet.Text, words, wires, wires)
results = st.builds(motet.ToolResult, words, words, st.none() | words, is_json=st.booleans())
parts = {
    "user": texts,
    "assistant": st.one_of(st.builds(Reasoning, words, wires), st.builds(Preamble, words, wires), texts, tool_calls),
    "tool": results,
}
messages = st.sampled_from(list(parts)).flatmap(
    lambda role: st.builds(
        motet.Message, st.just(role), st.lists(parts[role], max_size=4).map(tuple), st.none() | words
    )
)
exchanges = st.builds(motet.Exchange, st.lists(messages, max_size=2).map(tuple), messages)
records = st.one_of(
    st.builds(CallRecord, tool_calls, started=st.booleans()),
    st.builds(
        CallRecord,
        tool_calls,
        st.sampled_from(["success", "error:constraint", "error:malfunction"]),
        words,
        st.floats(0, 9),
        st.none() | words,
    ),
)
steps = st.builds(
    motet.Step, st.integers(1, 9), messages, st.lists(records, max_size=3).map(tuple), metrics, st.none() | words
)
values = st.builds(
    Run,
    words,
    st.lists(messages, max_size=2).map(tuple),
    st.builds(Episode, st.lists(exchanges, max_size=2).map(tuple), words),
    st.lists(steps, max_size=3).map(tuple),
    st.dictionaries(words, st.none() | st.booleans() | st.integers() | words, max_size=3),
    st.lists(metrics, max_size=2).map(tuple),
)


def wire(run: Run) -> str:
    """All attributes, with those that equality ignores."""
    return json.dumps(run.to_dict())


@examples(150)
@given(values)
def test_run_survives_json(run: Run) -> None:
    again = Run.from_dict(json.loads(json.dumps(run.to_dict())))
    assert again == run
    assert wire(again) == wire(run)
    for message, other in zip(again.messages, run.messages, strict=True):
        assert [vars_of(part) for part in message.content] == [vars_of(part) for part in other.content]


def vars_of(part: Any) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__dataclass_fields__}


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=values)
def test_run_survives_a_file(tmp_path: Path, run: Run) -> None:
    run.save(tmp_path / "run.json")
    assert wire(Run.load(tmp_path / "run.json")) == wire(run)
    assert names(tmp_path) == ["run.json"]


@examples(150)
@given(values, st.data())
def test_damaged_run_files_are_refused_or_read(run: Run, data: st.DataObject) -> None:
    shape = json.loads(json.dumps(run.to_dict()))
    inner: Any = shape
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(inner[key], dict | list) and data.draw(st.booleans()):
            inner = inner[key]
            continue
        inner[key] = data.draw(st.sampled_from([None, 7, "x", [], {}, [[]], {"x": 1}, -1.5, True]))
        break
    try:
        Run.from_dict(shape)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("shape", [None, [], {}, {"motet_run": 2}, {"motet_run": "1"}, {"motet_run": 1}])
def test_unknown_version_is_refused(shape: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="saved run"):
        Run.from_dict(shape)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(shape))
    with pytest.raises(motet.ConfigError, match=r"run\.json cannot be resumed: .*saved run"):
        Run.load(path)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "it is empty"),
        (b"{", "not JSON, from line 1, column 2"),
        (b"\xff\xfe", "not UTF-8: byte 0xff"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_non_json_run_file_is_refused_by_name(data: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(data)
    reasons = {"run.json": fault, "missing.json": "no such file or directory$", ".": "is a directory$"}
    for name, reason in reasons.items():
        with pytest.raises(motet.ConfigError, match=f"cannot be resumed: .*{reason}"):
            Run.load(tmp_path / name)


def test_run_can_be_forked_at_each_step() -> None:
    atom, backend, counter, run = begun()
    for n in range(len(run.steps) + 1):
        counter.calls.clear()
        backend.requests.clear()
        fork = run.fork(n)
        assert (fork.done, fork.output) == (n == 3, None)
        other = atom.resume(fork, tools=[counter.add])
        assert (other.text, len(other.steps), other.output) == ("A", 3, "A")
        assert counter.calls == [1, 5, 7][[0, 2, 3, 3][n] :]
        assert len(backend.requests) == 3 - n
        assert [message.to_dict() for message in other.messages] == [message.to_dict() for message in run.messages]
    for n in (-1, 4):
        with pytest.raises(ValueError, match="n must be between 0 and 3"):
            run.fork(n)


def test_run_exposes_messages_and_episode() -> None:
    _, _, counter, run = begun()
    assert [message.role for message in run.messages] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert run.episode.messages == run.messages
    with pytest.raises(motet.RepeatedCallError) as caught:
        fake_atom(turns(calls("add"), calls("add"), final("A")))[0].run("Go.", tools=[counter.add], max_repeats=1)
    state = caught.value.state
    # A call without a result is in the step but not in the conversation, where it would be invalid.
    assert [message.role for message in state.messages] == ["user", "assistant", "tool", "assistant"]
    assert [message.role for message in state.episode.messages] == ["user", "assistant"]
    assert (state.done, state.text, state.next_input) == (False, "", ())


def test_resumed_run_keeps_its_options(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    atom, backend, counter, _ = begun()
    with pytest.raises(motet.MaxStepsError):
        atom.run(
            "Go.",
            tools=[counter.add],
            checkpoint=path,
            max_steps=1,
            parallel=False,
            reasoning_effort="low",
            max_cost="0.5",
            temperature=0.5,
            tool_timeout=9,
            extra={"a": 1},
            briefs=["Be brief."],
        )
    saved = Run.load(path)
    assert saved.options == {
        "max_steps": 1,
        "parallel": False,
        "reasoning_effort": "low",
        "max_cost": "0.5",
        "temperature": 0.5,
        "tool_timeout": 9,
        "extra": {"a": 1},
    }
    with pytest.raises(motet.MaxStepsError):
        atom.resume(path, tools=[counter.add])
    backend.requests.clear()
    run = atom.resume(path, tools=[counter.add], max_steps=5, max_cost=Decimal(1))
    request = backend.requests[0]
    assert (request.reasoning_effort, request.sampling, request.extra) == ("low", {"temperature": 0.5}, {"a": 1})
    assert "Be brief." in str(request.messages[0])
    assert (run.options["max_steps"], run.options["max_cost"], run.options["parallel"]) == (5, "1", False)
    for late in ({"briefs": ["More."]}, {"on": run.episode}):
        with pytest.raises(TypeError, match="cannot change when a run is resumed"):
            atom.resume(run, **late)
    with pytest.raises(ValueError, match="unfinished must be"):
        atom.resume(run, unfinished="again")  # type: ignore[arg-type]


def test_resumed_run_keeps_sequential_calls() -> None:
    running: list[str] = []

    def who() -> None:
        running.append("who")
        time.sleep(0.01)
        assert running == ["who"]
        running.clear()

    atom, _ = fake_atom(turns(calls("who"), calls("who", "who", "who"), final("A")))
    with pytest.raises(motet.MaxStepsError) as caught:
        atom.run("Go.", tools=[who], parallel=False, max_steps=1)
    run = atom.resume(caught.value.state, tools=[who], max_steps=9)
    assert {call.signal for step in run.steps for call in step.calls} == {"success"}

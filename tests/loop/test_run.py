"""Runs as values and as files: saved, loaded, forked, gone on with; and what is left when the disk fails."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

import motet
from motet.asking.episode import Episode
from motet.loop import checkpoint
from motet.loop.checkpoint import CheckpointStore
from motet.loop.run import CallRecord, Run
from motet.message import Preamble, Reasoning
from motet.metrics import Cash, Chars, Cost, Metrics, Size, Time, Tokens
from tests.support.fake_backend import FakeBackend, calls, fake_atom, turns
from tests.support.hypothesis_profiles import examples
from tests.support.server_scripts import final


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


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
parts = st.one_of(
    st.builds(Reasoning, words, wires),
    st.builds(Preamble, words, wires),
    st.builds(motet.Text, words, wires, wires),
    tool_calls,
    st.builds(motet.ToolResult, words, words, st.none() | words, is_json=st.booleans()),
)
messages = st.builds(
    motet.Message,
    st.sampled_from(["user", "assistant", "tool"]),
    st.lists(parts, max_size=4).map(tuple),
    st.none() | words,
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
    """All of it, with what equality does not look at."""
    return json.dumps(run.to_dict())


@examples(150)
@given(values)
def test_run_survives_json(run: Run) -> None:
    again = Run.from_dict(json.loads(json.dumps(run.to_dict())))
    assert again == run
    assert wire(again) == wire(run)
    for one, other in zip(again.messages, run.messages, strict=True):
        assert [vars_of(part) for part in one.content] == [vars_of(part) for part in other.content]


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


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_non_json_run_file_is_refused_by_name(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(data)
    for path in (tmp_path / "run.json", tmp_path / "missing.json", tmp_path):
        with pytest.raises(motet.ConfigError, match="cannot be resumed"):
            Run.load(path)


# A run to play with: two calls, one call, an answer.

SAID = (calls("add", ("add", '{"x": 5}')), calls(("add", '{"x": 7}')), final("A"))


class Counter:
    """Tools that say how often they were called."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def add(self, x: int = 1) -> int:
        self.made.append(x)
        return x + 1


def begun(path: Path | None = None, **options: Any) -> tuple[motet.Atom, FakeBackend, Counter, Run]:
    brain, backend = fake_atom(turns(*SAID))
    counter = Counter()
    if path is not None:
        options["checkpoint"] = path
    return brain, backend, counter, brain.run("Go.", tools=[counter.add], **options)


def test_run_can_be_forked_at_each_step() -> None:
    brain, backend, counter, run = begun()
    for n in range(len(run.steps) + 1):
        counter.made.clear()
        backend.requests.clear()
        fork = run.fork(n)
        assert (fork.done, fork.output) == (n == 3, None)
        other = brain.resume(fork, tools=[counter.add])
        assert (other.text, len(other.steps), other.output) == ("A", 3, "A")
        assert counter.made == [1, 5, 7][[0, 2, 3, 3][n] :]
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
    # A call without its result is said, but the conversation does not hold it: nobody could answer it.
    assert [message.role for message in state.messages] == ["user", "assistant", "tool", "assistant"]
    assert [message.role for message in state.episode.messages] == ["user", "assistant"]
    assert (state.done, state.text, state.next_input) == (False, "", ())


def test_resumed_run_keeps_its_options(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    brain, backend, counter, _ = begun()
    with pytest.raises(motet.MaxStepsError):
        brain.run(
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
        brain.resume(path, tools=[counter.add])
    backend.requests.clear()
    run = brain.resume(path, tools=[counter.add], max_steps=5, max_cost=Decimal(1))
    request = backend.requests[0]
    assert (request.reasoning_effort, request.sampling, request.extra) == ("low", {"temperature": 0.5}, {"a": 1})
    assert "Be brief." in str(request.messages[0])
    assert (run.options["max_steps"], run.options["max_cost"], run.options["parallel"]) == (5, "1", False)
    for late in ({"briefs": ["More."]}, {"on": run.episode}):
        with pytest.raises(TypeError, match="cannot change when a run is resumed"):
            brain.resume(run, **late)
    with pytest.raises(ValueError, match="unfinished must be"):
        brain.resume(run, unfinished="again")  # type: ignore[arg-type]


def test_resumed_run_keeps_sequential_calls() -> None:
    import threading

    names: list[str] = []

    def who() -> None:
        names.append(threading.current_thread().name)
        assert sum(thread.name.startswith("tool-") for thread in threading.enumerate()) == 1

    brain, _ = fake_atom(turns(calls("who"), calls("who", "who", "who"), final("A")))
    with pytest.raises(motet.MaxStepsError) as caught:
        brain.run("Go.", tools=[who], parallel=False, max_steps=1)
    run = brain.resume(caught.value.state, tools=[who], max_steps=9)
    assert {one.signal for step in run.steps for one in step.calls} == {"success"}


# Unfinished calls.


class Fatal(BaseException):
    """The process ends here."""


def interrupted(path: Path, **flags: Any) -> tuple[motet.Atom, Counter, Any]:
    """A run whose second call was begun and did not end; its tool, and how often it was called."""
    counter = Counter()

    @motet.tool(**flags)
    def add(x: int = 1) -> int:
        counter.made.append(x)
        if x == 5 and counter.made.count(5) == 1:
            raise Fatal
        return x + 1

    brain, _ = fake_atom(turns(*SAID))
    with pytest.raises(Fatal):
        brain.run("Go.", tools=[add], checkpoint=path)
    assert sorted(counter.made) == [1, 5]
    return brain, counter, add


def policies(path: Path) -> dict[str, Callable[[], Any]]:
    return {"path": lambda: path, "str": lambda: str(path), "run": lambda: Run.load(path)}


@pytest.mark.parametrize("state", ["path", "str", "run"])
@pytest.mark.parametrize(
    ("policy", "made", "content"),
    [
        ("rerun", [1, 5, 5, 7], "6"),
        ("skip", [1, 5, 7], "it is not known whether the tool did its work"),
        (lambda call: {"asked": call.args()}, [1, 5, 7], '{"asked":{"x":5}}'),
        (lambda call: b"bytes", [1, 5, 7], "the tool returned bytes"),
        (lambda call: 1 / 0, [1, 5, 7], "ZeroDivisionError: division by zero"),
    ],
)
def test_unfinished_policy_decides_about_open_calls(
    state: str, policy: Any, made: list[int], content: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    brain, counter, add = interrupted(path)
    given = policies(path)[state]()
    with pytest.raises(motet.UnfinishedCallError, match=r'interrupted within add\(\{"x": 5\}\)') as caught:
        brain.resume(given, tools=[add])
    assert [(one.name, one.args()) for one in caught.value.calls] == [("add", {"x": 5})]
    assert caught.value.state.unfinished == caught.value.calls
    run = brain.resume(given, tools=[add], unfinished=policy)
    assert (run.text, sorted(counter.made)) == ("A", sorted(made))
    assert content in run.steps[0].calls[1].content
    assert run.steps[0].calls[0].content == "2"
    # What is in the error goes on as well as what is on the disk.
    if state == "run":
        assert brain.resume(caught.value.state, tools=[add], unfinished="skip").text == "A"


def test_idempotent_calls_are_repeated_on_resume(tmp_path: Path) -> None:
    brain, counter, add = interrupted(tmp_path / "run.json", idempotent=True)
    assert brain.resume(tmp_path / "run.json", tools=[add]).text == "A"
    assert sorted(counter.made) == [1, 5, 5, 7]


def test_call_of_a_missing_tool_stays_unfinished(tmp_path: Path) -> None:
    brain, counter, _ = interrupted(tmp_path / "run.json")
    with pytest.raises(motet.UnfinishedCallError):
        brain.resume(tmp_path / "run.json", tools=[])
    run = brain.resume(tmp_path / "run.json", tools=[], unfinished="rerun")
    assert "there is no tool add" in run.steps[0].calls[1].content
    assert sorted(counter.made) == [1, 5]


# The journal.


def test_journal_records_each_call_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    seen: list[list[str]] = []

    def look() -> None:
        lines = [json.loads(line) for line in (tmp_path / "run.json.journal").read_text().splitlines()]
        assert {line["of"] for line in lines} == {json.loads(path.read_text())["journal"]}
        seen.append(["begin" if "begin" in line else "end" for line in lines])
        assert [one.name for one in Run.load(path).unfinished] == ["look"]

    brain, _ = fake_atom(turns(calls("look", "look"), final("A")))
    brain.run("Go.", tools=[look], checkpoint=path, parallel=False)
    assert seen == [["begin"], ["begin", "end", "begin"]]
    assert names(tmp_path) == ["run.json"]
    assert (path.stat().st_mode & 0o777) == 0o600


def test_journal_has_the_untruncated_result(tmp_path: Path) -> None:
    path = tmp_path / "run.json"

    def huge() -> str:
        return "x" * 10_000_000

    def dies() -> None:
        raise Fatal

    brain, _ = fake_atom(turns(calls("huge", "dies"), final("A")))
    with pytest.raises(Fatal):
        brain.run("Go.", tools=[huge, dies], checkpoint=path, parallel=False)
    assert Run.load(path).steps[0].calls[0].full_content == "x" * 10_000_000


def test_journal_torn_at_any_byte_keeps_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    brain, _, add = interrupted(path)
    journal = path.with_name("run.json.journal")
    data, kept = journal.read_bytes(), path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    assert len(ends) == 3
    for size in range(len(data) + 1):
        journal.write_bytes(data[:size])
        path.write_bytes(kept)
        lines = [json.loads(line) for line in data[: max([end for end in ends if end <= size], default=0)].splitlines()]
        begun = {line["begin"] for line in lines if "begin" in line} - {line["end"] for line in lines if "end" in line}
        run = Run.load(path)
        assert {place for place, one in enumerate(run.steps[0].calls) if one.started} == begun
        if size % 20 == 0 or size in ends:
            # And it is written on: each call is made once more at most, and nothing is lost.
            assert brain.resume(path, tools=[add], unfinished="skip").text == "A"
            assert not journal.exists()


@pytest.mark.parametrize("line", [b"{}", b"[]", b"\x00\x00", b'{"of": 3', b"null"])
def test_journal_damaged_in_the_middle_is_refused(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    brain, _, add = interrupted(path)
    journal = path.with_name("run.json.journal")
    journal.write_bytes(line + b"\n" + journal.read_bytes())
    with pytest.raises(motet.ConfigError, match=r"line 1 of .*run\.json\.journal is damaged"):
        brain.resume(path, tools=[add])


def test_journal_of_another_run_is_ignored(tmp_path: Path) -> None:
    path, journal = tmp_path / "run.json", tmp_path / "run.json.journal"
    interrupted(path)
    left = journal.read_bytes()
    path.unlink()
    brain, counter, add = interrupted(path)
    journal.write_bytes(left)
    # The lines of the first one bear another key: what they say of the same place is of no account.
    assert Run.load(path).unfinished == ()
    run = brain.resume(path, tools=[add])
    assert (run.text, counter.made[-3:].count(7)) == ("A", 1)


# Whose files they are.


def test_unfinished_run_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    brain, counter, add = interrupted(path)
    kept = path.read_bytes()
    with pytest.raises(motet.ConfigError, match=r"run\.json holds a run that is not done; resume it"):
        brain.run("Go.", tools=[add], checkpoint=path)
    assert path.read_bytes() == kept
    assert len(counter.made) == 2
    brain.resume(path, tools=[add], unfinished="skip")
    assert brain.run("Go.", tools=[add], checkpoint=path).done
    other = tmp_path / "notes.txt"
    other.write_text("my notes")
    with pytest.raises(motet.ConfigError, match="is not a run and is not overwritten"):
        brain.run("Go.", tools=[add], checkpoint=other)
    (tmp_path / "empty").touch()
    assert brain.run("Go.", tools=[add], checkpoint=tmp_path / "empty").done


def test_two_loops_cannot_resume_one_run(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    brain, _, add = interrupted(path)
    stream = brain.resume(path, tools=[add], unfinished="skip", stream=True)
    late = brain.resume(path, tools=[add], unfinished="skip", stream=True)
    with stream:
        next(iter(stream))
        with pytest.raises(motet.ConfigError, match=r"is locked by another loop in this or another process"):
            brain.resume(path, tools=[add], unfinished="skip")
    with pytest.raises(motet.ConfigError, match="has changed since it was loaded"):
        late.finish()
    assert brain.resume(path, tools=[add], unfinished="skip").text == "A"


def held_elsewhere(path: str, ready: Any, done: Any) -> None:
    store = CheckpointStore(path)
    store.open(fresh=False)
    ready.set()
    done.wait(30)
    os._exit(1)


def test_run_is_locked_until_its_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    brain, _, add = interrupted(path)
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=held_elsewhere, args=(str(path), ready, done))
    process.start()
    assert ready.wait(30)
    with pytest.raises(motet.ConfigError, match="is locked by another loop"):
        brain.resume(path, tools=[add], unfinished="skip")
    done.set()
    process.join(30)
    assert brain.resume(path, tools=[add], unfinished="skip").text == "A"


def test_resume_can_write_to_another_checkpoint(tmp_path: Path) -> None:
    brain, _, add = interrupted(tmp_path / "run.json")
    kept = (tmp_path / "run.json").read_bytes()
    run = brain.resume(tmp_path / "run.json", tools=[add], unfinished="skip", checkpoint=tmp_path / "other.json")
    assert Run.load(tmp_path / "other.json").steps == run.steps
    assert (tmp_path / "run.json").read_bytes() == kept
    state = Run.load(tmp_path / "run.json")
    assert brain.resume(state, tools=[add], unfinished="skip", checkpoint=tmp_path / "third.json").done
    assert Run.load(tmp_path / "third.json").done


# The disk fails.


class Disk:
    """Makes the n-th write, or sync, fail as a full disk does: wholly, or after half of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, half: bool) -> None:
        self.left = -1
        self._real = getattr(os, call)
        self._half = half
        monkeypatch.setattr(checkpoint.os, call, self._fail)

    def _fail(self, *arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            if self._half and len(arguments) == 2:
                return self._real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._real(*arguments)


@pytest.mark.parametrize(("call", "half"), [("write", False), ("write", True), ("fsync", False), ("replace", False)])
@pytest.mark.parametrize("idempotent", [True, False])
def test_full_disk_ends_the_run_without_loss(
    call: str, half: bool, idempotent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, call, half)
    refused = 0
    for n in range(1, 60):
        path = tmp_path / f"{n}.json"
        counter = Counter()
        add = motet.tool(idempotent=idempotent)(counter.add)
        brain, _ = fake_atom(turns(*SAID))
        disk.left = n
        try:
            brain.run("Go.", tools=[add], checkpoint=path, parallel=bool(n % 2))
            assert disk.left > 0
            break
        except OSError as error:
            assert error.errno == errno.ENOSPC
            refused += 1
            state = error.state  # type: ignore[attr-defined]
        disk.left = -1
        if path.exists():
            # The file is the old one or the new one, and knows of each call that was made.
            loaded = Run.load(path)
            known = [one for step in loaded.steps for one in step.calls if one.started or one.signal is not None]
            assert len(known) >= len(counter.made)
        made = len(counter.made)
        # What is in the error knows all; what is on the disk, all but what it could not hold.
        run = brain.resume(state, tools=[add])
        assert (run.text, sorted(counter.made)) == ("A", [1, 5, 7])
        if path.exists():
            del counter.made[made:]
            run = brain.resume(path, tools=[add], unfinished="skip")
            assert run.text == "A"
            assert all(counter.made.count(x) <= (2 if idempotent else 1) for x in (1, 5, 7))
            assert set(counter.made) == {1, 5, 7} or not idempotent
    assert refused >= {"write": 6, "fsync": 10, "replace": 6}[call]
    assert not list(tmp_path.glob("*.part"))


SMALL = """
import resource, signal, sys, errno
from tests.support.fake_backend import *
from tests.support.server_scripts import final
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, *sizes = sys.argv[1:]
def big(n: int) -> str:
    print("made", n, flush=True)
    return "x" * n
brain, _ = fake_atom(turns(*[calls(("big", '{"n": %s}' % size)) for size in sizes], final("A")))
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))
try:
    brain.run("Go.", tools=[big], checkpoint=path)
except OSError as error:
    print(error.errno in (errno.ENOSPC, errno.EFBIG), len(error.state.steps), error.state.steps[-1].calls[0].signal)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([one.name for one in motet.Run.load(path).unfinished])
print(brain.resume(path, tools=[big], unfinished=lambda call: "seen to").text)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}


@pytest.mark.parametrize(
    ("sizes", "unfinished"),
    # A result that the journal cannot hold; results that the checkpoint cannot hold together.
    [(["10", "20000"], "['big']"), (["4000", "4001"], "[]")],
)
def test_file_size_limit_ends_the_run(sizes: list[str], unfinished: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL, tmp_path / "run.json", *sizes],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    made = [f"made {size}" for size in sizes]
    assert done.stdout.splitlines() == [*made, "True 2 success", unfinished, "A"], done.stderr


# A process that is killed while it writes.

WRITES = """
import os, signal, sys
from tests.support.fake_backend import *
from tests.support.server_scripts import final
left = int(sys.argv[2])
def dying(name):
    real = getattr(os, name)
    def call(*arguments, **more):
        global left
        left -= 1
        if left == 0:
            if name == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)
    setattr(os, name, call)
for name in ("write", "fsync", "replace", "ftruncate", "unlink", "open"):
    dying(name)
def add(x: int = 1) -> int:
    with open(sys.argv[1] + ".made", "a") as file:
        file.write(f"{x}\\n")
    return x + 1
brain, _ = fake_atom(turns(calls("add", ("add", '{"x": 5}')), calls(("add", '{"x": 7}')), final("A")))
brain.run("Go.", tools=[add], checkpoint=sys.argv[1], parallel=False)
"""


@pytest.fixture(scope="module")
def forkserver() -> Iterator[Any]:
    yield multiprocessing.get_context("fork")


def killed(path: str, left: int) -> None:
    sys.argv = ["", path, str(left)]
    exec(compile(WRITES, "writes", "exec"), {"__name__": "writes"})
    os._exit(0)


def test_checkpoint_is_never_partial_after_a_kill(tmp_path: Path, forkserver: Any) -> None:
    kills = 0
    for left in range(1, 200):
        path = tmp_path / f"{left}.json"
        process = forkserver.Process(target=killed, args=(str(path), left))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -9
        kills += 1
        made = Path(f"{path}.made")
        if not path.exists():
            assert not made.exists()
            continue
        counter = [int(line) for line in made.read_text().split()] if made.exists() else []

        after = Counter()
        brain, _ = fake_atom(turns(*SAID))
        reported: list[int] = []
        try:
            run = brain.resume(path, tools=[after.add])
        except motet.UnfinishedCallError as error:
            run = brain.resume(path, tools=[after.add], unfinished="skip")
            reported = [one.args().get("x", 1) for one in error.calls]
        assert run.text == "A"
        # Each call once; or not, or once, if it was reported.
        assert sorted({*counter, *after.made, *reported}) == [1, 5, 7]
        assert len(counter) + len(after.made) == len({*counter, *after.made})
        assert not list(tmp_path.glob(f".{path.name}.*"))
    assert kills > 40

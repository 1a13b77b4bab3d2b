"""Output: nothing in it controls the terminal, and every encoding can carry it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from motet.cli.terminal import json_text, paint, safe_output, visible
from motet.testing import ScriptedServer
from tests.support.command_line import run
from tests.support.fake_backend import calls
from tests.support.server_scripts import KEY, final

HOSTILE = "A\x1b]0;title\x07B\x1b[2JC\x9b31mD\u202eE\x08F\u2066G\rH"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COLOUR = re.compile(r"\x1b\[[\d;]+m")
SHOWN = "A\\x1b]0;title\\x07B\\x1b[2JC\\x9b31mD\\u202eE\\x08F\\u2066G\\x0dH"


@pytest.fixture
def hostile_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    reasoning = f"<|channel|>analysis<|message|>{HOSTILE}<|end|><|start|>assistant"
    with ScriptedServer(lambda _: reasoning + final(HOSTILE)) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        yield server


def test_controls_are_visible_and_scripts_stay() -> None:
    assert visible(HOSTILE) == SHOWN
    harmless = "a\tb\nc\r\nd 👩\u200d💻 \u3000 \u202f é 用户 שלום"
    assert visible(harmless) == harmless
    assert visible("\ud800\U000e0041\u2028") == "\\ud800\\U000e0041\\u2028"
    assert visible("a\u200bb\u2060c\ufeff") == "a\\u200bb\\u2060c\\ufeff"


def test_json_escapes_controls_and_stays_equal() -> None:
    value = {HOSTILE: [HOSTILE, "\x7f\u2028\ud800\U000e0041 é"]}
    text = json_text(value, indent=2)
    assert not CONTROL.search(text.replace("\n", ""))
    assert json.loads(text) == value
    assert "é" in text


@pytest.mark.parametrize("color", ["never", "always"])
@pytest.mark.parametrize("words", [("ask", "Hi"), ("chat",), ("run", "Hi")], ids=lambda words: str(words[0]))
def test_answers_do_not_control_the_terminal(
    words: tuple[str, ...], color: str, hostile_server: ScriptedServer
) -> None:
    done = run(*words, "--lane", "chat", "--color", color, stdin="Hi\n/\x1b[2J\n")
    assert done.code == 0
    assert SHOWN in COLOUR.sub("", done.out)
    assert not CONTROL.search(COLOUR.sub("", done.out + done.err).replace("\n", ""))
    if color == "never":
        assert "\x1b" not in done.out + done.err


def test_colours_of_a_model_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with safe_output():
        print(paint("1;32", "x\x1b[1;32my"), "\x1b[1;32m")
        written = sys.stdout.stream.getvalue()  # type: ignore[attr-defined]
    assert written == "\x1b[1;32mx\\x1b[1;32my\x1b[0m \\x1b[1;32m\n"


def test_carriage_return_is_judged_by_the_next_write(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO(newline="")
    monkeypatch.setattr(sys, "stdout", stream)
    with safe_output():
        for text in ("a\r", "\nb\r", "c\r"):
            print(text, end="")
    assert stream.getvalue() == "a\r\nb\\x0dc\\x0d"


def test_tool_names_do_not_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    script = [calls(("x\x1b]0;y\x07", '{"a": "\x9b1m"}')), final("Done.")]
    with ScriptedServer(lambda body: script[body["messages"][-1]["role"] == "tool"]) as server:
        done = run("run", "Hi", "--lane", "chat", "--base-url", server.url, "--color", "never")
    assert not CONTROL.search((done.out + done.err).replace("\n", ""))


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("parse", "--strict"), f"<|start|>assis{HOSTILE}tant<|channel|>final<|message|>x"),
    (("parse", "--strict", "--stream"), f"{HOSTILE}<|channel|>final<|message|>x"),
    (("explain", "--strict"), f"{HOSTILE}<|channel|>final<|message|>x"),
    (("parse", "--json"), f"<|channel|>final<|message|>{HOSTILE}<|return|>"),
    (("parse", "--stream", "--json"), f"<|channel|>final<|message|>{HOSTILE}<|return|>"),
    (("explain", "--json"), f"<|channel|>final<|message|>{HOSTILE}<|return|>"),
    (("render",), json.dumps([{"role": HOSTILE, "content": ""}])),
    (("parse", f"/{HOSTILE}"), ""),
    (("count", f"/{HOSTILE}"), ""),
    (("ask", "Hi", f"--{HOSTILE}"), ""),
    (("ask", "Hi", "-m", HOSTILE), ""),
    (("ask", "Hi", "--effort", HOSTILE), ""),
    (("run", "Hi", "--tool", f"{HOSTILE}:f"), ""),
    (("health", "--base-url", f"http://localhost/{HOSTILE}"), ""),
    ((HOSTILE,), ""),
]


@pytest.mark.parametrize(("words", "stdin"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_errors_and_json_do_not_control_the_terminal(words: tuple[str, ...], stdin: str) -> None:
    done = run(*words, stdin=stdin)
    assert not CONTROL.search((done.out + done.err).replace("\n", ""))
    assert "Traceback" not in done.err


def _server_names(url: str) -> tuple[str, ...]:
    return ("models", "--base-url", url, "--all")


def _server_health(url: str) -> tuple[str, ...]:
    return ("health", "--base-url", url, "-m", HOSTILE)


@pytest.mark.parametrize("words_of", [_server_names, _server_health])
def test_names_from_servers_do_not_control_the_terminal(
    words_of: Callable[[str], tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    with ScriptedServer(lambda _: "", models=(f"a/{HOSTILE}",)) as server:
        done = run(*words_of(server.url))
    assert not CONTROL.search((done.out + done.err).replace("\n", ""))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_narrow_encodings_show_escapes(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("<|channel|>final<|message|>Yes ☔ 👍<|return|>", "utf-8")
    command = [sys.executable, "-m", "motet", "parse", "raw.txt"]
    env = {"PYTHONIOENCODING": encoding, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "Yes \\u2614 \\U0001f44d" in done.stdout.decode(encoding)
    done = subprocess.run([*command, "--json"], cwd=tmp_path, env=env, capture_output=True)
    assert json.loads(done.stdout)["message"]["content"][0]["text"] == "Yes ☔ 👍"


def test_render_to_a_file_is_exact(tmp_path: Path) -> None:
    done = run("render", stdin=json.dumps([{"role": "user", "content": HOSTILE}]))
    assert f"<|start|>user<|message|>{HOSTILE}<|end|>" in done.out

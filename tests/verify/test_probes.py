"""The probes find the faults that the faces of the scripted server have, and no others; the proxy has none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import motet
from motet import verify
from motet.testing import Fault, ScriptedServer, Turn
from motet.testing.server.faces import FACES
from tests.support.command_line import command, run
from tests.support.obedient_model import THOUGHT, completion, obedient_model
from tests.support.proxies import proxied
from tests.support.server_scripts import KEY

COMMON = {"history.broken_arguments", "usage.reasoning", "usage.cached"}
HISTORY = {f"history.{name}" for name in ("reasoning", "result", "call", "null_content", "two_results", "preamble")}
KNOWN_FAULTS: Mapping[str, set[str]] = {
    # Its schema demands an `index` of each call, and knows neither the role developer nor newer names.
    "together": {
        *COMMON,
        *HISTORY,
        "prompt.developer",
        "stream.call_index",
        "limits.max_completion_tokens",
        "models.list",
    },
    "vllm": {*COMMON, "errors.role"},
    "sglang": {*COMMON, "errors.role", "errors.shape", "stream.call_pieces"},
    "llamacpp": {*COMMON, "errors.role", "history.preamble"},
    "ollama": {*COMMON, "errors.role", "stream.call_pieces", "limits.context"},
    "lmstudio": {*COMMON, "errors.role", "errors.shape"},
    "groq": {*COMMON, "errors.role"},
    "openrouter": {*COMMON, "errors.role", "errors.shape"},
}


def verdicts(report: verify.Report, verdict: str) -> set[str]:
    return {result.probe.id for result in report.results if result.verdict == verdict}


def failures(model: Any, *only: str, face: Any = "vllm") -> dict[str, str]:
    """The probes that fail or are inconclusive with a model, and why."""
    with ScriptedServer(model, face=face) as server:
        report = verify.run(server.base_url, only=only, tries=2)
    return {result.probe.id: result.detail for result in report.results if result.verdict in ("fail", "inconclusive")}


def test_probes_have_names_and_reasons() -> None:
    ids = [probe.id for probe in verify.PROBES]
    assert len(ids) == len(set(ids)) >= 60
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", name) for name in ids)
    assert all(probe.title and probe.why for probe in verify.PROBES)


@pytest.mark.parametrize("face", FACES)
def test_faults_of_a_face_are_found(face: Any) -> None:
    with ScriptedServer(obedient_model(), face=face, key=KEY) as server:
        report = verify.run(server.base_url, key=KEY)
    assert verdicts(report, "fail") == KNOWN_FAULTS[face]
    assert verdicts(report, "inconclusive") == verdicts(report, "skipped") == set()


@pytest.mark.parametrize("face", ["vllm", "llamacpp", "together"])
def test_proxy_passes_all_probes(face: str) -> None:
    with proxied(obedient_model(cached=0), face=face, keys=[f"me:{KEY}"]) as (url, _):
        report = verify.run(url, key=KEY)
    assert verdicts(report, "pass") == {probe.id for probe in verify.PROBES}


FINAL = "<|channel|>final<|message|>"


def rewritten(old: str, new: str) -> Any:
    """The obedient model with another spelling in its completions."""
    return lambda body: completion(body).replace(old, new)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # A call that the server did not recognise stands in the answer.
        (
            rewritten(
                "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>", f"{FINAL}get_weather"
            ),
            "tools.call",
        ),
        (rewritten(FINAL, f"{FINAL}analysisWe are to say this.assistantfinal"), "answer.markup"),
        (rewritten("pong", "p\ufffdng"), ""),
        (rewritten("青い", "\ufffd\ufffd"), "answer.unicode"),
        (rewritten("functions.get_time", "functions.get_weather"), "choice.named"),
        (rewritten('"blue"', '"green"'), "schema.enforced"),
        (rewritten("{}", ""), "tools.empty"),
    ],
)
def test_damaged_completions_are_found(model: Any, expected: str) -> None:
    found = failures(model, "answer", "tools", "choice", "schema")
    assert (expected in found) if expected else found == {}


def test_model_that_does_otherwise_is_inconclusive() -> None:
    asked: list[Any] = []

    def idle(body: Any) -> str:
        asked.append(body)
        return f"{FINAL}I would rather not.<|return|>"

    with ScriptedServer(idle, face="vllm") as server:
        probes = {"tools.call", "tools.name", "answer.unicode", "limits.cut_reasoning", "limits.cut_call"}
        report = verify.run(server.base_url, only=probes, tries=2)
    assert verdicts(report, "inconclusive") >= probes - {"limits.cut_call"}
    assert (report.ok, report.results[0].tries, len(asked) > 6) == (True, 2, True)


def test_unpaid_reasoning_and_wrong_counts_are_found() -> None:
    hidden = lambda body: Turn(  # noqa: E731
        completion(body).replace(THOUGHT, ""), usage={"prompt_tokens": 9, "completion_tokens": 900, "total_tokens": 99}
    )
    found = failures(hidden, "answer.reasoning", "usage.counts", "prompt.count", "history.result")
    assert "paid for and not sent" in found["answer.reasoning"]
    assert found["usage.counts"] == "9 and 900 tokens are not 99"
    assert "the server counts 9 tokens" in found["prompt.count"]
    assert "adds 0 to the prompt" in found["history.result"]


@pytest.mark.parametrize(
    ("fault", "probe"),
    [
        ("close", "stream.done"),
        ("no_done", "stream.done"),
        ("no_usage", "stream.usage"),
        ("bad_json", "stream.json"),
        ("no_finish", "stream.finish"),
        ("reset_before", "stream.type"),
    ],
)
def test_broken_streams_are_found(fault: str, probe: str) -> None:
    assert probe in failures(lambda body: Turn(completion(body), fault=Fault(fault)), probe)


def test_server_that_is_not_reached_is_an_error() -> None:
    with ScriptedServer() as server:
        url = server.url
    with pytest.raises(motet.ConnectionFailedError, match="is not reached"):
        verify.run(url)
    with pytest.raises(motet.ConfigError, match="no probe or group"):
        verify.run(url, only=["weather"])


def test_report_is_escaped_and_the_badge_counts() -> None:
    probe = verify.PROBES[0]
    results = (
        verify.Result(probe, "fail", "<script>alert(1)</script>\u202e\x1b\u200b👩\u200d💻"),
        verify.Result(probe, "pass"),
    )
    report = verify.Report("http://h/<b>", "m&m", results, 1.0, 2)
    page = report.to_html()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\x1b\\u200b👩\u200d💻" in page
    assert "http://h/&lt;b&gt;" in page
    assert "src=" not in page
    assert "1/2" in report.to_badge()
    assert json.loads(json.dumps(report.to_dict()))["counts"] == {"pass": 1, "fail": 1, "inconclusive": 0, "skipped": 0}


def test_command_prints_failures_and_writes_files(tmp_path: Path) -> None:
    with ScriptedServer(obedient_model(), face="vllm") as server:
        words = ("verify", server.url, "--only", "usage", "errors.role")
        result = run(*words, "--html", "r.html", "--badge", "b.svg", folder=tmp_path)
        assert "answer.text" in command("verify", "--list")
        shape = json.loads(command("verify", server.url, "--only", "usage.counts", "--json"))
    assert (shape["ok"], shape["model"]) == (True, "openai/gpt-oss-120b")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "b.svg").read_text().startswith("<svg")
    assert result.code == 1
    assert "usage.cached" in result.out
    assert "usage.counts" not in result.out
    assert result.out.splitlines()[-1].endswith("openai/gpt-oss-120b: 2 pass, 3 fail")


def test_slip_of_the_model_is_no_fault_of_the_server() -> None:
    slips = iter(["x", "y"])

    def model(body: Any) -> str:
        # The first two calls have arguments that are not JSON.
        return completion(body).replace('{"city": "Zürich"}', next(slips, '{"city": "Zürich"}'))

    with ScriptedServer(model, face="vllm") as server:
        report = verify.run(server.base_url, only=["tools.arguments"])
    assert [(result.verdict, result.tries) for result in report.results] == [("pass", 3)]

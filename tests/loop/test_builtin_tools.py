"""The container and the repository of gpt-oss's training in a loop, on implementations of the caller's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import motet
from tests.support.loop_tools import HOWS, House, ran
from tests.support.server_scripts import asking, final


class Files:
    def print_tree(self, path: str, depth: int = 2) -> str:
        return f"tree of {path!r}, {depth} deep"

    def open_file(self, path: str) -> str:
        raise motet.ToolConstraintError(f"there is no file {path}")


def run_command(cmd: list[str], workdir: str = ".") -> str:
    return f"{' '.join(cmd)} in {workdir}"


BUILTIN_TOOLS = {"container": run_command, "repo_browser": Files()}


@pytest.mark.parametrize("how", HOWS)
def test_container_and_repository_calls_are_run(house: House, how: str) -> None:
    command = '<|channel|>analysis to=container.exec code<|message|>{"cmd": ["ls", "-l"], "workdir": "/a"}<|call|>'
    tree = '<|channel|>commentary to=repo_browser.print_tree <|constrain|>json<|message|>{"path": ""}<|call|>'
    opened = '<|channel|>analysis to=repo_browser.open_file code<|message|>{"file_path": "x"}<|call|>'
    atom, server = house.asking("ids", command, tree, opened, final("A"))
    run = ran(house, atom, how, "Go.", builtin_tools=BUILTIN_TOOLS)
    records = [step.calls[0] for step in run.steps[:3]]
    assert [record.content for record in records[:2]] == ["ls -l in /a", "tree of '', 2 deep"]
    assert (records[2].signal, "there is no file x" in records[2].content) == ("error:constraint", True)
    prompt = motet.decode(server.requests[-1].body["prompt"])
    assert prompt.index("## container") < prompt.index("## repo_browser")
    assert "<|start|>container.exec to=assistant<|channel|>commentary<|message|>ls -l in /a<|end|>" in prompt


def test_chat_lane_offers_built_in_tools_as_functions() -> None:
    command = '<|channel|>commentary to=functions.container.exec <|constrain|>json<|message|>{"cmd": ["ls"]}<|call|>'
    with asking(command, final("A"), final("B"), lane="chat") as (atom, server):
        run = atom.run("Go.", builtin_tools=BUILTIN_TOOLS)
        assert (run.text, run.steps[0].calls[0].content) == ("A", "ls in .")
        names = [tool["function"]["name"] for tool in server.requests[0].body["tools"]]
        assert {"container.exec", "repo_browser.apply_patch"} <= set(names)
        assert "offers container.exec as functions" in atom.ask("Go.", builtin_tools=["container"]).notes[0]
        with pytest.raises(motet.ConfigError, match="cannot offer python, which takes code"):
            atom.ask("Go.", builtin_tools=["python"])


@pytest.mark.parametrize("wrong", [{"container": {}}, {"repo_browser": object()}])
def test_implementation_without_functions_is_refused(house: House, wrong: Any) -> None:
    atom, _ = house.asking("ids", final("A"))
    with pytest.raises(TypeError, match="must be a"):
        atom.run("Go.", builtin_tools=wrong)


PATCH = "*** Begin Patch\n*** Add File: {}\n+a\n*** End Patch"
MISFIT = "*** Begin Patch\n*** Update File: a\n-b\n*** End Patch"


def patching(name: str, arguments: str, channel: str = "commentary") -> str:
    return f"<|channel|>{channel} to={name} <|constrain|>json<|message|>{arguments}<|call|>"


@pytest.mark.parametrize("how", HOWS)
def test_patches_are_applied_to_the_directory(house: House, lane: str, how: str, tmp_path: Path) -> None:
    function = patching("functions.apply_patch", json.dumps({"patch": PATCH.format("a")}))
    other_key = patching("functions.apply_patch", json.dumps({"input": PATCH.format("b/c")}))
    misfit = patching("functions.apply_patch", json.dumps({"patch": MISFIT}))
    outside = patching("functions.apply_patch", json.dumps({"patch": PATCH.format("../a")}))
    atom, _ = house.asking(lane, function, other_key, misfit, outside, final("A"))
    run = ran(house, atom, how, "Go.", tools=[motet.patch_tool(tmp_path)])
    records = [step.calls[0] for step in run.steps[:4]]
    assert [record.signal for record in records] == ["success"] * 2 + ["error:constraint"] * 2
    assert [record.content for record in records[:2]] == ["A a", "A b/c"]
    assert "line 3 of the patch: 'a' has no line 'b'" in records[2].content
    assert "must stay below the root" in records[3].content
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a", "c"}


@pytest.mark.parametrize("recipient", ["functions.apply_patch", "apply_patch"])
def test_bare_patch_is_applied(house: House, recipient: str, tmp_path: Path) -> None:
    call = f"<|channel|>commentary to={recipient} code<|message|>{PATCH.format('a')}<|call|>"
    atom, _ = house.asking("ids", call, final("A"))
    run = atom.run("Go.", tools=[motet.patch_tool(tmp_path)])
    assert (run.steps[0].calls[0].content, (tmp_path / "a").read_text()) == ("A a", "a\n")


def test_repository_is_read_and_patched_in_a_loop(house: House, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("b\n")
    opened = patching("repo_browser.open_file", '{"path": "a", "line_start": 1}', "analysis")
    patched = patching("repo_browser.apply_patch", json.dumps({"patch": MISFIT.replace("-b", "-b\n+c")}))
    atom, _ = house.asking("ids", opened, patched, opened, final("A"))
    run = atom.run("Go.", builtin_tools={"repo_browser": motet.RepoBrowser(tmp_path, writable=True)})
    assert [step.calls[0].content for step in run.steps[:3]] == ["b", "M a", "c"]
    (read_only, _) = house.asking("ids", patched, final("A"))
    run = read_only.run("Go.", builtin_tools={"repo_browser": motet.RepoBrowser(tmp_path)})
    assert "there is no tool repo_browser.apply_patch" in run.steps[0].calls[0].content

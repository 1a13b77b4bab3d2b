"""Patches in the form of gpt-oss on texts and on directories."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet

FILES = {"src/app.py": 'import x\n\n\ndef greet():\n    print("Hi")\n', "old.txt": "o\n"}
PATCH = """*** Begin Patch
*** Add File: new/hello.txt
+Hello
+
*** Update File: src/app.py
*** Move to: src/main.py
@@ def greet():
-    print("Hi")
+    print("Hello")
*** Delete File: old.txt
*** End Patch"""
MAIN = 'import x\n\n\ndef greet():\n    print("Hello")\n'


def update(*lines: str, path: str = "a") -> str:
    return "\n".join(["*** Begin Patch", f"*** Update File: {path}", *lines, "*** End Patch"])


def test_patch_adds_updates_moves_and_deletes() -> None:
    before = dict(FILES)
    assert motet.apply_patch(PATCH, FILES) == {"new/hello.txt": "Hello\n\n", "src/main.py": MAIN}
    assert before == FILES
    padded = PATCH.replace("*** Begin", " *** Begin").replace("*** End", "\t*** End").replace("*** Add", "  *** Add")
    for patch in (f"\n{padded} \n\n", PATCH.replace("\n", "\r\n"), f"<<'EOF'\n{PATCH}\nEOF"):
        assert motet.apply_patch(patch, FILES) == motet.apply_patch(PATCH, FILES)


@pytest.mark.parametrize(
    ("text", "lines", "patched"),
    [
        ("a\nb\nc\n", ["@@", " a", "-b", "+B", " c"], "a\nB\nc\n"),
        ("a\nb\nc\n", ["-b"], "a\nc\n"),
        ("a\nb\na\nb\n", ["@@", " b", "@@", " a", "-b", "+B"], None),
        ("a\nb\na\nb\n", ["@@", " a", "-b", "+B", "*** End of File"], "a\nb\na\nB\n"),
        ("a\nb\n", ["+c"], "a\nb\nc\n"),
        ("a\nb\n", ["@@ a", "+c"], "a\nc\nb\n"),
        ("a\n", ["-a"], ""),
        ("", ["+a"], "a\n"),
        ("a", ["@@", " a", "+b"], "a\nb"),
        ("a\r\nb\r\n", ["@@", " a", "+c"], "a\r\nc\r\nb\r\n"),
        (
            "class A:\n  def f:\n    x\nclass B:\n  def f:\n    x\n",
            ["@@ class B:", "@@ def f:", "-    x", "+    y"],
            "B y",
        ),
        ("def f(a, b):\n  x\n", ["@@ def f", "-  x", "+  y"], "def f(a, b):\n  y\n"),
        ("def f():\n  x\n", ["@@ def f():", " def f():", "-  x", "+  y"], "def f():\n  y\n"),
        ("a\nb\n", ["@@ -1,2 +1,3 @@", " a", "+c", " b"], "a\nc\nb\n"),
        ("x\n\ny\n", ["@@", " x", "", "-y", "+z", ""], "x\n\nz\n"),
        ("  a  \nb\n", ["@@", " a", "-b", "+c"], "  a  \nc\n"),
        ("say “hi” – ok\n", ['-say "hi" - ok', "+bye"], "bye\n"),
        ("a\u2028b\x0c\nc\n", ["@@", " a\u2028b\x0c", "-c"], "a\u2028b\x0c\n"),
        ("*** End Patch\nb\n", ["@@", " *** End Patch", "-b"], "*** End Patch\n"),
    ],
)
def test_hunks_are_found_and_applied(text: str, lines: list[str], patched: str | None) -> None:
    if patched == "B y":
        patched = text[::-1].replace("x", "y", 1)[::-1]
    if patched is None:
        with pytest.raises(motet.PatchError, match="no line with '-' or"):
            motet.apply_patch(update(*lines), {"a": text})
    else:
        assert motet.apply_patch(update(*lines), {"a": text}) == {"a": patched}


@pytest.mark.parametrize(
    ("patch", "line", "message"),
    [
        ("", 1, "a patch begins with '*** Begin Patch', not ''"),
        ("ls", 1, "a patch begins with '*** Begin Patch', not 'ls'"),
        ("*** Begin Patch\n*** Delete File: a", 2, "the patch has no '*** End Patch': it may have been cut"),
        ("*** Begin Patch\n*** End Patch", 2, "the patch has no operation"),
        (f"{update('-a')}\nls", 5, "text behind '*** End Patch': 'ls'"),
        (update("*** Rename File: b"), 3, "begins with ' ', '-', '+' or '@@', not '*** Rename File: b'"),
        (update(), 2, "the update of 'a' changes nothing"),
        (update("@@", " a"), 3, "the hunk has no line with '-' or '+'"),
        (update("-a", path=""), 2, "'*** Update File:' needs a path"),
        (update("-a", path="b"), 2, "cannot update 'b': no such file"),
        (update("-z"), 3, "'a' has no line 'z'"),
        (update("@@ z", "-b"), 3, "'a' has no line 'z', which stands behind '@@'"),
        (
            update("@@", " a", "-c", "+d"),
            3,
            "'a' has the first 1 of the hunk's 2 lines at line 1, but then line 2 is 'b'",
        ),
        (update("@@", " b", "-c"), 3, "but then the file ends where the hunk has 'c'"),
        (update("-a", "*** End of File"), 3, "the lines of the hunk are not the last ones of 'a'"),
        (update("-b", "@@", "-a"), 4, "'a' has no line 'a' behind line 2"),
        (update("*** Move to: c/d", "-a"), 2, "cannot move 'a' to 'c/d': it exists"),
        ("*** Begin Patch\n*** Add File: a\n+b\n*** End Patch", 2, "cannot add 'a', it exists: use '*** Update File:'"),
        (
            "*** Begin Patch\n*** Add File: n\nb\n*** End Patch",
            3,
            "each line of the new file 'n' begins with '+', not 'b'",
        ),
        ("*** Begin Patch\n*** Delete File: n\n*** End Patch", 2, "cannot delete 'n': no such file"),
        (update("-a", path="../a"), 2, "the path '../a' must stay below the root: '..' is refused"),
        (update("-a", path="b/../../a"), 2, "must stay below the root"),
        (update("-a", path="..\\a"), 2, "must stay below the root"),
        (update("-a", path="/a"), 2, "the path '/a' must be relative to the root"),
        (update("-a", path="C:\\a"), 2, "must be relative to the root"),
        (update("*** Move to: ../b", "-a"), 2, "the path '../b' must stay below the root"),
    ],
)
def test_patch_errors_name_line_and_reason(patch: str, line: int, message: str) -> None:
    files = {"a": "a\nb\n", "c/d": ""}
    with pytest.raises(motet.PatchError) as caught:
        motet.apply_patch(patch, files)
    assert str(caught.value).startswith(f"line {line} of the patch: ")
    assert message in str(caught.value)
    assert caught.value.line == line
    assert isinstance(caught.value, motet.ToolConstraintError)


lines_of_text = st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=("Cs",)), max_size=6))


@given(lines_of_text, lines_of_text)
def test_patch_of_all_lines_gives_the_new_text(old: list[str], new: list[str]) -> None:
    if not old and not new:
        return
    files = {"a": "".join([f"{line}\n" for line in old])}
    patch = update(*[f"-{line}" for line in old], *[f"+{line}" for line in new])
    assert motet.apply_patch(patch, files) == {"a": "".join([f"{line}\n" for line in new])}


@given(st.integers(1, 60), st.data())
def test_hunks_with_context_change_their_lines_alone(count: int, data: Any) -> None:
    """Each line has its number, so that the context of every hunk stands in one place."""
    old = [f"line {number}" for number in range(count)]
    places = sorted(data.draw(st.sets(st.integers(0, count - 1), max_size=6)))
    context = data.draw(st.integers(1, 3))
    changes = {place: data.draw(st.sampled_from(["-", "+", "-+"])) for place in places}
    new, lines, shown = [], [], 0
    for place, line in enumerate(old):
        if place in changes:
            lines += ["@@", *[f" {before}" for before in old[max(shown, place - context) : place]]]
            lines += [f"{mark}{line if mark == '-' else f'new {place}'}" for mark in changes[place]]
            shown = place + ("-" in changes[place])
            new += [f"new {place}"] if "+" in changes[place] else []
        new += [line] if changes.get(place, "+") == "+" else []
    if not places or any(lines[at] == "@@" and lines[at + 1][0] == "+" for at in range(len(lines) - 1)):
        return
    text = "\n".join(old) + "\n"
    assert motet.apply_patch(update(*lines), {"a": text})["a"] == "".join([f"{line}\n" for line in new])


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_a_patch_or_an_error(head: str, text: str) -> None:
    for patch in (text, update(*text.split("\n")), update(*head.split("\n"), *text.split("\n"), path="b")):
        try:
            files = motet.apply_patch(patch, {"a": text, "b": head})
        except motet.PatchError as error:
            assert error.line is not None
        else:
            assert all(not path.startswith("/") and ".." not in path.split("/") for path in files)


def directory_of(files: dict[str, str], root: Path) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())
    return root


def files_of(root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file.read_bytes().decode() for file in root.rglob("*") if file.is_file()}


def test_directory_is_patched(tmp_path: Path) -> None:
    root = directory_of(FILES, tmp_path)
    (root / "src/app.py").chmod(0o755)
    listing = motet.patch_directory(PATCH, root)
    assert listing.split("\n") == ["A new/hello.txt", "D src/app.py", "A src/main.py", "D old.txt"]
    assert files_of(root) == motet.apply_patch(PATCH, FILES)
    patch = update("-import x", "+import y", path=f"{root}/src/main.py")
    assert motet.patch_directory(patch, str(root)) == "M src/main.py"


def test_patch_that_does_not_fit_changes_no_file(tmp_path: Path) -> None:
    root = directory_of(FILES, tmp_path)
    for patch in (PATCH.replace('print("Hi")', "print()"), PATCH.replace("old.txt", "none.txt")):
        with pytest.raises(motet.PatchError):
            motet.patch_directory(patch, root)
        assert files_of(root) == FILES
    (root / "image").write_bytes(b"\xff\xd8")
    for path, message in (("image", "is not a text in UTF-8"), ("src", "'src' is not a file")):
        with pytest.raises(motet.PatchError, match=message):
            motet.patch_directory(update("-a", path=path), root)
    with pytest.raises(motet.PatchError, match="not a directory"):
        motet.patch_directory(PATCH, root / "none")


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", "a/.GIT/config", "link/config", ".hg/hgrc"])
def test_files_of_version_control_are_not_patched(path: str, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / ".git")
    with pytest.raises(motet.PatchError, match="belongs to version control"):
        motet.patch_directory(f"*** Begin Patch\n*** Add File: {path}\n+x\n*** End Patch", tmp_path)
    assert files_of(tmp_path) == {}


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_links_out_of_the_directory_are_refused(tmp_path: Path) -> None:
    outside = directory_of({"secret": "s\n"}, tmp_path / "outside")
    root = directory_of({"a": "a\n"}, tmp_path / "root")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    added = "*** Begin Patch\n*** Add File: folder/new\n+x\n*** End Patch"
    deleted = "*** Begin Patch\n*** Delete File: folder/secret\n*** End Patch"
    moved = update("*** Move to: folder/b", path="a")
    absolute = update("-s", path=str(outside / "secret"))
    for patch in (added, deleted, moved, absolute, update("-s", path="file"), update("-s", path="folder/secret")):
        with pytest.raises(motet.PatchError, match=r"leads out of the root|must be relative"):
            motet.patch_directory(patch, root)
    browser = motet.RepoBrowser(root, writable=True)
    for path in ("file", "folder/secret", "../outside/secret", str(outside / "secret")):
        with pytest.raises(motet.PatchError):
            browser.open_file(path)
    assert "secret" not in browser.search("", "s")
    assert (files_of(outside), (root / "a").read_text()) == ({"secret": "s\n"}, "a\n")


@pytest.mark.parametrize(
    ("cmd", "directory"),
    [
        (["apply_patch", PATCH], None),
        (["applypatch", PATCH], None),
        (["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF\n"], None),
        (["/bin/sh", "-c", f"cd src/a && apply_patch << PATCH\n{PATCH}\nPATCH"], "src/a"),
        (["bash", "-lc", f"cd 'a b' && apply_patch <<\"EOF\"\n{PATCH}\nEOF"], "a b"),
        (["bash", "-lc", f"apply_patch '{PATCH}'"], None),
        (["zsh", "-lc", f"cd src && apply_patch '{PATCH}'"], "src"),
    ],
)
def test_apply_patch_is_read_from_commands(cmd: list[str], directory: str | None) -> None:
    command = motet.patch_in_command(cmd)
    assert command is not None
    assert (command.patch, command.directory) == (PATCH, directory)


@pytest.mark.parametrize(
    "cmd",
    [
        [],
        ["ls"],
        ["apply_patch"],
        ["bash", "apply_patch", PATCH],
        ["bash", "-lc", "ls"],
        ["bash", "-lc", "apply_patch 'x"],
        ["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF\nrm -r ."],
        ["bash", "-lc", f"rm -r . && apply_patch <<'EOF'\n{PATCH}\nEOF"],
        ["bash", "-lc", f"apply_patch '{PATCH}' && rm -r ."],
    ],
)
def test_other_commands_have_no_patch(cmd: list[str]) -> None:
    assert motet.patch_in_command(cmd) is None


def test_repository_is_listed_searched_and_read(tmp_path: Path) -> None:
    root = directory_of({**FILES, ".git/config": "print", "src/deep/b.bin": "", "empty": ""}, tmp_path)
    (root / "src/deep/b.bin").write_bytes(b"\xffprint")
    browser = motet.RepoBrowser(root)
    assert browser.print_tree("", 2) == "empty\nold.txt\nsrc/\n  app.py\n  deep/"
    assert browser.list_dir("src") == "src/app.py\nsrc/deep/"
    assert browser.list_dir("", 3).split("\n")[-1] == "src/deep/b.bin"
    assert browser.search("", "print") == 'src/app.py:5:     print("Hi")'
    assert browser.search("src", "i", max_results=1) == "src/app.py:1: import x\n(cut at max_results=1)"
    assert "no line below 'src' contains the text 'a.*b'" in browser.search("src", "a.*b")
    assert browser.open_file("src/app.py", 4) == 'def greet():\n    print("Hi")'
    assert browser.open_file(f"{root}/src/app.py", 1, 1, line_numbers=True) == "     1\timport x"
    assert browser.open_file("empty") == ""
    assert browser.apply_patch is None
    for call, message in (
        (lambda: browser.open_file("none"), "there is no file 'none'"),
        (lambda: browser.open_file("src/app.py", 9), "'src/app.py' has 5 lines, none from 9"),
        (lambda: browser.open_file("src/deep/b.bin"), "is not a text in UTF-8"),
        (lambda: browser.print_tree("none", 1), "there is no folder 'none'"),
        (lambda: browser.search("", ""), "the query is empty"),
    ):
        with pytest.raises(motet.ToolConstraintError, match=message):
            call()
    for wrong in (root / "old.txt", root / "none"):
        with pytest.raises(NotADirectoryError):
            motet.RepoBrowser(wrong)
        with pytest.raises(NotADirectoryError):
            motet.patch_tool(wrong)


def test_long_listings_are_cut(tmp_path: Path) -> None:
    for number in range(1003):
        (tmp_path / f"{number:04}").touch()
    assert motet.RepoBrowser(tmp_path).list_dir("").split("\n")[-2:] == ["0999", "(3 more)"]


def test_patch_tool_reads_every_form_of_its_argument(tmp_path: Path) -> None:
    tool = motet.patch_tool(tmp_path)
    patch = "*** Begin Patch\n*** Add File: {}\n+a\n*** End Patch"
    forms = [patch.format(0)]
    forms += map(json.dumps, ({"patch": patch.format(1)}, {"input": patch.format(2)}, patch.format(3)))
    assert [tool.bind(form)() for form in forms] == ["A 0", "A 1", "A 2", "A 3"]
    for wrong in ("", "{", "{}", '{"a": "b", "c": "d"}', "3"):
        with pytest.raises(motet.InvalidArgumentsError, match="apply_patch"):
            tool.bind(wrong)

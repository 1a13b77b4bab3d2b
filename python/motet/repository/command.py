"""Calls of `apply_patch` within shell commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["PatchCommand", "patch_in_command"]

_NAMES = ("apply_patch", "applypatch", "apply-patch")
_SHELLS = ("bash", "sh", "zsh", "dash", "ash")
_HEREDOC = re.compile(
    r"\s*(?:cd[ \t]+(?P<directory>'[^']*'|\"[^\"]*\"|[^\s&;|]+)[ \t]*&&\s*)?"
    rf"(?:{'|'.join(_NAMES)})[ \t]*<<-?[ \t]*(?P<quote>['\"]?)(?P<word>\w+)(?P=quote)[ \t]*\n"
    r"(?P<patch>.*)\n(?P=word)\s*",
    re.DOTALL,
)


class PatchCommand(NamedTuple):
    """A patch that a command applies."""

    patch: str
    directory: str | None = None
    """The argument of a `cd` before it. `None`: none."""


def patch_in_command(cmd: Sequence[str]) -> PatchCommand | None:
    """The patch of a command that only calls `apply_patch`, which shells do not have; `None` for other commands.

    gpt-oss calls it through `container.exec`: as `["apply_patch", patch]`, and as `["bash", "-lc", script]`, where the
    script gives the patch in a here-document or a quoted argument, possibly behind `cd directory &&`. `applypatch` is
    read as well.
    """
    words = list(cmd)
    if len(words) == 2 and words[0] in _NAMES:
        return PatchCommand(words[1])
    if len(words) != 3 or words[0].rpartition("/")[2] not in _SHELLS or not re.fullmatch(r"-[a-z]*c", words[1]):
        return None
    script = words[2]
    if heredoc := _HEREDOC.fullmatch(script):
        directory = heredoc["directory"]
        return PatchCommand(heredoc["patch"], None if directory is None else directory.strip("'\""))
    try:
        words = shlex.split(script)
    except ValueError:
        return None
    directory = None
    if len(words) > 3 and words[0] == "cd" and words[2] == "&&":
        directory, words = words[1], words[3:]
    if len(words) == 2 and words[0] in _NAMES and words[1].lstrip().startswith("*** Begin Patch"):
        return PatchCommand(words[1], directory)
    return None

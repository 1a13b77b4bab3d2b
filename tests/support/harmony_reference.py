"""A second opinion: docs/concepts/format.md, read slowly and once more.

Nothing of motet's parser is used. A wire is a string in which each marker is one character of its own, so that the
grammar of the page can stand here as regular expressions. `read` gives the frames of what the page allows, and `None`
for all else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import tiktoken

__all__ = ["MARKERS", "Read", "read", "wire_of_ids", "wire_of_text"]

MARKERS = {
    "<|start|>": 200006,
    "<|end|>": 200007,
    "<|message|>": 200008,
    "<|channel|>": 200005,
    "<|constrain|>": 200003,
    "<|return|>": 200002,
    "<|call|>": 200012,
    "<|endoftext|>": 199999,
}
# The last code points of Unicode are not characters.
_CHARS = {spelling: chr(0x10FFF0 + index) for index, spelling in enumerate(MARKERS)}
START, END, MESSAGE, CHANNEL, CONSTRAIN, RETURN, CALL, _ = _CHARS.values()
NO_TEXT = chr(0x10FFFF)
"""Stands for tokens that are not text: reserved ones, and invalid UTF-8."""
TEXT = f"[^{''.join(_CHARS.values())}{NO_TEXT}]"

ROLES = ("system", "developer", "user", "assistant")
CHANNELS = ("analysis", "commentary", "final")
NAME = r"[A-Za-z0-9_.:/@-]{1,128}"
TYPE = r"[A-Za-z0-9_.+/-]{1,64}"
WORD = r"[A-Za-z0-9_-]{1,32}"

AUTHOR = rf"(?:(?P<role>{'|'.join(ROLES)})(?::(?P<name>[\w.+@-]{{1,64}}))?|(?P<tool>{NAME}))"
REST = (
    rf"(?: +to=(?P<first>{NAME}))?"
    rf"(?: *{CHANNEL} *(?P<channel>{WORD})(?: +to=(?P<second>{NAME}))?)?"
    rf"(?: +(?P<word>{TYPE})| *{CONSTRAIN} *(?P<constrained>{TYPE}))?"
    rf" *{MESSAGE}(?P<content>{TEXT}*)(?P<stop>[{END}{CALL}{RETURN}])"
)
FIRST = re.compile(REST)
FRAME = re.compile(f"{START} *{AUTHOR}{REST}")
TAIL = re.compile(f"{START} *{AUTHOR} *")


@dataclass(frozen=True)
class Read:
    """A frame with the values that the page defines."""

    role: str
    name: str | None
    recipient: str | None
    channel: str | None
    content_type: str | None
    content: str
    stop: str | None


def wire_of_text(text: str) -> str:
    for spelling, char in _CHARS.items():
        text = text.replace(spelling, char)
    return text


def wire_of_ids(ids: Sequence[int], tokens: tiktoken.Encoding) -> str:
    """Bytes between markers are text if they are UTF-8."""
    chars = {MARKERS[spelling]: char for spelling, char in _CHARS.items()}
    wire, run = "", b""
    for token in [*ids, None]:
        if token is not None and 0 <= token < 199_998:
            run += tokens.decode_single_token_bytes(token)
            continue
        try:
            wire += run.decode()
        except UnicodeDecodeError:
            wire += NO_TEXT
        run = b""
        wire += "" if token is None else chars.get(token, NO_TEXT)
    return wire


def read(wire: str, *, transcript: bool = False) -> list[Read] | None:
    """The frames of a completion that follows `<|start|>assistant`, or of a whole transcript."""
    frames: list[Read] = []
    at = 0
    if not transcript and wire[:1] not in (" ", *_CHARS.values()):
        # Some servers take off the blank that follows the prompt.
        wire = " " + wire
    while at < len(wire):
        first = not transcript and at == 0
        result = (FIRST if first else FRAME).match(wire, at)
        if result is None:
            return _with_tail(frames, wire[at:]) if transcript else None
        frame = _frame(result, "assistant" if first else None)
        if frame is None or not (transcript or _is_own(frame, frames)):
            return None
        frames.append(frame)
        at = result.end()
    return frames


def _with_tail(frames: list[Read], rest: str) -> list[Read] | None:
    result = TAIL.fullmatch(rest)
    author = _author(result) if result else None
    return [*frames, Read(*author, None, None, None, "", None)] if author else None


def _frame(result: re.Match[str], role: str | None) -> Read | None:
    """The frame of a match, if its values are allowed there."""
    groups = result.groupdict()
    author = (role, None) if role else _author(result)
    header = result[0].split(MESSAGE)[0].replace(CHANNEL, "<|channel|>").replace(CONSTRAIN, "<|constrain|>")
    recipient = groups["first"] or groups["second"]
    if author is None or (groups["first"] and groups["second"]) or len(header.lstrip(START)) > 1024:
        return None
    if not _is_channel(groups["channel"], groups["first"]) or not _is_word(
        groups["word"], groups["channel"], recipient
    ):
        return None
    if recipient is not None and not _is_recipient(recipient):
        return None
    stop = {END: "end", CALL: "call", RETURN: "return"}[groups["stop"]]
    calls = author[0] == "assistant" and recipient not in (None, "all", *ROLES)
    if (calls and stop != "call") or (recipient is None and stop == "call"):
        return None
    kind = groups["word"] or (groups["constrained"] and "<|constrain|>" + groups["constrained"])
    return Read(*author, recipient, groups["channel"], kind, groups["content"], stop)


def _author(result: re.Match[str]) -> tuple[str, str | None] | None:
    groups = result.groupdict()
    if groups["role"]:
        name = groups["name"]
        return (groups["role"], name) if name is None or all(c.isalnum() or c in "_.-+@" for c in name) else None
    tool = groups["tool"]
    return (
        ("tool", tool) if tool.split(":")[0] != "tool" and tool not in CHANNELS and not tool.startswith(ROLES) else None
    )


def _is_channel(channel: str | None, recipient: str | None) -> bool:
    if channel is None or channel in CHANNELS:
        return True
    return not channel.lower().startswith((*CHANNELS, "comment")) and (recipient is not None or channel not in BUILT_IN)


NO_RECIPIENTS = ("none", "null", "nil", "nobody", "undefined", "n/a", "self", "me", "tool", "all", *ROLES, *CHANNELS)


def _is_recipient(recipient: str) -> bool:
    """Whether the recipient is a tool, `all` or a role, with any separators."""
    bare = recipient.strip(".:/").lower()
    return recipient in ("all", *ROLES) or (bare != "" and bare not in NO_RECIPIENTS)


def _is_word(word: str | None, channel: str | None, recipient: str | None) -> bool:
    if word in (None, "json", "code"):
        return True
    if not (channel or recipient) or word in (*ROLES, "tool", *CHANNELS):
        return False
    return recipient is not None or not (word.startswith("functions.") or word.split(".")[0] in BUILT_IN)


BUILT_IN = ("python", "browser", "container", "repo_browser")


def _is_own(frame: Read, before: list[Read]) -> bool:
    """Whether it can stand in a completion: the assistant's own, and not after the end."""
    return frame.role == "assistant" and not any(earlier.stop == "return" for earlier in before)

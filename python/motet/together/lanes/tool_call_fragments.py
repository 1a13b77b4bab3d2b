"""Tool calls from their fragments: which fragment belongs to which call, whole names, and ids."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from motet import _core
from motet._surrogates import joined_surrogates

__all__ = ["CallFragments", "OpenCall"]


class OpenCall:
    """A tool call while its fragments arrive."""

    def __init__(self, index: int | None, tools: Mapping[str, str]) -> None:
        self.index = index
        """The service's own number. `None`: it gave none."""
        self.id = ""
        self.frame: int | None = None
        """Index of the frame. `None`: the call has not begun, because its name may be incomplete."""
        self.name = ""
        """The name as the service wrote it."""
        self.resolved_name = ""
        self.arguments: list[str] = []
        self._size = 0
        self._pending: list[str] = []
        self._tools = tools

    def add(self, identifier: str, name: str, arguments: str) -> None:
        self.id = self.id or identifier
        if 1 < self._size <= len(arguments) and name == self.name and identifier == self.id:
            # Services that repeat the id and the name in each fragment may repeat the arguments, too.
            arguments = arguments.removeprefix("".join(self.arguments))
        if self.frame is None:
            self.name = _joined_name(self.name, name, self._tools)
        self.arguments.append(arguments)
        self._pending.append(arguments)
        self._size += len(arguments)

    def take_pending(self) -> str:
        """The arguments since the last call."""
        text = "".join(self._pending)
        self._pending.clear()
        return text

    @property
    def has_arguments(self) -> bool:
        return any(self.arguments)

    @property
    def is_complete(self) -> bool:
        """True if the arguments are a complete JSON value: more of them would belong to another call."""
        text = "".join(self.arguments).strip()
        # A complete object ends with its brace: without it the text need not be parsed again.
        if not text.endswith(("}", "]")):
            return False
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return True

    def name_note(self) -> str | None:
        """A remark on a name that the service sent damaged."""
        if not self.name:
            return "the service sent a tool call without a name"
        bare = _core.name_of(self.name)
        if self._tools.get(bare, bare) != self.resolved_name:
            return f"the service named a tool call {self.name!r:.100}, read as {self.resolved_name!r}"
        return None


class CallFragments:
    """The tool calls of one answer."""

    def __init__(self, tools: Iterable[Mapping[str, Any]], turn: int) -> None:
        names = list(_tool_names(tools))
        # The service was offered names that it accepts, and the caller knows the tools by their own.
        self._tools = {**dict(zip(_core.wire_names(names), names, strict=True)), **{name: name for name in names}}
        self._turn = turn
        self._calls: list[OpenCall] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, place: int, fragment: object) -> None:
        """Adds a fragment; `place` is its position in its list. Raises `ValueError`, which names the wrong field."""
        if not isinstance(fragment, Mapping):
            raise ValueError(f"tool_calls[{place}] must be an object, not {type(fragment).__name__}")
        function = fragment.get("function") or {}
        index = fragment.get("index")
        if isinstance(index, str) and index.isdecimal() and len(index) < 10:
            index = int(index)
        if not isinstance(function, Mapping) or not _is_index(index):
            raise ValueError(f"tool_calls[{place}] must have a function and a number as its index")
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        texts = [
            _text(place, key, value) for key, value in (("id", fragment.get("id")), ("name", function.get("name")))
        ]
        identifier, name = map(joined_surrogates, texts)
        arguments = arguments or ""
        # The index may be a float.
        call = self._call_for(None if index is None else int(index), place, identifier, name, arguments)
        call.add(identifier, name, arguments)

    def _call_for(self, index: int | None, place: int, identifier: str, name: str, arguments: str) -> OpenCall:
        """The call that a fragment belongs to.

        Services give parallel calls one index, or none, and repeat ids and names or leave them out. So a new id with a
        name begins a call, and so does a name after complete arguments; a fragment without a name never does, unless it
        is the first of its index.
        """
        call = self._last(index, identifier)
        if call is None and not name and self._calls and (index is None or not identifier):
            call = self._calls[-1]
        if call is None:
            return self._new(index)
        if not name:
            return call
        if identifier and call.id and identifier != call.id:
            return self._new(index)
        if not identifier and index is None and place > 0:
            # Whole calls in one list.
            return self._new(index)
        repeats = identifier == call.id != "" and name == call.name
        if not repeats and call.is_complete and (arguments or name != call.name):
            return self._new(index)
        return call

    def _last(self, index: int | None, identifier: str) -> OpenCall | None:
        for call in reversed(self._calls):
            if (index is not None and call.index == index) or (index is None and identifier and call.id == identifier):
                return call
        return self._calls[-1] if index is None and self._calls else None

    def _new(self, index: int | None) -> OpenCall:
        call = OpenCall(index, self._tools)
        self._calls.append(call)
        return call

    def ready(self) -> Iterator[OpenCall]:
        """Calls whose names are complete: their arguments have begun, or another call follows."""
        for place, call in enumerate(self._calls):
            if call.name and (call.frame is not None or call.has_arguments or place < len(self._calls) - 1):
                yield self._named(place, call)

    def named(self) -> Iterator[OpenCall]:
        """Calls with a name; it is complete because text follows."""
        for place, call in enumerate(self._calls):
            if call.name:
                yield self._named(place, call)

    def all(self) -> Iterator[OpenCall]:
        """All calls, at the end of the answer: those without a name too, if they have anything else."""
        for place, call in enumerate(self._calls):
            if call.name or call.id or call.has_arguments:
                yield self._named(place, call)

    def _named(self, place: int, call: OpenCall) -> OpenCall:
        if call.frame is None:
            call.resolved_name = _resolved_name(call.name, self._tools)
            if not call.id:
                # From what is known when the call begins, so that the id stays while arguments arrive, and equal
                # responses give equal ids.
                digest = hashlib.sha256(f"{self._turn}\0{place}\0{call.resolved_name}".encode("utf-8", "surrogatepass"))
                call.id = f"call_{digest.hexdigest()[:24]}"
        return call


def _tool_names(tools: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for tool in tools:
        function = tool.get("function")
        name = (function if isinstance(function, Mapping) else tool).get("name")
        if isinstance(name, str):
            yield name


def _joined_name(name: str, fragment: str, tools: Mapping[str, str]) -> str:
    """A name with its next fragment, which may also be the name so far or the whole name again."""
    if not name or not fragment:
        return name or fragment
    if name + fragment in tools:
        return name + fragment
    if name in tools and name == fragment:
        return name
    if fragment in tools or fragment.startswith(name):
        return fragment
    return name + fragment


_MARKER = re.compile("|".join(map(re.escape, _core.MARKERS.values())))
_RECIPIENT = re.compile(r"\bto=(\S+)")


def _resolved_name(name: str, tools: Mapping[str, str]) -> str:
    """The tool that a name stands for. Services leave parts of the header in it: a marker and what follows, the prefix
    of the recipient, or the content type."""
    bare = _core.name_of(name)
    if bare in tools or name in tools:
        return tools[bare if bare in tools else name]
    bare, *rest = _MARKER.split(bare, maxsplit=1)
    if not bare.strip() and rest and (recipient := _RECIPIENT.search(_MARKER.sub(" ", rest[0]))):
        bare = _core.name_of(recipient[1])
    bare = bare.strip()
    candidates = (bare, bare.removesuffix("json"), bare.removesuffix("code"), *bare.split()[:1])
    return next((tools[name] for name in map(str.strip, candidates) if name in tools), bare)


def _is_index(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**31)


def _text(place: int, key: str, value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError(f"{key} of tool_calls[{place}] must be a text, not {type(value).__name__}")

"""Examples from other files: training rows, saved runs, transcripts, cassettes."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from motet import _core
from motet.errors import ConfigError, DataError, MotetError
from motet.loop.run import Run
from motet.message import DeveloperContent, Message
from motet.schema.tool import Tool
from motet.tune.example import Example
from motet.tune.lines import MAX_LINE, Line, name_of, parse, read_lines
from motet.tune.parallel import ordered_map
from motet.tune.rows import format_of, without_nulls

__all__ = ["read_examples"]

MAX_FILE = 64 << 20
"""Bytes of a file that is one conversation or run, which is read whole."""


def read_examples(
    file: str | Path | BinaryIO,
    *,
    tools: Iterable[Any] = (),
    quality: float | None = None,
    tags: Iterable[str] = (),
    workers: int | None = None,
) -> Iterator[Example]:
    """The examples in a file, one after the other. The beginning of the file says what it is:

    - lines of training data in any of the service's formats, or of a file of examples
    - a run that `run.save` or a checkpoint wrote; it must be done
    - a cassette: each exchange is an example
    - a conversation: a JSON list of messages, an object with `messages` and perhaps `tools`, harmony as text or as a
      list of token ids

    - `tools`: the tools of the conversations, where the file does not have them; OpenAI tool dicts.
    - `quality`, `tags`: of all examples, unless the file has them.
    - `workers`: processes that share the work on lines; see `ordered_map` in `parallel`.

    Raises `DataError` with the line that is not an example.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, str | Path):
            name = str(file)
            opened: BinaryIO = stack.enter_context(Path(file).open("rb", buffering=1 << 20))
        else:
            name, opened = name_of(file), file
        fields: dict[str, Any] = {"quality": quality, "tags": tuple(tags), "source": name}
        # Dicts can be pickled for other processes, functions cannot.
        shapes = tuple([tool.to_dict() if isinstance(tool, Tool) else tool for tool in tools])
        yield from _Source(name, shapes, fields).read(opened, workers)


class _Source:
    """A file, and the fields that all of its examples have."""

    def __init__(self, name: str, tools: tuple[Any, ...], fields: dict[str, Any]) -> None:
        self._name = name
        self._tools = tools
        self._fields = fields

    def read(self, file: BinaryIO, workers: int | None) -> Iterator[Example]:
        lines = read_lines(file)
        first = next((line for line in lines if line.data.strip()), None)
        if first is None:
            raise DataError(f"{self._name} is empty", path=self._name)
        shape, findings = parse(first)
        if findings or not isinstance(shape, dict) or "motet_run" in shape:
            data = first.data + file.read(MAX_FILE)
            if len(data) > MAX_FILE or first.size > len(first.data):
                problem = f"one conversation or run may have {MAX_FILE} bytes, {MAX_LINE} on its first line"
                raise DataError(f"{self._name} is too large: {problem}", path=self._name)
            yield self._whole_file(data)
            return
        for examples in ordered_map(self._from_line, itertools.chain([first], lines), workers):
            yield from examples

    def _from_line(self, line: Line) -> list[Example]:
        shape, findings = parse(line)
        if findings:
            raise self._error(line, str(findings[0]))
        if shape is None:
            return []
        try:
            return [*self._from_shape(shape)]
        except (MotetError, AttributeError, LookupError, ValueError, TypeError) as error:
            raise self._error(line, str(error)) from error

    def _error(self, line: Line, problem: str) -> DataError:
        return DataError(f"{self._name}, line {line.number}: {problem}", path=self._name, line=line.number)

    def _from_shape(self, shape: dict[str, Any]) -> Iterator[Example]:
        if "request" in shape and "response" in shape:
            yield from self._exchange(shape)
            return
        if "id" in shape:
            yield Example.from_dict(shape)
            return
        shape = without_nulls(shape)
        form = format_of(shape)
        match form:
            case "conversational":
                yield self._conversation(shape["messages"], shape.get("tools"))
            case "instruction":
                yield Example.of(shape["prompt"], shape["completion"], **self._fields)
            case "preference":
                yield self._preference(shape)
            case "text":
                yield Example.plain(shape["text"], **self._fields)
            case _:
                raise ValueError(str(form))

    def _conversation(self, messages: Any, tools: Any, rejected: Any = None) -> Example:
        return Example.conversation(messages, tools=tools or self._tools, rejected=rejected, **self._fields)

    def _preference(self, shape: dict[str, Any]) -> Example:
        match shape:
            case {
                "input": {"messages": [*messages], **more},
                "preferred_output": [preferred],
                "non_preferred_output": [rejected],
            }:
                return self._conversation([*messages, preferred], more.get("tools"), rejected)
        raise ValueError("a preference has `input` with `messages`, and one message in each of its outputs")

    def _whole_file(self, data: bytes) -> Example:
        """A file that is one example."""
        try:
            shape = json.loads(data)
        except (ValueError, RecursionError):
            shape = None
        try:
            if isinstance(shape, Mapping) and "motet_run" in shape:
                return self._run(Run.from_dict(shape))
            if isinstance(shape, Mapping) and "messages" in shape:
                return self._conversation(shape["messages"], shape.get("tools"))
            if isinstance(shape, list) and shape and isinstance(shape[0], Mapping):
                return self._conversation(shape, None)
            if isinstance(shape, list) or data.lstrip().startswith(_SPECIAL_TOKENS):
                messages = _core.parse_conversation(data.decode() if shape is None else shape)
                return self._conversation(messages, _listed_tools(messages))
        except (MotetError, ValueError, TypeError) as error:
            raise DataError(f"{self._name}: {error}", path=self._name) from error
        raise DataError(f"{self._name} is neither a run, a conversation nor training data", path=self._name)

    def _run(self, run: Run) -> Example:
        if not run.done:
            raise ValueError("the run is not done: it has no answer to learn from")
        return self._conversation(run.messages, None)

    def _exchange(self, shape: dict[str, Any]) -> Iterator[Example]:
        """The exchange of a cassette's line. Nothing, if it is not an answered question to a model."""
        request, response = shape["request"], shape["response"]
        if not str(request["path"]).partition("?")[0].endswith("/completions"):
            return
        body = request["body"]
        answer = _answer(body, response["body"])
        if answer is not None:
            prompt = body["messages"] if "messages" in body else _core.parse_conversation(body["prompt"])
            yield self._conversation([*prompt, answer], body.get("tools"))


_SPECIAL_TOKENS = tuple([token.encode() for token in _core.SPECIAL_TOKENS])


def _listed_tools(messages: Iterable[Message]) -> list[Any]:
    """The tools that developer messages list."""
    parts = [part for message in messages for part in message.content if isinstance(part, DeveloperContent)]
    return [tool for part in parts for tool in part.tools or ()]


def _answer(request: Mapping[str, Any], body: str) -> Message | None:
    """The message in a recorded response. `None`: the response ended before the model did."""
    try:
        from motet.together.lanes.chat_reader import ChatLane
        from motet.together.lanes.raw import RawLane
        from motet.together.transport.sse import EventReader
    except ImportError as error:  # pragma: no cover
        raise ConfigError("reading a cassette needs the Together SDK: pip install 'motet[together]'") from error

    lane = ChatLane() if "messages" in request else RawLane("ids", request.get("tools"))
    # A whole answer, or a stream. An error is neither, and has no choices.
    events = [data for _, data in EventReader().feed(body.encode("utf-8", "surrogateescape"))]
    chunks = [body] if body.lstrip().startswith("{") else [data for data in events if data != b"[DONE]"]
    finish = None
    for chunk in map(json.loads, chunks):
        for choice in chunk.get("choices", ())[:1]:
            lane.read(choice)
            finish = choice.get("finish_reason") or finish
    if finish in (None, "length"):
        return None
    lane.close(finish, None)
    return lane.completion.message

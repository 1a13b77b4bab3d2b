"""Examples out of what there is: training rows, saved runs, transcripts, recorded exchanges, completions."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from motet import _core
from motet.errors import ConfigError, DataError, MotetError
from motet.loop.run import Run
from motet.message import Message
from motet.schema.tool import Tool
from motet.tune.conversations import tools_in
from motet.tune.crew import each
from motet.tune.example import Example
from motet.tune.lines import Line, line_bytes, lines_of, parse
from motet.tune.rows import format_of

__all__ = ["read_examples"]


def read_examples(
    file: str | Path | BinaryIO,
    *,
    tools: Iterable[Any] = (),
    quality: float | None = None,
    tags: Iterable[str] = (),
    workers: int | None = None,
) -> Iterator[Example]:
    """The examples in a file, as they are read. What it holds is seen from how it begins:

    - lines of training data in any of the service's formats, or of a file of examples
    - a run that `run.save` or a checkpoint wrote, which has to be done
    - a cassette: each exchange is an example
    - a conversation: a JSON list of messages, an object with `messages` and perhaps `tools`, harmony as text or as a
      list of token ids

    - `tools`: those that the conversations were held with, where the file does not say; OpenAI tool dicts.
    - `quality`, `tags`: of all of them, unless the file knows better.
    - `workers`: how many processes share the work on lines; 1: none but this one. `None`: one for each core, 8 at most.
      None is started for less than 4 MiB.

    Raises `DataError` with the line that holds nothing to learn from.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, str | Path):
            name = str(file)
            opened: BinaryIO = stack.enter_context(Path(file).open("rb", buffering=1 << 20))
            size = os.fstat(opened.fileno()).st_size
        else:
            name, opened, size = getattr(file, "name", "-"), file, None
        about: dict[str, Any] = {"quality": quality, "tags": tuple(tags), "source": name}
        # As dicts, which processes can be told.
        shapes = tuple([tool.to_dict() if isinstance(tool, Tool) else tool for tool in tools])
        yield from _Source(name, shapes, about).read(opened, size, workers)


class _Source:
    """One file, and what is said of all its examples."""

    def __init__(self, name: str, tools: tuple[Any, ...], about: dict[str, Any]) -> None:
        self._name = name
        self._tools = tools
        self._about = about

    def read(self, file: BinaryIO, size: int | None, workers: int | None) -> Iterator[Example]:
        lines = lines_of(file)
        first = next((line for line in lines if line.data.strip()), None)
        if first is None:
            raise DataError(f"{self._name} is empty", path=self._name)
        shape, findings = parse(first)
        if findings or not isinstance(shape, dict) or "motet_run" in shape:
            yield self._whole(first.data + file.read())
            return
        every = itertools.chain([first], lines)
        for examples in each(self._on_line, every, line_bytes, size=size, workers=workers):
            yield from examples

    def _on_line(self, line: Line) -> list[Example]:
        shape, findings = parse(line)
        if findings:
            raise self._error(line, str(findings[0]))
        if shape is None:
            return []
        try:
            return [*self._of_line(shape)]
        except (MotetError, AttributeError, LookupError, ValueError, TypeError) as error:
            raise self._error(line, str(error)) from error

    def _error(self, line: Line, problem: str) -> DataError:
        problem = problem.removeprefix(f"line {line.number}: ")
        return DataError(f"{self._name}, line {line.number}: {problem}", path=self._name, line=line.number)

    def _of_line(self, shape: dict[str, Any]) -> Iterator[Example]:
        if "request" in shape and "response" in shape:
            yield from self._exchange(shape)
            return
        if "id" in shape:
            yield Example.from_dict(shape)
            return
        form = format_of(shape)
        match form:
            case "conversational":
                yield self._conversation(shape["messages"], shape.get("tools"))
            case "instruction":
                yield Example.of(shape["prompt"], shape["completion"], **self._about)
            case "preference":
                yield self._preference(shape)
            case "text":
                yield Example.plain(shape["text"], **self._about)
            case _:
                raise ValueError(str(form))

    def _conversation(self, messages: Any, tools: Any, rejected: Any = None) -> Example:
        return Example.conversation(messages, tools=tools or self._tools, rejected=rejected, **self._about)

    def _preference(self, shape: dict[str, Any]) -> Example:
        match shape:
            case {
                "input": {"messages": [*messages], **given},
                "preferred_output": [preferred],
                "non_preferred_output": [rejected],
            }:
                return self._conversation([*messages, preferred], given.get("tools"), rejected)
        raise ValueError("a preference has `input` with `messages`, and one message in each of its outputs")

    def _whole(self, data: bytes) -> Example:
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
            if isinstance(shape, list) or data.lstrip().startswith(b"<|start|>"):
                messages = _core.parse_conversation(data.decode() if shape is None else shape)
                return self._conversation(messages, tools_in(messages))
        except (MotetError, ValueError, TypeError) as error:
            raise DataError(f"{self._name}: {error}", path=self._name) from error
        raise DataError(f"{self._name} is no run, no conversation and no training data", path=self._name)

    def _run(self, run: Run) -> Example:
        if not run.done:
            raise ValueError("the run is not done: it has no answer to learn from")
        return self._conversation(run.messages, None)

    def _exchange(self, shape: dict[str, Any]) -> Iterator[Example]:
        """What a cassette holds: nothing, if the exchange is none with a model, or was not answered."""
        asked, response = shape["request"], shape["response"]
        if not str(asked["path"]).partition("?")[0].endswith("/completions"):
            return
        answer = _answer(asked["body"], response["body"])
        if answer is not None:
            body = asked["body"]
            before = body["messages"] if "messages" in body else _core.parse_conversation(body["prompt"])
            yield self._conversation([*before, answer], body.get("tools"))


def _answer(asked: Mapping[str, Any], body: str) -> Message | None:
    """The message that a recorded response holds. `None`: it ended before the model did."""
    try:
        from motet.together.lanes.chat import ChatLane
        from motet.together.lanes.raw import RawLane
        from motet.together.transport.sse import EventReader
    except ImportError as error:  # pragma: no cover
        raise ConfigError("reading a cassette needs the Together SDK: pip install 'motet[together]'") from error

    lane = ChatLane() if "messages" in asked else RawLane("ids", asked.get("tools"))
    reader = EventReader()
    # An answer as a whole, or a stream; an error is neither, and has no choices.
    events = [data for _, data in reader.feed(body.encode("utf-8", "surrogateescape"))]
    pieces = [body] if body.lstrip().startswith("{") else [data for data in events if data != b"[DONE]"]
    finish = None
    for piece in map(json.loads, pieces):
        for choice in piece.get("choices", ())[:1]:
            lane.read(choice)
            finish = choice.get("finish_reason") or finish
    if finish in (None, "length"):
        return None
    lane.close(finish, None)
    return lane.completion.message

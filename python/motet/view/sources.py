"""Transcripts of values: raw completions, prompts, conversations, answers and runs."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from motet import _core
from motet.asking.answer import Answer
from motet.asking.episode import Episode
from motet.dialects.chat import to_messages
from motet.harmony import Prompt
from motet.loop.run import Run
from motet.message import Completion, Message, Role
from motet.view.frames import frames_of_ids, frames_of_messages
from motet.view.transcript import Transcript, TranscriptStep, pair_calls

__all__ = ["ids_of", "transcript"]

_START = _core.MARKERS["start"]


def transcript(
    source: Any,
    *,
    role: Role | None = "assistant",
    opened: str | None = None,
    tools: Iterable[Any] | None = None,
    stripped: Literal["auto", "always", "never"] = "auto",
    title: str | None = None,
) -> Transcript:
    """A completion, a prompt, a conversation, an answer or a run as a transcript.

    - `source`: a raw completion or prompt (text with markers as `str` or UTF-8 bytes, or token ids); a `Prompt`, a
      `Completion`, an `Answer`, an `Episode` or a `Run`; messages, as `Message`s or dicts; a dict of `to_dict` of one
      of these.
    - `role`, `opened`, `tools`, `stripped`: how raw input is parsed: see `motet.parse`. What begins with `<|start|>` is
      a prompt or a transcript, whatever the role.
    - `title`: the title of its page. Default: made from the source.

    Raises `TypeError` or `ValueError` for anything else.
    """
    match source:
        case Transcript():
            return source
        case Run():
            return _of_run(source, title)
        case Episode():
            return _of_episode(source, title)
        case Answer():
            return _of_answer(source, title)
        case Completion():
            return _of_completion(source, title)
        case Prompt():
            return _of_raw(source.ids, None, None, None, stripped, title or "Prompt")
        case Mapping():
            return _of_dict(source, title)
        case Path():
            raise TypeError(f"source must be a value, not a path: motet.transcripts reads files: {str(source)!r}")
    if isinstance(source, Message):
        return _of_messages([source], title)
    if _is_conversation(source):
        return _of_messages(to_messages(source, unnamed_results=True), title)
    ids = ids_of(source)
    return _of_raw(ids, role, opened, tools, stripped, title)


def _is_conversation(source: object) -> bool:
    return (
        isinstance(source, Sequence)
        and not isinstance(source, str | bytes | bytearray | memoryview | array)
        and bool(source)
        and not isinstance(source[0], int)
    )


def ids_of(source: Any) -> Sequence[int]:
    """The ids of raw input: ids, or text with its markers as special tokens. Raises `TypeError` for anything else."""
    if isinstance(source, bytes | bytearray | memoryview) and not (
        isinstance(source, memoryview) and source.format not in ("B", "b", "c")
    ):
        source = bytes(source).decode("utf-8", "replace")
    if isinstance(source, str):
        return _core.encode_array(source, special="token")
    if isinstance(source, array):
        return source
    ids = list(source)
    if not all(isinstance(token, int) for token in ids):
        raise TypeError(f"source must be a completion, a conversation or a run, not {type(source).__name__}")
    return ids


def _of_raw(
    ids: Sequence[int],
    role: Role | None,
    opened: str | None,
    tools: Iterable[Any] | None,
    stripped: Literal["auto", "always", "never"],
    title: str | None,
) -> Transcript:
    is_prompt = role is None or list(ids[:1]) == [_core.SPECIAL_TOKENS[_START]]
    frames, repairs = frames_of_ids(
        ids, role=None if is_prompt else role, opened=opened, tools=tools, stripped=stripped
    )
    name = "Prompt" if is_prompt else "Completion"
    return Transcript(
        title or name, "prompt" if is_prompt else "completion", tuple(frames), repairs, pair_calls(frames)
    )


def _of_messages(messages: Sequence[Message], title: str | None) -> Transcript:
    frames, repairs = frames_of_messages(messages)
    return Transcript(title or "Conversation", "conversation", tuple(frames), tuple(repairs), pair_calls(frames))


def _of_completion(completion: Completion, title: str | None) -> Transcript:
    frames, _ = frames_of_messages([completion.message])
    notes: tuple[str, ...] = ()
    if completion.repairs:
        notes = ("the completion's ids are not known: repairs are listed and not marked in the text",)
    return Transcript(
        title or "Completion", "completion", tuple(frames), completion.repairs, pair_calls(frames), notes=notes
    )


def _of_episode(episode: Episode, title: str | None) -> Transcript:
    sampled = [episode.sampled.get(index) for index in range(len(episode.messages))]
    frames, repairs = frames_of_messages(episode.messages, sampled=sampled)
    return Transcript(title or "Episode", "conversation", tuple(frames), tuple(repairs), pair_calls(frames))


def _of_answer(answer: Answer[Any], title: str | None) -> Transcript:
    messages = answer.episode.messages
    sampled: list[array[int] | None] = [answer.episode.sampled.get(index) for index in range(len(messages))]
    if answer.sampled is not None:
        sampled[-1] = answer.sampled
    steps: list[int | None] = [None] * len(messages)
    steps[-1] = 1
    frames, repairs = frames_of_messages(messages, steps=steps, sampled=sampled)
    return Transcript(
        title or f"Answer of {answer.model or 'a model'}",
        "conversation",
        tuple(frames),
        tuple(repairs) or answer.completion.repairs,
        pair_calls(frames),
        (TranscriptStep(1, answer.model, answer.metrics),),
        answer.metrics,
        answer.notes,
    )


def _of_run(run: Run, title: str | None) -> Transcript:
    before = run.prior_episode
    messages: list[Message] = [*before.messages, *run.initial_messages]
    sampled: list[array[int] | None] = [before.sampled.get(index) for index in range(len(messages))]
    steps: list[int | None] = [None] * len(messages)
    outcomes: dict[tuple[int | None, str], tuple[str | None, float]] = {}
    for step in run.steps:
        added = [step.message, *step.results]
        messages += added
        sampled += [step.sampled, *[None] * len(step.results)]
        steps += [step.n] * len(added)
        for record in step.calls:
            if record.signal is not None:
                outcomes[step.n, record.call.id] = (record.signal, record.seconds)
    frames, repairs = frames_of_messages(messages, steps=steps, sampled=sampled)
    notes = [f"{count} requests gave no step; their cost is in the sum" for count in [len(run.aborted)] if count]
    notes += [f"the call of {call.name} began and has no recorded end" for call in run.unfinished]
    return Transcript(
        title or f"Run of {run.slug}",
        "run",
        tuple(frames),
        tuple(repairs),
        pair_calls(frames, outcomes),
        tuple([TranscriptStep(step.n, step.model, step.metrics) for step in run.steps]),
        run.metrics,
        tuple(notes),
    )


def _of_dict(shape: Mapping[str, Any], title: str | None) -> Transcript:
    """The transcript of a JSON form."""
    if "motet_run" in shape:
        return _of_run(Run.from_dict(shape), title)
    if "exchanges" in shape:
        return _of_episode(Episode.from_dict(shape), title)
    if "frames" in shape and "message" in shape:
        return _of_completion(Completion.from_dict(shape), title)
    if "role" in shape:
        return _of_messages(to_messages([shape], unnamed_results=True), title)
    raise ValueError(f"not the dict of a run, an episode, a completion or a message: {shape!r:.200}")

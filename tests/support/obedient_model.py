"""A model that does what the probes of `motet.verify` tell it, for the script of a server: it reads the conversation of a
request in either API, and keeps to forced calls, schemas and stop strings as an engine makes a model do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import motet
from motet.message import Message, ToolResult
from motet.testing import Turn

__all__ = ["obedient_model"]

THOUGHT = (
    "The user wants something of me, and I know how to do that: first I look at it, then I do it, and so it is done."
)
_CALL = re.compile(r"Call the function (\w+) at once, with the arguments (.*)", re.S)
_SAY = re.compile(r"Reply with exactly this text and nothing else: (.*)", re.S)


def obedient_model(**settings: Any) -> Callable[[Mapping[str, Any]], Turn]:
    """`settings`: of each `Turn`."""
    return lambda body: Turn(completion(body), **settings)


def completion(body: Mapping[str, Any]) -> str:
    """The completion for a request's body."""
    message = _messages(body)[-1]
    constraint = _constraint(body)
    thought = f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
    if constraint in ("none", ""):
        text = _text(message)
        calls = _CALL.search(text)
        if calls is not None and constraint != "none":
            arguments = re.split(r" and (?=\{)", calls[2])
            return thought + "<|start|>assistant".join([_call(calls[1], value) for value in arguments])
        return f"{thought}<|channel|>final<|message|>{_stopped(_answer(message, text), body)}<|return|>"
    if constraint == "json":
        return f'{thought}<|channel|>final<|message|>{{"colour": "blue", "why": "It is calm."}}<|return|>'
    return thought + _call(constraint, "{}" if constraint == "get_time" else '{"city": "Bern"}')


def _call(name: str, arguments: str) -> str:
    return f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"


def _messages(body: Mapping[str, Any]) -> list[Message]:
    if "messages" in body:
        # An engine renders a role that it does not know as well.
        known = [
            {**message, "role": "user"} if message["role"] == "narrator" else message for message in body["messages"]
        ]
        return list(motet.to_messages(known))
    prompt = body["prompt"]
    text = prompt if isinstance(prompt, str) else motet.decode(prompt)
    return list(motet.parse_conversation(text.removesuffix("<|start|>assistant")))


def _text(message: Message) -> str:
    return "".join([part.text for part in message.content if part.type == "text"])


def _answer(message: Message, text: str) -> str:
    results = [part.content for part in message.content if isinstance(part, ToolResult)]
    if results:
        return f"It is {results[-1]}."
    if text.startswith("Count from 1 to 40"):
        return " ".join(map(str, range(1, 41)))
    said = _SAY.search(text)
    return "There are 13, because 10 are divisible by 3, 4 by 7, and 1 by both." if said is None else said[1]


def _stopped(text: str, body: Mapping[str, Any]) -> str:
    stops = body.get("stop") or ()
    stops = [stops] if isinstance(stops, str) else [stop for stop in stops if "<|" not in stop]
    return text[: min([text.find(stop) for stop in stops if stop in text], default=len(text))]


def _constraint(body: Mapping[str, Any]) -> str:
    """The tool that must be called, `json` for a schema, `none` where no call may be; empty: nothing is forced."""
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping):
        return str(choice["function"]["name"])
    if choice == "required":
        return str(body["tools"][0]["function"]["name"])
    grammar = json.dumps([body.get(key) for key in ("structured_outputs", "response_format", "grammar")])
    if "colour" in grammar or _asks_for_json(body):
        return "json"
    if grammar == "[null, null, null]":
        return "none" if choice == "none" else ""
    name = re.search(r"functions\.(\w+)", grammar)
    return "json" if name is None else name[1]


def _asks_for_json(body: Mapping[str, Any]) -> bool:
    """True if the system side of the prompt has a schema."""
    return "colour" in json.dumps(body.get("messages", [])[:-1])

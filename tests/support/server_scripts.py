"""Completions for the scripted server, and ways to ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import motet
from motet.testing import ScriptedServer

KEY = "tgp_v1_canary_0123456789abcdef"

THOUGHT = "The sky is blue: Rayleigh."
ANSWER = "It scatters — the blue most: 青い."
PLAIN = f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>"
CALL = (
    "<|channel|>analysis<|message|>I need the weather.<|end|>"
    "<|start|>assistant<|channel|>commentary<|message|>Let me look.<|end|>"
    '<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Zürich"}<|call|>'
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SLUG = "together/gpt-oss/120b"


def final(text: str) -> str:
    return f"<|channel|>final<|message|>{text}<|return|>"


def prompt_text(body: dict[str, Any]) -> str:
    """The prompt of a raw request, which a server gets as text or as ids."""
    prompt = body["prompt"]
    return prompt if isinstance(prompt, str) else motet.decode(prompt)


@contextmanager
def asking(*script: Any, slug: str = SLUG, **settings: Any) -> Iterator[tuple[motet.Atom, ScriptedServer]]:
    """An atom over a server with a script. Settings of the server are `style`, `key`, `models`; others the atom's."""
    mine = {name: settings.pop(name) for name in ("style", "key", "models") if name in settings}
    settings.setdefault("lane", "chat")
    count = script[0] if len(script) == 1 and callable(script[0]) else script
    with (
        ScriptedServer(count, **mine) as server,
        motet.atom(slug, base_url=server.url, api_key=KEY, **settings) as atom,
    ):
        yield atom, server


LANES = [
    ("together", "chat"),
    ("vllm", "chat"),
    ("vllm", "ids"),
    ("vllm", "text"),
    ("llamacpp", "text"),
    ("sglang", "ids"),
]


async def aask(atom: motet.Atom, prompt: str, **options: Any) -> motet.Answer[Any]:
    """Sends a request, and closes the atom's connections, which belong to the running event loop."""
    async with atom:
        return await atom.aask(prompt, **options)

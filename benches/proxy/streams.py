"""The streams of the benches of proxies: what the upstream sends and the client expects, from the seed of a request.

The words of a stream contain its seed, so that a stream with a part of another one is recognised.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import motet

MODEL = "gpt-oss-120b"
HEAD_IDS = motet.encode("<|channel|>final<|message|>", special="token")
RETURN = motet.encode("<|return|>", special="token")


@dataclass(frozen=True)
class Plan:
    """What a request asks of the upstream. The name of the model carries it through any proxy."""

    tokens: int
    per_chunk: int = 1
    """Tokens in a chunk."""
    interval: float = 0.0
    """Seconds between chunks. 0: all at once."""

    @property
    def model(self) -> str:
        """The name of the model."""
        return f"{MODEL}-x{self.per_chunk}-{round(self.interval * 1e6)}us-{self.tokens}"

    @classmethod
    def of(cls, model: str) -> Plan:
        """The plan in the name of a model."""
        per_chunk, interval, tokens = model.rsplit("-", 3)[1:]
        return cls(int(tokens), int(per_chunk[1:]), int(interval[:-2]) / 1e6)


def question_of(seed: int) -> str:
    """The question that carries a seed through any proxy."""
    return f"Count for {seed}."


def seed_in(request: dict[str, Any]) -> int:
    """The seed of a request: in its messages, or in the ids of its prompt."""
    prompt = request.get("prompt")
    text = json.dumps(request["messages"]) if prompt is None else motet.decode(prompt)
    match = re.search(r"Count for (\d+)\.", text)
    assert match is not None, request
    return int(match[1])


def ids_of(seed: int, count: int) -> list[int]:
    """The tokens of a stream's text."""
    words = "".join([f" word{seed}.{number}" for number in range(count // 4 + 1)])
    return motet.encode(words)[:count]


def text_of(seed: int, count: int) -> str:
    """The text of a stream."""
    return motet.decode(ids_of(seed, count))


def completion_chunks(seed: int, plan: Plan) -> list[bytes]:
    """A stream of vLLM's `/v1/completions` with token ids, as HTTP chunks."""
    head = f'{{"id":"cmpl-{seed}","object":"text_completion","created":1750000000,"model":"{plan.model}","choices":'
    ids = [*HEAD_IDS, *ids_of(seed, plan.tokens), *RETURN]
    chunks = []
    for start in range(0, len(ids), plan.per_chunk):
        part = ids[start : start + plan.per_chunk]
        finish = '"stop"' if start + plan.per_chunk >= len(ids) else "null"
        choice = (
            f'[{{"index":0,"text":{json.dumps(motet.decode(part))},"logprobs":null,"finish_reason":{finish},'
            f'"stop_reason":null,"token_ids":{json.dumps(part)},"prompt_token_ids":null}}],"usage":null}}'
        )
        chunks.append(_chunk(head + choice))
    usage = f'{{"prompt_tokens":70,"total_tokens":{70 + len(ids)},"completion_tokens":{len(ids)}}}'
    return [*chunks, _chunk(f'{head}[],"usage":{usage}}}'), _chunk("[DONE]") + b"0\r\n\r\n"]


def chat_chunks(seed: int, plan: Plan) -> list[bytes]:
    """A stream of vLLM's `/v1/chat/completions`, as HTTP chunks."""
    head = (
        f'{{"id":"chatcmpl-{seed}","object":"chat.completion.chunk","created":1750000000,"model":"{plan.model}",'
        '"choices":'
    )
    chunks = [_chat_chunk(head, '{"role":"assistant","content":""}')]
    ids = ids_of(seed, plan.tokens)
    for start in range(0, len(ids), plan.per_chunk):
        text = motet.decode(ids[start : start + plan.per_chunk])
        chunks.append(_chat_chunk(head, f'{{"content":{json.dumps(text)}}}'))
    usage = f'{{"prompt_tokens":70,"total_tokens":{70 + len(ids)},"completion_tokens":{len(ids)}}}'
    last = [_chat_chunk(head, '{"content":""}', '"stop"'), _chunk(f'{head}[],"usage":{usage}}}')]
    return [*chunks, *last, _chunk("[DONE]") + b"0\r\n\r\n"]


def _chat_chunk(head: str, delta: str, finish: str = "null") -> bytes:
    return _chunk(f'{head}[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}],"usage":null}}')


def _chunk(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(event), event)

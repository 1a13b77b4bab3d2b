"""Faces of the scripted server: how each service differs from the others. Data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["FACES", "Face", "FaceName"]

FaceName = Literal["together", "vllm", "sglang", "llamacpp", "ollama", "lmstudio", "groq", "openrouter"]

OPENAI_NAME = r"[A-Za-z0-9_-]{1,64}"
"""Names of functions in OpenAI's API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What distinguishes a service: its defaults, its shapes, and what it refuses."""

    name: str
    path: str = "/v1"
    """Prefix of the pages."""
    owned_by: str | None = None
    """`owned_by` of the listed models."""
    bare_list: bool = False
    """True: the list of models is a JSON list, not an object with `data`."""
    model_fields: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of a listed model."""
    context: int = 131072
    """Tokens of prompt and answer together."""
    spare_tokens: int | None = None
    """Tokens of the context that the prompt and `max_tokens` must leave. `None`: only the prompt is checked; an answer
    ends at the context."""
    drops_messages: bool = False
    """True: the oldest messages of a prompt that is longer than the context are dropped, system messages and the last
    one excepted. False: it is refused."""

    # /v1/completions
    has_completions: bool = True
    completion_tokens: int | None = None
    """Default of an absent `max_tokens`. `None`, or `null` where it is accepted: what the context leaves."""
    refuses_null: frozenset[str] = frozenset()
    """Keys of a completions request that must not be `null`."""
    id_prompts: bool = False
    id_key: str | None = None
    """Key of a request for token ids in the response."""
    sends_logprobs: bool = False
    """True: `logprobs` of a completions request is answered in OpenAI's shape."""
    markers_key: str | None = None
    """Key of a request that keeps markers in the text: `skip_special_tokens` (false), or `preserved_tokens`, which
    keeps the stop token where the markers stay by themselves. `None`: there is none."""
    skips_partial_characters: bool = False
    """True: a stream has no chunk for a token whose text ends within a character; the next one has its text."""
    grammar: Literal["vllm", "sglang", "llamacpp"] | None = None
    """Whose keys of a completions request constrain decoding. `None`: there are none."""
    stop_key: str | None = None
    """Key of the choice that holds the stop token or string."""

    # /v1/chat/completions
    reasoning_key: str = "reasoning"
    history_keys: frozenset[str] = frozenset(("reasoning", "reasoning_content"))
    """Keys in which an assistant message of the history may carry reasoning."""
    unknown_keys: Literal["refuse", "ignore"] = "ignore"
    has_template: bool = False
    """True: the published chat template renders the messages; it refuses text and reasoning beside calls."""
    parses_arguments: bool = True
    """True: arguments of the history's calls must be a JSON object."""
    tool_name: str | None = None
    """Pattern of the names of tools and calls. `None`: any text."""
    strict_schemas: bool = False
    """True: `strict` schemas must close each object and require all its properties."""
    call_index: Callable[[int], Any] = int
    """The `index` of a streamed call from its number."""
    whole_calls: bool = False
    """True: a streamed call arrives in one chunk."""
    empty_calls: bool = False
    """True: `tool_calls` is an empty list where there are none."""
    reasoning_details: bool = False
    checks_calls: bool = False
    """True: an answer that calls an unknown tool is an error that quotes it."""

    # usage, errors, streams
    usage_fields: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the usage."""
    usage_place: Literal["usage", "x_groq"] = "usage"
    """Where a stream has its usage, besides the last chunk that `include_usage` asks for."""
    always_usage: bool = False
    """True: streams have usage without `include_usage`."""
    timings: bool = False
    comments: str | None = None
    """A comment at the beginning of streams."""
    error: Callable[[int, str, str, str | None], Any] = lambda status, message, kind, code: {
        "error": {"message": message, "type": kind, "param": None, "code": code}
    }
    """The body of an error, from status, message, type and code."""
    stream_error: Callable[[str], tuple[str, Any]] = lambda message: (
        "",
        {"error": {"message": message, "type": "server_error"}},
    )
    """The event of an error within a stream: its name and its data."""
    overflow_message: str = "This model's maximum context length is {limit} tokens. You requested {tokens} tokens."
    long_prompt_message: str | None = None
    """`overflow_message` for a prompt that is too long by itself. `None`: the same."""
    overflow_code: str | None = None

    def with_context(self, context: int | None) -> Face:
        """The face with another context, in its list of models too. `None`: unchanged."""
        if context is None:
            return self
        keys = {"max_model_len", "context_length", "context_window"} & set(self.model_fields)
        return replace(self, context=context, model_fields={**self.model_fields, **dict.fromkeys(keys, context)})

    def accepts_name(self, name: str) -> bool:
        """True if a tool may have this name."""
        return self.tool_name is None or re.fullmatch(self.tool_name, name) is not None


def _numbered_error(status: int, message: str, kind: str, code: str | None) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def _flat_error(status: int, message: str, kind: str, code: str | None) -> Any:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": status}


def _llamacpp_error(status: int, message: str, kind: str, code: str | None) -> Any:
    return {"error": {"code": status, "message": message, "type": code or kind}}


def _ollama_error(status: int, message: str, kind: str, code: str | None) -> Any:
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _text_error(status: int, message: str, kind: str, code: str | None) -> Any:
    return {"error": message}


def _openrouter_error(status: int, message: str, kind: str, code: str | None) -> Any:
    metadata = {"provider_name": "Scripted", "raw": message}
    return {"error": {"message": "Provider returned error", "code": status, "metadata": metadata}}


def _openrouter_stream_error(message: str) -> tuple[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    return "", {"error": {"code": 502, "message": message}, "choices": [choice]}


FACES: Mapping[str, Face] = {
    face.name: face
    for face in (
        Face(
            name="together",
            owned_by=None,
            bare_list=True,
            model_fields={
                "type": "chat",
                "organization": "",
                "context_length": 131072,
                "pricing": {"hourly": 0, "input": 0.15, "output": 0.6, "base": 0, "finetune": 0},
            },
            id_key="logprobs",
            markers_key="always",
            stop_key="stop_reason",
            unknown_keys="refuse",
            parses_arguments=False,
            call_index=float,
            empty_calls=True,
        ),
        Face(
            name="vllm",
            owned_by="vllm",
            spare_tokens=0,
            model_fields={"root": "openai/gpt-oss-120b", "parent": None, "max_model_len": 131072},
            completion_tokens=16,
            id_prompts=True,
            sends_logprobs=True,
            id_key="return_token_ids",
            grammar="vllm",
            markers_key="skip_special_tokens",
            stop_key="stop_reason",
            error=_numbered_error,
            stream_error=lambda message: (
                "",
                {"error": {"message": message, "type": "InternalServerError", "param": None, "code": 500}},
            ),
            overflow_message=(
                "This model's maximum context length is {limit} tokens. However, you requested {output} output tokens "
                "and your prompt contains at least {prompt} input tokens, for a total of at least {tokens} tokens. "
                "Please reduce the length of the input prompt or the number of requested output tokens."
            ),
        ),
        Face(
            name="sglang",
            owned_by="sglang",
            spare_tokens=1,
            model_fields={"root": "openai/gpt-oss-120b", "parent": None, "max_model_len": 131072},
            completion_tokens=16,
            refuses_null=frozenset(("max_tokens", "temperature", "top_p")),
            id_prompts=True,
            sends_logprobs=True,
            id_key="return_token_ids",
            grammar="sglang",
            markers_key="skip_special_tokens",
            stop_key="matched_stop",
            reasoning_key="reasoning_content",
            history_keys=frozenset(("reasoning_content",)),
            whole_calls=True,
            usage_fields={"prompt_tokens_details": None, "reasoning_tokens": 0},
            error=_flat_error,
            stream_error=lambda message: ("", _flat_error(500, message, "InternalServerError", None)),
            overflow_message=(
                "Requested token count exceeds the model's maximum context length of {limit} tokens. You requested a "
                "total of {tokens} tokens: {prompt} tokens from the input messages and {output} tokens for the "
                "completion."
            ),
            long_prompt_message=(
                "The input ({prompt} tokens) is longer than the model's context length ({limit} tokens)."
            ),
        ),
        Face(
            name="llamacpp",
            owned_by="llamacpp",
            model_fields={"meta": {"n_vocab": 201088, "n_ctx_train": 131072}},
            id_prompts=True,
            id_key="return_tokens",
            skips_partial_characters=True,
            grammar="llamacpp",
            markers_key="preserved_tokens",
            reasoning_key="reasoning_content",
            history_keys=frozenset(("reasoning_content",)),
            has_template=True,
            timings=True,
            error=_llamacpp_error,
            stream_error=lambda message: ("", _llamacpp_error(500, message, "server_error", None)),
            overflow_message=(
                "request ({prompt} tokens) exceeds the available context size ({limit} tokens), try increasing it"
            ),
        ),
        Face(
            name="ollama",
            owned_by="library",
            context=4096,
            drops_messages=True,
            history_keys=frozenset(("reasoning",)),
            whole_calls=True,
            error=_ollama_error,
            # An error within a stream reaches the client as an empty chunk, and the stream ends there.
            stream_error=lambda message: ("", {"choices": [{"index": 0, "delta": {}, "finish_reason": None}]}),
            overflow_message=(
                "request ({prompt} tokens) exceeds the available context size ({limit} tokens), try increasing it"
            ),
        ),
        Face(
            name="lmstudio",
            owned_by="organization_owner",
            error=_text_error,
            stream_error=lambda message: ("error", {"error": {"message": message}, "message": message}),
            overflow_message=(
                "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: "
                "{prompt}>= n_ctx: {limit})."
            ),
        ),
        Face(
            name="groq",
            path="/openai/v1",
            owned_by="OpenAI",
            model_fields={"active": True, "context_window": 131072, "max_completion_tokens": 65536},
            has_completions=False,
            history_keys=frozenset(("reasoning",)),
            unknown_keys="refuse",
            tool_name=OPENAI_NAME,
            strict_schemas=True,
            checks_calls=True,
            usage_place="x_groq",
            error=lambda status, message, kind, code: {
                "error": {"message": message, "type": kind, **({"code": code} if code else {})}
            },
            stream_error=lambda message: (
                "",
                {
                    "choices": [{"index": 0, "delta": {}, "finish_reason": None}],
                    "x_groq": {"id": "req_scripted", "error": message},
                },
            ),
            overflow_message="Please reduce the length of the messages or completion.",
            overflow_code="context_length_exceeded",
        ),
        Face(
            name="openrouter",
            path="/api/v1",
            model_fields={
                "context_length": 131072,
                "pricing": {"prompt": "0.0000001", "completion": "0.0000005"},
                "supported_parameters": ["tools", "reasoning"],
            },
            tool_name=OPENAI_NAME,
            reasoning_details=True,
            always_usage=True,
            usage_fields={"cost": 0.00014, "is_byok": False},
            comments="OPENROUTER PROCESSING",
            error=_openrouter_error,
            stream_error=_openrouter_stream_error,
        ),
    )
}

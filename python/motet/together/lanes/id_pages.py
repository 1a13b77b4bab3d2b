"""Pages that take and return token ids alone: vLLM's `/inference/v1/generate` and SGLang's `/generate`.

Their requests and responses become those of `/v1/completions`, which the rest of the raw lanes knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

__all__ = ["COMPLETIONS", "IdsPage", "SglangChoices", "page_body", "page_of", "prompt_ids"]

IdsPage: TypeAlias = Literal["/v1/completions", "/inference/v1/generate", "/generate"]
COMPLETIONS: IdsPage = "/v1/completions"

_PROMPT_KEYS: Mapping[IdsPage, str] = {
    COMPLETIONS: "prompt",
    "/inference/v1/generate": "token_ids",
    "/generate": "input_ids",
}
_OUTER_KEYS = frozenset(("model", "priority", "cache_salt"))
"""Keys of vLLM's request that are no sampling parameters."""
_DROPPED_KEYS = frozenset(("prompt", "return_token_ids", "spaces_between_special_tokens", "logprobs", "n", "best_of"))
"""Keys of a completions request that have another place, or none, in `sampling_params`."""
_SGLANG_NAMES: Mapping[str, str] = {"max_tokens": "max_new_tokens", "seed": "sampling_seed"}


def page_of(body: Mapping[str, Any]) -> IdsPage:
    """The page that a raw request's body is for."""
    return next((page for page, key in _PROMPT_KEYS.items() if key in body), COMPLETIONS)


def prompt_ids(body: Mapping[str, Any]) -> list[int] | None:
    """The ids of a prompt. `None`: the body has it as text, or as messages."""
    prompts = [body[key] for key in _PROMPT_KEYS.values() if isinstance(body.get(key), list)]
    return prompts[0] if prompts else None


def page_body(body: Mapping[str, Any], page: IdsPage) -> dict[str, Any]:
    """The body of a request to a page, from that of `/v1/completions`, whose prompt is ids."""
    if page == COMPLETIONS:
        return dict(body)
    inner = {key: value for key, value in body.items() if key not in _DROPPED_KEYS | _OUTER_KEYS}
    if page == "/generate":
        return _sglang_body(body, inner)
    if body.get("logprobs") is not None:
        inner["logprobs"] = body["logprobs"]
    outer = {key: body[key] for key in _OUTER_KEYS if key in body}
    return {**outer, "token_ids": body["prompt"], "sampling_params": inner}


def _sglang_body(body: Mapping[str, Any], inner: dict[str, Any]) -> dict[str, Any]:
    sampling = {_SGLANG_NAMES.get(key, key): value for key, value in inner.items()}
    match sampling.pop("response_format", None):
        case {"type": "structural_tag"} as tag:
            sampling["structural_tag"] = json.dumps(tag)
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            sampling["json_schema"] = json.dumps(schema)
        case {"type": "json_object"}:
            sampling["json_schema"] = '{"type": "object"}'
    shape = {"input_ids": body["prompt"], "sampling_params": sampling}
    if body.get("logprobs") is not None:
        shape |= {"return_logprob": True, "top_logprobs_num": body["logprobs"]}
    return shape


class SglangChoices:
    """The objects of `/generate` as those of `/v1/completions`. Chunks of a stream repeat all ids so far, or have the
    new ones alone if the server runs with `--incremental-streaming-output`."""

    def __init__(self) -> None:
        self._count = 0
        """Ids of earlier chunks."""

    def read(self, shape: Mapping[str, Any]) -> dict[str, Any]:
        """An object with `choices` and `usage`. Raises `ValueError`, which names the wrong field."""
        meta = shape["meta_info"]
        ids, logprobs = shape.get("output_ids"), meta.get("output_token_logprobs")
        if not isinstance(ids, list):
            raise ValueError(f"output_ids must be a list, not {type(ids).__name__}")
        total = meta.get("completion_tokens")
        if self._count and total == len(ids):
            ids = ids[self._count :]
        self._count += len(ids)
        choice: dict[str, Any] = {"index": 0, "token_ids": ids}
        if isinstance(logprobs, list):
            values = [entry[0] if isinstance(entry, list) and entry else None for entry in logprobs]
            choice["logprobs"] = {"token_logprobs": values[-len(ids) :] if ids else []}
        if isinstance(finish := meta.get("finish_reason"), Mapping):
            choice |= {"finish_reason": finish.get("type"), "matched_stop": finish.get("matched")}
        counts = ("prompt_tokens", "completion_tokens", "cached_tokens")
        usage = {key: meta[key] for key in counts if meta.get(key) is not None}
        return {"id": meta.get("id"), "choices": [choice], "usage": usage}

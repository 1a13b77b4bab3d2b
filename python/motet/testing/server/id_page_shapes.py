"""Responses of pages that take and return token ids alone, as vLLM 0.33 and SGLang 0.5.23 write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from motet import _core
from motet.testing.script import Turn
from motet.testing.server.faces import Face
from motet.testing.server.wire_shapes import CREATED, generated, logprob_of, usage

__all__ = ["generate_chunks", "generate_whole"]

SGLANG_NEW_TOKENS = 128
"""Default of `max_new_tokens`."""


def generate_whole(turn: Turn, request: Mapping[str, Any], number: int, face: Face) -> dict[str, Any]:
    """A response of vLLM's `/inference/v1/generate` or of SGLang's `/generate`."""
    parameters = _parameters(request, face)
    ids, finish = generated(turn, parameters, face)
    if face.name == "sglang":
        return _sglang_object(ids, ids, finish, turn, request, number, face)
    return {
        "request_id": f"scripted-{number}",
        "model": turn.model or request.get("model"),
        "created": CREATED,
        "usage": usage(turn, parameters, ids, face),
        "prompt_logprobs": None,
        "output_mode": "tokens",
        "choices": [_vllm_choice(ids, ids, finish, parameters)],
    }


def generate_chunks(turn: Turn, request: Mapping[str, Any], number: int, face: Face) -> Iterator[dict[str, Any]]:
    """A stream of the same, token by token. SGLang's chunks repeat all ids so far."""
    parameters = _parameters(request, face)
    ids, finish = generated(turn, parameters, face)
    for place, token in enumerate(ids, 1):
        ending = finish if place == len(ids) else None
        if face.name == "sglang":
            yield _sglang_object(ids[:place], ids, ending, turn, request, number, face)
        else:
            choice = _vllm_choice([token], ids, ending, parameters)
            yield {"request_id": f"scripted-{number}", "usage": None, "output_mode": "tokens", "choices": [choice]}
    if face.name != "sglang":
        # Without its `null` fields, as vLLM writes its last chunk.
        counts = usage(turn, parameters, ids, face)
        yield {"request_id": f"scripted-{number}", "usage": counts, "output_mode": "tokens", "choices": []}


def _parameters(request: Mapping[str, Any], face: Face) -> dict[str, Any]:
    """The sampling parameters under the names of `/v1/completions`, with the prompt."""
    parameters = dict(request.get("sampling_params") or {})
    if face.name == "sglang":
        parameters["max_tokens"] = parameters.get("max_new_tokens", SGLANG_NEW_TOKENS)
        return {**parameters, "prompt": request["input_ids"]}
    # An absent value is what the context leaves, `null` as well.
    return {"max_tokens": None, **parameters, "prompt": request["token_ids"]}


def _vllm_choice(part: list[int], ids: list[int], finish: str | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
    logprobs = None
    if parameters.get("logprobs") is not None:
        entries = [{"token_id": token, "logprob": logprob_of(token), "rank": 1} for token in part]
        logprobs = {"content": [{**entry, "top_logprobs": [entry]} for entry in entries]}
    is_named = finish == "stop" and ids[-1] in (parameters.get("stop_token_ids") or ())
    return {
        "index": 0,
        "finish_reason": finish,
        "stop_reason": ids[-1] if is_named else None,
        "token_ids": part,
        "routed_experts": None,
        "sampling_mask": None,
        "weight_versions": None,
        "logprobs": logprobs,
    }


def _sglang_object(
    part: list[int],
    ids: list[int],
    finish: str | None,
    turn: Turn,
    request: Mapping[str, Any],
    number: int,
    face: Face,
) -> dict[str, Any]:
    """`part`: the ids so far."""
    counts = usage(turn, {"prompt": request["input_ids"]}, part, face)
    meta: dict[str, Any] = {
        "id": f"scripted-{number}",
        "finish_reason": None,
        "prompt_tokens": counts["prompt_tokens"],
        "completion_tokens": len(part),
        "cached_tokens": 0,
        "weight_version": "default",
    }
    if finish is not None:
        last = {"matched": ids[-1]} if finish == "stop" else {"length": len(ids)}
        meta["finish_reason"] = {"type": finish, **last}
    if request.get("return_logprob"):
        meta["output_token_logprobs"] = [[logprob_of(token), token, None] for token in part]
        meta["output_token_logprobs_length"] = len(part)
    return {"text": _core.decode(part), "output_ids": part, "meta_info": meta}

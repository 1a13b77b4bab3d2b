"""Transcripts as one HTML page: without a server, a network or a build."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from motet._visible_text import visible

__all__ = ["frame", "page"]


def page(transcripts: Sequence[dict[str, Any]]) -> str:
    """The page of transcripts, given as `Transcript.to_dict()`.

    The data is JSON within the page, which the page's own script shows. A policy in the page lets a browser run this
    script alone, use this style alone and load nothing.
    """
    style, script = _template("view.css"), _template("view.js")
    title = transcripts[0]["title"] if len(transcripts) == 1 else f"{len(transcripts):,} transcripts"
    sources = {"default": "none", "style": _hash(style), "script": _hash(script)}
    rules = [f"{name}-src '{source}'" for name, source in sources.items()]
    policy = "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])
    parts = {
        "policy": policy,
        "title": escape(visible(title)),
        "style": style,
        "script": script,
        "data": _json([_without_contents(transcript) for transcript in transcripts]),
    }
    text = _template("view.html")
    for name, value in parts.items():
        before, mark, after = text.partition(f"<!--{name}-->")
        assert mark, name
        text = before + value + after
    return text


def _without_contents(transcript: dict[str, Any]) -> dict[str, Any]:
    """Without the contents of frames, which the page takes from their texts."""
    frames = [{name: value for name, value in item.items() if name != "content"} for item in transcript["frames"]]
    return {**transcript, "frames": frames}


def frame(text: str) -> str:
    """A page within another one, apart from its scripts and styles."""
    return f'<iframe sandbox="allow-scripts" srcdoc="{escape(text)}" width="100%" height="640"></iframe>'


def _json(value: object) -> str:
    """JSON that no HTML can end: neither a tag nor a comment is in it. ASCII, so that lone surrogates stay."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _template(name: str) -> str:
    return resources.files("motet.view").joinpath("templates", name).read_text("utf-8")

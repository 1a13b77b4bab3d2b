"""A reasoning parser and a tool parser of vLLM, named `motet`.

`register` is the entry point that vLLM calls in each of its processes. It only announces the names; the classes are
imported where a server selects them:

    vllm serve openai/gpt-oss-20b --reasoning-parser motet --tool-call-parser motet --enable-auto-tool-choice
"""

from __future__ import annotations

__all__ = ["register"]

NAME = "motet"
CLASSES = "motet.engines._vllm_parsers"


def register() -> None:
    """Announces the parsers to vLLM. May be called several times."""
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    ReasoningParserManager.register_lazy_module(NAME, CLASSES, "MotetReasoningParser")
    ToolParserManager.register_lazy_module(NAME, CLASSES, "MotetToolParser")

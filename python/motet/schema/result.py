"""Results of tools as text for the model."""

from __future__ import annotations

import json
from typing import Any

from motet.errors import ToolResultError

__all__ = ["MAX_RESULT", "result_text"]

MAX_RESULT = 100_000
"""Default limit on the characters of a result: about 25,000 tokens."""


def result_text(value: Any, max_chars: int = MAX_RESULT) -> tuple[str, str | None]:
    """The text of a result for the model, and the complete text if that is a shortened form.

    A `str` is unchanged; pydantic models, dataclasses and other values are JSON, `None` is `null`. Lone surrogates are
    escaped. Raises `ToolResultError` for bytes and for values without a JSON form.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        raise ToolResultError("the tool returned bytes; return text, or say in text where the bytes are")
    if isinstance(value, str):
        text = value
    else:
        try:
            text = _json(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise ToolResultError(
                f"the tool returned a {type(value).__name__}, which has no JSON form: {error}"
            ) from None
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= max_chars:
        return text, None
    return f"{text[:max_chars]}\n[cut: {len(text) - max_chars} of {len(text)} characters left out]", text


def _json(value: Any) -> str:
    import pydantic_core

    try:
        return pydantic_core.to_json(value, inf_nan_mode="strings").decode("utf-8")
    except pydantic_core.PydanticSerializationError as error:
        if "surrogates not allowed" not in str(error):
            raise
        return json.dumps(pydantic_core.to_jsonable_python(value, inf_nan_mode="strings"), ensure_ascii=False)

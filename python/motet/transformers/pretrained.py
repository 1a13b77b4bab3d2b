"""The tokenizer as an instance of a class of `transformers`, for code that checks the type."""

from __future__ import annotations

import functools
from typing import Any

from motet.transformers.tokenizer import Tokenizer

__all__ = ["pretrained_tokenizer"]


def pretrained_tokenizer(**options: Any) -> Any:
    """A `Tokenizer` that is a `transformers.PreTrainedTokenizerBase` as well, and gives its `BatchEncoding`.

    Its `save_pretrained` writes no files: those of the published tokenizer have the same ids and the template.

    `options` are those of `Tokenizer`. Raises `ImportError` without `transformers`.
    """
    return _combined_class()(**options)


@functools.cache
def _combined_class() -> type:
    import transformers  # type: ignore[import-not-found]

    class HarmonyTokenizer(Tokenizer, transformers.PreTrainedTokenizerBase):  # type: ignore[misc]
        """`Tokenizer`, with the methods of `transformers` for all that it has not."""

        def __init__(self, **options: Any) -> None:
            transformers.PreTrainedTokenizerBase.__init__(self)
            Tokenizer.__init__(self, **options)

        def _batch(self, columns: dict[str, Any]) -> Any:
            return transformers.BatchEncoding(columns)

        def save_pretrained(self, save_directory: Any, **options: Any) -> tuple[str, ...]:
            """Writes no files, and returns no paths: trainers call it for each checkpoint."""
            return ()

        def __reduce__(self) -> tuple[Any, ...]:
            names = ("padding_side", "truncation_side", "model_max_length", "split_special_tokens")
            return _restored, ({name: getattr(self, name) for name in names},)

    return HarmonyTokenizer


def _restored(options: dict[str, Any]) -> Any:
    return pretrained_tokenizer(**options)

"""Batches of encoded texts: truncation, padding and tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

__all__ = ["BatchEncoding", "Padding", "Side", "Truncation", "pad", "padding_strategy", "to_tensors", "truncate"]

Side: TypeAlias = Literal["left", "right"]
Padding: TypeAlias = bool | Literal["longest", "max_length", "do_not_pad"]
Truncation: TypeAlias = bool | Literal["longest_first", "only_first", "do_not_truncate"] | None


class BatchEncoding(dict[str, Any]):
    """A dict whose items are attributes as well: `input_ids`, `attention_mask`, and what else was requested."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def data(self) -> dict[str, Any]:
        """The items as a plain dict."""
        return dict(self)

    def to(self, device: Any, **options: Any) -> BatchEncoding:
        """The batch with its tensors on a device; what has no `to` stays."""
        return BatchEncoding(
            {key: value.to(device, **options) if hasattr(value, "to") else value for key, value in self.items()}
        )


def truncate(row: dict[str, list[Any]], max_length: int, side: Side) -> tuple[dict[str, list[Any]], list[int]]:
    """The row with at most `max_length` tokens, and the ids that were cut off at `side`."""
    excess = len(row["input_ids"]) - max_length
    if excess <= 0:
        return row, []
    if side == "right":
        return {key: values[:max_length] for key, values in row.items()}, row["input_ids"][max_length:]
    return {key: values[excess:] for key, values in row.items()}, row["input_ids"][:excess]


def padding_strategy(padding: Any, max_length: int | None) -> Literal["longest", "max_length", "do_not_pad"]:
    """The strategy that `padding` names. Raises `ValueError` for an unknown one."""
    value = getattr(padding, "value", padding)
    if value is True:
        return "longest"
    if value is False or value is None:
        return "do_not_pad"
    if value not in ("longest", "max_length", "do_not_pad"):
        raise ValueError(f"padding must be True, False, 'longest', 'max_length' or 'do_not_pad': {padding!r}")
    if value == "max_length" and max_length is None:
        raise ValueError("padding='max_length' needs max_length, as the tokenizer has no length of its own")
    return value  # type: ignore[no-any-return]


def pad(
    rows: Sequence[Mapping[str, list[Any]]],
    length: int,
    *,
    side: Side,
    fill: Mapping[str, Any],
) -> list[dict[str, list[Any]]]:
    """The rows with the values of `fill` at `side` up to a length."""
    padded = []
    for row in rows:
        missing = length - len(row["input_ids"])
        padded.append(
            {
                key: values + [fill[key]] * missing if side == "right" else [fill[key]] * missing + values
                for key, values in row.items()
            }
            if missing > 0
            else dict(row)
        )
    return padded


def to_tensors(columns: dict[str, Any], kind: Any) -> dict[str, Any]:
    """The columns as tensors of a kind, `"np"` or `"pt"`; lists for `None`. Raises `ValueError` for rows of different
    lengths and for another kind."""
    kind = getattr(kind, "value", kind)
    if kind is None:
        return columns
    for key, rows in columns.items():
        if rows and isinstance(rows[0], list) and len({len(row) for row in rows}) > 1:
            raise ValueError(f"{key} has rows of different lengths, which do not make a tensor: use padding=True")
    if kind == "np":
        import numpy

        return {key: numpy.array(values) for key, values in columns.items()}
    if kind == "pt":
        import torch  # type: ignore[import-not-found]

        return {key: torch.tensor(values) for key, values in columns.items()}
    raise ValueError(f"return_tensors must be None, 'np' or 'pt': {kind!r}")

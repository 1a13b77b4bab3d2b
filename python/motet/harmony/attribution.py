"""Where the tokens of a prompt are from, as arrays."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from motet import _core

__all__ = ["Attribution", "LossTokens"]

LossTokens: TypeAlias = Literal["assistant", "final", "without_reasoning", "calls"]


@dataclass(frozen=True, slots=True, repr=False)
class Attribution:
    """Where each token of a prompt is from: arrays with an item for each id. `numpy.asarray` of them copies nothing."""

    CONTENT: ClassVar[int] = 0
    HEADER: ClassVar[int] = 1
    MARKER: ClassVar[int] = 2

    messages: array[int]
    """`array("i")`: the index of the message. -1: frames made from the options, and the header that ends the prompt."""
    parts: array[int]
    """`array("i")`: the index of the part in its message. -1: no part of it."""
    kinds: array[int]
    """`array("B")`: `CONTENT`, `HEADER` (text between `<|start|>` and `<|message|>`) or `MARKER` (special tokens)."""
    sampled: array[int]
    """`array("B")`: 1 if the model writes the token: each id given as sampled, and of the assistant's other frames what
    follows `<|start|>` and the role. 0: scaffold."""

    @classmethod
    def of(cls, native: _core.Prompt) -> Attribution:
        """The attribution of a native prompt."""
        return cls(*native.attribution())

    def __len__(self) -> int:
        return len(self.messages)

    def __repr__(self) -> str:
        return f"Attribution({len(self)} tokens, {sum(self.sampled)} sampled)"

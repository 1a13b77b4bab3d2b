"""Labels as the type of an answer: alone, or in an object with a rationale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, cast

from motet.errors import ConfigError, OutputError, SchemaMismatchError
from motet.schema.output import Output

__all__ = ["Confidence", "LabelOutput", "verdict_output"]

Confidence: TypeAlias = Literal["low", "medium", "high"]


def _label_in(value: Any, labels: Sequence[str]) -> Any:
    """The label that a value stands for: in other case, as a number, or in quotes. Any other value is unchanged."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        bare = value.strip().removesuffix(".").strip("\"'`*").casefold()
        return next((label for label in labels if label.casefold() == bare), value)
    return value


@dataclass(frozen=True, slots=True)
class LabelOutput(Output[Any]):
    """A bare label as the type of an answer: one of `choices`."""

    def read(self, text: str) -> tuple[Any, str | None]:
        """The label. Raises `SchemaMismatchError`."""
        label = _label_in(text, self.choices)
        if label not in self.choices:
            problem = f"the answer must be one of {', '.join(self.choices)}"
            raise SchemaMismatchError(f"{problem}, not {text!r:.80}", raw=text, problems=(problem,))
        return label, None

    def accepts(self, text: str) -> bool:
        """True if the text is a label."""
        try:
            self.read(text)
        except OutputError:
            return False
        return True


def verdict_output(labels: tuple[str, ...], *, rationale: bool, confidence: bool, rules: bool) -> Output[Any]:
    """An object with a label, and with what is asked for besides, as the type of an answer."""
    try:
        import pydantic
    except ImportError as error:
        raise ConfigError("motet.guard needs pydantic: pip install 'motet[together]'") from error
    literal: Any = Literal[labels]
    fields: dict[str, Any] = {
        "label": (Annotated[literal, pydantic.BeforeValidator(lambda value: _label_in(value, labels))], ...)
    }
    if rules:
        fields["rules"] = (list[str], ...)
    if confidence:
        fields["confidence"] = (Confidence, ...)
    if rationale:
        fields["rationale"] = (str, ...)
    return Output.of(cast("Any", pydantic.create_model)("verdict", **fields))

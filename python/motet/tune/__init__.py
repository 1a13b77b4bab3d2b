"""Fine-tuning: examples, data sets and their check.

examples = motet.tune.Examples("examples.jsonl")
examples.add(motet.tune.Example.of("Is Paris warm?", "Yes.", thinking="24 degrees."))
built = motet.tune.build(examples, "train.jsonl", max_tokens=16_384)   # .train.rows, .train.tokens, .left_out
report = motet.tune.check("train.jsonl")                               # .ok, .findings, .tokens, .lengths
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from motet.tune.checks import Report, check
    from motet.tune.dataset import Built, BuiltFile, build
    from motet.tune.example import Example
    from motet.tune.examples import Examples
    from motet.tune.findings import Finding
    from motet.tune.sources import read_examples

# Each part is imported when it is first named. No module is called as one of these, or it would take its place.
_LATER = {
    "Built": "dataset",
    "BuiltFile": "dataset",
    "Example": "example",
    "Examples": "examples",
    "Finding": "findings",
    "Report": "checks",
    "build": "dataset",
    "check": "checks",
    "read_examples": "sources",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'motet.tune' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"motet.tune.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Built",
    "BuiltFile",
    "Example",
    "Examples",
    "Finding",
    "Report",
    "build",
    "check",
    "read_examples",
]

"""What is asked for each row: an atom, a guard, or another object that answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any

from motet.asking.options import PreparedOptions
from motet.atoms.atom import Atom
from motet.safeguard import Guard

__all__ = ["Asker", "asker_of", "result_json"]


@dataclass(frozen=True, slots=True)
class Asker:
    """How a row is asked."""

    slug: str
    ask: Callable[[Any], Any]
    """From a prompt to an `Answer`, or to a result with one in `.answer`."""
    settings: Mapping[str, Any]
    """What distinguishes its questions from those of others, beside the slug."""
    has_verdicts: bool = False


def asker_of(target: Any, output: Any, options: Mapping[str, Any]) -> Asker:
    """How rows are asked with these options. Raises what is wrong with them once, and not in each row."""
    if isinstance(target, Guard):
        if output is not str:
            raise TypeError("a guard sets output itself")
        target.check_options(options)
        settings = {**options, "brief": target.brief, "labels": target.labels}
        return Asker(target.atom.slug, partial(target.check, **options), settings, has_verdicts=True)
    if isinstance(target, Atom):
        PreparedOptions.of(output, options)
    elif not callable(getattr(target, "ask", None)):
        raise TypeError(f"an atom, a guard or an object with `ask` is needed, not {target!r:.80}")
    if output is not str:
        options = {**options, "output": output}
    return Asker(str(getattr(target, "slug", "")), partial(target.ask, **options), options)


def result_json(result: Any) -> str:
    """A result with an answer, without that, as JSON."""
    if hasattr(result, "to_dict"):
        shape = result.to_dict()
    elif is_dataclass(result):
        shape = {field.name: getattr(result, field.name) for field in fields(result)}
    else:
        shape = dict(vars(result))
    return json.dumps({name: value for name, value in shape.items() if name != "answer"}, default=str)

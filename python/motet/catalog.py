"""What is known of each atom: data in catalog.toml, looked up here. Nothing here asks a service.

A user's own file of the same shape, named by the environment variable `MOTET_CATALOG`, is laid over the package's;
`register` adds single atoms; `learn` takes what a service said of its prices.
"""

from __future__ import annotations

import datetime
import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from motet.errors import ConfigError, UnknownAtomError
from motet.metrics import Price, to_money

__all__ = [
    "Source",
    "Spec",
    "find",
    "forget",
    "learn",
    "of_model",
    "register",
    "speaks_harmony",
    "specs",
    "to_money",
    "to_price",
    "unlisted",
    "with_learned",
]


_VOCABULARY = "o200k_harmony"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure comes from."""

    text: str
    as_of: str
    """When it was true: a year, a month or a day, as `2026-11`."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast an atom is. Nobody publishes figures that hold, so both are `None` unless you register your own."""

    tokens: float | None = None
    """Tokens a second."""
    latency: float | None = None
    """Seconds until the first."""


@dataclass(frozen=True, slots=True)
class SpecCost:
    cash: Price
    """US dollars for a million tokens."""
    time: Speed = field(default_factory=Speed)


@dataclass(frozen=True, slots=True)
class Context:
    tokens: int | None = None
    """Prompt and answer together."""


@dataclass(frozen=True, slots=True)
class SpecSize:
    context: Context


@dataclass(frozen=True, slots=True)
class Grades:
    swe: Decimal | None = None
    """SWE-bench Verified, percent solved."""


@dataclass(frozen=True, slots=True)
class Skills:
    """`None`: not known."""

    tools: bool | None = None
    reasoning: bool | None = None
    vision: bool | None = None


@dataclass(frozen=True, slots=True)
class Gain:
    size: SpecSize
    grades: Grades
    cutoff: str | None = None
    """The month until which its training data goes, as `2024-06`."""
    skills: Skills = field(default_factory=Skills)


@dataclass(frozen=True, slots=True)
class Spec:
    """What is known of an atom. Each figure's source is in `sources`, under its path: `sources["cost.cash.input"]`."""

    slug: str
    model: str | None
    """What the service calls it. `None`: no service is known to have it."""
    description: str
    cost: SpecCost
    gain: Gain
    sources: Mapping[str, Source] = field(default_factory=dict, repr=False)
    vocabulary: str | None = None
    """`o200k_harmony`: it reads and writes harmony, and motet counts its tokens exactly."""
    removed: str | None = None
    """The day on which the service stopped serving it, as `2026-09-15`."""
    gone: str | None = None
    """What is known of an atom that is not served any more, where no day was published."""
    successor: str | None = None
    """The slug to ask instead."""

    @property
    def harmony(self) -> bool:
        """Whether it reads and writes harmony."""
        return self.vocabulary == _VOCABULARY

    @property
    def family(self) -> str:
        """`gpt-oss` of `together/gpt-oss/120b`; the slug itself of others."""
        parts = self.slug.split("/")
        return parts[1] if len(parts) == 3 else self.slug

    def obituary(self) -> str | None:
        """That it is not served any more, and what to ask instead. `None`: it is served, as far as is known."""
        if self.removed is not None and self.removed <= datetime.date.today().isoformat():
            what = f"{self.slug} was removed from the service on {self.removed}"
        elif self.removed is not None:
            what = f"{self.slug} will be removed from the service on {self.removed}"
        elif self.gone is not None:
            what = f"{self.slug} is not served any more ({self.gone})"
        else:
            return None
        return f"{what}; ask {self.successor} instead" if self.successor else what


_registered: dict[str, Spec] = {}
_learned: dict[str, tuple[Price, int | None, Source]] = {}


@lru_cache(maxsize=8)
def _read(override: str | None) -> dict[str, Spec]:
    tables = [tomllib.loads(resources.files("motet").joinpath("catalog.toml").read_text("utf-8"))]
    if override:
        try:
            tables.append(tomllib.loads(Path(override).read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"MOTET_CATALOG names {override}, which cannot be read: {error}") from error
    sources: dict[str, Source] = {}
    found: dict[str, Spec] = {}
    for table in tables:
        sources |= {name: Source(shape["text"], shape["as_of"]) for name, shape in table.get("sources", {}).items()}
        for shape in table.get("atom", []):
            try:
                spec = _spec(shape, sources)
            except (KeyError, TypeError, ValueError, InvalidOperation) as error:
                raise ConfigError(f"an atom of the catalogue cannot be read: {error!r} in {shape!r:.200}") from error
            found[spec.slug] = spec
    return found


_FIGURES = {
    "price": ("cost.cash.", ("input", "output", "cached")),
    "context": ("gain.size.context.", ("tokens",)),
    "grades": ("gain.grades.", ("swe",)),
    "cutoff": ("gain.cutoff", ("date",)),
    "skills": ("gain.skills.", ("tools", "reasoning", "vision")),
}


def _spec(shape: Mapping[str, Any], sources: Mapping[str, Source]) -> Spec:
    group = {name: dict(shape.get(name, {})) for name in _FIGURES}
    named: dict[str, Source] = {}
    for name, (path, keys) in _FIGURES.items():
        source = group[name].pop("source", None)
        if source is None:
            continue
        for key in keys:
            if key in group[name]:
                named[path if path == "gain.cutoff" else path + key] = sources[source]
    price = Price(**{key: Decimal(value) for key, value in group["price"].items()})
    grades = Grades(**{key: Decimal(value) for key, value in group["grades"].items()})
    gain = Gain(SpecSize(Context(**group["context"])), grades, group["cutoff"].get("date"), Skills(**group["skills"]))
    plain = {key: shape.get(key) for key in ("vocabulary", "removed", "gone", "successor")}
    return Spec(shape["slug"], shape.get("model"), shape.get("description", ""), SpecCost(price), gain, named, **plain)


def specs() -> tuple[Spec, ...]:
    """All atoms that are known: the package's, then those of `MOTET_CATALOG`, then registered ones."""
    known = _read(os.environ.get("MOTET_CATALOG")) | _registered
    return tuple([with_learned(spec) for spec in known.values()])


def find(slug: str) -> Spec:
    """The atom of a slug, or of a service's model id. Raises `UnknownAtomError` with the slugs that look like it."""
    known = specs()
    for spec in known:
        if slug in (spec.slug, spec.model):
            return spec
    slugs = [spec.slug for spec in known]
    matches = tuple(difflib.get_close_matches(slug, slugs, n=3, cutoff=0.5))
    hint = f"; did you mean {' or '.join(matches)}?" if matches else f"; known are {', '.join(slugs)}"
    raise UnknownAtomError(f"no atom has the slug {slug!r}{hint}", slug=slug, matches=matches)


def of_model(model: str) -> Spec | None:
    """The atom whose model id this is."""
    return next((spec for spec in specs() if spec.model == model), None)


def register(
    slug: str,
    *,
    model: str,
    description: str = "",
    price: Price | Mapping[str, Any] | None = None,
    context: int | None = None,
    harmony: bool | None = None,
    source: str = "registered by the caller",
    as_of: str | None = None,
) -> Spec:
    """Adds an atom to the catalogue of this process, or replaces one.

    - `model`: what the service calls it.
    - `price`: US dollars for a million tokens, as `{"input": "0.15", "output": "0.60"}`; with `cached`, if cached
      tokens cost something else.
    - `context`: how many tokens prompt and answer may have together.
    - `harmony`: whether it reads and writes harmony; by default, whether `gpt-oss` is in the name of the model.
    """
    said = Source(source, as_of or datetime.date.today().isoformat())
    price = to_price(price)
    named = {f"cost.cash.{key}": said for key in ("input", "output", "cached") if getattr(price, key) is not None}
    if context is not None:
        named["gain.size.context.tokens"] = said
    speaks = speaks_harmony(model) if harmony is None else harmony
    spec = Spec(
        slug,
        model,
        description,
        SpecCost(price),
        Gain(SpecSize(Context(context)), Grades()),
        named,
        _VOCABULARY if speaks else None,
    )
    _registered[slug] = spec
    return spec


def speaks_harmony(model: str) -> bool:
    """Whether a model of this name reads and writes harmony: those of OpenAI's open weights do, and those trained on
    them, which keep the name."""
    return "gpt-oss" in model.lower()


def unlisted(model: str) -> Spec:
    """What is known of a model that is in no catalogue: its name."""
    speaks = _VOCABULARY if speaks_harmony(model) else None
    gain = Gain(SpecSize(Context()), Grades())
    return Spec(model, model, "", SpecCost(Price()), gain, vocabulary=speaks)


def to_price(price: Price | Mapping[str, Any] | None) -> Price:
    """A price, from the ways in which people write one. Money is exact, so a float is refused."""
    if price is None:
        return Price()
    if isinstance(price, Price):
        return price
    if not isinstance(price, Mapping):
        raise TypeError(f"a price must be a Price or a dict, not {type(price).__name__}")
    unknown = set(price) - {"input", "output", "cached"}
    if unknown:
        raise ValueError(f"a price has input, output and cached, not {', '.join(sorted(unknown))}")
    return Price(**price)


def learn(model: str, price: Price, context: int | None, source: Source) -> None:
    """Takes what a service said of a model; it counts more than the package's own data, less than the user's."""
    _learned[model] = (price, context, source)


def with_learned(spec: Spec) -> Spec:
    """The spec with what its service said of it, if it did."""
    if spec.model is None or spec.model not in _learned or spec.slug in _registered:
        return spec
    price, context, source = _learned[spec.model]
    named = dict(spec.sources)
    cash = spec.cost.cash
    for key in ("input", "output", "cached"):
        if (value := getattr(price, key)) is not None:
            cash = replace(cash, **{key: value})
            named[f"cost.cash.{key}"] = source
    size = spec.gain.size
    if context is not None:
        size = SpecSize(Context(context))
        named["gain.size.context.tokens"] = source
    served = replace(spec, removed=None, gone=None, successor=None)
    return replace(served, cost=replace(spec.cost, cash=cash), gain=replace(spec.gain, size=size), sources=named)


def forget() -> None:
    """Takes back what was learned and registered: for tests."""
    _learned.clear()
    _registered.clear()

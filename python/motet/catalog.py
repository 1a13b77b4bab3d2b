"""What is known of each atom: data in models.toml, looked up here. Nothing here asks a service.

A user's own file of the same shape, named by the environment variable `MOTET_CATALOG`, is read once and laid over the
package's, figure by figure; `register` adds single atoms; `record_service_data` adds the prices of a service.
"""

from __future__ import annotations

import datetime
import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

from motet.errors import ConfigError, UnknownAtomError
from motet.metrics import Price, to_money

__all__ = [
    "Source",
    "Spec",
    "apply_service_data",
    "find",
    "find_by_model",
    "forget",
    "record_service_data",
    "register",
    "speaks_harmony",
    "specs",
    "to_context",
    "to_money",
    "to_price",
    "uncatalogued",
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

    def removal_notice(self) -> str | None:
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


def _text(value: object) -> str | None:
    """A text; of the empty one `None`, so that a user's file can take back what the package's says."""
    if not isinstance(value, str):
        raise TypeError(f"must be a text, not {type(value).__name__}")
    return value or None


def _date(value: object) -> str | None:
    """A date, as TOML's own or as text."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    text = _text(value)
    return text and datetime.date.fromisoformat(text).isoformat()


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"must be true or false, not {type(value).__name__}")
    return value


def _decimal(value: object) -> Decimal:
    return to_money(value, "a figure")


def to_context(value: object) -> int:
    """How many tokens a context has. Raises `ValueError` for what is no such number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"context must be a whole number of tokens, not {value!r}")
    return value


# Where each figure of the file stands in a spec, and what it may be.
_FIGURES: Mapping[str, tuple[str, Mapping[str, Callable[[object], Any]]]] = {
    "price": ("cost.cash.", dict.fromkeys(("input", "output", "cached"), _decimal)),
    "context": ("gain.size.context.", {"tokens": to_context}),
    "grades": ("gain.grades.", {"swe": _decimal}),
    "cutoff": ("gain.cutoff.", {"date": _text}),
    "skills": ("gain.skills.", dict.fromkeys(("tools", "reasoning", "vision"), _flag)),
}
_WORDS: Mapping[str, Callable[[object], Any]] = {
    **dict.fromkeys(("model", "description", "vocabulary", "gone", "successor"), _text),
    "removed": _date,
}

_Figures: TypeAlias = dict[str, tuple[Any, Source | None]]
"""What a file says of an atom: under the path of each figure its value, and where that comes from."""


def _figures(text: str, unnamed: Source | None) -> dict[str, _Figures]:
    """What a file says, by slug. `unnamed`: the source of figures that name none."""
    table = tomllib.loads(text)
    if unknown := set(table) - {"sources", "atom"}:
        raise ValueError(f"it has {', '.join(sorted(unknown))}, and may have only sources and atom")
    sources = {name: Source(shape["text"], str(shape["as_of"])) for name, shape in table.get("sources", {}).items()}
    found: dict[str, _Figures] = {}
    for number, shape in enumerate(table.get("atom", []), 1):
        try:
            slug = _text(shape.pop("slug", ""))
            if slug is None:
                raise ValueError("it has no slug")
            found[slug] = _figures_of(shape, sources, unnamed)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"atom {number}: {error}") from error
    return found


def _figures_of(shape: Mapping[str, Any], sources: Mapping[str, Source], unnamed: Source | None) -> _Figures:
    figures: _Figures = {}
    for name, value in shape.items():
        if name in _WORDS:
            figures[name] = _read_figure(name, value, _WORDS[name]), None
        elif name in _FIGURES:
            path, known = _FIGURES[name]
            if value.get("source", "") not in ("", *sources):
                raise ValueError(f"{name} has a source {value['source']!r}, which is not in [sources]")
            source = sources.get(value.get("source", ""), unnamed)
            for key, one in value.items():
                if key in known:
                    figures[path + key] = _read_figure(f"{name}: {key}", one, known[key]), source
                elif key != "source":
                    raise ValueError(f"{name} has a {key!r}, and may have {', '.join(known)} and source")
        else:
            raise ValueError(f"{name!r} is not known; known are {', '.join(['slug', *_WORDS, *_FIGURES])}")
    return figures


def _read_figure(name: str, value: object, read: Callable[[object], Any]) -> Any:
    try:
        return read(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} {str(error).removeprefix('a figure ')}") from error


@lru_cache(maxsize=8)
def _read(override: str | None) -> tuple[dict[str, Spec], dict[str, frozenset[str]]]:
    """The atoms of the files, and by slug the paths of what the user's own file says."""
    figures = _figures(resources.files("motet").joinpath("models.toml").read_text("utf-8"), None)
    own: dict[str, frozenset[str]] = {}
    if override:
        path = Path(override)
        try:
            day = datetime.date.fromtimestamp(path.stat().st_mtime).isoformat()
            said = _figures(path.read_text("utf-8"), Source(override, day))
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"MOTET_CATALOG names {override}, which cannot be read: {error}") from error
        for slug, one in said.items():
            figures[slug] = figures.get(slug, {}) | one
            own[slug] = frozenset(one)
    return {slug: _spec(slug, one) for slug, one in figures.items()}, own


def _spec(slug: str, figures: _Figures) -> Spec:
    def of(path: str) -> Any:
        return figures[path][0] if path in figures else None

    price = Price(*[of(f"cost.cash.{key}") for key in ("input", "output", "cached")])
    skills = Skills(*[of(f"gain.skills.{key}") for key in ("tools", "reasoning", "vision")])
    size = SpecSize(Context(of("gain.size.context.tokens")))
    gain = Gain(size, Grades(of("gain.grades.swe")), of("gain.cutoff.date"), skills)
    named = {path.removesuffix(".date"): source for path, (_, source) in figures.items() if source is not None}
    words = {name: of(name) for name in ("vocabulary", "removed", "gone", "successor")}
    return Spec(slug, of("model"), of("description") or "", SpecCost(price), gain, named, **words)


def specs() -> tuple[Spec, ...]:
    """All atoms that are known: the package's, then those of `MOTET_CATALOG`, then registered ones."""
    known = _read(os.environ.get("MOTET_CATALOG"))[0] | _registered
    return tuple([apply_service_data(spec) for spec in known.values()])


def find(slug: str) -> Spec:
    """The atom of a slug, or of a service's model id. Raises `UnknownAtomError` with the slugs that look like it."""
    if not isinstance(slug, str):
        raise TypeError(f"slug must be a str as 'together/gpt-oss/120b', not {type(slug).__name__}")
    known = specs()
    for spec in known:
        if slug in (spec.slug, spec.model):
            return spec
    slugs = [spec.slug for spec in known]
    matches = tuple(difflib.get_close_matches(slug.lower(), slugs, n=3, cutoff=0.5))
    hint = f"; did you mean {' or '.join(matches)}?" if matches else f"; known are {', '.join(slugs)}"
    raise UnknownAtomError(f"no atom has the slug {slug!r}{hint}", slug=slug, matches=matches)


def find_by_model(model: str) -> Spec | None:
    """The atom whose model id this is: of the catalogue, or one that a service has told of."""
    spec = next((spec for spec in specs() if spec.model is not None and spec.model.lower() == model.lower()), None)
    return uncatalogued(model) if spec is None and model in _learned else spec


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
        to_context(context)
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


def uncatalogued(model: str) -> Spec:
    """What is known of a model that is in no catalogue: its name, and what a service has told of it."""
    speaks = _VOCABULARY if speaks_harmony(model) else None
    gain = Gain(SpecSize(Context()), Grades())
    return apply_service_data(Spec(model, model, "", SpecCost(Price()), gain, vocabulary=speaks))


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


def record_service_data(model: str, price: Price, context: int | None, source: Source) -> None:
    """Takes what a service said of a model; it counts more than the package's own data, less than the user's.

    A server that names no price of a model that the catalogue knows is another one than the catalogue's.
    """
    if price == Price() and find_by_model(model) is not None:
        return
    _learned[model] = (price, context, source)


def apply_service_data(spec: Spec) -> Spec:
    """The spec with what its service said of it, if it did."""
    if spec.model is None or spec.model not in _learned or spec.slug in _registered:
        return spec
    price, context, source = _learned[spec.model]
    own = _read(os.environ.get("MOTET_CATALOG"))[1].get(spec.slug, frozenset())
    said = {f"cost.cash.{key}": getattr(price, key) for key in ("input", "output", "cached")}
    said["gain.size.context.tokens"] = context
    new = {path: value for path, value in said.items() if value is not None and path not in own}
    cash = {path.rpartition(".")[2]: value for path, value in new.items() if path.startswith("cost.")}
    size = SpecSize(Context(new.get("gain.size.context.tokens", spec.gain.size.context.tokens)))
    # It is served, then.
    late: Any = {name: None for name in ("removed", "gone", "successor") if name not in own}
    return replace(
        spec,
        cost=replace(spec.cost, cash=replace(spec.cost.cash, **cash)),
        gain=replace(spec.gain, size=size),
        sources={**spec.sources, **dict.fromkeys(new, source)},
        **late,
    )


def forget() -> None:
    """Takes back what was learned and registered: for tests."""
    _learned.clear()
    _registered.clear()

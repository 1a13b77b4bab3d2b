"""The catalogue of atoms: the data of models.toml, and their lookup. No I/O but that file.

A file of the same form, named by the environment variable `MOTET_CATALOG`, overrides single figures; `register` adds
atoms; `record_service_data` adds the prices and contexts that a service lists.
"""

from __future__ import annotations

import datetime
import difflib
import os
import re
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
    "same_model",
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
    """The source of a figure."""

    text: str
    """Who states it, with an address."""
    as_of: str
    """The date of the statement: a year, a month or a day, as `2026-11`."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed of an atom. `None`: no reliable figure is published."""

    tokens: float | None = None
    """Output tokens per second."""
    latency: float | None = None
    """Seconds to the first token."""


@dataclass(frozen=True, slots=True)
class SpecCost:
    """Price and speed."""

    cash: Price
    """US dollars for a million tokens."""
    time: Speed = field(default_factory=Speed)
    batch_discount: Decimal | None = None
    """The share of the price that requests in a batch save, from 0 to 1. `None`: unknown."""


@dataclass(frozen=True, slots=True)
class Context:
    """The context window."""

    tokens: int | None = None
    """Tokens of prompt and answer together. `None`: unknown."""


@dataclass(frozen=True, slots=True)
class SpecSize:
    """Sizes of a model."""

    context: Context


@dataclass(frozen=True, slots=True)
class Grades:
    """Results in public benchmarks. `None`: not published."""

    swe: Decimal | None = None
    """SWE-bench Verified, per cent solved."""


@dataclass(frozen=True, slots=True)
class Skills:
    """Abilities of a model. `None`: unknown."""

    tools: bool | None = None
    reasoning: bool | None = None
    vision: bool | None = None
    think_tags: bool | None = None
    """Whether the model's reasoning stands in its answer between `<think>` tags, as the service sends it."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What a model offers."""

    size: SpecSize
    grades: Grades
    cutoff: str | None = None
    """The last month of its training data, as `2024-06`."""
    skills: Skills = field(default_factory=Skills)


@dataclass(frozen=True, slots=True)
class Spec:
    """The data of an atom. `sources` has the source of each figure by its path, such as `cost.cash.input`."""

    slug: str
    model: str | None
    """The service's model id, or the name of open weights. `None`: no known service has the model."""
    description: str
    cost: SpecCost
    gain: Gain
    sources: Mapping[str, Source] = field(default_factory=dict, repr=False)
    vocabulary: str | None = None
    """`o200k_harmony` for harmony models, whose tokens motet counts exactly. `None`: another or unknown vocabulary."""
    removed: str | None = None
    """The day on which the service removes the model, as `2026-09-15`. `None`: not announced."""
    gone: str | None = None
    """The statement on the removal where no day is published."""
    successor: str | None = None
    """The slug of the replacement."""
    price_is_own: bool = False
    """True if the caller gave the price, which then applies to whatever model answers."""

    @property
    def harmony(self) -> bool:
        """True if the model reads and writes harmony."""
        return self.vocabulary == _VOCABULARY

    @property
    def family(self) -> str:
        """The second word of a slug of three (`gpt-oss` of `together/gpt-oss/120b`), else the slug."""
        parts = self.slug.split("/")
        return parts[1] if len(parts) == 3 else self.slug

    def removal_notice(self) -> str | None:
        """One sentence on the removal and the replacement. `None`: no removal is known."""
        if self.removed is not None and self.removed <= datetime.date.today().isoformat():
            notice = f"{self.slug} was removed from the service on {self.removed}"
        elif self.removed is not None:
            notice = f"{self.slug} will be removed from the service on {self.removed}"
        elif self.gone is not None:
            notice = f"{self.slug} is not served any more ({self.gone})"
        else:
            return None
        return f"{notice}; ask {self.successor} instead" if self.successor else notice


_registered: dict[str, Spec] = {}
_learned: dict[tuple[str, str], tuple[Price, int | None, Source]] = {}
"""Figures of services' own lists, by the address of the service (`""`: Together) and the model id."""


def _text(value: object) -> str | None:
    """A text; `None` for an empty one, so that a user's file can remove a figure of the package."""
    if not isinstance(value, str):
        raise TypeError(f"must be a text, not {type(value).__name__}")
    return value or None


def _date(value: object) -> str | None:
    """A TOML date or its text, in ISO form."""
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


def _share(value: object) -> Decimal:
    share = _decimal(value)
    if share > 1:
        raise ValueError(f"must be a share from 0 to 1, not {value!r}")
    return share


def to_context(value: object) -> int:
    """A number of tokens, unchanged. Raises `ValueError` unless it is a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"context must be a whole number of tokens, not {value!r}")
    return value


_FIGURES: Mapping[str, tuple[str, Mapping[str, Callable[[object], Any]]]] = {
    "price": ("cost.cash.", dict.fromkeys(("input", "output", "cached"), _decimal)),
    "batch": ("cost.batch_", {"discount": _share}),
    "context": ("gain.size.context.", {"tokens": to_context}),
    "grades": ("gain.grades.", {"swe": _decimal}),
    "cutoff": ("gain.cutoff.", {"date": _text}),
    "skills": ("gain.skills.", dict.fromkeys(("tools", "reasoning", "vision", "think_tags"), _flag)),
}
_WORDS: Mapping[str, Callable[[object], Any]] = {
    **dict.fromkeys(("model", "description", "vocabulary", "gone", "successor"), _text),
    "removed": _date,
}

_Figures: TypeAlias = dict[str, tuple[Any, Source | None]]
"""The figures of an atom in a file: value and source by path."""


def _figures(text: str, unnamed: Source | None) -> dict[str, _Figures]:
    """The figures of a file, by slug. `unnamed`: the source of figures without one."""
    table = tomllib.loads(text)
    if unknown := set(table) - {"sources", "atom"}:
        raise ValueError(f"it has {', '.join(sorted(unknown))}, and may have only sources and atom")
    sources = {name: Source(shape["text"], str(shape["as_of"])) for name, shape in table.get("sources", {}).items()}
    atoms: dict[str, _Figures] = {}
    for number, shape in enumerate(table.get("atom", []), 1):
        try:
            slug = _text(shape.pop("slug", ""))
            if slug is None:
                raise ValueError("it has no slug")
            atoms[slug] = _figures_of(shape, sources, unnamed)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"atom {number}: {error}") from error
    return atoms


def _figures_of(shape: Mapping[str, Any], sources: Mapping[str, Source], unnamed: Source | None) -> _Figures:
    figures: _Figures = {}
    for name, value in shape.items():
        if name in _WORDS:
            figures[name] = _read_figure(name, value, _WORDS[name]), None
        elif name in _FIGURES:
            path, readers = _FIGURES[name]
            if value.get("source", "") not in ("", *sources):
                raise ValueError(f"{name} has a source {value['source']!r}, which is not in [sources]")
            source = sources.get(value.get("source", ""), unnamed)
            for key, figure in value.items():
                if key in readers:
                    figures[path + key] = _read_figure(f"{name}: {key}", figure, readers[key]), source
                elif key != "source":
                    raise ValueError(f"{name} has a {key!r}, and may have {', '.join(readers)} and source")
        else:
            raise ValueError(f"unknown key {name!r}; keys are {', '.join(['slug', *_WORDS, *_FIGURES])}")
    return figures


def _read_figure(name: str, value: object, read: Callable[[object], Any]) -> Any:
    try:
        return read(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} {str(error).removeprefix('a figure ')}") from error


@lru_cache(maxsize=8)
def _read(override: str | None) -> tuple[dict[str, Spec], dict[str, frozenset[str]]]:
    """The atoms of the package's file and the user's, and the paths that the user's file sets, by slug."""
    figures = _figures(resources.files("motet").joinpath("models.toml").read_text("utf-8"), None)
    own: dict[str, frozenset[str]] = {}
    if override:
        path = Path(override)
        try:
            day = datetime.date.fromtimestamp(path.stat().st_mtime).isoformat()
            overrides = _figures(path.read_text("utf-8"), Source(override, day))
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"MOTET_CATALOG names {override}, which cannot be read: {error}") from error
        for slug, override_figures in overrides.items():
            figures[slug] = figures.get(slug, {}) | override_figures
            own[slug] = frozenset(override_figures)
    return {slug: _spec(slug, atom_figures) for slug, atom_figures in figures.items()}, own


def _spec(slug: str, figures: _Figures) -> Spec:
    def of(path: str) -> Any:
        return figures[path][0] if path in figures else None

    price = Price(*[of(f"cost.cash.{key}") for key in ("input", "output", "cached")])
    skills = Skills(*[of(f"gain.skills.{key}") for key in ("tools", "reasoning", "vision", "think_tags")])
    size = SpecSize(Context(of("gain.size.context.tokens")))
    gain = Gain(size, Grades(of("gain.grades.swe")), of("gain.cutoff.date"), skills)
    named = {path.removesuffix(".date"): source for path, (_, source) in figures.items() if source is not None}
    words = {name: of(name) for name in ("vocabulary", "removed", "gone", "successor")}
    cost = SpecCost(price, batch_discount=of("cost.batch_discount"))
    return Spec(slug, of("model"), of("description") or "", cost, gain, named, **words)


def specs() -> tuple[Spec, ...]:
    """All atoms: those of the package, of `MOTET_CATALOG`, and registered ones, in this order."""
    atoms = _read(os.environ.get("MOTET_CATALOG"))[0] | _registered
    return tuple([apply_service_data(spec) for spec in atoms.values()])


def find(slug: str) -> Spec:
    """The atom of a slug or a model id. Raises `UnknownAtomError`, with similar slugs in `.matches`."""
    if not isinstance(slug, str):
        raise TypeError(f"slug must be a str as 'together/gpt-oss/120b', not {type(slug).__name__}")
    atoms = specs()
    for spec in atoms:
        if slug in (spec.slug, spec.model):
            return spec
    slugs = [spec.slug for spec in atoms]
    matches = tuple(difflib.get_close_matches(slug.lower(), slugs, n=3, cutoff=0.5))
    hint = f"; did you mean {' or '.join(matches)}?" if matches else f"; slugs are {', '.join(slugs)}"
    raise UnknownAtomError(f"no atom has the slug {slug!r}{hint}", slug=slug, matches=matches)


def find_by_model(model: str) -> Spec | None:
    """The atom of a model id in any spelling, from the catalogue or from a service's list. `None`: unknown."""
    candidates = [spec for spec in specs() if spec.model is not None]
    spec = next((spec for spec in candidates if (spec.model or "").lower() == model.lower()), None)
    if spec is None and ("", model) in _learned:
        return uncatalogued(model)
    if spec is None:
        matches = [spec for spec in candidates if same_model(spec.model or "", model)]
        spec = matches[0] if len(matches) == 1 else None
    return spec


def same_model(first: str, second: str) -> bool:
    """True if two ids name the same model in different spellings: in the case of letters, with an organisation or a
    folder before it, with `:` for `-` (Ollama), or with the date of a release, `latest` or `.gguf` behind it."""
    return _normalised(first) == _normalised(second)


def _normalised(model: str) -> str:
    name = model.strip().lower().rstrip("/").rpartition("/")[2].removesuffix(".gguf")
    return _RELEASE.sub("", re.sub(r"[:_ ]+", "-", name))


_RELEASE = re.compile(r"-(latest|mxfp4|\d{8}|\d{4}-\d{2}-\d{2})$")
"""The end of a name that makes no other model. `mxfp4` is the precision in which gpt-oss was published; models of other
precisions may have other prices."""


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

    - `model`: the service's model id.
    - `price`: US dollars for a million tokens, as `{"input": "0.15", "output": "0.60"}`, with `cached` if cached tokens
      have another price.
    - `context`: tokens of prompt and answer together.
    - `harmony`: True if the model reads and writes harmony. Default: True if its name contains `gpt-oss`.
    - `source`, `as_of`: the source of the figures and its date. Default: today.
    """
    figure_source = Source(source, as_of or datetime.date.today().isoformat())
    price = to_price(price)
    keys = [key for key in ("input", "output", "cached") if getattr(price, key) is not None]
    named = {f"cost.cash.{key}": figure_source for key in keys}
    if context is not None:
        named["gain.size.context.tokens"] = figure_source
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
        price_is_own=price != Price(),
    )
    _registered[slug] = spec
    return spec


def speaks_harmony(model: str) -> bool:
    """True for a model name that contains `gpt-oss`: OpenAI's open weights and models tuned from them."""
    return "gpt-oss" in model.lower()


def uncatalogued(model: str, service: str = "") -> Spec:
    """The spec of a model outside of the catalogue: its name, and the data of a service's list (`""`: Together's)."""
    speaks = _VOCABULARY if speaks_harmony(model) else None
    gain = Gain(SpecSize(Context()), Grades())
    return apply_service_data(Spec(model, model, "", SpecCost(Price()), gain, vocabulary=speaks), service)


def on_another_server(spec: Spec, slug: str, service: str) -> Spec:
    """The spec of a model of Together on a server that is not Together's: its price, context and removal do not apply
    there, and those of the server's list do. What the caller registered or wrote into `MOTET_CATALOG` stays, and so do
    facts of the model. A model of no service has the data of the server's list besides its own."""
    if spec.model is None or spec.slug in _registered:
        return spec
    if not spec.slug.startswith("together/"):
        return apply_service_data(spec, service)
    own = _read(os.environ.get("MOTET_CATALOG"))[1].get(spec.slug, frozenset())
    bare = uncatalogued(spec.model, service)
    cash = {
        key: getattr(spec.cost.cash if f"cost.cash.{key}" in own else bare.cost.cash, key)
        for key in ("input", "output", "cached")
    }
    size = spec.gain.size if "gain.size.context.tokens" in own else bare.gain.size
    shed = {path for path in spec.sources if path.startswith(("cost.", "gain.size.")) and path not in own}
    batch_discount = spec.cost.batch_discount if "cost.batch_discount" in own else None
    return replace(
        spec,
        slug=slug,
        cost=replace(spec.cost, cash=Price(**cash), batch_discount=batch_discount),
        gain=replace(spec.gain, size=size),
        sources={**{path: source for path, source in spec.sources.items() if path not in shed}, **bare.sources},
        removed=None,
        gone=None,
        successor=None,
        price_is_own=any(path.startswith("cost.cash.") for path in own),
    )


def to_price(price: Price | Mapping[str, Any] | None) -> Price:
    """A `Price` from a dict with `input`, `output` and `cached`. Raises `TypeError` and `ValueError`."""
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


def record_service_data(model: str, price: Price, context: int | None, source: Source, service: str = "") -> None:
    """Records a service's data of a model, which override the package's and not the user's. `service`: its address,
    `""` for Together, whose prices are the catalogue's.

    Ignored without a price for a model of the catalogue: such a list is from another service than the catalogue's.
    """
    if not service and price == Price() and find_by_model(model) is not None:
        return
    _learned[service, model] = (price, context, source)


def apply_service_data(spec: Spec, service: str = "") -> Spec:
    """The spec with the recorded data of a service."""
    if spec.model is None or (service, spec.model) not in _learned or spec.slug in _registered:
        return spec
    price, context, source = _learned[service, spec.model]
    own = _read(os.environ.get("MOTET_CATALOG"))[1].get(spec.slug, frozenset())
    figures = {f"cost.cash.{key}": getattr(price, key) for key in ("input", "output", "cached")}
    figures["gain.size.context.tokens"] = context
    new = {path: value for path, value in figures.items() if value is not None and path not in own}
    cash = {path.rpartition(".")[2]: value for path, value in new.items() if path.startswith("cost.")}
    size = SpecSize(Context(new.get("gain.size.context.tokens", spec.gain.size.context.tokens)))
    # A listed model is served.
    late: Any = {name: None for name in ("removed", "gone", "successor") if name not in own}
    return replace(
        spec,
        cost=replace(spec.cost, cash=replace(spec.cost.cash, **cash)),
        gain=replace(spec.gain, size=size),
        sources={**spec.sources, **dict.fromkeys(new, source)},
        **late,
    )


def forget() -> None:
    """Removes recorded and registered data."""
    _learned.clear()
    _registered.clear()

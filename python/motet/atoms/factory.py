"""Atoms by their slugs: an entry of the catalogue and a service put together. The only room that knows both."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from motet import catalog
from motet.atoms.atom import Atom
from motet.backend import Backend
from motet.catalog import Context, Source, Spec, SpecSize
from motet.errors import ApiError, ConfigError, UnknownAtomError
from motet.metrics import Price

__all__ = ["Models", "atom", "gen_brain_atom", "get_brain_atoms", "models"]


def atom(
    slug: str,
    *,
    backend: Backend | None = None,
    price: Price | Mapping[str, Any] | None = None,
    context: int | None = None,
    **service: Any,
) -> Atom:
    """The atom of a slug, ready to be asked.

    - `slug`: of the catalogue (`together/gpt-oss/120b`), one that was registered, or a service's model id: known ones,
      and any other with a `/` in it or together with `base_url`, `client` or `backend`.
    - `backend`: the service to ask, if it is to be shared by several atoms.
    - `service`: or how to reach it: `api_key`, `base_url`, `client`, `async_client`, `lane`, `max_retries`, ...; see
      `motet.together.Backend`.
    - `price`: US dollars for a million tokens, as `{"input": "0.15", "output": "0.60"}`, instead of the catalogue's.
    - `context`: how many tokens prompt and answer may have together, instead of the catalogue's.

    No key is needed before something is asked. Raises `UnknownAtomError` with the slugs that look like this one.
    """
    if backend is not None and service:
        raise ConfigError(f"give either backend= or {', '.join(sorted(service))}=, not both")
    own_service = backend is not None or bool({"base_url", "client", "async_client"} & set(service))
    spec = _spec(slug, own_service=own_service)
    said = Source("given by the caller", datetime.date.today().isoformat())
    if price is not None:
        cash = catalog.to_price(price)
        named = {f"cost.cash.{key}": said for key in ("input", "output", "cached") if getattr(cash, key) is not None}
        spec = replace(spec, cost=replace(spec.cost, cash=cash), sources={**spec.sources, **named})
    if context is not None:
        named = {**spec.sources, "gain.size.context.tokens": said}
        spec = replace(
            spec, gain=replace(spec.gain, size=SpecSize(Context(catalog.to_context(context)))), sources=named
        )
    return Atom(spec, backend if backend is not None else _together(**service))


gen_brain_atom = atom


def _spec(slug: str, *, own_service: bool) -> Spec:
    try:
        return catalog.find(slug)
    except UnknownAtomError as error:
        # A model id has one slash; a slug of the catalogue that is misspelled has two, and looks like another.
        if own_service or (slug.count("/") == 1 and not error.matches):
            return catalog.uncatalogued(slug)
        raise


def _together(**service: Any) -> Backend:
    # The SDK takes a third of a second to import; nobody waits for it who does not ask.
    from motet.together import Backend as Together

    return Together(**service)


def get_brain_atoms(*, backend: Backend | None = None, **service: Any) -> tuple[Atom, ...]:
    """All atoms of the catalogue, over one service. No key is needed before something is asked."""
    shared = backend if backend is not None else _together(**service)
    return tuple([Atom(spec, shared) for spec in catalog.specs()])


@dataclass(frozen=True, slots=True)
class Models:
    """What is known of the models that can be asked."""

    specs: tuple[Spec, ...]
    source: Literal["service", "cache", "stale", "catalogue"]
    """Where prices and contexts come from: the service, now or a while ago; or only the catalogue."""
    fetched_at: datetime.datetime | None = None
    error: Exception | None = None
    """Why the service was not asked, or did not answer."""

    def __iter__(self) -> Iterator[Spec]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)


def models(*, refresh: bool = False, backend: Backend | None = None, **service: Any) -> Models:
    """The catalogue, with the prices and contexts that the service says today.

    The service's list is kept for an hour; `refresh=True` asks anyway. If it cannot be asked, its last list stands in,
    and if there is none, the catalogue alone: `.source` says which, `.error` why. The catalogue's own entries come
    first; models that only the service knows follow. Atoms that are made from then on have what was learned.
    """
    shared = backend if backend is not None else _shared(**service)
    try:
        found = shared.list_models(refresh=refresh)
    except (ApiError, ConfigError) as error:
        return Models(catalog.specs(), "catalogue", error=error)
    finally:
        if backend is None:
            # What is kept between calls is the list, not its connection.
            shared.close()
    source = Source("the service's list of models", found.fetched_at.date().isoformat())
    for model in found:
        catalog.record_service_data(model.id, model.price, model.context, source)
    known = catalog.specs()
    named = {spec.model for spec in known}
    others = [catalog.uncatalogued(model.id) for model in found if model.id not in named]
    return Models((*known, *others), found.source, found.fetched_at, found.error)


_backends: dict[tuple[tuple[str, Any], ...], Backend] = {}


def _shared(**service: Any) -> Backend:
    """One backend for each way to reach a service, so that its list of models is kept between calls."""
    key = tuple([(name, _hashable(value)) for name, value in sorted(service.items())])
    return _backends.setdefault(key, _together(**service)) if key not in _backends else _backends[key]


def _hashable(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value

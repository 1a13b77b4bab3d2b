"""Makes atoms from slugs: joins an entry of the catalogue with a backend. The only module that knows both."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from motet import catalog
from motet.atoms.atom import Atom
from motet.backend import Backend, ModelList
from motet.catalog import Context, Source, Spec, SpecSize
from motet.errors import ApiError, ConfigError, UnknownAtomError
from motet.metrics import Price

__all__ = ["Models", "atom", "gen_brain_atom", "get_brain_atoms", "models"]

TOGETHER_HOSTS = ("together.ai", "together.xyz")
"""Hosts with the prices of the catalogue; subdomains included."""


def atom(
    slug: str,
    *,
    backend: Backend | None = None,
    price: Price | Mapping[str, Any] | None = None,
    context: int | None = None,
    **service: Any,
) -> Atom:
    """The atom of a slug.

    - `slug`: a slug of the catalogue (`together/gpt-oss/120b`) or of `register_atom`, or a service's model id: one of
      the catalogue, any other that contains `/`, or any with `base_url`, `client` or `backend`.
    - `backend`: a service that several atoms share.
    - `service`: otherwise the arguments of `motet.together.Backend`: `api_key`, `base_url`, `client`, `async_client`,
      `lane`, `max_retries`, ...
    - `price`: US dollars for a million tokens, as `{"input": "0.15", "output": "0.60"}`; replaces the catalogue's,
      which are Together's: at another address the price is unknown, unless `service="together"` says that it is a
      gateway to Together.
    - `context`: tokens of prompt and answer together; replaces the catalogue's.

    The API key is first needed for a request. Raises `UnknownAtomError`, with similar slugs in `.matches`.
    """
    if backend is not None and service:
        raise ConfigError(f"give either backend= or {', '.join(sorted(service))}=, not both")
    own_service = backend is not None or bool({"base_url", "client", "async_client"} & set(service))
    other_server = _other_server(backend, service)
    spec = _spec(slug, own_service=own_service, other_server=other_server)
    if other_server:
        spec = catalog.on_another_server(spec, slug, other_server)
    source = Source("given by the caller", datetime.date.today().isoformat())
    if price is not None:
        cash = catalog.to_price(price)
        keys = [key for key in ("input", "output", "cached") if getattr(cash, key) is not None]
        sources = {**spec.sources, **{f"cost.cash.{key}": source for key in keys}}
        spec = replace(spec, cost=replace(spec.cost, cash=cash), sources=sources, price_is_own=True)
    if context is not None:
        size = SpecSize(Context(catalog.to_context(context)))
        sources = {**spec.sources, "gain.size.context.tokens": source}
        spec = replace(spec, gain=replace(spec.gain, size=size), sources=sources)
    return Atom(spec, backend if backend is not None else _together(**service))


gen_brain_atom = atom
"""Another name of `atom`."""


def _spec(slug: str, *, own_service: bool, other_server: str) -> Spec:
    try:
        return catalog.find(slug)
    except UnknownAtomError as error:
        # A model id has one slash. A misspelled slug has two, or resembles a slug of the catalogue.
        if own_service or (slug.count("/") == 1 and not error.matches):
            return catalog.uncatalogued(slug, other_server)
        raise


def _address(backend: Backend | None, service: Mapping[str, Any]) -> object:
    """The address that a backend with these arguments connects to. `None`: Together's, or unknown."""
    if backend is not None:
        return getattr(backend, "base_url", None)
    client = service.get("client") or service.get("async_client")
    if service.get("base_url") is None and client is not None:
        return str(getattr(client, "base_url", ""))
    return service.get("base_url") or os.environ.get("TOGETHER_BASE_URL")


def _other_server(backend: Backend | None, service: Mapping[str, Any]) -> str:
    """The host and port of a server that is not Together's, by the arguments of a backend. Empty: it is Together's."""
    address = _address(backend, service)
    if not isinstance(address, str) or _names_together(service.get("service")):
        return ""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        # The backend refuses the address.
        return "invalid"
    is_together = f".{host}".endswith(tuple([f".{known}" for known in TOGETHER_HOSTS]))
    return "" if host is None or is_together else parts.netloc.lower()


def _names_together(choice: object) -> bool:
    """True if the caller says that the service is Together: by name, or in a dict or a `Service`."""
    name = choice.get("name") if isinstance(choice, Mapping) else getattr(choice, "name", choice)
    return name == "together"


def _together(**service: Any) -> Backend:
    # Imported on first use: the SDK takes a third of a second.
    from motet.together import Backend as Together

    return Together(**service)


def get_brain_atoms(*, backend: Backend | None = None, **service: Any) -> tuple[Atom, ...]:
    """All atoms of the catalogue over one service. The API key is first needed for a request.

    On a server that is not Together's they have no prices; see `atom`.
    """
    shared = backend if backend is not None else _together(**service)
    other_server, specs = _other_server(backend, service), catalog.specs()
    if other_server:
        specs = tuple([catalog.on_another_server(spec, spec.slug, other_server) for spec in specs])
    return tuple([Atom(spec, shared) for spec in specs])


@dataclass(frozen=True, slots=True)
class Models:
    """The specs of the available models; iterable, in the order of the catalogue."""

    specs: tuple[Spec, ...]
    source: Literal["service", "cache", "stale", "catalogue"]
    """Origin of prices and contexts: the service's list (new, cached, or stale), or the catalogue alone."""
    fetched_at: datetime.datetime | None = None
    """When the service sent its list. `None`: it did not."""
    error: Exception | None = None
    """Why there is no list, or only a stale one."""

    def __iter__(self) -> Iterator[Spec]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)


def models(*, refresh: bool = False, backend: Backend | None = None, **service: Any) -> Models:
    """The catalogue with the current prices and contexts of the service; on a server that is not Together's, the models
    that it lists.

    The service's list is cached for an hour; `refresh=True` fetches it again. If the service does not respond, its last
    list is used, or else the catalogue alone: `.source` says which, `.error` why. The catalogue's entries come first,
    then models that only the service lists. Atoms of the same service made afterwards have the fetched prices and
    contexts.
    """
    shared = backend if backend is not None else _shared(**service)
    other_server = _other_server(backend, service)
    catalogued = () if other_server else catalog.specs()
    try:
        listed = shared.list_models(refresh=refresh)
    except (ApiError, ConfigError) as error:
        return Models(catalogued, "catalogue", error=error)
    finally:
        if backend is None:
            # The list is kept between calls, not its connection.
            shared.close()
    source = Source("the service's list of models", listed.fetched_at.date().isoformat())
    for model in listed:
        catalog.record_service_data(model.id, model.price, model.context, source, other_server)
    specs = _listed_elsewhere(listed, other_server) if other_server else _listed(listed)
    return Models(specs, listed.source, listed.fetched_at, listed.error)


def _listed(models: ModelList) -> tuple[Spec, ...]:
    """The catalogue, and models that only Together's list has."""
    specs = catalog.specs()
    catalogued = {spec.model for spec in specs}
    return (*specs, *[catalog.uncatalogued(model.id) for model in models if model.id not in catalogued])


def _listed_elsewhere(models: ModelList, server: str) -> tuple[Spec, ...]:
    """The models of a server's list, with the facts of the catalogue that hold there."""
    catalogued = {spec.model: spec for spec in catalog.specs()}
    return tuple(
        [
            catalog.on_another_server(catalogued[model.id], model.id, server)
            if model.id in catalogued
            else catalog.uncatalogued(model.id, server)
            for model in models
        ]
    )


_backends: dict[tuple[tuple[str, Any], ...], Backend] = {}


def _shared(**service: Any) -> Backend:
    """One backend per set of arguments, so that its list of models is kept between calls."""
    key = tuple([(name, _hashable(value)) for name, value in sorted(service.items())])
    return _backends.setdefault(key, _together(**service)) if key not in _backends else _backends[key]


def _hashable(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value

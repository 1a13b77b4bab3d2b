"""Which server a model's name means."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from motet.atoms.factory import atom
from motet.backend import Backend, Model
from motet.catalog import Spec, uncatalogued
from motet.errors import ApiError, ConfigError
from motet.proxy.failures import RequestError
from motet.proxy.settings import Upstream
from motet.together import Backend as TogetherBackend
from motet.together.services import service_at

__all__ = ["Target", "Upstreams"]

MAX_TARGETS = 1000
"""Names of models that are kept; clients may send any."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model at its server."""

    spec: Spec
    backend: Backend


class Upstreams:
    """The servers of a proxy. A name never decides about an address that is not among them."""

    def __init__(self, default: Upstream | None, models: Mapping[str, Upstream]) -> None:
        if default is None and not models:
            raise ConfigError("a proxy needs an upstream: upstream='http://localhost:8000'")
        self._default = default
        self._models = dict(models)
        self._backends: list[tuple[Upstream, Backend]] = []
        """Not a dict: a service that is given as a dict has no hash."""
        self._targets: dict[str, Target] = {}
        for upstream in [*models.values(), *([] if default is None else [default])]:
            self._backend(upstream)

    def target(self, name: str) -> Target:
        """The model of a name. Raises `RequestError` for a name without an upstream."""
        if name not in self._targets:
            upstream = self._models.get(name, self._default)
            if upstream is None:
                known = ", ".join(self._models)
                raise RequestError(404, f"no upstream has the model {name!r}; known are {known}", "model", _UNKNOWN)
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            self._targets[name] = self._new_target(upstream, upstream.model or name)
        return self._targets[name]

    def _new_target(self, upstream: Upstream, model: str) -> Target:
        backend = self._backend(upstream)
        spec = atom(model, backend=backend, price=upstream.price, context=upstream.context).spec
        if spec.model is None:
            raise RequestError(404, f"no service is known to have {model!r}", "model", _UNKNOWN)
        if upstream.harmony is not None:
            vocabulary = uncatalogued("gpt-oss").vocabulary if upstream.harmony else None
            spec = replace(spec, vocabulary=vocabulary)
        return Target(spec, backend)

    def _backend(self, upstream: Upstream) -> Backend:
        if upstream.backend is not None:
            return upstream.backend
        # Models of one server share its connections.
        server = replace(upstream, model=None, price=None, context=None, harmony=None)
        backend = next((backend for known, backend in self._backends if known == server), None)
        if backend is None:
            backend = _connect(server)
            self._backends.append((server, backend))
        return backend

    async def list_models(self) -> list[Model]:
        """The names that have an upstream of their own, and the models that the default upstream lists. Raises
        `ApiError` if it lists none and there are no others."""
        models = [Model(name) for name in self._models]
        if self._default is None:
            return models
        try:
            listed = await self._backend(self._default).alist_models()
        except ApiError:
            if not models:
                raise
            return models
        return [*models, *[model for model in listed if model.id not in self._models]]

    async def aclose(self) -> None:
        """Closes the connections."""
        await asyncio.gather(*[backend.aclose() for _, backend in self._backends])


_UNKNOWN = "model_not_found"


def _connect(upstream: Upstream) -> Backend:
    key = upstream.key
    service = service_at(upstream.url or "")
    if key is None and (service is None or service.name != "together"):
        # The backend would look for Together's key, which no other server must get.
        key = "none"
    return TogetherBackend(
        api_key=key,
        base_url=upstream.url,
        lane=upstream.lane,
        service=upstream.service,
        max_retries=upstream.retries,
    )

"""The list of models of a service (`/v1/models`): models with prices, what kind of server it is, its health."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

import httpx

from motet.backend import Health, Model
from motet.errors import ApiError, AuthenticationError
from motet.metrics import Price
from motet.together.errors import bad_payload
from motet.together.prepare import Server
from motet.together.services import UNKNOWN, service_of_owners

__all__ = ["health_of", "models_in", "server_in"]


def models_in(response: httpx.Response, key: str) -> tuple[Model, ...]:
    """The models of a response. Raises `BadPayloadError` if it is not a list of models."""
    return tuple([_model(row) for row in _rows(response, key)])


def server_in(response: httpx.Response) -> Server:
    """The server, from the owner of its models, and the contexts of these."""
    try:
        rows = _rows(response, "")
    except ApiError:
        return Server(UNKNOWN)
    service = service_of_owners([str(row.get("owned_by", "")).lower() for row in rows])
    # `max_model_len` is the server's limit; the contexts that other services list may be the model's alone.
    lengths = {row["id"]: _tokens(row.get("max_model_len")) for row in rows}
    return Server(service, {model: length for model, length in lengths.items() if length is not None})


def health_of(response: httpx.Response | Exception, latency: float, model: str | None) -> Health:
    """The health of a service, from the response to a request for its models, or from the error."""
    if isinstance(response, Exception):
        status = cast("int | None", getattr(response, "status", None))
        key_valid: Literal[False] | None = False if isinstance(response, AuthenticationError) else None
        return Health(False, status, latency, key_valid, None, response)
    try:
        rows = _rows(response, "")
    except ApiError as error:
        return Health(False, response.status_code, latency, None, None, error)
    serves = None if model is None else any(row["id"] == model for row in rows)
    return Health(serves is not False, response.status_code, latency, True, serves)


def _rows(response: httpx.Response, key: str) -> list[Mapping[str, Any]]:
    """The entries of the list: a bare list on Together, under `data` elsewhere."""
    try:
        shape = response.json()
    except ValueError:
        error = bad_payload("the list of models is not JSON", response.content, key, status=response.status_code)
        raise error from None
    rows = shape.get("data") if isinstance(shape, Mapping) else shape
    if not isinstance(rows, list):
        raise bad_payload("unexpected response for the list of models", shape, key, status=response.status_code)
    return [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), str)]


def _model(row: Mapping[str, Any]) -> Model:
    pricing = row.get("pricing")
    pricing = pricing if isinstance(pricing, Mapping) else {}
    if "prompt" in pricing and "completion" in pricing:
        price = Price.per_token(*[_money(pricing.get(key)) for key in ("prompt", "completion", "input_cache_read")])
    else:
        price = Price(
            _money(pricing.get("input")),
            _money(pricing.get("output")),
            _money(pricing.get("cached_input", pricing.get("cachedInput"))),
        )
    if not price.input and not price.output and not row["id"].endswith("-Free"):
        # The service writes zero for models that it sells by the hour only.
        price = Price()
    context = _tokens(row.get("context_length", row.get("max_model_len", row.get("context_window"))))
    owner = row.get("owned_by", row.get("organization"))
    return Model(
        row["id"],
        price,
        context,
        owner if isinstance(owner, str) else None,
    )


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _money(value: object) -> Decimal | None:
    """A price from a JSON number, through its text: the nearest float differs from it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        money = Decimal(str(value))
    except InvalidOperation:
        return None
    return money if money.is_finite() and money >= 0 else None

"""Bodies and replies of requests that travel in files: no connection, no key, no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from motet.backend import Prepared, Reply, Request
from motet.errors import ConfigError
from motet.message import Lane
from motet.metrics import Time
from motet.together.errors import from_error_object
from motet.together.lanes.choice_readers import choice_reader
from motet.together.prepare import Server, choose_lane, prepare
from motet.together.services import SERVICES, Service, ServiceChoice, to_service
from motet.together.transport.response_body import ResponseBody

__all__ = ["error_of", "prepare_offline", "read_offline", "service_named"]


def service_named(choice: ServiceChoice) -> Service:
    """The service of a file of requests. `None`: Together. Raises `ConfigError` for unknown names and fields."""
    return to_service(choice, SERVICES["together"])


def prepare_offline(request: Request, lane: Lane, service: Service) -> Prepared:
    """The request as the service will read it from a file. Raises `ConfigError` or `RenderError`."""
    if lane not in ("chat", "text", "ids"):
        raise ConfigError(f"lane must be 'chat', 'text' or 'ids', not {lane!r}")
    return prepare(request, *choose_lane(request, lane, service), Server(service))


def read_offline(body: Mapping[str, Any], request: Request, lane: Lane, service: Service) -> Reply:
    """The reply in a whole response body. Raises `ApiError` or `StreamError`, with what can be read in `.partial`."""
    reader = choice_reader(request, lane, service)
    response = ResponseBody(reader, None)
    response.feed(json.dumps(body).encode())
    response.close()
    reply = Reply(
        reader.completion,
        reader.completion.lane,
        "the batch",
        response.model,
        response.usage,
        response.finish,
        response.id,
        Time(0.0),
        notes=(*response.notes, *reader.notes),
        sampled=reader.sampled,
    )
    if response.error is not None:
        response.error.partial = reply
        response.error.usage = reply.usage
        raise response.error
    return reply


def error_of(shape: object) -> Exception:
    """The exception for an error object of a response or of an error file."""
    return from_error_object(shape, None)

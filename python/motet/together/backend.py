"""`TogetherBackend`: requests become calls of the SDK, and responses replies."""

from __future__ import annotations

import datetime
import threading
import time
import weakref
from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import anyio
import httpx
import together

from motet._context import AsyncClosing, Closing
from motet.backend import Health, LaneChoice, Model, ModelList, Prepared, Reply, Request
from motet.errors import ApiError, ConfigError, MotetError, RequestTimeoutError
from motet.together.client import Address, Connection, LoopClients, address_of
from motet.together.errors import from_exception, shown_cause
from motet.together.lanes.choice_readers import choice_reader
from motet.together.lanes.id_pages import COMPLETIONS, page_of, prompt_ids
from motet.together.model_list import health_of, models_in, server_in
from motet.together.prepare import (
    Server,
    choose_lane,
    depends_on_server,
    prepare,
    prepare_undecided,
    sdk_arguments,
)
from motet.together.services import UNKNOWN, ServiceChoice, service_at, to_service
from motet.together.transport.cancellation import run_cancellable
from motet.together.transport.deadline import deadline, install
from motet.together.transport.io_drivers import AsyncStream, Stream
from motet.together.transport.request_machine import RequestMachine, SdkCall

__all__ = ["TogetherBackend"]

PROBE_TIMEOUT = 5.0
"""Seconds for the request that asks what kind of server it is."""
HEALTH_TIMEOUT = 5.0
"""Seconds."""


class TogetherBackend(Closing, AsyncClosing):
    """A service with Together's API: Together, or vLLM, SGLang, llama.cpp and others with `base_url`.

    - `api_key`: a key, or a function that returns it and is called when it is first needed. Default:
      `TOGETHER_API_KEY`. A server on this machine needs none.
    - `base_url`: default: `TOGETHER_BASE_URL`, else Together's own. A host alone gets `/v1`; a path is used unchanged.
    - `client`, `async_client`: clients of the SDK to use instead of new ones. If one is given, the other is built for
      the same service and key when it is needed.
    - `headers`: further headers of each request.
    - `lane`: `"chat"`: the service renders the prompt and parses the answer. `"ids"`, `"text"`: motet does both, over
      token ids or over text with markers. `"auto"`: `ids` on servers that identify as vLLM or SGLang, `text` on
      llama.cpp, and `chat` elsewhere and for models that do not speak harmony; the reply names the lane and the reason.
    - `max_retries`: attempts after the first, before the answer begins. Default: the client's, which is 2.
    - `transport`, `async_transport`: httpx transports for the clients that are built. A cassette is both.
    - `cache_ttl`: seconds for which the list of models is kept.
    - `service`: what is known of the service, where it is not recognised by its address or its list of models: a name
      (`"groq"`), or a dict of fields that differ (`{"reasoning_key": None}`); see `motet.together.Service`.

    Safe to use from several threads. A context manager: leaving it closes the connections that it opened.
    """

    def __init__(
        self,
        *,
        api_key: str | Callable[[], str] | None = None,
        base_url: str | None = None,
        client: together.Together | None = None,
        async_client: together.AsyncTogether | None = None,
        lane: LaneChoice = "auto",
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
        cache_ttl: float = 3600.0,
        service: ServiceChoice = None,
    ) -> None:
        if lane not in ("auto", "chat", "text", "ids"):
            raise ConfigError(f"lane must be 'auto', 'chat', 'text' or 'ids', not {lane!r}")
        own_client = _checked_client(client, async_client)
        address: str | Address | None = base_url
        if own_client is not None and api_key is None and base_url is None:
            # The other client connects to the same service with the same key.
            api_key, address = own_client.api_key, address_of(own_client)
        if async_transport is None and isinstance(transport, httpx.AsyncBaseTransport):
            async_transport = transport
        self.lane: LaneChoice = lane
        self._connection = Connection(api_key, address, headers, transport, async_transport)
        self._client, self._async_client = client, async_client
        self._owns_client = client is None
        self._finalizer: weakref.finalize[..., TogetherBackend] | None = None
        self._async_clients = LoopClients(self._connection.build_async)
        self._copies: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._max_retries = max_retries
        self._cache_ttl = cache_ttl
        self._models: tuple[ModelList, float] | None = None
        self._service = service
        self._server: Server | None = None
        """`None`: not recognised yet."""
        self._reasoning_key: str | None = None
        """The key in which the service last sent reasoning: a conversation carries it back in the same one."""
        to_service(service, UNKNOWN)
        self._lock = threading.Lock()
        self._probe_lock = threading.Lock()
        if client is not None:
            install(client._client)

    def __repr__(self) -> str:
        base_url = self._connection.base_url
        url = base_url.url if isinstance(base_url, Address) else base_url
        return f"Backend(base_url={url!r}, lane={self.lane!r})"

    @property
    def base_url(self) -> str | None:
        """The service's address, without the `/v1` that the SDK adds. `None`: Together's."""
        if (sdk := self._client or self._async_client) is not None:
            return str(sdk.base_url).rstrip("/")
        return None if (address := self._connection.address) is None else address.url

    # Clients are built when they are first needed, so that a list of atoms needs no key.

    @property
    def client(self) -> together.Together:
        """The SDK's client. Raises `MissingKeyError` if it has to be built and there is no key."""
        with self._lock:
            if self._client is None:
                self._client = self._connection.build()
                if self._connection.transport is None:
                    # Garbage collection calls `__del__` of a cycle's objects in any order, and sockets that it finds
                    # open warn; callbacks of weak references precede them. A given transport may refer to this object,
                    # which the reference to the client would then keep alive.
                    self._finalizer = weakref.finalize(self, self._client.close)
                    self._finalizer.atexit = False
            return self._client

    @property
    def async_client(self) -> together.AsyncTogether:
        """The SDK's async client for the running event loop; see `client`."""
        with self._lock:
            return self._async_client or self._async_clients.get()

    async def _open_async_client(self) -> together.AsyncTogether:
        return self._async_client or await self._async_clients.open()

    def close(self) -> None:
        """Closes the connections, unless the client was passed in."""
        if self._client is not None and self._owns_client:
            self._client.close()
            self._client = None
            if self._finalizer is not None:
                self._finalizer.detach()

    async def aclose(self) -> None:
        """`close`, for both clients."""
        self.close()
        if self._async_client is None:
            await self._async_clients.aclose()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:
            # At interpreter exit the modules that closing needs may be gone.
            return

    # Requests.

    def prepare(self, request: Request) -> Prepared:
        """Renders and counts a request, without I/O. Raises `ConfigError` or `RenderError` if it cannot be sent.

        The count is exact for models that speak harmony. Where the lane depends on the kind of server, and it was not
        asked yet, the prepared request has no body, and is exact only if all lanes have the same count.
        """
        if self._must_probe(request):
            return prepare_undecided(request)
        return self._prepare(request)

    def _prepare(self, request: Request) -> Prepared:
        server = self._known_server()
        return prepare(request, *choose_lane(request, self.lane, server.service), server)

    def execute(self, request: Request | Prepared) -> Reply:
        """The complete reply. Raises `ApiError` or `StreamError`, with what arrived in `.partial`."""
        with Stream(partial(self._machine, request, stream=False)) as stream:
            for _ in stream:
                pass
            return stream.reply

    async def aexecute(self, request: Request | Prepared) -> Reply:
        """`execute`, awaited."""
        async with AsyncStream(partial(self._amachine, request, stream=False)) as stream:
            async for _ in stream:
                pass
            return stream.reply

    def stream(self, request: Request | Prepared) -> Stream:
        """The events while they arrive; the request is sent when the first is read."""
        return Stream(partial(self._machine, request, stream=True))

    def astream(self, request: Request | Prepared) -> AsyncStream:
        """`stream`, awaited."""
        return AsyncStream(partial(self._amachine, request, stream=True))

    def _machine(self, request: Request | Prepared, *, stream: bool) -> tuple[together.Together, RequestMachine]:
        sdk, start_time = self.client, time.monotonic()
        inner = request.request if isinstance(request, Prepared) else request
        seconds = _probe_seconds(inner)
        if self._must_probe(inner) and self._probe_lock.acquire(timeout=seconds):
            try:
                if self._must_probe(inner):
                    self._server = self._chosen(server_in(self._get_models(sdk, seconds)))
            except (ApiError, ConfigError) as error:
                self._note_failed_probe(error)
            finally:
                self._probe_lock.release()
        machine = RequestMachine(self._call(request, sdk, stream=stream), start_time=start_time)
        return self._without_retries(sdk), machine

    async def _amachine(
        self, request: Request | Prepared, *, stream: bool
    ) -> tuple[together.AsyncTogether, RequestMachine]:
        sdk, start_time = await self._open_async_client(), time.monotonic()
        inner = request.request if isinstance(request, Prepared) else request
        seconds = _probe_seconds(inner)
        if self._must_probe(inner):
            with anyio.move_on_after(seconds):
                async with self._async_clients.lock():
                    try:
                        if self._must_probe(inner):
                            self._server = self._chosen(server_in(await self._aget_models(sdk, seconds)))
                    except (ApiError, ConfigError) as error:
                        self._note_failed_probe(error)
        machine = RequestMachine(self._call(request, sdk, stream=stream), start_time=start_time)
        return self._without_retries(sdk), machine

    def _without_retries(self, client: Any) -> Any:
        """The client without retries of its own: these ignore a `Retry-After` above a minute, know no deadline, and are
        not reported."""
        passed_in: tuple[Any, ...] = (self._async_client, None if self._owns_client else self._client)
        if any(client is other for other in passed_in):
            # The caller may change its settings between requests.
            return client.with_options(max_retries=0)
        # Kept, as a new one asks a thread for the name of the system with its first request.
        copy = self._copies.get(client)
        if copy is None:
            copy = self._copies[client] = client.with_options(max_retries=0)
        return copy

    def _must_probe(self, request: Request) -> bool:
        if self._server is None:
            sdk = self._client or self._async_client or self._async_clients.any
            address = self._connection.address
            url = str(sdk.base_url) if sdk else "" if address is None else address.url
            hosted = service_at(url)
            self._server = None if hosted is None else self._chosen(Server(hosted))
        return self._server is None and depends_on_server(request, self.lane)

    def _chosen(self, server: Server) -> Server:
        """The recognised server with what the caller set by hand."""
        return replace(server, service=to_service(self._service, server.service))

    def _known_server(self) -> Server:
        server = self._server or self._chosen(Server(UNKNOWN))
        return replace(server, reasoning_key=self._reasoning_key)

    def _note_failed_probe(self, error: MotetError) -> None:
        # A server that is starting or overloaded can be asked again later.
        if not error.retryable:
            self._server = self._chosen(Server(UNKNOWN))

    def _note_reasoning_key(self, key: str) -> None:
        self._reasoning_key = key

    def _call(self, request: Request | Prepared, sdk: Any, *, stream: bool) -> SdkCall:
        if isinstance(request, Prepared) and request.lane is not None:
            prepared = request
        else:
            prepared = self._prepare(request.request if isinstance(request, Prepared) else request)
        request, service = prepared.request, self._known_server().service
        return SdkCall(
            endpoint=_endpoint(prepared),
            arguments=sdk_arguments(prepared, stream=stream, refused_keys=service.refused_keys),
            stream=stream,
            reader=choice_reader(request, prepared.lane or "chat", service, self._note_reasoning_key),
            key=sdk.api_key,
            lane_reason=prepared.lane_reason,
            retries=sdk.max_retries if self._max_retries is None else self._max_retries,
            timeout=request.timeout,
            first_token_timeout=request.first_token_timeout,
            prompt_tokens=prepared.prompt_tokens,
            prompt_ids=_prompt_ids(prepared),
            response_format=prepared.response_format,
            notes=prepared.notes,
        )

    # The list of models.

    def list_models(self, *, refresh: bool = False) -> ModelList:
        """The models of the service. The list is kept for `cache_ttl` seconds; `refresh=True` requests it again.

        If the request fails, the last list is returned, marked `stale`; without one, the error is raised.
        """
        if (cached := self._cached_models(refresh)) is not None:
            return cached
        try:
            response = self._get_models(self.client)
            return self._keep_models(models_in(response, self.client.api_key))
        except ApiError as error:
            return self._stale_models(error)

    async def alist_models(self, *, refresh: bool = False) -> ModelList:
        """`list_models`, awaited."""
        if (cached := self._cached_models(refresh)) is not None:
            return cached
        try:
            response = await self._aget_models(self.async_client)
            return self._keep_models(models_in(response, self.async_client.api_key))
        except ApiError as error:
            return self._stale_models(error)

    def _cached_models(self, refresh: bool) -> ModelList | None:
        if refresh or self._models is None or time.monotonic() - self._models[1] > self._cache_ttl:
            return None
        models = self._models[0]
        return ModelList(models.models, "cache", models.fetched_at)

    def _keep_models(self, models: tuple[Model, ...]) -> ModelList:
        listed = ModelList(models, "service", datetime.datetime.now(datetime.UTC))
        self._models = (listed, time.monotonic())
        return listed

    def _stale_models(self, error: ApiError) -> ModelList:
        if self._models is None:
            raise error
        models = self._models[0]
        return ModelList(models.models, "stale", models.fetched_at, error)

    def health(self, model: str | None = None) -> Health:
        """Whether the service responds, accepts the key, and has the model."""
        start_time = time.monotonic()
        try:
            response: httpx.Response | Exception = self._get_models(self.client, HEALTH_TIMEOUT)
        except MotetError as error:
            response = error
        return health_of(response, time.monotonic() - start_time, model)

    async def ahealth(self, model: str | None = None) -> Health:
        """`health`, awaited."""
        start_time = time.monotonic()
        try:
            response: httpx.Response | Exception = await self._aget_models(self.async_client, HEALTH_TIMEOUT)
        except MotetError as error:
            response = error
        return health_of(response, time.monotonic() - start_time, model)

    def _get_models(self, sdk: together.Together, timeout: float | None = None) -> httpx.Response:
        try:
            with deadline(None if timeout is None else time.monotonic() + timeout):
                return sdk.get("/v1/models", cast_to=httpx.Response, options=self._request_options(timeout))
        except Exception as cause:
            error = from_exception(cause, sdk.api_key)
            raise error from shown_cause(error, cause, sdk.api_key)

    async def _aget_models(self, sdk: together.AsyncTogether, timeout: float | None = None) -> httpx.Response:
        try:
            with anyio.fail_after(timeout):
                return await run_cancellable(
                    lambda: sdk.get("/v1/models", cast_to=httpx.Response, options=self._request_options(timeout))
                )
        except TimeoutError as cause:
            raise RequestTimeoutError(f"the service sent no list of models within {timeout:g} s") from cause
        except Exception as cause:
            error = from_exception(cause, sdk.api_key)
            raise error from shown_cause(error, cause, sdk.api_key)

    def _request_options(self, timeout: float | None) -> Any:
        """The SDK's options. A request with a time limit is not retried."""
        if timeout is not None:
            return {"timeout": timeout, "max_retries": 0}
        return {} if self._max_retries is None else {"max_retries": self._max_retries}


def _checked_client(
    client: together.Together | None, async_client: together.AsyncTogether | None
) -> together.Together | together.AsyncTogether | None:
    """The client that was passed in, if any. Raises `TypeError` for other objects."""
    for name, value, kind in (
        ("client", client, together.Together),
        ("async_client", async_client, together.AsyncTogether),
    ):
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{name} must be a together.{kind.__name__}, not {type(value).__name__}")
    return client or async_client


def _endpoint(prepared: Prepared) -> Literal["chat", "completions", "page"]:
    if prepared.lane == "chat":
        return "chat"
    return "completions" if page_of(prepared.body or {}) == COMPLETIONS else "page"


def _prompt_ids(prepared: Prepared) -> array[int] | None:
    """The ids of a prompt. `None`: it is sent as text or as messages."""
    ids = prompt_ids(prepared.body or {}) if prepared.lane == "ids" else None
    return None if ids is None else array("I", ids)


def _probe_seconds(request: Request) -> float:
    """Seconds for the probe: at most half of the time that the answer may take."""
    limits = [limit for limit in (request.timeout, request.first_token_timeout) if limit is not None]
    return min([PROBE_TIMEOUT, *[limit / 2 for limit in limits]])

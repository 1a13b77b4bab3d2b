"""The service behind the SDK: requests become calls, and what it lists becomes models."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

import anyio
import httpx
import together

from motet._context import AsyncClosing, Closing
from motet.backend import Health, LaneChoice, Model, ModelList, Reply, Request
from motet.errors import ApiError, AuthenticationError, ConfigError, MotetError, RenderError, RequestTimeoutError
from motet.harmony import render
from motet.message import Lane
from motet.metrics import Price
from motet.together import client as client_room
from motet.together.errors import bad_payload, from_exception, shown_cause
from motet.together.lanes import chat, raw
from motet.together.transport import deadline
from motet.together.transport.cancellation import gently
from motet.together.transport.io_drivers import AsyncStream, Stream
from motet.together.transport.request_machine import Call, Exchange

__all__ = ["Backend"]

_KNOWN_SERVERS = ("vllm", "sglang", "llamacpp")


class Backend(Closing, AsyncClosing):
    """A service that speaks the API of Together: Together itself, or vLLM, SGLang and llama.cpp with `base_url`.

    - `api_key`: a key, or a function that fetches it when it is first needed; by default `TOGETHER_API_KEY`. A server
      on this machine needs none.
    - `base_url`: by default `TOGETHER_BASE_URL`, else Together's own. With or without `/v1`.
    - `client`, `async_client`: clients of the SDK to use, instead of building them. If one is given, the other is built
      for the same service and key when it is needed.
    - `headers`: further headers of each request.
    - `lane`: how the model's words travel. `"chat"`: the service parses them. `"ids"`, `"text"`: motet renders the
      prompt and parses what comes. `"auto"`: `ids` on servers that say they are vLLM or SGLang, `text` on llama.cpp,
      and `chat` elsewhere and for models that do not speak harmony; the reply says what was picked, and why.
    - `max_retries`: attempts after the first, before the answer begins; by default the client's, which is 2.
    - `transport`, `async_transport`: httpx transports for the clients that are built. A cassette is both.
    - `cache_ttl`: seconds for which a list of models is kept.

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
    ) -> None:
        if lane not in ("auto", "chat", "text", "ids"):
            raise ConfigError(f"lane must be 'auto', 'chat', 'text' or 'ids', not {lane!r}")
        for name, one, kind in (
            ("client", client, together.Together),
            ("async_client", async_client, together.AsyncTogether),
        ):
            if one is not None and not isinstance(one, kind):
                raise TypeError(f"{name} must be a together.{kind.__name__}, not {type(one).__name__}")
        given = client or async_client
        if given is not None and api_key is None and base_url is None:
            # The client that was not given asks the same service with the same key.
            api_key, base_url = given.api_key, client_room.address_of(given)
        if async_transport is None and isinstance(transport, httpx.AsyncBaseTransport):
            # A cassette is both, and is not to be passed by.
            async_transport = transport
        self._api_key = api_key
        self._base_url = base_url
        self._headers = dict(headers) if headers else None
        self._transport = transport
        self._async_transport = async_transport
        self._given = (client is not None, async_client is not None)
        self._client = client
        self._async_client = async_client
        self._max_retries = max_retries
        self._cache_ttl = cache_ttl
        self._models: tuple[ModelList, float] | None = None
        self._server: str | None = None
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._async_probing = anyio.Lock()
        if client is not None:
            deadline.keep(client._client)
        self.lane: LaneChoice = lane

    def __repr__(self) -> str:
        return f"Backend(base_url={self._base_url!r}, lane={self.lane!r})"

    # The SDK's clients are made when they are first needed: a list of atoms needs no key.

    @property
    def client(self) -> together.Together:
        """The SDK's client. Raises `MissingKeyError` if one is to be built and there is no key."""
        with self._lock:
            if self._client is None:
                self._client = client_room.build(self._api_key, self._base_url, self._transport, self._headers)
            return self._client

    @property
    def async_client(self) -> together.AsyncTogether:
        """The SDK's client that is awaited."""
        with self._lock:
            if self._async_client is None:
                self._async_client = client_room.build_async(
                    self._api_key, self._base_url, self._async_transport, self._headers
                )
            return self._async_client

    def close(self) -> None:
        """Closes the connections, unless the client was given."""
        if self._client is not None and not self._given[0]:
            self._client.close()
            self._client = None

    async def aclose(self) -> None:
        """`close`, for both clients."""
        self.close()
        if self._async_client is not None and not self._given[1]:
            await self._async_client.close()
            self._async_client = None

    def __del__(self) -> None:
        # A client of the SDK's own making closes itself, too, when nobody holds it any more.
        try:
            self.close()
        except Exception:
            # At the end of the process half of what this needs is gone.
            return

    # Asking.

    def execute(self, request: Request) -> Reply:
        """The whole reply. Raises what is in the trees of `ApiError` and `StreamError`, with what arrived."""
        with Stream(self._unretried(self.client), lambda: self._exchange(request, stream=False)) as stream:
            for _ in stream:
                pass
            return stream.reply

    def stream(self, request: Request) -> Stream:
        """The events while they arrive; the request is sent when the first is asked for."""
        return Stream(self._unretried(self.client), lambda: self._exchange(request, stream=True))

    async def aexecute(self, request: Request) -> Reply:
        """`execute`, awaited."""
        async with AsyncStream(
            self._unretried(self.async_client), lambda: self._aexchange(request, stream=False)
        ) as stream:
            async for _ in stream:
                pass
            return stream.reply

    def astream(self, request: Request) -> AsyncStream:
        """`stream`, awaited."""
        return AsyncStream(self._unretried(self.async_client), lambda: self._aexchange(request, stream=True))

    def _unretried(self, client: Any) -> Any:
        """The client without retries of its own: it ignores what a service asks to wait for beyond a minute, knows no
        deadline, and tells nobody what it tried."""
        return client.with_options(max_retries=0)

    def _exchange(self, request: Request, *, stream: bool) -> Exchange:
        sdk, began, left = self.client, time.monotonic(), _probe_time(request)
        if self._must_probe(request) and self._probing.acquire(timeout=left):
            try:
                if self._must_probe(request):
                    self._server = _server_in(self._get(sdk, left))
            except (ApiError, ConfigError) as error:
                self._note_unprobed(error)
            finally:
                self._probing.release()
        return Exchange(self._call(request, sdk, stream=stream), began=began)

    async def _aexchange(self, request: Request, *, stream: bool) -> Exchange:
        sdk, began, left = self.async_client, time.monotonic(), _probe_time(request)
        if self._must_probe(request):
            with anyio.move_on_after(left):
                async with self._async_probing:
                    try:
                        if self._must_probe(request):
                            self._server = _server_in(await self._aget(sdk, left))
                    except (ApiError, ConfigError) as error:
                        self._note_unprobed(error)
        return Exchange(self._call(request, sdk, stream=stream), began=began)

    def _note_unprobed(self, error: MotetError) -> None:
        # A server that is starting up, or has too much to do, will say later what it is.
        if not error.retryable:
            self._server = "unknown"

    def _must_probe(self, request: Request) -> bool:
        """Whether the server has to be asked what it is: only then does the lane depend on it."""
        if self._server is None:
            sdk = self._client or self._async_client
            self._server = client_room.server_of(
                str(sdk.base_url) if sdk else client_room.address(self._base_url) or ""
            )
        chosen = request.tool_choice not in (None, "auto")
        return self._server is None and request.harmony and not chosen and (request.lane or self.lane) != "chat"

    def _call(self, request: Request, sdk: Any, *, stream: bool) -> Call:
        lane, why = self._pick(request)
        notes: list[str] = []
        extra = dict(request.extra)
        in_prompt = False
        reader: chat.ChatLane | raw.RawLane
        if lane == "chat":
            arguments, in_prompt = chat.body(request)
            if request.builtin_tools:
                raise ConfigError("the chat lane has no place for builtin_tools; use lane='ids' or 'text'")
            reader = chat.ChatLane()
            counted = self.count_prompt(request)
            if request.harmony and _quotes_markers(request):
                notes.append("the conversation quotes control tokens, and the service may take them for structure")
            if stream:
                # Without it the service sends no usage, and the bill would be unknown.
                extra.setdefault("stream_options", {"include_usage": True})
        else:
            rendered = raw.prompt(request)
            arguments = raw.body(request, rendered, lane, self._server or "unknown")
            extra = {**arguments.pop("extra_body", {}), **extra}
            if stream:
                extra.setdefault("stream_options", {"include_usage": True})
            reader = raw.RawLane(lane, request.tools or None)
            counted = len(rendered)
            in_prompt = request.schema is not None
        if extra:
            arguments["extra_body"] = extra
        return Call(
            endpoint="chat" if lane == "chat" else "completions",
            arguments=arguments,
            stream=stream,
            reader=reader,
            key=sdk.api_key,
            lane_reason=why,
            retries=sdk.max_retries if self._max_retries is None else self._max_retries,
            timeout=request.timeout,
            first_token_timeout=request.first_token_timeout,
            prompt_tokens=counted,
            response_format=None if request.schema is None else "prompt" if in_prompt else "service",
            notes=tuple(notes),
        )

    def _pick(self, request: Request) -> tuple[Lane, str]:
        """The lane of a request, and why."""
        wanted = request.lane or self.lane
        if wanted != "auto":
            if wanted != "chat" and not request.harmony:
                raise ConfigError(f"{request.model} does not speak harmony: only lane='chat' can ask it")
            if wanted != "chat" and request.tool_choice not in (None, "auto"):
                raise ConfigError(
                    f"the {wanted} lane has no place for tool_choice={request.tool_choice!r}; use lane='chat', where "
                    "the service holds the model to it"
                )
            return wanted, "it was asked for"
        if not request.harmony:
            return "chat", "the model does not speak harmony"
        if request.tool_choice not in (None, "auto"):
            return "chat", "tool_choice is for the service to hold the model to"
        match self._server:
            case "together":
                return "chat", "Together does not document control tokens on its completions endpoint"
            case "vllm" | "sglang":
                return "ids", f"the server says that it is {self._server}, which gives token ids"
            case "llamacpp":
                return "text", "the server says that it is llama.cpp, which gives text with markers"
        return "chat", "the server does not say what it is"

    def count_prompt(self, request: Request) -> int | None:
        """The tokens of the prompt that a request makes. `None`: they cannot be counted.

        Exact for models that speak harmony: what motet renders itself, or what the model's published chat template
        makes of a chat request. `None` for others, and where a server was not asked yet which lane it takes, unless all
        lanes have the same count.
        """
        if not request.harmony:
            return None
        if (request.lane or self.lane) == "auto" and self._must_probe(request):
            counts = _counts(request)
            return counts[0] if len(counts) == 2 and counts[0] == counts[1] else None
        try:
            if self._pick(request)[0] != "chat":
                return len(raw.prompt(request))
            return len(_as_the_service_renders(request))
        except RenderError:
            return None

    def guess_prompt(self, request: Request) -> int | None:
        """About how many tokens the prompt has, where `count_prompt` cannot say: as many as in the lane that has most.
        `None`: the model does not speak harmony, or the conversation cannot be rendered."""
        return max(_counts(request), default=None) if request.harmony else None

    # What the service has.

    def list_models(self, *, refresh: bool = False) -> ModelList:
        """The models of the service, from a list that is kept for `cache_ttl` seconds.

        `refresh=True` asks the service anyway. If it cannot be asked, the last list is given, marked `stale`; if there
        is none, the error is raised.
        """
        if (kept := self._kept(refresh)) is not None:
            return kept
        try:
            return self._keep(_models_in(self._get(self.client), self.client.api_key))
        except ApiError as error:
            return self._stale(error)

    async def alist_models(self, *, refresh: bool = False) -> ModelList:
        """`list_models`, awaited."""
        if (kept := self._kept(refresh)) is not None:
            return kept
        try:
            return self._keep(_models_in(await self._aget(self.async_client), self.async_client.api_key))
        except ApiError as error:
            return self._stale(error)

    def _kept(self, refresh: bool) -> ModelList | None:
        if refresh or self._models is None or time.monotonic() - self._models[1] > self._cache_ttl:
            return None
        found = self._models[0]
        return ModelList(found.models, "cache", found.fetched_at)

    def _keep(self, models: tuple[Model, ...]) -> ModelList:
        found = ModelList(models, "service", datetime.datetime.now(datetime.UTC))
        self._models = (found, time.monotonic())
        return found

    def _stale(self, error: ApiError) -> ModelList:
        if self._models is None:
            raise error
        found = self._models[0]
        return ModelList(found.models, "stale", found.fetched_at, error)

    def health(self, model: str | None = None) -> Health:
        """Whether the service answers, knows the key, and has a model."""
        began = time.monotonic()
        try:
            answer: httpx.Response | Exception = self._get(self.client, _HEALTH_TIMEOUT)
        except MotetError as error:
            answer = error
        return _health(answer, time.monotonic() - began, model)

    async def ahealth(self, model: str | None = None) -> Health:
        """`health`, awaited."""
        began = time.monotonic()
        try:
            answer: httpx.Response | Exception = await self._aget(self.async_client, _HEALTH_TIMEOUT)
        except MotetError as error:
            answer = error
        return _health(answer, time.monotonic() - began, model)

    def _get(self, sdk: together.Together, timeout: float | None = None) -> httpx.Response:
        try:
            with deadline.until(None if timeout is None else time.monotonic() + timeout):
                return sdk.get("/v1/models", cast_to=httpx.Response, options=self._options(timeout))
        except Exception as error:
            found = from_exception(error, sdk.api_key)
            raise found from shown_cause(found, error, sdk.api_key)

    async def _aget(self, sdk: together.AsyncTogether, timeout: float | None = None) -> httpx.Response:
        try:
            with anyio.fail_after(timeout):
                return await gently(
                    lambda: sdk.get("/v1/models", cast_to=httpx.Response, options=self._options(timeout))
                )
        except TimeoutError as error:
            raise RequestTimeoutError(f"the service did not say within {timeout:g} s what it has") from error
        except Exception as error:
            found = from_exception(error, sdk.api_key)
            raise found from shown_cause(found, error, sdk.api_key)

    def _options(self, timeout: float | None) -> Any:
        """The SDK's options: who wants to know soon waits for no second attempt."""
        if timeout is not None:
            return {"timeout": timeout, "max_retries": 0}
        return {} if self._max_retries is None else {"max_retries": self._max_retries}


_PROBE_TIMEOUT = 5.0
_HEALTH_TIMEOUT = 5.0
"""Seconds."""


def _probe_time(request: Request) -> float:
    """Seconds for the question what a server is: of the time that the answer may take, half at most."""
    limits = [limit for limit in (request.timeout, request.first_token_timeout) if limit is not None]
    return min([_PROBE_TIMEOUT, *[limit / 2 for limit in limits]])


def _quotes_markers(request: Request) -> bool:
    """Whether what somebody said in a conversation spells control tokens."""
    return any("<|" in text for message in request.messages for text in _texts(message.to_dict()))


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _as_the_service_renders(request: Request) -> Any:
    """The prompt that the model's chat template makes of a chat request."""
    return render(
        chat.template_messages(request),
        tools=request.tools,
        reasoning_effort=request.reasoning_effort or "medium",
        current_date=request.current_date,
        dialect="chat_template",
    )


def _counts(request: Request) -> list[int]:
    """The tokens of the prompt in the raw lanes and in the chat lane, as far as they can be rendered."""
    counts = []
    for rendered in (raw.prompt, _as_the_service_renders):
        with contextlib.suppress(RenderError):
            counts.append(len(rendered(request)))
    return counts


def _rows(answer: httpx.Response, key: str) -> list[Mapping[str, Any]]:
    """The entries of a list of models: a bare list on Together, under `data` elsewhere."""
    try:
        shape = answer.json()
    except ValueError:
        raise bad_payload("the list of models is not JSON", answer.content, key, status=answer.status_code) from None
    rows = shape.get("data") if isinstance(shape, Mapping) else shape
    if not isinstance(rows, list):
        raise bad_payload("the list of models is no list", shape, key, status=answer.status_code)
    return [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), str)]


def _models_in(answer: httpx.Response, key: str) -> tuple[Model, ...]:
    return tuple([_model(row) for row in _rows(answer, key)])


def _model(row: Mapping[str, Any]) -> Model:
    pricing = row.get("pricing")
    pricing = pricing if isinstance(pricing, Mapping) else {}
    price = Price(
        _money(pricing.get("input")),
        _money(pricing.get("output")),
        _money(pricing.get("cached_input", pricing.get("cachedInput"))),
    )
    if not price.input and not price.output and not row["id"].endswith("-Free"):
        # The service writes zero where it sells a model by the hour only.
        price = Price()
    context = row.get("context_length", row.get("max_model_len"))
    owner = row.get("owned_by", row.get("organization"))
    return Model(
        row["id"],
        price,
        context if isinstance(context, int) and not isinstance(context, bool) and context > 0 else None,
        owner if isinstance(owner, str) else None,
    )


def _money(value: object) -> Decimal | None:
    """A price, from a number of JSON: as it was written, not as a float stores it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        money = Decimal(str(value))
    except InvalidOperation:
        return None
    return money if money.is_finite() and money >= 0 else None


def _server_in(answer: httpx.Response) -> str:
    """What a server says it is, in who owns its models."""
    try:
        owners = {str(row.get("owned_by", "")).lower() for row in _rows(answer, "")}
    except ApiError:
        return "unknown"
    return next((name for name in _KNOWN_SERVERS if name in owners), "unknown")


def _health(answer: httpx.Response | Exception, latency: float, model: str | None) -> Health:
    if isinstance(answer, Exception):
        status = cast("int | None", getattr(answer, "status", None))
        known: Literal[False] | None = False if isinstance(answer, AuthenticationError) else None
        return Health(False, status, latency, known, None, answer)
    try:
        rows = _rows(answer, "")
    except ApiError as error:
        return Health(False, answer.status_code, latency, None, None, error)
    serves = None if model is None else any(row["id"] == model for row in rows)
    return Health(serves is not False, answer.status_code, latency, True, serves)

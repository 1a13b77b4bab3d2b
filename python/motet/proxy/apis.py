"""The three APIs: readers of their requests, writers of their replies, and their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from motet.dialects.anthropic_replies import AnthropicWriter, anthropic_error
from motet.dialects.anthropic_requests import read_anthropic_request
from motet.dialects.api_request import ApiRequest
from motet.dialects.chat_replies import ChatWriter, chat_error
from motet.dialects.chat_requests import read_chat_request
from motet.dialects.replies import ApiFailure, ReplyWriter, Shape
from motet.dialects.responses_replies import ResponsesWriter
from motet.dialects.responses_requests import input_items, read_responses_request
from motet.message import Message
from motet.proxy.clients import Client
from motet.proxy.exchange import Exchange, Services
from motet.proxy.failures import RequestError
from motet.proxy.item_references import resolve_references
from motet.proxy.state import StoredResponse

__all__ = ["AnthropicApi", "ChatApi", "ResponsesApi"]


class ChatApi:
    """OpenAI's Chat Completions."""

    name = "chat"
    heartbeat = b": waiting\n\n"

    async def read(self, body: Any, services: Services, client: Client) -> ApiRequest:
        """The request of a body. Raises `FieldError`."""
        return read_chat_request(body)

    def writer(self, exchange: Exchange) -> ReplyWriter:
        """The writer of the exchange's reply."""
        options = exchange.request.settings.get("stream_options", {})
        return ChatWriter(
            f"chatcmpl-{exchange.id}",
            exchange.created,
            exchange.request.model,
            include_usage=options.get("include_usage", False),
            reasoning_key=exchange.services.settings.reasoning_key,
        )

    def error(self, failure: ApiFailure, request_id: str) -> Shape:
        """The body of an error."""
        return chat_error(failure)

    async def keep(self, exchange: Exchange, writer: ReplyWriter, message: Message) -> None:
        """Nothing: clients send the whole conversation again."""


class ResponsesApi:
    """OpenAI's Responses. One for each request."""

    name = "responses"
    heartbeat = b": waiting\n\n"

    def __init__(self) -> None:
        self._new_messages: Sequence[Message] = ()
        """The messages of the request's input."""

    async def read(self, body: Any, services: Services, client: Client) -> ApiRequest:
        """The request of a body, with the conversation of `previous_response_id`. Raises `FieldError` and
        `RequestError`."""
        if isinstance(body, Mapping) and "input" in body:
            body = {**body, "input": await resolve_references(body["input"], services.state, client.name)}
        previous_id = body.get("previous_response_id") if isinstance(body, Mapping) else None
        previous: list[Message] = []
        if isinstance(previous_id, str):
            responses = await services.state.get_conversation(client.name, previous_id)
            if not responses:
                message = f"the response {previous_id!r:.80} or one before it is not stored"
                raise RequestError(400, message, "previous_response_id", "previous_response_not_found")
            shapes = [shape for response in responses for shape in response.messages]
            previous = [Message.from_dict(shape, wire=True) for shape in shapes]
        request = read_responses_request(body, tuple(previous))
        begin = len(previous) + bool(request.settings.get("instructions"))
        self._new_messages = request.messages[begin:]
        return request

    def writer(self, exchange: Exchange) -> ReplyWriter:
        """The writer of the exchange's reply."""
        id, request = f"resp_{exchange.id}", exchange.request
        return ResponsesWriter(id, exchange.created, request.model, request.settings)

    def error(self, failure: ApiFailure, request_id: str) -> Shape:
        """The body of an error."""
        return chat_error(failure)

    async def keep(self, exchange: Exchange, writer: ReplyWriter, message: Message) -> None:
        """Stores the response, unless the client asks not to."""
        settings = exchange.request.settings
        if not settings.get("store", True):
            return
        response = writer.whole
        stored = StoredResponse(
            id=response["id"],
            client=exchange.client.name,
            previous_id=settings.get("previous_response_id"),
            created=exchange.created,
            response=response,
            input=_items_with_ids(settings["input"], exchange.id),
            messages=[item.to_dict(wire=True) for item in (*self._new_messages, message)],
        )
        await exchange.services.state.put_response(stored)


def _items_with_ids(value: Any, suffix: str) -> list[Any]:
    """The items of an input as the API lists them: messages with a list of parts, and each with an id."""
    items: list[Any] = []
    for index, item in enumerate(input_items(value)):
        shape = dict(item) if isinstance(item, Mapping) else item
        if isinstance(shape, dict):
            shape.setdefault("type", "message")
            shape.setdefault("id", f"{'msg' if shape['type'] == 'message' else 'item'}_{suffix}_in_{index}")
            if isinstance(shape.get("content"), str):
                kind = "output_text" if shape.get("role") == "assistant" else "input_text"
                shape["content"] = [{"type": kind, "text": shape["content"]}]
        items.append(shape)
    return items


class AnthropicApi:
    """Anthropic's Messages."""

    name = "anthropic"
    heartbeat = b'event: ping\ndata: {"type":"ping"}\n\n'

    async def read(self, body: Any, services: Services, client: Client) -> ApiRequest:
        """The request of a body. Raises `FieldError`."""
        return read_anthropic_request(body)

    def writer(self, exchange: Exchange) -> ReplyWriter:
        """The writer of the exchange's reply."""
        settings = exchange.request.settings
        thinking = settings.get("thinking", {})
        eager = [tool["name"] for tool in settings.get("tools", ()) if tool.get("eager_input_streaming")]
        return AnthropicWriter(
            f"msg_{exchange.id}",
            exchange.request.model,
            prompt_tokens=exchange.prompt_tokens,
            thinking=thinking.get("type") in ("enabled", "adaptive"),
            omits_thinking=thinking.get("display") == "omitted",
            eager_tools=frozenset(eager),
        )

    def error(self, failure: ApiFailure, request_id: str) -> Shape:
        """The body of an error."""
        return anthropic_error(failure, request_id)

    async def keep(self, exchange: Exchange, writer: ReplyWriter, message: Message) -> None:
        """Nothing: clients send the whole conversation again."""

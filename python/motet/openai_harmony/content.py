"""Messages and what they are made of: mutable pydantic models with openai-harmony's fields and methods.

The other modules import this one on first use: importing pydantic takes longer than all else at start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Self

from pydantic import BaseModel, Field

from motet import _core
from motet.openai_harmony.role import Role

__all__ = [
    "Author",
    "ChannelConfig",
    "Content",
    "Conversation",
    "DeveloperContent",
    "Message",
    "ReasoningEffort",
    "RenderConversationConfig",
    "RenderOptions",
    "SystemContent",
    "TextContent",
    "ToolDescription",
    "ToolNamespaceConfig",
]


class ReasoningEffort(str, Enum):  # noqa: UP042  # `str()` of a member is `ReasoningEffort.LOW`, as there.
    """How much the model reasons."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class Author(BaseModel):
    """A role, and the name of a tool or user."""

    role: Role
    name: str | None = None

    @classmethod
    def new(cls, role: Role, name: str) -> Self:
        """An author with a name."""
        return cls(role=role, name=name)


class Content(BaseModel):
    """The base of all contents."""

    def to_dict(self) -> dict[str, Any]:
        """The content as JSON, with its `type`."""
        raise NotImplementedError


class TextContent(Content):
    """Text."""

    text: str

    def to_dict(self) -> dict[str, Any]:
        """`{"type": "text", "text": ...}`."""
        return {"type": "text", "text": self.text}


class ToolDescription(BaseModel):
    """A function. `parameters`: the JSON Schema of its arguments; `None` if it takes none."""

    name: str
    description: str
    parameters: dict[Any, Any] | None = None

    @classmethod
    def new(cls, name: str, description: str, parameters: dict[Any, Any] | None = None) -> Self:
        """A function, by position."""
        return cls(name=name, description=description, parameters=parameters)


class ChannelConfig(BaseModel):
    """The channels that a system message names."""

    valid_channels: list[str]
    channel_required: bool

    @classmethod
    def require_channels(cls, channels: list[str]) -> Self:
        """These channels, one of which each message needs."""
        return cls(valid_channels=channels, channel_required=True)


class ToolNamespaceConfig(BaseModel):
    """Tools under one name."""

    name: str
    description: str | None = None
    tools: list[ToolDescription]

    @staticmethod
    def browser() -> ToolNamespaceConfig:
        """The tool that gpt-oss was trained to browse with."""
        return ToolNamespaceConfig.model_validate_json(_core._HarmonyEncoding.browser_tool())

    @staticmethod
    def python() -> ToolNamespaceConfig:
        """The tool that gpt-oss was trained to run Python with."""
        return ToolNamespaceConfig.model_validate_json(_core._HarmonyEncoding.python_tool())


class SystemContent(Content):
    """The fields of a system message. What is `None` leaves its line out."""

    model_identity: str | None = "You are ChatGPT, a large language model trained by OpenAI."
    reasoning_effort: ReasoningEffort | None = ReasoningEffort.MEDIUM
    conversation_start_date: str | None = None
    knowledge_cutoff: str | None = "2024-06"
    channel_config: ChannelConfig | None = Field(
        default_factory=lambda: ChannelConfig.require_channels(["analysis", "commentary", "final"])
    )
    tools: dict[str, ToolNamespaceConfig] | None = None

    @classmethod
    def new(cls) -> Self:
        """The defaults."""
        return cls()

    def with_model_identity(self, model_identity: str) -> Self:
        """Sets the first line, and returns the content itself, as all methods `with_...` do."""
        self.model_identity = model_identity
        return self

    def with_reasoning_effort(self, reasoning_effort: ReasoningEffort) -> Self:
        """Sets how much the model reasons."""
        self.reasoning_effort = reasoning_effort
        return self

    def with_conversation_start_date(self, conversation_start_date: str) -> Self:
        """Sets the current date, as `2025-06-28`."""
        self.conversation_start_date = conversation_start_date
        return self

    def with_knowledge_cutoff(self, knowledge_cutoff: str) -> Self:
        """Sets the end of the training data, as `2024-06`."""
        self.knowledge_cutoff = knowledge_cutoff
        return self

    def with_channel_config(self, channel_config: ChannelConfig) -> Self:
        """Sets the channels."""
        self.channel_config = channel_config
        return self

    def with_required_channels(self, channels: list[str]) -> Self:
        """Sets the channels, one of which each message needs."""
        return self.with_channel_config(ChannelConfig.require_channels(channels))

    def with_tools(self, ns_config: ToolNamespaceConfig) -> Self:
        """Adds a namespace, in place of one with the same name."""
        self.tools = _with_namespace(self.tools, ns_config)
        return self

    def with_browser_tool(self) -> Self:
        """Adds `ToolNamespaceConfig.browser()`."""
        return self.with_tools(ToolNamespaceConfig.browser())

    def with_python_tool(self) -> Self:
        """Adds `ToolNamespaceConfig.python()`."""
        return self.with_tools(ToolNamespaceConfig.python())

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not `None`, and the `type` `"system_content"`."""
        return {**self.model_dump(exclude_none=True), "type": "system_content"}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**raw)


class DeveloperContent(Content):
    """The fields of a developer message."""

    instructions: str | None = None
    tools: dict[str, ToolNamespaceConfig] | None = None

    @classmethod
    def new(cls) -> Self:
        """A content without fields."""
        return cls()

    def with_instructions(self, instructions: str) -> Self:
        """Sets the instructions, and returns the content itself, as all methods `with_...` do."""
        self.instructions = instructions
        return self

    def with_tools(self, ns_config: ToolNamespaceConfig) -> Self:
        """Adds a namespace, in place of one with the same name."""
        self.tools = _with_namespace(self.tools, ns_config)
        return self

    def with_function_tools(self, tools: Sequence[ToolDescription]) -> Self:
        """Adds functions of the caller: the namespace `functions`."""
        return self.with_tools(ToolNamespaceConfig(name="functions", tools=list(tools)))

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not `None`, and the `type` `"developer_content"`."""
        return {**self.model_dump(exclude_none=True), "type": "developer_content"}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**raw)


def _with_namespace(
    tools: dict[str, ToolNamespaceConfig] | None, namespace: ToolNamespaceConfig
) -> dict[str, ToolNamespaceConfig]:
    tools = {} if tools is None else tools
    tools[namespace.name] = namespace
    return tools


class Message(BaseModel):
    """A message. Header values (channel, recipient, content type) may be any text."""

    author: Author
    content: list[Content] = Field(default_factory=list)
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None

    @classmethod
    def from_author_and_content(cls, author: Author, content: str | Content) -> Self:
        """A message with one content; a string is a text."""
        return cls(author=author, content=[_as_content(content)])

    @classmethod
    def from_role_and_content(cls, role: Role, content: str | Content) -> Self:
        """A message with one content, of an author without a name."""
        return cls.from_author_and_content(Author(role=role), content)

    @classmethod
    def from_role_and_contents(cls, role: Role, contents: Sequence[Content]) -> Self:
        """A message with several contents."""
        return cls(author=Author(role=role), content=list(contents))

    def adding_content(self, content: str | Content) -> Self:
        """Appends a content, and returns the message itself."""
        self.content.append(_as_content(content))
        return self

    def with_channel(self, channel: str) -> Self:
        """Sets the channel, and returns the message itself."""
        self.channel = channel
        return self

    def with_recipient(self, recipient: str) -> Self:
        """Sets the recipient, without `to=`, and returns the message itself."""
        self.recipient = recipient
        return self

    def with_content_type(self, content_type: str) -> Self:
        """Sets the content type, with its marker if it has one, and returns the message itself."""
        self.content_type = content_type
        return self

    def to_dict(self) -> dict[str, Any]:
        """The message as JSON: `role` and `name` beside `content`, header values that are `None` left out."""
        values = {"channel": self.channel, "recipient": self.recipient, "content_type": self.content_type}
        return {
            **self.author.model_dump(),
            "content": [content.to_dict() for content in self.content],
            **{name: value for name, value in values.items() if value is not None},
        }

    def to_json(self) -> str:
        """`to_dict` as a string."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. `content` may be a string.

        Raises `KeyError` without role or content, and `ValueError` for an unknown role or type of content.
        """
        author = Author(role=Role(data["role"]), name=data.get("name"))
        contents = data["content"]
        if isinstance(contents, str):
            contents = [{"type": "text", "text": contents}]
        return cls(
            author=author,
            content=[_read_content(content) for content in contents],
            channel=data.get("channel"),
            recipient=data.get("recipient"),
            content_type=data.get("content_type"),
        )


def _as_content(content: str | Content) -> Content:
    return TextContent(text=content) if isinstance(content, str) else content


_CONTENTS: dict[str, type[Content]] = {
    "text": TextContent,
    "system_content": SystemContent,
    "developer_content": DeveloperContent,
}


def _read_content(raw: dict[str, Any]) -> Content:
    content = _CONTENTS.get(raw.get("type", ""))
    if content is None:
        raise ValueError(f"Unknown content variant: {raw}")
    return content(**raw)


class Conversation(BaseModel):
    """Messages in order. Iterates over the messages."""

    messages: list[Message] = Field(default_factory=list)

    @classmethod
    def from_messages(cls, messages: Sequence[Message]) -> Self:
        """A conversation of these messages."""
        return cls(messages=list(messages))

    def __iter__(self) -> Iterator[Message]:  # type: ignore[override]
        return iter(self.messages)

    def to_dict(self) -> dict[str, Any]:
        """`{"messages": [...]}`."""
        return {"messages": [message.to_dict() for message in self.messages]}

    def to_json(self) -> str:
        """`to_dict` as a string."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, payload: str) -> Self:
        """The inverse of `to_json`."""
        return cls(messages=[Message.from_dict(message) for message in json.loads(payload)["messages"]])


class RenderConversationConfig(BaseModel):
    """How a conversation is rendered.

    `auto_drop_analysis`: if the assistant's last message is final, the reasoning before the first final message is
    left out.
    """

    auto_drop_analysis: bool = True


class RenderOptions(BaseModel):
    """How one message is rendered.

    `conversation_has_function_tools`: a system message says on which channel functions are called.
    """

    conversation_has_function_tools: bool = False

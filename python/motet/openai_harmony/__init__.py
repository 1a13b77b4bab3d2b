"""openai-harmony's interface over motet's core: `import motet.openai_harmony as openai_harmony`.

The names, signatures, models, ids, states and errors of openai-harmony 0.0.8, without its download. Requires pydantic:
`pip install "motet[openai-harmony]"`. docs/guides/migrating-from-openai-harmony.md lists the differences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from motet import _lazy
from motet.openai_harmony.encoding import HarmonyEncoding, HarmonyEncodingName, load_harmony_encoding
from motet.openai_harmony.encoding import raise_disallowed_special_token as raise_disallowed_special_token
from motet.openai_harmony.error import HarmonyError
from motet.openai_harmony.parser import StreamableParser, StreamState
from motet.openai_harmony.role import Role

if TYPE_CHECKING:
    from motet.openai_harmony.content import (
        Author,
        Content,
        Conversation,
        DeveloperContent,
        Message,
        SystemContent,
        TextContent,
        ToolDescription,
    )
    from motet.openai_harmony.content import ChannelConfig as ChannelConfig
    from motet.openai_harmony.content import ReasoningEffort as ReasoningEffort
    from motet.openai_harmony.content import RenderConversationConfig as RenderConversationConfig
    from motet.openai_harmony.content import RenderOptions as RenderOptions
    from motet.openai_harmony.content import ToolNamespaceConfig as ToolNamespaceConfig

__all__ = [
    "Author",
    "Content",
    "Conversation",
    "DeveloperContent",
    "HarmonyEncoding",
    "HarmonyEncodingName",
    "HarmonyError",
    "Message",
    "Role",
    "StreamState",
    "StreamableParser",
    "SystemContent",
    "TextContent",
    "ToolDescription",
    "load_harmony_encoding",
]

_MODELS = dict.fromkeys(
    [
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
    ],
    "content",
)


def __getattr__(name: str) -> object:
    return _lazy.load(globals(), name, _MODELS)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODELS})

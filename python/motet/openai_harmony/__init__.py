"""openai-harmony's interface over motet's core: `import motet.openai_harmony as openai_harmony`.

The names, signatures, models, ids, states and errors of openai-harmony 0.0.8, without its download. Requires pydantic:
`pip install "motet[openai-harmony]"`. docs/guides/migrating-from-openai-harmony.md lists the differences.
"""

from __future__ import annotations

from motet.openai_harmony.content import (
    Author,
    Content,
    Conversation,
    DeveloperContent,
    Message,
    Role,
    SystemContent,
    TextContent,
    ToolDescription,
)

# Names that openai-harmony has, but not in its `__all__`.
from motet.openai_harmony.content import ChannelConfig as ChannelConfig
from motet.openai_harmony.content import ReasoningEffort as ReasoningEffort
from motet.openai_harmony.content import RenderConversationConfig as RenderConversationConfig
from motet.openai_harmony.content import RenderOptions as RenderOptions
from motet.openai_harmony.content import ToolNamespaceConfig as ToolNamespaceConfig
from motet.openai_harmony.encoding import HarmonyEncoding, HarmonyEncodingName, load_harmony_encoding
from motet.openai_harmony.encoding import raise_disallowed_special_token as raise_disallowed_special_token
from motet.openai_harmony.error import HarmonyError
from motet.openai_harmony.parser import StreamableParser, StreamState

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

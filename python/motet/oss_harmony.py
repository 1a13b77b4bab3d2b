"""oss-harmony's interface over motet's core: `import motet.oss_harmony as openai_harmony`.

oss-harmony 0.0.11, which vLLM requires, has the names and models of openai-harmony 0.0.8 under the same import name,
and renders and reads some headers otherwise. The classes here are those of `motet.openai_harmony`; only
`load_harmony_encoding` differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from motet import openai_harmony
from motet.openai_harmony import HarmonyEncoding, HarmonyEncodingName, HarmonyError, Role, StreamableParser, StreamState
from motet.openai_harmony import raise_disallowed_special_token as raise_disallowed_special_token
from motet.openai_harmony.encoding import Mode, check_name, make_encoding

if TYPE_CHECKING:
    from motet.openai_harmony import (
        Author,
        Content,
        Conversation,
        DeveloperContent,
        Message,
        SystemContent,
        TextContent,
        ToolDescription,
    )
    from motet.openai_harmony import ChannelConfig as ChannelConfig
    from motet.openai_harmony import ReasoningEffort as ReasoningEffort
    from motet.openai_harmony import RenderConversationConfig as RenderConversationConfig
    from motet.openai_harmony import RenderOptions as RenderOptions
    from motet.openai_harmony import ToolNamespaceConfig as ToolNamespaceConfig

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


def load_harmony_encoding(name: str | HarmonyEncodingName, *, mode: Mode = "exact") -> HarmonyEncoding:
    """The encoding of a name, with oss-harmony's headers.

    Arguments: see `motet.openai_harmony.load_harmony_encoding`.
    """
    check_name(name)
    return make_encoding("oss_harmony", mode)


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(openai_harmony, name)


def __dir__() -> list[str]:
    return dir(openai_harmony)

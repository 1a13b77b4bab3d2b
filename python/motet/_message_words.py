"""The words of message and frame fields, as types.

Apart from `motet.message`: `typing` takes as long to import as Python to start, and parsing needs no types.
"""

from typing import Literal, TypeAlias

__all__ = ["Channel", "Kind", "Lane", "RecipientPosition", "Role", "Stop"]

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
Channel: TypeAlias = Literal["analysis", "commentary", "final"]
Stop: TypeAlias = Literal["return", "call", "end"]
Lane: TypeAlias = Literal["ids", "text", "chat"]
RecipientPosition: TypeAlias = Literal["role", "channel"]
Kind: TypeAlias = Literal[
    "reasoning",
    "preamble",
    "text",
    "tool_call",
    "tool_result",
    "system_content",
    "developer_content",
    "stray",
]

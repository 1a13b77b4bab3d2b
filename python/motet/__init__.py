"""Harmony for gpt-oss: tokens, prompts and typed messages.

completion = motet.parse(raw)            # what a model wrote: .reasoning, .text, .tool_calls
parser = motet.StreamParser()            # the same while it arrives
prompt = motet.render(messages)          # what a model is to read: .ids, .extend(...)
ids = motet.encode(text)                 # the tokens themselves
"""

from motet._core import (
    SPECIAL_TOKENS,
    STOP_TOKENS,
    VOCAB_SIZE,
    Event,
    StreamEncoder,
    StreamParser,
    __version__,
    count,
    decode,
    decode_bytes,
    encode,
    encode_array,
    encode_batch,
    frames,
    parse,
    parse_conversation,
)
from motet.chat import to_chat, to_messages
from motet.errors import (
    HarmonyError,
    InvalidArgumentsError,
    MotetError,
    ParseError,
    RenderError,
    SpecialTokenError,
    ToolError,
)
from motet.harmony import Prompt, Rendered, Training, render, render_frames, render_training
from motet.message import (
    Completion,
    DeveloperContent,
    Frame,
    Message,
    Part,
    Preamble,
    Reasoning,
    Repair,
    SystemContent,
    Text,
    ToolCall,
    ToolResult,
)

__all__ = [
    "SPECIAL_TOKENS",
    "STOP_TOKENS",
    "VOCAB_SIZE",
    "Completion",
    "DeveloperContent",
    "Event",
    "Frame",
    "HarmonyError",
    "InvalidArgumentsError",
    "Message",
    "MotetError",
    "ParseError",
    "Part",
    "Preamble",
    "Prompt",
    "Reasoning",
    "RenderError",
    "Rendered",
    "Repair",
    "SpecialTokenError",
    "StreamEncoder",
    "StreamParser",
    "SystemContent",
    "Text",
    "ToolCall",
    "ToolError",
    "ToolResult",
    "Training",
    "__version__",
    "count",
    "decode",
    "decode_bytes",
    "encode",
    "encode_array",
    "encode_batch",
    "frames",
    "parse",
    "parse_conversation",
    "render",
    "render_frames",
    "render_training",
    "to_chat",
    "to_messages",
]

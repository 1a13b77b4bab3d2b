"""Tokenizes, renders and parses harmony, the format of gpt-oss, and asks gpt-oss models.

    completion = motet.parse(raw)                # .reasoning, .text, .tool_calls, .repairs
    parser = motet.StreamParser()                # .feed(chunk) returns events
    prompt = motet.render(messages)              # .ids, .text, .extend(...)
    ids = motet.encode(text)                     # equal to tiktoken's o200k_harmony
    atom = motet.atom("together/gpt-oss/120b")   # a model behind a slug
    answer = atom.ask("Why is the sky blue?")    # .output, .reasoning, .metrics
    run = atom.run("Is Paris warm?", tools=[weather])   # .text, .steps, .save(path)

Constants and types, which have no help of their own:

- `VOCAB_SIZE`: 201088; token ids run from 0 to 201087.
- `STOP_TOKENS`: `(200002, 200007, 200012)`, the ids of `return`, `end` and `call`.
- `SPECIAL_TOKENS`: the 1091 spellings of special tokens with their ids, a read-only mapping.
- `Part`: the union of the parts of a message: `Reasoning | Preamble | Text | ToolCall | ToolResult | SystemContent |
  DeveloperContent`.
- `__version__`: the version of motet, as `"0.1.0"`.
"""

from typing import TYPE_CHECKING

from motet._core import (
    SPECIAL_TOKENS,
    STOP_TOKENS,
    VOCAB_SIZE,
    Event,
    StreamDecoder,
    StreamEncoder,
    StreamParser,
    __version__,
    count,
    decode,
    decode_bytes,
    decode_with_offsets,
    encode,
    encode_array,
    encode_batch,
    encode_with_offsets,
    frames,
    parse,
    parse_batch,
    parse_conversation,
    truncate,
)
from motet._lazy import load
from motet.dialects.chat import to_chat, to_messages
from motet.errors import (
    AccessDeniedError,
    ApiError,
    AuthenticationError,
    BadPayloadError,
    ChangedFileError,
    ConfigError,
    ConnectionFailedError,
    ContextOverflowError,
    DataError,
    DiskFullError,
    DownloadError,
    EmptyOutputError,
    HarmonyError,
    InvalidArgumentsError,
    InvalidDatasetError,
    InvalidJsonError,
    InvalidRequestError,
    LimitError,
    MaxCostError,
    MaxStepsError,
    MaxTimeError,
    MaxTokensError,
    MissingKeyError,
    MotetError,
    NotFoundError,
    OutputError,
    OverloadedError,
    ParseError,
    QuotaError,
    RateLimitError,
    RenderError,
    RepeatedCallError,
    RequestTimeoutError,
    SchemaMismatchError,
    SecretsError,
    ServerError,
    SpecialTokenError,
    StreamError,
    StreamTruncatedError,
    ToolConstraintError,
    ToolError,
    ToolResultError,
    TruncatedOutputError,
    TuneError,
    UnfinishedCallError,
    UnknownAtomError,
    UnknownToolError,
    UnsafeArchiveError,
)
from motet.harmony import (
    Attribution,
    Prompt,
    Rendered,
    Training,
    TrainingSample,
    render,
    render_frames,
    render_training,
)
from motet.message import (
    Completion,
    DeveloperContent,
    Frame,
    Message,
    Note,
    Part,
    Preamble,
    Reasoning,
    Repair,
    SystemContent,
    Text,
    ToolCall,
    ToolResult,
)

if TYPE_CHECKING:
    from motet.asking.answer import Answer, Estimate
    from motet.asking.episode import Episode, Exchange
    from motet.asking.options import Options
    from motet.asking.request import RemovedAtomWarning
    from motet.asking.stream import AnswerStream, AsyncAnswerStream
    from motet.atoms.atom import Atom
    from motet.atoms.factory import Models, atom, gen_brain_atom, get_brain_atoms, models
    from motet.catalog import Spec
    from motet.catalog import register as register_atom
    from motet.harmony.grammar import grammar
    from motet.integrations.mcp import tools_from_mcp
    from motet.limits import Budget, budget
    from motet.loop.machine import RunOptions
    from motet.loop.run import Run, Step
    from motet.loop.runner import AsyncRunStream, RunStream
    from motet.metrics import Metrics, Price, Usage
    from motet.schema.tool import Tool, tool, tools_from
    from motet.tolerant_json import JsonReading, partial_json


# What asks models is imported when it is first named: parsing needs none of it, and starts at once.
_LATER = {
    "Answer": "asking.answer",
    "AnswerStream": "asking.stream",
    "AsyncAnswerStream": "asking.stream",
    "AsyncRunStream": "loop.runner",
    "Atom": "atoms.atom",
    "Budget": "limits",
    "Episode": "asking.episode",
    "Estimate": "asking.answer",
    "Exchange": "asking.episode",
    "JsonReading": "tolerant_json",
    "Metrics": "metrics",
    "Models": "atoms.factory",
    "Options": "asking.options",
    "Price": "metrics",
    "RemovedAtomWarning": "asking.request",
    "Run": "loop.run",
    "RunOptions": "loop.machine",
    "RunStream": "loop.runner",
    "Spec": "catalog",
    "Step": "loop.run",
    "Tool": "schema.tool",
    "Usage": "metrics",
    "atom": "atoms.factory",
    "budget": "limits",
    "gen_brain_atom": "atoms.factory",
    "get_brain_atoms": "atoms.factory",
    "grammar": "harmony.grammar",
    "models": "atoms.factory",
    "partial_json": "tolerant_json",
    "register_atom": "catalog:register",
    "tool": "schema.tool",
    "tools_from": "schema.tool",
    "tools_from_mcp": "integrations.mcp",
}


def __getattr__(name: str) -> object:
    return load(globals(), name, _LATER)


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "SPECIAL_TOKENS",
    "STOP_TOKENS",
    "VOCAB_SIZE",
    "AccessDeniedError",
    "Answer",
    "AnswerStream",
    "ApiError",
    "AsyncAnswerStream",
    "AsyncRunStream",
    "Atom",
    "Attribution",
    "AuthenticationError",
    "BadPayloadError",
    "Budget",
    "ChangedFileError",
    "Completion",
    "ConfigError",
    "ConnectionFailedError",
    "ContextOverflowError",
    "DataError",
    "DeveloperContent",
    "DiskFullError",
    "DownloadError",
    "EmptyOutputError",
    "Episode",
    "Estimate",
    "Event",
    "Exchange",
    "Frame",
    "HarmonyError",
    "InvalidArgumentsError",
    "InvalidDatasetError",
    "InvalidJsonError",
    "InvalidRequestError",
    "JsonReading",
    "LimitError",
    "MaxCostError",
    "MaxStepsError",
    "MaxTimeError",
    "MaxTokensError",
    "Message",
    "Metrics",
    "MissingKeyError",
    "Models",
    "MotetError",
    "NotFoundError",
    "Note",
    "Options",
    "OutputError",
    "OverloadedError",
    "ParseError",
    "Part",
    "Preamble",
    "Price",
    "Prompt",
    "QuotaError",
    "RateLimitError",
    "Reasoning",
    "RemovedAtomWarning",
    "RenderError",
    "Rendered",
    "Repair",
    "RepeatedCallError",
    "RequestTimeoutError",
    "Run",
    "RunOptions",
    "RunStream",
    "SchemaMismatchError",
    "SecretsError",
    "ServerError",
    "Spec",
    "SpecialTokenError",
    "Step",
    "StreamDecoder",
    "StreamEncoder",
    "StreamError",
    "StreamParser",
    "StreamTruncatedError",
    "SystemContent",
    "Text",
    "Tool",
    "ToolCall",
    "ToolConstraintError",
    "ToolError",
    "ToolResult",
    "ToolResultError",
    "Training",
    "TrainingSample",
    "TruncatedOutputError",
    "TuneError",
    "UnfinishedCallError",
    "UnknownAtomError",
    "UnknownToolError",
    "UnsafeArchiveError",
    "Usage",
    "__version__",
    "atom",
    "budget",
    "count",
    "decode",
    "decode_bytes",
    "decode_with_offsets",
    "encode",
    "encode_array",
    "encode_batch",
    "encode_with_offsets",
    "frames",
    "gen_brain_atom",
    "get_brain_atoms",
    "grammar",
    "models",
    "parse",
    "parse_batch",
    "parse_conversation",
    "partial_json",
    "register_atom",
    "render",
    "render_frames",
    "render_training",
    "to_chat",
    "to_messages",
    "tool",
    "tools_from",
    "tools_from_mcp",
    "truncate",
]

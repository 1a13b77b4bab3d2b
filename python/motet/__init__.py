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

# Not from `typing`: its import takes as long as Python's start.
TYPE_CHECKING = False
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
        PatchError,
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
    from motet.harmony.grammar import grammar
    from motet.integrations.mcp import tools_from_mcp
    from motet.ledgers.ledger import Ledger, LedgerWarning, label, ledger
    from motet.limits import Budget, budget
    from motet.loop.machine import RunOptions
    from motet.loop.replay import Replay, ReplayedCall, replay
    from motet.loop.run import Run, Step
    from motet.loop.runner import AsyncRunStream, RunStream
    from motet.loop.trajectory import Trajectory, trajectories
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
    from motet.metrics import Metrics, Price, Usage
    from motet.repository.apply import apply_patch
    from motet.repository.browser import RepoBrowser, patch_tool
    from motet.repository.command import PatchCommand, patch_in_command
    from motet.repository.directory import patch_directory
    from motet.safeguard import AsyncVerdictStream, Guard, Verdict, VerdictStream, guard
    from motet.schema.tool import Tool, tool, tools_from
    from motet.tolerant_json import JsonReading, partial_json
    from motet.view.difference import diff
    from motet.view.files import transcripts
    from motet.view.sources import transcript
    from motet.view.transcript import Transcript


_MODULES = {
    "asking.answer": "Answer Estimate",
    "asking.episode": "Episode Exchange",
    "asking.options": "Options",
    "asking.request": "RemovedAtomWarning",
    "asking.stream": "AnswerStream AsyncAnswerStream",
    "atoms.atom": "Atom",
    "atoms.factory": "atom gen_brain_atom get_brain_atoms Models models",
    "catalog": "Spec",
    "dialects.chat": "to_chat to_messages",
    "errors": """
        AccessDeniedError ApiError AuthenticationError BadPayloadError ChangedFileError ConfigError
        ConnectionFailedError ContextOverflowError DataError DiskFullError DownloadError EmptyOutputError HarmonyError
        InvalidArgumentsError InvalidDatasetError InvalidJsonError InvalidRequestError LimitError MaxCostError
        MaxStepsError MaxTimeError MaxTokensError MissingKeyError MotetError NotFoundError OutputError OverloadedError
        ParseError PatchError QuotaError RateLimitError RenderError RepeatedCallError RequestTimeoutError
        SchemaMismatchError SecretsError ServerError SpecialTokenError StreamError StreamTruncatedError
        ToolConstraintError ToolError ToolResultError TruncatedOutputError TuneError UnfinishedCallError
        UnknownAtomError UnknownToolError UnsafeArchiveError
    """,
    "harmony": "Attribution Prompt render render_frames render_training Rendered Training TrainingSample",
    "harmony.grammar": "grammar",
    "integrations.mcp": "tools_from_mcp",
    "ledgers.ledger": "Ledger LedgerWarning label ledger",
    "limits": "Budget budget",
    "loop.machine": "RunOptions",
    "loop.run": "Run Step",
    "loop.runner": "AsyncRunStream RunStream",
    "loop.replay": "Replay ReplayedCall replay",
    "loop.trajectory": "Trajectory trajectories",
    "message": """
        Completion DeveloperContent Frame Message Note Part Preamble Reasoning Repair SystemContent Text ToolCall
        ToolResult
    """,
    "metrics": "Metrics Price Usage",
    "repository.apply": "apply_patch",
    "repository.browser": "RepoBrowser patch_tool",
    "repository.command": "PatchCommand patch_in_command",
    "repository.directory": "patch_directory",
    "safeguard": "AsyncVerdictStream Guard Verdict VerdictStream guard",
    "schema.tool": "Tool tool tools_from",
    "tolerant_json": "JsonReading partial_json",
    "view.difference": "diff",
    "view.files": "transcripts",
    "view.sources": "transcript",
    "view.transcript": "Transcript",
}
"""The module of each name; it is imported when a name of it is first used. Tokenizing needs none of them."""
_LATER = {name: module for module, names in _MODULES.items() for name in names.split()}
_LATER["register_atom"] = "catalog:register"
_SUBMODULES = ("dialects", "errors", "harmony", "message")
"""Attributes of `motet` without an import of their own, as in 0.1.0."""


def __getattr__(name: str) -> object:
    return load(globals(), name, _LATER, _SUBMODULES)


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
    "AsyncVerdictStream",
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
    "Guard",
    "HarmonyError",
    "InvalidArgumentsError",
    "InvalidDatasetError",
    "InvalidJsonError",
    "InvalidRequestError",
    "JsonReading",
    "Ledger",
    "LedgerWarning",
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
    "PatchCommand",
    "PatchError",
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
    "Replay",
    "ReplayedCall",
    "RepoBrowser",
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
    "Trajectory",
    "Transcript",
    "TruncatedOutputError",
    "TuneError",
    "UnfinishedCallError",
    "UnknownAtomError",
    "UnknownToolError",
    "UnsafeArchiveError",
    "Usage",
    "Verdict",
    "VerdictStream",
    "__version__",
    "apply_patch",
    "atom",
    "budget",
    "count",
    "decode",
    "decode_bytes",
    "decode_with_offsets",
    "diff",
    "encode",
    "encode_array",
    "encode_batch",
    "encode_with_offsets",
    "frames",
    "gen_brain_atom",
    "get_brain_atoms",
    "grammar",
    "guard",
    "label",
    "ledger",
    "models",
    "parse",
    "parse_batch",
    "parse_conversation",
    "partial_json",
    "patch_directory",
    "patch_in_command",
    "patch_tool",
    "register_atom",
    "render",
    "render_frames",
    "render_training",
    "replay",
    "to_chat",
    "to_messages",
    "tool",
    "tools_from",
    "tools_from_mcp",
    "trajectories",
    "transcript",
    "transcripts",
    "truncate",
]

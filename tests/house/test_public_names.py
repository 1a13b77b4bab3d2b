"""Public names: those of version 0.1.0 are still there, and every name in `__all__` exists."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

# As of 0.1.0. Names are added freely; a name that goes needs a new major version, or an alias.
NAMES = {
    "motet": """
        AccessDeniedError Answer AnswerStream ApiError AsyncAnswerStream AsyncRunStream Atom AuthenticationError
        BadPayloadError Budget ChangedFileError Completion ConfigError ConnectionFailedError
        ContextOverflowError DataError DeveloperContent DiskFullError DownloadError EmptyOutputError Episode
        Estimate Event Exchange Frame HarmonyError InvalidArgumentsError InvalidDatasetError InvalidJsonError
        InvalidRequestError JsonReading LimitError MaxCostError MaxStepsError MaxTimeError MaxTokensError
        Message Metrics MissingKeyError Models MotetError NotFoundError Options OutputError OverloadedError
        ParseError Part Preamble Price Prompt QuotaError RateLimitError Reasoning RemovedAtomWarning RenderError
        Rendered Repair RepeatedCallError RequestTimeoutError Run RunOptions RunStream SPECIAL_TOKENS
        STOP_TOKENS SchemaMismatchError SecretsError ServerError Spec SpecialTokenError Step StreamEncoder
        StreamError StreamParser StreamTruncatedError SystemContent Text Tool ToolCall ToolConstraintError
        ToolError ToolResult ToolResultError Training TrainingSample TruncatedOutputError TuneError UnfinishedCallError
        UnknownAtomError UnknownToolError UnsafeArchiveError Usage VOCAB_SIZE __version__ atom budget count
        decode decode_bytes encode encode_array encode_batch frames gen_brain_atom get_brain_atoms grammar
        models parse parse_batch parse_conversation partial_json register_atom render render_frames
        render_training to_chat to_messages tool tools_from
    """,
    "motet.errors": """
        AccessDeniedError ApiError AuthenticationError BadPayloadError ChangedFileError ConfigError
        ConnectionFailedError ContextOverflowError DataError DiskFullError DownloadError EmptyOutputError
        HarmonyError InvalidArgumentsError InvalidDatasetError InvalidJsonError InvalidRequestError LimitError
        MaxCostError MaxStepsError MaxTimeError MaxTokensError MissingKeyError MotetError NotFoundError
        OutputError OverloadedError ParseError QuotaError RateLimitError RenderError RepeatedCallError
        RequestTimeoutError SchemaMismatchError SecretsError ServerError SpecialTokenError StreamError
        StreamTruncatedError ToolConstraintError ToolError ToolResultError TruncatedOutputError TuneError
        UnfinishedCallError UnknownAtomError UnknownToolError UnsafeArchiveError
    """,
    "motet.message": """
        Channel Completion DeveloperContent Frame Kind Lane Message Part Preamble Reasoning Repair Role Stop
        SystemContent Text ToolCall ToolResult
    """,
    "motet.metrics": """
        Cache Cash Chars Cost Metrics Price Size Time Tokens Usage measure to_money
    """,
    "motet.harmony": """
        Prompt Rendered Tools Training TrainingSample read_response_format render render_frames render_training
    """,
    "motet.backend": """
        AsyncReplyStream Attempt Backend Health LaneChoice Model ModelList Reply ReplyStream Request
    """,
    "motet.columns": "ArrowArray Column ask cost count decode encode parse render",
    "motet.openai_harmony": """
        Author Content Conversation DeveloperContent HarmonyEncoding HarmonyEncodingName HarmonyError Message Role
        StreamState StreamableParser SystemContent TextContent ToolDescription load_harmony_encoding
    """,
    "motet.oss_harmony": """
        Author Content Conversation DeveloperContent HarmonyEncoding HarmonyEncodingName HarmonyError Message Role
        StreamState StreamableParser SystemContent TextContent ToolDescription load_harmony_encoding
    """,
    "motet.limits": """
        Budget Limits active budget
    """,
    "motet.tolerant_json": """
        JsonReading partial_json repaired_json strict_json
    """,
    "motet.batch": """
        Batch BatchClient BatchJob BatchRequest BatchResult Part Results Summary build cancel collect read_requests
        read_results retry status submit watch
    """,
    "motet.together": "Backend",
    "motet.verify": "PROBES Probe Report Result Verdict run",
    "motet.trace": "Span disable enable",
    "motet.proxy": "ClientKey KeptTurn ProxySettings State StoredResponse Upstream app",
    "motet.testing": """
        BatchService BatchStage Cassette CassetteMissError FAULTS Fault Received ScriptedServer Stage Storage Training
        Turn batch_stages stages
    """,
    "motet.tune": """
        Built BuiltFile Clock Comparison Download Event Example Examples File Finding Job Limits Point
        PriceEstimate Report Row Settings Tally build cancel check check_settings compare curve download
        estimate follow job jobs limits read_examples start svg to_file upload watch
    """,
}


@pytest.mark.parametrize("module", NAMES)
def test_names_of_0_1_0_are_public(module: str) -> None:
    assert set(NAMES[module].split()) - set(importlib.import_module(module).__all__) == set()


@pytest.mark.parametrize("module", NAMES)
def test_every_public_name_exists(module: str) -> None:
    room = importlib.import_module(module)
    assert room.__doc__
    assert len(room.__all__) == len(set(room.__all__))
    for name in room.__all__:
        assert getattr(room, name) is not None
    assert set(room.__all__) <= set(dir(room))
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = room.nothing_of_the_kind


@pytest.mark.parametrize("name", ["motet", "motet.batch", "motet.columns", "motet.testing", "motet.tune"])
def test_type_checkers_know_the_late_names(name: str) -> None:
    """A name that only `__getattr__` gives is an `object` to type checkers."""
    module = importlib.import_module(name)
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    typed = {alias.asname or alias.name for node in imports for alias in node.names}
    late = set(getattr(module, "_LATER", getattr(module, "_ROOMS", ())))
    assert late
    assert late - typed == set()

"""Every exception that motet raises.

    MotetError                           .raw .partial .usage .cost .rejected .request_id .retryable
    ├── ConfigError                      nothing was sent: a setting is missing or unknown
    │   ├── MissingKeyError
    │   └── UnknownAtomError             .slug, .matches
    ├── DataError                        examples and training data: .path, .line, .findings
    │   ├── DiskFullError (OSError)
    │   └── SecretsError
    ├── HarmonyError                     the format
    │   ├── ParseError                   .position, .state, .expected, .found, .context
    │   ├── RenderError (ValueError)     .message_index
    │   └── SpecialTokenError            .token, .position
    ├── ApiError                         the request failed: .status, .attempts
    │   ├── InvalidRequestError          400, 413, 416, 422
    │   │   └── ContextOverflowError     .tokens, .limit
    │   ├── AuthenticationError          401
    │   ├── QuotaError                   402
    │   ├── AccessDeniedError            403
    │   ├── NotFoundError                404
    │   ├── RateLimitError               429: .retry_after
    │   ├── ServerError                  500 and above
    │   │   └── OverloadedError          503, 529: .retry_after
    │   ├── BadPayloadError              an unreadable response
    │   ├── ConnectionFailedError        no response
    │   └── RequestTimeoutError          no response in time
    ├── StreamError                      the response broke off
    │   └── StreamTruncatedError         .reason
    ├── OutputError                      the answer is not of the output type: .problems
    │   ├── InvalidJsonError
    │   ├── SchemaMismatchError
    │   ├── TruncatedOutputError
    │   └── EmptyOutputError
    ├── ToolError                        a tool call
    │   ├── InvalidArgumentsError        .raw
    │   ├── ToolConstraintError          raised by tools: the call cannot be carried out
    │   │   ├── PatchError               .line, .path
    │   │   └── UnknownToolError         .name, .known
    │   ├── ToolResultError              a result without a text form
    │   └── UnfinishedCallError          .calls, .state
    ├── TuneError                        a fine-tune, or its files
    │   ├── InvalidDatasetError          .report
    │   ├── ChangedFileError             .expected, .found
    │   ├── DownloadError                .expected, .found
    │   └── UnsafeArchiveError           .member
    └── LimitError                       a limit of the caller is reached: .limit, .option, .state
        ├── MaxCostError
        ├── MaxStepsError
        ├── MaxTimeError
        ├── MaxTokensError
        └── RepeatedCallError

`.partial` holds what arrived before the error, `.usage` and `.cost` what is known of its price. Arguments of the wrong
type raise `TypeError`. All errors can be pickled.
"""

from __future__ import annotations

# Not from `typing`: its import takes as long as Python's start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "AccessDeniedError",
    "ApiError",
    "AuthenticationError",
    "BadPayloadError",
    "ChangedFileError",
    "ConfigError",
    "ConnectionFailedError",
    "ContextOverflowError",
    "DataError",
    "DiskFullError",
    "DownloadError",
    "EmptyOutputError",
    "HarmonyError",
    "InvalidArgumentsError",
    "InvalidDatasetError",
    "InvalidJsonError",
    "InvalidRequestError",
    "LimitError",
    "MaxCostError",
    "MaxStepsError",
    "MaxTimeError",
    "MaxTokensError",
    "MissingKeyError",
    "MotetError",
    "NotFoundError",
    "OutputError",
    "OverloadedError",
    "ParseError",
    "PatchError",
    "QuotaError",
    "RateLimitError",
    "RenderError",
    "RepeatedCallError",
    "RequestTimeoutError",
    "SchemaMismatchError",
    "SecretsError",
    "ServerError",
    "SpecialTokenError",
    "StreamError",
    "StreamTruncatedError",
    "ToolConstraintError",
    "ToolError",
    "ToolResultError",
    "TruncatedOutputError",
    "TuneError",
    "UnfinishedCallError",
    "UnknownAtomError",
    "UnknownToolError",
    "UnsafeArchiveError",
]


class MotetError(Exception):
    """Base class of all errors of motet."""

    raw: Any = None
    """The unparsed input: the text of an answer, the arguments of a call. `None`: there is none."""
    partial: Any = None
    """What arrived before the error: an `Answer` (from an atom) or a `Reply` (from a backend). `None`: nothing."""
    usage: Any = None
    """The service's token counts, a `Usage`. `None`: not sent."""
    cost: Any = None
    """US dollars, a `Decimal`. `None`: unknown."""
    rejected: tuple[Any, ...] = ()
    """The answers that were asked for again before this error, an `Answer` each. `cost` includes theirs."""
    request_id: str | None = None
    """The service's id of the request, for its support."""
    retryable: bool = False
    """True if the same request may succeed later."""

    def __init__(self, message: str, **known: Any) -> None:
        super().__init__(message)
        self.__dict__.update(known)

    def __reduce__(self) -> Any:
        return (_rebuild, (type(self), str(self), self.__dict__))


def _rebuild(cls: type[MotetError], message: str, attributes: dict[str, Any]) -> MotetError:
    return cls(message, **attributes)


class HarmonyError(MotetError):
    """Text or ids that do not follow the harmony format, or a conversation that it cannot express."""


class ParseError(HarmonyError, ValueError):
    """Strict parsing found input that the format does not allow."""

    code: str
    """The code of the repair that tolerant parsing makes instead."""
    position: int
    """Position: an index into the ids, or a byte offset in the UTF-8 text."""
    state: str
    """The parser's state: `start`, `header` or `content`."""
    expected: str
    """The input that the format allows at the position."""
    found: str
    """The input at the position."""
    context: str
    """Two lines: the input around the position, ids decoded, and carets under the fault."""
    index: int | None
    """Index of the completion in a batch. `None`: no batch."""


class RenderError(HarmonyError, ValueError):
    """A conversation that cannot be rendered: the format has no place for a header value, a name or a schema."""

    message_index: int | None
    """Index of the message in the input. `None`: the fault is not in a message."""


class SpecialTokenError(HarmonyError, ValueError):
    """Text that contains the spelling of a special token, with `special="error"`."""

    token: str
    """The spelling: `<|start|>`."""
    position: int
    """Its byte offset in the UTF-8 text."""


class ToolError(MotetError):
    """A tool call failed."""


class ToolConstraintError(ToolError):
    """For tools to raise: the call cannot be carried out. Its text is the result of the call, and the run continues."""


class PatchError(ToolConstraintError, ValueError):
    """A patch that cannot be read, does not fit the files, or leads out of their root."""

    line: int | None = None
    """The line of the patch, from 1. `None`: it is not known."""
    path: str | None = None
    """The file, as the patch names it. `None`: the error is not of a file."""


class UnknownToolError(ToolConstraintError, LookupError):
    """A tool name, in `tool_choice` or in a call, that is not among the tools."""

    name: str
    """The name."""
    known: tuple[str, ...] = ()
    """The names of the tools."""


class ToolResultError(ToolError, TypeError):
    """A tool returned a value without a text form, such as bytes."""


class UnfinishedCallError(ToolError):
    """A run was interrupted within a tool call, whose work may be done or not.

    Resume with `unfinished="rerun"` to repeat the call, `"skip"` for a result that says the outcome is unknown, or a
    function from the call to its result.
    """

    calls: tuple[Any, ...] = ()
    """The calls that started and have no recorded end, a `ToolCall` each."""
    state: Any = None
    """The `Run` so far."""


class InvalidArgumentsError(ToolError, ValueError):
    """Arguments of a call that are not JSON, or do not match the tool's parameters."""

    raw: str
    """The arguments as the model wrote them."""


class ConfigError(MotetError):
    """A missing or invalid setting on this side; no request was sent."""


class MissingKeyError(ConfigError):
    """The API key is missing or malformed."""


class UnknownAtomError(ConfigError, LookupError):
    """A slug that no atom has."""

    slug: str
    """The requested slug."""
    matches: tuple[str, ...] = ()
    """Similar slugs."""


class DataError(MotetError):
    """Examples or training data that cannot be read or written."""

    path: str | None = None
    """The file. `None`: the data are not from a file."""
    line: int | None = None
    """The line, from 1. `None`: the error is not about one line."""
    findings: tuple[Any, ...] = ()
    """The problems, a `motet.tune.Finding` each."""


class DiskFullError(DataError, OSError):
    """No space left on the disk. The file is unchanged."""


class SecretsError(DataError):
    """Data that contain likely secrets, listed in `.findings`."""


class ApiError(MotetError):
    """The service refused a request, did not respond, or sent an unreadable response."""

    status: int | None = None
    """The HTTP status. `None`: no response."""
    attempts: tuple[Any, ...] = ()
    """The attempts, an `Attempt` each."""


class InvalidRequestError(ApiError):
    """The service rejects the request: 400, 413, 416 or 422."""


class ContextOverflowError(InvalidRequestError):
    """Prompt and maximum answer exceed the model's context."""

    tokens: int | None = None
    """Tokens of the request. `None`: not sent."""
    limit: int | None = None
    """Tokens of the context. `None`: not sent."""


class AuthenticationError(ApiError):
    """The service rejects the API key: 401."""


class QuotaError(ApiError):
    """The account has no credit: 402."""


class AccessDeniedError(ApiError):
    """The API key lacks the permission: 403."""


class NotFoundError(ApiError):
    """Unknown model or address: 404."""


class RateLimitError(ApiError):
    """Too many requests: 429."""

    retryable = True
    retry_after: float | None = None
    """Seconds to wait, from the response. `None`: not sent."""


class ServerError(ApiError):
    """The service failed: 500 and above."""

    retryable = True


class OverloadedError(ServerError):
    """The service is overloaded: 503 or 529."""

    retry_after: float | None = None
    """Seconds to wait, from the response. `None`: not sent."""


class BadPayloadError(ApiError):
    """A response of the wrong form: HTML, invalid JSON, an empty body, or JSON of another shape."""


class ConnectionFailedError(ApiError):
    """The connection failed, or closed before the response."""

    retryable = True


class RequestTimeoutError(ApiError, TimeoutError):
    """No response within the time limit."""

    retryable = True


class StreamError(MotetError):
    """The service ended a response with an error."""

    retryable = True
    attempts: tuple[Any, ...] = ()
    """The attempts before the stream began, an `Attempt` each."""


class StreamTruncatedError(StreamError):
    """The stream ended, fell silent or was cut before the service marked the answer as complete."""

    reason: str
    """`end`, `half_event`, `no_finish`, `reset` or `silence`."""


class OutputError(MotetError, ValueError):
    """The answer is not of the requested type. `.partial` is the answer with its metrics, `.raw` its text."""

    problems: tuple[str, ...] = ()
    """The problems, each with its place."""


class InvalidJsonError(OutputError):
    """The answer is not valid JSON."""


class SchemaMismatchError(OutputError):
    """The answer is JSON that does not match the output type."""


class TruncatedOutputError(OutputError):
    """The answer was cut at the token limit."""


class EmptyOutputError(OutputError):
    """The answer has neither text nor calls."""


class TuneError(MotetError):
    """A fine-tuning job or its files failed."""

    job: Any = None
    """The last known state of the `Job`. `None`: there is no job."""


class InvalidDatasetError(TuneError, ValueError):
    """A training file that motet's check or the service's validation rejects."""

    report: Any = None
    """The report of motet's check, or the service's report as a dict."""


class ChangedFileError(TuneError):
    """A file changed during check or upload. The upload is deleted at the service."""

    expected: str
    """SHA-256 of the checked bytes, hexadecimal."""
    found: str
    """SHA-256 of the sent bytes, hexadecimal."""


class DownloadError(TuneError):
    """A download that does not match the service's file. No existing file is replaced."""

    expected: str | int | None = None
    """The expected SHA-256 in hexadecimal, or number of bytes."""
    found: str | int | None = None
    """The actual SHA-256 or number of bytes."""


class UnsafeArchiveError(TuneError):
    """An archive member outside of the target folder, or of a type other than file and folder. Nothing is unpacked."""

    member: str
    """The name of the member."""


class LimitError(MotetError):
    """A limit of the caller ended the request. `.partial` is the answer so far."""

    limit: Any
    """The value of the limit."""
    option: str = ""
    """The name of the limit: `max_cost`, `max_tokens`, `max_steps`, ... or `budget`."""
    state: Any = None
    """The `Run` so far, for `resume`. `None`: the request was not part of a run."""


class MaxCostError(LimitError):
    """The cost of an answer, a run or a budget exceeds its limit."""


class MaxStepsError(LimitError):
    """The run has made `max_steps` requests."""


class MaxTimeError(LimitError):
    """The run has taken `max_time` seconds."""


class RepeatedCallError(LimitError):
    """The model repeats the same calls in more than `max_repeats` steps."""


class MaxTokensError(LimitError):
    """The answer or its reasoning exceeds its token limit."""

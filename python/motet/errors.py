"""Every exception that motet raises.

    MotetError                           .raw .partial .usage .cost .request_id .retryable
    ├── ConfigError                      nothing was sent: something is missing or unknown here
    │   ├── MissingKeyError
    │   └── UnknownAtomError             .slug, .matches
    ├── DataError                        examples and training data: .path, .line, .findings
    │   ├── DiskFullError (OSError)
    │   └── SecretsError
    ├── HarmonyError                     the format
    │   ├── ParseError                   .position, .state, .expected, .found, .context
    │   ├── RenderError (ValueError)     .message_index
    │   └── SpecialTokenError            .token, .position
    ├── ApiError                         the service said no: .status, .attempts
    │   ├── InvalidRequestError          400, 413, 416, 422
    │   │   └── ContextOverflowError     .tokens, .limit
    │   ├── AuthenticationError          401
    │   ├── QuotaError                   402
    │   ├── AccessDeniedError            403
    │   ├── NotFoundError                404
    │   ├── RateLimitError               429: .retry_after
    │   ├── ServerError                  500 and above
    │   │   └── OverloadedError          503, 529: .retry_after
    │   ├── BadPayloadError              an answer that nobody can read
    │   ├── ConnectionFailedError        no answer at all
    │   └── RequestTimeoutError          no answer in time
    ├── StreamError                      the service broke off while it answered
    │   └── StreamTruncatedError         .reason
    ├── OutputError                      the answer is not what was asked for
    │   ├── InvalidJsonError
    │   ├── SchemaMismatchError          .problems
    │   ├── TruncatedOutputError
    │   └── EmptyOutputError
    ├── ToolError                        a tool call
    │   ├── InvalidArgumentsError        .raw
    │   ├── ToolConstraintError          raised by tools: what the model asked for cannot be done
    │   │   └── UnknownToolError         .name, .known
    │   ├── ToolResultError              a result that cannot be told
    │   └── UnfinishedCallError          .calls, .state
    ├── TuneError                        a fine-tune, or its files
    │   ├── InvalidDatasetError          .report
    │   ├── ChangedFileError             .expected, .found
    │   ├── DownloadError                .expected, .found
    │   └── UnsafeArchiveError           .member
    └── LimitError                       a limit of the caller's was reached: .limit, .option, .state
        ├── MaxCostError
        ├── MaxStepsError
        ├── MaxTimeError
        ├── MaxTokensError
        └── RepeatedCallError

What was paid for is not lost: what arrived is in `.partial`, with `.usage` and `.cost` as far as they are known.
Wrong types raise `TypeError`, as everywhere in Python. All of them pickle.
"""

from __future__ import annotations

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
    """The root of the tree."""

    raw: Any = None
    """What came, as it came: the text of an answer, the arguments of a call. `None`: nothing did."""
    partial: Any = None
    """What arrived before the error: an `Answer` (from an atom) or a `Reply` (from a backend)."""
    usage: Any = None
    """The tokens that the service counted, a `Usage`. `None`: it did not say."""
    cost: Any = None
    """US dollars, a `Decimal`. `None`: unknown."""
    request_id: str | None = None
    """What the service calls the request; its support asks for it."""
    retryable: bool = False
    """Whether the same request may well succeed later."""

    def __init__(self, message: str, **known: Any) -> None:
        super().__init__(message)
        self.__dict__.update(known)

    def __reduce__(self) -> Any:
        return (_rebuild, (type(self), str(self), self.__dict__))


def _rebuild(cls: type[MotetError], message: str, known: dict[str, Any]) -> MotetError:
    return cls(message, **known)


class HarmonyError(MotetError):
    """Text or ids do not follow the harmony format, or a conversation cannot be put into it."""


class ParseError(HarmonyError, ValueError):
    """Strict parsing met something that the format does not allow."""

    code: str
    """The code of the repair that tolerant parsing would have made."""
    position: int
    """Where: an index into the ids, or a byte offset into the UTF-8 text."""
    state: str
    """What was being read: `start`, `header` or `content`."""
    expected: str
    """What the format allows there."""
    found: str
    """What stood there."""
    context: str
    """Two lines: the input around it, ids decoded, as far as it had arrived; and what is wrong underlined."""
    index: int | None
    """Which completion of a batch it is."""


class RenderError(HarmonyError, ValueError):
    """A conversation cannot be rendered: a header value, a name or a schema that the format has no place for."""

    message_index: int | None
    """The index of the message in the input, if one is to blame."""


class SpecialTokenError(HarmonyError, ValueError):
    """Text holds the spelling of a special token, and `special="error"` was asked for."""

    token: str
    """The spelling: `<|start|>`."""
    position: int
    """Its byte offset in the UTF-8 text."""


class ToolError(MotetError):
    """A tool call cannot be carried out."""


class ToolConstraintError(ToolError):
    """For tools to raise: what the model asked for cannot be done, and this is why. The model is told, and may ask
    for something else."""


class UnknownToolError(ToolConstraintError, LookupError):
    """A tool is named that was not given: by `tool_choice`, or by a model, which is told."""

    name: str
    """What was named."""
    known: tuple[str, ...] = ()
    """The tools that were given."""


class ToolResultError(ToolError, TypeError):
    """A tool returned what cannot be told to a model."""


class UnfinishedCallError(ToolError):
    """A run was interrupted within a tool, and whether the tool did its work is not known.

    Resume with `unfinished="rerun"` to call it again, `"skip"` to tell the model that the outcome is unknown, or a
    function from the call to its result.
    """

    calls: tuple[Any, ...] = ()
    """The calls that were begun and not ended, a `ToolCall` each."""
    state: Any = None
    """The `Run` so far."""


class InvalidArgumentsError(ToolError, ValueError):
    """The arguments of a call are not JSON, or not what the tool takes."""

    raw: str
    """The arguments as the model wrote them."""


class ConfigError(MotetError):
    """Something is missing or unknown on this side; nothing was sent."""


class MissingKeyError(ConfigError):
    """There is no API key."""


class UnknownAtomError(ConfigError, LookupError):
    """No atom has this slug."""

    slug: str
    """What was asked for."""
    matches: tuple[str, ...] = ()
    """Slugs that look like it."""


class DataError(MotetError):
    """Examples, or training data, cannot be read or made."""

    path: str | None = None
    """The file. `None`: it is about data that stand in none."""
    line: int | None = None
    """The line, from 1 on. `None`: it is about more than one, or the whole."""
    findings: tuple[Any, ...] = ()
    """What is wrong, a `motet.tune.Finding` each."""


class DiskFullError(DataError, OSError):
    """There is no room for what was to be written. The file is as it was before."""


class SecretsError(DataError):
    """What looks like secrets is in the data: in `.findings`."""


class ApiError(MotetError):
    """The service did not answer the request, or not in a way that can be read."""

    status: int | None = None
    """The HTTP status. `None`: there was none."""
    attempts: tuple[Any, ...] = ()
    """What was tried, an `Attempt` each."""


class InvalidRequestError(ApiError):
    """The service does not take the request as it is: 400, 413, 416 or 422."""


class ContextOverflowError(InvalidRequestError):
    """The prompt and what may be answered do not fit into the model's context."""

    tokens: int | None = None
    """How many there are, if the service said so."""
    limit: int | None = None
    """How many may be, if the service said so."""


class AuthenticationError(ApiError):
    """The service does not know the key: 401."""


class QuotaError(ApiError):
    """The account has no credit left: 402."""


class AccessDeniedError(ApiError):
    """The key may not do this: 403."""


class NotFoundError(ApiError):
    """The service has no such model or page: 404."""


class RateLimitError(ApiError):
    """Too many requests: 429."""

    retryable = True
    retry_after: float | None = None
    """Seconds to wait, as the service says. `None`: it did not."""


class ServerError(ApiError):
    """The service failed: 500 and above."""

    retryable = True


class OverloadedError(ServerError):
    """The service has too much to do: 503 or 529."""

    retry_after: float | None = None
    """Seconds to wait, as the service says. `None`: it did not."""


class BadPayloadError(ApiError):
    """What came back is not what such a service answers: HTML, no JSON, nothing, or JSON of another shape."""


class ConnectionFailedError(ApiError):
    """The service was not reached, or hung up before it answered."""

    retryable = True


class RequestTimeoutError(ApiError, TimeoutError):
    """The answer was not there in time."""

    retryable = True


class StreamError(MotetError):
    """The service broke off while it answered."""

    retryable = True
    attempts: tuple[Any, ...] = ()
    """What was tried before the stream began, an `Attempt` each."""


class StreamTruncatedError(StreamError):
    """The stream ended, fell silent or was cut before the service said that the answer is whole."""

    reason: str
    """`end`, `half_event`, `no_finish`, `reset` or `silence`."""


class OutputError(MotetError, ValueError):
    """The answer is not what was asked for. The answer and its metrics are in `.partial`, its text in `.raw`."""


class InvalidJsonError(OutputError):
    """The answer was to be JSON, and is not."""


class SchemaMismatchError(OutputError):
    """The answer is JSON, but not of the type that was asked for."""

    problems: tuple[str, ...] = ()
    """Each a place and what is wrong there."""


class TruncatedOutputError(OutputError):
    """The answer was cut at the limit of tokens."""


class EmptyOutputError(OutputError):
    """The answer is empty: no text and no calls."""


class TuneError(MotetError):
    """A fine-tune cannot be prepared, followed or fetched."""

    job: Any = None
    """The `Job`, as it was seen last. `None`: there is none."""


class InvalidDatasetError(TuneError, ValueError):
    """A file is no training data: motet's own check, or the service's validation, refused it."""

    report: Any = None
    """What is wrong: the report of motet's check, or the service's as a dict."""


class ChangedFileError(TuneError):
    """A file changed while it was checked or sent. What was sent is deleted at the service."""

    expected: str
    """The SHA-256 of the bytes that were checked, hexadecimal."""
    found: str
    """That of the bytes that were sent."""


class DownloadError(TuneError):
    """What was downloaded is not what the service has. Nothing that was there before is replaced."""

    expected: str | int | None = None
    """The SHA-256 in hexadecimal, or the number of bytes, that should have come."""
    found: str | int | None = None
    """What came instead."""


class UnsafeArchiveError(TuneError):
    """An archive holds what would be written outside its folder, or is no file. Nothing is unpacked."""

    member: str
    """The name of the entry."""


class LimitError(MotetError):
    """A limit of the caller's was reached and the request was ended. What there is of the answer is in `.partial`."""

    limit: Any
    """The limit that was reached."""
    option: str = ""
    """Which limit it is: `max_cost`, `max_tokens`, `max_steps`, ... or `budget`."""
    state: Any = None
    """Of a loop: the `Run` so far, which `resume` goes on with."""


class MaxCostError(LimitError):
    """The answer would cost more than it may."""


class MaxStepsError(LimitError):
    """The loop has asked the model as often as it may."""


class MaxTimeError(LimitError):
    """The loop has run as long as it may."""


class RepeatedCallError(LimitError):
    """The model makes the same call again and again."""


class MaxTokensError(LimitError):
    """The answer, or its reasoning, is longer than it may be."""

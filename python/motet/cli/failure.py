"""Errors in motet's words, and their exit codes."""

from __future__ import annotations

import errno
import json

from motet.errors import ConfigError, LimitError, MotetError, ParseError

__all__ = [
    "FAILURE",
    "INTERRUPTED",
    "LIMIT",
    "NOT_PARSED",
    "OK",
    "USAGE",
    "UsageError",
    "describe",
    "exit_code",
    "json_fault",
]

OK, FAILURE, USAGE, LIMIT, NOT_PARSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


class UsageError(Exception):
    """An option, a value or an input that does not have the form which the command takes."""


def exit_code(error: BaseException | None) -> int:
    """The same for the same fault in all commands. `None`: a failure without an exception."""
    match error:
        case ParseError():
            return NOT_PARSED
        case LimitError():
            return LIMIT
        case ConfigError() | UsageError():
            return USAGE
        case _:
            return FAILURE


def describe(error: BaseException) -> str:
    """The message of an error: one line; of a `ParseError` three, with the input underlined."""
    if isinstance(error, ParseError):
        return str(error)
    if isinstance(error, OSError) and not isinstance(error, MotetError):
        return _os_fault(error)
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {json_fault(error)}"
    if isinstance(error, RecursionError):
        return "the input is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"
    return " ".join(str(error).split("\n")) or type(error).__name__


def json_fault(error: ValueError | RecursionError) -> str:
    """Why a text is not JSON, and where."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return describe(error)
    if isinstance(error, json.JSONDecodeError):
        if not error.doc.strip():
            return "it is empty"
        return f"line {error.lineno}, column {error.colno}"
    return str(error)


_REASONS = {
    errno.ENOENT: "no such file",
    errno.EISDIR: "a folder, not a file",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EEXIST: "the file exists",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOSPC: "the disk is full",
    errno.EROFS: "the file system is read-only",
    errno.EADDRINUSE: "the port is in use",
}


def _os_fault(error: OSError) -> str:
    reason = _REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()
    return reason if error.filename is None else f"{reason}: {str(error.filename)!r}"

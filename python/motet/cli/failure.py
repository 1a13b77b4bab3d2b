"""Errors in motet's words, and their exit codes."""

from __future__ import annotations

import errno
import re

from motet.errors import ConfigError, LimitError, MissingKeyError, MotetError, ParseError, UnknownAtomError

__all__ = [
    "FAILURE",
    "INTERRUPTED",
    "LIMIT",
    "NOT_PARSED",
    "OK",
    "USAGE",
    "InputError",
    "UsageError",
    "describe",
    "exit_code",
    "is_expected",
    "json_fault",
]

OK, FAILURE, USAGE, LIMIT, NOT_PARSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


class UsageError(Exception):
    """Words of the command line that the command does not take: exit code 2."""


class InputError(Exception):
    """A file or standard input does not hold what the command reads: exit code 1."""


def is_expected(error: Exception) -> bool:
    """Whether an error is the fault of the input or of the surroundings, not of the command line."""
    from json import JSONDecodeError

    expected = (MotetError, UsageError, InputError, OSError, RecursionError, UnicodeError, JSONDecodeError)
    return isinstance(error, expected)


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
    from json import JSONDecodeError

    if isinstance(error, ParseError):
        return str(error)
    if isinstance(error, OSError) and not isinstance(error, MotetError):
        return _os_fault(error)
    if isinstance(error, JSONDecodeError):
        return f"not valid JSON: {json_fault(error)}"
    if isinstance(error, MissingKeyError):
        return f"{str(error).partition(';')[0]}; export it, or give --base-url with a server of your own"
    if isinstance(error, UnknownAtomError) and not error.matches:
        return f"unknown model: {error.slug!r}; motet models lists the catalogue, and --base-url serves any model"
    if isinstance(error, RecursionError):
        return "the input is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"
    return _ERRNO.sub("", " ".join(str(error).splitlines())) or type(error).__name__


_ERRNO = re.compile(r"\[Errno -?\d+\] ")


def json_fault(error: ValueError | RecursionError) -> str:
    """Why a text is not JSON, and where."""
    from json import JSONDecodeError

    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return describe(error)
    if isinstance(error, JSONDecodeError):
        if not error.doc.strip():
            return "it is empty"
        return f"line {error.lineno}, column {error.colno}"
    return str(error)


_REASONS = {
    errno.ENOENT: "no such file or folder",
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

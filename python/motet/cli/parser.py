"""The argument parser: errors in one line, in motet's words."""

from __future__ import annotations

import argparse
import re
import sys
from importlib import import_module

from motet.cli.failure import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, NoReturn

__all__ = ["Parser", "add_command", "subcommands"]


class Parser(argparse.ArgumentParser):
    """A parser of one command. Every command takes `--log`.

    `module`: the module of the command, which adds the other options. It is imported when the command is parsed: the
    modules of all commands take longer to import than most commands to run.
    """

    def __init__(self, *args: Any, module: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._module = module
        # Help texts have no escape sequences: Python 3.14 colours them.
        self.color = False
        self.add_argument(
            "--log",
            metavar="FILE",
            default=argparse.SUPPRESS,
            help="append requests and answers to a file, without API keys",
        )

    def load(self) -> None:
        """Adds the options of the command's module, if they are not there yet."""
        if self._module is None:
            return
        command, self._module = import_module(self._module), None
        self.epilog = _epilog(getattr(command, "EXAMPLES", ()))
        command.add(self)
        if hasattr(command, "run"):
            self.set_defaults(run=command.run)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        self.load()
        return super().parse_known_args(*args, **kwargs)

    def parse(self, words: Sequence[str] | None = None) -> argparse.Namespace:
        """The options in `words`, by default those of the process. Raises `UsageError`."""
        options: argparse.Namespace
        options, rest = self.parse_known_args(words)
        if rest:
            # The parser of the command, not this one, knows its options and its help.
            self._command_of(sys.argv[1:] if words is None else words).error(
                f"unrecognized arguments: {' '.join(rest)}"
            )
        return options

    def _command_of(self, words: Sequence[str]) -> Parser:
        """The parser of the command that the words name, for its options and its help."""
        parser = self
        for word in words:
            parser = subcommands(parser).get(word, parser)
        return parser

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{_in_own_words(message, self)}; see {self.prog} --help")


def add_command(commands: Any, name: str, help_text: str, examples: Iterable[str] = (), **kwargs: Any) -> Parser:
    """A parser for a command: `help_text` in lists of commands and at the head of its help, `examples` below."""
    parser: Parser = commands.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        epilog=_epilog(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **kwargs,
    )
    return parser


def _epilog(examples: Iterable[str]) -> str | None:
    shown = "\n".join([f"  {example}" for example in examples])
    return f"examples:\n{shown}" if shown else None


def subcommands(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    """The parsers of a command's own commands, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _in_own_words(message: str, parser: argparse.ArgumentParser) -> str:
    for pattern, words in _MESSAGES:
        if match := re.fullmatch(pattern, message, re.S):
            return str(words(parser, *match.groups()))
    return message


def _unknown_value(parser: argparse.ArgumentParser, argument: str, value: str, choices: str) -> str:
    names = [choice.strip().strip("'") for choice in choices.split(",")]
    if argument in ("COMMAND", "ACTION", "VERB"):
        return f"unknown command: {value}{_similar(value.strip(chr(39)), names)}"
    return f"{argument} must be one of {', '.join(names)}: {value}"


def _unknown_option(parser: argparse.ArgumentParser, words: str) -> str:
    word = words.split()[0] if words.split() else words
    if not word.startswith("-"):
        return f"unexpected argument: {word!r}"
    options = [name for action in parser._actions for name in action.option_strings]
    return f"unknown option: {word}{_similar(word, options)}"


def _similar(word: str, names: Iterable[str]) -> str:
    import difflib

    matches = difflib.get_close_matches(word, list(names), 1, 0.6)
    return f" (did you mean {matches[0]}?)" if matches else ""


_MESSAGES: tuple[tuple[str, Any], ...] = (
    (r"argument (.+?): invalid choice: (.+?) \(choose from (.*)\)", _unknown_value),
    (r"argument (.+?): expected (?:one|at least one) argument", lambda _, name: f"{name} needs a value"),
    (r"argument (.+?): invalid int value: (.*)", lambda _, name, value: f"{name} must be a whole number: {value}"),
    (r"argument (.+?): invalid float value: (.*)", lambda _, name, value: f"{name} must be a number: {value}"),
    (r"argument (.+?): not allowed with argument (.+)", lambda _, name, other: f"give either {other} or {name}"),
    (r"argument (.+?): ignored explicit argument (.*)", lambda _, name, value: f"{name} takes no value: {value}"),
    (r"argument (.+?): (.*)", lambda _, name, text: f"{name} {text}"),
    (r"one of the arguments (.*) is required", lambda _, names: f"missing: {' or '.join(names.split())}"),
    (r"the following arguments are required: (.*)", lambda _, names: f"missing: {names}"),
    (r"ambiguous option: (.+?) could match (.*)", lambda _, name, others: f"ambiguous option: {name}; one of {others}"),
    (r"unrecognized arguments: (.*)", _unknown_option),
)
"""Messages of argparse, and what is said instead."""

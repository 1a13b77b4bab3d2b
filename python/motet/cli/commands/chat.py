"""`motet chat`: a conversation in the terminal."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import motet
from motet.cli.cost_report import dollars
from motet.cli.failure import OK, describe, exit_code
from motet.cli.question import add_question, ask_options, make_atom, show
from motet.cli.style import Style

EXAMPLES = (
    "motet chat",
    'motet chat --system "Answer in one sentence." --effort low',
    "motet chat -m openai/gpt-oss-20b --base-url http://localhost:8000",
)


def add(parser: argparse.ArgumentParser) -> None:
    add_question(parser)


def run(options: argparse.Namespace) -> int:
    # Imported for its effect: `input` edits lines and keeps a history with it. Windows has no such module.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
    with make_atom(options) as atom:
        chat = _Chat(atom, options)
        print(chat.style("markup", f"{atom.slug}. /help lists the commands; Ctrl-C ends an answer, Ctrl-D the chat."))
        while not chat.ended:
            try:
                line = input("> " if sys.stdin.isatty() else "")
            except EOFError:
                if sys.stdin.isatty():
                    print()
                break
            # A terminal may send bytes that are not UTF-8.
            chat.enter(line.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return chat.code


class _Chat:
    """A conversation: what was answered last, and what all of it cost."""

    def __init__(self, atom: motet.Atom, options: argparse.Namespace) -> None:
        self.style = Style(options.color, sys.stdout)
        self.ended = False
        self.code = OK
        """The exit code: that of the last answer."""
        self._atom = atom
        self._options = options
        self._ask = ask_options(options)
        self._last: motet.Answer[Any] | None = None
        self._cost: Decimal | None = Decimal(0)

    def enter(self, line: str) -> None:
        """A line of the user: a command, a prompt, or the end."""
        text = line.strip()
        if not text:
            self.ended = True
        elif text.startswith("/") and not text.startswith("//"):
            name = text.split()[0]
            command = self._commands().get(name)
            if command is None:
                print(f"unknown command: {name!r}; /help lists the commands, and // begins a prompt with a slash")
            else:
                command()
        else:
            self._send(line.replace("//", "/", 1) if text.startswith("//") else line)

    def _commands(self) -> dict[str, Callable[[], None]]:
        return {"/help": self._help, "/new": self._begin, "/cost": self._print_cost, "/exit": self._end}

    def _help(self) -> None:
        print(
            "/new    begin another conversation\n"
            "/cost   the cost so far\n"
            "/exit   end the chat, as an empty line and Ctrl-D do\n"
            "/help   this list\n"
            "A prompt that begins with a slash is written with two."
        )

    def _begin(self) -> None:
        self._last = None
        print(self.style("markup", "a new conversation"))

    def _end(self) -> None:
        self.ended = True

    def _print_cost(self) -> None:
        print(self.style("markup", f"the chat has cost {dollars(self._cost)}"))

    def _send(self, prompt: str) -> None:
        briefs = self._ask["briefs"] if self._last is None else ()
        stream = self._atom.stream(prompt, **{**self._ask, "on": self._last, "briefs": briefs})
        answer: Any = None
        try:
            answer = self._last = show(stream, self._options, self.style)
            self.code = OK
        except KeyboardInterrupt:
            print(self.style("repair", "\nThe answer was ended; it is not part of the conversation."))
            with contextlib.suppress(ValueError):
                answer = stream.answer
        except motet.ConfigError:
            raise
        except motet.MotetError as error:
            print(Style(self._options.color, sys.stderr)("repair", f"motet: {describe(error)}"), file=sys.stderr)
            self.code = exit_code(error)
            answer = error.partial
        if isinstance(answer, motet.Answer):
            cost = answer.metrics.cost.cash.total
            self._cost = None if self._cost is None or cost is None else self._cost + cost
            self._print_cost()

"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
from decimal import Decimal
from urllib.parse import urlsplit

import motet
from motet.catalog import to_money

__all__ = [
    "add_color",
    "add_input",
    "add_json",
    "add_output",
    "add_parsing",
    "fraction",
    "money",
    "port",
    "positive",
    "price",
    "role",
    "seconds",
    "temperature",
    "url",
]

ROLES = ("system", "developer", "user", "assistant", "tool")


def port(text: str) -> int:
    """An option's value: a port, 0 for a free one."""
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > 65535:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535: {text!r}")
    return int(text)


def positive(text: str) -> int:
    """An option's value: a whole number from 1."""
    if not text.isascii() or not text.isdecimal() or int(text[:20]) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1: {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """An option's value: seconds, above 0."""
    value = _number(text)
    if value is None or not value > 0:
        raise argparse.ArgumentTypeError(f"must be seconds, above 0: {text!r}")
    return value


def temperature(text: str) -> float:
    """An option's value: a number from 0."""
    value = _number(text)
    if value is None or not value >= 0:
        raise argparse.ArgumentTypeError(f"must be a number from 0: {text!r}")
    return value


def fraction(text: str) -> float:
    """An option's value: a number from 0 to 1."""
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1: {text!r}")
    return value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def url(text: str) -> str:
    """An option's value: the address of a server."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and text.isprintable() and " " not in text
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(f"must be an address such as http://localhost:8000: {text!r}")
    return text


def money(text: str) -> Decimal:
    """An option's value: US dollars, above 0."""
    try:
        return to_money(text, "the amount")
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an amount in US dollars: {text!r}") from None


def price(text: str) -> motet.Price:
    """An option's value: `INPUT,OUTPUT`, US dollars for a million tokens each; `INPUT/OUTPUT` is read as well."""
    amounts = text.replace("/", ",").split(",")
    try:
        if len(amounts) != 2:
            raise ValueError("a price has two amounts")
        return motet.Price(*[to_money(amount.strip(), "the price") for amount in amounts])
    except ValueError:
        message = f"must be two amounts in US dollars for a million tokens, as 0.15,0.60: {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def role(text: str) -> str | None:
    """An option's value: a role, or `none`."""
    if text not in (*ROLES, "none"):
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(ROLES)}, none: {text!r}")
    return None if text == "none" else text


def add_input(parser: argparse.ArgumentParser) -> None:
    """The completion that a command reads."""
    parser.add_argument("file", nargs="?", default="-", help="a completion; by default, or for -, standard input")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--ids", action="store_true", help="the input is a JSON list of token ids")
    form.add_argument("--text", action="store_true", help="the input is text, even if it looks like a list of ids")


def add_parsing(parser: argparse.ArgumentParser) -> None:
    """How a completion is parsed."""
    parser.add_argument("--strict", action="store_true", help="refuse deviations from the format (exit code 4)")
    parser.add_argument("--tools", metavar="FILE", help="a JSON list of the model's tools: names or OpenAI tool dicts")
    parser.add_argument(
        "--stripped",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether to find frames in text from which a server removed the special tokens (auto)",
    )
    parser.add_argument(
        "--role", type=role, default="assistant", help="the role with which the prompt ended, or none (assistant)"
    )
    parser.add_argument(
        "--opened",
        metavar="HEADER",
        help="what else of the first frame the prompt contains: a channel, or the header as written",
    )


def add_json(parser: argparse.ArgumentParser, help_text: str = "print JSON") -> None:
    parser.add_argument("--json", action="store_true", help=help_text)


def add_color(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="auto: on a terminal, without $NO_COLOR"
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """How a result is printed."""
    add_json(parser)
    add_color(parser)

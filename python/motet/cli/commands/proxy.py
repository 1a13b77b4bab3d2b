"""`motet proxy`: Chat Completions, Responses and Anthropic's Messages in front of any server of gpt-oss."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path

from motet.cli.failure import UsageError
from motet.cli.inputs import read_text
from motet.cli.options import add_color, port, positive, price, seconds, url
from motet.cli.style import Style
from motet.errors import ConfigError

EXAMPLES = (
    "motet proxy --upstream http://localhost:8000",
    "motet proxy --model gpt-oss-20b=http://gpu1:8000 --model fast=openai/gpt-oss-120b@http://gpu2:8000",
    "motet proxy --upstream http://gpu:8000 --host 0.0.0.0 --key @keys.txt --price 0.15,0.60",
)

PORT = 8400


def add(parser: argparse.ArgumentParser) -> None:
    _add_servers(parser)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1); others need keys")
    parser.add_argument("--port", type=port, default=PORT, help=f"{PORT} by default; 0 for a free one")
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes that serve (1)")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="KEY",
        help="a client's key: KEY, NAME:KEY or NAME:KEY:DOLLARS; @FILE has one a line; by default $MOTET_PROXY_KEYS, "
        "separated by blanks; without keys only this machine is served",
    )
    parser.add_argument(
        "--state",
        metavar="PLACE",
        help="where responses, reasoning and budgets are kept: a SQLite file, redis://..., postgresql://..., or none "
        "($XDG_STATE_HOME/motet/proxy.sqlite3, else below ~/.local/state)",
    )
    parser.add_argument("--timeout", type=seconds, default=3600.0, metavar="S", help="seconds for an answer (3600)")
    parser.add_argument(
        "--ignore-tool",
        action="append",
        default=[],
        metavar="TYPE",
        help="leave tools of this type out of requests, as web_search, instead of refusing them",
    )
    parser.add_argument(
        "--reasoning-key",
        choices=("reasoning_content", "reasoning"),
        default="reasoning_content",
        help="the key of reasoning in the Chat API (reasoning_content)",
    )
    parser.add_argument("--page", action="store_true", help="serve a page at / that shows what passes now")
    add_color(parser)


def _add_servers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--upstream", type=url, metavar="URL", help="the server of all models without one of their own")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="the server of a model; NAME=MODEL@URL if the server has another name for it",
    )
    parser.add_argument(
        "--upstream-key", metavar="KEY", help="the key of the servers; by default $MOTET_UPSTREAM_KEY, else none"
    )
    parser.add_argument(
        "--lane",
        choices=("auto", "chat", "text", "ids"),
        default="auto",
        help="how the servers are asked; auto: token ids of vLLM and SGLang, text of llama.cpp, chat of others",
    )
    parser.add_argument(
        "--price", type=price, metavar="IN,OUT", help="US dollars for a million tokens of prompt and answer"
    )


def run(options: argparse.Namespace) -> None:
    try:
        import uvicorn  # noqa: F401  # Missed here, and not when the first client connects.

        from motet.proxy import Upstream, app
        from motet.proxy.server import serve
    except ImportError as error:
        raise ConfigError(f"motet proxy needs {error.name}: pip install 'motet[proxy]'") from error
    common = {
        "key": options.upstream_key or os.environ.get("MOTET_UPSTREAM_KEY") or None,
        "lane": options.lane,
        "price": options.price,
    }
    if options.upstream is None and not options.model:
        raise UsageError("a proxy needs a server: --upstream URL, or --model NAME=URL")
    keys = _keys(options.key)
    if not keys and not _is_loopback(options.host):
        raise UsageError(f"--host {options.host} needs keys: --key NAME:KEY; without them only this machine is served")
    if options.workers > 1 and options.state == "none":
        raise UsageError("several workers need a place to share: --state FILE instead of none")
    make_app = partial(
        app,
        None if options.upstream is None else Upstream(url=options.upstream, **common),
        models={name: Upstream(url=address, model=model, **common) for name, model, address in _models(options.model)},
        keys=keys,
        state=_state(options.state),
        timeout=options.timeout,
        reasoning_key=options.reasoning_key,
        ignored_tools=options.ignore_tool,
        page=options.page,
    )
    # Made and opened once here, so that wrong settings are described before anything runs.
    make_app()
    asyncio.run(_open_once(_state(options.state)))
    _log_to_terminal()
    # Bound here, so that an error has motet's words.
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with (
        socket.create_server((options.host, options.port), family=family, backlog=2048) as listener,
        tempfile.TemporaryDirectory(prefix="motet-proxy-") as folder,
    ):
        _greet(options, listener)
        figures_folder = Path(folder) if options.workers > 1 else None
        serve(partial(make_app, figures_folder=figures_folder), listener, workers=options.workers)


async def _open_once(place: Path | str | None) -> None:
    from motet.proxy.stores import open_state

    state = open_state(place)
    try:
        await state.spent("")
    finally:
        await state.aclose()


def _greet(options: argparse.Namespace, listener: socket.socket) -> None:
    host, bound_port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"
    servers = ", ".join([*filter(None, [options.upstream]), *options.model])
    style = Style(options.color, sys.stdout)
    print(f"{style('title', address)} serves {servers}; Ctrl-C ends it", flush=True)
    if options.page:
        print(style("markup", f"page: {address}/"), flush=True)
    print(style("markup", f"OPENAI_BASE_URL={address}/v1 ANTHROPIC_BASE_URL={address}"), flush=True)


def _models(words: list[str]) -> list[tuple[str, str | None, str]]:
    """Name, the server's name of the model, and address."""
    models = []
    for word in words:
        name, separator, target = word.partition("=")
        # Addresses have no user, so that the last sign is the one before the address.
        model, at, address = target.rpartition("@")
        if not name or not separator or (at and not model):
            raise UsageError(f"--model must be NAME=URL or NAME=MODEL@URL: {word!r}")
        try:
            models.append((name, model or None, url(address)))
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"--model {name}: the address {error}") from None
    return models


def _keys(words: list[str]) -> list[str]:
    """The keys of clients: of the options, of the files that they name, or of the environment."""
    if not words:
        return os.environ.get("MOTET_PROXY_KEYS", "").split()
    keys: list[str] = []
    for word in words:
        lines = read_text(word[1:]).splitlines() if word.startswith("@") else [word]
        keys += [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not keys:
        raise UsageError("the files of --key hold no keys")
    return keys


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _state(name: str | None) -> Path | str | None:
    if name == "none":
        return None
    if name is not None:
        return name
    folder = os.environ.get("XDG_STATE_HOME")
    return (Path(folder) if folder else Path.home() / ".local" / "state") / "motet" / "proxy.sqlite3"


def _log_to_terminal() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for name, level in (("motet.proxy", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)

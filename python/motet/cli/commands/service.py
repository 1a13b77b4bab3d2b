"""`motet models`, `motet health` and `motet serve`: what can be asked, whether it answers, a server to test with."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import motet
from motet.cli.commands.ask import add_service, atom_of
from motet.cli.style import Style
from motet.cli.table import table

__all__ = ["markdown", "register"]


def register(commands: Any) -> None:
    models = commands.add_parser("models", help="the atoms, with prices, context and grades")
    models.add_argument("--refresh", action="store_true", help="ask the service for its prices of today")
    models.add_argument("--all", action="store_true", help="those too that are not served any more")
    models.add_argument("--base-url", metavar="URL", help="the service to ask; implies --refresh")
    form = models.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with the source of each figure")
    form.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    models.set_defaults(run=run_models)

    health = commands.add_parser("health", help="whether the service answers and has the model (exit code 1: no)")
    add_service(health)
    health.add_argument("--json", action="store_true", help="print JSON")
    health.set_defaults(run=run_health)

    serve = commands.add_parser("serve", help="a scripted server on this machine, to test against without a key")
    serve.add_argument("file", nargs="*", help="completions as a model writes them, a file each, given out in turn")
    serve.add_argument("--style", choices=("together", "vllm", "sglang", "llamacpp"), default="together")
    serve.add_argument("--port", type=_port, default=8000, help="0 for one that is free")
    serve.set_defaults(run=run_serve)


def run_models(options: argparse.Namespace) -> None:
    found: Iterable[motet.Spec]
    if options.refresh or options.base_url:
        listed = motet.models(refresh=True, **({"base_url": options.base_url} if options.base_url else {}))
        found = listed
        if listed.error is not None:
            print(f"motet: the service was not asked: {listed.error}", file=sys.stderr)
    else:
        from motet.catalog import specs

        found = specs()
    shown = [spec for spec in found if options.all or spec.removal_notice() is None]
    if options.json:
        print(json.dumps([_shape(spec) for spec in shown], ensure_ascii=False, indent=2))
    elif options.markdown:
        print(markdown(shown))
    else:
        print(_table(shown))


_HEAD = ("slug", "context", "in", "cached", "out", "SWE-bench", "as of")


def _cells(spec: motet.Spec) -> list[str]:
    price = spec.cost.cash
    source = spec.sources.get("cost.cash.input")
    cells = [
        spec.gain.size.context.tokens,
        _dollars(price.input),
        _dollars(price.cached),
        _dollars(price.output),
        spec.gain.grades.swe,
        None if source is None else source.as_of,
    ]
    return [spec.slug, *["" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells]]


def _dollars(price: Decimal | None) -> str | None:
    """Cents at least: `$0.60`."""
    if price is None:
        return None
    return f"${price:.2f}" if price == round(price, 2) else f"${price:f}"


def _table(specs: list[motet.Spec]) -> str:
    rows = [[*_cells(spec), _removal(spec)] for spec in specs]
    removals = any(row[-1] for row in rows)
    head = [*["SWE" if name == "SWE-bench" else name for name in _HEAD], "removed"]
    shown = len(head) if removals else len(head) - 1
    lines = table([row[:shown] for row in rows], "<>>>>>><"[:shown], head=head[:shown])
    return "\n".join([*lines, "", "US dollars for a million tokens; --json has the source of each figure"])


def _removal(spec: motet.Spec) -> str:
    if spec.removal_notice() is None:
        return ""
    when = f"removed {spec.removed}" if spec.removed else "gone"
    return f"{when}, now {spec.successor}" if spec.successor else when


def markdown(specs: Iterable[motet.Spec]) -> str:
    """The table as Markdown; the README's is this one."""
    rows = [f"| {' | '.join([f'`{cells[0]}`', *cells[1:]])} |" for cells in map(_cells, specs)]
    return "\n".join([f"| {' | '.join(_HEAD)} |", f"|---|{'---:|' * (len(_HEAD) - 1)}", *rows])


def _shape(spec: motet.Spec) -> dict[str, Any]:
    price, skills = spec.cost.cash, spec.gain.skills
    return {
        "slug": spec.slug,
        "model": spec.model,
        "description": spec.description,
        "price": {name: _text(getattr(price, name)) for name in ("input", "cached", "output")},
        "context": spec.gain.size.context.tokens,
        "swe": _text(spec.gain.grades.swe),
        "cutoff": spec.gain.cutoff,
        "skills": {name: getattr(skills, name) for name in ("tools", "reasoning", "vision")},
        "removed": spec.removed,
        "gone": spec.gone,
        "successor": spec.successor,
        "sources": {name: {"text": source.text, "as_of": source.as_of} for name, source in spec.sources.items()},
    }


def _text(figure: Decimal | None) -> str | None:
    return None if figure is None else str(figure)


def run_health(options: argparse.Namespace) -> int:
    with atom_of(options) as brain:
        health = brain.health()
    if options.json:
        shape = {name: getattr(health, name) for name in ("ok", "status", "latency", "key_valid", "serves")}
        print(json.dumps({**shape, "model": brain.spec.model, "error": None if health.ok else str(health.error)}))
    elif health:
        print(f"ok: {brain.spec.model} is served; answered in {health.latency * 1000:.0f} ms")
    elif health.error is not None:
        print(f"not ok: {health.error}")
    else:
        print(f"not ok: the service answers, and has no {brain.spec.model}")
    return 0 if health else 1


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > 65535:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, not {text!r}")
    return int(text)


_HELLO = (
    "<|channel|>analysis<|message|>Somebody tries the scripted server.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Hello from the scripted server.<|return|>"
)


def run_serve(options: argparse.Namespace) -> None:
    from motet.testing import ScriptedServer

    turns = [Path(name).read_text("utf-8").rstrip("\n") for name in options.file] or [_HELLO]
    place = iter(range(sys.maxsize))
    with ScriptedServer(lambda _: turns[next(place) % len(turns)], style=options.style, port=options.port) as server:
        style = Style("auto", sys.stdout)
        print(f"{style('title', server.url)} answers like {options.style}; Ctrl-C ends it", flush=True)
        print(style("markup", f"TOGETHER_BASE_URL={server.url} motet ask Hello"), flush=True)
        threading.Event().wait()

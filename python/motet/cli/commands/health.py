"""`motet health`: whether a server responds and serves the model."""

from __future__ import annotations

import argparse

from motet.cli.failure import FAILURE, OK, describe, exit_code
from motet.cli.options import add_json
from motet.cli.question import add_service, make_atom
from motet.cli.terminal import json_text

EXAMPLES = ("motet health", "motet health -m openai/gpt-oss-20b --base-url http://localhost:8000")


def add(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    with make_atom(options) as atom:
        health = atom.health()
    model = atom.spec.model
    if options.json:
        shape = {name: getattr(health, name) for name in ("ok", "status", "latency", "key_valid", "serves")}
        print(json_text({**shape, "model": model, "error": None if health.error is None else describe(health.error)}))
    elif health:
        print(f"ok: {model} is served; answered in {health.latency * 1000:.0f} ms")
    elif health.error is not None:
        print(f"not ok: {describe(health.error)}")
    else:
        print(f"not ok: the server responds and does not serve {model}")
    return OK if health else FAILURE if health.error is None else exit_code(health.error)

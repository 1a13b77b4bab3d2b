"""`motet cost`: what the rows of a table cost."""

from __future__ import annotations

import argparse

from motet.cli.columns import add_table, need_pyarrow, run_table
from motet.cli.failure import UsageError
from motet.cli.options import add_json, price

EXAMPLES = (
    "motet cost runs.parquet --messages messages --completion completion --model together/gpt-oss/120b",
    "motet cost usage.csv --prompt-tokens input --completion-tokens output --price 0.15,0.60 -o cost.parquet",
)

_COLUMNS = {
    "prompt": "the column with the prompts as text or token ids",
    "messages": "the column with the prompts as chat messages",
    "completion": "the column with the completions as text with markers or token ids",
    "prompt_tokens": "the column with the numbers of prompt tokens",
    "completion_tokens": "the column with the numbers of completion tokens",
    "cached_tokens": "the column with the numbers of prompt tokens that the service had cached",
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a table")
    for name, text in _COLUMNS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="NAME", help=text)
    prices = parser.add_mutually_exclusive_group(required=True)
    prices.add_argument("--model", metavar="SLUG", help="the atom whose price in the catalogue is taken")
    prices.add_argument("--price", type=price, help="US dollars for a million tokens, as 0.15,0.60")
    add_json(parser)
    add_table(parser)


def run(options: argparse.Namespace) -> int:
    names = {name: getattr(options, name) for name in _COLUMNS}
    prompts = [name for name in ("prompt", "messages", "prompt_tokens") if names[name] is not None]
    completions = [name for name in ("completion", "completion_tokens") if names[name] is not None]
    if len(prompts) > 1 or len(completions) > 1 or not prompts + completions:
        raise UsageError("name one column of prompts (--prompt, --messages, --prompt-tokens) and one of completions")
    need_pyarrow()
    from motet import catalog
    from motet.columns._transform import PricedColumns, costing

    columns = PricedColumns(**names)
    cash = options.price or catalog.find(options.model).cost.cash
    settings = {**names, "price": [str(cash.input), str(cash.output), str(cash.cached)]}
    return run_table(options, name="cost", columns=columns.names, transform=costing(columns, cash), settings=settings)

"""`motet tune`: a training from its price to the test of its model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import motet
from motet import tune
from motet.cli.commands.training import Transfer, Watcher, comparison_table, job_dict, job_line, job_table
from motet.cli.cost_report import dollars
from motet.cli.failure import UsageError
from motet.cli.options import add_color, add_json, fraction, money, positive, price, seconds, url
from motet.cli.parser import add_command
from motet.cli.style import Style
from motet.cli.terminal import json_text

if TYPE_CHECKING:
    from motet.together import Backend


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND", title="commands")
    for add_verb in (_add_estimate, _add_start, _add_watch, _add_list, _add_cancel, _add_download, _add_test):
        verb = add_verb(verbs)
        verb.add_argument("--base-url", type=url, metavar="URL", help="by default $TOGETHER_BASE_URL, else Together's")
        add_json(verb)
        add_color(verb)


def _add_estimate(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "estimate",
        "price a training; the file is uploaded, nothing is trained",
        ("motet tune estimate train.jsonl -m openai/gpt-oss-20b",),
    )
    _add_training(parser)
    parser.set_defaults(run=run_estimate)
    return parser


def _add_start(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "start",
        "upload the file, show the price, ask for confirmation, and train",
        (
            "motet tune start train.jsonl -m openai/gpt-oss-20b",
            "motet tune start train.jsonl -m openai/gpt-oss-20b --epochs 3 --max-cost 5 --watch",
        ),
    )
    _add_training(parser)
    parser.add_argument("--yes", action="store_true", help="start without confirmation at any price")
    parser.add_argument(
        "--max-cost", type=money, metavar="USD", help="start without confirmation up to this price (exit code 3 above)"
    )
    parser.add_argument("--watch", action="store_true", help="watch the job until it has ended")
    parser.set_defaults(run=run_start)
    return parser


def _add_watch(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "watch",
        "show progress and loss until a job has ended; Ctrl-C leaves the job running",
        ("motet tune watch ft-1234 --svg loss.svg",),
    )
    parser.add_argument("job", help="the id of the job")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="stop watching then (exit code 3)")
    parser.add_argument("--svg", metavar="FILE", help="write the loss curve to a file")
    parser.set_defaults(run=run_watch)
    return parser


def _add_list(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(verbs, "list", "list the jobs of the account, newest first")
    parser.set_defaults(run=run_list)
    return parser


def _add_cancel(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(verbs, "cancel", "cancel a job, and wait until it is cancelled")
    parser.add_argument("job", help="the id of the job")
    parser.add_argument("--timeout", type=seconds, default=300.0, metavar="SECONDS", help="for the waiting (300)")
    parser.set_defaults(run=run_cancel)
    return parser


def _add_download(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "download",
        "download a checkpoint, or resume its download",
        ("motet tune download ft-1234 -o models/ --extract",),
    )
    parser.add_argument("job", help="the id of the job")
    parser.add_argument("-o", "--output", default=".", metavar="PATH", help="a folder or a file (.)")
    parser.add_argument("--kind", choices=("merged", "adapter", "model"), help="by default the whole model")
    parser.add_argument("--step", type=positive, metavar="N", help="the checkpoint of this step; by default the last")
    parser.add_argument("--sha256", metavar="HEX", help="the expected SHA-256 of the file")
    parser.add_argument("--extract", action="store_true", help="unpack the archive")
    parser.set_defaults(run=run_download)
    return parser


def _add_test(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "test",
        "ask the tuned model and its base model the same prompts, and compare",
        ("motet tune test ft-1234 held.jsonl --limit 20 --max-cost 1",),
    )
    parser.add_argument("model", help="the id of a job, or the name of a model")
    parser.add_argument("file", help="held-out examples or prompts, in JSON lines")
    parser.add_argument("--base", metavar="MODEL", help="the model to compare with; by default the job's base model")
    parser.add_argument("--limit", type=positive, metavar="N", help="the number of examples")
    parser.add_argument("--parallel", type=positive, default=4, metavar="N", help="simultaneous requests (4)")
    parser.add_argument("--max-cost", type=money, metavar="USD", help="for all requests; ends the test (exit code 3)")
    parser.add_argument(
        "--price", type=price, metavar="INPUT,OUTPUT", help="of the tuned model, US dollars for a million tokens"
    )
    parser.add_argument("--effort", choices=("low", "medium", "high"), help="the reasoning effort")
    parser.add_argument("--max-tokens", type=positive, metavar="N", help="tokens of an answer, reasoning included")
    parser.set_defaults(run=run_test)
    return parser


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="training data: a .jsonl file, or the id of an uploaded one")
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("-m", "--model", metavar="MODEL", help="the model to train: openai/gpt-oss-20b")
    help_text = "continue from a checkpoint: the id of a job or the name of its model, and optionally a step"
    model.add_argument("--from-checkpoint", metavar="JOB[:STEP]", help=help_text)
    parser.add_argument("--validation", metavar="FILE", help="validation data: a file, or an id")
    parser.add_argument("--no-check", action="store_true", help="upload files without checking them")
    for name, kind, meta, text in (
        ("--epochs", positive, "N", "passes over the examples (1)"),
        ("--evals", positive, "N", "evaluations on the validation data; by default one an epoch"),
        ("--checkpoints", positive, "N", "saved states of the model (1)"),
        ("--batch-size", positive, "N", "by default the largest"),
        ("--learning-rate", float, "RATE", "1e-5 by default"),
        ("--warmup-ratio", fraction, "SHARE", "of the steps, from 0 to 1"),
        ("--weight-decay", float, "RATE", "0 by default"),
        ("--max-seq-length", positive, "N", "tokens of an example"),
        ("--lora-rank", positive, "N", "of the adapter"),
        ("--lora-alpha", positive, "N", "by default twice the rank"),
        ("--lora-dropout", float, "SHARE", "0 by default"),
        ("--dpo-beta", float, "BETA", "with --method dpo"),
        ("--suffix", str, "NAME", "part of the new model's name"),
        ("--seed", int, "N", "makes a training repeatable"),
    ):
        parser.add_argument(name, type=kind, metavar=meta, help=text)
    parser.add_argument("--method", choices=("sft", "dpo"), help="dpo for preference data; sft by default")
    parser.add_argument("--full", action="store_true", help="train all weights, not an adapter, where that is offered")
    parser.add_argument("--no-packing", action="store_true", help="one example a sequence")


_NAMES = {"epochs": "n_epochs", "evals": "n_evals", "checkpoints": "n_checkpoints"}
_PLAIN = (
    *("batch_size", "learning_rate", "warmup_ratio", "weight_decay", "max_seq_length", "lora_rank", "lora_alpha"),
    *("lora_dropout", "dpo_beta", "suffix", "seed", "method", "from_checkpoint"),
)


def _settings(options: argparse.Namespace) -> Any:
    values = {_NAMES.get(name, name): getattr(options, name) for name in (*_NAMES, *_PLAIN)}
    settings: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if options.full:
        settings["full"] = True
    if options.no_packing:
        settings["packing"] = False
    return settings


def _service(options: argparse.Namespace) -> Backend:
    from motet.together import Backend

    return Backend(base_url=options.base_url)


def _uploaded(options: argparse.Namespace, backend: Backend) -> dict[str, Any]:
    """The files of a training, at the service: what `estimate` and `start` take of them."""
    # Whether the model can be trained so is known before anything is sent.
    model = options.model or options.from_checkpoint.partition(":")[0]
    limits, settings = tune.limits(model, backend=backend), _settings(options)
    tune.check_settings(limits, settings)
    files: dict[str, Any] = {}
    for name in ("file", "validation"):
        source = getattr(options, name)
        if source is None:
            continue
        with Transfer(f"uploading {Path(source).name}", quiet=options.json) as transfer:
            files[name] = tune.to_file(
                source,
                check=not options.no_check,
                max_tokens=limits.longest(settings),
                on_progress=transfer.show,
                on_state=transfer.say,
                backend=backend,
            )
    return files


def _estimated(options: argparse.Namespace, backend: Backend) -> tuple[dict[str, Any], tune.PriceEstimate]:
    files = _uploaded(options, backend)
    price = tune.estimate(
        files["file"], options.model, validation=files.get("validation"), backend=backend, **_settings(options)
    )
    return files, price


def run_estimate(options: argparse.Namespace) -> None:
    with _service(options) as backend:
        files, price = _estimated(options, backend)
    if options.json:
        print(json_text(_price_dict(price, files)))
        return
    for line in _price_lines(price, files):
        print(line)


def _price_lines(price: tune.PriceEstimate, files: dict[str, Any]) -> list[str]:
    held_out = files.get("validation")
    lines = [f"training file    {files['file'].id}{_examples(files['file'])}"]
    if held_out is not None:
        lines.append(f"validation file  {held_out.id}{_examples(held_out)}")
    lines.append(f"tokens           {_count(price.train_tokens)} to train, {_count(price.eval_tokens)} to evaluate")
    unknown = f"unknown: {price.reason or ''}"
    lines.append(f"price            {unknown if price.price is None else f'about {dollars(price.price)}'}")
    if price.user_limit is not None:
        lines.append(f"account          may spend {dollars(price.user_limit)}")
    return lines


def _examples(file: tune.File) -> str:
    return "" if file.lines is None else f", {file.lines:,} examples"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _price_dict(price: tune.PriceEstimate, files: dict[str, Any]) -> dict[str, Any]:
    return {
        "training_file": files["file"].id,
        "validation_file": files["validation"].id if "validation" in files else None,
        "price": None if price.price is None else f"{price.price:f}",
        "reason": price.reason,
        "tokens": {"train": price.train_tokens, "eval": price.eval_tokens},
        "user_limit": None if price.user_limit is None else f"{price.user_limit:f}",
        "allowed": price.allowed,
    }


def run_start(options: argparse.Namespace) -> int:
    limit = options.max_cost
    if not (options.yes or limit is not None or sys.stdin.isatty()):
        raise UsageError("no terminal to confirm the price: give --max-cost USD, or --yes")
    with _service(options) as backend:
        files, price = _estimated(options, backend)
        if not options.json:
            print("\n".join(_price_lines(price, files)))
        if limit is None and not options.yes:
            if not _agreed(price):
                print("nothing was started", file=sys.stderr)
                return 1
            # What was agreed to is the limit, should the price be another one now.
            limit = price.price
        job = tune.start(
            files["file"],
            options.model,
            validation=files.get("validation"),
            max_cost=limit,
            backend=backend,
            **_settings(options),
        )
        if options.watch:
            print(f"started {job.id}", file=sys.stderr)
            return _watch(job, backend, options, timeout=None, svg=None)
    if options.json:
        print(json_text(job_dict(job)))
    else:
        print(f"started {job.id}; watch it with: motet tune watch {job.id}")
    return 0


def _agreed(price: tune.PriceEstimate) -> bool:
    question = "The price is unknown. Start anyway?" if price.price is None else f"Start for {dollars(price.price)}?"
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def run_watch(options: argparse.Namespace) -> int:
    with _service(options) as backend:
        return _watch(options.job, backend, options, timeout=options.timeout, svg=options.svg)


def _watch(
    job: tune.Job | str, backend: Backend, options: argparse.Namespace, *, timeout: float | None, svg: str | None
) -> int:
    """Shows a job until it has ended. 0: there is a new model."""
    name = job if isinstance(job, str) else job.id
    try:
        with Watcher(as_json=options.json, color=options.color, svg=svg) as watcher:
            last = tune.watch(
                job, on_change=watcher.show, on_trouble=watcher.show_trouble, timeout=timeout, backend=backend
            )
    except KeyboardInterrupt:
        print(f"\nmotet: {name} goes on; watch it again with: motet tune watch {name}", file=sys.stderr)
        raise
    if not watcher.drawn:
        print(job_line(last, Style(options.color, sys.stdout)))
    return 0 if last.ok else 1


def run_list(options: argparse.Namespace) -> None:
    with _service(options) as backend:
        jobs = tune.jobs(backend=backend)
    if options.json:
        print(json_text([job_dict(job) for job in jobs], indent=2))
    else:
        print(job_table(jobs, Style(options.color, sys.stdout)))


def run_cancel(options: argparse.Namespace) -> int:
    with _service(options) as backend:
        job = tune.cancel(options.job, timeout=options.timeout, backend=backend)
    if options.json:
        print(json_text(job_dict(job)))
    else:
        print(job_line(job, Style(options.color, sys.stdout)))
    if job.phase != "cancelled":
        print(f"motet: {job.id} was not cancelled: it had ended before", file=sys.stderr)
        return 1
    return 0


def run_download(options: argparse.Namespace) -> None:
    with _service(options) as backend, Transfer(f"downloading {options.job}", quiet=options.json) as transfer:
        download = tune.download(
            options.job,
            options.output,
            kind=options.kind,
            step=options.step,
            sha256=options.sha256,
            extract=options.extract,
            on_progress=transfer.show,
            backend=backend,
        )
    if options.json:
        shape = {
            "path": str(download.path),
            "bytes": download.bytes,
            "sha256": download.sha256,
            "verified": download.verified,
            "resumed_at": download.resumed_at,
            "files": [str(path) for path in download.files],
        }
        print(json_text(shape))
        return
    checks = {
        "sha256": "checksum verified",
        "length": "length verified",
        "none": "the service sent no checksum or length",
    }
    print(f"{download.path}: {download.bytes:,} bytes, sha256 {download.sha256}; {checks[download.verified]}")
    for path in download.files:
        print(path)


def run_test(options: argparse.Namespace) -> int:
    settings = {"reasoning_effort": options.effort, "max_tokens": options.max_tokens}
    with _service(options) as backend, Transfer("asking", quiet=options.json) as transfer:
        comparison = tune.compare(
            options.model,
            Path(options.file),
            base=options.base,
            limit=options.limit,
            parallel=options.parallel,
            max_cost=options.max_cost,
            price=options.price,
            on_result=transfer.count,
            backend=backend,
            **{name: value for name, value in settings.items() if value is not None},
        )
    if options.json:
        print(json_text(comparison.to_dict(), indent=2))
    else:
        print(comparison_table(comparison, Style(options.color, sys.stdout)))
    if comparison.stopped is not None:
        print(f"motet: {comparison.stopped!s}; the rest was not asked", file=sys.stderr)
        return 3 if isinstance(comparison.stopped, motet.LimitError) else 1
    return 1 if any(tally.failed for tally in comparison.tallies) else 0

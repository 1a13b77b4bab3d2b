"""`motet batch`: a table of prompts, answered by a service's Batch API or by an offline runner."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from motet import batch
from motet.cli.commands.training import Transfer
from motet.cli.cost_report import dollars
from motet.cli.failure import FAILURE, OK, UsageError, describe
from motet.cli.inputs import read_text, tool_list
from motet.cli.options import add_json, fraction, positive, price, seconds, temperature, url
from motet.cli.parser import add_command
from motet.cli.terminal import json_text, visible
from motet.errors import ApiError

if TYPE_CHECKING:
    from motet.together import Backend


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND", title="commands")
    for add_verb in (_add_build, _add_submit, _add_watch, _add_collect, _add_retry, _add_cancel):
        add_json(add_verb(verbs))


def _add_build(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "build",
        "write the requests of a table to files in a folder; nothing is sent",
        (
            "motet batch build prompts.jsonl -o asked --max-tokens 2000",
            "motet batch build prompts.parquet -o asked -m openai/gpt-oss-20b --service vllm",
        ),
    )
    parser.add_argument("file", help="a .jsonl, .json, .csv or .parquet file: prompts, chats, or requests")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="for the files of the batch")
    parser.add_argument("-m", "--model", metavar="SLUG", help="a slug or a model id (together/gpt-oss/120b)")
    parser.add_argument("--column", metavar="NAME", help="the prompts; by default messages, prompt, or the only column")
    parser.add_argument("--service", metavar="NAME", help="who answers: together (default), vllm, sglang, ...")
    parser.add_argument("--lane", choices=("chat", "text", "ids"), default="chat", help="the form of requests (chat)")
    parser.add_argument("--max-requests", type=positive, default=50_000, metavar="N", help="of a file (50000)")
    parser.add_argument("--max-bytes", type=positive, default=100_000_000, metavar="N", help="of a file (100000000)")
    parser.add_argument("--system", action="append", default=[], metavar="TEXT", help="a system text")
    parser.add_argument("-b", "--brief", action="append", default=[], metavar="FILE", help="a file with a system text")
    parser.add_argument("--tools", metavar="FILE", help="a JSON list of tools that the model may call")
    parser.add_argument("--effort", choices=("low", "medium", "high"), help="the reasoning effort")
    parser.add_argument("--temperature", type=temperature, metavar="T", help="of the sampling, from 0")
    parser.add_argument("--seed", type=int, metavar="N", help="of the sampling, where the server supports it")
    parser.add_argument("--max-tokens", type=positive, metavar="N", help="tokens of an answer, reasoning included")
    parser.add_argument(
        "--price", type=price, metavar="INPUT,OUTPUT", help="US dollars for a million tokens, without the discount"
    )
    parser.add_argument("--discount", type=fraction, metavar="SHARE", help="what batches save of the price, 0 to 1")
    parser.set_defaults(run=run_build)
    return parser


def _add_submit(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "submit",
        "upload the files and create a job for each, or continue that",
        ("motet batch submit asked --watch",),
    )
    _add_folder(parser)
    parser.add_argument("--watch", action="store_true", help="watch the jobs until they have ended")
    parser.set_defaults(run=run_submit)
    return parser


def _add_watch(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(verbs, "watch", "show progress until all jobs have ended; Ctrl-C leaves them running")
    _add_folder(parser)
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="stop watching then (exit code 3)")
    parser.set_defaults(run=run_watch)
    return parser


def _add_collect(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "collect",
        "write the answers with their costs, in the order of the prompts",
        (
            "motet batch collect asked -o answers.parquet",
            "motet batch collect asked -o answers.jsonl --results vllm-1.jsonl vllm-2.jsonl",
        ),
    )
    _add_folder(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="a .parquet or .jsonl file")
    parser.add_argument(
        "--results", nargs="+", metavar="FILE", help="what another program wrote, such as vllm run-batch"
    )
    parser.set_defaults(run=run_collect)
    return parser


def _add_retry(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(verbs, "retry", "write the requests without an answer to new files, which submit sends")
    _add_folder(parser)
    parser.add_argument("--missing", action="store_true", help="those without any result alone, not those that failed")
    parser.set_defaults(run=run_retry)
    return parser


def _add_cancel(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(verbs, "cancel", "cancel the jobs; what was answered is billed, and collected")
    _add_folder(parser)
    parser.set_defaults(run=run_cancel)
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="the folder of the batch")
    parser.add_argument("--base-url", type=url, metavar="URL", help="by default $TOGETHER_BASE_URL, else Together's")


def run_build(options: argparse.Namespace) -> None:
    values = {
        "briefs": [*map(read_text, options.brief), *options.system],
        "tools": tool_list(options.tools) or (),
        "reasoning_effort": options.effort,
        "temperature": options.temperature,
        "seed": options.seed,
        "max_tokens": options.max_tokens,
    }
    asked: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    with Transfer("building", quiet=options.json) as transfer:
        built = batch.build(
            options.file,
            options.output,
            options.model or "together/gpt-oss/120b",
            column=options.column,
            service=options.service,
            price=options.price,
            discount=options.discount,
            max_requests=options.max_requests,
            max_bytes=options.max_bytes,
            on_progress=lambda count: transfer.say(f"{count:,} requests"),
            lane=options.lane,
            **asked,
        )
    if options.json:
        print(json_text(_batch_dict(built)))
        return
    files = f"{len(built.parts)} file{'s' * (len(built.parts) != 1)} in {visible(str(built.folder))}"
    print(f"{built.requests:,} requests for {visible(built.url)} in {files}, {_tokens(built)}")
    print(_discount_line(built))


def _tokens(built: batch.Batch) -> str:
    return "tokens unknown" if built.prompt_tokens is None else f"{built.prompt_tokens:,} prompt tokens"


def _discount_line(built: batch.Batch) -> str:
    if built.discount is None:
        return f"the discount of batches is not known for {visible(built.model)}: costs are unknown; give --discount"
    source = f", {built.discount_source}" if built.discount_source else ""
    return f"discount {built.discount:%}{visible(source)}"


def _batch_dict(state: batch.Batch) -> dict[str, Any]:
    parts = [
        {
            "file": part.name,
            "requests": part.requests,
            "bytes": part.bytes,
            "job": None if part.job is None else part.job.id,
            "status": None if part.job is None else part.job.status,
            "share": None if part.job is None else part.job.share,
            "error": None if part.job is None else part.job.error,
        }
        for part in state.parts
    ]
    return {
        "folder": str(state.folder),
        "model": state.model,
        "requests": state.requests,
        "prompt_tokens": state.prompt_tokens,
        "discount": None if state.discount is None else f"{state.discount:f}",
        "phase": state.phase if state.jobs else "built",
        "share": state.share,
        "trouble": state.trouble,
        "parts": parts,
    }


@contextlib.contextmanager
def _service(options: argparse.Namespace) -> Iterator[Backend]:
    from motet.together import Backend

    with Backend(base_url=options.base_url) as backend:
        yield backend


def run_submit(options: argparse.Namespace) -> int:
    with _service(options) as backend:
        with contextlib.ExitStack() as stack:
            transfers: dict[str, Transfer] = {}

            def show(name: str, done: int, total: int) -> None:
                if name not in transfers:
                    stack.pop_all().close()
                    transfers[name] = stack.enter_context(Transfer(f"uploading {name}", quiet=options.json))
                transfers[name].show(done, total)

            state = batch.submit(options.folder, on_progress=show, backend=backend)
        if options.watch:
            return _watch(options, backend, None)
    if options.json:
        print(json_text(_batch_dict(state)))
    else:
        count = len(state.jobs)
        print(f"submitted {state.requests:,} requests in {count} job{'s' * (count != 1)}")
        print(f"watch them with: motet batch watch {visible(options.folder)}")
    return OK


def run_watch(options: argparse.Namespace) -> int:
    with _service(options) as backend:
        return _watch(options, backend, options.timeout)


def _watch(options: argparse.Namespace, backend: Backend, timeout: float | None) -> int:
    """Shows the jobs until they have ended. 0: all are completed."""
    watcher = _Watcher(as_json=options.json)
    try:
        with watcher:
            last = batch.watch(
                options.folder, on_change=watcher.show, on_trouble=watcher.trouble, timeout=timeout, backend=backend
            )
    except KeyboardInterrupt:
        print(f"\nmotet: the jobs go on; watch them with: motet batch watch {options.folder}", file=sys.stderr)
        raise
    if not options.json:
        print(_state_line(last))
    return OK if last.phase == "completed" else FAILURE


def _state_line(state: batch.Batch) -> str:
    done = "" if state.share is None else f", {state.share:.0%} of {state.requests:,} requests"
    reasons = [f"{job.id}: {job.error}" for job in state.jobs if job.error]
    trouble = [] if state.trouble is None else [f"not reached just now: {state.trouble}"]
    return visible("; ".join([f"{state.status}{done}", *reasons, *trouble]))


class _Watcher:
    """The jobs of a batch while they change: a bar on a terminal, else a line for each change."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._bar: Any = None
        self._task: Any = None
        self._troubled = False

    def __enter__(self) -> Self:
        if not self._json and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            name = TextColumn("{task.description}", markup=False)
            columns = (name, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
            self._bar = Bars(*columns, console=Console(file=sys.stderr), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("submitted", total=None)
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, state: batch.Batch) -> None:
        if self._json:
            print(json_text(_batch_dict(state)), flush=True)
        elif self._bar is None:
            print(_state_line(state), file=sys.stderr, flush=True)
        else:
            total = None if state.share is None else state.requests
            done = (state.share or 0.0) * state.requests
            self._bar.update(self._task, description=visible(state.status), total=total, completed=done)

    def trouble(self, error: ApiError) -> None:
        """A line for the first request that fails before the jobs are known."""
        if not self._troubled:
            self._troubled = True
            print(f"motet: {describe(error)}; asked again until it answers, up to half an hour", file=sys.stderr)


def run_collect(options: argparse.Namespace) -> int:
    output = Path(options.output)
    if output.suffix.lower() not in (".parquet", ".jsonl", ".ndjson"):
        raise UsageError(f"the answers need a .parquet or .jsonl file: {options.output!r}")
    with contextlib.ExitStack() as stack:
        backend = None if options.results else stack.enter_context(_service(options))
        with Transfer("collecting", quiet=options.json) as transfer:
            results = batch.collect(options.folder, results=options.results, on_progress=transfer.show, backend=backend)
    summary = results.write(output)
    if options.json:
        print(json_text(_summary_dict(summary, output)))
    else:
        print("\n".join(_summary_lines(summary, results.batch, output)))
    return OK if summary.answered == summary.rows else FAILURE


def _summary_lines(summary: batch.Summary, state: batch.Batch, output: Path) -> list[str]:
    lines = [f"{summary.answered:,} of {summary.rows:,} answered; written to {visible(str(output))}"]
    tokens = [
        f"{'?' if count is None else f'{count:,}'} tokens {way}"
        for count, way in ((summary.input_tokens, "in"), (summary.output_tokens, "out"))
    ]
    cost = dollars(summary.cost) if summary.cost is not None else "cost unknown"
    lines.append(", ".join([*tokens, cost]))
    if summary.cost is None and state.discount is None:
        lines.append(_discount_line(state))
    lines += [f"{count:,} {visible(name)}" for name, count in summary.errors.most_common()]
    if summary.repairs:
        lines.append("repairs: " + ", ".join([f"{name} {count:,}" for name, count in summary.repairs.most_common()]))
    if summary.errors:
        lines.append(f"ask the rest again with: motet batch retry {visible(str(state.folder))}")
    return lines


def _summary_dict(summary: batch.Summary, output: Path) -> dict[str, Any]:
    cost: Decimal | None = summary.cost
    return {
        "output": str(output),
        "rows": summary.rows,
        "answered": summary.answered,
        "errors": dict(summary.errors),
        "repairs": dict(summary.repairs),
        "tokens": {"input": summary.input_tokens, "output": summary.output_tokens},
        "cost": None if cost is None else f"{cost:f}",
    }


def run_retry(options: argparse.Namespace) -> None:
    state = batch.retry(options.folder, errors=not options.missing)
    if options.json:
        print(json_text(_batch_dict(state)))
        return
    parts = [part for part in state.parts if part.job is None]
    print(f"{sum(part.requests for part in parts):,} requests in {', '.join(part.name for part in parts)}")
    print(f"send them with: motet batch submit {visible(options.folder)}")


def run_cancel(options: argparse.Namespace) -> None:
    with _service(options) as backend:
        state = batch.cancel(options.folder, backend=backend)
    print(json_text(_batch_dict(state)) if options.json else _state_line(state))

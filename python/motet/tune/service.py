"""Fine-tuning at a service: a function for each request, and `TuneClient`, which has them as methods."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, Unpack

from motet import catalog
from motet._context import Closing
from motet._retry import Clock, Retrier, RetryPolicy
from motet.atoms.factory import atom
from motet.errors import ApiError, BadPayloadError, ConfigError, MaxCostError, QuotaError, UnknownAtomError
from motet.limits import budget
from motet.metrics import Price, to_money
from motet.tune.evaluation import Comparison, Evaluation, Result, read_rows
from motet.tune.job_states import Job
from motet.tune.monitor import Monitor
from motet.tune.settings import Limits, PriceEstimate, TrainingSettings, check_settings, job_body, price_body
from motet.tune.transfers import Checkpoint, Download, DownloadProgress, File, Transfers, UploadProgress

if TYPE_CHECKING:
    from motet.together import Backend

__all__ = [
    "Clock",
    "TuneClient",
    "cancel",
    "compare",
    "download",
    "estimate",
    "follow",
    "job",
    "jobs",
    "limits",
    "start",
    "to_file",
    "upload",
    "watch",
]

P = ParamSpec("P")
R = TypeVar("R")
Service: TypeAlias = "Backend | TuneClient | None"
"""Where a function sends its requests. `None`: to the service that the environment names."""
Source: TypeAlias = "str | Path | File"
"""Training data: a path, which is uploaded; the id of a file of the service; or the result of `upload`."""

_POLICY = RetryPolicy(tries=5, max_wait=30.0, max_retry_after=600.0)
_VALIDATION_SECONDS = 3600.0


def limits(model: str, *, backend: Service = None) -> Limits:
    """What a model can be trained with, as the service says today.

    `model`: the service's name, or a slug of the catalogue. Raises `NotFoundError` for one that cannot be trained.
    """
    with contextlib.suppress(UnknownAtomError):
        model = catalog.find(model).model or model
    with _client(backend) as client:
        return Limits.read(model, client.retry(lambda: client.monitor.jobs.limits(model)))


def upload(
    path: str | Path,
    *,
    check: bool = True,
    max_tokens: int | None = None,
    on_progress: UploadProgress | None = None,
    on_state: Callable[[str], None] | None = None,
    timeout: float = _VALIDATION_SECONDS,
    backend: Service = None,
) -> File:
    """Uploads training data, unless the service has it already, and waits until the service has validated it.

    - `path`: a `.jsonl` file, or a `.parquet` file of tokens.
    - `check`: whether to run motet's own check first, which finds what the service would refuse.
    - `max_tokens`: the longest example that passes the check; `limits(model).max_tokens` is the model's.
    - `on_progress`: called with the bytes that were sent and their total; `on_state`: with the state of the validation.
    - `timeout`: seconds for the validation.

    A cut connection is tried again. A later upload of the same bytes continues with the same file. Raises
    `InvalidDatasetError` with the report of the check that failed, `ChangedFileError` if the file changes meanwhile,
    and `MaxTimeError`; after that, another upload continues the wait.
    """
    with _client(backend) as client:
        file = client.transfers.upload(Path(path), check, max_tokens, on_progress)
        return client.transfers.wait_for_validation(file, timeout, on_state)


def to_file(
    source: Source,
    *,
    on_state: Callable[[str], None] | None = None,
    timeout: float = _VALIDATION_SECONDS,
    backend: Service = None,
    **options: Any,
) -> File:
    """A file of the service. `options`: of `upload`, for a path."""
    if isinstance(source, File):
        return source
    with _client(backend) as client:
        file = client.transfers.find(source)
        if file is None:
            return upload(source, on_state=on_state, timeout=timeout, backend=client, **options)
        return client.transfers.wait_for_validation(file, timeout, on_state)


def estimate(
    training: Source,
    model: str | None = None,
    *,
    validation: Source | None = None,
    backend: Service = None,
    **settings: Unpack[TrainingSettings],
) -> PriceEstimate:
    """The price of a training. Nothing is trained. Files are uploaded, as the service counts their tokens.

    - `training`, `validation`: a path, the id of a file of the service, or the result of `upload`.
    - `model`: the model to train; `None` with the setting `from_checkpoint`.
    - `settings`: see `TrainingSettings`.

    Raises `ConfigError` for settings that the model does not allow.
    """
    with _client(backend) as client:
        return client.price(*_plan(client, training, model, validation, settings))


def start(
    training: Source,
    model: str | None = None,
    *,
    validation: Source | None = None,
    max_cost: Decimal | str | int | None = None,
    backend: Service = None,
    **settings: Unpack[TrainingSettings],
) -> Job:
    """Starts a training; `watch` waits for its end.

    - `training`, `validation`: a path, which is uploaded; the id of a file of the service; or the result of `upload`.
    - `model`: the model to train; `None` with the setting `from_checkpoint`.
    - `max_cost`: US dollars. If the service's estimate is higher or missing, nothing is started and `MaxCostError` is
      raised. `None`: no limit.
    - `settings`: see `TrainingSettings`. They are compared with the model's limits before anything is sent.

    One job is created: if the response is lost, the service's list of jobs says whether it exists. Raises
    `ConfigError`, `InvalidDatasetError`, `QuotaError` if the account cannot pay for it, and `ApiError`.
    """
    limit = None if max_cost is None else to_money(max_cost, "max_cost", floats=True)
    with _client(backend) as client:
        files, model_limits, values = _plan(client, training, model, validation, settings)
        _check_price(client.price(files, model_limits, values), limit)
        return client.monitor.start({**job_body(values, model_limits), **files})


def _plan(
    client: TuneClient, training: Source, model: str | None, validation: Source | None, settings: TrainingSettings
) -> tuple[dict[str, str], Limits, TrainingSettings]:
    """The ids of the files and the model, as requests name them; the model's limits; the settings."""
    checkpoint = settings.get("from_checkpoint")
    if (model is None) == (checkpoint is None):
        raise ConfigError("a training needs either a model or from_checkpoint")
    model_limits = limits(model or str(checkpoint).partition(":")[0], backend=client)
    if validation is not None:
        settings = {"n_evals": settings.get("n_epochs", 1), **settings}
    # Before uploads, which may take long.
    check_settings(model_limits, settings)
    longest = model_limits.longest(settings)
    file = to_file(training, max_tokens=longest, backend=client)
    files = {"training_file": file.id}
    files |= {"model": model_limits.model} if checkpoint is None else {"from_checkpoint": checkpoint}
    if validation is not None:
        files["validation_file"] = to_file(validation, max_tokens=longest, backend=client).id
        if files["validation_file"] == file.id:
            raise ConfigError(f"training and validation are one file: {file.name} ({file.id})")
    for feature, is_supported in (("reasoning", model_limits.reasoning), ("tools", model_limits.tools)):
        if (file.report or {}).get(f"dataset_has_{feature}") is True and is_supported is False:
            raise ConfigError(f"{model_limits.model} cannot be trained on {feature}, which {file.name} has")
    return files, model_limits, settings


def _check_price(price: PriceEstimate, limit: Decimal | None) -> None:
    if limit is not None and (price.price is None or price.price > limit):
        amount = f"unknown ({price.reason})" if price.price is None else f"estimated at {price.price:f} dollars"
        raise MaxCostError(
            f"the price of this training is {amount}, and max_cost is {limit:f}; nothing was started",
            limit=limit,
            option="max_cost",
            cost=price.price,
        )
    if price.allowed is False:
        left = "" if price.user_limit is None else f" (its limit is {price.user_limit:f} dollars)"
        raise QuotaError(f"the account cannot pay for this training{left}; nothing was started", cost=price.price)


def jobs(*, backend: Service = None) -> tuple[Job, ...]:
    """All jobs of the account, the newest first."""
    with _client(backend) as client:
        return client.monitor.list()


def job(job_id: str, *, backend: Service = None) -> Job:
    """A job with its events and metrics. Raises `NotFoundError`."""
    with _client(backend) as client:
        return client.monitor.retrieve(job_id)


def follow(job: Job | str, *, timeout: float | None = None, backend: Service = None) -> Iterator[Job]:
    """The job after each change, until it has ended; otherwise as `watch`.

    A request that fails gives the last known job with the error in `.trouble`.
    """
    with _client(backend) as client:
        yield from client.monitor.follow(_job_id(job), timeout)


def watch(
    job: Job | str,
    *,
    on_change: Callable[[Job], None] | None = None,
    on_trouble: Callable[[ApiError], None] | None = None,
    timeout: float | None = None,
    backend: Service = None,
) -> Job:
    """Waits until a job has ended, and returns it: `.ok`, or `.error`. An interrupt leaves the job running.

    - `on_change`: called with the job after each change; `.trouble` is the error of a request that failed.
    - `on_trouble`: called with each error of a request before the job is known.
    - `timeout`: seconds; then `MaxTimeError` is raised, with the job in `.state`. `None`: no limit.

    Failing requests are repeated for half an hour. Raises `TuneError` for a job that stays in an unknown status for an
    hour.
    """
    with _client(backend) as client:
        return client.monitor.watch(_job_id(job), timeout, on_change, on_trouble)


def cancel(job: Job | str, *, timeout: float = 300.0, backend: Service = None) -> Job:
    """Cancels a job, and returns it once it has ended.

    A job that ended before is returned unchanged: see `.phase`. Finished steps are billed. After `timeout` seconds
    raises `MaxTimeError` with the job in `.state`; the request to end it stays.
    """
    with _client(backend) as client:
        return client.monitor.cancel(_job_id(job), timeout)


def _job_id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id


def download(
    job: Job | str,
    to: str | Path = ".",
    *,
    kind: Checkpoint | None = None,
    step: int | None = None,
    sha256: str | None = None,
    extract: bool = False,
    on_progress: DownloadProgress | None = None,
    backend: Service = None,
) -> Download:
    """Downloads a checkpoint of a job.

    - `to`: a folder, which exists or ends in `/`, for a file named after the model; or a file.
    - `kind`: `merged`, the model with its adapter; `adapter` alone; `model` after full training. By default the whole
      model, where the service has one.
    - `step`: that of an earlier checkpoint than the last.
    - `sha256`: the expected checksum. The service's is compared in any case, where it sends one.
    - `extract`: unpack the archive, too, into a folder beside it.
    - `on_progress`: called with the bytes that arrived and their total, `None` if unknown.

    What arrives is kept in a `.part` file, from which a download that was cut continues, also in another process, if
    the service still has the same bytes. An existing file is replaced only by a complete one. Raises `DownloadError`,
    `UnsafeArchiveError` and `ApiError`.
    """
    with _client(backend) as client:
        job_id = _job_id(job)
        state = job if isinstance(job, Job) else Job.read(client.retry(lambda: client.monitor.jobs.retrieve(job_id)))
        return client.transfers.download(state, to, kind, step, sha256, extract, on_progress)


def compare(
    tuned: Job | str,
    examples: str | Path | Iterable[Mapping[str, Any]],
    *,
    base: str | None = None,
    limit: int | None = None,
    parallel: int = 4,
    max_cost: Decimal | str | int | None = None,
    price: Price | Mapping[str, Any] | None = None,
    on_result: Callable[[str, Result], None] | None = None,
    backend: Service = None,
    **options: Any,
) -> Comparison:
    """Asks a tuned model and its base model the same examples, and scores the answers.

    - `tuned`: a job, the id of one, or the name of a model.
    - `examples`: a JSONL file, or rows: conversations whose last message is the reference, `prompt` and `completion`,
      preference data (the preferred output is the reference), or prompts alone, which are not scored.
    - `base`: the model to compare with; by default the one that the job trained. Without one, only `tuned` is asked.
    - `limit`: how many examples, from the first on.
    - `parallel`: requests at once.
    - `max_cost`: US dollars for all; when they are spent, the rest is not asked.
    - `price`: of the tuned model, as `motet.atom` takes it; the base model's is the catalogue's.
    - `on_result`: called with the model and each result.
    - `options`: of `ask`: `reasoning_effort`, `max_tokens`, `temperature`, ...

    An example without an answer counts in `Tally.failed`, and as wrong. An error that every example would have (an
    unknown model, an account without credit) ends the comparison: it is in `.stopped` with the results so far, or is
    raised if there are none.
    """
    spend = None if max_cost is None else budget(max_cost)
    evaluation = Evaluation(read_rows(examples, limit), spend, options, parallel, on_result)
    with _client(backend) as client:
        if isinstance(tuned, str) and tuned.startswith("ft-"):
            tuned = job(tuned, backend=client)
        if isinstance(tuned, Job):
            base = base or tuned.model
            if tuned.output_model is None:
                raise ConfigError(f"{tuned.id} is {tuned.status} and has no model to ask")
            tuned = tuned.output_model
        with atom(tuned, backend=client.backend, price=price) as tuned_atom:
            tuned_tally = evaluation.ask(tuned, tuned_atom)
        if base is None:
            return Comparison(tuned_tally, None, evaluation.stopped)
        with atom(base, backend=client.backend) as base_atom:
            base_tally = evaluation.ask(base, base_atom)
        return Comparison(tuned_tally, base_tally, evaluation.stopped)


class Method(Generic[P, R]):
    """A function as a method of a client, which is its `backend`."""

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function

    def __get__(self, client: object, owner: type[object]) -> Callable[P, R]:
        # A ParamSpec cannot require a keyword.
        function: Any = self._function
        return self._function if client is None else functools.partial(function, backend=client)


class TuneClient(Closing):
    """A service and a clock. The methods are the functions of `motet.tune`, without their `backend`.

    - `backend`: the service; by default the one that the environment names, which the client closes.
    - `clock`: for waits and timeouts; tests replace it.
    """

    limits = Method(limits)
    upload = Method(upload)
    to_file = Method(to_file)
    estimate = Method(estimate)
    start = Method(start)
    jobs = Method(jobs)
    job = Method(job)
    follow = Method(follow)
    watch = Method(watch)
    cancel = Method(cancel)
    download = Method(download)
    compare = Method(compare)

    def __init__(self, backend: Backend | None = None, clock: Clock | None = None) -> None:
        # The import of the SDK takes 0.3 s.
        from motet.together import Backend
        from motet.together.admin.files import Files
        from motet.together.admin.jobs import Jobs

        self._is_owner = backend is None
        self.backend = Backend() if backend is None else backend
        self.retry = Retrier(_POLICY, is_transient, clock or Clock())
        jobs = Jobs(self.backend)
        self.monitor = Monitor(jobs, self.retry)
        self.transfers = Transfers(Files(self.backend), jobs, self.retry)

    def close(self) -> None:
        if self._is_owner:
            self.backend.close()

    def price(self, files: Mapping[str, str], model_limits: Limits, settings: TrainingSettings) -> PriceEstimate:
        """The service's estimate for files and settings that are checked."""
        body = {**price_body(settings, model_limits), **files}
        return PriceEstimate.read(self.retry(lambda: self.monitor.jobs.estimate(body)))


@contextlib.contextmanager
def _client(backend: Service) -> Iterator[TuneClient]:
    if isinstance(backend, TuneClient):
        yield backend
        return
    with TuneClient(backend) as client:
        yield client


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed later. An HTML page instead of JSON counts: proxies send it while the
    service behind them restarts."""
    return isinstance(error, ApiError) and (error.retryable or isinstance(error, BadPayloadError))

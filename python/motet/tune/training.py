"""Before a training and at its beginning: what a model allows, what it will cost, and the one job that is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from motet import catalog
from motet.errors import ApiError, ConfigError, MaxCostError, QuotaError, UnknownAtomError
from motet.metrics import to_money
from motet.tune.clock import REAL, Clock, is_transient, retry
from motet.tune.settings import Limits, Settings, check_settings, price_settings, wire_settings
from motet.tune.states import ENDED, Job, count_of
from motet.tune.uploads import File, service_of, to_file

if TYPE_CHECKING:
    from motet.together import Backend
    from motet.together.admin.jobs import Jobs

__all__ = ["PriceEstimate", "estimate", "jobs_of", "limits", "start"]

_REASONS = {
    "multimodal_dataset": "the service prices no data with images",
    "train_file_not_validated": "the training file is not validated yet",
    "eval_file_not_validated": "the validation file is not validated yet",
    "train_file_invalid": "the training file is invalid",
    "eval_file_invalid": "the validation file is invalid",
}


@dataclass(frozen=True, slots=True)
class PriceEstimate:
    """What a training may cost, as the service reckons."""

    price: Decimal | None
    """US dollars. `None`: unknown, and `reason` says why."""
    reason: str | None = None
    train_tokens: int | None = None
    """Tokens that are trained on, in all epochs."""
    eval_tokens: int | None = None
    """Tokens that are evaluated."""
    user_limit: Decimal | None = None
    """US dollars that the account may still spend. `None`: the service does not say."""
    allowed: bool | None = None
    """Whether the account can pay for it. `None`: the service does not say."""

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> PriceEstimate:
        """From what the service writes."""
        if shape.get("estimation_available") is not True:
            code = str(shape.get("unavailable_reason") or "")
            return cls(None, _REASONS.get(code, code or "the service does not say why"))
        price, allowed = _dollars(shape.get("estimated_total_price")), shape.get("allowed_to_proceed")
        return cls(
            price,
            "the service names no price" if price is None else None,
            count_of(shape.get("estimated_train_token_count")),
            count_of(shape.get("estimated_eval_token_count")),
            _dollars(shape.get("user_limit")),
            allowed if isinstance(allowed, bool) else None,
        )


def _dollars(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and amount >= 0 else None


def jobs_of(backend: Backend | None) -> Jobs:
    """The service's jobs: those of `backend`, or of the service that the environment names."""
    from motet.together.admin.jobs import Jobs

    return Jobs(service_of(backend))


def limits(model: str, *, backend: Backend | None = None, clock: Clock = REAL) -> Limits:
    """What a model can be trained with, as the service says today. Raises `NotFoundError` for one that cannot be."""
    jobs, name = jobs_of(backend), model_id(model)
    return Limits.read(name, retry(lambda: jobs.limits(name), clock))


def model_id(model: str) -> str:
    """The service's name of a model, from that or from a slug of the catalogue."""
    try:
        return catalog.find(model).model or model
    except UnknownAtomError:
        return model


def estimate(
    training: str | Path | File,
    model: str,
    *,
    validation: str | Path | File | None = None,
    backend: Backend | None = None,
    clock: Clock = REAL,
    **settings: Unpack[Settings],
) -> PriceEstimate:
    """What a training will cost. Nothing is trained; a file that the service does not have yet is uploaded, since it
    counts its tokens there.

    - `training`, `validation`: a path, the id of a file of the service, or what `upload` gave.
    - `settings`: as for `start`.

    Raises `ConfigError` for settings that the model does not allow.
    """
    plan = _Plan.of(training, model, validation, settings, backend, clock)
    return plan.price()


def start(
    training: str | Path | File,
    model: str,
    *,
    validation: str | Path | File | None = None,
    max_cost: Decimal | str | int | None = None,
    backend: Backend | None = None,
    clock: Clock = REAL,
    **settings: Unpack[Settings],
) -> Job:
    """Starts a training, and gives the job; `watch` it.

    - `training`, `validation`: a path, which is uploaded; the id of a file of the service; or what `upload` gave.
    - `max_cost`: US dollars. It is not started if the service's estimate is higher, or if there is none: raises
      `MaxCostError`. `None`: whatever it costs.
    - `settings`: see `Settings`; each is held against what the model allows before anything starts.

    No second job is made if the answer to the first request is lost: the service is asked which jobs it has. Raises
    `ConfigError`, `InvalidDatasetError`, `QuotaError` if the account cannot pay for it, and `ApiError`.
    """
    limit = None if max_cost is None else to_money(max_cost, "max_cost")
    plan = _Plan.of(training, model, validation, settings, backend, clock)
    price = plan.price()
    if limit is not None and (price.price is None or price.price > limit):
        why = f"is unknown ({price.reason})" if price.price is None else f"is estimated at {price.price:f} dollars"
        raise MaxCostError(
            f"the price of this training {why}, and it may cost {limit:f}; nothing was started",
            limit=limit,
            option="max_cost",
            cost=price.price,
        )
    if price.allowed is False:
        left = "" if price.user_limit is None else f" (its limit is {price.user_limit:f} dollars)"
        raise QuotaError(f"the account cannot pay for this training{left}; nothing was started", cost=price.price)
    return plan.start()


@dataclass(frozen=True)
class _Plan:
    """A training that is checked and not started."""

    jobs: Jobs
    model: str
    training: File
    validation: File | None
    limits: Limits
    settings: Settings
    clock: Clock

    @classmethod
    def of(
        cls,
        training: str | Path | File,
        model: str,
        validation: str | Path | File | None,
        settings: Settings,
        backend: Backend | None,
        clock: Clock,
    ) -> _Plan:
        backend = service_of(backend)
        jobs = jobs_of(backend)
        allowed = limits(model, backend=backend, clock=clock)
        if validation is not None:
            settings = {"n_evals": settings.get("n_epochs", 1), **settings}
        # Before an upload that may take long.
        check_settings(allowed, settings)
        sent = to_file(training, backend=backend, clock=clock, max_tokens=allowed.longest(settings))
        held_out = (
            None
            if validation is None
            else to_file(validation, backend=backend, clock=clock, max_tokens=allowed.longest(settings))
        )
        if held_out is not None and held_out.id == sent.id:
            raise ConfigError(f"the validation data is the training data: {sent.name} ({sent.id})")
        _fits(allowed, sent)
        return cls(jobs, allowed.model, sent, held_out, allowed, settings, clock)

    def price(self) -> PriceEstimate:
        asked = {"training_file": self.training.id, "model": self.model, **price_settings(self.settings, self.limits)}
        if self.validation is not None:
            asked["validation_file"] = self.validation.id
        return PriceEstimate.read(retry(lambda: self.jobs.estimate(asked), self.clock))

    def start(self) -> Job:
        asked = {"training_file": self.training.id, "model": self.model, **wire_settings(self.settings, self.limits)}
        if self.validation is not None:
            asked["validation_file"] = self.validation.id
        before = {str(shape.get("id")) for shape in retry(self.jobs.list, self.clock)}
        try:
            return Job.read(self.jobs.create(asked))
        except ApiError as error:
            if not is_transient(error):
                raise
            made = self._made_since(before, error)
            if made is None:
                raise
            return made

    def _made_since(self, before: set[str], error: ApiError) -> Job | None:
        """The job that was made although its answer was lost. `None`: none was."""
        try:
            after = retry(self.jobs.list, self.clock)
        except ApiError as worse:
            raise type(error)(
                f"{error}. Whether the training was started is not known, since the service does not list its jobs "
                f"({worse}): look at them before you start it again",
                **vars(error),
            ) from worse
        mine = (self.training.id, self.model, self.settings.get("suffix"))
        for shape in after:
            job = Job.read(shape) if isinstance(shape.get("id"), str) else None
            if job is None or job.id in before or job.phase in ENDED:
                continue
            if (job.training_file, job.model, job.suffix) == mine:
                return job
        return None


def _fits(allowed: Limits, file: File) -> None:
    """Raises `ConfigError` if the data has what the model cannot be trained on."""
    for feature, can in (("reasoning", allowed.reasoning), ("tools", allowed.tools)):
        if (file.report or {}).get(f"dataset_has_{feature}") is True and can is False:
            raise ConfigError(f"{file.name} has {feature}, and {allowed.model} cannot be trained on it")

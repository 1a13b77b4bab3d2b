"""The fine-tuning of a scripted server: limits of models, prices, jobs.

No clock moves a job: it advances by one stage each time it is polled.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from motet import _core
from motet.metrics import Price, cost_of
from motet.testing.script import Fault
from motet.testing.server.faulty_service import FaultyService
from motet.testing.server.storage import Storage

__all__ = ["Job", "Stage", "Training", "TrainingService", "checkpoint_archive", "stages"]

_STARTED = "2026-11-21T10:{:02d}:{:02d}Z"


@dataclass(frozen=True)
class Stage:
    """A job as one poll shows it."""

    status: str
    step: int = 0
    """Training steps done."""
    events: tuple[str, ...] = ()
    """The types of new events: `job_start`, `checkpoint_save`, ..."""
    message: str = ""
    """Of the new events. Empty: by their types."""
    seconds_remaining: int | None = None


def stages(total: int = 20, *, evals: int = 4, end: str = "completed") -> tuple[Stage, ...]:
    """The life of a job, poll by poll: `total` steps in `evals` parts, then the status `end`."""
    running = [
        Stage("running", step, ("checkpoint_save",) if step == total else (), seconds_remaining=(total - step) * 3)
        for step in [round(total * (part + 1) / evals) for part in range(evals)]
    ]
    end_event = {"completed": "job_complete", "error": "job_error", "user_error": "job_error"}.get(end, "job_stopped")
    return (
        Stage("pending", events=("job_pending",)),
        Stage("queued"),
        Stage("running", 0, ("job_start", "training_start")),
        *running,
        Stage("compressing", total, ("training_complete", "model_compressing")),
        Stage("uploading", total, ("model_uploading",)),
        Stage(end, total, (end_event,), "Out of memory" if end == "error" else ""),
    )


def checkpoint_archive(files: Mapping[str, bytes] | None = None) -> bytes:
    """A small checkpoint as a `.tar.gz`."""
    files = files or {
        "adapter_config.json": b'{"r": 8, "peft_type": "LORA"}\n',
        "adapter_model.safetensors": bytes(range(256)) * 64,
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


@dataclass
class Job:
    """A job, with its JSON in `shape`."""

    shape: dict[str, Any]
    stages: list[Stage]
    total: int
    events: list[dict[str, Any]] = field(default_factory=list)
    polls: int = 0

    def poll(self) -> None:
        """Advances to the next stage."""
        stage = self.stages[min(self.polls, len(self.stages) - 1)]
        is_new = self.polls < len(self.stages)
        self.polls += 1
        self.shape["status"] = stage.status
        self.shape["updated_at"] = _STARTED.format(min(self.polls, 59), 0)
        self.shape["steps_completed"] = stage.step
        if stage.step:
            self.shape["total_steps"] = self.total
        if stage.seconds_remaining is not None:
            self.shape["progress"] = {"estimate_available": True, "seconds_remaining": stage.seconds_remaining}
        for kind in stage.events if is_new else ():
            self._add_event(kind, stage)

    def _add_event(self, kind: str, stage: Stage) -> None:
        shape: dict[str, Any] = {
            "object": "fine-tune-event",
            "created_at": _STARTED.format(min(self.polls, 59), len(self.events) % 60),
            "type": kind,
            "message": stage.message or kind.replace("_", " ").capitalize(),
            "level": "error" if kind == "job_error" else "info",
        }
        if stage.step:
            shape |= {"step": stage.step, "total_steps": self.total}
        self.events.append(shape)

    def metrics(self) -> list[dict[str, float]]:
        done = int(self.shape.get("steps_completed") or 0)
        rows = [
            {**_head(step), "train/loss": _loss(step), "train/learning_rate": 1e-5, "train/grad_norm": 1.0}
            for step in range(1, done + 1)
        ]
        interval = max(self.total // 4, 1)
        rows += [{**_head(step), "eval/loss": _loss(step) + 0.15} for step in range(interval, done + 1, interval)]
        return sorted(rows, key=lambda row: row["train/global_step"])


def _head(step: int) -> dict[str, float]:
    return {"train/global_step": float(step), "timestamp": 1763700000.0 + step}


def _loss(step: int) -> float:
    """Decreasing, with deterministic noise."""
    return round(0.6 + 1.8 * math.exp(-step / 8) + 0.06 * math.sin(step * 2.3), 4)


class TrainingService(FaultyService):
    """The files and fine-tuning jobs of a scripted server.

    - `stages`: what each poll of a job shows.
    - `storage`: the files.
    - `price`: US dollars for a million tokens of training, for estimates. `None`: estimates have no price.
    - `user_limit`: US dollars that the account may spend.
    - `archive`: the bytes of each checkpoint; `digest`: whether their checksum is sent, too.
    - `redirect_downloads`: whether checkpoints are in a store on another host.
    - `faults`: for each operation of `OPERATIONS`, the faults of its requests in order; `None` lets one request pass.
    """

    OPERATIONS = (
        *("reserve", "put", "preprocess", "retrieve_file", "list_files", "delete_file", "file_content"),
        *("multipart", "part", "limits", "estimate", "create", "list", "retrieve", "events", "checkpoints"),
        *("metrics", "cancel", "download", "stored"),
    )

    def __init__(
        self,
        stages: Sequence[Stage] | Callable[[], Sequence[Stage]] = stages,
        *,
        storage: Storage | None = None,
        price: str | None = "0.48",
        user_limit: str = "25",
        archive: bytes | None = None,
        digest: bool = True,
        redirect_downloads: bool = False,
        faults: Mapping[str, Sequence[Fault | None]] | None = None,
    ) -> None:
        self.storage = storage or Storage()
        self.stages = stages if callable(stages) else lambda: stages
        self.price = price
        self.user_limit = user_limit
        self.archive = archive or checkpoint_archive()
        self.digest = digest
        self.redirect_downloads = redirect_downloads
        self.jobs: dict[str, Job] = {}
        self.limits: dict[str, Any] = {
            "max_num_epochs": 20,
            "max_num_evals": 100,
            "max_num_checkpoints": 20,
            "min_learning_rate": 1e-8,
            "max_learning_rate": 0.01,
            "max_seq_length_sft": 16384,
            "max_seq_length_dpo": 8192,
            "min_max_seq_length": 256,
            "default_gradient_accumulation_steps": 1,
            "merge_output_lora": True,
            "supports_full_training": False,
            "supports_reasoning": True,
            "supports_tools": True,
            "supports_vision": False,
            "lora_training": {
                "default_rank": 8,
                "max_rank": 64,
                "min_batch_size": 8,
                "max_batch_size": 16,
                "max_batch_size_dpo": 8,
                "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
            },
        }
        """Of every model."""
        super().__init__(faults)

    def estimate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The price estimate of a job."""
        tokens = []
        for name in ("training_file", "validation_file"):
            file = self.storage.files.get(body.get(name) or "")
            kind = "train" if name == "training_file" else "eval"
            if file is not None and file.states[0] != "COMPLETED":
                state = "invalid" if file.states[0] == "INVALID_FORMAT" else "not_validated"
                return {"estimation_available": False, "unavailable_reason": f"{kind}_file_{state}"}
            tokens.append(0 if file is None else _core.count(file.data.decode("utf-8", "replace")))
        if self.price is None:
            return {"estimation_available": False, "unavailable_reason": "multimodal_dataset"}
        trained = tokens[0] * int(body.get("n_epochs") or 1)
        evaluated = tokens[1] * int(body.get("n_evals") or 0)
        total = cost_of(Price(Decimal(self.price), Decimal(self.price)), trained, evaluated)
        assert total is not None, "both prices are known"
        return {
            "estimation_available": True,
            "allowed_to_proceed": total <= Decimal(self.user_limit),
            "estimated_total_price": float(total),
            "estimated_train_token_count": trained,
            "estimated_eval_token_count": evaluated,
            "user_limit": float(self.user_limit),
        }

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new job."""
        number = len(self.jobs) + 1
        name = f"ft-{number:08x}-9e8d"
        model = body.get("model") or "from-checkpoint"
        suffix = f"-{body['suffix']}" if body.get("suffix") else ""
        shape = {
            **{key: value for key, value in body.items() if key not in ("wandb_key", "hf_api_token")},
            "id": name,
            "status": "pending",
            "user_id": "user-1",
            "created_at": _STARTED.format(0, number % 60),
            "updated_at": _STARTED.format(0, number % 60),
            "model_output_name": f"scripted/{model.rpartition('/')[2]}{suffix}-{number:08x}",
            "token_count": self.estimate(body).get("estimated_train_token_count"),
            "total_price": None if self.price is None else _nano(self.estimate(body).get("estimated_total_price")),
        }
        plan = list(self.stages())
        self.jobs[name] = Job(shape, plan, max([stage.step for stage in plan]))
        return shape

    def cancel(self, job: Job) -> str | None:
        """Ends a job at the poll after the next. The result is an error message, if it has ended already."""
        if job.shape["status"] in ("completed", "error", "user_error", "cancelled"):
            return f"the job is {job.shape['status']}, and cannot be cancelled"
        step = int(job.shape.get("steps_completed") or 0)
        job.shape["status"] = "cancel_requested"
        job.stages = [
            *job.stages[: job.polls],
            Stage("cancel_requested", step, ("cancel_requested",)),
            Stage("cancelled", step, ("job_stopped",)),
        ]
        return None

    def checkpoints(self, job: Job) -> list[dict[str, Any]]:
        """Those that can be downloaded."""
        if job.shape["status"] != "completed":
            return []
        name = str(job.shape["model_output_name"])
        final = {"step": job.total, "created_at": job.shape["updated_at"], "path": f"s3://checkpoints/{name}"}
        return [
            {**final, "checkpoint_type": f"Final ({kind})", "checkpoint": selector}
            for kind, selector in (("merged", "model"), ("adapter", "adapter"))
            if self.limits.get("merge_output_lora") or selector == "adapter"
        ]

    def etag(self) -> str:
        """The MD5 of the checkpoint, as object stores send it."""
        return f'"{hashlib.md5(self.archive, usedforsecurity=False).hexdigest()}"'


def _nano(price: float | None) -> int | None:
    return None if price is None else int(Decimal(str(price)).scaleb(9))


Training = TrainingService

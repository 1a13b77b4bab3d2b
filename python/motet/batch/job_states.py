"""Batch jobs as values, and the meaning of every status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from motet.tune.job_states import number_of

__all__ = ["ENDED", "PHASES", "BatchJob", "Phase"]

Phase: TypeAlias = Literal["waiting", "running", "cancelling", "completed", "failed", "expired", "cancelled", "unknown"]

PHASES: Final[Mapping[str, Phase]] = {
    "validating": "waiting",
    "in_progress": "running",
    # OpenAI's own words; Together's are the others.
    "finalizing": "running",
    "cancelling": "cancelling",
    "completed": "completed",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
}
"""The phase of every status. Any other status is `unknown`: it is shown, and the job polled further."""

ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
"""The phases that no other follows."""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """The job of one file of requests, at one moment."""

    id: str
    status: str
    """The service's word: `IN_PROGRESS`."""
    input_file: str | None = None
    output_file: str | None = None
    """The id of the file with the answers. `None`: there are none so far."""
    error_file: str | None = None
    """The id of the file with the requests that failed. `None`: there are none so far."""
    share: float | None = None
    """The share of the requests that is done, from 0 to 1. `None`: unknown."""
    error: str | None = None
    """Why the job failed, in the service's words."""
    created_at: str | None = None
    deadline: str | None = None
    """When the job expires, as the service writes it."""

    @property
    def phase(self) -> Phase:
        """The meaning of the status."""
        return PHASES.get(self.status.lower(), "unknown")

    @property
    def ended(self) -> bool:
        """True if the phase is `completed`, `failed`, `expired` or `cancelled`."""
        return self.phase in ENDED

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> BatchJob:
        """From the JSON of Together or of OpenAI."""
        texts = {
            "input_file": shape.get("input_file_id"),
            "output_file": shape.get("output_file_id"),
            "error_file": shape.get("error_file_id"),
            "created_at": shape.get("created_at"),
            "deadline": shape.get("job_deadline") or shape.get("expires_at"),
        }
        return cls(
            str(shape["id"]),
            str(shape.get("status") or "unknown"),
            share=_share(shape),
            error=_error(shape),
            **{name: None if value in (None, "") else str(value) for name, value in texts.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, which `read` reads."""
        return {
            "id": self.id,
            "status": self.status,
            "input_file_id": self.input_file,
            "output_file_id": self.output_file,
            "error_file_id": self.error_file,
            "progress": None if self.share is None else self.share * 100,
            "error": self.error,
            "created_at": self.created_at,
            "job_deadline": self.deadline,
        }


def _share(shape: Mapping[str, Any]) -> float | None:
    """From Together's per cent, or OpenAI's counts."""
    progress = number_of(shape.get("progress"))
    if progress is not None:
        return min(max(progress / 100, 0.0), 1.0)
    counts = shape.get("request_counts")
    if isinstance(counts, Mapping):
        total = number_of(counts.get("total"))
        numbers = [number_of(counts.get(name)) or 0.0 for name in ("completed", "failed")]
        return min(sum(numbers) / total, 1.0) if total else None
    return None


def _error(shape: Mapping[str, Any]) -> str | None:
    """Together's text, or OpenAI's list of errors."""
    error, errors = shape.get("error"), shape.get("errors")
    if isinstance(error, str) and error:
        return error
    rows = errors.get("data") if isinstance(errors, Mapping) else None
    messages = [str(row.get("message")) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return "; ".join(messages) or None

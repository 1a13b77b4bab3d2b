"""The files of a scripted server: uploads in three steps, validation, ranges of contents.

This is the service without faults; those are in `TrainingService.faults`.
"""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Storage", "StoredFile", "byte_range", "form", "validation_error"]

_STARTED = 1763700000


@dataclass
class StoredFile:
    """A file, complete or not."""

    id: str
    name: str
    purpose: str
    kind: str
    checksum: str
    created_at: int
    data: bytes = b""
    parts: dict[int, bytes] = field(default_factory=dict)
    states: list[str | None] = field(default_factory=lambda: [None])
    """Of its validation: the current state, and those of the next polls."""
    error: str | None = None

    def shape(self, *, poll: bool = False) -> dict[str, Any]:
        """The service's JSON. `poll`: the validation advances by a state."""
        if poll and len(self.states) > 1:
            self.states.pop(0)
        shape: dict[str, Any] = {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created_at,
            "filename": self.name,
            "FileType": self.kind,
            "purpose": self.purpose,
        }
        status = self.states[0]
        if status is not None:
            shape["processing_status"] = status
        if status in ("COMPLETED", "INVALID_FORMAT"):
            valid = status == "COMPLETED"
            shape["validation_report"] = {"valid": valid, "file_id": self.id, "nlines": self.data.count(b"\n")}
            if not valid:
                shape["validation_report"] |= {"error": self.error, "error_type": "INVALID_FORMAT"}
        return shape


class Storage:
    """All files, by id.

    - `validation`: the states that polls of a new file show before its final state.
    - `knows_checksums`: whether a second file of equal bytes is refused with the id of the first.
    """

    def __init__(self, validation: Sequence[str] = ("PENDING", "RUNNING"), *, knows_checksums: bool = True) -> None:
        self.files: dict[str, StoredFile] = {}
        self.validation = validation
        self.knows_checksums = knows_checksums
        self._count = 0

    def id_of(self, checksum: str) -> str | None:
        """The id of the file with this checksum."""
        if not self.knows_checksums:
            return None
        return next((file.id for file in self.files.values() if file.checksum == checksum), None)

    def reserve(self, fields: Mapping[str, Any]) -> StoredFile:
        """The first step: a file without bytes."""
        self._count += 1
        file = StoredFile(
            f"file-{self._count:08x}-5c1d",
            str(fields["file_name"]),
            str(fields["purpose"]),
            str(fields["file_type"]),
            str(fields["checksum"]),
            _STARTED + self._count,
        )
        self.files[file.id] = file
        return file

    def keep(self, name: str, data: bytes) -> StoredFile:
        """A complete file that the service made."""
        checksum = hashlib.sha256(data).hexdigest()
        fields = {"file_name": name, "purpose": "batch-api", "file_type": "jsonl", "checksum": checksum}
        file = self.reserve(fields)
        file.data = data
        return file

    def preprocess(self, file: StoredFile) -> str | None:
        """The third step: starts the validation. The result is an error message, or `None`."""
        if hashlib.sha256(file.data).hexdigest() != file.checksum:
            return "the checksum of the file is not that of its bytes"
        if file.purpose == "batch-api":
            # The job validates the requests.
            return None
        file.error = validation_error(file.data)
        end = "COMPLETED" if file.error is None else "INVALID_FORMAT"
        file.states = [*self.validation, end]
        return None


def validation_error(data: bytes) -> str | None:
    """The service's error message for a training file; `None`: it is valid."""
    for number, line in enumerate(data.splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            return f"Line {number}: invalid JSON"
        if not isinstance(row, dict):
            return f"Line {number}: must be an object"
        if not row.keys() & {"messages", "prompt", "text", "preferred_output"}:
            return f"Line {number}: unknown dataset format"
        for place, message in enumerate(row.get("messages", ())):
            if "role" not in message:
                return f"Line {number}: `messages[{place}]` must contain a `role` field"
    return None if data.strip() else "the file is empty"


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The start and end of a `Range` header, the end excluded. `None`: it is beyond the file."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", header or "bytes=0-")
    if match is None:
        return 0, size
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
    return (start, min(end, size)) if start < size else None


def form(content_type: str, data: bytes) -> dict[str, str]:
    """The fields of a multipart form."""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data)
    if not message.is_multipart():
        raise ValueError("not a multipart form")
    fields: dict[str, str] = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            fields[name] = str(part.get_payload(decode=True).decode())  # type: ignore[union-attr]
    return fields

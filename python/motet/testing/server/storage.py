"""The files of a scripted server: the upload in three steps, the validation, and contents in pieces.

Here is what a service does; how it fails is said by the faults of a `Training`.
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
    """A file, or what of it has arrived."""

    id: str
    name: str
    purpose: str
    kind: str
    checksum: str
    created_at: int
    data: bytes = b""
    parts: dict[int, bytes] = field(default_factory=dict)
    states: list[str | None] = field(default_factory=lambda: [None])
    """Its validation: what it is now, and what each further look at it shows."""
    error: str | None = None

    def shape(self, *, look: bool = False) -> dict[str, Any]:
        """As the service writes it. `look`: its validation goes on by a step."""
        if look and len(self.states) > 1:
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
    """All files, by their ids.

    - `validation`: what looking at a file shows, one look after the other, before its end is known.
    - `knows_checksums`: whether a second file of the same bytes is refused with the id of the first.
    """

    def __init__(self, validation: Sequence[str] = ("PENDING", "RUNNING"), *, knows_checksums: bool = True) -> None:
        self.files: dict[str, StoredFile] = {}
        self.validation = validation
        self.knows_checksums = knows_checksums
        self._made = 0

    def known(self, checksum: str) -> str | None:
        """The id of a file with these bytes."""
        if not self.knows_checksums:
            return None
        return next((one.id for one in self.files.values() if one.checksum == checksum), None)

    def reserve(self, fields: Mapping[str, Any]) -> StoredFile:
        """The first step: a file without bytes."""
        self._made += 1
        found = StoredFile(
            f"file-{self._made:08x}-5c1d",
            str(fields["file_name"]),
            str(fields["purpose"]),
            str(fields["file_type"]),
            str(fields["checksum"]),
            _STARTED + self._made,
        )
        self.files[found.id] = found
        return found

    def preprocess(self, found: StoredFile) -> str | None:
        """The third step: its validation begins. Gives what is wrong, if that cannot be."""
        if hashlib.sha256(found.data).hexdigest() != found.checksum:
            return "the checksum of the file is not that of its bytes"
        found.error = validation_error(found.data)
        end = "COMPLETED" if found.error is None else "INVALID_FORMAT"
        found.states = [*self.validation, end]
        return None


def validation_error(data: bytes) -> str | None:
    """What the service finds wrong with a training file, in its words."""
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
    """From where to where a `Range` asks, the end not included. `None`: it asks for what is not there."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", header or "bytes=0-")
    if found is None:
        return 0, size
    start, end = int(found[1]), int(found[2]) + 1 if found[2] else size
    return (start, min(end, size)) if start < size else None


def form(content_type: str, data: bytes) -> dict[str, str]:
    """The fields of a multipart form."""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data)
    if not message.is_multipart():
        raise ValueError("a multipart form was to come")
    fields: dict[str, str] = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            fields[name] = str(part.get_payload(decode=True).decode())  # type: ignore[union-attr]
    return fields

"""Training data on its way to the service, and checkpoints on their way back; both survive cuts.

A training file is identified by the SHA-256 of its bytes, which is part of its name at the service: equal bytes are
uploaded once, even if uploads are cut or run at once. The bytes are hashed again while they are sent, so that only
bytes that were checked are trained on. A download continues at the byte where it was cut, and replaces the target file
only when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from io import BufferedRandom
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from motet._atomic_files import lock_handle
from motet._retry import Retrier
from motet.errors import (
    ApiError,
    ChangedFileError,
    ConfigError,
    DownloadError,
    InvalidDatasetError,
    InvalidRequestError,
    MaxTimeError,
    NotFoundError,
    TuneError,
)
from motet.tune import archives
from motet.tune.job_states import Job
from motet.tune.lines import MAX_FILE_BYTES

if TYPE_CHECKING:
    from motet.together.admin.content import Content
    from motet.together.admin.files import Files, UploadTarget
    from motet.together.admin.jobs import Jobs

__all__ = ["Checkpoint", "Download", "File", "Transfers"]

ONE_PIECE = 5 * 1024**3
"""Larger files are sent in parts."""
PART = 256 * 1024**2
_CHUNK = 1024**2
_STALE_SECONDS = 60.0
"""A reserved file that has no bytes after this time is left over from an upload that was cut."""
_FILE_ID = re.compile(r"file-[A-Za-z0-9-]+")

UploadProgress = Callable[[int, int], None]
"""Called with the bytes that were sent and their total; the first falls back when a part is sent again."""
DownloadProgress = Callable[[int, int | None], None]
"""Called with the bytes that arrived and their total; `None`: unknown."""
Checkpoint = Literal["merged", "adapter", "model"]


@dataclass(frozen=True, slots=True)
class File:
    """A training file of the service."""

    id: str
    name: str
    bytes: int | None
    """`None`: unknown."""
    status: str | None
    """Of its validation: `COMPLETED`, ... `None`: not validated."""
    lines: int | None = None
    """Examples, as the service counted them."""
    report: Mapping[str, Any] | None = None
    """The validation report."""

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> File:
        """From the service's JSON."""
        report = shape.get("validation_report")
        report = report if isinstance(report, Mapping) else None
        size, status, lines = shape.get("bytes"), shape.get("processing_status"), (report or {}).get("nlines")
        return cls(
            str(shape["id"]),
            str(shape.get("filename", "")),
            size if isinstance(size, int) else None,
            status.upper() if isinstance(status, str) else None,
            lines if isinstance(lines, int) else None,
            report,
        )


@dataclass(frozen=True, slots=True)
class Download:
    """A downloaded checkpoint."""

    path: Path
    """The archive."""
    bytes: int
    sha256: str
    """Of the archive, hexadecimal."""
    verified: Literal["sha256", "length", "none"]
    """What the archive was compared with: a checksum of the service or of the caller; its size; or nothing, where the
    service gives neither."""
    resumed_at: int = 0
    """Bytes of an earlier download that was cut."""
    files: tuple[Path, ...] = ()
    """The files that were unpacked."""


@dataclass(frozen=True)
class Transfers:
    """Files to and from a service."""

    files: Files
    jobs: Jobs
    retry: Retrier

    def upload(self, path: Path, check: bool, max_tokens: int | None, on_progress: UploadProgress | None) -> File:
        size, kind = _size_and_type(path)
        sha256 = (_check(path, max_tokens) if check and kind == "jsonl" else None) or _sha256(path)
        name = f"{re.sub(r'[^A-Za-z0-9._-]', '_', path.stem)[:80]}-{sha256[:16]}.{kind}"
        upload = _Upload(self.files, self.retry, path, name, sha256, kind, size, on_progress)
        try:
            return upload.existing() or upload.send()
        except NotFoundError:
            # Another upload of the same bytes was faster, and deleted this one as stale.
            return upload.existing() or upload.send()

    def find(self, source: str | Path) -> File | None:
        """The file of an id. `None`: `source` is a path."""
        if not isinstance(source, str) or not _FILE_ID.fullmatch(source) or Path(source).exists():
            return None
        return File.read(self.retry(lambda: self.files.retrieve(source)))

    def wait_for_validation(self, file: File, timeout: float, on_state: Callable[[str], None] | None) -> File:
        """The file at the end of its validation. States that motet does not know are waited for, too."""
        clock, pause, file_id = self.retry.clock, 1.0, file.id
        deadline = clock.now() + timeout

        def poll() -> File:
            return File.read(self.retry(lambda: self.files.retrieve(file_id)))

        while file.status is not None and file.status not in ("COMPLETED", "FAILED", "INVALID_FORMAT"):
            if on_state is not None:
                on_state(f"validation {file.status.lower()}")
            left = deadline - clock.now()
            if left <= 0:
                unknown = "" if file.status in ("PENDING", "QUEUED", "RUNNING") else " (unknown to motet)"
                raise MaxTimeError(
                    f"{file.id} was not validated within {timeout:g} s: {file.status}{unknown}; the file is at the "
                    "service, go on with its id",
                    limit=timeout,
                    option="timeout",
                    state=file,
                )
            clock.sleep(min(pause, left))
            pause = min(pause * 1.5, 20.0)
            file = poll()
        if file.status in (None, "COMPLETED") and (file.report or {}).get("valid") is not False:
            return file
        if file.report is None:
            # The response to an upload has no report; the file itself has one.
            file = poll()
        reason = (file.report or {}).get("error") or "no reason given"
        raise InvalidDatasetError(
            f"the service refuses {file.id} ({file.name}) as training data: {reason}", report=file.report
        )

    def download(
        self,
        job: Job,
        to: str | Path,
        kind: Checkpoint | None,
        step: int | None,
        sha256: str | None,
        extract: bool,
        on_progress: DownloadProgress | None,
    ) -> Download:
        if not job.ok and step is None:
            raise ConfigError(f"{job.id} is {job.status} and has no model yet; step= names an earlier checkpoint")
        if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise ConfigError(f"sha256 must be 64 hexadecimal digits: {sha256!r}")
        kind = kind or ("model" if job.full else self._default_kind(job.id))
        target, is_named = _target(to, job, kind, step)
        selector = "model_output_path" if kind == "model" else kind
        content = partial(self.jobs.content, job.id, selector, step)
        with _PartialFile.open(target, {"job": job.id, "kind": kind, "step": step}) as part:
            _Fetch(content, self.retry, part, on_progress).run()
            verified = part.verify(sha256)
            path = target if is_named else target.with_name(target.name + part.archive_suffix())
            part.replace(path)
        files = archives.unpack(path, _unpacked_folder(path)) if extract else ()
        return Download(path, part.size, part.sha256, verified, part.resumed_at, files)

    def fetch(self, file_id: str, target: Path, on_progress: DownloadProgress | None) -> Download:
        """Downloads a file of the service to `target`, which is replaced when all bytes are there."""
        content = partial(self.files.content, file_id)
        with _PartialFile.open(target, {"file": file_id}) as part:
            _Fetch(content, self.retry, part, on_progress).run()
            verified = part.verify(None)
            part.replace(target)
        return Download(target, part.size, part.sha256, verified, part.resumed_at)

    def _default_kind(self, job_id: str) -> Checkpoint:
        """The merged model, unless the job has an adapter only."""
        kinds = {shape.get("checkpoint") for shape in self.retry(lambda: self.jobs.checkpoints(job_id))}
        return "adapter" if "adapter" in kinds and "model" not in kinds else "merged"


def _size_and_type(path: Path) -> tuple[int, str]:
    """Raises `ConfigError` for a file that cannot be sent, and `OSError` for one that is missing."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in ("jsonl", "parquet"):
        raise ConfigError(f"training data must be .jsonl or .parquet: {path}")
    size = path.stat().st_size
    if not path.is_file():
        raise ConfigError(f"not a file: {path}")
    if not 0 < size <= MAX_FILE_BYTES:
        raise ConfigError(f"training data must have 1 to {MAX_FILE_BYTES} bytes: {path} has {size}")
    return size, kind


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, max_tokens: int | None) -> str | None:
    """The SHA-256 of the bytes that were checked. Raises `InvalidDatasetError` with motet's own report."""
    from motet.tune.data_check import check

    report = check(path, max_tokens=max_tokens)
    if report.ok:
        return report.sha256
    first = [str(finding) for finding in report.findings if finding.severity == "error"][:3]
    raise InvalidDatasetError(
        f"{path} was not sent: {report.errors} error{'s' * (report.errors != 1)}: {'; '.join(first)}; for all of them: "
        f"motet data check {path}",
        report=report,
    )


@dataclass
class _Upload:
    """One file on its way to the service."""

    files: Files
    retry: Retrier
    path: Path
    name: str
    sha256: str
    kind: str
    size: int
    on_progress: UploadProgress | None
    stale: tuple[str, ...] = ()
    """Files of this name without all bytes: left over from uploads that were cut, or being sent by others."""

    def existing(self) -> File | None:
        """The file of this name, if the service has all of its bytes."""
        same_name = [shape for shape in self.retry(self.files.list) if shape.get("filename") == self.name]
        self.stale = tuple([str(shape.get("id")) for shape in same_name if shape.get("bytes") != self.size])
        return next((self._complete(shape) for shape in same_name if shape.get("bytes") == self.size), None)

    def _complete(self, shape: Mapping[str, Any]) -> File:
        """A file with all bytes; starts its validation where that was not done."""
        file = File.read(shape)
        if file.status is not None:
            return file
        return File.read(self.retry(lambda: self.files.preprocess(file.id)))

    def send(self) -> File:
        """The three steps: reserve, send, validate. An error deletes what it leaves at the service."""
        parts = [(0, self.size)]
        if self.size > ONE_PIECE:
            parts = [(start, min(PART, self.size - start)) for start in range(0, self.size, PART)]
        target = self.retry(lambda: self._reserve(len(parts)))
        if not target.urls:
            file = self._adopt(target.id)
            if file is not None:
                return file
            target = self.retry(lambda: self._reserve(len(parts)))
            if not target.urls:
                raise TuneError(f"{target.id} is another upload of {self.path}, and incomplete; try again later")
        try:
            etags = self._send_parts(target, parts)
            finish = self.files.complete if target.upload else None
            shape = self.retry(lambda: finish(target, etags) if finish else self.files.preprocess(target.id))
        except BaseException as error:
            if not isinstance(error, NotFoundError):
                note = self._delete(target)
                error.args = (f"{error}{note}", *error.args[1:]) if note else error.args
            raise
        # Not earlier: until now, other processes that send the same bytes find them.
        for file_id in self.stale:
            with contextlib.suppress(ApiError, ConfigError):
                self.files.delete(file_id)
        return File.read(shape)

    def _reserve(self, parts: int) -> UploadTarget:
        if parts == 1:
            return self.files.reserve(self.name, self.sha256, self.kind)
        return self.files.reserve_parts(self.name, self.sha256, self.kind, self.size, parts)

    def _adopt(self, file_id: str) -> File | None:
        """The service's file of the same bytes, if it is complete or becomes so in a minute. Else it is deleted as
        stale: `None`."""
        clock = self.retry.clock
        deadline = clock.now() + _STALE_SECONDS
        while True:
            shape = self.retry(lambda: self.files.retrieve(file_id))
            if shape.get("bytes") == self.size:
                return self._complete(shape)
            if clock.now() >= deadline:
                self.files.delete(file_id)
                return None
            clock.sleep(5.0)

    def _delete(self, target: UploadTarget) -> str:
        """Deletes an upload that failed. The result is a note for the error, if that fails, too."""
        try:
            self.files.delete(target.id) if target.upload is None else self.files.abort(target)
        except (ApiError, ConfigError) as error:
            return f" (its incomplete upload {target.id} could not be deleted: {error})"
        return ""

    def _send_parts(self, target: UploadTarget, parts: list[tuple[int, int]]) -> list[str]:
        """The etags of the parts. Raises `ChangedFileError` if the bytes are not those that were checked."""
        digest, etags = hashlib.sha256(), []
        with self.path.open("rb") as file:
            for url, (start, length) in zip(target.urls, parts, strict=True):
                etag, digest = self._send_part(file, url, start, length, digest)
                etags.append(etag)
            has_changed_size = os.fstat(file.fileno()).st_size != self.size
        if digest.hexdigest() != self.sha256 or has_changed_size:
            raise ChangedFileError(
                f"{self.path} changed while it was checked and sent; the upload was deleted, upload it again when "
                "the file is complete",
                expected=self.sha256,
                found=digest.hexdigest(),
            )
        return etags

    def _send_part(self, file: BinaryIO, url: str, start: int, length: int, before: Any) -> tuple[str, Any]:
        """The etag of a part, and the hash of the file up to its end. Each try hashes the part anew."""
        digests: list[Any] = []

        def body() -> Iterator[bytes]:
            digests.append(before.copy())
            return self._chunks(file, start, length, digests[-1])

        etag = self.retry(lambda: self.files.put(url, body, length))
        return (etag or "").strip('"'), digests[-1]

    def _chunks(self, file: BinaryIO, start: int, length: int, digest: Any) -> Iterator[bytes]:
        """The bytes of a part, hashed as they are read. A file that was truncated is filled up: its hash differs."""
        left = length
        while left:
            file.seek(start + length - left)
            chunk = file.read(min(_CHUNK, left)) or bytes(min(_CHUNK, left))
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
            if self.on_progress is not None:
                self.on_progress(start + length - left, self.size)


def _target(to: str | Path, job: Job, kind: str, step: int | None) -> tuple[Path, bool]:
    """The file that the caller names, and true; or one named after the model in the caller's folder, and false: its
    suffix depends on the first bytes of the archive."""
    path = Path(to)
    # `Path` drops the slash that marks a folder.
    if not path.is_dir() and not str(to).endswith(("/", os.sep)):
        return path, True
    path.mkdir(parents=True, exist_ok=True)
    words = [job.output_model or job.id, kind, *([] if step is None else [f"step-{step}"])]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(words)).lstrip(".")
    return path / name[:200], False


def _unpacked_folder(path: Path) -> Path:
    """The archive's name without its suffixes."""
    name = re.sub(r"\.tar(\.\w+)?$|\.tgz$", "", path.name)
    return path.with_name(name if name != path.name else f"{name}.files")


class _VersionChangedError(Exception):
    """The service has other bytes than those that were downloaded before."""


@dataclass
class _PartialFile:
    """The bytes that have arrived, and a note beside them that says which checkpoint they are of."""

    path: Path
    handle: BufferedRandom
    note: Path
    label: dict[str, Any]
    size: int = 0
    resumed_at: int = 0
    total: int | None = None
    etag: str | None = None
    digest: str | None = None
    """The service's SHA-256 of the whole."""
    sha256: str = field(default="", init=False)

    @classmethod
    @contextlib.contextmanager
    def open(cls, target: Path, label: dict[str, Any]) -> Iterator[_PartialFile]:
        """Opens the partial file under a lock. Raises `ConfigError` if another download has it."""
        path = target.with_name(target.name + ".part")
        # A symbolic link is not followed: it may lead to a file outside of the folder.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags, 0o666), "r+b") as handle:
            try:
                lock_handle(handle.fileno(), wait=False)
            except BlockingIOError:
                raise ConfigError(f"another download writes to {path}; wait for its end") from None
            yield cls(path, handle, path.with_name(path.name + ".json"), label)

    def resume(self) -> None:
        """Keeps the bytes if they are of the same checkpoint, else discards them."""
        try:
            shape = json.loads(self.note.read_bytes())
            self.etag, self.total, self.digest = shape["etag"], shape["total"], shape["digest"]
            is_same = shape["label"] == self.label and self.etag is not None
        except (OSError, ValueError, LookupError, TypeError):
            is_same = False
        if not is_same:
            self.clear()
        self.size = self.resumed_at = self.handle.seek(0, os.SEEK_END)

    def clear(self) -> None:
        self.handle.seek(0)
        self.handle.truncate()
        self.size, self.resumed_at, self.total, self.etag, self.digest = 0, 0, None, None, None

    def begin(self, body: Content) -> None:
        """Prepares for the bytes of a response: the rest of the file, or all of it."""
        if body.start and body.etag not in (None, self.etag):
            # A store that ignores If-Range sends the rest of another version.
            raise _VersionChangedError
        if body.start not in (0, self.size):
            raise DownloadError(
                f"the service sends bytes from {body.start} on, instead of {self.size}",
                expected=self.size,
                found=body.start,
            )
        if not body.start:
            self.clear()
        self.total = body.total if body.total is not None else self.total
        self.etag, self.digest = body.etag or self.etag, body.sha256 or self.digest
        shape = {"label": self.label, "etag": self.etag, "total": self.total, "digest": self.digest}
        self.note.write_text(json.dumps(shape))

    def append(self, chunk: bytes) -> None:
        self.handle.seek(self.size)
        self.handle.write(chunk)
        self.size += len(chunk)

    def verify(self, expected: str | None) -> Literal["sha256", "length", "none"]:
        """Compares the file with its size and checksums. Raises `DownloadError`; a wrong file is discarded, as
        continuing it makes no sense."""
        self.handle.seek(0)
        self.sha256 = hashlib.file_digest(self.handle, "sha256").hexdigest()
        if self.total is not None and self.size != self.total:
            size = self.size
            self.clear()
            raise DownloadError(f"{size} bytes arrived instead of {self.total}", expected=self.total, found=size)
        for checksum, origin in ((expected, "the given one"), (self.digest, "the service's")):
            if checksum is not None and checksum.lower() != self.sha256:
                self.clear()
                raise DownloadError(
                    f"wrong SHA-256: {self.sha256}, {origin} is {checksum}; the download was discarded and nothing was "
                    "replaced, download it again",
                    expected=checksum,
                    found=self.sha256,
                )
        if expected is not None or self.digest is not None:
            return "sha256"
        return "none" if self.total is None else "length"

    def archive_suffix(self) -> str:
        """By the first bytes."""
        self.handle.seek(0)
        head = self.handle.read(4)
        return next((suffix for magic, suffix in archives.MAGIC.items() if head.startswith(magic)), ".tar")

    def replace(self, path: Path) -> None:
        """Renames the file to its target, once it is on the disk."""
        self.handle.flush()
        os.fsync(self.handle.fileno())
        self.path.replace(path)
        self.note.unlink(missing_ok=True)


@dataclass
class _Fetch:
    """The requests of one download."""

    open_content: Callable[..., AbstractContextManager[Content]]
    """Called with `start` and `etag`."""
    retry: Retrier
    part: _PartialFile
    on_progress: DownloadProgress | None

    def run(self) -> None:
        """Requests the rest until the file is complete. A request that brought bytes does not count as a failure."""
        part = self.part
        part.resume()
        failures = 0
        while part.total is None or part.size < part.total:
            before = part.size
            try:
                self._request()
                if part.total is None:
                    return
                if part.size == before != part.total:
                    raise DownloadError("the service sends no more bytes", expected=part.total, found=before)
                failures = 0
            except (InvalidRequestError, _VersionChangedError):
                # The service has other or fewer bytes than are here.
                if not before:
                    raise
                part.clear()
            except ApiError as error:
                failures = 1 if part.size > before else failures + 1
                wait = self.retry.wait_after(error, failures)
                if wait is None:
                    raise
                self.retry.clock.sleep(wait)

    def _request(self) -> None:
        part = self.part
        with self.open_content(start=part.size, etag=part.etag) as body:
            part.begin(body)
            for chunk in body.chunks:
                part.append(chunk)
                if self.on_progress is not None:
                    self.on_progress(part.size, part.total)

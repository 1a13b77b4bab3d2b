"""A checkpoint on its way here: a download that goes on where it was cut, and takes its place only when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from motet.errors import ApiError, ConfigError, DownloadError, InvalidRequestError
from motet.tune import archives
from motet.tune.clock import POLICY, REAL, Clock, is_transient, retry
from motet.tune.states import Job
from motet.tune.training import jobs_of

if TYPE_CHECKING:
    from motet.together import Backend
    from motet.together.admin.jobs import Content, Jobs

try:
    import fcntl
except ImportError:  # Not on Windows: there nobody can lock the file, and two downloads must not be started.
    fcntl = None  # type: ignore[assignment]

__all__ = ["Download", "download"]

Progress = Callable[[int, int | None], None]
"""Is told how many bytes of how many are here; the second is `None` where the service does not say."""


@dataclass(frozen=True, slots=True)
class Download:
    """A checkpoint that is here."""

    path: Path
    """The archive."""
    bytes: int
    sha256: str
    """Of the archive, hexadecimal."""
    verified: Literal["sha256", "length", "none"]
    """What it was held against: a checksum, of the service's or given; how long it is; or nothing, where the service
    says neither."""
    resumed_at: int = 0
    """Bytes that were here before, from a download that was cut."""
    files: tuple[Path, ...] = ()
    """What was unpacked."""


def download(
    job: Job | str,
    to: str | Path = ".",
    *,
    kind: Literal["merged", "adapter", "model"] | None = None,
    step: int | None = None,
    sha256: str | None = None,
    extract: bool = False,
    on_progress: Progress | None = None,
    backend: Backend | None = None,
    clock: Clock = REAL,
) -> Download:
    """Fetches a checkpoint of a job.

    - `to`: a folder, one that is there or ends in `/`, where the file is named after the model; or a file.
    - `kind`: `merged`, the model with its adapter, or `adapter` alone; `model` after full training. By default the
      whole model, where the service has one.
    - `step`: of a checkpoint before the last.
    - `sha256`: what the file has to have, if you know. The service's own is looked at where it sends one.
    - `extract`: unpack it, too, into a folder beside it.

    What arrives is kept in a `.part` beside the file: a download that was cut goes on from there, at once or in another
    process, if the service still has the same bytes. A file that is there is replaced only by one that is whole. Raises
    `DownloadError`, `UnsafeArchiveError` and `ApiError`.
    """
    known = jobs_of(backend)
    if isinstance(job, str):
        job_id = job
        job = Job.read(retry(lambda: known.retrieve(job_id), clock))
    if not job.ok and step is None:
        raise ConfigError(f"{job.id} is {job.status}, and has no model yet; with step= a checkpoint of it may be there")
    wanted = kind or ("model" if job.full else _offered(known, job.id, clock))
    place = _place(to, job, wanted, step)
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ConfigError(f"sha256 must be 64 hexadecimal digits, not {sha256!r}")
    with _Part.of(place.path) as part:
        part.label = {"job": job.id, "kind": wanted, "step": step}
        fetch = _Fetch(known, job.id, "model_output_path" if wanted == "model" else wanted, step, part, on_progress)
        fetch.run(clock)
        verified = _verify(part, sha256)
        path = place.named(part)
        part.becomes(path)
    files: tuple[Path, ...] = ()
    if extract:
        files = archives.unpack(path, _bare(path))
    return Download(path, part.size, part.sha256, verified, part.kept, files)


def _offered(known: Jobs, job_id: str, clock: Clock) -> Literal["merged", "adapter"]:
    """What there is after the training of an adapter: of some models, nothing but that."""
    there = {shape.get("checkpoint") for shape in retry(lambda: known.checkpoints(job_id), clock)}
    return "adapter" if "adapter" in there and "model" not in there else "merged"


@dataclass(frozen=True)
class _Place:
    path: Path
    """Of the file, but for its ending if `open`."""
    open: bool

    def named(self, part: _Part) -> Path:
        return self.path.with_name(self.path.name + part.ending()) if self.open else self.path


def _place(given: str | Path, job: Job, kind: str, step: int | None) -> _Place:
    to = Path(given)
    # A path forgets the slash that says that it is a folder.
    if not to.is_dir() and not str(given).endswith(("/", os.sep)):
        return _Place(to, False)
    to.mkdir(parents=True, exist_ok=True)
    # The service's name has its account's in it, and what else it likes.
    words = [job.output_model or job.id, kind, *([] if step is None else [f"step-{step}"])]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(words)).lstrip(".")
    return _Place(to / name[:200], True)


def _bare(path: Path) -> Path:
    """The folder that an archive is unpacked into: its name without its endings."""
    name = re.sub(r"\.tar(\.\w+)?$|\.tgz$", "", path.name)
    return path.with_name(name if name != path.name else f"{name}.files")


class _OtherError(Exception):
    """What the service has is not what a part of is here."""


@dataclass
class _Part:
    """What has arrived, with what it is a part of in a file beside it."""

    path: Path
    handle: Any
    note: Path
    label: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    kept: int = 0
    """Bytes that were here before, and still are."""
    total: int | None = None
    etag: str | None = None
    digest: str | None = None
    sha256: str = ""

    @classmethod
    @contextlib.contextmanager
    def of(cls, path: Path) -> Iterator[_Part]:
        """Takes the part for one download: two would make a mess of it. Raises `ConfigError` for the second."""
        name = path.with_name(path.name + ".part")
        # No link is followed: the part is a file, and beside the place where it will be.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(name, flags, 0o666), "r+b") as handle:
            if fcntl is not None:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ConfigError(f"another download writes to {name}; wait for it") from None
            yield cls(name, handle, path.with_name(path.name + ".part.json"))

    def resume(self) -> None:
        """Goes on with the bytes of the same checkpoint that are here. Others, or those of unknown origin, are thrown
        away."""
        try:
            shape = json.loads(self.note.read_bytes())
            self.etag, self.total, self.digest = shape["etag"], shape["total"], shape["digest"]
            same = shape["label"] == self.label and self.etag is not None
        except (OSError, ValueError, LookupError, TypeError):
            same = False
        if not same:
            self.empty()
        self.size = self.kept = self.handle.seek(0, os.SEEK_END)

    def empty(self) -> None:
        self.handle.seek(0)
        self.handle.truncate()
        self.size, self.kept, self.total, self.etag, self.digest = 0, 0, None, None, None

    def begin(self, content: Content) -> None:
        """Makes ready for what comes: the rest of what is here, or all of it anew."""
        if content.start and content.etag not in (None, self.etag):
            # A store that does not know If-Range: these are bytes of another version.
            raise _OtherError
        if content.start not in (0, self.size):
            raise DownloadError(
                f"the service sends bytes from {content.start} on, where {self.size} are here",
                expected=self.size,
                found=content.start,
            )
        if not content.start:
            self.empty()
        self.total = content.total if content.total is not None else self.total
        self.etag, self.digest = content.etag or self.etag, content.sha256 or self.digest
        shape = {"label": self.label, "etag": self.etag, "total": self.total, "digest": self.digest}
        self.note.write_text(json.dumps(shape))

    def add(self, piece: bytes) -> None:
        self.handle.seek(self.size)
        self.handle.write(piece)
        self.size += len(piece)

    def ending(self) -> str:
        """What the archive is called, by how it begins."""
        self.handle.seek(0)
        head = self.handle.read(4)
        return next((kind for magic, kind in archives.MAGIC.items() if head.startswith(magic)), ".tar")

    def becomes(self, path: Path) -> None:
        """Takes the place of a file: on the disk first, then under its name."""
        self.handle.flush()
        os.fsync(self.handle.fileno())
        self.path.replace(path)
        self.note.unlink(missing_ok=True)


@dataclass
class _Fetch:
    jobs: Jobs
    job_id: str
    checkpoint: str
    step: int | None
    part: _Part
    on_progress: Progress | None

    def run(self, clock: Clock) -> None:
        """Until all is here. A try that brought something does not count as a failed one."""
        self.part.resume()
        failed = 0
        while self.part.total is None or self.part.size < self.part.total:
            before = self.part.size
            try:
                self._once()
                if self.part.total is None:
                    break
                if self.part.size == before:
                    raise DownloadError("the service sends nothing more", expected=self.part.total, found=before)
                failed = 0
            except (InvalidRequestError, _OtherError):
                # Of other bytes, or fewer than are here: so it is not the same file any more.
                if not before:
                    raise
                self.part.empty()
            except ApiError as error:
                failed = 1 if self.part.size > before else failed + 1
                if not is_transient(error) or failed >= POLICY.tries:
                    raise
                clock.sleep(min(2.0 ** (failed - 1), 30.0))

    def _once(self) -> None:
        part = self.part
        with self.jobs.content(self.job_id, self.checkpoint, self.step, start=part.size, etag=part.etag) as content:
            part.begin(content)
            for piece in content.pieces:
                part.add(piece)
                if self.on_progress is not None:
                    self.on_progress(part.size, part.total)


def _verify(part: _Part, given: str | None) -> Literal["sha256", "length", "none"]:
    """Holds what came against what is known of it. What is wrong is thrown away: going on from it makes no sense."""
    part.handle.seek(0)
    part.sha256 = hashlib.file_digest(part.handle, "sha256").hexdigest()
    if part.total is not None and part.size != part.total:
        size = part.size
        part.empty()
        raise DownloadError(f"{size} bytes came instead of {part.total}", expected=part.total, found=size)
    for expected, whose in ((given, "the one given"), (part.digest, "the service's")):
        if expected is not None and expected.lower() != part.sha256:
            part.empty()
            raise DownloadError(
                f"the SHA-256 of what came is {part.sha256}, and {whose} is {expected}: it was thrown away, and "
                "nothing was replaced; download it again",
                expected=expected,
                found=part.sha256,
            )
    if given is not None or part.digest is not None:
        return "sha256"
    return "none" if part.total is None else "length"

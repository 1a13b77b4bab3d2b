"""Training data on its way to the service: checked, sent once, and validated there.

A file is known by the SHA-256 of its bytes, which is part of the name that the service gets: so the same bytes are
never there twice, however often an upload was cut, and by whom. The bytes are hashed again while they are sent: what
was not checked is not trained on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motet.errors import (
    ApiError,
    ChangedFileError,
    ConfigError,
    InvalidDatasetError,
    MaxTimeError,
    NotFoundError,
    TuneError,
)
from motet.tune.clock import REAL, Clock, retry

if TYPE_CHECKING:
    from motet.together import Backend
    from motet.together.admin.files import Files, Place

__all__ = ["File", "service_of", "to_file", "upload"]

MAX_BYTES = 50 * 1024**3
"""The service takes no more."""
ONE_PIECE = 5 * 1024**3
"""Larger files are sent in parts."""
PART = 256 * 1024**2
_PIECE = 1024**2
"""Bytes that are read at once."""
_TORN_AFTER = 60.0
"""Seconds after which a file that does not get its bytes is taken for the rest of an upload that was cut."""
_ID = re.compile(r"file-[A-Za-z0-9-]+")

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are sent; less than before when they are sent again."""


@dataclass(frozen=True, slots=True)
class File:
    """Training data that the service has."""

    id: str
    name: str
    bytes: int | None
    """`None`: the service does not say."""
    status: str | None
    """Of its validation: `COMPLETED`, ... `None`: it is not validated."""
    lines: int | None = None
    """Examples, as the service counted them."""
    report: Mapping[str, Any] | None = None
    """What its validation found."""

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> File:
        """From what the service writes."""
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


def upload(
    path: str | Path,
    *,
    check: bool = True,
    max_tokens: int | None = None,
    on_progress: Progress | None = None,
    on_state: Callable[[str], None] | None = None,
    timeout: float = 3600.0,
    backend: Backend | None = None,
    clock: Clock = REAL,
) -> File:
    """Sends a file of examples, unless the service has it already, and waits until it has validated it.

    - `path`: `.jsonl`, or `.parquet` with tokens.
    - `check`: whether motet's own check comes first: it finds what the service would find, before anything is sent.
    - `max_tokens`: the longest example that the check passes; `limits(model).max_tokens` is what a model takes.
    - `on_progress`: is told how many bytes of how many are sent; `on_state`: how far their validation is.
    - `timeout`: seconds for the validation.

    A connection that is cut is tried again; the same file, sent again later, is the same file there. Raises
    `InvalidDatasetError` with the report of whoever refused it, `ChangedFileError` if the file changes meanwhile, and
    `MaxTimeError` if it is not validated in time: then sending it again goes on with the waiting.
    """
    path = Path(path)
    size, kind = _measured(path)
    # Of the bytes that were checked, where they were.
    sha256 = (_checked(path, max_tokens) if check and kind == "jsonl" else None) or _sha256(path)
    files = _files(backend)
    name = f"{re.sub(r'[^A-Za-z0-9._-]', '_', path.stem)[:80]}-{sha256[:16]}.{kind}"
    sending = _Sending(files, path, name, sha256, kind, size, on_progress, clock)
    try:
        found = sending.known() or sending.send()
    except NotFoundError:
        # Somebody else who sent the same bytes was faster, and took ours for the rest of an upload that was cut.
        found = sending.known() or sending.send()
    return _validated(files, found, timeout, on_state, clock)


def to_file(given: str | Path | File, **options: Any) -> File:
    """A file of the service's: one that is given, one that an id names, or one that is uploaded. `options`: of
    `upload`."""
    if isinstance(given, File):
        return given
    if isinstance(given, str) and _ID.fullmatch(given) and not Path(given).exists():
        clock: Clock = options.get("clock", REAL)
        files = _files(options.get("backend"))
        shape = retry(lambda: files.retrieve(given), clock)
        return _validated(files, File.read(shape), options.get("timeout", 3600.0), options.get("on_state"), clock)
    return upload(given, **options)


def service_of(backend: Backend | None) -> Backend:
    """The service to ask: the one that is given, or the one that the environment names."""
    if backend is not None:
        return backend
    # The SDK takes a third of a second to import; nobody waits for it who does not ask.
    from motet.together import Backend as Together

    return Together()


def _files(backend: Backend | None) -> Files:
    from motet.together.admin.files import Files

    return Files(service_of(backend))


def _measured(path: Path) -> tuple[int, str]:
    """Bytes and type of a file that can be sent. Raises `ConfigError`, or `OSError` for a file that is not there."""
    kind = path.suffix.removeprefix(".")
    if kind not in ("jsonl", "parquet"):
        raise ConfigError(f"{path} must be .jsonl or .parquet: the service goes by the ending")
    if not path.is_file():
        path.stat()
        raise ConfigError(f"{path} is no file")
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise ConfigError(f"{path} has {size} bytes; the service takes files from 1 byte to {MAX_BYTES}")
    return size, kind


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(path: Path, max_tokens: int | None) -> str | None:
    """The SHA-256 of the bytes that motet's own check passed. Raises `InvalidDatasetError` with its report."""
    from motet.tune.data_check import check

    report = check(path, max_tokens=max_tokens)
    if report.ok:
        return report.sha256
    first = [str(one) for one in report.findings if one.severity == "error"][:3]
    raise InvalidDatasetError(
        f"{path} is not sent: its check finds {report.errors} error{'s' * (report.errors != 1)}; {'; '.join(first)}. "
        f"All of them: motet data check {path}",
        report=report,
    )


@dataclass
class _Sending:
    """One file on its way."""

    files: Files
    path: Path
    name: str
    sha256: str
    kind: str
    size: int
    on_progress: Progress | None
    clock: Clock
    torn: tuple[str, ...] = ()
    """What uploads of the same bytes left behind that were cut, or what others send right now."""

    def known(self) -> File | None:
        """The file of this name, if all of it is there."""
        same = [shape for shape in retry(self.files.list, self.clock) if shape.get("filename") == self.name]
        self.torn = tuple([str(shape.get("id")) for shape in same if shape.get("bytes") != self.size])
        return next((self._whole(shape) for shape in same if shape.get("bytes") == self.size), None)

    def _whole(self, shape: Mapping[str, Any]) -> File:
        """A file whose bytes are all there. If nobody asked for its validation, that is done."""
        found = File.read(shape)
        if found.status is not None:
            return found
        return File.read(retry(lambda: self.files.preprocess(found.id), self.clock))

    def send(self) -> File:
        """The three steps. Whatever ends them early, nothing half stays behind."""
        parts = [(0, self.size)]
        if self.size > ONE_PIECE:
            parts = [(at, min(PART, self.size - at)) for at in range(0, self.size, PART)]
        place = retry(lambda: self._reserve(len(parts)), self.clock)
        if not place.urls:
            found = self._adopted(place.id)
            if found is not None:
                return found
            place = retry(lambda: self._reserve(len(parts)), self.clock)
            if not place.urls:
                raise TuneError(f"{place.id} has the bytes of {self.path}, but not all of them; try again later")
        try:
            etags = self._put_all(place, parts)
            if place.upload is None:
                found = File.read(retry(lambda: self.files.preprocess(place.id), self.clock))
            else:
                found = File.read(retry(lambda: self.files.complete(place, etags), self.clock))
        except BaseException as error:
            if not isinstance(error, NotFoundError):
                left = self._forget(place)
                error.args = (f"{error}{left}", *error.args[1:]) if left else error.args
            raise
        # Only now: whoever is at it still finds this one instead.
        for file_id in self.torn:
            with contextlib.suppress(ApiError, ConfigError):
                self.files.delete(file_id)
        return found

    def _reserve(self, parts: int) -> Place:
        if parts == 1:
            return self.files.reserve(self.name, self.sha256, self.kind)
        return self.files.reserve_parts(self.name, self.sha256, self.kind, self.size, parts)

    def _adopted(self, file_id: str) -> File | None:
        """The file that the service names as one of these bytes. `None`: it is not whole, and does not become so in a
        minute, so it was left by an upload that was cut; then it is deleted."""
        ends = self.clock.now() + _TORN_AFTER
        while True:
            shape = retry(lambda: self.files.retrieve(file_id), self.clock)
            if shape.get("bytes") == self.size:
                return self._whole(shape)
            if self.clock.now() >= ends:
                self.files.delete(file_id)
                return None
            self.clock.sleep(5.0)

    def _forget(self, place: Place) -> str:
        """Deletes what is of no use. Gives what to say of it, if that cannot be."""
        try:
            self.files.delete(place.id) if place.upload is None else self.files.abort(place)
        except (ApiError, ConfigError) as error:
            return f" (what is left of it at the service is {place.id}; it could not be deleted: {error})"
        return ""

    def _put_all(self, place: Place, parts: list[tuple[int, int]]) -> list[str]:
        """Sends the bytes, part after part. Raises `ChangedFileError` if they are not those that were checked."""
        whole, etags = hashlib.sha256(), []
        with self.path.open("rb") as file:
            for url, (start, length) in zip(place.urls, parts, strict=True):
                etag, whole = self._put(file, url, start, length, whole)
                etags.append(etag)
            grown = os.fstat(file.fileno()).st_size != self.size
        if whole.hexdigest() != self.sha256 or grown:
            raise ChangedFileError(
                f"{self.path} changed while it was checked and sent; nothing of it is kept at the service. Upload it "
                "again when nobody writes to it",
                expected=self.sha256,
                found=whole.hexdigest(),
            )
        return etags

    def _put(self, file: Any, url: str, start: int, length: int, before: Any) -> tuple[str, Any]:
        """Sends a part. Gives its `ETag`, and the hash of all so far. A part that was cut is sent again from its start,
        and hashed again from there."""
        tried: list[Any] = []

        def body() -> Iterator[bytes]:
            tried.append(before.copy())
            return self._pieces(file, start, length, tried[-1])

        etag = retry(lambda: self.files.put(url, body, length), self.clock)
        return (etag or "").strip('"'), tried[-1]

    def _pieces(self, file: Any, start: int, length: int, hashed: Any) -> Iterator[bytes]:
        """The bytes of a part, hashed while they are read. A file that got shorter is filled up: its hash tells."""
        left = length
        while left:
            file.seek(start + length - left)
            piece = file.read(min(_PIECE, left)) or bytes(min(_PIECE, left))
            hashed.update(piece)
            left -= len(piece)
            yield piece
            if self.on_progress is not None:
                self.on_progress(start + length - left, self.size)


_WAITING = ("PENDING", "QUEUED", "RUNNING")


def _validated(files: Files, found: File, timeout: float, on_state: Callable[[str], None] | None, clock: Clock) -> File:
    """The file once its validation has ended. Other states than the known ones may be new, and are waited for, too."""
    ends, pause, file_id = clock.now() + timeout, 1.0, found.id

    def look() -> File:
        return File.read(retry(lambda: files.retrieve(file_id), clock))

    while found.status is not None and found.status not in ("COMPLETED", "FAILED", "INVALID_FORMAT"):
        if on_state is not None:
            on_state(f"validation {found.status.lower()}")
        left = ends - clock.now()
        if left <= 0:
            known = "" if found.status in _WAITING else ", which is no state that motet knows"
            raise MaxTimeError(
                f"the service has not validated {found.id} within {timeout:g} s: it is {found.status}{known}. "
                "The file is there: go on with its id",
                limit=timeout,
                option="timeout",
                state=found,
            )
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, 20.0)
        found = look()
    if found.status in (None, "COMPLETED") and (found.report or {}).get("valid") is not False:
        return found
    if found.report is None:
        # The answer to an upload has no report; the file itself has.
        found = look()
    said = (found.report or {}).get("error") or "it does not say why"
    raise InvalidDatasetError(
        f"the service refuses {found.id} ({found.name}) as training data: {said}", report=found.report
    )

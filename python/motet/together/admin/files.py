"""The service's routes for files, a method for each step of an upload. `tune.transfers` handles failures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx
import together

from motet.together.admin.client import AdminClient, mapped_errors, safe_id
from motet.together.admin.content import Content, open_content
from motet.together.backend import TogetherBackend
from motet.together.errors import existing_file

__all__ = ["Files", "Purpose", "UploadTarget"]

Purpose: TypeAlias = Literal["fine-tune", "batch-api"]
"""What files are uploaded for."""


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """The place for the bytes of a file."""

    id: str
    """The id of the file."""
    urls: tuple[str, ...] = ()
    """One for each part. Empty: the service has a file with these bytes already."""
    upload: str | None = None
    """The id of an upload in parts. `None`: the file is sent in one piece."""


class Files:
    """The files of an account. `purpose`: of those that are uploaded."""

    def __init__(self, backend: TogetherBackend, purpose: Purpose = "fine-tune") -> None:
        self._client = AdminClient(backend)
        self._purpose = purpose

    def reserve(self, name: str, sha256: str, kind: str) -> UploadTarget:
        """The first step: a target for bytes, by their checksum. `kind`: `jsonl`, `parquet` or `csv`."""
        form = {"purpose": self._purpose, "file_name": name, "file_type": kind, "checksum": sha256}
        options: Any = {"headers": {"Content-Type": "multipart/form-data"}, "follow_redirects": False}
        response = self._reserve("/v1/files", form, options)
        if isinstance(response, UploadTarget):
            return response
        url, file_id = response.headers.get("location"), response.headers.get("x-together-file-id")
        if not url or not file_id:
            raise self._client.unexpected("a new file", response.content)
        return UploadTarget(safe_id(file_id, "the service's file"), (self._checked_url(url),))

    def reserve_parts(self, name: str, sha256: str, kind: str, size: int, parts: int) -> UploadTarget:
        """The first step for a file in several parts."""
        body: dict[str, Any] = {"purpose": self._purpose, "file_name": name, "file_type": kind, "checksum": sha256}
        body |= {"file_size": size, "num_parts": parts}
        response = self._reserve("/v1/files/multipart/initiate", body, {})
        if isinstance(response, UploadTarget):
            return response
        try:
            shape = response.json()
            rows = sorted(shape["parts"], key=lambda row: int(row.get("PartNumber", row.get("part_number"))))
            urls = tuple([self._checked_url(row.get("URL") or row["UploadURL"]) for row in rows])
            target = UploadTarget(safe_id(shape["file_id"], "the service's file"), urls, str(shape["upload_id"]))
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self._client.unexpected("a new file in parts", response.content) from None
        if len(urls) != parts:
            raise self._client.unexpected(f"a new file in {parts} parts, with {len(urls)} URLs", response.content)
        return target

    def _reserve(self, path: str, body: Mapping[str, Any], options: Any) -> httpx.Response | UploadTarget:
        """The response: normally a redirect. A conflict gives the target without URLs."""
        sdk = self._client.sdk
        with mapped_errors(sdk.api_key):
            try:
                return sdk.post(path, cast_to=httpx.Response, body=body, options=options)
            except together.APIStatusError as error:
                existing = existing_file(error.response)
                if existing is not None:
                    return UploadTarget(safe_id(existing, "the service's file"))
                if error.response.has_redirect_location:
                    return error.response
                raise

    def put(self, url: str, body: Callable[[], Iterator[bytes]], size: int) -> str | None:
        """The second step: sends the bytes, or a part, and returns their `ETag`."""
        return self._client.put(url, body, size)

    def preprocess(self, file_id: str) -> Mapping[str, Any]:
        """The third step: starts the validation."""
        path = f"/v1/files/{safe_id(file_id, 'a file')}/preprocess"
        return self._client.item(lambda sdk: sdk.post(path, cast_to=httpx.Response), "a file")

    def complete(self, target: UploadTarget, etags: Sequence[str]) -> Mapping[str, Any]:
        """The third step for a file in parts."""
        parts = [{"part_number": number, "etag": etag} for number, etag in enumerate(etags, 1)]
        body = {"upload_id": target.upload, "file_id": target.id, "parts": parts}
        path = "/v1/files/multipart/complete"
        shape = self._client.json(lambda sdk: sdk.post(path, cast_to=httpx.Response, body=body))
        file = shape.get("file", shape) if isinstance(shape, Mapping) else None
        if not isinstance(file, Mapping) or "id" not in file:
            raise self._client.unexpected("a file", shape)
        return file

    def abort(self, target: UploadTarget) -> None:
        """Ends an upload in parts and deletes the parts."""
        body = {"upload_id": target.upload, "file_id": target.id}
        self._client.json(lambda sdk: sdk.post("/v1/files/multipart/abort", cast_to=httpx.Response, body=body))

    def retrieve(self, file_id: str) -> Mapping[str, Any]:
        """A file with its validation report, which the SDK's `upload` leaves out."""
        safe_id(file_id, "a file")
        return self._client.item(lambda sdk: sdk.files.with_raw_response.retrieve(file_id), "a file")

    def list(self) -> list[Mapping[str, Any]]:
        return self._client.rows(lambda sdk: sdk.files.with_raw_response.list(), "the list of files")

    @contextlib.contextmanager
    def content(self, file_id: str, *, start: int = 0, etag: str | None = None) -> Iterator[Content]:
        """The bytes of a file from `start` on, if it still is the version `etag`; else from its beginning."""
        safe_id(file_id, "a file")

        def call(sdk: together.Together, headers: Mapping[str, str]) -> Any:
            return sdk.files.with_streaming_response.content(file_id, extra_headers=headers)

        with open_content(self._client, call, "a file", start=start, etag=etag) as content:
            yield content

    def delete(self, file_id: str) -> None:
        safe_id(file_id, "a file")
        self._client.json(lambda sdk: sdk.files.with_raw_response.delete(file_id))

    def _checked_url(self, url: object) -> str:
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise self._client.unexpected("a new file, without a valid URL", url)
        return url

"""The service's files on the wire: each step of an upload by itself. What to do when one fails is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import together

from motet.together.admin.client import Rest, mapped, safe_id
from motet.together.backend import TogetherBackend
from motet.together.errors import existing_file

__all__ = ["Files", "Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a file go."""

    id: str
    """The file's."""
    urls: tuple[str, ...] = ()
    """Of each part; a file in one piece has one. None: the service has these bytes already."""
    upload: str | None = None
    """The id of an upload in parts."""


class Files:
    """The files of a service."""

    def __init__(self, backend: TogetherBackend) -> None:
        self._rest = Rest(backend)

    def reserve(self, name: str, sha256: str, kind: str) -> Place:
        """The first step: a place for bytes, by their checksum. `kind`: `jsonl`, `parquet` or `csv`."""
        form = {"purpose": "fine-tune", "file_name": name, "file_type": kind, "checksum": sha256}
        options: Any = {"headers": {"Content-Type": "multipart/form-data"}, "follow_redirects": False}
        response = self._reserved("/v1/files", form, options)
        if isinstance(response, Place):
            return response
        url, file_id = response.headers.get("location"), response.headers.get("x-together-file-id")
        if not url or not file_id:
            raise self._rest.bad("the service gave no place for the file", response.content)
        return Place(safe_id(file_id, "the service's file"), (self._address(url),))

    def reserve_parts(self, name: str, sha256: str, kind: str, size: int, parts: int) -> Place:
        """The first step for a file in several parts."""
        asked = {"purpose": "fine-tune", "file_name": name, "file_type": kind, "checksum": sha256}
        body = {**asked, "file_size": size, "num_parts": parts}
        response = self._reserved("/v1/files/multipart/initiate", body, {})
        if isinstance(response, Place):
            return response
        try:
            shape = response.json()
            rows = sorted(shape["parts"], key=lambda row: int(row.get("PartNumber", row.get("part_number"))))
            urls = tuple([self._address(row.get("URL") or row["UploadURL"]) for row in rows])
            found = Place(safe_id(shape["file_id"], "the service's file"), urls, str(shape["upload_id"]))
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self._rest.bad("the service gave no places for the parts", response.content) from None
        if len(urls) != parts:
            raise self._rest.bad(f"the service gave {len(urls)} places for {parts} parts", response.content)
        return found

    def _reserved(self, path: str, body: Mapping[str, Any], options: Any) -> httpx.Response | Place:
        """What answers: a redirect is what is hoped for, and a conflict names the file that is there."""
        sdk = self._rest.sdk
        with mapped(sdk.api_key):
            try:
                return sdk.post(path, cast_to=httpx.Response, body=body, options=options)
            except together.APIStatusError as error:
                known = existing_file(error.response)
                if known is not None:
                    return Place(safe_id(known, "the service's file"))
                if error.response.has_redirect_location:
                    return error.response
                raise

    def put(self, url: str, body: Callable[[], Iterator[bytes]], size: int) -> str | None:
        """The second step: the bytes, or those of a part. Gives their `ETag`."""
        return self._rest.put(url, body, size)

    def preprocess(self, file_id: str) -> Mapping[str, Any]:
        """The third step: the service begins to validate the file."""
        path = f"/v1/files/{safe_id(file_id, 'a file')}/preprocess"
        return self._rest.one(lambda sdk: sdk.post(path, cast_to=httpx.Response), "file")

    def complete(self, place: Place, etags: Sequence[str]) -> Mapping[str, Any]:
        """The third step for a file in parts."""
        parts = [{"part_number": number, "etag": etag} for number, etag in enumerate(etags, 1)]
        body = {"upload_id": place.upload, "file_id": place.id, "parts": parts}
        shape = self._rest.ask(lambda sdk: sdk.post("/v1/files/multipart/complete", cast_to=httpx.Response, body=body))
        found = shape.get("file", shape) if isinstance(shape, Mapping) else None
        if not isinstance(found, Mapping) or "id" not in found:
            raise self._rest.bad("the service's file is none", shape)
        return found

    def abort(self, place: Place) -> None:
        """Ends an upload in parts; what came of it is gone."""
        body = {"upload_id": place.upload, "file_id": place.id}
        self._rest.ask(lambda sdk: sdk.post("/v1/files/multipart/abort", cast_to=httpx.Response, body=body))

    def retrieve(self, file_id: str) -> Mapping[str, Any]:
        """A file, with the report of its validation, which the SDK's own `upload` leaves out."""
        safe_id(file_id, "a file")
        return self._rest.one(lambda sdk: sdk.files.with_raw_response.retrieve(file_id), "file")

    def list(self) -> list[Mapping[str, Any]]:
        return self._rest.rows(lambda sdk: sdk.files.with_raw_response.list(), "files")

    def delete(self, file_id: str) -> None:
        safe_id(file_id, "a file")
        self._rest.ask(lambda sdk: sdk.files.with_raw_response.delete(file_id))

    def _address(self, url: object) -> str:
        """Where the service wants the bytes. Raises `BadPayloadError` for what is no address."""
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise self._rest.bad("the service's place for the file is no address", url)
        return url

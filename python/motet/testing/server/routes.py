"""Files and fine-tunes over HTTP: the pages of a scripted server that are about training.

What they answer is decided in `storage` and `training`; here it is put on the wire, and broken on demand.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from motet.testing.script import Fault
from motet.testing.server.storage import StoredFile, byte_range, form
from motet.testing.server.training_service import Training

__all__ = ["Refusal", "TrainingRoutes"]

Receive = Callable[[web.Request], Awaitable[web.Response | None]]
Fail = Callable[[web.Request, Fault], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CUTS = ("reset", "close", "silence")


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {**more, "error": {"message": message, "type": "invalid_request_error", "param": None}}


class TrainingRoutes:
    """The handlers of `training`; `receive` keeps a request and checks its key, `fail` and `cut` break off."""

    def __init__(
        self,
        training: Training,
        receive: Receive,
        fail: Fail,
        cut: Callable[[web.Request, str], Awaitable[web.StreamResponse]],
        keep: Callable[[web.Request, Any], None],
    ) -> None:
        self._training = training
        self._storage = training.storage
        self._receive, self._fail, self._cut, self._keep = receive, fail, cut, keep

    def add(self, router: web.UrlDispatcher) -> None:
        for method, path, name, handler in (
            ("POST", "/v1/files", "reserve", self._reserve),
            ("GET", "/v1/files", "list_files", self._list_files),
            ("POST", "/v1/files/multipart/{verb}", "multipart", self._multipart),
            ("GET", "/v1/files/{id}", "retrieve_file", self._retrieve_file),
            ("DELETE", "/v1/files/{id}", "delete_file", self._delete_file),
            ("GET", "/v1/files/{id}/content", "file_content", self._file_content),
            ("POST", "/v1/files/{id}/preprocess", "preprocess", self._preprocess),
            ("GET", "/v1/fine-tunes/models/limits", "limits", self._limits),
            ("POST", "/v1/fine-tunes/estimate-price", "estimate", self._estimate),
            ("POST", "/v1/fine-tunes", "create", self._create),
            ("GET", "/v1/fine-tunes", "list", self._list),
            ("GET", "/v1/fine-tunes/{id}", "retrieve", self._retrieve),
            ("GET", "/v1/fine-tunes/{id}/events", "events", self._events),
            ("GET", "/v1/fine-tunes/{id}/metrics", "metrics", self._metrics),
            ("GET", "/v1/fine-tunes/{id}/checkpoints", "checkpoints", self._checkpoints),
            ("POST", "/v1/fine-tunes/{id}/cancel", "cancel", self._cancel),
            ("GET", "/v1/finetune/download", "download", self._download),
        ):
            router.add_route(method, path, self._handled(name, handler))
        # Elsewhere, as far as a client can tell: no key is asked for, and none must come.
        router.add_put("/storage/{id}", self._put)
        router.add_put("/storage/{id}/{part}", self._put)
        router.add_get("/storage/checkpoint", self._stored)

    def _handled(self, name: str, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            refused = await self._receive(request)
            if refused is not None:
                return refused
            fault = self._training.fault(name)
            if fault is not None and fault.kind not in (*_CUTS, "reset_after"):
                return await self._fail(request, fault)
            try:
                answer = await handler(request)
            except Refusal as refusal:
                return web.json_response(refusal.body, status=refusal.status)
            except (KeyError, ValueError) as error:
                return web.json_response(Refusal(400, f"bad request: {error!r}").body, status=400)
            if fault is None:
                return answer
            return await self._broken(request, fault, answer)

        return handle

    async def _broken(self, request: web.Request, fault: Fault, answer: web.StreamResponse) -> web.StreamResponse:
        """An answer that breaks off: before its first byte, or within its body."""
        if fault.kind == "reset_after" or not isinstance(answer, web.Response):
            return await self._cut(request, "reset")
        body = answer.body if isinstance(answer.body, bytes) else b""
        headers = {**answer.headers, "Content-Length": str(len(body))}
        begun = web.StreamResponse(status=answer.status, headers=headers)
        await begun.prepare(request)
        await begun.write(body[: len(body) // 2 if fault.after is None else fault.after])
        return await self._cut(request, fault.kind)

    # Files.

    async def _reserve(self, request: web.Request) -> web.StreamResponse:
        fields = form(request.headers.get("Content-Type", ""), await request.read())
        known = self._storage.known(fields["checksum"])
        if known is not None:
            raise Refusal(409, "file already exists", file_id=known)
        found = self._storage.reserve(fields)
        headers = {"Location": f"http://{request.host}/storage/{found.id}", "X-Together-File-Id": found.id}
        return web.Response(status=302, headers=headers)

    async def _put(self, request: web.Request) -> web.StreamResponse:
        part = request.match_info.get("part")
        fault = self._training.fault("part" if part else "put")
        self._keep(request, None)
        if fault is not None and fault.kind not in (*_CUTS, "reset_after"):
            # A client that still writes hears of it only once it has been read.
            await request.content.read()
            return await self._fail(request, fault)
        came = bytearray()
        async for piece in request.content.iter_any():
            came += piece
            if fault is not None and fault.kind in _CUTS and len(came) >= (fault.after or 1):
                return await self._cut(request, fault.kind)
        data = bytes(came)
        if "Authorization" in request.headers:
            return web.Response(status=400, text="<Error><Code>InvalidArgument</Code> only one auth</Error>")
        found = self._storage.files.get(request.match_info["id"])
        if found is None:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        if part:
            found.parts[int(part)] = data
        else:
            found.data = data
        if fault is not None:
            return await self._cut(request, "reset")
        return web.Response(headers={"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'})

    async def _multipart(self, request: web.Request) -> web.StreamResponse:
        asked, verb = await request.json(), request.match_info["verb"]
        if verb == "initiate":
            known = self._storage.known(asked["checksum"])
            if known is not None:
                raise Refusal(409, "file already exists", file_id=known)
            found = self._storage.reserve(asked)
            url = f"http://{request.host}/storage/{found.id}"
            parts = [{"PartNumber": n, "URL": f"{url}/{n}"} for n in range(1, int(asked["num_parts"]) + 1)]
            return web.json_response({"upload_id": f"upload-{found.id}", "file_id": found.id, "parts": parts})
        found = self._file(asked["file_id"])
        if verb == "abort":
            del self._storage.files[found.id]
            return web.json_response({})
        if [part["part_number"] for part in asked["parts"]] != sorted(found.parts):
            raise Refusal(400, "a part is missing")
        found.data = b"".join([found.parts[number] for number in sorted(found.parts)])
        wrong = self._storage.preprocess(found)
        if wrong is not None:
            raise Refusal(400, wrong)
        return web.json_response({"file": found.shape()})

    def _file(self, name: str) -> StoredFile:
        if name not in self._storage.files:
            raise Refusal(404, f"no file {name}")
        return self._storage.files[name]

    async def _list_files(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [one.shape() for one in self._storage.files.values()]})

    async def _retrieve_file(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._file(request.match_info["id"]).shape(look=True))

    async def _delete_file(self, request: web.Request) -> web.StreamResponse:
        found = self._file(request.match_info["id"])
        del self._storage.files[found.id]
        return web.json_response({"id": found.id, "deleted": True})

    async def _file_content(self, request: web.Request) -> web.StreamResponse:
        return _piece(request, self._file(request.match_info["id"]).data, {})

    async def _preprocess(self, request: web.Request) -> web.StreamResponse:
        found = self._file(request.match_info["id"])
        wrong = self._storage.preprocess(found)
        if wrong is not None:
            raise Refusal(400, wrong)
        return web.json_response(found.shape())

    # Fine-tunes.

    async def _limits(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"model_name": request.query["model_name"], **self._training.limits})

    async def _estimate(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self._file(asked["training_file"])
        return web.json_response(self._training.estimate(asked))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self._file(asked["training_file"])
        return web.json_response(self._training.create(asked))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [job.shape for job in self._training.jobs.values()]})

    def _job(self, request: web.Request) -> Any:
        name = request.match_info["id"]
        if name not in self._training.jobs:
            raise Refusal(404, f"no job {name}")
        return self._training.jobs[name]

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        job.look()
        return web.json_response({**job.shape, "events": job.events})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": self._job(request).events})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        # A loss that is none is written as Python writes it, which is not JSON.
        return web.json_response({"metrics": self._job(request).metrics()}, dumps=json.dumps)

    async def _checkpoints(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": self._training.checkpoints(self._job(request))})

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        wrong = self._training.cancel(job)
        if wrong is not None:
            raise Refusal(400, wrong)
        return web.json_response(job.shape)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        job = self._training.jobs.get(request.query["ft_id"])
        if job is None or job.shape["status"] != "completed":
            raise Refusal(404, "no checkpoint is there to be downloaded")
        if self._training.redirect_downloads:
            # Another name of this machine: for a client it is another host.
            place = f"http://localhost:{request.url.port}/storage/checkpoint"
            return web.Response(status=302, headers={"Location": place})
        return self._checkpoint(request)

    async def _stored(self, request: web.Request) -> web.StreamResponse:
        self._keep(request, None)
        fault = self._training.fault("stored")
        answer = self._checkpoint(request)
        return answer if fault is None else await self._broken(request, fault, answer)

    def _checkpoint(self, request: web.Request) -> web.Response:
        data = self._training.archive
        headers = {"ETag": self._training.etag(), "Content-Type": "application/x-tar"}
        if self._training.digest:
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            headers["Repr-Digest"] = f"sha-256=:{digest}:"
        return _piece(request, data, headers)


def _piece(request: web.Request, data: bytes, headers: dict[str, str]) -> web.Response:
    """A body, or the piece of it that was asked for: all of it where it is not what the client has a piece of."""
    asked = request.headers.get("Range")
    if asked is None or request.headers.get("If-Range", headers.get("ETag")) != headers.get("ETag"):
        return web.Response(body=data, headers=headers)
    piece = byte_range(asked, len(data))
    if piece is None:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    start, end = piece
    headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
    return web.Response(status=206, body=data[start:end], headers=headers)

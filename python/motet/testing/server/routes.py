"""The routes of a scripted server for files, fine-tuning and batches, with their faults.

`storage`, `training_service` and `batch_service` decide the responses.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from motet.testing.script import Fault
from motet.testing.server.batch_service import Answer, BatchJob, BatchService
from motet.testing.server.faulty_service import FaultyService
from motet.testing.server.storage import Storage, StoredFile, byte_range, form
from motet.testing.server.training_service import Job, TrainingService

__all__ = ["BatchRoutes", "Connection", "Refusal", "TrainingRoutes"]

Receive = Callable[[web.Request], Awaitable[web.Response | None]]
Fail = Callable[[web.Request, Fault], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CUTS = ("reset", "close", "silence")


class Refusal(Exception):
    """An error response."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {**more, "error": {"message": message, "type": "invalid_request_error", "param": None}}


@dataclass(frozen=True)
class Connection:
    """What a server does with requests beside answering them."""

    receive: Receive
    """Records a request and checks its key."""
    fail: Fail
    """Responds with a fault."""
    cut: Callable[[web.Request, str], Awaitable[web.StreamResponse]]
    keep: Callable[[web.Request, Any], None]
    """Records a request to the store, which needs no key."""

    def handled(self, service: FaultyService, operation: str, handler: Handler) -> Handler:
        """The handler with refusals as responses and with its faults."""

        async def handle(request: web.Request) -> web.StreamResponse:
            refusal = await self.receive(request)
            if refusal is not None:
                return refusal
            fault = service.fault(operation)
            if fault is not None and fault.kind not in (*_CUTS, "reset_after"):
                return await self.fail(request, fault)
            try:
                response = await handler(request)
            except Refusal as error:
                return web.json_response(error.body, status=error.status)
            except (KeyError, ValueError) as error:
                return web.json_response(Refusal(400, f"bad request: {error!r}").body, status=400)
            if fault is None:
                return response
            return await self.broken(request, fault, response)

        return handle

    async def broken(self, request: web.Request, fault: Fault, response: web.StreamResponse) -> web.StreamResponse:
        """Cuts a response before its first byte, or within its body."""
        if fault.kind == "reset_after" or not isinstance(response, web.Response):
            return await self.cut(request, "reset")
        body = response.body if isinstance(response.body, bytes) else b""
        headers = {**response.headers, "Content-Length": str(len(body))}
        begun = web.StreamResponse(status=response.status, headers=headers)
        await begun.prepare(request)
        await begun.write(body[: len(body) // 2 if fault.after is None else fault.after])
        return await self.cut(request, fault.kind)


class BatchRoutes:
    """The handlers of a `BatchService`."""

    def __init__(self, batches: BatchService, storage: Storage, connection: Connection, answer: Answer) -> None:
        self._batches, self._storage, self._connection, self._answer = batches, storage, connection, answer

    def add(self, router: web.UrlDispatcher) -> None:
        for method, path, name, handler in (
            ("POST", "/v1/batches", "create_batch", self._create),
            ("GET", "/v1/batches", "list_batches", self._list),
            ("GET", "/v1/batches/{id}", "retrieve_batch", self._retrieve),
            ("POST", "/v1/batches/{id}/cancel", "cancel_batch", self._cancel),
        ):
            router.add_route(method, path, self._connection.handled(self._batches, name, handler))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        file = self._storage.files.get(str(body["input_file_id"]))
        if file is None:
            raise Refusal(404, f"no file {body['input_file_id']}")
        if file.purpose != "batch-api":
            raise Refusal(400, "the file's purpose is not batch-api")
        return web.json_response({"job": self._batches.create(body, self._storage).shape}, status=201)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return web.json_response([*self._batches.shapes()])

    def _job(self, request: web.Request) -> BatchJob:
        name = request.match_info["id"]
        if name not in self._batches.jobs:
            raise Refusal(404, f"no batch {name}")
        return self._batches.jobs[name]

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        self._batches.poll(job, self._storage, self._answer)
        return web.json_response(job.shape)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        problem = self._batches.cancel(job)
        if problem is not None:
            raise Refusal(400, problem)
        return web.json_response(job.shape)


class TrainingRoutes:
    """The handlers of a `TrainingService`."""

    def __init__(self, training: TrainingService, connection: Connection) -> None:
        self._training = training
        self._storage = training.storage
        self._connection = connection

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
            router.add_route(method, path, self._connection.handled(self._training, name, handler))
        # The store: another service for the client, which must not get the key.
        router.add_put("/storage/{id}", self._put)
        router.add_put("/storage/{id}/{part}", self._put)
        router.add_get("/storage/checkpoint", self._stored)

    async def _reserve(self, request: web.Request) -> web.StreamResponse:
        fields = form(request.headers.get("Content-Type", ""), await request.read())
        existing = self._storage.id_of(fields["checksum"])
        if existing is not None:
            raise Refusal(409, "file already exists", file_id=existing)
        file = self._storage.reserve(fields)
        headers = {"Location": f"http://{request.host}/storage/{file.id}", "X-Together-File-Id": file.id}
        return web.Response(status=302, headers=headers)

    async def _put(self, request: web.Request) -> web.StreamResponse:
        part = request.match_info.get("part")
        fault = self._training.fault("part" if part else "put")
        self._connection.keep(request, None)
        if fault is not None and fault.kind not in (*_CUTS, "reset_after"):
            # A client reads the response only after its request was read.
            await request.content.read()
            return await self._connection.fail(request, fault)
        received = bytearray()
        async for chunk in request.content.iter_any():
            received += chunk
            if fault is not None and fault.kind in _CUTS and len(received) >= (fault.after or 1):
                return await self._connection.cut(request, fault.kind)
        data = bytes(received)
        if "Authorization" in request.headers:
            return web.Response(status=400, text="<Error><Code>InvalidArgument</Code> only one auth</Error>")
        file = self._storage.files.get(request.match_info["id"])
        if file is None:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        if part:
            file.parts[int(part)] = data
        else:
            file.data = data
        if fault is not None:
            return await self._connection.cut(request, "reset")
        return web.Response(headers={"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'})

    async def _multipart(self, request: web.Request) -> web.StreamResponse:
        body, verb = await request.json(), request.match_info["verb"]
        if verb == "initiate":
            existing = self._storage.id_of(body["checksum"])
            if existing is not None:
                raise Refusal(409, "file already exists", file_id=existing)
            file = self._storage.reserve(body)
            url = f"http://{request.host}/storage/{file.id}"
            parts = [{"PartNumber": n, "URL": f"{url}/{n}"} for n in range(1, int(body["num_parts"]) + 1)]
            return web.json_response({"upload_id": f"upload-{file.id}", "file_id": file.id, "parts": parts})
        file = self._file(body["file_id"])
        if verb == "abort":
            del self._storage.files[file.id]
            return web.json_response({})
        if [part["part_number"] for part in body["parts"]] != sorted(file.parts):
            raise Refusal(400, "a part is missing")
        file.data = b"".join([file.parts[number] for number in sorted(file.parts)])
        problem = self._storage.preprocess(file)
        if problem is not None:
            raise Refusal(400, problem)
        return web.json_response({"file": file.shape()})

    def _file(self, name: str) -> StoredFile:
        if name not in self._storage.files:
            raise Refusal(404, f"no file {name}")
        return self._storage.files[name]

    async def _list_files(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [file.shape() for file in self._storage.files.values()]})

    async def _retrieve_file(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._file(request.match_info["id"]).shape(poll=True))

    async def _delete_file(self, request: web.Request) -> web.StreamResponse:
        file = self._file(request.match_info["id"])
        del self._storage.files[file.id]
        return web.json_response({"id": file.id, "deleted": True})

    async def _file_content(self, request: web.Request) -> web.StreamResponse:
        return _range_response(request, self._file(request.match_info["id"]).data, {})

    async def _preprocess(self, request: web.Request) -> web.StreamResponse:
        file = self._file(request.match_info["id"])
        problem = self._storage.preprocess(file)
        if problem is not None:
            raise Refusal(400, problem)
        return web.json_response(file.shape())

    async def _limits(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"model_name": request.query["model_name"], **self._training.limits})

    async def _estimate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self._file(body["training_file"])
        return web.json_response(self._training.estimate(body))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self._file(body["training_file"])
        return web.json_response(self._training.create(body))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [job.shape for job in self._training.jobs.values()]})

    def _job(self, request: web.Request) -> Job:
        name = request.match_info["id"]
        if name not in self._training.jobs:
            raise Refusal(404, f"no job {name}")
        return self._training.jobs[name]

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        job.poll()
        return web.json_response({**job.shape, "events": job.events})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": self._job(request).events})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        # NaN is written as Python writes it, which is not JSON: services do the same.
        return web.json_response({"metrics": self._job(request).metrics()}, dumps=json.dumps)

    async def _checkpoints(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": self._training.checkpoints(self._job(request))})

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        problem = self._training.cancel(job)
        if problem is not None:
            raise Refusal(400, problem)
        return web.json_response(job.shape)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        job = self._training.jobs.get(request.query["ft_id"])
        if job is None or job.shape["status"] != "completed":
            raise Refusal(404, "the job has no checkpoint")
        if self._training.redirect_downloads:
            # Another name of this machine is another host for clients.
            url = f"http://localhost:{request.url.port}/storage/checkpoint"
            return web.Response(status=302, headers={"Location": url})
        return self._checkpoint(request)

    async def _stored(self, request: web.Request) -> web.StreamResponse:
        self._connection.keep(request, None)
        fault = self._training.fault("stored")
        response = self._checkpoint(request)
        return response if fault is None else await self._connection.broken(request, fault, response)

    def _checkpoint(self, request: web.Request) -> web.Response:
        data = self._training.archive
        headers = {"ETag": self._training.etag(), "Content-Type": "application/x-tar"}
        if self._training.digest:
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            headers["Repr-Digest"] = f"sha-256=:{digest}:"
        return _range_response(request, data, headers)


def _range_response(request: web.Request, data: bytes, headers: dict[str, str]) -> web.Response:
    """The range of a body that the request names; all of it without a range, and if `If-Range` has another etag."""
    header = request.headers.get("Range")
    if header is None or request.headers.get("If-Range", headers.get("ETag")) != headers.get("ETag"):
        return web.Response(body=data, headers=headers)
    span = byte_range(header, len(data))
    if span is None:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    start, end = span
    headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
    return web.Response(status=206, body=data[start:end], headers=headers)

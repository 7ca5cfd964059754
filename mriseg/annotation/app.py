"""The addresses of the page: each takes what it needs from a request, and answers in JSON or bytes.

Files are known by name beforehand, cases by number: nothing of a request is used as a path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mriseg.annotation.background import Background
from mriseg.annotation.desk import Desk
from mriseg.annotation.improving import Improving
from mriseg.annotation.refusals import RefusedError, refusal_of
from mriseg.errors import MrisegError, first_line
from mriseg.io.assets import page_file
from mriseg.io.disk.untrusted import read_text

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]

INDEX = "index.html"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_NIFTI = "application/gzip"
# Masks that are held at a time while they arrive.
_ARRIVING = 2
# What a report of mriseg's needs; in a sandbox, so that it cannot ask for anything here.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "sandbox allow-scripts"
)


class Page:
    """What answers the page's requests.

    Args:
        desk: the session.
        preparing: the work that fills the queue.
        improving: the learning.
    """

    def __init__(self, desk: Desk, preparing: Background, improving: Improving) -> None:
        self._desk, self._preparing, self._improving = desk, preparing, improving
        self._arriving = asyncio.Semaphore(_ARRIVING)

    def app(self) -> Starlette:
        """The application; addresses begin behind the token."""
        case = "/api/cases/{id}"
        routes = [
            ("/", "GET", self._index),
            ("/static/{name}", "GET", self._static),
            ("/api/queue", "GET", self._queue),
            (case, "GET", self._case),
            (f"{case}/image/{{name:path}}.nii.gz", "GET", self._image),
            (f"{case}/mask.nii.gz", "GET", self._mask),
            (f"{case}/probability/{{index:int}}.nii.gz", "GET", self._probability),
            (f"{case}/mask", "PUT", self._save),
            (f"{case}/skip", "POST", self._skip),
            (f"{case}/reopen", "POST", self._reopen),
            ("/api/improve/page", "GET", self._improve_page),
            ("/api/improve", "GET", self._improve_state),
            ("/api/improve", "POST", self._improve_start),
            ("/api/improve", "DELETE", self._improve_cancel),
        ]
        return Starlette(
            routes=[Route(path, end, methods=[method]) for path, method, end in routes],
            exception_handlers={
                HTTPException: _http_error,
                MrisegError: _mriseg_error,
                ClientDisconnect: _gone,
                Exception: _own_mistake,
            },
        )

    async def _index(self, request: Request) -> Response:
        return _file(INDEX)

    async def _static(self, request: Request) -> Response:
        return _file(request.path_params["name"])

    async def _queue(self, request: Request) -> Response:
        answer = await run_in_threadpool(self._desk.about)
        now = self._preparing.progress
        running = now.state == "running"
        answer["preparing"] = {"done": int(now.done), "total": now.total} if running else None
        answer["message"] = now.message
        answer["improve"] = await run_in_threadpool(self._improving.state)
        return JSONResponse(answer)

    async def _case(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._desk.case, request.path_params["id"]))

    async def _image(self, request: Request) -> Response:
        place = request.path_params
        return await _volume(partial(self._desk.image, place["id"], place["name"]))

    async def _probability(self, request: Request) -> Response:
        place = request.path_params
        return await _volume(partial(self._desk.probability, place["id"], place["index"]))

    async def _mask(self, request: Request) -> Response:
        content, revision = await run_in_threadpool(self._desk.mask, request.path_params["id"])
        return Response(content, media_type=_NIFTI, headers={"etag": f'"{revision}"'})

    async def _save(self, request: Request) -> Response:
        id_, revision = request.path_params["id"], _revision(request)
        given = request.query_params.get("status", "")
        if given not in ("corrected", "accepted"):
            raise RefusedError(400, "the status of a mask is corrected or accepted")
        status: Literal["corrected", "accepted"] = (
            "corrected" if given == "corrected" else "accepted"
        )
        opened = await run_in_threadpool(self._desk.opened, id_)
        async with self._arriving:
            content = await _body(request, opened.most_bytes)
            answer = await run_in_threadpool(self._desk.save, id_, status, revision, content)
        return JSONResponse(answer)

    async def _skip(self, request: Request) -> Response:
        return await self._marked(request, self._desk.skip)

    async def _reopen(self, request: Request) -> Response:
        return await self._marked(request, self._desk.reopen)

    async def _marked(self, request: Request, do: Callable[[str, str], Any]) -> Response:
        revision = _revision(request)
        await _body(request, 0)
        return JSONResponse(await run_in_threadpool(do, request.path_params["id"], revision))

    async def _improve_state(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._improving.state))

    async def _improve_start(self, request: Request) -> Response:
        await _body(request, 0)
        return JSONResponse(await run_in_threadpool(self._improving.start))

    async def _improve_cancel(self, request: Request) -> Response:
        await _body(request, 0)
        return JSONResponse(await run_in_threadpool(self._improving.cancel))

    async def _improve_page(self, request: Request) -> Response:
        page = self._improving.page()
        if page is None:
            raise RefusedError(404, "there is no report of what was learned")
        content = await run_in_threadpool(read_text, page)
        headers = {"content-security-policy": _REPORT_POLICY}
        return Response(content, media_type="text/html", headers=headers)


def _file(name: str) -> Response:
    content = page_file(name)
    if content is None:
        raise RefusedError(404, "there is no such file of the page")
    suffix = f".{name.rpartition('.')[2]}"
    return Response(content, media_type=_TYPES.get(suffix, "application/octet-stream"))


async def _volume(read: Callable[[], bytes]) -> Response:
    return Response(await run_in_threadpool(read), media_type=_NIFTI)


async def _body(request: Request, most: int) -> bytes:
    """A request's body, no more of which is held than it may have.

    Raises:
        RefusedError: it is larger, or says so.
    """
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > most:
        raise RefusedError(413, f"the request is larger than {most} bytes")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise RefusedError(413, f"the request is larger than {most} bytes")
        parts.append(part)
    return b"".join(parts)


def _revision(request: Request) -> str:
    given = request.headers.get("if-match", "").strip()
    revision = given.removeprefix("W/").strip('"')
    if not revision:
        raise RefusedError(400, "the request names no revision (If-Match) of what it changes")
    return revision


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "there is nothing at this address", 405: "this address takes no such request"}
    return _refused(status, words.get(status, "the request cannot be understood"))


async def _mriseg_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MrisegError)
    refusal = refusal_of(error)
    return _refused(refusal.status, str(refusal), refusal.facts)


async def _gone(request: Request, error: Exception) -> Response:
    return _refused(400, "the request ended before all of it had come")


async def _own_mistake(request: Request, error: Exception) -> Response:
    return _refused(500, f"mriseg made a mistake, and nothing was changed: {first_line(error)}")


def _refused(status: int, message: str, facts: Mapping[str, Any] | None = None) -> Response:
    # What follows of a body that was refused is not read.
    return JSONResponse({**(facts or {}), "error": message}, status, {"connection": "close"})

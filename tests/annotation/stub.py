"""A server as the page expects one: real cases in memory, and what was PUT is kept.

It answers as ``mriseg annotate`` does, over HTTP, under the policy that the page must keep to.
"""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import mriseg
from mriseg.core import display, volume
from mriseg.core.modalities import display_modality
from mriseg.core.prepare import PreparedCase
from mriseg.io.assets import niivue
from mriseg.io.nifti_embed import embedded
from mriseg.report.drawing import colour

TOKEN = "t" * 40
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STATIC = Path(mriseg.__file__).parent / "annotation" / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css"}


@dataclass
class Held:
    """A case: its files on the grid that the page has, and what was saved of it."""

    id: str
    name: str
    patient: str
    case: PreparedCase
    probabilities: np.ndarray
    uncertainty: float
    flags: tuple[str, ...] = ()
    status: str = "open"
    who: str = ""
    when: str = ""
    number: int = 1
    labels: np.ndarray = field(init=False)
    affine: np.ndarray = field(init=False)
    predicted: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """The grid of the page, and the mask where a probability is above one half."""
        self.cut = display.shown_box([self.case.image])
        self.affine = display.ras_affine(
            self.case.geometry, display.within(self.case.box, self.cut)
        )
        self.predicted = np.zeros(self.cut.shape, np.uint8)
        for index, region in enumerate(self.part(self.probabilities)):
            self.predicted[region > 0.5] = index + 1
        self.labels = self.predicted

    def part(self, array: np.ndarray) -> np.ndarray:
        return volume.crop(array, self.cut)

    @property
    def revision(self) -> str:
        return f"r{self.number}"


@dataclass
class Stub:
    """The session: cases in the order of the queue, and what the page did."""

    cases: list[Held]
    regions: dict[str, tuple[int, ...]]
    who: str = "Anna"
    improve: dict[str, Any] = field(default_factory=dict)
    puts: list[tuple[str, str, bytes]] = field(default_factory=list)
    address: str = ""

    def __post_init__(self) -> None:
        self.improve = {
            **dict.fromkeys(("stage", "message", "verdict", "better", "old", "new", "page")),
            **{"state": "none", "done": 0, "total": 0, "seconds_left": None},
            **{"corrected": 0, "needed": 2, **self.improve},
        }

    def held(self, request: Request) -> Held:
        return next(held for held in self.cases if held.id == request.path_params["id"])

    def named_regions(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "colour": "#%02x%02x%02x" % colour(index)[1], "labels": list(labels)}
            for index, (name, labels) in enumerate(self.regions.items())
        ]

    def queue(self, request: Request) -> Response:
        cases = []
        for rank, held in enumerate(self.cases):
            cases.append(
                {
                    **{"id": held.id, "name": held.name, "patient": held.patient, "rank": rank},
                    **{"uncertainty": held.uncertainty, "dice": 1 - held.uncertainty},
                    "volumes": _volumes(held, self.regions),
                    **{"unit": "mL", "flags": list(held.flags), "status": held.status},
                    **{"who": held.who, "when": held.when, "held_out": rank == 1},
                }
            )
        self.improve["corrected"] = sum(h.status in ("corrected", "accepted") for h in self.cases)
        return JSONResponse(
            {
                "model": {"path": "runs/phantoms", "digest": "ab12cd34"},
                "modalities": list(self.cases[0].case.modalities),
                "regions": self.named_regions(),
                **{"who": self.who, "preparing": None, "cases": cases, "improve": self.improve},
            }
        )

    def case(self, request: Request) -> Response:
        held = self.held(request)
        first = display_modality(held.case.modalities)
        names = sorted(held.case.modalities, key=lambda name: name != first)
        modalities = []
        for name in names:
            levels = display.grey_levels(
                held.part(held.case.image[held.case.modalities.index(name)])
            )
            modalities.append({"name": name, "window": list(levels.window)})
        return JSONResponse(
            {
                **{"id": held.id, "name": held.name, "title": held.name, "modalities": modalities},
                **{"regions": self.named_regions(), "thresholds": [0.5] * len(self.regions)},
                **{"revision": held.revision, "status": held.status, "who": held.who},
                **{"when": held.when, "has_probabilities": True, "mm": True, "flat": False},
            }
        )

    def image(self, request: Request) -> Response:
        held = self.held(request)
        index = held.case.modalities.index(request.path_params["name"])
        levels = display.grey_levels(held.part(held.case.image[index]))
        return _nifti(levels.data, held.affine, slope=levels.slope, inter=levels.inter)

    def mask(self, request: Request) -> Response:
        held = self.held(request)
        response = _nifti(held.labels, held.affine, labels=True)
        response.headers["ETag"] = f'"{held.revision}"'
        return response

    def probability(self, request: Request) -> Response:
        held = self.held(request)
        levels = display.shares(held.part(held.probabilities[request.path_params["index"]]))
        return _nifti(levels.data, held.affine, slope=levels.slope)

    async def put(self, request: Request) -> Response:
        held, status = self.held(request), request.query_params["status"]
        body = await request.body()
        if conflict := _conflict(held, request):
            return conflict
        if body:
            packed = body.startswith(b"\x1f\x8b")
            read = nib.Nifti1Image.from_bytes(gzip.decompress(body) if packed else body)
            assert np.allclose(read.affine, held.affine)
            held.labels = display.to_ras(np.asarray(read.dataobj).T).astype(np.uint8)
        self.puts.append((held.id, status, body))
        return self.settle(held, status)

    def settle(self, held: Held, status: str, who: str = "") -> Response:
        held.status, held.who, held.when = status, who or self.who, "2026-11-30T14:05:00"
        held.number += 1
        return JSONResponse(
            {
                **{"revision": held.revision, "status": held.status, "who": held.who},
                **{"when": held.when, "volumes": _volumes(held, self.regions)},
            }
        )

    def skip(self, request: Request) -> Response:
        held = self.held(request)
        return _conflict(held, request) or self.settle(held, "skipped")

    def reopen(self, request: Request) -> Response:
        held = self.held(request)
        return _conflict(held, request) or self.settle(held, "open")

    def learn(self, request: Request) -> Response:
        if request.method == "POST":
            self.improve |= {"state": "running", "stage": "epoch 3 of 20", "done": 3, "total": 20}
            self.improve["seconds_left"] = 340
        if request.method == "DELETE":
            self.improve |= {"state": "cancelled", "message": "Cancelled: the model stays."}
        return JSONResponse(self.improve)

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name == "niivue.umd.js":
            return Response(niivue(), media_type="text/javascript")
        path = _STATIC / name
        return Response(path.read_bytes(), media_type=_TYPES[path.suffix])

    def page(self, request: Request) -> Response:
        return Response((_STATIC / "index.html").read_bytes(), media_type="text/html")

    def app(self) -> Starlette:
        at = f"/{TOKEN}/api"
        return Starlette(
            routes=[
                Route(f"/{TOKEN}/", self.page),
                Route(f"/{TOKEN}/static/{{name}}", self.static),
                Route(f"{at}/queue", self.queue),
                Route(f"{at}/improve", self.learn, methods=["GET", "POST", "DELETE"]),
                Route(f"{at}/cases/{{id}}", self.case),
                Route(f"{at}/cases/{{id}}/image/{{name}}.nii.gz", self.image),
                Route(f"{at}/cases/{{id}}/mask.nii.gz", self.mask),
                Route(f"{at}/cases/{{id}}/probability/{{index:int}}.nii.gz", self.probability),
                Route(f"{at}/cases/{{id}}/mask", self.put, methods=["PUT"]),
                Route(f"{at}/cases/{{id}}/skip", self.skip, methods=["POST"]),
                Route(f"{at}/cases/{{id}}/reopen", self.reopen, methods=["POST"]),
            ]
        )


def _nifti(data: np.ndarray, affine: np.ndarray, **header: Any) -> Response:
    return Response(embedded(display.to_ras(data), affine, **header))


def _volumes(held: Held, regions: dict[str, tuple[int, ...]]) -> dict[str, float]:
    size = abs(np.linalg.det(held.affine[:3, :3])) / 1000
    return {name: float(np.sum(held.labels > index)) * size for index, name in enumerate(regions)}


def _conflict(held: Held, request: Request) -> Response | None:
    if request.headers["If-Match"] == f'"{held.revision}"':
        return None
    answer = {"error": "Somebody saved this case first.", "revision": held.revision}
    return JSONResponse({**answer, "who": held.who, "when": held.when}, 409)


class _Policy:
    """Adds the policy to every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [
                    (b"content-security-policy", POLICY.encode()),
                    (b"cache-control", b"no-store"),
                ]
            await send(message)

        await self.app(scope, receive, send_with)


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """The session on a port of its own; ``stub.address`` is its page."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    stub.address = f"http://127.0.0.1:{listener.getsockname()[1]}/{TOKEN}/"
    config = uvicorn.Config(_Policy(stub.app()), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield stub
    server.should_exit = True
    thread.join(10)
    listener.close()

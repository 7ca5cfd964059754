"""A session of `mriseg annotate` on a real port, and the requests of a browser."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nibabel as nib
import numpy as np

from mriseg.annotation.annotate import open_session
from mriseg.annotation.app import Page
from mriseg.annotation.background import Background
from mriseg.annotation.desk import Desk
from mriseg.annotation.improving import Improve, Improving
from mriseg.annotation.server import serving
from mriseg.backends import Backend
from mriseg.events import finish
from mriseg.io.location import Location
from mriseg.io.runs import Run
from mriseg.recipes.annotation_queue import AnnotateSession, fill_queue
from mriseg.recipes.scans import ScanOptions

Change = Callable[[np.ndarray[Any, Any]], None]


@dataclass
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def revision(self) -> str:
        return self.headers["etag"].strip('"')

    @property
    def image(self) -> nib.Nifti1Image:
        return nib.Nifti1Image.from_bytes(gzip.decompress(self.body))


@dataclass
class Client:
    """Requests to a page as its own browser sends them."""

    address: str
    desk: Desk

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    @property
    def prefix(self) -> str:
        return urlsplit(self.address).path

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        *,
        prefix: str | None = None,
        **headers: str,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            where = f"{self.prefix if prefix is None else prefix}{path}"
            with suppress(ConnectionError):  # it was refused before all of it was sent
                connection.request(method, where, body, given)
            answer = connection.getresponse()
            lowered = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, answer.read(), lowered)
        finally:
            connection.close()

    def queue(self) -> list[dict[str, Any]]:
        answer = self.ask("api/queue")
        assert answer.status == 200, answer.body
        rows: list[dict[str, Any]] = answer.json["cases"]
        return rows

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.queue() if row["name"] == name)

    def mask(self, id_: str) -> tuple[nib.Nifti1Image, str]:
        answer = self.ask(f"api/cases/{id_}/mask.nii.gz")
        assert answer.status == 200, answer.body
        return answer.image, answer.revision

    def save(
        self, id_: str, body: bytes, revision: str, status: str = "corrected", **headers: str
    ) -> Answer:
        address = f"api/cases/{id_}/mask?status={status}"
        return self.ask(address, "PUT", body, If_Match=f'"{revision}"', **headers)


def painting(where: Any, value: int) -> Change:
    """Paints voxels with a value."""

    def change(data: np.ndarray[Any, Any]) -> None:
        data[where] = value

    return change


def drawn(image: nib.Nifti1Image, change: Change = lambda _: None, *, packed: bool = True) -> bytes:
    """A drawing on the grid of ``image``, as NiiVue writes it."""
    data = np.asarray(image.dataobj).astype(np.uint8)
    change(data)
    content = nib.Nifti1Image(data, image.affine).to_bytes()
    return gzip.compress(content, mtime=0) if packed else content


def session_of(
    source: Path, run: Run, out: Path, who: str = "ann", **scans: Any
) -> AnnotateSession:
    session, _ = open_session(Location.of(source), run, who, out, ScanOptions(**scans))
    return session


def prepared(session: AnnotateSession, cpu: Backend) -> AnnotateSession:
    finish(fill_queue(session, cpu))
    return session


@contextmanager
def open_page(session: AnnotateSession, improve: Improve | None = None) -> Iterator[Client]:
    desk = Desk(session)
    page = Page(desk, Background(), Improving(improve, desk.queue.patients_done, 1))
    with serving(page) as address:
        yield Client(address, desk)
    desk.close()

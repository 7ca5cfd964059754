"""What a person waits for on the page of `mriseg annotate`, on a BraTS case, over loopback.

The first volume: from the request of a case that nobody has opened to its first image, its mask and
what the page has to know of it, with the scans' files read anew each time. A save: the drawing on
the wire, checked, written onto the scan's grid and recorded. A list: the queue of as many cases as
there are. The queue is filled before; the run's weights are fresh, on which no time depends.
"""

from __future__ import annotations

import gzip
import http.client
import json
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nibabel as nib
import numpy as np

from benchmarks._data import brats_or_exit, cases, one_case
from benchmarks._runs import fresh_run
from benchmarks._timing import Comparison, finish, interleaved, parser_of, seconds_of
from mriseg import events
from mriseg.annotation.annotate import open_session
from mriseg.annotation.app import Page
from mriseg.annotation.background import Background
from mriseg.annotation.desk import Desk
from mriseg.annotation.improving import Improving
from mriseg.annotation.server import serving
from mriseg.backends import select
from mriseg.core.config import DEFAULT_MODALITIES
from mriseg.core.prepare import prepare
from mriseg.io.location import Location
from mriseg.io.store import frame_for
from mriseg.recipes.annotation_queue import fill_queue
from mriseg.recipes.scans import ScanOptions

FIRST = "the first volume of a case, with its mask"


class Browser:
    """Asks as the page does."""

    def __init__(self, address: str) -> None:
        self._parts = urlsplit(address)

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Any:
        """The answer's body and its ETag."""
        connection = http.client.HTTPConnection("127.0.0.1", self._parts.port or 0, timeout=120)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"{self._parts.path}{path}", body, given)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == 200, content
        return content, answer.headers["ETag"]


def main(arguments: list[str] | None = None) -> Comparison:
    """Measure, and show it."""
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args(arguments)
    folder = brats_or_exit("benchmarks.annotation")

    backend = select(options.backend, precision=options.precision)
    case = next(case for case in cases(folder) if set(DEFAULT_MODALITIES) <= set(case.modalities))
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        source = one_case(case, root / "scans")
        loaded = case.load()
        frame = frame_for([prepare(loaded.images, None, loaded.geometry).image.shape[1:]])
        run = fresh_run(
            root / "run", width=options.width, modalities=DEFAULT_MODALITIES, frame=frame
        )
        session, _ = open_session(Location.of(source), run, "nobody", root / "out", ScanOptions())
        events.finish(fill_queue(session, backend))
        desk = Desk(session)
        page = Page(desk, Background(), Improving(None, desk.queue.patients_done))
        with serving(page) as address:
            browser = Browser(address)
            (id_,) = desk.queue.ids
            where = f"api/cases/{id_}"

            def first() -> None:
                desk._held.clear()
                facts = json.loads(browser.ask(where)[0])
                name = facts["modalities"][0]["name"]
                browser.ask(f"{where}/image/{name}.nii.gz")
                browser.ask(f"{where}/mask.nii.gz")

            def save() -> float:
                content, revision = browser.ask(f"{where}/mask.nii.gz")
                image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
                data = np.asarray(image.dataobj).copy()
                block = tuple(slice(side // 4, side // 2) for side in data.shape)
                data[block] = 1 - data[block].flat[0]
                drawing = gzip.compress(nib.Nifti1Image(data, image.affine).to_bytes())
                # What the browser does before is not the server's time.
                began = time.perf_counter()
                browser.ask(f"{where}/mask?status=corrected", "PUT", drawing, If_Match=revision)
                return time.perf_counter() - began

            first()
            group = interleaved(
                f"{case.name}, the page of mriseg annotate",
                {
                    FIRST: seconds_of(first),
                    "a correction: sent, checked, saved on the scan's grid": save,
                    "the queue": seconds_of(lambda: browser.ask("api/queue")),
                },
                base=FIRST,
                rounds=options.rounds,
            )
        desk.close()
    return finish("benchmarks.annotation", backend, options, [group])


if __name__ == "__main__":
    main()

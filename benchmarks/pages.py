"""What a report of many cases costs beyond their pictures, on a BraTS case repeated.

A picture: the slices with the mask, as `mriseg predict` draws them beside each mask. Volumes: the
case packed for the viewer, once per case while it is in memory. Pages: the index and a file per
case, all of them. The times are of all cases together.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._data import brats_or_exit, cases
from benchmarks._timing import Comparison, finish, interleaved, parser_of, seconds_of
from mriseg.backends import select
from mriseg.core.prepare import prepare
from mriseg.core.regions import region_masks
from mriseg.report import html, pictures
from mriseg.report.case_views import CaseViews
from mriseg.report.page import About, CaseEntry, Page
from mriseg.report.viewer import viewed

REGIONS = {"WT": (1, 2, 3, 4)}
PICTURES = "pictures beside the masks"


def main(arguments: list[str] | None = None) -> Comparison:
    """Measure, and show it."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--cases", type=int, default=40)
    options = parser.parse_args(arguments)
    folder = brats_or_exit("benchmarks.pages")

    case = next(case for case in cases(folder))
    raw = case.load()
    prepared = prepare(raw.images, raw.labels, raw.geometry)
    assert prepared.labels is not None, "brats_or_exit finds labelled cases"
    masks = region_masks(prepared.labels, REGIONS).astype(np.uint8)
    names = [f"{case.name}_{number}" for number in range(options.cases)]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "volumes").mkdir()
        views = CaseViews(root / "volumes")
        view = partial(viewed, case.name, prepared, tuple(REGIONS), mask=masks)

        def draw() -> None:
            for name in names:
                pictures.overlay(root / f"{name}.png", prepared, masks, tuple(REGIONS), name)

        def pack() -> None:
            for name in names:
                views.add(name, view)

        def write() -> None:
            entries = tuple(
                CaseEntry(name, name, views.size(name), (), tuple, views.viewer(name))
                for name in names
            )
            page = Page("Prediction", "Masks", "", About(""), cases=entries)
            html.write(root / html.FILE, page)

        group = interleaved(
            f"{case.name}, {options.cases} times",
            {
                PICTURES: seconds_of(draw),
                "volumes packed for the viewer": seconds_of(pack),
                "pages written": seconds_of(write),
            },
            base=PICTURES,
            rounds=options.rounds,
        )
    return finish("benchmarks.pages", select("cpu"), options, [group])


if __name__ == "__main__":
    main()

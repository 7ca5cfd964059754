"""The page of the demo, and the shipped model's mask that it shows."""

from __future__ import annotations

import os
from pathlib import Path

from mriseg.backends import Backend, describe
from mriseg.core.metrics import score_case
from mriseg.core.regions import region_masks
from mriseg.engine.segmenter import Segmenter, SegmentOptions
from mriseg.events import Advanced, Began, Recipe, reporting
from mriseg.io.disk.documents import read_picture
from mriseg.io.model_sources import locate
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.about import Heard, about, machine_of
from mriseg.recipes.load import load
from mriseg.recipes.setup import versions
from mriseg.report import html
from mriseg.report.pages.demonstration import ShownModel, demo_page
from mriseg.report.pictures import overlay
from mriseg.report.viewer import packed, page_viewer, viewed

# One pass for each slice: it is a demo.
_OPTIONS = SegmentOptions(flips=False)


def page_written(
    folder: Path,
    store: Store,
    run: Run,
    seconds: float,
    heard: Heard,
    backend: Backend,
) -> Recipe[Path]:
    """Segment the patient held out with the shipped model, too, and write ``report.html``.

    Args:
        folder: of the demo.
        store: of the sample.
        run: the demo's own model.
        seconds: that the demo took so far.
        heard: what it said.
        backend: where to compute.

    Returns:
        Where the page is.
    """
    [held] = run.manifest.validation[:1]
    yield Began("base", 1, "case")
    base = yield from _drawn(open_run(locate("base")), store, held, folder / "base.png", backend)
    own = yield from _drawn(run, store, held, folder / "trained.png", backend)
    places = {
        "the data set": Path(store.location),
        "the training": folder / "run",
        "the masks": folder / "masks",
        "the evaluation": folder / "evaluation",
        "the transfer": folder / "transferred",
    }
    links = {
        what: Path(os.path.relpath(place / html.FILE, folder)).as_posix()
        for what, place in places.items()
        if (place / html.FILE).exists()
    }
    noted = about(versions(), heard=heard, machine=machine_of(describe(backend)))
    page = demo_page(
        noted,
        case=held,
        base=base,
        trained=own,
        seconds=seconds,
        links=links,
    )
    path = folder / html.FILE
    html.write(path, page)
    return path


def _drawn(
    run: Run, store: Store, name: str, picture: Path, backend: Backend
) -> Recipe[ShownModel]:
    """A model's mask beside the truth: as a picture, its mean Dice, and for a viewer."""
    case, segmenter = store.read_case(name), Segmenter(load(run), _OPTIONS)
    work = segmenter.segmenting(case, backend)
    shares = reporting(work, lambda share: Advanced("base", share, item=picture.stem))
    masks = (yield from shares).masks
    regions = run.manifest.regions
    assert case.labels is not None, "the sample has segmentations"
    # The sample's masks are of 1 alone, which is any of the model's labels.
    truth = region_masks(case.labels, regions)
    scores = score_case(picture.stem, masks, truth, tuple(regions), case.geometry)
    overlay(picture, case, masks, tuple(regions), run.name, truth)
    shown = viewed(f"Mask of {run.name}", case, tuple(regions), mask=masks, truth=truth)
    return ShownModel(
        read_picture(picture),
        sum(score.dice for score in scores) / len(scores),
        name in run.manifest.seen_among([store.index()[name]]),
        lambda opened: page_viewer(packed(shown), opened=opened),
    )

"""The page of a folder of masks, from its record: those made now and those made before.

A case that was predicted now is packed for its viewer while it is in memory. One that was kept has
its file beside the page already; where that is not so, its scan is read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.core import volume
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions, region_masks
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Recipe, Wrote
from mriseg.io import nifti
from mriseg.io.disk.documents import read_picture
from mriseg.io.predictions import FILE, MaskRecord, Predictions, read_predictions, record_path
from mriseg.recipes.about import Heard, about
from mriseg.recipes.mask_tables import kept_masks
from mriseg.recipes.prediction import Prediction
from mriseg.recipes.setup import versions
from mriseg.recipes.sources import Source
from mriseg.report import html
from mriseg.report.pages.prediction import ShownMask, citing_prediction, prediction_page
from mriseg.report.viewer import viewed

_NOT_READ = (
    "Its volumes are not in this page, since the last command did not read its scan. Run mriseg "
    "predict on it again to look at it in three planes."
)


def page_path(record: Path) -> Path:
    """Where the page of the masks with that record is: beside it."""
    return record.with_name(record.name.removesuffix(record_path(Path()).name) + html.FILE)


def page_written(
    work: Prediction, heard: Heard, scans: Mapping[str, Source]
) -> Recipe[Path | None]:
    """Write the page of all masks that the record knows and that are still there.

    Args:
        work: what was predicted.
        heard: what was said meanwhile.
        scans: the name of a mask's file -> its case, as far as they are known.

    Returns:
        Where it is; None where there is no mask of mriseg's to show.

    Raises:
        OutputError: it cannot be written, or the record cannot be read.
    """
    record = work.masks.record
    path, known = page_path(record), read_predictions(record)
    if work.options.overlays:
        yield from _viewed_again(work, path, known, scans)
    masks = list(_shown(path, known, work))
    if not masks:
        return None
    asked = work.masks.asked
    unused = {name: why for files in known.unused.values() for name, why in files.items()}
    noted = about(
        versions(),
        heard=heard,
        settings={"model": f"{asked.model.path} (digest {asked.model.digest})", **asked.settings},
        machine=work.machine,
        unused=unused,
    )
    one = len(masks) == 1
    title = f"Mask of {masks[0].record.case}" if one else f"Masks in {record.parent.name}"
    latest = max(masks, key=lambda mask: mask.record.created).record
    citing, start = citing_prediction(latest), record.name.removesuffix(FILE)
    html.write(path, prediction_page(masks, noted, title=title, citing=citing, start=start))
    yield Wrote(path, "report")
    return path


def _viewed_again(
    work: Prediction, page: Path, known: Predictions, scans: Mapping[str, Source]
) -> Recipe[None]:
    """Read the scans of masks that were kept and that no page shows as they are."""
    todo = [
        record
        for name, record in known.masks.items()
        if name in scans
        and name not in work.views
        and not _is_written(page, record)
        and (page.parent / name).exists()
    ]
    if not todo or work.views.absent:
        return
    yield Began("report", len(todo), "case")
    for number, record in enumerate(todo, start=1):
        # What cannot be read any more has no viewer, and its mask is on the page all the same.
        with suppress(InputError):
            case, _ = scans[record.mask].load()
            masks = _masks_of(page.parent / record.mask, case, work.run.manifest.regions)
            view = partial(viewed, record.case, case, tuple(record.volumes), mask=masks)
            work.views.add(record.mask, view)
        yield Advanced("report", number, item=record.case)


def _masks_of(path: Path, case: PreparedCase, regions: Regions) -> NDArray[np.uint8]:
    """The masks [r, z, y, x] in a file, on the grid of its case."""
    array, geometry = nifti.read(path)
    if geometry.shape != case.geometry.shape:
        raise InputError(f"{path} was changed: it has another grid than its scan")
    labels = volume.canonical(nifti.integer_labels(array), case.geometry)
    labels = volume.crop(labels, case.box)
    return (
        (labels[None] > 0).astype(np.uint8) if len(regions) == 1 else region_masks(labels, regions)
    )


def _is_written(page: Path, record: MaskRecord) -> bool:
    """Whether the case has a file of its own beside the page, not older than its mask."""
    mask = page.parent / record.mask
    try:
        written = html.case_path(page, _place(record)).stat().st_mtime_ns
        return record.files[0].is_still(mask) and written >= mask.stat().st_mtime_ns
    except OSError:
        return False


def _shown(page: Path, known: Predictions, work: Prediction) -> Iterator[ShownMask]:
    for mask in kept_masks(page.parent, known):
        record, edited = mask.record, mask.edited
        if not work.options.overlays:
            yield ShownMask(record, edited=edited)
            continue
        picture = _picture(page.parent, record)
        # Base64 takes four bytes for three.
        size = (picture.stat().st_size * 4 // 3 if picture else 0) + work.views.size(record.mask)
        yield ShownMask(
            record,
            edited=edited,
            picture=partial(read_picture, picture) if picture else None,
            size=size,
            viewer=work.views.viewer(record.mask) or (lambda _: _NOT_READ),
            written=record.mask not in work.views and _is_written(page, record),
        )


def _place(record: MaskRecord) -> str:
    return nifti.stem(Path(record.mask))


def _picture(folder: Path, record: MaskRecord) -> Path | None:
    name = f"{_place(record)}.png"
    known = [file for file in record.files if file.name == name]
    path = folder / name
    return path if known and known[0].is_still(path) else None

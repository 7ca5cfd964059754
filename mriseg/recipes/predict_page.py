"""The page of a folder of masks, from its record: those made now and those made before."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mriseg.backends import describe
from mriseg.io import nifti
from mriseg.io.disk.documents import read_picture
from mriseg.io.predictions import MaskRecord, Predictions, read_predictions, record_path
from mriseg.recipes.about import Heard, about, machine_of
from mriseg.recipes.mask_tables import kept_masks
from mriseg.recipes.prediction import Prediction
from mriseg.recipes.setup import versions
from mriseg.report import html
from mriseg.report.pages.prediction import ShownMask, citing_prediction, prediction_page


def page_path(record: Path) -> Path:
    """Where the page of the masks with that record is: beside it."""
    return record.with_name(record.name.removesuffix(record_path(Path()).name) + html.FILE)


def write_page(work: Prediction, heard: Heard) -> Path | None:
    """Write the page of all masks that the record knows and that are still there.

    Args:
        work: what was predicted.
        heard: what was said meanwhile.

    Returns:
        Where it is; None where there is no mask of mriseg's to show.

    Raises:
        OutputError: it cannot be written, or the record cannot be read.
    """
    record = work.masks.record
    known = read_predictions(record)
    masks = list(_shown(record.parent, known, pictures=work.options.overlays))
    if not masks:
        return None
    asked = work.masks.asked
    unused = {name: why for files in known.unused.values() for name, why in files.items()}
    noted = about(
        versions(),
        heard=heard,
        settings={"model": f"{asked.model.path} (digest {asked.model.digest})", **asked.settings},
        machine=machine_of(describe(work.backend)),
        unused=unused,
    )
    path = page_path(record)
    one = len(masks) == 1
    title = f"Mask of {masks[0].record.case}" if one else f"Masks in {record.parent.name}"
    latest = max(masks, key=lambda mask: mask.record.created).record
    html.write(path, prediction_page(masks, noted, title=title, citing=citing_prediction(latest)))
    return path


def _shown(folder: Path, known: Predictions, *, pictures: bool) -> Iterator[ShownMask]:
    for mask in kept_masks(folder, known):
        picture = _picture(folder, mask.record) if pictures else None
        yield ShownMask(
            mask.record,
            edited=mask.edited,
            picture=partial(read_picture, picture) if picture else None,
            size=picture.stat().st_size if picture else 0,
        )


def _picture(folder: Path, record: MaskRecord) -> Path | None:
    name = f"{nifti.stem(Path(record.mask))}.png"
    known = [file for file in record.files if file.name == name]
    path = folder / name
    return path if known and known[0].is_still(path) else None

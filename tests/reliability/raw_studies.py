"""Real cases made raw and sent through the whole door, against the same cases as they were.

Each scan but FLAIR is moved by a random rigid motion (up to 5 degrees about each axis and 6 mm
along each) and sampled on a grid of its own, of 3 mm slices and pixels of 0.95 mm; all of them are
written as a DICOM study of a series each. `predict --align --reference FLAIR` then reads, aligns
and segments the study. The truth lies on FLAIR's grid, so both masks are measured against the same
voxels.

    MRISEG_DATA=... python -m tests.reliability.raw_studies --cases 5

The seconds are of one process: of the whole study, and of its parts alone: reading the series,
aligning them, and predicting the case as it was, in NIfTI.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mriseg import api
from mriseg.core.metrics import count, dice
from mriseg.core.preparation import Preparation
from mriseg.core.regions import region_masks
from mriseg.core.volume import canonical
from mriseg.events import completed
from mriseg.io import images, readers
from mriseg.io.readers import Case, RawCase, ReaderOptions
from mriseg.recipes.predict import PredictOptions
from mriseg.recipes.sessions import brought_together
from tests.io.dicom.series import write_series
from tests.reliability.alignment import about, coarse_grid, places_of
from tests.sessions import rigid, scanned

REFERENCE = "FLAIR"
NAMES = {"T1": "AX T1 SE", "T1CE": "AX T1 POST GD", "T2": "AX T2 FSE", "FLAIR": "AX FLAIR"}
WHOLE = {"WT": (1, 2, 4)}
# Of 16 bits, so that rounding to whole numbers loses nothing that a scanner has.
_HIGHEST = 4000.0
# mm that the table stands off: BraTS has its origin where a header without a place has it.
_OFF_CENTRE = (12.5, -31.0, 44.5)


def write_study(folder: Path, raw: RawCase, rng: np.random.Generator) -> None:
    """The case as a scanner would have it."""
    middle = places_of(raw.images[REFERENCE], raw.geometry).mean(axis=0)
    for number, (modality, image) in enumerate(raw.images.items(), start=1):
        array, grid = np.asarray(image, dtype=np.float32), raw.geometry
        if modality != REFERENCE:
            turn, shift = rng.uniform(-5, 5, 3), rng.uniform(-6, 6, 3)
            own = coarse_grid(grid)
            array = scanned(array, grid, own, about(rigid(tuple(turn), tuple(shift)), middle))
            grid = own
        affine = np.array(grid.affine)
        affine[:3, 3] += _OFF_CENTRE
        scaled = array.clip(0) * (_HIGHEST / max(float(array.max()), 1.0))
        write_series(
            folder / f"SE{number}",
            np.rint(scaled).astype(np.uint16),
            affine,
            NAMES[modality],
            number=number,
            seed=number,
        )


def predicted(source: Path, out: Path, **options: Any) -> tuple[Path, float]:
    """The mask of the one case of a source, and the seconds."""
    began = time.perf_counter()
    chosen = PredictOptions(**options)
    report = api.predict(source, out, "base", chosen, backend="cpu")
    seconds = time.perf_counter() - began
    [result] = report.results
    return result.mask, seconds


def agreement(mask: Path, raw: RawCase) -> float:
    """Dice of the whole tumour in a mask on the case's own grid."""
    assert raw.labels is not None
    segmented, own, _ = images.read_labels(mask)
    truth = region_masks(raw.labels, WHOLE)[0]
    return dice(count(canonical(segmented, own) > 0, canonical(truth, raw.geometry) > 0))


def compared(case: Case, rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    """A case through both doors."""
    raw = case.load()
    study, scans = folder / "study", folder / "scans" / case.name
    write_study(study, raw, rng)
    scans.mkdir(parents=True)
    for file in case.files:
        (scans / file.name).symlink_to(file.absolute())
    as_it_was, network = predicted(scans.parent, folder / "masks")
    raw_mask, whole = predicted(study, folder / "raw-masks", align=True, reference=REFERENCE)

    began = time.perf_counter()
    [listed] = readers.find(study, "auto", ReaderOptions())[1].cases
    loaded = listed.load()
    read = time.perf_counter() - began
    began = time.perf_counter()
    completed(brought_together(loaded, Preparation(reference=REFERENCE, align="rigid")))
    aligned = time.perf_counter() - began
    before, after = agreement(as_it_was, raw), agreement(raw_mask, raw)
    return {
        "case": case.name,
        "Dice as it was": before,
        "Dice through the door": after,
        "difference": after - before,
        "seconds, whole": whole,
        "seconds, reading": read,
        "seconds, aligning": aligned,
        "seconds, as it was": network,
        "times its parts": whole / (read + aligned + network),
    }


def main() -> None:
    """Measure, and print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = Path(os.environ.get("MRISEG_DATA", "../shared/data")) / "brats"
    rng = np.random.default_rng(options.seed)
    rows = []
    for case in readers.find(data, "auto", ReaderOptions())[1].cases[: options.cases]:
        with tempfile.TemporaryDirectory() as temporary:
            rows.append(compared(case, rng, Path(temporary)))
        print(json.dumps(rows[-1]), flush=True)
    off = np.array([row["difference"] for row in rows])
    print(f"{len(rows)} cases: mean difference {off.mean():+.4f}, worst {off.min():+.4f}")


if __name__ == "__main__":
    main()

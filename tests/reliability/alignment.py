"""How exactly `--align` finds motions that are known, on real heads with and without a skull.

Each scan of a case but the reference is moved by a random rigid motion (up to 8 degrees about each
axis and 10 mm along each) and sampled on a grid of its own, of 3 mm slices and pixels of 0.95 mm;
the registration starts from where that grid's header places it. The error is the mean distance over
the voxels of the head between where the motion that was found leads and where the right one does.

BraTS heads are stripped. Those of LGG have skulls, and thick slices of no stated size: voxels of
0.94 x 0.94 x 5 mm are assumed, and their slices stay as thick as they are.

    MRISEG_DATA=... python -m tests.reliability.alignment --brats 5 --lgg 6
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.alignment import Reference, align
from mriseg.core.intensity import foreground
from mriseg.core.modalities import display_modality
from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Affine, Geometry, canonical, uncanonical
from mriseg.io import readers
from mriseg.io.readers import RawCase, ReaderOptions
from tests.sessions import rigid, rows, scanned

LGG_PIXEL, LGG_SLICE = 0.94, 5.0
PIXEL, SLICE = 0.95, 3.0


def about(motion: Affine, middle: NDArray[np.float64]) -> Affine:
    """The motion about ``middle`` in place of the origin."""
    matrix = np.array(motion)
    matrix[:3, 3] += middle - matrix[:3, :3] @ middle
    return rows(matrix)


def raw_cases(folder: Path, count: int) -> Iterator[tuple[str, RawCase]]:
    """The first cases of a folder that have more than one modality."""
    listed = readers.find(folder, "auto", ReaderOptions(segmentations=False))[1].cases
    taken = 0
    for case in listed:
        if taken < count and len((raw := case.load()).images) > 1:
            taken += 1
            yield case.name, raw


def in_mm(raw: RawCase) -> RawCase:
    """A case of LGG with the voxels that are assumed of it."""
    if raw.geometry.unit == "mm":
        return raw
    # Its arrays are [slice, row, column], to the top, the back and the left.
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = LGG_SLICE, -LGG_PIXEL, -LGG_PIXEL
    affine[3, 3] = 1
    return replace(raw, geometry=geometry_of(raw.geometry.shape, affine))


def coarse_grid(own: Geometry) -> Geometry:
    """A grid of 3 mm slices over the same field of view; thicker slices are kept as they are."""
    sizes = np.array(own.own_spacing)
    thin = int(np.argmax(np.abs(np.array(own.affine)[2, :3] / sizes)))
    wanted = np.full(3, PIXEL)
    wanted[thin] = max(SLICE, sizes[thin])
    shape = np.rint(np.array(own.shape) * sizes / wanted).astype(int)
    affine = np.array(own.affine) @ np.diag([*(wanted / sizes), 1.0])
    i, j, k = shape.tolist()
    return geometry_of((i, j, k), affine)


def places_of(array: Any, grid: Geometry) -> NDArray[np.float64]:
    """World coordinates [n, 3] in mm of the voxels of the head."""
    head = uncanonical(foreground([canonical(array, grid)]), grid)
    affine = np.array(grid.affine)
    return np.asarray(np.argwhere(head) @ affine[:3, :3].T + affine[:3, 3])


def measured(name: str, raw: RawCase, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """The errors of a case's scans, each moved on its own."""
    raw = in_mm(raw)
    on = display_modality([*raw.images])
    grid = raw.geometry
    places = places_of(raw.images[on], grid)
    reference = Reference(raw.images[on], grid)
    for modality, array in raw.images.items():
        if modality == on:
            continue
        turn, shift = rng.uniform(-8, 8, 3), rng.uniform(-10, 10, 3)
        motion = about(rigid(tuple(turn), tuple(shift)), places.mean(axis=0))
        own = coarse_grid(grid)
        moved = scanned(array, grid, own, motion)
        began = time.process_time()
        how = align(reference, moved, own)
        seconds = time.process_time() - began
        applied = np.array(how.motion) if how.used else np.eye(4)
        wrong, right = applied - np.array(motion), np.array(motion) - np.eye(4)
        off = np.linalg.norm(places @ wrong[:3, :3].T + wrong[:3, 3], axis=1)
        before = np.linalg.norm(places @ right[:3, :3].T + right[:3, 3], axis=1)
        yield {
            "case": name,
            "modality": modality,
            "onto": on,
            "before": float(before.mean()),
            "mean": float(off.mean()),
            "largest": float(off.max()),
            "used": how.used,
            "remark": how.remark,
            "seconds": seconds,
        }


def main() -> None:
    """Measure, and print a line per scan and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--brats", type=int, default=5)
    parser.add_argument("--lgg", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = Path(os.environ.get("MRISEG_DATA", "../shared/data"))
    for kind, count in (("brats", options.brats), ("lgg", options.lgg)):
        rng = np.random.default_rng(options.seed)
        errors = []
        for name, raw in raw_cases(data / kind, count):
            for row in measured(name, raw, rng):
                errors.append(row)
                print(json.dumps(row), flush=True)
        if errors:
            means = np.array([row["mean"] for row in errors])
            print(
                f"{kind}: {len(errors)} scans of {count} cases, moved by "
                f"{np.mean([row['before'] for row in errors]):.1f} mm: mean {means.mean():.3f} mm, "
                f"median {np.median(means):.3f}, worst {means.max():.3f}, "
                f"{np.mean([row['seconds'] for row in errors]):.1f} s each, "
                f"{sum(not row['used'] for row in errors)} not used",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Registration finds a motion that is known, gives the same each time, and says when not to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mriseg.alignment import Reference, align
from mriseg.core.orientation import geometry_of
from mriseg.core.preparation import Alignment
from mriseg.core.volume import Affine, Geometry
from mriseg.io import nifti
from tests.sessions import grid_of, head, rigid, rows, scanned

ISO, THIN = grid_of((52, 60, 44), (3, 3, 3)), grid_of((78, 90, 66), (2, 2, 2))


def error(how: Alignment, motion: Affine, array: Any, grid: Geometry) -> float:
    """Mean distance in mm, over the head, between where a motion leads and where it should."""
    affine = np.array(grid.affine)
    places = np.argwhere(array > 0.2 * array.max()) @ affine[:3, :3].T + affine[:3, 3]
    wrong = np.array(how.motion) - np.array(motion)
    return float(np.linalg.norm(places @ wrong[:3, :3].T + wrong[:3, 3], axis=1).mean())


def test_a_scan_that_lies_right_is_left() -> None:
    images, _, own = head()
    reference = Reference(images["flair"], own)
    still = align(reference, images["t1"], own)
    assert not still.used and "already" in still.remark and still.shift < 0.25


@pytest.mark.slow
def test_noise_is_not_moved() -> None:
    images, _, own = head()
    reference = Reference(images["flair"], own)
    noise = np.random.default_rng(1).normal(100, 20, (16, 16, 16)).astype(np.float32)
    lost = align(reference, noise, grid_of((16, 16, 16), (3, 3, 3)))
    assert not lost.used and lost.remark


@pytest.mark.slow
@pytest.mark.parametrize("stripped", [True, False])
def test_a_known_motion_is_found_and_each_time_the_same(stripped: bool) -> None:
    images, _, own = head(seed=3, stripped=stripped)
    motion = rigid((4, -3, 6), (5, -4, 6))
    reference = Reference(scanned(images["flair"], own, THIN), THIN)
    moved = scanned(images["t1"], own, ISO, motion)
    first, second = (align(reference, moved, ISO) for _ in range(2))
    assert first == second
    assert first.used and first.after > first.before and first.remark == ""
    assert error(first, motion, images["flair"], own) < 0.8


@pytest.mark.slow
def test_no_motion_is_used_that_a_head_does_not_make() -> None:
    images, _, own = head(seed=3)
    reference = Reference(images["flair"], own)
    upside_down = scanned(images["t1"], own, own, rigid((80, 0, 0), (0, 0, 0)))
    how = align(reference, upside_down, own)
    assert not how.used or abs(np.trace(np.array(how.motion)[:3, :3])) > 2.5


@pytest.mark.slow
@pytest.mark.realdata
def test_a_real_scan_of_thick_slices_is_aligned_to_half_a_millimetre(brats_dir: Path) -> None:
    folder = brats_dir / "BraTS19_2013_10_1"
    images = {name: nifti.read(next(folder.glob(f"*_{name}.nii*"))) for name in ("flair", "t1")}
    (flair, own), (t1, _) = images["flair"], images["t1"]
    affine = np.array(own.affine)
    middle = (np.argwhere(flair > 0) @ affine[:3, :3].T + affine[:3, 3]).mean(axis=0)
    turn = np.array(rigid((6, -4, 8), (0, 0, 0)))
    turn[:3, 3] = middle - turn[:3, :3] @ middle + (6, -5, 9)
    thick = affine @ np.diag([0.95, 0.95, 3, 1])
    grid = geometry_of((252, 252, 52), thick)
    how = align(Reference(flair, own), scanned(t1, own, grid, rows(turn)), grid)
    assert how.used
    assert error(how, rows(turn), flair, own) < 0.5

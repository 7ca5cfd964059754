"""Sessions as scanners give them: each scan on a grid of its own, and the head moved between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mriseg.core.orientation import geometry_of
from mriseg.core.regridding import labels_regridded, regridded
from mriseg.core.volume import Affine, Geometry, uncanonical
from mriseg.testing import phantoms

SIZE = 3.0
"""mm of a phantom's voxels, so that a head of a few voxels is as large as a head."""


def rows(matrix: NDArray[np.float64]) -> Affine:
    """A matrix as `Geometry` has it."""
    return tuple(tuple(map(float, row)) for row in matrix)


def rigid(turn: tuple[float, float, float], shift: tuple[float, float, float]) -> Affine:
    """A motion about the world's origin, by degrees and mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return rows(matrix)


def grid_of(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Geometry:
    """A grid of axes L, P and S around the world's origin."""
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return geometry_of(shape, affine)


def head(seed: int = 0, **how: Any) -> tuple[dict[str, NDArray[Any]], NDArray[Any], Geometry]:
    """A phantom's images and labels [i, j, k] around the world's origin, and their grid."""
    images, labels = phantoms.head(np.random.default_rng(seed), (44, 60, 52), **how)
    grid = grid_of((52, 60, 44), (SIZE, SIZE, SIZE))
    turned = {name: uncanonical(image, grid) for name, image in images.items()}
    return turned, uncanonical(labels, grid), grid


def scanned(
    array: NDArray[Any], own: Geometry, grid: Geometry, motion: Affine | None = None
) -> NDArray[Any]:
    """A scan of a head on ``grid``, after it has moved by ``motion``."""
    back = rows(np.linalg.inv(np.array(motion))) if motion is not None else rows(np.eye(4))
    which = labels_regridded if array.dtype == np.uint8 else regridded
    return which(array, own, grid, back)


def write(path: Path, array: NDArray[Any], grid: Geometry) -> Path:
    """A NIfTI file that says where it lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, np.array(grid.affine))
    nib.save(image, path)
    return path


def write_session(
    folder: Path,
    grids: Mapping[str, Geometry],
    *,
    labels_on: str = "",
    seed: int = 0,
    motions: Mapping[str, Affine] | None = None,
) -> Path:
    """A case of BraTS's names, each modality on its grid.

    Args:
        folder: of the case.
        grids: "t1", "t2", "flair" or "t1ce" -> its grid.
        labels_on: the modality on whose grid there is a segmentation; empty: there is none.
        seed: of the head.
        motions: modality -> how the head had moved when it was scanned.
    """
    images, labels, own = head(seed)
    for name, grid in grids.items():
        motion = (motions or {}).get(name)
        write(
            folder / f"{folder.name}_{name}.nii.gz", scanned(images[name], own, grid, motion), grid
        )
        if name == labels_on:
            drawn = scanned(labels, own, grid, motion)
            write(folder / f"{folder.name}_seg.nii.gz", drawn, grid)
    return folder

"""Loading a case from several files: all on one grid, and one kind of error."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.core.modalities import SEGMENTATION
from mriseg.core.tumour_labels import Numbering as AsInFile
from mriseg.core.tumour_labels import label_counts, renumbered
from mriseg.core.tumour_labels import numbering as tumour_numbering
from mriseg.core.volume import Geometry, canonical, sides, uncanonical
from mriseg.errors import CaseError, InputError
from mriseg.io import images as containers
from mriseg.io.dicom.conversion import read_series, series_name
from mriseg.io.readers.base import Array, Numbering, RawCase

# Grids whose corners are at most this far apart, in mm, are equal: headers round.
_SAME_GRID = 0.01
# For files with other axes, the same in voxels: a header's quaternion may be off by a thousandth of
# a radian, a tenth of a voxel across a head, and still each voxel is nearest to its counterpart.
_SAME_VOXEL = 0.5


@contextmanager
def errors_of(case: str) -> Iterator[None]:
    """Turn an InputError about a file, raised in this block, into a CaseError of ``case``."""
    try:
        yield
    except CaseError:
        raise
    except InputError as error:
        raise CaseError(case, str(error)) from error


def load_files(
    case: str,
    files: Mapping[str, Path | tuple[Path, ...]],
    numbering: Numbering = "files",
) -> RawCase:
    """Read a case with one image per modality, all brought onto the grid of the first image.

    Args:
        case: the case's name, for errors.
        files: modality name -> file, or the files of its DICOM series; and "seg" -> the
            segmentation if there is one.
        numbering: what its label values are, as in `Listing`.

    Returns:
        The case, with the segmentation's label values as the file has them, and a notice for each
        file that did not match the grid or held voxels that are not finite.

    Raises:
        CaseError: a file cannot be used, or there is no image.
    """
    modalities = [name for name in files if name != SEGMENTATION]
    if not modalities:
        raise CaseError(case, "it has no image")
    images: dict[str, Array] = {}
    notices: list[str] = []
    with errors_of(case):
        first, *others = modalities
        images[first], grid, accepted = _read(files[first])
        notices += accepted
        for name in others:
            array, own, accepted = _read(files[name])
            if isinstance(files[name], tuple) and isinstance(files[first], tuple):
                _refuse_elsewhere(own, grid, name, first)
            images[name], mismatch = onto_grid(array, own, grid, _named(files[name]))
            notices += (*accepted, *mismatch)
    loaded = RawCase(images, None, grid, tuple(notices))
    if SEGMENTATION not in files:
        return loaded
    paths = [path for path in files.values() if isinstance(path, Path)]
    labels = files[SEGMENTATION]
    if isinstance(labels, tuple):
        raise CaseError(case, f"its segmentation, {labels[0].name}, is DICOM; give one in NIfTI")
    stems = [containers.stem(path) for path in paths]
    return with_labels(case, loaded, labels, numbering, stems)


def _read(files: Path | tuple[Path, ...]) -> containers.Image:
    return containers.read(files) if isinstance(files, Path) else read_series(files)


def _named(files: Path | tuple[Path, ...]) -> str:
    return files.name if isinstance(files, Path) else series_name(files)


def _refuse_elsewhere(own: Geometry, grid: Geometry, name: str, first: str) -> None:
    """Refuse a series that lies elsewhere: a scanner's headers are never to be doubted.

    Raises:
        InputError: it does.
    """
    if own.canonical_shape == grid.canonical_shape:
        apart = _apart(own, grid)
        if apart <= _SAME_VOXEL * min(grid.spacing):
            return
        how = f"up to {apart:.3g} mm away"
    else:
        how = f"{sides(own.shape)} voxels against {sides(grid.shape)}"
    raise InputError(
        f"its {name} is on another grid than its {first} ({how}); bring all series onto the grid "
        f"of one first, or choose series of one grid in a table of cases"
    )


def with_labels(
    case: str,
    loaded: RawCase,
    path: Path,
    numbering: Numbering = "files",
    stems: Sequence[str] = (),
) -> RawCase:
    """``loaded`` with the labels of a segmentation, brought onto its grid.

    Args:
        case: the case's name.
        loaded: its images.
        path: the segmentation.
        numbering: what its label values are, as in `Listing`.
        stems: of the case's files, which may show the year of the labels.

    Raises:
        CaseError: the file cannot be used.
    """
    labels, counted, notices = read_labels(case, path, loaded.geometry, numbering, stems)
    return replace(
        loaded,
        labels=renumbered(labels, counted.renamed),
        notices=(*loaded.notices, *notices),
        values=counted.values,
        renamed=counted.renamed,
        regions=counted.regions,
    )


@dataclass(frozen=True)
class CountedLabels:
    """The labels of a segmentation file, and how they become canonical.

    Attributes:
        values: the file's own labels -> voxels.
        renamed: the file's own label -> the canonical one, of those that change.
        regions: names of the layout's regions that they give for certain; None: all.
    """

    values: Mapping[int, int]
    renamed: Mapping[int, int]
    regions: tuple[str, ...] | None


def read_labels(
    case: str, path: Path, grid: Geometry, numbering: Numbering, stems: Sequence[str]
) -> tuple[NDArray[np.uint8], CountedLabels, tuple[str, ...]]:
    """A segmentation on a grid, with the file's own labels; what they are; and what was assumed.

    Raises:
        CaseError: the file cannot be used.
    """
    with errors_of(case):
        array, own, accepted = containers.read_labels(path)
        labels, mismatch = onto_grid(array, own, grid, f"the segmentation {path.name}")
    values = label_counts(labels)
    plan = tumour_numbering(values.keys(), case, stems) if numbering == "tumour" else AsInFile()
    notices = (*accepted, *mismatch, *([plan.notice] if plan.notice else []))
    return labels, CountedLabels(values, plan.renamed, plan.regions), notices


def onto_grid(
    array: Array, own: Geometry, grid: Geometry, what: str
) -> tuple[Array, tuple[str, ...]]:
    """An array in the axes of another file of its case.

    If its axes are ordered or directed differently, but its header places every voxel on the grid,
    the array is reoriented. Otherwise arrays of one shape are assumed to be aligned, whatever the
    headers say: in public data sets they are, and it is the headers that were lost.

    Args:
        array: [i, j, k] of ``own.shape``.
        own: its geometry.
        grid: the geometry to bring it to.
        what: its name in messages, such as the file's name.

    Returns:
        The array, of ``grid.shape``; and a notice if the grids do not match.

    Raises:
        InputError: the shapes differ.
    """
    nearest = _SAME_VOXEL * min(grid.spacing)
    if (own.axes, own.flips) != (grid.axes, grid.flips) and _apart(own, grid) < nearest:
        turned = uncanonical(canonical(array, own), grid)
        return turned, (f"the axes of {what} differ from those of its case; it was reoriented",)
    if own.shape != grid.shape:
        raise InputError(
            f"{what} has the shape {sides(own.shape)}, but the case's first image has "
            f"{sides(grid.shape)}"
        )
    distance = float(np.linalg.norm(_corners(own) - _corners(grid), axis=-1).max())
    if distance > _SAME_GRID:
        return array, (
            f"the affine of {what} differs from that of its case's first image (by up to "
            f"{distance:.3g} mm); the arrays have the same shape and are assumed to be aligned",
        )
    return array, ()


def _apart(one: Geometry, other: Geometry) -> float:
    """The largest distance between corners of two grids, in mm, in canonical axes."""
    if one.canonical_shape != other.canonical_shape:
        return float("inf")
    return float(np.linalg.norm(_canonical_corners(one) - _canonical_corners(other), axis=-1).max())


def _corners(geometry: Geometry) -> NDArray[np.float64]:
    """World coordinates [8, 3] of the corner voxels, in the array's own order."""
    ends = [(0, length - 1) for length in geometry.shape]
    return _world(geometry, np.array(list(itertools.product(*ends)), dtype=np.float64))


def _canonical_corners(geometry: Geometry) -> NDArray[np.float64]:
    """World coordinates [8, 3] of the corner voxels, in canonical order."""
    ends = [
        (length - 1, 0) if flip else (0, length - 1)
        for length, flip in zip(geometry.canonical_shape, geometry.flips, strict=True)
    ]
    turned = np.array(list(itertools.product(*ends)), dtype=np.float64)
    return _world(geometry, turned[:, np.argsort(geometry.axes)])


def _world(geometry: Geometry, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    affine = np.asarray(geometry.affine)
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])

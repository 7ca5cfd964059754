"""Loading a case from several files: all on one grid, and one kind of error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.core.grids import SAME_VOXEL, apart, corners, states_a_place
from mriseg.core.modalities import SEGMENTATION
from mriseg.core.preparation import described, is_turned
from mriseg.core.tumour_labels import Numbering as AsInFile
from mriseg.core.tumour_labels import label_counts, renumbered
from mriseg.core.tumour_labels import numbering as tumour_numbering
from mriseg.core.volume import Geometry, canonical, sides, uncanonical
from mriseg.errors import CaseError, InputError
from mriseg.io import images as containers
from mriseg.io.dicom.conversion import read_series, series_name
from mriseg.io.readers.base import Array, Numbering, RawCase

# Grids whose corners are at most this far apart, in mm, are equal: headers round. Of files with
# other axes a voxel may lie half a voxel off (`mriseg.core.grids.SAME_VOXEL`): a quaternion may be
# off by a thousandth of a radian, a tenth of a voxel across a head.
_SAME_GRID = 0.01


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
    """Read a case with one image per modality, on the grid of the first image as far as they are.

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
    grids = Grids()
    with errors_of(case):
        for name in modalities:
            source = files[name]
            array, own, accepted = _read(source)
            is_series = isinstance(source, tuple)
            grids.notices += accepted
            images[name] = grids.add(name, array, own, _named(source), is_series=is_series)
    loaded = grids.case(images)
    if SEGMENTATION not in files:
        return loaded
    paths = [path for path in files.values() if isinstance(path, Path)]
    labels = files[SEGMENTATION]
    if isinstance(labels, tuple):
        raise CaseError(case, f"its segmentation, {labels[0].name}, is DICOM; give one in NIfTI")
    stems = [containers.stem(path) for path in paths]
    return with_labels(case, loaded, labels, numbering, stems)


class Grids:
    """The grids of a case's images, as one after the other is read.

    Attributes:
        notices: what was accepted although it is unusual.
    """

    def __init__(self) -> None:
        self.notices: list[str] = []
        # Each grid with what lies on it: whether that is all DICOM.
        self._known: dict[Geometry, bool] = {}
        self._places: dict[str, Geometry] = {}
        self._own: dict[str, Geometry] = {}

    def add(
        self, name: str, array: Array, own: Geometry, what: str, *, is_series: bool = False
    ) -> Array:
        """The image of a modality, turned onto a grid that is known, or else on a new one.

        Args:
            name: of the modality.
            array: [i, j, k] of ``own.shape``.
            own: where its file says that it lies.
            what: its name in messages.
            is_series: whether it is DICOM, whose headers do not get lost: it is then on a grid only
                where it lies there.

        Raises:
            InputError: it is on another grid, and one of the two headers does not say where.
        """
        for grid, of_series in self._known.items():
            strictly = is_series and of_series
            if _is_apart(own, grid) if strictly else not _fits(own, grid):
                continue
            array, mismatch = onto_grid(array, own, grid, what)
            self.notices += mismatch
            self._known[grid] = of_series and is_series
            break
        else:
            grid = own
            if self._known and not (states_a_place(own) and states_a_place(self._first)):
                raise _other_shape(own, self._first, what)
            self._known[grid] = is_series
        self._places[name] = grid
        if grid != own:
            self._own[name] = own
        return array

    @property
    def _first(self) -> Geometry:
        return next(iter(self._known))

    @property
    def places(self) -> dict[str, Geometry]:
        """Modality -> the grid of its image."""
        return dict(self._places)

    def case(self, images: Mapping[str, Array]) -> RawCase:
        """The case of these images, without labels."""
        others = {name: grid for name, grid in self._places.items() if grid != self._first}
        return RawCase(
            images, None, self._first, tuple(self.notices), grids=others, own=dict(self._own)
        )


def _read(files: Path | tuple[Path, ...]) -> containers.Image:
    return containers.read(files) if isinstance(files, Path) else read_series(files)


def _named(files: Path | tuple[Path, ...]) -> str:
    return files.name if isinstance(files, Path) else series_name(files)


def _is_apart(own: Geometry, grid: Geometry) -> bool:
    """Whether a series lies elsewhere: a scanner's headers are never to be doubted."""
    return apart(own, grid) > SAME_VOXEL * min(grid.spacing)


def _fits(own: Geometry, grid: Geometry) -> bool:
    return is_turned(own, grid) or own.shape == grid.shape


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
    labels, counted, notices, labels_on = read_labels(case, path, loaded.places, numbering, stems)
    return replace(
        loaded,
        labels=renumbered(labels, counted.renamed),
        labels_on=labels_on,
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
    case: str,
    path: Path,
    places: Mapping[str, Geometry],
    numbering: Numbering,
    stems: Sequence[str],
) -> tuple[NDArray[np.uint8], CountedLabels, tuple[str, ...], str]:
    """A segmentation on the grid of an image of its case, with the file's own labels.

    Args:
        case: the case's name.
        path: the segmentation.
        places: modality -> the grid of its image.
        numbering: what its label values are, as in `Listing`.
        stems: of the case's files, which may show the year of the labels.

    Returns:
        The labels; what they are; what was assumed; and the modality on whose grid they are, or
        nothing where all images are on one.

    Raises:
        CaseError: the file cannot be used.
    """
    with errors_of(case):
        array, own, accepted = containers.read_labels(path)
        what = f"the segmentation {path.name}"
        on = _grid_of_labels(own, places, what)
        labels, mismatch = onto_grid(array, own, places[on], what)
    values = label_counts(labels)
    plan = tumour_numbering(values.keys(), case, stems) if numbering == "tumour" else AsInFile()
    notices = (*accepted, *mismatch, *([plan.notice] if plan.notice else []))
    several = len(set(places.values())) > 1
    return labels, CountedLabels(values, plan.renamed, plan.regions), notices, on if several else ""


def _grid_of_labels(own: Geometry, places: Mapping[str, Geometry], what: str) -> str:
    """The modality on whose grid a segmentation is.

    Raises:
        InputError: it is on none of several, or may be on more than one.
    """
    first, *others = dict.fromkeys(places.values())
    names: dict[Geometry, str] = {}
    for name, grid in places.items():
        names.setdefault(grid, name)
    if not others:
        return names[first]
    for grid in (first, *others):
        if apart(own, grid) < SAME_VOXEL * min(grid.spacing):
            return names[grid]
    alike = [grid for grid in (first, *others) if grid.shape == own.shape]
    if len(alike) == 1:
        return names[alike[0]]
    grids = ", ".join(f"{name}: {described(grid)}" for grid, name in names.items())
    which = (
        "lies where none of the images does" if alike else "is on the grid of none of the images"
    )
    raise InputError(
        f"{what} ({described(own)}) {which} ({grids}); bring it onto the grid of one of them, by "
        f"the nearest voxel"
    )


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
    if is_turned(own, grid):
        turned = uncanonical(canonical(array, own), grid)
        return turned, (f"the axes of {what} differ from those of its case; it was reoriented",)
    if own.shape != grid.shape:
        raise _other_shape(own, grid, what)
    distance = float(np.linalg.norm(corners(own) - corners(grid), axis=-1).max())
    if distance > _SAME_GRID:
        return array, (
            f"the affine of {what} differs from that of its case's first image (by up to "
            f"{distance:.3g} mm); the arrays have the same shape and are assumed to be aligned",
        )
    return array, ()


def _other_shape(own: Geometry, grid: Geometry, what: str) -> InputError:
    nowhere = not (states_a_place(own) and states_a_place(grid))
    why = "; their headers do not say where both lie, so that neither can be resampled" * nowhere
    return InputError(
        f"{what} has the shape {sides(own.shape)}, but the case's first image has "
        f"{sides(grid.shape)}{why}"
    )

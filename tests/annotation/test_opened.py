"""A case on the page's grid, and what is drawn there back on the scan's own, voxel for voxel."""

from __future__ import annotations

import gzip
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.annotation.opened import OpenedCase
from mriseg.core.prepare import prepare
from mriseg.core.volume import uncanonical
from mriseg.errors import InputError
from mriseg.testing import phantoms
from tests.annotation.sessions import drawn, painting
from tests.strategies import ORIENTATIONS, Orientation, oriented_affines

REGIONS = {"WT": (1, 2, 4), "TC": (1, 4)}
SHAPE = (8, 16, 12)
IMAGES, LABELS = phantoms.head(np.random.default_rng(3), SHAPE, modalities=("t1", "flair"))


def opened(orientation: Orientation, affine: Any = None, unit: str = "mm") -> OpenedCase:
    lengths = dict(zip((2, 1, 0), SHAPE, strict=True))
    shape = tuple(lengths[axis] for axis in orientation.world)
    geometry = orientation.geometry(shape, affine, unit)  # type: ignore[arg-type]
    turned = {name.upper(): uncanonical(image, geometry) for name, image in IMAGES.items()}
    return OpenedCase(prepare(turned, None, geometry), REGIONS)


def image_of(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


@settings(max_examples=12)
@given(oriented_affines(), st.sampled_from(["mm", "px"]))
def test_what_is_drawn_comes_back_voxel_for_voxel(
    oriented: tuple[Orientation, Any], unit: str
) -> None:
    case = opened(*oriented, unit)
    labels = uncanonical(np.where(LABELS > 0, 1, 0).astype(np.uint8), case.geometry)
    shown = image_of(case.mask(labels))
    # Saved as it was shown, nothing changes; the same from an empty mask but for what is cut off.
    assert np.array_equal(case.written_back(drawn(shown), labels), labels)
    assert np.array_equal(case.written_back(drawn(shown), None), labels)
    # The first region is 1 + 2, the second 1 within it, as label maps number them.
    painted = case.written_back(drawn(shown, painting((2, 3, 1), 1)), labels)
    assert np.count_nonzero(painted != labels) == 1 and 2 in painted
    # Every volume lies on the same grid.
    for content in (case.image("T1"), case.probability(labels.astype(np.float32))):
        image = image_of(content)
        assert image.shape == shown.shape and np.allclose(image.affine, shown.affine)


def test_the_grid_does_not_depend_on_the_mask() -> None:
    case = opened(ORIENTATIONS[0])
    shapes = {
        image_of(case.mask(mask)).shape for mask in (None, np.zeros(case.geometry.shape, "u1"))
    }
    assert len(shapes) == 1
    assert case.modalities == ["FLAIR", "T1"] and case.in_mm and not case.flat
    low, high = case.window("FLAIR")
    assert low < high <= IMAGES["flair"].max()


def test_what_does_not_fit_is_refused() -> None:
    case = opened(ORIENTATIONS[5])
    with pytest.raises(InputError, match="does not have the geometry"):
        case.mask(np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(InputError, match="labels of no region"):
        case.mask(np.full(case.geometry.shape, 9, np.uint8))
    shown = image_of(case.mask(None))
    turned = nib.Nifti1Image(np.asarray(shown.dataobj)[::-1], shown.affine @ np.diag([-1, 1, 1, 1]))
    for content in (drawn(turned), b"", drawn(shown)[: case.most_bytes // 9]):
        with pytest.raises(InputError):
            case.written_back(content, None)
    assert len(drawn(shown, packed=False)) < case.most_bytes

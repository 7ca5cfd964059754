"""What every stripper promises. A new one inherits the suite and names itself; nothing else."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mriseg.core.modalities import canonical_modality
from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Geometry
from mriseg.errors import ConfigError, InputError
from mriseg.io.readers import READERS, ReaderOptions
from mriseg.io.sample import sample_dir
from mriseg.strippers import STRIPPERS, Stripper, best_modality

Array = NDArray[Any]
Bools = NDArray[np.bool_]

# In mm, of slices and pixels: the sample states none, and this is what such scans have.
_SPACING = (5.0, 0.94, 0.94)
# In mL: what adults have, from half of the smallest to twice the largest.
_BRAINS = (500, 3200)


@cache
def sample_head(case: int = 0) -> tuple[dict[str, Array], Geometry]:
    """A real head of the sample scans, skull included, on a grid in mm that is assumed.

    Returns:
        modality -> [i, j, k], which cannot be written to, and where that lies.
    """
    raw = READERS["lgg"].find(sample_dir(), ReaderOptions()).cases[case].load()
    affine = np.zeros((4, 4))
    affine[(2, 1, 0), (0, 1, 2)] = np.array(_SPACING) * (1, -1, -1)
    affine[3, 3] = 1
    for image in raw.images.values():
        image.setflags(write=False)
    return dict(raw.images), geometry_of(raw.geometry.shape, affine)


def turned(array: Array, geometry: Geometry) -> tuple[Array, Geometry]:
    """The same scan, its axes in another order and two of them reversed, and its geometry."""
    order, reversed_axes = (2, 0, 1), (0, 2)
    other = np.flip(array.transpose(order), reversed_axes)
    affine = np.asarray(geometry.affine)[:, (*order, 3)].copy()
    for axis in reversed_axes:
        affine[:3, 3] += affine[:3, axis] * (other.shape[axis] - 1)
        affine[:3, axis] *= -1
    return other, geometry_of(other.shape, affine, unit=geometry.unit)


def _global_state() -> tuple[object, ...]:
    return (
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        str(np.random.get_state()),
    )


class StripperContract:
    """What `mriseg.strippers` promises of a stripper.

    All tests are skipped but those about its name where what it needs is not installed.

    Attributes:
        stripper: under test, which must be registered; a subclass names it.
    """

    stripper: Stripper

    @pytest.fixture
    def installed(self) -> None:
        """Skips a test where a library is missing."""
        try:
            self.stripper.ready()
        except ConfigError as error:
            pytest.skip(str(error))

    @pytest.fixture
    def head(self, installed: None) -> tuple[Array, Geometry, str]:
        """A real head, in the modality that suits the stripper."""
        images, geometry = sample_head()
        modality = best_modality(self.stripper, list(images))
        return images[modality], geometry, modality

    def test_it_is_registered_and_says_what_it_is(self) -> None:
        assert STRIPPERS[self.stripper.name] is self.stripper
        assert self.stripper.summary and "\n" not in self.stripper.summary
        training = self.stripper.training
        assert training.modalities and training.heads and training.source
        assert all(canonical_modality(name) == name for name in training.modalities)
        pickle.dumps(self.stripper)  # it is sent to workers

    def test_it_marks_a_brain_quietly_and_changes_nothing_else(
        self, head: tuple[Array, Geometry, str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        image, geometry, modality = head
        kept, before = image.copy(), _global_state()
        mask = self.stripper.brain(image, geometry, modality)
        assert mask.shape == image.shape and mask.dtype == np.bool_
        low, high = _BRAINS
        assert low < geometry.volume_of(mask.sum()).value < high
        # The middle of the brain lies in the middle of the head; a corner is air.
        heart = np.argwhere(mask).mean(axis=0) / mask.shape
        assert (np.abs(heart - 0.5) < 0.2).all()
        assert not mask[:, 0, 0].any() and not mask[:, -1, -1].any()
        assert np.array_equal(image, kept) and _global_state() == before
        assert capfd.readouterr() == ("", "")

    def test_the_same_scan_gives_the_same_brain_whatever_its_orientation(
        self, head: tuple[Array, Geometry, str]
    ) -> None:
        image, geometry, modality = head
        mask = self.stripper.brain(image, geometry, modality)
        other = self.stripper.brain(*turned(image, geometry), modality)
        assert np.array_equal(other, turned(mask, geometry)[0])

    @pytest.mark.parametrize("value", [0, 7])
    def test_a_scan_of_one_value_is_refused(
        self, head: tuple[Array, Geometry, str], value: int
    ) -> None:
        image, geometry, modality = head
        self.refused(np.full_like(image, value), geometry, modality)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
    def test_what_is_not_finite_is_refused(
        self, head: tuple[Array, Geometry, str], value: float
    ) -> None:
        image, geometry, modality = head
        holed = image.astype(np.float64)
        holed[tuple(n // 2 for n in image.shape)] = value
        self.refused(holed, geometry, modality)

    @pytest.mark.parametrize("shape", [(1, 256, 256), (2, 2, 2), (256, 3, 256)], ids=str)
    def test_what_is_no_volume_is_refused(
        self, installed: None, shape: tuple[int, int, int]
    ) -> None:
        scan = np.random.default_rng(0).normal(size=shape)
        self.refused(scan, geometry_of(shape, np.eye(4)), "T1")

    def test_a_crop_is_refused(self, installed: None) -> None:
        scan = np.random.default_rng(0).normal(size=(35, 50, 35))
        self.refused(scan, geometry_of(scan.shape, np.eye(4)), "T1")

    def refused(self, scan: Array, geometry: Geometry, modality: str) -> None:
        """Check that a scan is refused, in one sentence."""
        with pytest.raises(InputError) as caught:
            self.stripper.brain(scan, geometry, modality)
        assert str(caught.value) and "\n" not in str(caught.value)

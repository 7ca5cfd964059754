"""The contract of strippers finds one that does not keep it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mriseg.core.volume import Geometry
from mriseg.strippers import STRIPPERS, Training
from mriseg.strippers.heads import as_given, upright
from mriseg.testing import StripperContract
from mriseg.testing.strippers import sample_head, turned


class Middle:
    """The middle of every scan; what it does wrong is a switch."""

    name = "middle"
    summary = "the middle"
    extra = ""
    training = Training(("T1",), "nobody", tumours=False, source="a test")
    wrong = ""

    def ready(self) -> None:
        """It needs nothing."""

    def brain(self, image: NDArray[Any], geometry: Geometry, modality: str) -> NDArray[np.bool_]:
        if self.wrong == "prints":
            print("prediction (CNN id)...")
        if self.wrong == "draws":
            np.random.seed(0)
        if self.wrong == "takes all":
            return np.ones(image.shape, dtype=bool)
        if self.wrong == "takes noise":
            return np.asarray(image > np.nanmean(image))
        scan = upright(image, geometry)
        mask = np.zeros(scan.shape, dtype=bool)
        mask[tuple(slice(n // 4, n - n // 4) for n in scan.shape)] = True
        if self.wrong == "leans":
            # By the array's axes, not the head's.
            leaning = np.zeros(image.shape, dtype=bool)
            leaning[tuple(slice(n // 4, n - n // 4 - 2) for n in image.shape)] = True
            return leaning
        return as_given(mask, geometry)


STRIPPER = Middle()


@pytest.fixture
def contract(monkeypatch: pytest.MonkeyPatch) -> StripperContract:
    monkeypatch.setitem(STRIPPERS._targets, "middle", f"{__name__}:STRIPPER")
    suite = StripperContract()
    suite.stripper = STRIPPER
    return suite


@pytest.fixture
def head() -> tuple[NDArray[Any], Geometry, str]:
    images, geometry = sample_head()
    return images["T1"], geometry, "T1"


def test_what_keeps_it_passes(
    contract: StripperContract, head: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    contract.test_it_marks_a_brain_quietly_and_changes_nothing_else(head, capfd)
    contract.test_the_same_scan_gives_the_same_brain_whatever_its_orientation(head)
    contract.test_what_is_not_finite_is_refused(head, np.nan)
    contract.test_a_scan_of_one_value_is_refused(head, 0)


@pytest.mark.parametrize("wrong", ["prints", "draws", "takes all"])
def test_what_is_loud_changes_the_state_or_takes_all_fails(
    contract: StripperContract,
    head: Any,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    before = np.random.get_state()
    monkeypatch.setattr(STRIPPER, "wrong", wrong)
    with pytest.raises(AssertionError):
        contract.test_it_marks_a_brain_quietly_and_changes_nothing_else(head, capfd)
    np.random.set_state(before)


def test_what_follows_the_arrays_axes_fails(
    contract: StripperContract, head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STRIPPER, "wrong", "leans")
    with pytest.raises(AssertionError):
        contract.test_the_same_scan_gives_the_same_brain_whatever_its_orientation(head)


def test_what_takes_anything_for_a_head_fails(
    contract: StripperContract, head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STRIPPER, "wrong", "takes noise")
    for call in (
        lambda: contract.test_a_scan_of_one_value_is_refused(head, 7),
        lambda: contract.test_what_is_not_finite_is_refused(head, np.nan),
        lambda: contract.test_a_crop_is_refused(None),
    ):
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            call()


def test_a_turned_scan_is_the_same_place() -> None:
    images, geometry = sample_head()
    other, place = turned(images["T1"], geometry)
    assert place.orientation != geometry.orientation
    assert np.array_equal(upright(other, place), upright(images["T1"], geometry))
    # The same voxel lies at the same place of the world.
    i = np.array([3, 100, 90, 1])
    j = np.array([other.shape[0] - 1 - 90, 3, other.shape[2] - 1 - 100, 1])
    assert other[tuple(j[:3])] == images["T1"][tuple(i[:3])]
    assert np.allclose(np.asarray(geometry.affine) @ i, np.asarray(place.affine) @ j)

"""A whole scan through the deployed network: what `prepare` and prediction make of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.core import intensity, volume
from mriseg.core.deploy_scan import DeployedScan
from mriseg.testing.exporters import a_deployed

DEPLOYED = a_deployed(frame=(40, 64))
SCAN = DeployedScan(DEPLOYED, batch=2)


def stripped(seed: int, corner: tuple[int, int, int], size: tuple[int, int, int]) -> torch.Tensor:
    """A box of noise in an even background that is not 0."""
    generator = torch.Generator().manual_seed(seed)
    scan = torch.full((2, 8, 60, 90), -3.0)
    box = tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))
    scan[:, *box] = 500 + 100 * torch.randn((2, *size), generator=generator)
    return scan


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 100),
    corner=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
    size=st.tuples(st.integers(1, 4), st.integers(2, 38), st.integers(2, 66)),
)
def test_it_equals_the_steps_before_the_network(
    seed: int, corner: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    scan = stripped(seed, corner, size)
    brain = intensity.foreground(scan.numpy())
    box = volume.bounding_box(brain)
    crop = volume.crop(scan.numpy(), box)
    norm = intensity.statistics(crop, volume.crop(brain, box))
    inside = torch.from_numpy(volume.crop(brain, box).copy())
    slices = torch.from_numpy(crop.copy()).transpose(0, 1)
    given_ = torch.tensor(norm.mean), torch.tensor(norm.std)
    expected = DEPLOYED(slices, *given_, inside).transpose(0, 1).numpy()
    output = SCAN.scan(scan).numpy()
    # The mean is summed in another order; where neighbours in a pooling window are nearly equal,
    # rounding decides which is the first maximum.
    difference = np.abs(output - volume.uncrop(expected, box, brain.shape))
    assert difference.max() <= 1e-3 and np.mean(difference > 1e-4) <= 1e-4


def test_axes_are_those_of_an_image_turned_to_lps() -> None:
    scan = stripped(0, (1, 5, 9), (3, 30, 60))
    both = torch.stack([scan, scan.flip(1)]).permute(0, 1, 4, 3, 2)
    output = SCAN(both)
    assert output.shape == (2, 3, 90, 60, 8)
    torch.testing.assert_close(output[0].permute(0, 3, 2, 1), SCAN.scan(scan))


def test_a_missing_modality_is_0_for_the_network() -> None:
    scan = stripped(0, (1, 5, 9), (3, 30, 60))
    for value in (0.0, 7.0):
        lacking = scan.clone()
        lacking[1] = value
        torch.testing.assert_close(SCAN.scan(lacking)[:, 0], torch.zeros(3, 60, 90))
        assert SCAN.scan(lacking).isfinite().all() and SCAN.scan(lacking).any()


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (torch.zeros(1, 3, 4, 4, 4), r"shape \[1, 3, 4, 4, 4\]; expected \[batch, 2, x, y, z\]"),
        (torch.zeros(2, 4, 4, 4), "shape"),
        (torch.zeros(1, 2, 9, 9, 9), "is empty"),
        (torch.rand(1, 2, 9, 9, 9), "remove the skull first"),
        (torch.nn.functional.pad(torch.rand(1, 2, 40, 40, 40), [1] * 6), "mostly brain"),
    ],
    ids=["channels", "axes", "empty", "skull", "crop"],
)
def test_what_is_no_stripped_scan_is_refused(scan: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SCAN(scan)

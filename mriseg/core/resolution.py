"""The first part of a training at half the resolution: a step costs a third, and learns as much.

Where a tumour is can be seen in a quarter of the pixels, and its outline is learnt in the rest of
the training, from the whole slices that prediction sees. The network has no say in it: it takes
slices of any size. (Growing the images during a training: Howard 2018, fast.ai's DAWNBench entry;
Tan and Le 2021, EfficientNetV2, arXiv 2104.00298, section 4.)
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError

_USUAL = 0.5
# The network pools five times. A frame below the first cannot be halved; one below the second would
# leave the last pooling fewer than 2 x 2 points.
_SMALLEST, _SENSIBLE = 64, 128


def low_res_share_of(config: TrainConfig, frame: tuple[int, int]) -> float:
    """The share of a training, from its beginning, whose slices are shown at half the resolution.

    Args:
        config: its ``low_res_share``; "auto" is half of the training, but none of it where slices
            are small.
        frame: height and width of a training slice.

    Raises:
        ConfigError: a share was given, and the slices are too small.
    """
    share = config.low_res_share
    if share == "auto":
        return _USUAL if min(frame) >= _SENSIBLE else 0.0
    if share > 0 and min(frame) < _SMALLEST:
        raise ConfigError(
            f"low_res_share = {share:g}: slices of {frame[0]} x {frame[1]} cannot be halved, "
            f"the network takes no less than {_SMALLEST // 2} x {_SMALLEST // 2}; leave it out"
        )
    return share


def halved(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """A batch at half the height and width.

    Args:
        image: [b, c, h, w] float; h and w are even.
        target: [b, r, h, w] of 0 and 1.

    Returns:
        The image, the mean of every four pixels, and the target, marked where at least two of them
        are, in its own type.
    """
    few = F.avg_pool2d(target.to(image.dtype), 2) >= 0.5
    return F.avg_pool2d(image, 2), few.to(target.dtype)

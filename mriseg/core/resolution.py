"""Progressive resizing: the first part of a training at half the resolution.

A step then costs a third and teaches as much: a quarter of the pixels is enough to locate a tumour,
and its outline is learnt in the rest of the training, from full-size slices as in prediction. The
network does not change, since it takes slices of any size. (Howard 2018, fast.ai's DAWNBench entry;
Tan and Le 2021, EfficientNetV2, arXiv 2104.00298, section 4.)
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError

_DEFAULT_SHARE = 0.5
# The network pools five times. A frame smaller than the first cannot be halved; one smaller than
# the second would leave fewer than 2 x 2 points to the last pooling.
_MIN_FRAME, _MIN_DEFAULT_FRAME = 64, 128


def low_res_share_of(config: TrainConfig, frame: tuple[int, int]) -> float:
    """The share of a training, from its beginning, that uses slices at half the resolution.

    Args:
        config: its ``low_res_share`` is used; "auto" means half of the training, or none of it if
            slices are small.
        frame: height and width of a training slice.

    Raises:
        ConfigError: a share was given, but the slices are too small.
    """
    share = config.low_res_share
    if share == "auto":
        return _DEFAULT_SHARE if min(frame) >= _MIN_DEFAULT_FRAME else 0.0
    if share > 0 and min(frame) < _MIN_FRAME:
        raise ConfigError(
            f"low_res_share = {share:g}: slices of {frame[0]} x {frame[1]} cannot be halved, "
            f"the network needs at least {_MIN_FRAME // 2} x {_MIN_FRAME // 2}; leave it out"
        )
    return share


def halved(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """A batch at half the height and width.

    Args:
        image: [b, c, h, w] float; h and w are even.
        target: [b, r, h, w] of 0 and 1.

    Returns:
        The image, as the mean of each four pixels; and the target in its own type, 1 where at least
        two of the four are.
    """
    small = F.avg_pool2d(target.to(image.dtype), 2) >= 0.5
    return F.avg_pool2d(image, 2), small.to(target.dtype)

"""In-plane resampling: slices at the pixel size that a network was trained at, and the way back.

A network knows how large a tumour is, how wide a sulcus and how coarse the noise, in pixels. Slices
whose pixels are much larger or smaller than those of its training are therefore resampled before
it, and its probabilities after it, so that a mask is on the scan's own grid. Slices are neither
merged nor added, since a network sees one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from mriseg.core.volume import MAX_SIDE, Geometry, Spacing
from mriseg.core.wording import pixel_size

MAX_RATIO = 1.2
"""Pixels that differ from the training's by more than this factor, along any axis, are resampled.

Training varies sizes by as much (`mriseg.core.augment_config.AugmentConfig.scale`)."""

# Headers hold float32, and the columns of an oblique affine round once more.
_TOLERANCE = 1e-3
# Of a slice that is resampled. A smaller one is of no head: its header states a wrong size.
_MIN_SIDE = 16


@dataclass(frozen=True)
class Resampling:
    """How the slices of a case are resampled; applying it decides nothing.

    Attributes:
        own: height and width of the case's slices.
        network: of those that the network is given.
    """

    own: tuple[int, int]
    network: tuple[int, int]

    def to_network(self, slices: NDArray[np.floating]) -> NDArray[np.float32]:
        """Intensities [..., h, w] at the network's size, without aliasing where they shrink."""
        return _resized(slices, self.network, "bicubic")

    def to_own(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities [..., h, w] of the network at the case's own size, from 0 to 1."""
        # Rounding may exceed 1 by a little, of which there is no logit.
        return _resized(probabilities, self.own, "bilinear").clip(0, 1)


def plan(
    own: tuple[int, int], geometry: Geometry, trained: Spacing | None
) -> tuple[Resampling | None, str]:
    """How a case is resampled, or None; and what its user should know of that, or nothing.

    Args:
        own: height and width of its slices, as cropped.
        geometry: of its source.
        trained: size of the pixels (y, x) that the network was trained on, in mm; None: unknown.
    """
    if trained is None or geometry.unit != "mm":
        return None, ""
    spacing = geometry.spacing[1:]
    if not differs(spacing, trained):
        return None, ""
    own_size, wanted_size = pixel_size(spacing), pixel_size(trained)
    facts = f"its voxels are {own_size} in plane and the model was trained at {wanted_size}"
    exact = [n * size / wanted for n, size, wanted in zip(own, spacing, trained, strict=True)]
    if not all(_MIN_SIDE - 0.5 <= side <= MAX_SIDE for side in exact):
        return None, (
            f"{facts}: its slices would become {exact[0]:.3g} x {exact[1]:.3g} pixels, so they are "
            f"not resampled; check the voxel size in its header"
        )
    network = (round(exact[0]), round(exact[1]))
    return Resampling(own, network), f"{facts}: resampled for the network"


def differs(spacing: Spacing, trained: Spacing) -> bool:
    """Whether pixels (y, x) differ by more than `MAX_RATIO` from others, along any axis."""
    limit = MAX_RATIO + _TOLERANCE
    return not all(b / limit <= a <= b * limit for a, b in zip(spacing, trained, strict=True))


def spacing_of(geometries: Iterable[Geometry]) -> Spacing | None:
    """The median size of the pixels (y, x) of several cases, in mm; None where none states it."""
    sizes = [geometry.spacing[1:] for geometry in geometries if geometry.unit == "mm"]
    # A damaged store may state none that can be.
    stated = [size for size in sizes if all(0 < side < math.inf for side in size)]
    if not stated:
        return None
    y, x = np.median(stated, axis=0).tolist()
    return y, x


def _resized(slices: NDArray[np.floating], size: tuple[int, int], mode: str) -> NDArray[np.float32]:
    """Slices [..., h, w] at another size, over the same field of view, on the CPU."""
    whole = np.ascontiguousarray(slices, dtype=np.float32)
    flat = torch.from_numpy(whole.reshape(1, -1, *whole.shape[-2:]))
    with torch.no_grad():
        resized = F.interpolate(flat, size=size, mode=mode, antialias=True)
    out: NDArray[np.float32] = resized.numpy().reshape(*whole.shape[:-2], *size)
    return out

"""Augmentation by batch, on the device: first draw its parameters, then apply them.

``draw`` holds all randomness; its result is small and on the CPU. ``apply`` is a pure function of
these parameters, and runs on the batch's device. Images are z-scored with 0 outside the brain, and
stay so.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mriseg.core.config import AugmentConfig

_ELASTIC_GRID = 6
_BIAS_GRID = 4
_COARSEST = 4
_BLUR = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


@dataclass(frozen=True)
class AugmentParams:
    """The augmentation of each slice of a batch, as small CPU tensors.

    Attributes:
        matrix: [b, 2, 3] from output to input coordinates, as `torch.nn.functional.affine_grid`.
        elastic: [b, 2, g, g] displacements on a coarse grid, in the same coordinates.
        gamma: [b, c] exponents; 1 leaves a channel as it is.
        contrast: [b, c] factors.
        brightness: [b, c] offsets, in standard deviations.
        noise: [b] standard deviations of Gaussian noise.
        noise_seed: seed of the noise field.
        blur: [b] weight of the blurred slice, 0 to 1.
        coarse: [b, c] 1 where a channel is shown at a lower resolution, else 0.
        coarseness: downsampling factor of those channels, along each side.
        bias: [b, 1, g, g] logarithm of a smooth multiplicative field.
        target: [b, c] share of the difference between the segmented region and the rest of the
            brain that is added to the region: 0 leaves it, -1 removes its contrast.
        keep: [b, c] 0 where a modality is dropped, else 1.
        part: which rows of a larger batch these are, and how many it has; None: they are all of
            it.
    """

    matrix: Tensor
    elastic: Tensor
    gamma: Tensor
    contrast: Tensor
    brightness: Tensor
    noise: Tensor
    noise_seed: int
    blur: Tensor
    coarse: Tensor
    coarseness: int
    bias: Tensor
    target: Tensor
    keep: Tensor
    part: tuple[slice, int] | None = None

    def rows(self, rows: slice) -> AugmentParams:
        """Those of some slices alone, which `apply` then augments as it would in the whole batch.

        Args:
            rows: of the whole batch.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        own = {k: v[rows] for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **own, part=(rows, len(self.matrix)))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> AugmentParams:
        """The same parameters on ``device``."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)  # type: ignore[arg-type]


def draw(generator: Generator, config: AugmentConfig, batch: int, channels: int) -> AugmentParams:
    """Draw the parameters for ``batch`` slices with ``channels`` modalities."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    def happens(probability: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) < probability).float()

    on = happens(config.affine, batch)
    angle = uniform(batch) * on * math.radians(config.rotation)
    scale = 1 + uniform(batch) * on * config.scale
    shear = uniform(batch) * on * config.shear
    shift = uniform(batch, 2) * on[:, None] * config.shift * 2
    across = 1 - 2 * happens(config.flip, batch)
    down = 1 - 2 * happens(config.vertical_flip, batch)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = [
        torch.stack([across * cos, down * (shear - sin), shift[:, 0]], dim=1),
        torch.stack([across * sin, down * cos, shift[:, 1]], dim=1),
    ]
    bent = happens(config.elastic, batch)[:, None, None, None]
    grid = torch.randn((batch, 2, _ELASTIC_GRID, _ELASTIC_GRID), generator=generator)
    contrast_on = happens(config.contrast, batch, channels)
    field = torch.randn((batch, 1, _BIAS_GRID, _BIAS_GRID), generator=generator)
    # Any subset of the modalities may be kept, except the empty one.
    kept = torch.randint(2**channels - 1, (batch, 1), generator=generator) + 1
    subset = (kept >> torch.arange(channels) & 1).float()
    drops = happens(config.drop_modality, batch)[:, None]
    target_on = happens(config.target_contrast, batch)[:, None] * happens(0.7, batch, channels)
    return AugmentParams(
        matrix=torch.stack(rows, dim=1),
        elastic=grid * bent * config.elastic_strength * 2,
        gamma=torch.exp(uniform(batch, channels) * happens(config.gamma, batch, channels) * 0.4),
        contrast=1 + uniform(batch, channels) * contrast_on * 0.25,
        brightness=uniform(batch, channels) * contrast_on * 0.25,
        noise=torch.rand(batch, generator=generator) * happens(config.noise, batch) * 0.15,
        noise_seed=int(torch.randint(2**31, (1,), generator=generator)),
        blur=torch.rand(batch, generator=generator) * happens(config.blur, batch),
        coarse=happens(config.low_resolution, batch, channels),
        coarseness=int(torch.randint(2, _COARSEST + 1, (1,), generator=generator)),
        bias=field * happens(config.bias, batch)[:, None, None, None] * 0.15,
        target=(uniform(batch, channels) * 0.55 - 0.35) * target_on,
        keep=1 - drops * (1 - subset),
    )


def apply(params: AugmentParams, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Augment a batch.

    Args:
        params: from `draw`, for this batch's size and channels.
        image: [b, c, h, w] float, 0 outside the brain.
        mask: [b, r, h, w] of 0 and 1.

    Returns:
        The image and the mask, new tensors of the same shapes and types. Image and mask move
        together: the image by bilinear, the mask by nearest-neighbour interpolation. Outside the
        brain, and in a channel that is 0 everywhere, the image stays 0.
    """
    # Decided on the CPU: reading it from the device would have to wait for the device.
    parts = {name for name in ("target", "blur", "noise", "coarse") if getattr(params, name).any()}
    params = params.to(image.device)
    image, mask = _move(params, image, mask)
    brain = (image != 0).any(dim=1, keepdim=True)
    if "target" in parts:
        image = _contrasted(params.target, image, mask, brain)
    image = _intensities(params, image, parts)
    return image * brain, mask


def _move(params: AugmentParams, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    h, w = image.shape[-2:]
    # Rotate in pixels, not in the grid's unit square, or slices that are not square would shear.
    aspect = torch.tensor([[1, h / w, 1], [w / h, 1, 1]], device=image.device)
    grid = F.affine_grid(params.matrix * aspect, [len(image), 1, h, w], align_corners=False)
    bend = F.interpolate(params.elastic, (h, w), mode="bicubic", align_corners=False)
    grid = grid + bend.permute(0, 2, 3, 1)
    moved = F.grid_sample(image, grid, mode="bilinear", align_corners=False)
    masks = F.grid_sample(mask.to(grid.dtype), grid, mode="nearest", align_corners=False)
    return moved, masks.to(mask.dtype)


def _contrasted(change: Tensor, image: Tensor, mask: Tensor, brain: Tensor) -> Tensor:
    """Change the contrast between the segmented region and the rest of the brain, per channel.

    How much a lesion differs varies between patients and scanners more than anything else in a
    scan, and few patients show little of that variation. The region's edge is softened, or it would
    reveal the region. (LesionMix, Basaran et al. 2023, arXiv 2308.09026, varies the intensities of
    lesions likewise.)
    """
    segmented = (mask != 0).any(dim=1, keepdim=True) & brain
    region, rest = segmented.to(image.dtype), (brain & ~segmented).to(image.dtype)
    region_mean, rest_mean = (
        (image * part).sum((2, 3)) / part.sum((2, 3)).clamp_min(1) for part in (region, rest)
    )
    soft = _blurred(_blurred(region))
    return image + (change * (region_mean - rest_mean))[:, :, None, None] * soft * (image != 0)


def _intensities(params: AugmentParams, image: Tensor, parts: Collection[str]) -> Tensor:
    per_channel = (slice(None), slice(None), None, None)
    # A modality that a case lacks is 0, as in prediction.
    present = (image != 0).any(dim=3).any(dim=2)
    keep = params.keep * present
    # The only modality that a case has is not dropped.
    keep = torch.where(keep.any(dim=1, keepdim=True), keep, present.to(keep.dtype))
    # Gamma needs a range: that of each channel of each slice.
    low, high = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    span = (high - low).clamp_min(1e-6)
    image = ((image - low) / span).clamp(0, 1) ** params.gamma[per_channel] * span + low
    image = image * params.contrast[per_channel] + params.brightness[per_channel]
    field = F.interpolate(params.bias, image.shape[-2:], mode="bilinear", align_corners=False)
    image = image * torch.exp(field)
    if "coarse" in parts:
        coarser = _coarser(image, params.coarseness)
        image = image + params.coarse[per_channel] * (coarser - image)
    if "blur" in parts:
        image = image + params.blur[:, None, None, None] * (_blurred(image) - image)
    if "noise" in parts:
        # Drawn on the CPU from its own seed, so that every device adds the same noise.
        generator = torch.Generator().manual_seed(params.noise_seed)
        rows, batch = params.part or (slice(None), len(image))
        noise = torch.randn((batch, *image.shape[1:]), generator=generator)[rows].to(image.device)
        image = image + noise * params.noise[:, None, None, None]
    return image * keep[per_channel]


def _coarser(image: Tensor, factor: int) -> Tensor:
    """As if scanned with pixels ``factor`` times as large along each side, at the same size."""
    h, w = image.shape[-2:]
    # Whole windows only: devices differ in how they pool a partial one.
    padded = F.pad(image, (0, -w % factor, 0, -h % factor), mode="replicate")
    few = F.avg_pool2d(padded, factor)
    size = (padded.shape[-2], padded.shape[-1])
    return F.interpolate(few, size, mode="bilinear", align_corners=False)[..., :h, :w]


def _blurred(image: Tensor) -> Tensor:
    channels = image.shape[1]
    taps = _BLUR.to(image)
    row = taps.view(1, 1, 1, 5).expand(channels, 1, 1, 5)
    image = F.conv2d(F.pad(image, (2, 2, 0, 0), mode="replicate"), row, groups=channels)
    column = taps.view(1, 1, 5, 1).expand(channels, 1, 5, 1)
    return F.conv2d(F.pad(image, (0, 0, 2, 2), mode="replicate"), column, groups=channels)

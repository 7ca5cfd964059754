"""Augmentation by batch, on the device: first draw what will be done, then do it.

``draw`` is all the randomness, on the CPU and small; ``apply`` is a pure function of what was
drawn, and runs where the batch is. Images are z-scored with 0 outside the brain, and stay so.
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
    """What is done to each slice of a batch; small CPU tensors.

    Attributes:
        matrix: [b, 2, 3] from output to input coordinates, as `torch.nn.functional.affine_grid`.
        elastic: [b, 2, g, g] displacements at coarse points, in the same coordinates.
        gamma: [b, c] exponents; 1 leaves a channel as it is.
        contrast: [b, c] factors.
        brightness: [b, c] offsets, in standard deviations.
        noise: [b] standard deviations of Gaussian noise.
        noise_seed: of the noise field.
        blur: [b] how far towards the blurred slice, 0 to 1.
        coarse: [b, c] 1 where a channel is shown at a lower resolution, else 0.
        coarseness: how many pixels, along each side, become one there.
        bias: [b, 1, g, g] logarithm of a smooth multiplicative field.
        target: [b, c] how much of the difference between what is marked and the rest of the brain
            is added to the former: 0 leaves it, -1 takes the difference away.
        keep: [b, c] 0 where a modality is dropped, else 1.
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

    def to(self, device: torch.device) -> AugmentParams:
        """The same on ``device``."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)  # type: ignore[arg-type]


def draw(generator: Generator, config: AugmentConfig, batch: int, channels: int) -> AugmentParams:
    """Draw the augmentation of ``batch`` slices with ``channels`` modalities."""

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
    # Any subset may be what is left, but for the empty one.
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


def apply(drawn: AugmentParams, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Do what was drawn to a batch.

    Args:
        drawn: from `draw`, for this batch's size and channels.
        image: [b, c, h, w] float, 0 outside the brain.
        mask: [b, r, h, w] of 0 and 1.

    Returns:
        The image and the mask, new tensors of the same shapes and types. Image and mask move
        together: the image by bilinear, the mask by nearest interpolation. Outside the brain, and
        in a channel that is 0 all over, the image stays 0.
    """
    # Asked here, on the CPU: the answer of a device would have to be waited for.
    parts = {name for name in ("target", "blur", "noise", "coarse") if getattr(drawn, name).any()}
    drawn = drawn.to(image.device)
    image, mask = _move(drawn, image, mask)
    brain = (image != 0).any(dim=1, keepdim=True)
    if "target" in parts:
        image = _contrasted(drawn.target, image, mask, brain)
    image = _intensities(drawn, image, parts)
    return image * brain, mask


def _move(drawn: AugmentParams, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    h, w = image.shape[-2:]
    # Rotate in pixels, not in the grid's unit square, or a slice that is not square would shear.
    aspect = torch.tensor([[1, h / w, 1], [w / h, 1, 1]], device=image.device)
    grid = F.affine_grid(drawn.matrix * aspect, [len(image), 1, h, w], align_corners=False)
    bend = F.interpolate(drawn.elastic, (h, w), mode="bicubic", align_corners=False)
    grid = grid + bend.permute(0, 2, 3, 1)
    moved = F.grid_sample(image, grid, mode="bilinear", align_corners=False)
    masks = F.grid_sample(mask.to(grid.dtype), grid, mode="nearest", align_corners=False)
    return moved, masks.to(mask.dtype)


def _contrasted(change: Tensor, image: Tensor, mask: Tensor, brain: Tensor) -> Tensor:
    """What is marked, brought nearer to the rest of the brain or away from it, channel by channel.

    How much a lesion differs depends on the patient and the scanner more than anything else in a
    scan, and few patients show little of that. Its edge is softened, or it would give it away.
    (LesionMix, Basaran et al. 2023, arXiv 2308.09026, varies lesions' intensities likewise.)
    """
    marked = (mask != 0).any(dim=1, keepdim=True) & brain
    here, there = marked.to(image.dtype), (brain & ~marked).to(image.dtype)
    mean, rest = (
        (image * part).sum((2, 3)) / part.sum((2, 3)).clamp_min(1) for part in (here, there)
    )
    soft = _blurred(_blurred(here))
    return image + (change * (mean - rest))[:, :, None, None] * soft * (image != 0)


def _intensities(drawn: AugmentParams, image: Tensor, parts: Collection[str]) -> Tensor:
    per_channel = (slice(None), slice(None), None, None)
    # A modality that a case lacks reads 0, here as in prediction.
    there = (image != 0).any(dim=3).any(dim=2)
    keep = drawn.keep * there
    # Nor is the only one that a case has dropped.
    keep = torch.where(keep.any(dim=1, keepdim=True), keep, there.to(keep.dtype))
    # Gamma needs a range: that of each channel of each slice.
    low, high = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    span = (high - low).clamp_min(1e-6)
    image = ((image - low) / span).clamp(0, 1) ** drawn.gamma[per_channel] * span + low
    image = image * drawn.contrast[per_channel] + drawn.brightness[per_channel]
    field = F.interpolate(drawn.bias, image.shape[-2:], mode="bilinear", align_corners=False)
    image = image * torch.exp(field)
    if "coarse" in parts:
        coarser = _coarser(image, drawn.coarseness)
        image = image + drawn.coarse[per_channel] * (coarser - image)
    if "blur" in parts:
        image = image + drawn.blur[:, None, None, None] * (_blurred(image) - image)
    if "noise" in parts:
        # Drawn on the CPU from its own seed, so that every device adds the same noise.
        generator = torch.Generator().manual_seed(drawn.noise_seed)
        noise = torch.randn(image.shape, generator=generator).to(image.device)
        image = image + noise * drawn.noise[:, None, None, None]
    return image * keep[per_channel]


def _coarser(image: Tensor, factor: int) -> Tensor:
    """As scanned with pixels ``factor`` times as large along each side, and shown at this size."""
    h, w = image.shape[-2:]
    # Whole windows: devices differ in what they make of a part of one.
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

"""Where augmentation runs: on the device if it can do all of it, or else on the CPU.

As with pooling (`mriseg.backends.fallback`), which operations a device has shows by trying. But
it falls back as a whole, and before the batch crosses: its operations follow one another, and each
on its own would cross to the CPU and back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core import augment, rng
from mriseg.core.config import AugmentConfig
from mriseg.errors import first_line

# Every part at once: a part that is off by chance would not be tried.
ALL = AugmentConfig(
    flip=1,
    vertical_flip=1,
    affine=1,
    elastic=1,
    gamma=1,
    contrast=1,
    noise=1,
    blur=1,
    bias=1,
    target_contrast=1,
    low_resolution=1,
)
# Devices round differently; a wrong kernel is off by far more.
TOLERANCE = 1e-3


def why_not_there(backend: Backend) -> str:
    """Why the device cannot augment; empty if it gives the CPU's answer on a small batch."""
    generator = rng.generator(0, "augmentation")
    image = torch.randn((2, 2, 16, 24), generator=generator)
    mask = (torch.rand((2, 1, 16, 24), generator=generator) > 0.5).to(torch.uint8)
    drawn = augment.draw(generator, ALL, 2, 2)
    expected = augment.apply(drawn, image, mask)
    try:
        computed = augment.apply(drawn, backend.place(image), backend.place(mask))
        error = max(
            float((backend.collect(ours).float() - theirs.float()).abs().mean())
            for ours, theirs in zip(computed, expected, strict=True)
        )
    # Whatever a kernel throws, the answer is the same: not on this device.
    except Exception as failure:
        return first_line(failure)
    # Not-a-number compares as false, hence the negation.
    return "" if error <= TOLERANCE else f"its answer is off by {error:.2g} on average"


def augmented(
    backend: Backend, drawn: augment.AugmentParams, image: Tensor, target: Tensor, *, on_cpu: bool
) -> tuple[Tensor, Tensor]:
    """A batch from the CPU on the device, augmented on either.

    Args:
        backend: of the training.
        drawn: what to do.
        image: [b, c, h, w], on the CPU.
        target: [b, r, h, w], on the CPU.
        on_cpu: where `why_not_there` gave a reason.
    """
    if on_cpu:
        image, target = augment.apply(drawn, image, target)
        return backend.place(image), backend.place(target)
    image, target = augment.apply(drawn, backend.place(image), backend.place(target))
    return image.contiguous(memory_format=backend.memory_format), target

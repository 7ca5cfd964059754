"""Augmentation on the device, or on the CPU where the device cannot."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mriseg.backends import Backend, select
from mriseg.core import augment, rng
from mriseg.core.config import AugmentConfig
from mriseg.engine.augmentation import augmented, why_not_there


class Wrong(Backend):
    """A device whose images arrive changed."""

    def place(self, tensor: Tensor) -> Tensor:
        return tensor * 1.5 if tensor.is_floating_point() else tensor


def test_the_cpu_can() -> None:
    assert why_not_there(select("cpu")) == ""


def test_a_device_without_the_operations_cannot() -> None:
    # The meta device computes shapes and no values, so that code that asks for a value is refused.
    assert why_not_there(replace(select("cpu"), device=torch.device("meta")))


def test_a_device_that_gets_it_wrong_cannot() -> None:
    assert "off by" in why_not_there(Wrong(**select("cpu").__dict__))


def test_augmenting_on_the_cpu_gives_the_same_as_on_the_device() -> None:
    backend = select("cpu")
    generator = rng.generator(3)
    image = torch.randn((3, 2, 20, 24), generator=generator)
    mask = (torch.rand((3, 1, 20, 24), generator=generator) > 0.7).to(torch.uint8)
    drawn = augment.draw(generator, AugmentConfig(), 3, 2)
    on_cpu_result, on_device_result = (
        augmented(backend, drawn, image, mask, on_cpu=on_cpu) for on_cpu in (True, False)
    )
    for one, other in zip(on_cpu_result, on_device_result, strict=True):
        torch.testing.assert_close(one, other)
    assert on_device_result[0].is_contiguous(memory_format=backend.memory_format)

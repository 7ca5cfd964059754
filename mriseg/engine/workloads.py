"""What a machine is measured with: a training step, inference, and products of matrices.

Each is what the recipes do, called as they call it; nothing is measured on a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core import rng
from mriseg.core.config import DEFAULT_MODALITIES, Config, Count, TrainConfig
from mriseg.core.imbalance import positive_weight
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_
from mriseg.core.steps import predict_step
from mriseg.engine.inference import ready
from mriseg.engine.trainer import Trainer

Action = Callable[[], object]

# Of a random mask, and so of the loss's weight for foreground; it changes no time.
_FOREGROUND = 0.03


class BenchConfig(Config):
    """What is measured.

    Attributes:
        width: of the network.
        batch_size: slices in a step.
        size: their height and width; any, for the network keeps each level's size.
        quick: fewer runs and smaller matrices: rougher numbers, sooner.
    """

    width: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    batch_size: Count = 10
    size: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]] = (240, 240)
    quick: bool = False

    @property
    def network(self) -> SegNetConfig:
        """The network: three modalities, one region."""
        return SegNetConfig(in_channels=len(DEFAULT_MODALITIES), classes=1, width=self.width)


def inference(backend: Backend, config: BenchConfig) -> Action:
    """What predicts a batch that is there, as `mriseg.engine.inference.probabilities` does it.

    To be called within `Backend.running`.
    """
    network = ready(_model(backend, config), backend)
    image, _ = _batch(backend, config)

    def predict() -> None:
        predict_step(network, image, autocast=backend.autocast)

    return predict


def training(backend: Backend, config: BenchConfig) -> Action:
    """What trains on a batch that is there, as `mriseg.recipes.fit` does it.

    To be called within `Backend.running`. Where several processes train together, each has its
    share of the batch.
    """
    settings = TrainConfig(low_res_share=0.0, batch_size=config.batch_size)
    weight = positive_weight(settings, (_FOREGROUND,))
    trainer = Trainer(
        _model(backend, config), backend, settings, pos_weight=weight, frame=config.size
    )
    image, target = _batch(backend, config)
    ranks = backend.ranks
    batch = image[ranks.rank :: ranks.world], target[ranks.rank :: ranks.world]

    def step() -> None:
        trainer.step(batch, progress=0.5)

    return step


def _model(backend: Backend, config: BenchConfig) -> SegNet:
    return init_weights_(build(config.network, backend.ops), _generator("weights"))


def _batch(backend: Backend, config: BenchConfig) -> tuple[Tensor, Tensor]:
    """Slices and masks on the device, of noise."""
    shape = (config.batch_size, config.network.in_channels, *config.size)
    image = torch.randn(shape, generator=_generator("image"))
    chance = torch.rand((shape[0], 1, *shape[2:]), generator=_generator("mask"))
    return backend.place(image), backend.place((chance < _FOREGROUND).to(torch.uint8))


def _generator(what: str) -> torch.Generator:
    return rng.generator(0, "bench", what)


def product(backend: Backend, side: int, dtype: torch.dtype) -> Action:
    """What multiplies two squares of ``side`` in ``dtype``."""
    # Random numbers: a GPU multiplies zeros faster, since they take less power.
    one, other = (
        backend.place(torch.randn((side, side), generator=_generator(which))).to(dtype)
        for which in ("left", "right")
    )
    out = torch.empty_like(one)
    return lambda: torch.mm(one, other, out=out)

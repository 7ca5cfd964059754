from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.io.store import Store
from mriseg.recipes.batches import Batches
from mriseg.recipes.setup import plan_training


def test_a_batch_can_be_made_again(brats_store: Store, cpu: Backend, tiny: TrainConfig) -> None:
    setup = plan_training(brats_store, tiny)
    plans = setup.plan(0)
    batches = Batches(brats_store, setup, cpu)
    whole = list(batches(plans, "augment", 5))
    assert len(whole) == len(plans) and batches.waited > 0
    with closing(batches([plans[2]], "augment", 7)) as again:
        image, target = next(again)
    assert torch.equal(image, whole[2][0]) and torch.equal(target, whole[2][1])
    # Another step, another purpose, another seed: another draw.
    other = replace(setup, config=tiny.model_copy(update={"seed": 3}))
    for varied in (
        batches([plans[2]], "augment", 8),
        batches([plans[2]], "statistics", 7),
        Batches(brats_store, other, cpu)([plans[2]], "augment", 7),
    ):
        assert not torch.equal(next(varied)[0], image)
        varied.close()


def test_the_channels_are_the_tasks(
    brats_store: Store, cpu: Backend, tiny: TrainConfig, tmp_path: Path
) -> None:
    config = tiny.model_copy(update={"modalities": ("FLAIR",), "regions": ("ET", "WT")})
    setup = plan_training(brats_store, config)
    plans = setup.plan(0)
    image, target = next(Batches(brats_store, setup, cpu)(plans, "augment"))
    assert image.shape == (len(plans[0].refs), 1, *setup.task.frame)
    assert target.shape == (len(plans[0].refs), 2, *setup.task.frame)

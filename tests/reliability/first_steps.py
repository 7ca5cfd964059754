"""The first steps of a training, by as many processes as are started, in float32 and exactly.

    python -m tests.reliability.first_steps STORE OUT STEPS

Rank 0 writes the first gradient and all losses to OUT.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mriseg.backends import launch, select
from mriseg.core.config import TrainConfig
from mriseg.core.imbalance import positive_weight
from mriseg.engine.trainer import Trainer
from mriseg.io.store import open_store
from mriseg.recipes.batches import Batches
from mriseg.recipes.setup import plan_training
from mriseg.recipes.train import _initial


def main(store: str, out: str, steps: str) -> None:
    ranks = launch.ranks()
    exact = select("cpu", precision="fp32", deterministic=True)
    backend = launch.together(exact, ranks)
    config = TrainConfig(width=16, batch_size=8, low_res_share=0.0)
    opened = open_store(store)
    setup = plan_training(opened, config)
    trainer = Trainer(
        _initial(setup, backend),
        backend,
        config,
        pos_weight=positive_weight(config, setup.positive_share),
        frame=setup.task.frame,
    )
    gradient: dict[str, Tensor] = {}

    def keep(optimiser: torch.optim.Optimizer, *_: object) -> None:
        if not gradient:
            for name, parameter in trainer.model.named_parameters():
                assert isinstance(parameter, nn.Parameter) and parameter.grad is not None
                gradient[name] = parameter.grad.clone().contiguous()

    trainer.optimiser.register_step_pre_hook(keep)
    plans = [plan for epoch in range(9) for plan in setup.plan(epoch)][: int(steps)]
    with backend.running():
        batches = Batches(opened, setup, backend)(plans, "augment")
        losses = [trainer.step(batch, step / 400) for step, batch in enumerate(batches)]
    assert len(losses) == int(steps)
    if ranks.first:
        save_file({**gradient, "losses": torch.stack(losses)}, Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])

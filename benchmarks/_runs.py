"""A run folder with fresh weights: what prediction does, and how long it takes, needs no better."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mriseg.core import rng
from mriseg.core.config import TrainConfig
from mriseg.core.ops import NATIVE
from mriseg.core.segnet import SegNetConfig, build, init_weights_
from mriseg.io.runs import Checkpoint, Manifest, Run, create_run

# Masks of noise would be as slow to compress as no real mask is; this one is nearly empty.
_PRIOR = 0.001


def fresh_run(path: Path, *, width: int, modalities: Sequence[str], frame: tuple[int, int]) -> Run:
    """A run as training leaves it, of a network that segments one region and has learnt nothing."""
    config = SegNetConfig(in_channels=len(modalities), classes=1, width=width)
    run = create_run(
        path,
        Manifest(
            config=TrainConfig(width=width).model_dump(mode="json"),
            model=config.model_dump(mode="json"),
            modalities=tuple(modalities),
            regions={"WT": (1, 2, 3, 4)},
            unit="mm",
            frame=frame,
            incomplete=False,
            store="",
            train=(),
            validation=(),
            seen=(),
            versions={},
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
        ),
    )
    model = init_weights_(build(config, NATIVE), rng.generator(0, "weights"), prior=_PRIOR)
    run.save("best", Checkpoint(dict(model.state_dict()), {}, {}))
    return run

"""A manifest, a checkpoint and a network for the tests of run folders."""

from __future__ import annotations

from typing import Any

import torch

from mriseg.core.identity import Identity
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_
from mriseg.io.runs import Checkpoint, Manifest

MANIFEST = Manifest(
    config={"epochs": 3},
    model={"in_channels": 1, "classes": 2, "width": 8, "dropout": 0.0},
    modalities=("T1",),
    regions={"WT": (1, 2), "ET": (4,)},
    unit="mm",
    frame=(64, 96),
    incomplete=False,
    store="/data/out.zarr",
    train=("a", "b"),
    validation=("c",),
    seen=(Identity("a", "pa", "ca", (("T1", "AA=="),)), Identity("b", "pb")),
    versions={"mriseg": "0"},
    created="2026-01-01T00:00:00+00:00",
)


def a_model(memory_format: torch.memory_format = torch.contiguous_format) -> SegNet:
    config = SegNetConfig(in_channels=1, classes=2, width=8)
    model = init_weights_(build(config, PURE), torch.Generator().manual_seed(0))
    return model.to(memory_format=memory_format)  # type: ignore[call-overload,no-any-return]


def a_checkpoint(value: float = 1.0, **state: Any) -> Checkpoint:
    return Checkpoint({"w": torch.full((2, 3), value)}, {"w/step": torch.tensor(4.0)}, state)

"""A network that is quick to export: a SegNet takes half a minute."""

from __future__ import annotations

import json
from typing import cast

import torch
from torch import Tensor, nn

from mriseg.core.deploy import Deployed
from mriseg.core.ops import PURE, Ops
from mriseg.core.segnet import SegNet, SegNetConfig


class OneLevel(nn.Module):
    """In place of a SegNet: pools once, and un-pools."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SegNetConfig(in_channels=2, classes=3, width=8)
        generator = torch.Generator().manual_seed(0)
        self.first, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        for parameter in self.parameters():
            parameter.data.normal_(generator=generator)
        self.set_ops(PURE)

    def set_ops(self, ops: Ops) -> None:
        self._pool, self._unpool = ops.pool, ops.unpool

    def forward(self, x: Tensor) -> Tensor:
        plane = self.first(x)
        values, code = self._pool(plane)
        logits: Tensor = self.head(self._unpool(values, code, (plane.shape[2], plane.shape[3])))
        return logits


def one_level() -> Deployed:
    """It, as an exporter is given it."""
    metadata = {"modalities": ["T1", "FLAIR"], "note": "größer als \u2264"}
    network = cast("SegNet", OneLevel())
    return Deployed(network, ["T1", "FLAIR"], ["WT", "TC", "ET"], (64, 96), json.dumps(metadata))

"""Which slice of a batch is to blame."""

from __future__ import annotations

import math

import torch

from mriseg.core.volume import SliceRef
from mriseg.engine.divergence import suspects


class _Passes(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_suspects_are_ordered() -> None:
    refs = [SliceRef("a", 0), SliceRef("a", 1), SliceRef("b", 2), SliceRef("c", 3)]
    image = torch.tensor([1.0, math.nan, 3.0, 2.0]).reshape(4, 1, 1, 1)

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # The loss of c's slice is not finite.
        return torch.where(logits == 2, math.nan, logits - target).sum()

    suspected = suspects(refs, image, torch.zeros(4, 1, 1, 1), _Passes(), loss)
    assert [suspect.ref.case for suspect in suspected] == ["a", "c", "b", "a"]
    assert [suspect.corrupt for suspect in suspected] == [True, False, False, False]

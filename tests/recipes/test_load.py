from __future__ import annotations

import pytest
import torch

from mriseg.backends import Backend
from mriseg.errors import RunError
from mriseg.io.runs import Run
from mriseg.recipes.load import load, load_model, network_of


def test_a_model_is_the_best_weights_calibrated(trained: Run, cpu: Backend) -> None:
    model = load(trained)
    manifest = trained.manifest
    assert model.task.modalities == manifest.modalities and model.task.frame == manifest.frame
    assert list(model.task.regions) == list(manifest.regions)
    assert model.mirrored == manifest.mirrored and not model.network.training
    weights = trained.load("best").weights
    scale = torch.tensor([each.scale for each in model.calibrations]).view(-1, 1, 1, 1)
    torch.testing.assert_close(model.network.head.weight, weights["head.weight"] * scale)
    placed = load_model(trained, cpu)
    assert all(
        torch.equal(placed.state_dict()[k], v) for k, v in model.network.state_dict().items()
    )


def test_weights_of_another_network_are_refused(trained: Run) -> None:
    weights = dict(trained.load("best").weights)
    weights["head.bias"] = weights["head.bias"][:1]
    with pytest.raises(RunError, match=r"do not fit its network: 1 of \d+ tensors"):
        network_of(trained, weights)

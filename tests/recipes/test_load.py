"""A network is built from a run only if its weights fit, and has its calibration in its head."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mriseg.backends import Backend
from mriseg.core.calibration import Calibration
from mriseg.errors import RunError
from mriseg.io.runs import Run, open_run
from mriseg.recipes.load import load, load_model, network_of


def test_the_calibration_is_in_the_head(trained: Run, cpu: Backend, tmp_path: Path) -> None:
    run = open_run(shutil.copytree(trained.path, tmp_path / "run"))
    best, first = run.load("best"), next(iter(run.manifest.regions))
    state = {**best.state, "calibration": {first: Calibration(2.0, -1.0)}}
    run.save("best", replace(best, state=state))
    head = load_model(run, cpu).head
    weight, bias = best.weights["head.weight"], best.weights["head.bias"]
    assert torch.equal(head.weight[0], 2 * weight[0])
    assert torch.equal(head.weight[1:], weight[1:])
    assert head.bias is not None
    assert torch.equal(head.bias[0], 2 * bias[0] - 1) and torch.equal(head.bias[1:], bias[1:])


@pytest.mark.parametrize("harm", ["missing", "surplus", "shape"])
def test_weights_of_another_network_are_refused(trained: Run, cpu: Backend, harm: str) -> None:
    weights = trained.load("best").weights
    if harm == "missing":
        del weights["head.bias"]
    elif harm == "surplus":
        weights["tail.bias"] = torch.zeros(1)
    else:
        weights["head.bias"] = torch.zeros(99)
    with pytest.raises(RunError, match=r"do not fit its network: 1 of \d+ tensors are missing or"):
        network_of(trained, weights, cpu.ops)


@pytest.mark.parametrize("width", [8 * 10**4, 8 * 10**12])
def test_a_network_of_any_size_is_not_built(trained: Run, cpu: Backend, width: int) -> None:
    model = {**trained.manifest.model, "width": width}
    run = Run(trained.path, replace(trained.manifest, model=model))
    with pytest.raises(RunError, match="do not fit its network|an impossible network"):
        network_of(run, trained.load("best").weights, cpu.ops)


def test_a_model_knows_its_task(trained: Run) -> None:
    model, manifest = load(trained), trained.manifest
    assert model.task.modalities == manifest.modalities and model.task.frame == manifest.frame
    assert list(model.task.regions) == list(manifest.regions)
    assert model.mirrored == manifest.mirrored and not model.network.training
    assert model.calibrations == trained.calibration()

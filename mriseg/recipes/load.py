"""A run's network, ready to predict."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core.calibration import calibrated
from mriseg.core.config import parse
from mriseg.core.segnet import SegNet, SegNetConfig, build
from mriseg.errors import RunError
from mriseg.io.runs import Run


def network_of(run: Run, weights: Mapping[str, Tensor], backend: Backend) -> SegNet:
    """A run's network with ``weights``, on the CPU.

    Raises:
        RunError: they are not of this network; it is then not built, since a ``run.json`` may ask
            for one of any size.
    """
    config = parse(SegNetConfig, run.manifest.model)
    try:
        with torch.device("meta"):
            expected = {k: v.shape for k, v in SegNet(config, backend.ops).state_dict().items()}
    except (RuntimeError, TypeError) as error:  # sizes that no tensor can have
        raise RunError(f"{run.path} describes an impossible network: {error}") from None
    shapes = {key: tensor.shape for key, tensor in weights.items()}
    wrong = [key for key in {**expected, **shapes} if shapes.get(key) != expected.get(key)]
    if wrong:
        raise RunError(
            f"the weights in {run.path} do not fit its network: {len(wrong)} of {len(expected)} "
            f"tensors are missing or have another shape, the first is {wrong[0][:80]}"
        )
    model = build(config, backend.ops)
    model.load_state_dict(weights)
    return model


def load_model(run: Run, backend: Backend) -> SegNet:
    """The network of a run's best weights, calibrated, in evaluation mode, on the device.

    Raises:
        RunError: the weights are missing, damaged, or not of this network.
    """
    checkpoint = run.load(run.chosen)
    model = network_of(run, checkpoint.weights, backend)
    by_name = checkpoint.state.get("calibration", {})
    regions = enumerate(run.manifest.regions)
    calibrated(model, {i: by_name[name] for i, name in regions if name in by_name})
    placed = backend.place_model(model).eval()
    assert isinstance(placed, SegNet)
    return placed

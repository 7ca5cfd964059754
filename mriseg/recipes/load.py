"""A run's network and model, ready to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.backends.ranks import Ranks
from mriseg.core.calibration import Calibration, Calibrations, apply_calibrations_
from mriseg.core.config import parse
from mriseg.core.ops import PURE, Ops
from mriseg.core.segnet import SegNet, SegNetConfig, build
from mriseg.engine.segmenter import Model
from mriseg.errors import RunError
from mriseg.io.runs import Run


def network_of(run: Run, weights: Mapping[str, Tensor], ops: Ops = PURE) -> SegNet:
    """A run's network with ``weights``, on the CPU.

    Raises:
        RunError: they are not of this network; it is then not built, for what a ``run.json`` asks
            for may be of any size.
    """
    config = parse(SegNetConfig, run.manifest.model)
    try:
        with torch.device("meta"):
            expected = {k: v.shape for k, v in SegNet(config, ops).state_dict().items()}
    except (RuntimeError, TypeError) as error:  # sizes that no tensor can have
        raise RunError(f"{run.path} describes an impossible network: {error}") from None
    shapes = {key: tensor.shape for key, tensor in weights.items()}
    wrong = [key for key in {**expected, **shapes} if shapes.get(key) != expected.get(key)]
    if wrong:
        raise RunError(
            f"the weights in {run.path} do not fit its network: {len(wrong)} of {len(expected)} "
            f"tensors are missing or have another shape, the first is {wrong[0][:80]}"
        )
    network = build(config, ops)
    network.load_state_dict(weights)
    return network


def load(run: Run) -> Model:
    """The model of a run's best weights, calibrated, on the CPU.

    Raises:
        RunError: the weights are missing, damaged, not of this network, or were never trained.
    """
    manifest = run.manifest
    network = network_of(run, run.load_chosen().weights)
    calibrations = run.calibration()
    apply_calibrations_(network, dict(enumerate(calibrations.regions)))
    return Model(network.eval(), manifest.task, calibrations, manifest.mirrored)


def load_together(run: Run, ranks: Ranks) -> Model:
    """`load` in each of the processes that train a run together, of which the first has its files.

    Raises:
        RunError: as `load` does.
    """
    if not ranks.several:
        return load(run)
    manifest = run.manifest
    if ranks.first:
        model = load(run)
    else:
        blank = build(parse(SegNetConfig, manifest.model), PURE)
        model = Model(blank.eval(), manifest.task, Calibrations(()), manifest.mirrored)
    ranks.same_(model.network.state_dict().values())
    calibrations = ranks.agree(model.calibrations, Calibrations, Calibration)
    return replace(model, calibrations=calibrations)


def load_model(run: Run, backend: Backend) -> SegNet:
    """The network of a run's best weights, calibrated, in evaluation mode, on the device.

    Raises:
        RunError: the weights are missing, damaged, or not of this network.
    """
    network = load(run).network
    network.set_ops(backend.ops)
    placed = backend.place_model(network).eval()
    assert isinstance(placed, SegNet)
    return placed

"""A run's network, ready to predict."""

from __future__ import annotations

from mriseg.backends.base import Backend
from mriseg.core.calibration import Calibration, calibrated
from mriseg.core.config import parse
from mriseg.core.segnet import SegNet, SegNetConfig, build
from mriseg.errors import RunError
from mriseg.io.runs import Run


def load_model(run: Run, backend: Backend) -> SegNet:
    """The network of a run's best weights, calibrated, in evaluation mode, on the device.

    Raises:
        RunError: the weights are missing, damaged, or not of this network.
    """
    model = build(parse(SegNetConfig, run.manifest.model), backend.ops)
    checkpoint = run.load(run.chosen)
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise RunError(f"the weights in {run.path} do not fit its network: {error}") from None
    found = checkpoint.state.get("calibration", {})
    regions = enumerate(run.manifest.regions)
    calibrated(model, {i: Calibration(**found[name]) for i, name in regions if name in found})
    placed = backend.place_model(model).eval()
    assert isinstance(placed, SegNet)
    return placed

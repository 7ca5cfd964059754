"""A run's network, ready to predict."""

from __future__ import annotations

from mriseg.backends.base import Backend
from mriseg.core.config import parse
from mriseg.core.segnet import SegNet, SegNetConfig, build
from mriseg.errors import RunError
from mriseg.io.runs import Run


def load_model(run: Run, backend: Backend) -> SegNet:
    """The network of a run's best weights, in evaluation mode, on the backend's device.

    Raises:
        RunError: the weights are missing, damaged, or not of this network.
    """
    model = build(parse(SegNetConfig, run.manifest.model), backend.ops)
    checkpoint = run.load(run.chosen)
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise RunError(f"the weights in {run.path} do not fit its network: {error}") from None
    placed = backend.place_model(model).eval()
    assert isinstance(placed, SegNet)
    return placed

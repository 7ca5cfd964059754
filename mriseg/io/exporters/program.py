"""What ``torch.export`` makes of a network: the program that ONNX and pt2 files hold."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from mriseg.core.deploy import Arithmetic, Deployed
from mriseg.io.exporters.base import Predict

INPUTS = ("image", "mean", "std", "foreground")
OUTPUT = "probabilities"

# Neither equal to one another nor to the frame, and no multiples: nothing that holds of the
# example alone may hold of the program.
_BATCH, _HEIGHT, _WIDTH = 3, 50, 60


def program_of(network: Deployed) -> ExportedProgram:
    """``network`` as a program with free batch, height and width.

    Its inputs are `INPUTS`: float32 [b, m, h, w], [b, m] and [b, m], and uint8 [b, h, w]. It holds
    no path of this machine.
    """
    module = Arithmetic(network.unchecked)
    m = len(network.modalities)
    generator = torch.Generator().manual_seed(0)
    example = (
        torch.randn((_BATCH, m, _HEIGHT, _WIDTH), generator=generator),
        torch.zeros((_BATCH, m)),
        torch.ones((_BATCH, m)),
        torch.ones((_BATCH, _HEIGHT, _WIDTH), dtype=torch.uint8),
    )
    auto = Dim.AUTO
    plane = {0: auto, 1: auto, 2: auto}
    free = ({0: auto, 2: auto, 3: auto}, {0: auto}, {0: auto}, plane)
    with quiet():
        program = torch.export.export(module, example, dynamic_shapes=free)
    for part in program.graph_module.modules():
        if isinstance(part, torch.fx.GraphModule):
            for node in part.graph.nodes:
                # Which line of which file made it: private, and of no use elsewhere.
                for key in ("stack_trace", "source_fn_stack", "nn_module_stack", "torch_fn"):
                    node.meta.pop(key, None)
    return program


def full(predict: Predict, modalities: int) -> Predict:
    """``predict`` of a program, which takes all its inputs in full, as `Deployed.forward` is."""

    def given(image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None) -> Tensor:
        b, _, h, w = image.shape
        if foreground is None:
            foreground = torch.ones((b, h, w))
        each = [
            values.float().view(-1, modalities).expand(b, modalities).contiguous()
            for values in (mean, std)
        ]
        return predict(
            image.float(), each[0], each[1], (foreground != 0).to(torch.uint8).view(b, h, w)
        )

    return given


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters print and warn of on their way; what they raise is raised."""
    was = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(was)

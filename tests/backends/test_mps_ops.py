"""Every operation that mriseg gives to a device has a kernel on Apple's GPUs.

No Mac is needed: what is called is recorded on the processor, in the memory format that MPS gets,
and looked up in the table that PyTorch's kernels are built from, today's and that of the oldest
release that the package allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mriseg.backends import Backend, select
from mriseg.core import augment, rng
from mriseg.core.calibration import Calibration, Calibrations
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.deploy import Deployed
from mriseg.core.losses import LOSSES
from mriseg.core.ops import FORMS, Ops
from mriseg.core.prepare import prepare
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_
from mriseg.core.task import Task
from mriseg.engine.augmentation import ALL
from mriseg.engine.segmenter import Model, Segmenter, SegmentOptions
from mriseg.engine.trainer import Trainer
from mriseg.events import completed
from mriseg.testing import phantoms
from tests.backends import mps_table
from tests.strategies import ORIENTATIONS

OLDEST = "2.9.0"
ROOT = Path(__file__).resolve().parent.parent.parent
FRAME, REGIONS = (64, 64), {"WT": (1, 2), "ET": (2,)}
TASK = Task(("T1", "FLAIR"), REGIONS, FRAME)


class Recorder(TorchDispatchMode):
    """Notes each operation that reaches a device's kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # In inference mode those arrive whole that are made of others, which are what counts.
        with self:
            output = func.decompose(*args, **(kwargs or {}))
        if output is not NotImplemented:
            return output
        name, overload = func.overloadpacket.__name__, func._overloadname
        if func.namespace == "aten":
            self.names.add(name if overload == "default" else f"{name}.{overload}")
        return func(*args, **(kwargs or {}))


@contextmanager
def recorded() -> Iterator[set[str]]:
    with Recorder() as recorder:
        yield recorder.names


def backend_like_mps(dtype: torch.dtype) -> Backend:
    cpu = select("cpu", precision="fp32")
    return replace(cpu, dtype=dtype, memory_format=torch.contiguous_format, compile="never")


def a_network(ops: Ops) -> SegNet:
    config = SegNetConfig(in_channels=2, classes=2, width=8, dropout=0.1)
    return init_weights_(build(config, ops), rng.generator(0))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.randn((2, 2, *FRAME), generator=rng.generator(1))
    return image, (image > 0.7).to(torch.uint8)


def training(ops: Ops, dtype: torch.dtype) -> None:
    """Steps of both resolutions, all losses, L2-SP, the average, its statistics, a checkpoint."""
    backend = backend_like_mps(dtype)
    config = TrainConfig(
        width=8,
        low_res_share=0.5,
        size=FRAME,
        loss="+".join(LOSSES),
        transfer=TransferConfig(l2_sp=0.1),
    )
    network = a_network(ops)
    anchors = {name: value.detach().clone() for name, value in network.named_parameters()}
    weight = torch.full((2, 1, 1), 2.0)
    trainer = Trainer(network, backend, config, pos_weight=weight, frame=FRAME, anchors=anchors)
    for progress in (0.0, 0.9):
        generator = rng.generator(0, "step", int(10 * progress))
        drawn = augment.draw(generator, ALL, 2, 2)
        image, target = augment.apply(drawn, *batch())
        trainer.step((image, target), progress)
    trainer.broken_weight()
    trainer.network([batch()[0]])
    trainer.load(trainer.state(), 2)


def prediction(ops: Ops, dtype: torch.dtype) -> None:
    """A case with mirrored copies, adapted statistics and refinement, as by default."""
    images, _ = phantoms.head(np.random.default_rng(0), (6, 40, 36), modalities=("T1", "FLAIR"))
    case = prepare(images, None, ORIENTATIONS[0].geometry((6, 40, 36)))
    calibrations = Calibrations((Calibration(), Calibration(scale=0.9, shift=0.1)))
    model = Model(a_network(ops).eval(), TASK, calibrations, mirrored=(2, 3))
    completed(Segmenter(model, SegmentOptions()).segmenting(case, backend_like_mps(dtype)))


def exported(ops: Ops, dtype: torch.dtype) -> None:
    """The module that exporters write, on a slice that is smaller than the frame and one that is
    larger."""
    module = Deployed(a_network(ops), ["T1", "FLAIR"], [*REGIONS], FRAME, "{}")
    for size in ((40, 50), (70, 90)):
        image = torch.rand((1, 2, *size))
        with torch.inference_mode():
            module(image, torch.zeros(2), torch.ones(2), torch.ones((1, *size)))


STAGES = {"training": training, "prediction": prediction, "exported": exported}


@cache
def today() -> set[str]:
    return mps_table.on_mps(mps_table.installed())


def lacking(names: set[str]) -> dict[str, list[str]]:
    """What has no kernel on MPS, by release."""
    releases = {"the installed": today(), OLDEST: mps_table.stored(OLDEST)}
    return {name: sorted(names - able) for name, able in releases.items() if names - able}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("stage", STAGES)
def test_every_operation_has_a_kernel_on_mps(stage: str, dtype: torch.dtype) -> None:
    names: set[str] = set()
    for ops in FORMS:
        with recorded() as called:
            STAGES[stage](ops, dtype)
        assert {"convolution", "relu_"} & called == {"convolution", "relu_"}
        names |= called
    assert not lacking(names)


def test_an_operation_without_a_kernel_is_noticed() -> None:
    # The gradient of sampling a grid came to MPS after the oldest release.
    image = torch.rand((1, 1, 4, 4), requires_grad=True)
    grid = torch.rand((1, 4, 4, 2))
    with recorded() as called:
        F.grid_sample(image, grid, align_corners=False).sum().backward()
    assert lacking(called) == {OLDEST: ["grid_sampler_2d_backward"]}


def test_the_oldest_release_is_the_one_that_the_package_allows() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'"torch>=([\d.]+)"', text) == [OLDEST.removesuffix(".0")]


TABLE = """\
- func: own(Tensor self) -> Tensor
  dispatch:
    CPU, CUDA: own_cpu
    MPS: own_mps

- func: none(Tensor self) -> Tensor
  dispatch:
    CPU: none_cpu
    SparseCPU: none_sparse
  autogen: none.out

- func: composed(Tensor self) -> Tensor
  variants: function

- func: of_all(Tensor self) -> Tensor
  dispatch:
    CompositeExplicitAutograd, CUDA: of_all

- func: by(Tensor self) -> Tensor
  structured_delegate: by.out
  dispatch:
    SparseCPU: by_sparse

- func: by.out(Tensor self, *, Tensor(a!) out) -> Tensor(a!)
  structured: True
  dispatch:
    CPU, MPS: by_out

- func: lost(Tensor self) -> Tensor
  structured_delegate: lost.out

- func: lost.out(Tensor self, *, Tensor(a!) out) -> Tensor(a!)
  structured: True
  dispatch:
    CPU: lost_out
"""


def test_the_table_is_read_with_its_delegates() -> None:
    assert mps_table.on_mps(TABLE) == {"own", "none.out", "composed", "of_all", "by", "by.out"}


def test_a_stored_list_is_what_was_written() -> None:
    names = {"add", "add.Tensor", "add.out", "mul.Scalar"}
    assert set(mps_table.expanded([*mps_table.condensed(names)])) == names

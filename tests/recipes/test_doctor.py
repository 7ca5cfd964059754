"""On a processor all is right; a device with a wrong kernel is found out, kernel by kernel."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import mriseg
from mriseg.backends import Backend, select
from mriseg.backends.base import Setting
from mriseg.core.config import TrainConfig
from mriseg.core.losses import LOSSES
from mriseg.core.ops import NATIVE, Ops, native_pool
from mriseg.core.sampling import plan_epoch
from mriseg.engine.op_checks import CHECKS, At, Outcome
from mriseg.errors import BackendError, ConfigError
from mriseg.events import Advanced, Began, Event, finish
from mriseg.io.store import Store
from mriseg.recipes.doctor import (
    DoctorReport,
    Finding,
    Verdict,
    check_fit,
    doctor,
    examine,
)
from mriseg.recipes.setup import plan_training

SMALL: dict[str, Any] = {"width": 8, "batch_size": 2, "size": (32, 48)}

Wreck = Callable[[Tensor], object]


class WrongKernel(TorchDispatchMode):
    """A device of which one kernel is wrong; float64, in which the answers are made, is right."""

    def __init__(self, kernel: str, wreck: Wreck) -> None:
        super().__init__()
        self.kernel, self.wreck, self.calls = kernel, wreck, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ == self.kernel:
            for tensor in given if isinstance(given, list | tuple) else [given]:
                if tensor is not None and tensor.dtype in (torch.float32, torch.bfloat16):
                    self.calls += 1
                    self.wreck(tensor)
        return given


def wrong(backend: Backend, kernel: str, wreck: Wreck) -> Backend:
    """``backend`` with a wrong kernel, while it is running."""

    @contextmanager
    def broken() -> Iterator[None]:
        mode = WrongKernel(kernel, wreck)
        with mode:
            yield
        assert mode.calls, f"{kernel} was never called: the test tries nothing"

    setting: Setting = broken
    return replace(backend, settings=(*backend.settings, setting))


def stretch(tensor: Tensor) -> None:
    """Off by half of it."""
    tensor.mul_(1.5)


def spoil(tensor: Tensor) -> None:
    """No number any more."""
    tensor.fill_(float("nan"))


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """The processor in each of its precisions."""
    return select("cpu", precision=request.param)


def tried(backend: Backend, name: str) -> Finding:
    with backend.running():
        return examine(backend, name, CHECKS[name])


@pytest.mark.parametrize("name", CHECKS)
def test_the_processor_is_right(backend: Backend, name: str) -> None:
    found = tried(backend, name)
    assert found.verdict == Verdict.RIGHT, found
    assert not found.fault and not found.reason and not found.instead


def test_every_loss_is_tried() -> None:
    assert {f"loss {name}" for name in LOSSES} <= set(CHECKS)


BROKEN = [
    ("place and collect", "clone"),
    ("load weights, then place", "_to_copy"),
    ("load weights into a placed model", "copy_"),
    ("convolution, 3 to 64", "convolution"),
    ("convolution, 256 to 32", "convolution_backward"),
    ("BatchNorm in training", "native_batch_norm"),
    ("BatchNorm in training", "native_batch_norm_backward"),
    ("BatchNorm in evaluation", "native_batch_norm_backward"),
    ("ReLU", "relu_"),
    ("ReLU", "threshold_backward"),
    ("convolution, BatchNorm and ReLU", "relu_"),
    ("pool with indices", "max_pool2d_with_indices"),
    ("pool with indices", "max_pool2d_with_indices_backward"),
    ("un-pool with ties", "max_unpool2d"),
    ("un-pool with ties", "gather"),
    ("loss bce", "binary_cross_entropy_with_logits"),
    ("loss dice", "sigmoid"),
    ("loss tversky", "sigmoid_backward"),
    ("loss focal", "log_sigmoid_forward"),
    ("sigmoid and threshold", "sigmoid"),
    ("gradient clipping", "_foreach_norm"),
    ("AdamW", "addcdiv_"),
    ("augmentation", "grid_sampler_2d"),
    ("block encoder.3", "native_batch_norm_backward"),
    ("block head", "convolution"),
    ("network in float32", "max_unpool2d"),
    ("network as trained", "convolution_backward"),
]


@pytest.mark.parametrize(("name", "kernel"), BROKEN)
def test_a_wrong_kernel_is_found_out(cpu: Backend, name: str, kernel: str) -> None:
    found = tried(wrong(cpu, kernel, stretch), name)
    assert found.verdict == Verdict.WRONG, found
    assert found.fault == (not CHECKS[name].instead)


def test_every_kind_of_check_is_shown_to_find_something() -> None:
    kinds = {name.split()[0] for name in CHECKS}
    assert {name.split()[0] for name, _ in BROKEN} == kinds


@pytest.mark.parametrize(
    ("name", "kernel"),
    [("un-pool with ties", "max_unpool2d"), ("AdamW", "addcdiv_"), ("block head", "convolution")],
)
def test_nan_is_wrong_and_said(backend: Backend, name: str, kernel: str) -> None:
    found = tried(wrong(backend, kernel, spoil), name)
    assert found.verdict == Verdict.WRONG and found.reason == "gives infinity or NaN"
    assert found.forward is None and found.fault


def test_a_little_off_is_told_and_no_fault(cpu: Backend) -> None:
    found = tried(wrong(cpu, "convolution", lambda x: x.mul_(1 + 5e-5)), "convolution, 3 to 64")
    assert found.verdict == Verdict.ROUNDS and not found.fault


def test_what_raises_fails(cpu: Backend) -> None:
    def lacking(tensor: Tensor) -> None:
        raise NotImplementedError("no such kernel\nand a long trace")

    found = tried(wrong(cpu, "relu_", lacking), "ReLU")
    assert found.verdict == Verdict.FAILS and found.fault
    assert found.reason == "NotImplementedError: no such kernel"


def test_an_autocast_of_another_type_is_told(cpu: Backend) -> None:
    half = replace(cpu, dtype=torch.bfloat16)

    class Deaf(type(half)):  # type: ignore[misc]
        def autocast(self) -> Any:
            return torch.autocast("cpu", enabled=False)

    deaf = Deaf(**half.__dict__)
    found = tried(deaf, "convolution, BatchNorm and ReLU")
    assert found.verdict == Verdict.FAILS and "float32, not torch.bfloat16" in found.reason


def upsampled(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    """What is often taken for un-pooling: each value in all of its window."""
    plane = nn.functional.interpolate(values, scale_factor=2)
    return nn.functional.pad(plane, [0, size[1] - plane.shape[3], 0, size[0] - plane.shape[2]])


def test_another_un_pooling_is_found_in_its_own_row(cpu: Backend) -> None:
    events: list[Event] = []
    broken = replace(cpu, ops=Ops("wrong", native_pool, upsampled))
    report = finish(doctor(broken, **SMALL), events.append)
    faults = {found.name for found in report.findings if found.fault}
    sure = {"un-pool with ties", "network in float32"}
    assert sure <= faults <= sure | {"network as trained"}
    assert not report.fit
    with pytest.raises(BackendError, match=r"cpu in float32 is not fit to train: un-pool with"):
        check_fit(report)
    [began] = [event for event in events if isinstance(event, Began)]
    done = [event.done for event in events if isinstance(event, Advanced)]
    assert done == list(range(1, began.total + 1))


def test_a_loss_that_is_no_number_is_no_pace(cpu: Backend) -> None:
    report = finish(doctor(wrong(cpu, "convolution", spoil), **SMALL))
    assert report.pace is None and report.memory is None and not report.fit
    assert "the loss of a training step is nan" in report.findings[-1].reason
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))


def test_determinism_is_tried_where_it_was_asked_for() -> None:
    steady = select("cpu", precision="fp32", deterministic=True)
    calls = itertools.count()
    fickle = wrong(steady, "convolution", lambda x: x.mul_(1 + 1e-6 * (next(calls) % 7)))
    report = finish(doctor(fickle, **SMALL))
    assert [found.name for found in report.findings if found.fault] == ["the same bits twice"]


def test_what_training_does_otherwise_is_no_fault(cpu: Backend) -> None:
    report = finish(doctor(wrong(cpu, "grid_sampler_2d", stretch), **SMALL))
    assert report.fit
    assert "augmentation goes wrong, mriseg augments on the CPU" in report.summary


def test_the_report_is_json_and_back(backend: Backend) -> None:
    report = finish(doctor(backend, **SMALL))
    assert report.fit, report.summary
    check_fit(report)
    text = json.dumps(report.to_json(), allow_nan=False)
    read = json.loads(text)
    assert {"backend", "findings", "task", "memory", "pace", "fit", "summary"} == set(read)
    assert [row["name"] for row in read["findings"]] == list(CHECKS)
    found = TypeAdapter(DoctorReport).validate_python(read)
    assert found.findings == report.findings and found.to_json()["memory"] == read["memory"]
    assert report.pace is not None and report.pace.batches == 2 * 295 * 66 // 2
    assert report.pace.epoch == pytest.approx(report.pace.step * report.pace.batches)


def test_a_stores_own_training(brats_store: Store, cpu: Backend) -> None:
    report = mriseg.doctor(brats_store, width=8, batch_size=2, backend=cpu)
    setup = plan_training(brats_store, TrainConfig())
    task = report.task
    assert task.size == setup.task.frame and task.source.startswith(brats_store.location)
    assert (task.channels, task.classes) == (len(setup.task.modalities), len(setup.task.regions))
    plans = plan_epoch(
        setup.index.only(setup.split.train),
        regions=tuple(setup.task.regions),
        batch_size=2,
        tumour_fraction=TrainConfig().tumour_fraction,
        slices=None,
        seed=0,
        epoch=0,
    )
    assert report.pace is not None and report.pace.batches == len(plans)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 12}, "width = 12"),
        ({"batch_size": 0}, "batch size = 0"),
        ({"size": (16, 240)}, r"size = \(16, 240\)"),
    ],
)
def test_what_cannot_be(cpu: Backend, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        finish(doctor(cpu, **{**SMALL, **given}))


def test_memory_too_small_for_a_slice(cpu: Backend) -> None:
    class Tiny(Backend):
        def free_memory(self) -> int | None:
            return 2**20

    tiny = Tiny(**cpu.__dict__)
    report = finish(doctor(tiny, **SMALL))
    assert not report.fit and "no memory for a slice of 32 x 48 at width 8" in report.summary


def test_an_exact_place_is_exact(cpu: Backend) -> None:
    at = At(cpu, exact=True)
    assert at.activation(torch.ones(2)).dtype == torch.float64
    assert at.place(torch.ones(2, dtype=torch.uint8)).dtype == torch.uint8
    outcome: Outcome = CHECKS["un-pool with ties"].run(at)
    assert {tensor.dtype for tensor in outcome.forward} == {torch.float64}
    assert NATIVE is not at.ops

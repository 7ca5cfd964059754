"""On a CPU every check passes; a device's wrong kernel is detected, kernel by kernel."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

import mriseg
from mriseg.backends import Backend, select
from mriseg.core.config import TrainConfig
from mriseg.core.ops import Ops, native_pool
from mriseg.core.sampling import plan_epoch
from mriseg.engine.op_checks import CHECKS
from mriseg.errors import BackendError, ConfigError
from mriseg.events import Advanced, Began, Event, finish
from mriseg.io.store import Store
from mriseg.recipes.doctor import (
    DoctorReport,
    Verdict,
    check_fit,
    doctor,
)
from mriseg.recipes.setup import plan_training
from tests.kernels import spoil, stretch, tried, wrong

SMALL: dict[str, Any] = {"width": 8, "batch_size": 2, "size": (32, 48)}


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """The processor in each of its precisions."""
    return select("cpu", precision=request.param)


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("un-pool with ties", "max_unpool2d"),
        ("AdamW", "_fused_adamw_"),
        ("block head", "convolution"),
    ],
)
def test_nan_is_reported_as_wrong(backend: Backend, name: str, kernel: str) -> None:
    finding = tried(wrong(backend, kernel, spoil), name)
    assert finding.verdict == Verdict.WRONG and finding.reason == "gives infinity or NaN"
    assert finding.forward is None and finding.fault


def test_a_small_deviation_is_reported_and_no_fault(cpu: Backend) -> None:
    finding = tried(wrong(cpu, "convolution", lambda x: x.mul_(1 + 5e-5)), "convolution, 3 to 64")
    assert finding.verdict == Verdict.ROUNDS and not finding.fault


def test_what_raises_fails(cpu: Backend) -> None:
    def lacking(tensor: Tensor) -> None:
        raise NotImplementedError("no such kernel\nand a long trace")

    finding = tried(wrong(cpu, "relu_", lacking), "ReLU")
    assert finding.verdict == Verdict.FAILS and finding.fault
    assert finding.reason == "NotImplementedError: no such kernel"


def test_an_autocast_to_another_type_is_reported(cpu: Backend) -> None:
    half = replace(cpu, dtype=torch.bfloat16)

    class Deaf(type(half)):  # type: ignore[misc]
        def autocast(self) -> Any:
            return torch.autocast("cpu", enabled=False)

    deaf = Deaf(**half.__dict__)
    finding = tried(deaf, "convolution, BatchNorm and ReLU")
    assert finding.verdict == Verdict.FAILS and "float32, not torch.bfloat16" in finding.reason


def upsampled(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    """What is often taken for un-pooling: each value in all of its window."""
    plane = nn.functional.interpolate(values, scale_factor=2)
    return nn.functional.pad(plane, [0, size[1] - plane.shape[3], 0, size[0] - plane.shape[2]])


def test_another_un_pooling_is_found_in_its_own_row(cpu: Backend) -> None:
    events: list[Event] = []
    broken = replace(cpu, ops=Ops("wrong", native_pool, upsampled))
    report = finish(doctor(broken, **SMALL), events.append)
    faults = {finding.name for finding in report.findings if finding.fault}
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


def test_determinism_is_checked_when_requested() -> None:
    steady = select("cpu", precision="fp32", deterministic=True)
    calls = itertools.count()
    fickle = wrong(steady, "convolution", lambda x: x.mul_(1 + 1e-6 * (next(calls) % 7)))
    report = finish(doctor(fickle, **SMALL))
    assert [finding.name for finding in report.findings if finding.fault] == ["the same bits twice"]


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
    parsed = TypeAdapter(DoctorReport).validate_python(read)
    assert parsed.findings == report.findings and parsed.to_json()["memory"] == read["memory"]
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

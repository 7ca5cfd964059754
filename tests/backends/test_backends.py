"""Each backend under the contract, the choice among them, and the fallback of their operations."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from mriseg.backends import BACKENDS, available, describe, select
from mriseg.backends.fallback import Manner, Probe, choose_ops, first_working, probe, round_trip
from mriseg.core.ops import FORMS, NATIVE, PURE, SCATTER, Ops, native_pool, native_unpool
from mriseg.errors import BackendError, ConfigError, UnknownNameError
from tests.backends.contract import BackendContract

CPU = Manner(torch.device("cpu"))


class TestCpu(BackendContract):
    name = "cpu"


class TestCuda(BackendContract):
    name = "cuda"


class TestMps(BackendContract):
    name = "mps"


# The choice.


def test_every_backend_is_under_the_contract() -> None:
    # Those of this file: an example in the documentation is under the contract too.
    suites = [kind for kind in BackendContract.__subclasses__() if kind.__module__ == __name__]
    assert {kind.name for kind in suites} == set(BACKENDS)


def test_auto_prefers_any_gpu_to_the_cpu_and_says_what_it_passed_over() -> None:
    order = ["cuda", "mps", "cpu"]
    here = {entry.name for entry in available() if entry.ok}
    expected = next(name for name in order if name in here)
    backend = select()
    assert backend.name == expected
    for passed_over in order[: order.index(expected)]:
        assert f"no {passed_over.upper()} (" in backend.reason


@pytest.mark.parametrize("name", ["mps", "cuda"])
def test_an_absent_device_is_an_error_that_names_what_there_is(name: str) -> None:
    ok, why = BACKENDS[name].probe()
    if ok:
        pytest.skip(f"there is a {name} device here")
    with pytest.raises(BackendError) as caught:
        select(name)
    message = str(caught.value)
    assert message.startswith(f"there is no {name.upper()} device here ({why}); available: ")
    assert "cpu" in message and message.endswith("Use --backend auto or cpu")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="known: cpu, cuda, mps"):
        select("tpu")
    with pytest.raises(ConfigError, match="'fp8': expected auto, fp32, bf16, fp16"):
        select(precision="fp8")


def test_a_precision_that_a_device_lacks_is_refused() -> None:
    with pytest.raises(BackendError, match="does not compute in fp16; choose fp32, bf16 or auto"):
        select("cpu", precision="fp16")


def test_a_precision_is_taken_at_its_word() -> None:
    assert select("cpu", precision="fp32").dtype == torch.float32
    bf16 = select("cpu", precision="bf16")
    assert bf16.dtype == torch.bfloat16
    with bf16.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == torch.bfloat16


def test_bfloat16_is_chosen_where_the_processor_multiplies_it() -> None:
    hardware = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    backend = select("cpu")
    assert backend.dtype == (torch.bfloat16 if hardware else torch.float32)
    assert any("in hardware" in note for note in backend.notes) is bool(hardware)


def test_the_cpu_takes_the_native_form_unless_it_must_be_deterministic() -> None:
    assert select("cpu").ops is NATIVE
    assert select("cpu", deterministic=True).ops is SCATTER


def test_a_description_is_json() -> None:
    described = describe(select("cpu", precision="fp32"))
    assert json.loads(json.dumps(described)) == described
    assert described["precision"] == "float32" and described["memory format"] == "channels_last"


def test_importing_and_listing_changes_nothing_and_loads_no_backend() -> None:
    script = """
import os, sys
import torch
before = dict(os.environ), torch.get_rng_state().tolist(), torch.get_num_threads()
import mriseg.backends
assert not {f"mriseg.backends.{name}" for name in ("cpu", "cuda", "mps")} & set(sys.modules)
mriseg.backends.available(), mriseg.backends.select()
assert before == (dict(os.environ), torch.get_rng_state().tolist(), torch.get_num_threads())
assert "PYTORCH_ENABLE_MPS_FALLBACK" not in os.environ
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# The fallback.


def lacking(*_: object) -> Tensor:
    raise NotImplementedError("The operator 'aten::max_unpool2d' is not implemented\nfor this")


def doubled(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    return 2 * native_unpool(values, code, size)


class _HalvedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient / 2


def halved(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    return native_unpool(_HalvedGradient.apply(values), code, size)


def shared_ties(x: Tensor) -> tuple[Tensor, Tensor]:
    # Right values, right codes, and a gradient that equals share: another network after a ReLU.
    return x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)), native_pool(x)[1]


LACKING = Ops("lacking", native_pool, lacking)
DOUBLED = Ops("doubled", native_pool, doubled)
HALVED = Ops("halved", native_pool, halved)
SHARED = Ops("shared", shared_ties, native_unpool)
BROKEN = {
    LACKING: "NotImplementedError: The operator 'aten::max_unpool2d' is not implemented",
    DOUBLED: "its un-pooled values differ from the CPU's",
    HALVED: "its gradients differ from the CPU's",
    SHARED: "its gradients differ from the CPU's",
}

every_broken = pytest.mark.parametrize("ops", BROKEN, ids=lambda ops: ops.name)
everywhere = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])


@everywhere
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("ops", [*FORMS, *map(round_trip, FORMS)], ids=lambda ops: ops.name)
def test_every_form_works_on_the_cpu(
    ops: Ops, dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    assert probe(ops, Manner(CPU.device, dtype, memory_format)) == Probe(True)


@every_broken
def test_a_broken_form_is_found_out(ops: Ops) -> None:
    assert probe(ops, CPU) == Probe(False, BROKEN[ops])


def test_broken_forms_are_passed_over_and_told_of() -> None:
    ops, notes = first_working([*BROKEN, PURE, NATIVE], CPU)
    assert ops is PURE
    assert len(notes) == len(BROKEN)
    for note, (broken, reason) in zip(notes, BROKEN.items(), strict=True):
        assert note == (
            f"{broken.name} un-pooling does not work on cpu ({reason}); pure is used instead"
        )


def test_a_form_that_works_leaves_nothing_to_tell() -> None:
    assert first_working([NATIVE, PURE], CPU) == (NATIVE, ())


def test_a_deterministic_manner_finds_the_native_form_out() -> None:
    manner = Manner(CPU.device, deterministic=True)
    assert "deterministic" in probe(NATIVE, manner).reason
    assert choose_ops(manner) == (SCATTER, ())
    assert not torch.are_deterministic_algorithms_enabled()


def test_where_nothing_works_the_error_gives_each_reason() -> None:
    # The meta device computes shapes and no values: nothing comes back from it.
    with pytest.raises(BackendError) as caught:
        choose_ops(Manner(torch.device("meta")))
    message = str(caught.value)
    for name in ("native", "scatter", "pure", "native on the CPU"):
        assert f"{name} un-pooling does not work on meta (" in message
    assert "Use --backend cpu" in message


def test_a_probe_works_without_gradients_around_it() -> None:
    with torch.no_grad():
        assert probe(PURE, CPU).ok


@pytest.mark.parametrize("ops", FORMS, ids=lambda ops: ops.name)
def test_a_round_trip_is_differentiable(ops: Ops) -> None:
    image = torch.randperm(2 * 3 * 5 * 4, generator=torch.Generator().manual_seed(0)).double()
    image = image.view(2, 3, 5, 4).requires_grad_()
    there = round_trip(ops)

    def function(x: Tensor) -> Tensor:
        values, code = there.pool(x)
        return there.unpool(values**2, code, (5, 4))

    assert torch.autograd.gradcheck(function, (image,))

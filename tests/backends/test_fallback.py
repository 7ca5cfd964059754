"""The forms of pooling and un-pooling, tried on a device; `fake_device.py` lacks some of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mriseg.backends.fallback import (
    POOLING,
    UNPOOLING,
    Choice,
    Manner,
    Probe,
    choose,
    probe,
    round_trip,
)
from mriseg.core.ops import (
    FORMS,
    NATIVE,
    PURE,
    SCATTER,
    Ops,
    native_pool,
    native_unpool,
    pure_unpool,
)
from mriseg.errors import BackendError

CPU = Manner(torch.device("cpu"))
LACKS = "NotImplementedError: The operator 'aten::max_unpool2d' is not implemented"


def lacking(*_: object) -> Tensor:
    raise NotImplementedError("The operator 'aten::max_unpool2d' is not implemented\nfor this")


def doubled(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    return 2 * native_unpool(values, code, size)


def late(x: Tensor) -> tuple[Tensor, Tensor]:
    """The last of equal maxima: right values with other places."""
    mirrored = x.flip(3) if x.shape[3] % 2 == 0 else x[..., :-1].flip(3)
    values, indices = native_pool(mirrored)
    column = mirrored.shape[3] - 1 - indices % mirrored.shape[3]
    return values.flip(3), (indices // mirrored.shape[3] * x.shape[3] + column).flip(3)


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
    # Right values and codes, but equal maxima share the gradient: a different network after a ReLU.
    return x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)), native_pool(x)[1]


def first_cell(x: Tensor) -> tuple[Tensor, Tensor]:
    # Right values and gradients, with a code that says the first cell of each window.
    values, indices = native_pool(x)
    rows = torch.arange(values.shape[2]) * 2 * x.shape[3]
    return values, (rows[:, None] + torch.arange(values.shape[3]) * 2).expand_as(indices)


LACKING = Ops("lacking", native_pool, lacking)
DOUBLED = Ops("doubled", native_pool, doubled)
HALVED = Ops("halved", native_pool, halved)
SHARED = Ops("shared", shared_ties, native_unpool)
LATE = Ops("late", late, native_unpool)
FIRST_CELL = Ops("first cell", first_cell, native_unpool)
UNPOOLS_WRONGLY = {
    LACKING: LACKS,
    DOUBLED: "its un-pooled values differ from the CPU's",
    HALVED: "its gradients differ from the CPU's",
}
POOLS_WRONGLY = {
    SHARED: "its gradients differ from the CPU's",
    LATE: "its gradients differ from the CPU's",
}
BROKEN = {
    **UNPOOLS_WRONGLY,
    **POOLS_WRONGLY,
    FIRST_CELL: "its un-pooled values differ from the CPU's",
}


@pytest.fixture(autouse=True)
def afresh() -> None:
    choose.cache_clear()


every_broken = pytest.mark.parametrize("ops", BROKEN, ids=lambda ops: ops.name)
everywhere = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
CROSSINGS = ((POOLING,), (UNPOOLING,), (POOLING, UNPOOLING))
ROUND_TRIPS = [round_trip(form, crossing) for form in FORMS for crossing in CROSSINGS]


# One form.


@everywhere
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("ops", [*FORMS, *ROUND_TRIPS], ids=lambda ops: ops.name)
def test_every_form_works_on_the_cpu(
    ops: Ops, dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    assert probe(ops, Manner(CPU.device, dtype, memory_format)) == Probe(True)


@every_broken
def test_a_broken_form_is_detected(ops: Ops) -> None:
    assert probe(ops, CPU) == Probe(False, BROKEN[ops])


def test_a_probe_works_without_gradients_around_it() -> None:
    with torch.no_grad():
        assert probe(PURE, CPU).ok


def test_a_probe_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    probe(NATIVE, CPU)
    assert torch.equal(torch.get_rng_state(), before)


# The choice.


def test_broken_forms_are_passed_over_and_reported() -> None:
    chosen = choose(CPU, (*UNPOOLS_WRONGLY, PURE, NATIVE))
    assert chosen.ops is PURE and not chosen.crosses
    assert chosen.notes == tuple(
        f"{broken.name} un-pooling does not work on cpu ({reason}); pure is used instead"
        for broken, reason in UNPOOLS_WRONGLY.items()
    )
    assert chosen.pooling == Choice(POOLING, "pure", "cpu")
    assert chosen.unpooling.passed_over == tuple(
        (broken.name, "cpu", reason) for broken, reason in UNPOOLS_WRONGLY.items()
    )


def test_each_operation_is_probed_separately() -> None:
    chosen = choose(CPU, (*POOLS_WRONGLY, SCATTER))
    assert chosen.ops is SCATTER
    assert chosen.pooling == Choice(
        POOLING,
        "native",
        "cpu",
        passed_over=tuple((ops.name, "cpu", reason) for ops, reason in POOLS_WRONGLY.items()),
    )
    assert chosen.unpooling == Choice(UNPOOLING, "scatter", "cpu")
    assert all("pooling does not work" in n and "un-pooling" not in n for n in chosen.notes)


def test_a_form_that_works_gives_no_notes() -> None:
    chosen = choose(CPU, (NATIVE, PURE))
    assert (chosen.ops, chosen.notes) == (NATIVE, ())


def test_a_manner_is_tried_once_and_an_operation_once_in_it() -> None:
    tried: list[str] = []

    def unpool(*arguments: object) -> Tensor:
        tried.append("un-pooling")
        return lacking(*arguments)

    forms = tuple(Ops(name, native_pool, unpool) for name in ("one", "two")) + (NATIVE,)
    first = choose(CPU, forms)
    assert first.ops is NATIVE and len(tried) == 1
    assert choose(CPU, forms) is first and len(tried) == 1
    assert choose(replace(CPU, dtype=torch.bfloat16), forms) == first and len(tried) == 2


def test_a_deterministic_manner_rejects_the_native_form() -> None:
    manner = Manner(CPU.device, deterministic=True)
    assert "deterministic" in probe(NATIVE, manner).reason
    assert (choose(manner).ops, choose(manner).notes) == (SCATTER, ())
    assert not torch.are_deterministic_algorithms_enabled()


def test_where_nothing_works_the_error_gives_each_reason() -> None:
    # The meta device computes shapes and no values: nothing comes back from it.
    with pytest.raises(BackendError) as caught:
        choose(Manner(torch.device("meta")))
    message = str(caught.value)
    for form in ("native", "pure"):
        for place in ("meta", "cpu"):
            assert f"{form} pooling does not work on {place} (" in message
    assert "Use --backend cpu" in message


def test_on_the_cpu_nothing_crosses() -> None:
    with pytest.raises(BackendError) as caught:
        choose(CPU, (LACKING,))
    message = str(caught.value)
    assert message.count("lacking un-pooling does not work on cpu") == 1
    assert "pooling on the CPU" not in message


# A round trip.


@pytest.mark.parametrize("ops", ROUND_TRIPS, ids=lambda ops: ops.name)
def test_a_round_trip_is_differentiable(ops: Ops) -> None:
    image = torch.randperm(2 * 3 * 5 * 4, generator=torch.Generator().manual_seed(0)).double()
    image = image.view(2, 3, 5, 4).requires_grad_()

    def function(x: Tensor) -> Tensor:
        values, code = ops.pool(x)
        return ops.unpool(values**2, code, (5, 4))

    assert torch.autograd.gradcheck(function, (image,))


def test_a_round_trip_says_what_it_takes() -> None:
    assert round_trip(NATIVE).name == "native on the CPU"
    assert round_trip(NATIVE, [UNPOOLING]).name == "native, un-pooling on the CPU"
    pooled = round_trip(PURE, [POOLING])
    assert pooled.name == "pure, pooling on the CPU" and pooled.unpool is pure_unpool

"""The three forms of max-pooling and un-pooling are one function, and each other's adjoint."""

from __future__ import annotations

import io
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mriseg.core.ops import (
    FORMS,
    NATIVE,
    PURE,
    SCATTER,
    Ops,
    arithmetic_pool,
    arithmetic_unpool,
    pure_pool,
    pure_unpool,
)

every_form = pytest.mark.parametrize("ops", FORMS, ids=lambda ops: ops.name)
deterministic_forms = pytest.mark.parametrize("ops", [SCATTER, PURE], ids=lambda ops: ops.name)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
formats = pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=str
)

seeds = st.integers(0, 2**31)
sizes = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9))


def an_image(seed: int, shape: tuple[int, ...], levels: int = 4) -> Tensor:
    """Few different values, so that most windows hold ties; many zeros, as after a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-levels, levels + 1, shape, generator=generator).clamp(min=0).float()


def both(ops: Ops, image: Tensor, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled, un-pooled, and the gradient of a random functional of both."""
    x = image.clone().requires_grad_()
    pooled, code = ops.pool(x)
    unpooled = ops.unpool(pooled * 3, code, (x.shape[2], x.shape[3]))
    generator = torch.Generator().manual_seed(seed)
    weights = [
        torch.randint(-9, 10, tuple(out.shape), generator=generator).to(out.dtype)
        for out in (pooled, unpooled)
    ]
    (gradient,) = torch.autograd.grad([pooled, unpooled], [x], weights)
    return pooled.detach(), unpooled.detach(), gradient


class PoolUnpool(nn.Module):
    """What an exporter would meet."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.pool = ops.pool
        self.unpool = ops.unpool

    def forward(self, x: Tensor) -> Tensor:
        values, code = self.pool(x)
        return self.unpool(values * 2, code, (x.shape[2], x.shape[3]))


@given(seed=seeds, shape=sizes)
def test_the_forms_agree_to_the_bit(seed: int, shape: tuple[int, ...]) -> None:
    image = an_image(seed, shape)
    expected = both(NATIVE, image, seed)
    for ops in (SCATTER, PURE):
        for ours, theirs in zip(both(ops, image, seed), expected, strict=True):
            assert torch.equal(ours, theirs)


@dtypes
@formats
def test_the_forms_agree_in_every_type_and_layout(
    dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    # Large enough for the vectorised kernels, with sizes that leave a remainder.
    image = an_image(1, (2, 33, 21, 35)).to(dtype).contiguous(memory_format=memory_format)
    expected = both(PURE, image.float().contiguous())
    for ops in FORMS:
        for ours, theirs in zip(both(ops, image), expected, strict=True):
            assert ours.dtype == dtype
            assert torch.equal(ours.float(), theirs)


@formats
def test_the_forms_agree_on_what_is_not_finite(memory_format: torch.memory_format) -> None:
    image = an_image(2, (2, 17, 12, 14))
    holes = an_image(3, (2, 17, 12, 14), levels=6)
    image[holes == 1], image[holes == 2], image[holes == 3] = torch.nan, torch.inf, -torch.inf
    image = image.contiguous(memory_format=memory_format)
    expected = both(NATIVE, image)
    assert expected[0].isnan().any() and expected[0].isinf().any()
    for ops in (SCATTER, PURE):
        for ours, theirs in zip(both(ops, image), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@every_form
@given(seed=seeds, shape=sizes)
def test_unpooling_is_the_adjoint_of_pooling(ops: Ops, seed: int, shape: tuple[int, ...]) -> None:
    image = an_image(seed, shape)
    values, code = ops.pool(image)
    # Of the linear map that the code fixes: <pool(x), y> = <x, unpool(y)>, in whole numbers.
    other = an_image(seed + 1, tuple(values.shape))
    spread = ops.unpool(other, code, (shape[2], shape[3]))
    assert (values * other).sum() == (image * spread).sum()


@every_form
@given(seed=seeds, shape=sizes)
def test_pooling_what_was_unpooled_gives_it_back(
    ops: Ops, seed: int, shape: tuple[int, ...]
) -> None:
    values, code = ops.pool(an_image(seed, shape))
    unpooled = ops.unpool(values, code, (shape[2], shape[3]))
    assert torch.equal(ops.pool(unpooled)[0], values)
    assert torch.count_nonzero(unpooled) == torch.count_nonzero(values)


@every_form
def test_the_first_of_equal_maxima_is_taken(ops: Ops) -> None:
    values, code = ops.pool(torch.zeros(1, 1, 4, 4))
    where = ops.unpool(values + 1, code, (4, 4))
    expected = torch.zeros(4, 4)
    expected[::2, ::2] = 1
    assert torch.equal(where[0, 0], expected)


@every_form
def test_an_odd_remainder_is_left_empty(ops: Ops) -> None:
    image = torch.ones(1, 1, 5, 7)
    image[..., 4, :], image[..., 6] = 9, 9
    values, code = ops.pool(image)
    assert values.shape == (1, 1, 2, 3) and (values == 1).all()
    unpooled = ops.unpool(values, code, (5, 7))
    assert not unpooled[..., 4, :].any() and not unpooled[..., 6].any()


@deterministic_forms
def test_strict_determinism(ops: Ops) -> None:
    image = an_image(5, (2, 3, 7, 9))
    expected = both(NATIVE, image)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        results = both(ops, image)
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))


@every_form
def test_gradients_of_gradients(ops: Ops) -> None:
    # Distinct values: where two are equal, a finite difference would cross from one to the other.
    image = torch.randperm(2 * 2 * 5 * 4, generator=torch.Generator().manual_seed(0)).double()
    image = image.view(2, 2, 5, 4).requires_grad_()

    def function(x: Tensor) -> Tensor:
        values, code = ops.pool(x)
        return ops.unpool(values**2, code, (5, 4))

    assert torch.autograd.gradcheck(function, (image,))
    assert torch.autograd.gradgradcheck(function, (image,))


@pytest.mark.parametrize(
    ("ops", "how"),
    [
        (NATIVE, "script"),
        (SCATTER, "script"),
        (PURE, "script"),
        (SCATTER, "trace"),
        (PURE, "trace"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_torchscript_keeps_sizes_and_batch_free(ops: Ops, how: str) -> None:
    module = PoolUnpool(ops)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if how == "script":
            compiled = torch.jit.script(module)
        else:
            compiled = torch.jit.trace(module, an_image(0, (2, 3, 8, 8)))
        file = io.BytesIO()
        torch.jit.save(compiled, file)
        file.seek(0)
        loaded = torch.jit.load(file)
    for shape in ((1, 3, 8, 8), (3, 2, 7, 11), (2, 5, 16, 9)):
        image = an_image(7, shape)
        assert torch.equal(loaded(image), module(image))


@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9)),
    seed=st.integers(0, 1000),
    levels=st.integers(1, 4),
)
def test_the_form_of_exports_gives_what_the_others_give(
    shape: tuple[int, int, int, int], seed: int, levels: int
) -> None:
    # Few levels, so that windows hold equal values.
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-levels, levels, shape, generator=generator).float()
    values, code = arithmetic_pool(x)
    expected, cells = pure_pool(x)
    assert torch.equal(values, expected)
    size = (shape[2], shape[3])
    assert torch.equal(arithmetic_unpool(values, code, size), pure_unpool(expected, cells, size))


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_autocast_does_not_convert_what_native_unpooling_moves(backward: bool) -> None:
    image = an_image(0, (2, 3, 8, 6)).bfloat16().requires_grad_()
    pooled, code = NATIVE.pool(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        unpooled = NATIVE.unpool(pooled, code, (8, 6))
    assert unpooled.dtype == torch.bfloat16
    if backward:
        names = []
        with torch.profiler.profile() as profile:
            unpooled.sum().backward()
        names = [event.key for event in profile.key_averages()]
        assert "aten::_to_copy" not in names

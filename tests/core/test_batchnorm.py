"""Estimated statistics are those of the slices given, and nothing else changes."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mriseg.core import batchnorm
from mriseg.core.ops import PURE
from mriseg.core.segnet import ENCODER, SegNet, SegNetConfig, build, freeze_, init_weights_

FIRST = "encoder.1.0."
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def a_model(dropout: float = 0.0) -> SegNet:
    config = SegNetConfig(in_channels=2, classes=1, width=8, dropout=dropout)
    return init_weights_(build(config, PURE), torch.Generator().manual_seed(0))


def images(count: int, scale: float = 3.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, 2, 32, 32, generator=generator) * scale + 5 for _ in range(count)]


def test_the_first_statistics_are_those_of_its_convolution() -> None:
    model, batches = a_model(), images(3)
    batchnorm.reestimate_statistics_(model, batches, autocast=nullcontext)
    state = model.state_dict()
    with torch.no_grad():
        conv = model.get_submodule(f"{FIRST}conv")
        values = [conv(batch).transpose(0, 1).flatten(1) for batch in batches]
    means = torch.stack([v.mean(1) for v in values]).mean(0)
    variances = torch.stack([v.var(1) for v in values]).mean(0)
    torch.testing.assert_close(state[f"{FIRST}norm.running_mean"], means)
    torch.testing.assert_close(state[f"{FIRST}norm.running_var"], variances)
    assert int(state[f"{FIRST}norm.num_batches_tracked"]) == 3


@settings(max_examples=8, deadline=None)
@given(st.booleans(), st.booleans(), st.integers(0, 2))
def test_weights_modes_and_freezing_stay(training: bool, frozen: bool, count: int) -> None:
    model = freeze_(a_model(dropout=0.5).train(training), ENCODER if frozen else ())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    momenta = {getattr(module, "momentum", None) for module in model.modules()}
    batchnorm.reestimate_statistics_(model, images(count), autocast=nullcontext)
    for name, tensor in model.state_dict().items():
        if not name.endswith(STATISTICS):
            assert torch.equal(tensor, before[name]), name
        elif name.endswith("running_mean"):
            # Statistics of frozen blocks change too.
            assert bool(tensor.any()) == (count > 0), name
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert {getattr(module, "momentum", None) for module in model.modules()} == momenta
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (not (frozen and name.startswith("encoder."))), name


def test_repeating_on_the_same_slices_changes_nothing_even_with_dropout() -> None:
    model = a_model(dropout=0.5)
    once = batchnorm.reestimate_statistics_(model, images(2), autocast=nullcontext).state_dict()
    once = {name: tensor.clone() for name, tensor in once.items()}
    batchnorm.reestimate_statistics_(model, images(5, scale=9), autocast=nullcontext)
    twice = batchnorm.reestimate_statistics_(model, images(2), autocast=nullcontext).state_dict()
    assert all(torch.equal(once[name], twice[name]) for name in once)


def state_of(model: SegNet) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@settings(max_examples=8, deadline=None)
@given(st.floats(0, 1), st.booleans())
def test_blending_moves_only_encoder_statistics_by_the_share(share: float, training: bool) -> None:
    model = a_model(dropout=0.5).train(training)
    before = state_of(model)
    modes = {name: module.training for name, module in model.named_modules()}
    reestimated = state_of(
        batchnorm.reestimate_statistics_(copy.deepcopy(model), images(2), autocast=nullcontext)
    )
    after = batchnorm.blend_statistics_(model, images(2), share, autocast=nullcontext).state_dict()
    for name, tensor in after.items():
        moves = name.startswith("encoder.") and name.endswith(("running_mean", "running_var"))
        expected = torch.lerp(before[name], reestimated[name], share) if moves else before[name]
        torch.testing.assert_close(tensor, expected, rtol=0, atol=0)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(m.momentum == 0.1 for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_blending_without_slices_changes_nothing() -> None:
    model = a_model()
    before = state_of(model)
    after = batchnorm.blend_statistics_(model, [], 0.5, autocast=nullcontext).state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


@given(st.integers(0, 10_000))
def test_more_slices_count_more_up_to_half(slices: int) -> None:
    share = batchnorm.share_of(slices)
    assert 0 <= share <= batchnorm.share_of(slices + 1) <= 0.5
    assert (share == 0) == (slices == 0)
    assert (share == 0.5) == (slices >= 16)

"""What several processes compute of a batch is what one computes of all of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mriseg.core.losses import LOSSES, build_loss, parse_loss
from mriseg.core.whole_batch import Whole, sharing
from tests import together

worlds = st.integers(1, 4)


@st.composite
def divided(draw: st.DrawFn) -> tuple[int, int]:
    """Numbers of processes and of slices, one for each process at least."""
    world = draw(worlds)
    return world, draw(st.integers(world, 9))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(divided())
def test_gathered_rows_are_the_batch_in_its_order(numbers: tuple[int, int]) -> None:
    world, batch = numbers
    everything = noise(batch, 2, 3)
    for whole in together.each(world, batch, lambda each: each.gathered(everything[each.rows])):
        assert torch.equal(whole, everything)


@pytest.mark.parametrize("name", [*sorted(LOSSES), "0.5*bce+dice"])
@settings(max_examples=10)
@given(divided(), st.integers(0, 99))
def test_a_loss_and_its_gradient_are_those_of_the_whole_batch(
    name: str, numbers: tuple[int, int], seed: int
) -> None:
    world, batch = numbers
    loss = build_loss(parse_loss(name), torch.tensor([2.0, 3.0]))
    logits = noise(batch, 2, 5, 4, seed=seed)
    target = (noise(batch, 2, 5, 4, seed=seed + 1) > 0.7).to(torch.uint8)
    whole = logits.clone().requires_grad_()
    expected = loss(whole, target)
    expected.backward()
    assert whole.grad is not None

    def of_a_rank(each: Whole) -> tuple[Tensor, Tensor]:
        own = logits[each.rows].clone().requires_grad_()
        value = each.loss(loss)(own, target[each.rows])
        value.backward()
        assert own.grad is not None
        return value.detach(), own.grad

    for rank, (value, gradient) in enumerate(together.each(world, batch, of_a_rank)):
        assert torch.equal(value, expected.detach())
        assert torch.equal(gradient, whole.grad[rank::world])


def a_network() -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)]
    layers += [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)]
    model = nn.Sequential(*layers, nn.Conv2d(8, 1, 3, padding=1))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@settings(max_examples=15)
@given(divided(), st.booleans(), st.integers(9, 40))
def test_where_it_is_exact_the_division_decides_nothing(
    numbers: tuple[int, int], frozen: bool, side: int
) -> None:
    world, batch = numbers
    image = (noise(batch, 2, side, 16) + 1).contiguous(memory_format=torch.channels_last)
    image[:, :, :5] = 0.1  # a plateau, as around a brain
    target = (noise(batch, 1, side, 16, seed=1) > 1).to(torch.uint8)
    loss = build_loss(parse_loss("bce+dice"))

    def gradient(whole: Whole) -> list[Tensor]:
        model = a_network().train()
        model[3].requires_grad_(not frozen)
        with sharing(model, whole):
            whole.loss(loss)(model(image[whole.rows]), target[whole.rows]).backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        assert len(grads) == 10 - 2 * frozen
        return [*grads, *model.buffers()]

    one = gradient(Whole(0, 1, batch, lambda tensor: tensor[None], exact=True))
    for own in together.each(world, batch, lambda each: gradient(replace(each, exact=True))):
        assert all(torch.equal(a, b) for a, b in zip(own, one, strict=True))
    # And it is the gradient: that of float64, as near as float32 comes to it.
    model = a_network().double().train()
    model[3].requires_grad_(not frozen)
    loss(model(image.double()), target).backward()
    true = [p.grad for p in model.parameters() if p.grad is not None]
    size = torch.cat([each.flatten() for each in true]).norm()
    for ours, theirs in zip(one, true, strict=False):
        assert (ours - theirs).norm() < 1e-3 * size


def test_where_it_is_exact_a_plateau_costs_no_digits() -> None:
    image = (noise(2, 3, 240, 240) * 0.3 + 0.5).contiguous(memory_format=torch.channels_last)
    image[:, :, :80] = 0.11
    norm = nn.BatchNorm2d(3, momentum=1.0).train()
    with sharing(norm, Whole(0, 1, 2, lambda tensor: tensor[None], exact=True)):
        norm(image)
    variance = image.double().var((0, 2, 3))
    assert ((norm.running_var.double() - variance) / variance).abs().max() < 1e-6


def a_norm(channels: int, momentum: float = 0.1) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=momentum)
    with torch.no_grad():
        norm.weight.copy_(noise(channels, seed=3))
        norm.bias.copy_(noise(channels, seed=4))
    return norm


@settings(max_examples=20)
@given(divided(), st.integers(1, 3), st.sampled_from((0.0, 1e3)), st.sampled_from((0.1, 1.0)))
def test_batch_norm_is_that_of_the_whole_batch(
    numbers: tuple[int, int], channels: int, mean: float, momentum: float
) -> None:
    world, batch = numbers
    image = noise(batch, channels, 4, 6) + mean
    towards = noise(batch, channels, 4, 6, seed=1)
    # In float64, so that a difference is a mistake and not a rounding.
    norm, whole = a_norm(channels, momentum).double(), image.double().requires_grad_()
    (norm(whole) * towards.double()).sum().backward()
    assert whole.grad is not None

    def of_a_rank(each: Whole) -> tuple[Tensor, Tensor, nn.BatchNorm2d]:
        own, mine = a_norm(channels, momentum), image[each.rows].clone().requires_grad_()
        with sharing(own, each):
            output = own(mine)
        (output * towards[each.rows]).sum().backward()
        assert mine.grad is not None
        return output.detach(), mine.grad, own

    ranks = together.each(world, batch, of_a_rank)
    expected = a_norm(channels, momentum).double()(image.double()).detach()
    # What float32 leaves of a difference from a large mean.
    close = 1e-5 + 3e-7 * mean
    for rank, (output, gradient, own) in enumerate(ranks):
        torch.testing.assert_close(output.double(), expected[rank::world], rtol=0, atol=close * 9)
        torch.testing.assert_close(
            gradient.double(), whole.grad[rank::world], rtol=0, atol=close * 30
        )
        for name in ("running_mean", "running_var"):
            theirs = getattr(norm, name)
            torch.testing.assert_close(getattr(own, name).double(), theirs, rtol=1e-5, atol=1e-5)
        assert int(own.num_batches_tracked) == 1 and "forward" not in vars(own)
    for name in ("weight", "bias"):
        total = sum(getattr(own, name).grad.double() for _, _, own in ranks)
        theirs = getattr(norm, name).grad
        torch.testing.assert_close(total, theirs, rtol=1e-5, atol=close * 30)
    # In all processes the same, to the bit: nothing drifts apart.
    for (_, _, one), (_, _, other) in pairwise(ranks):
        assert torch.equal(one.running_var, other.running_var)


def test_what_is_frozen_keeps_its_statistics_and_a_copy_is_a_plain_network() -> None:
    image = noise(4, 2, 4, 4)

    def of_a_rank(each: Whole) -> tuple[Tensor, nn.BatchNorm2d, nn.Module]:
        model = nn.Sequential(a_norm(2).eval(), a_norm(2))
        with sharing(model, each):
            output = model[0](image[each.rows])
            model(image[each.rows])
        return output, model[0], copy.deepcopy(model[1])

    plain = a_norm(2).eval()
    for rank, (output, frozen, copied) in enumerate(together.each(2, 4, of_a_rank)):
        torch.testing.assert_close(output, plain(image)[rank::2])
        assert torch.equal(frozen.running_mean, torch.zeros(2))
        assert set(copied.state_dict()) == set(plain.state_dict())
        # Alone again: its own slices are its batch.
        expected = nn.functional.batch_norm(image, None, None, copied.weight, copied.bias, True)
        torch.testing.assert_close(copied(image), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_bfloat16_is_as_near_to_the_truth_as_with_one_process(layout: torch.memory_format) -> None:
    image = noise(6, 8, 12, 10).to(torch.bfloat16).contiguous(memory_format=layout)
    towards = noise(6, 8, 12, 10, seed=1).to(torch.bfloat16)

    def gradient(norm: nn.Module, given: Tensor, weight: Tensor) -> Tensor:
        given = given.clone().requires_grad_()
        (norm(given) * weight).sum().backward()
        assert given.grad is not None
        return given.grad.double()

    exact = gradient(a_norm(8).double(), image.double(), towards.double())
    usual = (gradient(a_norm(8), image, towards) - exact).abs().mean()

    def of_a_rank(each: Whole) -> Tensor:
        norm = a_norm(8)
        with sharing(norm, each):
            return gradient(norm, image[each.rows], towards[each.rows])

    for rank, own in enumerate(together.each(2, 6, of_a_rank)):
        assert (own - exact[rank::2]).abs().mean() < 2 * usual

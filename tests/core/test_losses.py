"""Losses: the properties that all in the table share, and the formula of each."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mriseg.core.losses import LOSSES, Loss, bce, build_loss, dice, focal, parse_loss, tversky
from mriseg.errors import ConfigError, UnknownNameError

# Each loss alone, and sums as users write them.
EVERY = [*LOSSES, "bce+dice", "0.5*bce+dice", "focal+tversky"]

every_loss = pytest.mark.parametrize("name", EVERY)
modest = settings(deadline=None, max_examples=25)


def loss_of(name: str, **options: float) -> Loss:
    return build_loss(parse_loss(name), **options)


def a_batch(seed: int, shape: tuple[int, ...] = (3, 2, 5, 4)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator) * 3
    target = (torch.rand(shape, generator=generator) < 0.3).to(torch.uint8)
    return logits, target


seeds = st.integers(0, 2**31)


@every_loss
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4, 1e30])
@pytest.mark.parametrize("truth", [0, 1])
def test_finite_and_not_negative_on_extreme_logits(name: str, size: float, truth: int) -> None:
    for sign in (-1, 1):
        logits = torch.full((2, 1, 3, 3), sign * size, requires_grad=True)
        loss = loss_of(name)(logits, torch.full((2, 1, 3, 3), truth))
        loss.backward()
        assert loss.shape == ()
        assert math.isfinite(loss.item()) and loss.item() >= 0
        assert logits.grad is not None and logits.grad.isfinite().all()


@every_loss
@modest
@given(seed=seeds, pixel=st.integers(0, 3 * 2 * 5 * 4 - 1), step=st.floats(0, 20))
def test_a_logit_moved_towards_the_truth_never_raises_it(
    name: str, seed: int, pixel: int, step: float
) -> None:
    logits, target = a_batch(seed)
    better = logits.clone()
    better.view(-1)[pixel] += step * (2.0 * target.view(-1)[pixel].item() - 1.0)
    loss = loss_of(name)
    assert loss(better, target) <= loss(logits, target) + 1e-6


@every_loss
@modest
@given(seed=seeds)
def test_a_perfect_prediction_has_almost_no_loss(name: str, seed: int) -> None:
    logits, target = a_batch(seed)
    loss = loss_of(name)
    assert loss((target * 2.0 - 1.0) * 50, target) < 1e-6
    assert loss(logits, target) > 1e-3


@every_loss
@modest
@given(seed=seeds, order=st.permutations(range(4)))
def test_the_order_of_the_batch_does_not_matter(name: str, seed: int, order: list[int]) -> None:
    logits, target = a_batch(seed, (4, 1, 3, 3))
    loss = loss_of(name)
    assert loss(logits[order], target[order]).item() == pytest.approx(
        loss(logits, target).item(), rel=1e-5
    )


@every_loss
def test_an_empty_slice_in_a_batch_has_gradients(name: str) -> None:
    logits, target = a_batch(7)
    target[1] = 0
    logits.requires_grad_()
    loss_of(name)(logits, target).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    # Every logit in it should fall: each pixel has a gradient, all of the same sign.
    assert (logits.grad[1] > 0).all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computed_in_float32_whatever_the_network_computes_in(
    name: str, dtype: torch.dtype
) -> None:
    # 200 x 200 pixels of foreground cannot be counted in half precision.
    logits = torch.full((1, 1, 200, 200), 2.0, dtype=dtype)
    target = torch.ones(1, 1, 200, 200, dtype=torch.uint8)
    loss = loss_of(name)
    with torch.autocast("cpu", dtype=dtype):
        half = loss(logits, target)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(loss(logits.float(), target).item(), rel=1e-6)


@every_loss
def test_target_dtypes_agree(name: str) -> None:
    logits, target = a_batch(3)
    loss = loss_of(name)
    given_as = [target, target.float(), target.bool(), target.long()]
    assert len({loss(logits, each).item() for each in given_as}) == 1


@every_loss
def test_shapes_that_would_broadcast_are_refused(name: str) -> None:
    logits, target = a_batch(3)
    with pytest.raises(ConfigError, match="do not belong together"):
        loss_of(name)(logits, target[:, :1])


def test_bce_takes_logits_not_probabilities() -> None:
    # With a sigmoid before it, no certainty could bring the loss below log(1 + 1/e) = 0.31.
    assert bce(torch.full((1, 1, 2, 2), 20.0), torch.ones(1, 1, 2, 2)) < 1e-6
    assert bce(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item() == pytest.approx(math.log(2))


@modest
@given(seed=seeds)
def test_each_equals_its_formula(seed: int) -> None:
    logits, target = a_batch(seed, (2, 1, 4, 4))
    p, t = logits.double().sigmoid(), target.double()
    p_true = torch.where(t == 1, p, 1 - p)
    hit, wrong, missed = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum()
    expected = {
        "bce": -p_true.log().mean(),
        "dice": 1 - (2 * hit + 1) / (p.sum() + t.sum() + 1),
        "tversky": 1 - (hit + 1) / (hit + 0.3 * wrong + 0.7 * missed + 1),
        "focal": (-torch.where(t == 1, 0.25, 0.75) * (1 - p_true) ** 2 * p_true.log()).mean(),
    }
    assert expected.keys() == LOSSES.keys()
    for name, value in expected.items():
        assert LOSSES[name](logits, target).item() == pytest.approx(value.item(), rel=1e-4)


def test_pos_weight_weighs_the_foreground_of_its_region() -> None:
    logits, target = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
    one = math.log(2)
    assert bce(logits, target, 3.0).item() == pytest.approx(3 * one)
    first = target * torch.tensor([1.0, 0.0])[:, None, None]
    assert bce(logits, first, torch.tensor([5.0, 1.0])).item() == pytest.approx(3 * one)
    assert bce(logits, first, torch.tensor([1.0, 5.0])).item() == pytest.approx(one)
    assert bce(logits, 1 - target, 3.0).item() == pytest.approx(one)
    assert loss_of("bce", pos_weight=3.0)(logits, target).item() == pytest.approx(3 * one)
    # Losses that balance the classes themselves ignore it.
    plain = loss_of("dice")(logits, target)
    assert loss_of("dice", pos_weight=3.0)(logits, target) == plain


def test_dice_per_slice_differs_from_dice_per_batch_on_an_empty_slice() -> None:
    logits = torch.full((2, 1, 30, 30), 10.0)
    target = torch.ones(2, 1, 30, 30)
    target[1] = 0
    assert dice(logits, target).item() == pytest.approx(1 / 3, abs=1e-2)
    assert dice(logits, target, batch=False).item() == pytest.approx(1 / 2, abs=1e-2)


def test_tversky_weighs_a_miss_above_a_false_alarm() -> None:
    target = torch.tensor([1.0] * 8 + [0.0] * 8).reshape(1, 1, 4, 4)
    certain = (target * 2 - 1) * 20
    missed, false_alarm = certain.clone(), certain.clone()
    missed.view(-1)[0] *= -1
    false_alarm.view(-1)[-1] *= -1
    assert tversky(missed, target) > tversky(false_alarm, target)
    assert tversky(missed, target, 0.7, 0.3) < tversky(false_alarm, target, 0.7, 0.3)


def test_focal_without_focus_is_half_of_bce() -> None:
    logits, target = a_batch(11)
    assert focal(logits, target, alpha=0.5, gamma=0).item() == pytest.approx(
        bce(logits, target).item() / 2, rel=1e-5
    )


@given(
    terms=st.lists(
        st.tuples(st.sampled_from([0.25, 0.5, 1.0, 2.0, 10.0]), st.sampled_from(sorted(LOSSES))),
        min_size=1,
        unique_by=lambda term: term[1],
    )
)
@modest
def test_a_sum_is_the_sum_of_its_terms_and_reads_back(terms: list[tuple[float, str]]) -> None:
    spec = parse_loss(" + ".join(f"{weight} * {name}" for weight, name in terms))
    assert spec.terms == tuple(terms)
    assert parse_loss(str(spec)) == spec
    logits, target = a_batch(5)
    expected = sum(weight * LOSSES[name](logits, target).item() for weight, name in terms)
    assert build_loss(spec)(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="no loss 'dcie'.*bce, dice, focal, tversky"):
        parse_loss("bce+dcie")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "bce+",
        "x*bce",
        "-1*bce",
        "0*bce",
        "nan*dice",
        "inf*dice",
        "*bce",
        "2bce",
        "bce*2",
        "dice+dice",
    ],
)
def test_what_cannot_be_a_loss_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_loss(text)

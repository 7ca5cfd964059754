"""Steps: the rate's shape, a loss that falls, and mirrorings that average out."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mriseg.core.losses import build_loss, parse_loss
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_
from mriseg.core.steps import learning_rate, predict_passes, predict_step, train_step
from mriseg.events import completed


def a_model() -> SegNet:
    config = SegNetConfig(in_channels=2, classes=1, width=8)
    return init_weights_(build(config, PURE), torch.Generator().manual_seed(0))


def a_problem() -> tuple[Tensor, Tensor]:
    image = torch.randn(4, 2, 32, 32, generator=torch.Generator().manual_seed(1))
    image[:, 0, 8:20, 8:24] += 3
    target = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    target[:, :, 8:20, 8:24] = 1
    return image, target


@given(st.floats(-1, 2), st.floats(1e-6, 1), st.floats(0, 0.99))
def test_the_rate_stays_between_zero_and_its_peak(
    progress: float, peak: float, warmup: float
) -> None:
    assert 0 <= learning_rate(progress, peak, warmup) <= peak


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    rates = [learning_rate(step / 100, 1e-3, 0.1) for step in range(101)]
    assert rates[0] > 0
    assert rates[5] == pytest.approx(0.5e-3)
    assert rates[10] == pytest.approx(1e-3)
    assert rates[55] == pytest.approx(0.5e-3)
    assert rates[100] == pytest.approx(0)
    assert all(a < b for a, b in zip(rates[:10], rates[1:11], strict=True))
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))
    assert learning_rate(0, 1e-3, 0) == pytest.approx(1e-3)


@pytest.mark.parametrize("scaled", [False, True])
def test_steps_lower_the_loss(scaled: bool) -> None:
    model = a_model().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch = a_problem()
    loss = build_loss(parse_loss("bce+dice"), torch.ones(1, 1, 1))
    scaler = torch.amp.GradScaler("cpu") if scaled else None
    losses = [
        train_step(model, optimiser, loss, batch, autocast=nullcontext, clip=1.0, scaler=scaler)
        for _ in range(20)
    ]
    assert not losses[0].requires_grad and losses[0].shape == ()
    assert losses[-1] < 0.7 * losses[0]


def test_the_gradient_is_clipped() -> None:
    model = a_model().train()
    before = [p.detach().clone() for p in model.parameters()]
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    train_step(
        model, optimiser, lambda logits, _: 1e6 * logits.mean(), a_problem(),
        autocast=nullcontext, clip=0.5,
    )  # fmt: skip
    moved = [a - b.detach() for a, b in zip(before, model.parameters(), strict=True)]
    assert float(torch.cat([m.flatten() for m in moved]).norm()) == pytest.approx(0.5, rel=1e-3)


def test_a_frozen_part_is_left_alone() -> None:
    model = a_model().train()
    model.encoder.requires_grad_(False)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    before = [p.clone() for p in model.encoder.parameters()]
    loss = build_loss(parse_loss("bce"), torch.ones(1, 1, 1))
    train_step(model, optimiser, loss, a_problem(), autocast=nullcontext, clip=1.0)
    after = list(model.encoder.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_predictions_are_probabilities() -> None:
    model = a_model().eval()
    image, _ = a_problem()
    probabilities = predict_step(model, image, autocast=nullcontext)
    assert probabilities.dtype == torch.float32 and not probabilities.requires_grad
    assert torch.equal(probabilities, torch.sigmoid(model(image)).detach())


@pytest.mark.parametrize("axes", [[2], [3], [2, 3]])
def test_with_mirrorings_a_mirrored_slice_gives_the_mirrored_result(axes: list[int]) -> None:
    model = a_model().eval()
    image, _ = a_problem()
    averaged = predict_step(model, image, autocast=nullcontext, flips=(2, 3))
    mirrored = predict_step(model, image.flip(axes), autocast=nullcontext, flips=(2, 3))
    torch.testing.assert_close(mirrored.flip(axes), averaged)
    plain = predict_step(model, image, autocast=nullcontext)
    assert not torch.allclose(plain, averaged)


def test_slices_are_mirrored_along_the_given_axes_alone() -> None:
    model = a_model().eval()
    image, _ = a_problem()
    both = [model(image), model(image.flip(3)).flip(3)]
    expected = torch.sigmoid(sum(both) / 2).detach()
    probabilities = predict_step(model, image, autocast=nullcontext, flips=(3,))
    torch.testing.assert_close(probabilities, expected)


def test_mirrorings_change_nothing_for_an_equivariant_network() -> None:
    model = nn.Conv2d(2, 1, 1).eval()
    image, _ = a_problem()
    plain = predict_step(model, image, autocast=nullcontext)
    flipped = predict_step(model, image, autocast=nullcontext, flips=(2, 3))
    torch.testing.assert_close(flipped, plain)


def test_each_pass_is_shown_mirrored_back_and_their_mean_is_the_prediction() -> None:
    model = a_model().eval()
    image, _ = a_problem()
    each: list[Tensor] = []
    passes = predict_passes(
        model, image, autocast=nullcontext, flips=(2, 3), each=lambda logits: each.append(logits)
    )
    output = completed(passes)
    assert len(each) == 4 and torch.equal(each[0], model(image).detach())
    torch.testing.assert_close(torch.sigmoid(torch.stack(each).mean(0)), output)
    # A mirrored copy lies where the slice does.
    copies = torch.stack(each)
    assert (copies - copies.mean(0)).abs().mean() < (copies - copies.flip(4)).abs().mean()

"""The average of weights: where it lies, what it forgets, and that it shares no tensor."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mriseg.core.averaging import average_in, averaged, decay_at
from mriseg.core.ops import PURE
from mriseg.core.rng import generator
from mriseg.core.segnet import SegNet, SegNetConfig, build, freeze_, init_weights_


def a_model(seed: int = 0) -> SegNet:
    model = build(SegNetConfig(in_channels=1, classes=1, width=8), PURE)
    return init_weights_(model, generator(seed, "weights"))


@given(st.integers(0, 10**6), st.floats(0, 0.9999))
def test_the_decay_grows_to_the_configured_value(step: int, decay: float) -> None:
    assert 0 <= decay_at(step, decay) <= decay
    assert decay_at(step, decay) <= decay_at(step + 1, decay)
    assert decay_at(10**9, decay) == decay


def test_an_average_lies_between_the_averaged_weights() -> None:
    model, other = a_model(0), a_model(1)
    average = averaged(model)
    average_in(average, other, step=50, decay=0.75)
    for mean, one, two in zip(
        average.parameters(), model.parameters(), other.parameters(), strict=True
    ):
        assert torch.allclose(mean, 0.75 * one + 0.25 * two, atol=1e-6)


def test_without_decay_it_is_the_model() -> None:
    model = a_model(0)
    average = averaged(a_model(1))
    model.train()(torch.randn(2, 1, 32, 32, generator=generator(0)))
    average_in(average, model, step=0, decay=0.0)
    for name, tensor in model.state_dict().items():
        assert torch.equal(average.state_dict()[name], tensor), name


def test_it_shares_nothing_with_the_model_and_takes_no_gradient() -> None:
    model = freeze_(a_model(0), ["encoder.1"])
    average = averaged(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert not any(
        torch.equal(a, b) for a, b in zip(average.parameters(), model.parameters(), strict=True)
    )
    assert not any(p.requires_grad for p in average.parameters()) and not average.training
    assert any(p.requires_grad for p in model.parameters())


def test_statistics_of_batch_normalisation_are_averaged_too() -> None:
    model = a_model(0).train()
    average = averaged(model)
    model(torch.randn(2, 1, 32, 32, generator=generator(0)))
    average_in(average, model, step=10**6, decay=0.5)
    for mean, now in zip(average.modules(), model.modules(), strict=True):
        if isinstance(mean, nn.BatchNorm2d) and isinstance(now, nn.BatchNorm2d):
            assert torch.allclose(mean.running_var, 0.5 + 0.5 * now.running_var)
            assert mean.num_batches_tracked == 1

"""Batch normalisation folded into convolutions: the same logits, and the model unchanged."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mriseg.core.folding import ConvReLU, folded, rectified
from mriseg.core.ops import FORMS, Ops
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_


def trained_a_little(seed: int, ops: Ops, in_channels: int = 2, classes: int = 3) -> SegNet:
    """A network whose statistics, scales and shifts differ from a fresh one's."""
    generator = torch.Generator().manual_seed(seed)
    model = build(SegNetConfig(in_channels=in_channels, classes=classes, width=8), ops)
    init_weights_(model, generator)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
            module.running_var.mul_(0.5 + torch.rand(module.running_var.shape, generator=generator))
    return model


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    ops=st.sampled_from(FORMS),
    channels=st.integers(1, 3),
    classes=st.integers(1, 3),
    training=st.booleans(),
)
def test_the_logits_are_the_same(
    seed: int, ops: Ops, channels: int, classes: int, training: bool
) -> None:
    # In float64, where rounding flips no near-tie between the maxima of a window.
    model = trained_a_little(seed, ops, channels, classes).double().train(training)
    image = torch.randn(2, channels, 33, 40, dtype=torch.float64)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        logits = folded(model)(image)
        assert model.training is training
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        torch.testing.assert_close(logits, model.eval()(image))


def test_no_batch_normalisation_is_left() -> None:
    network = folded(trained_a_little(0, FORMS[0]))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_one_function_for_a_convolution_and_its_relu() -> None:
    model = trained_a_little(0, FORMS[0])
    given: list[tuple[int, ...]] = []

    def convolve(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        given.append(tuple(weight.shape))
        return F.relu(F.conv2d(image, weight, bias, padding=1))

    expected = folded(model)
    network = rectified(folded(model), convolve)
    image = torch.randn(1, 2, 40, 33)
    with torch.no_grad():
        assert torch.equal(network(image), expected(image))
    assert len(given) == sum(isinstance(module, ConvReLU) for module in network.modules()) == 25
    # Weights keep their names, and the head, which has no ReLU, its form.
    assert network.state_dict().keys() == expected.state_dict().keys()
    assert isinstance(network.head, nn.Conv2d)

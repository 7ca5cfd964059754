"""The doctor's checks of a whole SegNet: its weights, its blocks and its training.

A block is checked by itself: in half precision the difference of a whole network with fresh weights
says nothing, since near-ties in the pools fall differently and move values to other places. As a
whole the network is compared in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import lru_cache

import torch
from torch import Tensor, nn

from mriseg.core import rng
from mriseg.core.losses import build_loss, parse_loss
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNet, SegNetConfig, block_modules, build, init_weights_
from mriseg.engine.check import At, Outcome, differentiated, gradients_of, numbers


def block(at: At) -> Outcome:
    """Convolution, normalisation and ReLU as the network runs them, under autocast."""
    first = at.module(_network("network").get_submodule("encoder.1.0")).train()
    with at.autocast():
        output = first(at.place(numbers("block", 2, 3, 16, 20)))
    computed = output.dtype
    if not at.exact and computed != at.backend.dtype:
        raise TypeError(f"autocast gives {computed}, not {at.backend.dtype}")
    return Outcome((output,))


def weights_before(at: At) -> Outcome:
    """Weights that are loaded on the CPU and placed, and read back: the way of a training."""
    return _state(at.module(_network("one")))


def weights_after(at: At) -> Outcome:
    """Weights that are loaded into a model which is on the device already (pytorch#85230)."""
    placed = at.module(_network("other"))
    placed.load_state_dict(_network("one").state_dict())
    return _state(placed)


def network_block(at: At, name: str) -> Outcome:
    """A block of the network in training, given what it should be given, under autocast."""
    module = at.module(block_modules(_network("network"))[name]).train()
    entered = at.activation(_entering()[name]).requires_grad_()
    with at.autocast():
        # Times one, since the first ReLU of the network may not write into what is watched.
        output = module(entered * 1)
    outcome = differentiated(at, output, (entered, *module.parameters()))
    return Outcome(outcome.forward, (outcome.gradient[0], _joined(outcome.gradient[1:])))


@lru_cache(maxsize=1)
def _entering() -> dict[str, Tensor]:
    """What enters each block of the network in training, exact but for the rounding to float32."""
    model = deepcopy(_network("network")).double().train()
    entering: dict[str, Tensor] = {}

    def record(name: str, given: Sequence[Tensor]) -> None:
        entering[name] = given[0].detach().float()

    for name, module in block_modules(model).items():
        module.register_forward_pre_hook(lambda _, given, name=name: record(name, given))
    with torch.no_grad():
        model(_batch()[0].double())
    return entering


def whole_network(at: At) -> Outcome:
    """Logits, loss, and each block's gradient of the whole network in training, in float32."""
    with at.in_full():
        return _trained(at, nullcontext())


def network_as_trained(at: At) -> Outcome:
    """The loss of the whole network as it is trained, and that its gradients are finite.

    In float16 the loss is scaled, as a training does it, and the gradients are scaled back.
    """
    outcome = _trained(at, at.autocast())
    # Of the gradients only the head's, which no un-pooling comes after.
    return Outcome(outcome.forward[1:], outcome.gradient[-1:])


def _trained(at: At, context: AbstractContextManager[object]) -> Outcome:
    model = at.module(_network("network")).train()
    model.set_ops(at.ops)
    image, target = _batch()
    with context:
        logits = model(at.place(image))
    value = build_loss(parse_loss("bce+dice"), 2.0)(logits, at.place(target))
    scale = 2.0**12 if logits.dtype == torch.float16 else 1.0
    (value * scale).backward()  # type: ignore[no-untyped-call]
    blocks = block_modules(model).values()
    gradients = [_joined(gradients_of(module.parameters())) / scale for module in blocks]
    if not all(bool(gradient.isfinite().all()) for gradient in gradients):
        raise ValueError("a gradient is infinite or NaN")
    return Outcome((logits, value), tuple(gradients))


def _joined(gradients: Sequence[Tensor]) -> Tensor:
    """In one, since a bias before a normalisation has none, and rounding would be all of it."""
    return torch.cat([gradient.flatten() for gradient in gradients])


def _batch() -> tuple[Tensor, Tensor]:
    image = numbers("image", 4, 3, 64, 64)
    target = torch.zeros(4, 2, 64, 64, dtype=torch.uint8)
    target[:, 0, 16:48, 20:50], target[:, 1, 24:40, 30:40] = 1, 1
    image[:, 0] += target[:, 0]
    return image, target


@lru_cache(maxsize=3)
def _network(name: str) -> SegNet:
    """A network with fresh weights, always the same for a name; to be copied, not changed."""
    config = SegNetConfig(in_channels=3, classes=2, width=8)
    return init_weights_(build(config, PURE), rng.generator(0, "doctor", name))


def _state(model: nn.Module) -> Outcome:
    return Outcome(tuple(model.state_dict().values()))

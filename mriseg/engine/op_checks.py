"""What `mriseg doctor` tries: each operation that a training uses, forwards and backwards.

This is the table, and the checks of single operations; those of networks are in
`mriseg.engine.network_checks`. A new check is a function of `mriseg.engine.check.At` and a line in
`CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import partial
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mriseg.core import augment, rng
from mriseg.core.losses import LOSSES, bce
from mriseg.core.ops import pure_unpool, scatter_unpool
from mriseg.core.segnet import BLOCKS, HEAD
from mriseg.core.steps import predict_step
from mriseg.engine.augmentation import ALL, TOLERANCE
from mriseg.engine.check import At, Check, Outcome, differentiated, gradients_of, numbers, whole
from mriseg.engine.network_checks import (
    block,
    network_as_trained,
    network_block,
    weights_after,
    weights_before,
    whole_network,
)
from mriseg.engine.trainer import adamw


def convolution(at: At, inputs: int, outputs: int) -> Outcome:
    """3x3, with gradients of image, weight and bias."""
    image = at.activation(numbers("image", 2, inputs, 17, 20)).requires_grad_()
    weight = at.place(numbers("weight", outputs, inputs, 3, 3)).requires_grad_()
    bias = at.place(numbers("bias", outputs)).requires_grad_()
    with at.autocast():
        output = F.conv2d(image, weight, bias, padding=1)
    return differentiated(at, output, (image, weight, bias))


def normalisation(at: At, *, training: bool) -> Outcome:
    """BatchNorm, with gradients of image, scale and shift, and the running statistics."""
    image = at.activation(3 * numbers("image", 4, 8, 9, 11) + 1).requires_grad_()
    scale = at.place(numbers("scale", 8)).requires_grad_()
    shift = at.place(numbers("shift", 8)).requires_grad_()
    mean, variance = at.place(numbers("mean", 8)), at.place(numbers("variance", 8).exp())
    with at.autocast():
        output = F.batch_norm(image, mean, variance, scale, shift, training=training)
    return differentiated(at, output, (image, scale, shift), mean, variance)


def relu(at: At) -> Outcome:
    """In place, as in the network, at zeros too."""
    image = at.activation(whole("image", 2, 3, 7, 9)).requires_grad_()
    return differentiated(at, F.relu(image * 1, inplace=True), (image,))


def _windows() -> Tensor:
    """An odd size, ties, negative windows, and windows that are all zero, as after a ReLU."""
    image = whole("windows", 4, 3, 7, 9)
    image[:2].clamp_(min=0)
    image[2, 0] = 0
    return image


def pool(at: At) -> Outcome:
    """Maxima, their gradient, and where they were: the code, un-pooled on the CPU."""
    image = at.activation(_windows()).requires_grad_()
    values, code = at.ops.pool(image)
    # The forms' codes are their own business; those of another form are checked by un-pooling.
    unpool = {torch.uint8: pure_unpool, torch.int64: scatter_unpool}.get(code.dtype)
    where = (unpool(at.back(values), code.cpu(), (7, 9)),) if unpool and code.ndim == 4 else ()
    return differentiated(at, values, (image,), *where)


def unpool(at: At) -> Outcome:
    """The plane and its gradient."""
    values, code = at.ops.pool(at.activation(_windows()))
    values = values.detach().requires_grad_()
    # Other numbers than were pooled, for a kernel that would find the old ones in their places.
    return differentiated(at, at.ops.unpool(values * 2 + 1, code, (7, 9)), (values,))


def loss(at: At, function: Callable[..., Tensor]) -> Outcome:
    """A loss and its gradient; that of the cross-entropy with weights of positive voxels."""
    logits = at.place(3 * numbers("logits", 2, 3, 24, 20)).requires_grad_()
    target = at.place((numbers("target", 2, 3, 24, 20) > 1).to(torch.uint8))
    weights = {"pos_weight": at.place(numbers("weight", 3, 1, 1).exp())} if function is bce else {}
    value = function(logits, target, **weights)
    return Outcome((value,), torch.autograd.grad(value, [logits]))


def probabilities(at: At) -> Outcome:
    """As in prediction: the mirrored logits, their sigmoid, and the mask above the threshold."""
    logits = 4 * numbers("logits", 2, 3, 16, 20)
    # None so near to the threshold that rounding would decide.
    logits = at.place(logits + logits.sign() / 8)
    # Autocast is for the network, and this has none.
    computed = predict_step(nn.Identity(), logits, autocast=nullcontext, flips=(2, 3))
    exact = torch.sigmoid(logits) if at.exact else computed
    return Outcome((exact, (exact > 0.5).to(exact.dtype)))


def clipping(at: At) -> Outcome:
    """The norm of a gradient, and the gradient cut down to a norm."""
    parameters = [nn.Parameter(at.place(tensor)) for tensor in _weights()]
    for number, parameter in enumerate(parameters):
        parameter.grad = at.place(numbers(f"gradient {number}", *parameter.shape))
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)
    return Outcome((norm, *gradients_of(parameters)))


def optimiser(at: At) -> Outcome:
    """How far three steps of AdamW take the weights, from the same gradients."""
    parameters = [nn.Parameter(at.place(tensor)) for tensor in _weights()]
    before = [parameter.detach().clone() for parameter in parameters]
    groups = [
        {"params": parameters[:1], "weight_decay": 0.1},
        {"params": parameters[1:], "weight_decay": 0.0},
    ]
    adam = adamw(groups, 0.1)
    for step in range(3):
        for number, parameter in enumerate(parameters):
            parameter.grad = at.place(numbers(f"{step} {number}", *parameter.shape))
        adam.step()
    moved = zip(parameters, before, strict=True)
    return Outcome(tuple(parameter.detach() - old for parameter, old in moved))


def crossings(at: At) -> Outcome:
    """Tensors to the device and back: strided, transposed, channels_last, pinned, of each type."""
    image = numbers("image", 2, 3, 6, 8)
    shown = (
        image,
        image.contiguous(memory_format=torch.channels_last),
        image[:, ::2, 1:, ::3],
        image.transpose(1, 3),
        image[:1].expand(4, 3, 6, 8),
        image[0, 0].T,
        image[0, 0, 0, 0],
        image.half(),
        (image > 0).to(torch.uint8),
        (image > 0),
        (100 * image).to(torch.int64),
    )
    pinned = shown if at.exact else [at.backend.pin(tensor) for tensor in shown]
    return Outcome(tuple(at.place(tensor) for tensor in (*shown, *pinned)))


def augmentation(at: At) -> Outcome:
    """All of it at once, of a batch with a margin of air."""
    config = ALL.model_copy(update={"drop_modality": 1.0})
    drawn = augment.draw(rng.generator(0, "doctor", "augment"), config, 2, 2)
    if at.exact:
        exact = {f.name: getattr(drawn, f.name) for f in fields(drawn)}
        wide = {name: v.double() for name, v in exact.items() if isinstance(v, Tensor)}
        drawn = replace(drawn, **wide)  # type: ignore[arg-type]
    image = numbers("image", 2, 2, 64, 96)
    image[..., :8] = 0
    mask = (numbers("mask", 2, 1, 64, 96) > 0).to(torch.uint8)
    return Outcome(augment.apply(drawn, at.place(image), at.place(mask)))


def _weights() -> tuple[Tensor, ...]:
    return numbers("weight", 32, 16, 3, 3), numbers("bias", 32)


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "place and collect": Check(crossings),
        "load weights, then place": Check(weights_before),
        "load weights into a placed model": Check(
            weights_after, instead="mriseg loads on the CPU and places then"
        ),
        "convolution, 3 to 64": Check(partial(convolution, inputs=3, outputs=64), 2, 2, 680),
        "convolution, 256 to 32": Check(
            partial(convolution, inputs=256, outputs=32), 2, 2, 9 * 256
        ),
        "BatchNorm in training": Check(partial(normalisation, training=True), 2, addends=396),
        "BatchNorm in evaluation": Check(partial(normalisation, training=False), 2, addends=396),
        "ReLU": Check(relu),
        "convolution, BatchNorm and ReLU": Check(block, 4, 4, 640),
        "pool with indices": Check(pool),
        "un-pool with ties": Check(unpool),
        **{
            f"loss {name}": Check(partial(loss, function=function), addends=2 * 3 * 480)
            for name, function in LOSSES.items()
        },
        "sigmoid and threshold": Check(probabilities, addends=16),
        "gradient clipping": Check(clipping, addends=6000),
        "AdamW": Check(optimiser, addends=256),
        "augmentation": Check(
            augmentation,
            interpolation=TOLERANCE,
            typical=True,
            instead="mriseg augments on the CPU",
        ),
        **{
            f"block {name}": Check(
                partial(network_block, name=name), 8, 8, 16384, typical=True, tips=name != HEAD
            )
            for name in BLOCKS
        },
        # 26 normalisations by the few numbers of a small batch make much of a little rounding, and
        # a pool of the deepest level that tips moves a share of 0.004.
        "network in float32": Check(whole_network, addends=2**28, typical=True, tips=True),
        "network as trained": Check(network_as_trained, 8, 8, 2**28, typical=True, tips=True),
    }
)

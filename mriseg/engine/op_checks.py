"""What `mriseg doctor` tries: each operation that a training uses, forwards and backwards.

A check is a function of `At`, which says where it computes. It is run twice, on the backend as a
training would and exactly (CPU, float64, plain arithmetic), and the two outcomes are compared; so a
check says only what is computed. Numbers that enter are rounded to the backend's type in both
places: what differs is the operation's doing. A new check is a function and a line in `CHECKS`.

How much may differ is written down as where it comes from: ``roundings`` to the type that the
backend computes in, one after another, and sums of ``addends`` numbers in float32, whose roundings
add up as a random walk does. None of either means bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mriseg.backends.base import Backend
from mriseg.core import augment, rng
from mriseg.core.losses import LOSSES, bce, build_loss, parse_loss
from mriseg.core.ops import PURE, Ops, pure_unpool, scatter_unpool
from mriseg.core.segnet import (
    BLOCKS,
    HEAD,
    SegNet,
    SegNetConfig,
    block_modules,
    build,
    init_weights_,
)
from mriseg.core.steps import predict_step
from mriseg.engine.augmentation import ALL, TOLERANCE

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Outcome:
    """What a check computed, on the device that did.

    Attributes:
        forward: results.
        gradient: of a weighted sum of the first of them, with respect to what entered.
    """

    forward: tuple[Tensor, ...]
    gradient: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class At:
    """Where a check computes.

    Attributes:
        backend: that is being tried.
        exact: compute what it should give: on the CPU, in float64, without any of its ways.
    """

    backend: Backend
    exact: bool = False

    @property
    def ops(self) -> Ops:
        """Pool and un-pool."""
        return PURE if self.exact else self.backend.ops

    def place(self, tensor: Tensor) -> Tensor:
        """A CPU tensor, here: float32 stays what it is, as losses and weights do."""
        if not self.exact:
            return self.backend.place(tensor)
        return tensor.double() if tensor.is_floating_point() else tensor.clone()

    def activation(self, tensor: Tensor) -> Tensor:
        """A CPU tensor, here, in the type in which the network hands it from layer to layer."""
        return self.place(tensor.to(self.backend.dtype))

    def module(self, module: M) -> M:
        """A copy of a module on the CPU, here."""
        copy = deepcopy(module)
        return copy.double() if self.exact else self.backend.place_model(copy)

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the network runs."""
        return nullcontext() if self.exact else self.backend.autocast()

    @contextmanager
    def in_full(self) -> Iterator[None]:
        """Float32 with all of its mantissa."""
        with nullcontext() if self.exact else self.backend.in_full():
            yield

    def back(self, tensor: Tensor) -> Tensor:
        """A tensor from here, on the CPU."""
        return tensor.detach() if self.exact else self.backend.collect(tensor)


@dataclass(frozen=True)
class Check:
    """A check, and how far its two outcomes may be apart.

    Attributes:
        run: what is computed.
        roundings: to the type that the backend computes in, one after another.
        products: roundings to TF32, where it is on.
        addends: the most numbers that are summed for a result, in float32.
        interpolation: what coordinates that round otherwise may cost.
        typical: measure the mean difference against the mean number, not the largest against the
            largest: where few values may differ by much, because rounding tipped a comparison.
        tips: whether ReLUs or pools are inside. The share of them that rounding tips the other
            way is about as large as the rounding, each moves a whole gradient to another place,
            and these add up as a random walk: the gradient may be off by the root.
        instead: what a training does where this fails; empty where it needs it.
    """

    run: Callable[[At], Outcome]
    roundings: float = 0
    products: float = 0
    addends: int = 0
    interpolation: float = 0
    typical: bool = False
    tips: bool = False
    instead: str = ""


def numbers(name: str, *shape: int) -> Tensor:
    """Normal numbers, always the same for a name."""
    return torch.randn(shape, generator=rng.generator(0, "doctor", name))


def whole(name: str, *shape: int) -> Tensor:
    """Whole numbers of -4 to 4, which every type holds: with many ties."""
    return torch.randint(-4, 5, shape, generator=rng.generator(0, "doctor", name)).float()


def differentiated(at: At, output: Tensor, leaves: Sequence[Tensor], *more: Tensor) -> Outcome:
    """``output`` and ``more``, and the gradients of ``output`` weighted by whole numbers."""
    weights = at.place(whole("upstream", *output.shape)).to(output.dtype)
    return Outcome((output, *more), torch.autograd.grad(output, list(leaves), weights))


def convolution(at: At, inputs: int, outputs: int) -> Outcome:
    """3x3, with gradients of image, weight and bias."""
    image = at.activation(numbers("image", 2, inputs, 17, 20)).requires_grad_()
    weight = at.place(numbers("weight", outputs, inputs, 3, 3)).requires_grad_()
    bias = at.place(numbers("bias", outputs)).requires_grad_()
    with at.autocast():
        output = F.conv2d(image, weight, bias, padding=1)
    return differentiated(at, output, (image, weight, bias))


def block(at: At) -> Outcome:
    """Convolution, normalisation and ReLU as the network runs them, under autocast."""
    first = at.module(_network("network").get_submodule("encoder.1.0")).train()
    with at.autocast():
        output = first(at.place(numbers("block", 2, 3, 16, 20)))
    computed = output.dtype
    if not at.exact and computed != at.backend.dtype:
        raise TypeError(f"autocast gives {computed}, not {at.backend.dtype}")
    return Outcome((output,))


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
    """As in prediction: the mirrored logits, their sigmoid, and what the threshold marks."""
    logits = 4 * numbers("logits", 2, 3, 16, 20)
    # None so near to the threshold that rounding would decide.
    logits = at.place(logits + logits.sign() / 8)
    # Autocast is for the network, which here is none.
    found = predict_step(nn.Identity(), logits, autocast=nullcontext, flips=(2, 3))
    exact = torch.sigmoid(logits) if at.exact else found
    return Outcome((exact, (exact > 0.5).to(exact.dtype)))


def clipping(at: At) -> Outcome:
    """The norm of a gradient, and the gradient cut down to a norm."""
    parameters = [nn.Parameter(at.place(tensor)) for tensor in _weights()]
    for number, parameter in enumerate(parameters):
        parameter.grad = at.place(numbers(f"gradient {number}", *parameter.shape))
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)
    return Outcome((norm, *_gradients(parameters)))


def optimiser(at: At) -> Outcome:
    """How far three steps of AdamW take the weights, from the same gradients."""
    parameters = [nn.Parameter(at.place(tensor)) for tensor in _weights()]
    before = [parameter.detach().clone() for parameter in parameters]
    adam = torch.optim.AdamW(
        [
            {"params": parameters[:1], "weight_decay": 0.1},
            {"params": parameters[1:], "weight_decay": 0.0},
        ],
        lr=0.1,
    )
    for step in range(3):
        for number, parameter in enumerate(parameters):
            parameter.grad = at.place(numbers(f"{step} {number}", *parameter.shape))
        adam.step()
    moved = zip(parameters, before, strict=True)
    return Outcome(tuple(parameter.detach() - old for parameter, old in moved))


def crossings(at: At) -> Outcome:
    """Tensors there and back: strided, transposed, channels_last, pinned, of each type."""
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


def weights_before(at: At) -> Outcome:
    """Weights that are loaded on the CPU and placed, and read back: the way of a training."""
    return _state(at.module(_network("one")))


def weights_after(at: At) -> Outcome:
    """Weights that are loaded into a model which is there already (pytorch#85230)."""
    placed = at.module(_network("other"))
    placed.load_state_dict(_network("one").state_dict())
    return _state(placed)


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


def network_block(at: At, name: str) -> Outcome:
    """A block of the network in training, given what it should be given, under autocast.

    Each by itself: in half precision the difference of a whole network with fresh weights says
    nothing, since near-ties in the pools fall differently and move values to other places.
    """
    module = at.module(block_modules(_network("network"))[name]).train()
    entered = at.activation(_entering()[name]).requires_grad_()
    with at.autocast():
        # Times one, since the first ReLU of the network may not write into what is watched.
        output = module(entered * 1)
    found = differentiated(at, output, (entered, *module.parameters()))
    return Outcome(found.forward, (found.gradient[0], _joined(found.gradient[1:])))


@lru_cache(maxsize=1)
def _entering() -> dict[str, Tensor]:
    """What enters each block of the network in training, exact but for the rounding to float32."""
    model = deepcopy(_network("network")).double().train()
    found: dict[str, Tensor] = {}

    def record(name: str, given: Sequence[Tensor]) -> None:
        found[name] = given[0].detach().float()

    for name, module in block_modules(model).items():
        module.register_forward_pre_hook(lambda _, given, name=name: record(name, given))
    with torch.no_grad():
        model(_batch()[0].double())
    return found


def whole_network(at: At) -> Outcome:
    """Logits, loss, and each block's gradient of the whole network in training, in float32."""
    with at.in_full():
        return _trained(at, nullcontext())


def network_as_trained(at: At) -> Outcome:
    """The loss of the whole network as it is trained, and that its gradients are finite.

    In float16 the loss is scaled, as a training does it, and the gradients are scaled back.
    """
    found = _trained(at, at.autocast())
    # Of the gradients only the head's, which no un-pooling comes after.
    return Outcome(found.forward[1:], found.gradient[-1:])


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
    gradients = [_joined(_gradients(module.parameters())) / scale for module in blocks]
    if not all(bool(gradient.isfinite().all()) for gradient in gradients):
        raise ValueError("a gradient is infinite or NaN")
    return Outcome((logits, value), tuple(gradients))


def _joined(gradients: Sequence[Tensor]) -> Tensor:
    """In one, since a bias before a normalisation has none, and rounding would be all of it."""
    return torch.cat([gradient.flatten() for gradient in gradients])


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


def _weights() -> tuple[Tensor, ...]:
    return numbers("weight", 32, 16, 3, 3), numbers("bias", 32)


def _gradients(parameters: Iterator[nn.Parameter] | Sequence[nn.Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]

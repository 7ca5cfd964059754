"""What a check of the doctor is: something computed twice, on a backend and exactly.

A check is a function of `At`, which says where it computes. It is run on the backend as a training
would and exactly (CPU, float64, plain arithmetic), and the two outcomes are compared; so a check
says only what is computed. Numbers that enter are rounded to the backend's type in both places:
what differs is the operation's doing.

How much may differ is written down as where it comes from: ``roundings`` to the type that the
backend computes in, one after another, and sums of ``addends`` numbers in float32, whose roundings
add up as a random walk does. None of either means bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from mriseg.backends.base import Backend
from mriseg.core import rng
from mriseg.core.ops import PURE, Ops

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
        """A CPU tensor, placed: float32 stays what it is, as losses and weights do."""
        if not self.exact:
            return self.backend.place(tensor)
        return tensor.double() if tensor.is_floating_point() else tensor.clone()

    def activation(self, tensor: Tensor) -> Tensor:
        """A CPU tensor, placed, in the type in which the network hands it from layer to layer."""
        return self.place(tensor.to(self.backend.dtype))

    def module(self, module: M) -> M:
        """A copy of a module on the CPU, placed."""
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
        """A placed tensor, back on the CPU."""
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
    # What has no gradient has zeros: a bias before batch normalisation.
    gradients = torch.autograd.grad(output, list(leaves), weights, materialize_grads=True)
    return Outcome((output, *more), gradients)


def gradients_of(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """The gradients of those parameters that have one."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]

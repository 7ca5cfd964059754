"""Finding the form of pooling and of un-pooling that works on a device, by trying them there.

Which kernels a device has, and which of them are right, changes from one release of PyTorch to the
next; a table of it would be wrong sooner or later. So each operation is run once on a tiny tensor,
forwards and backwards, and compared with the plain arithmetic on the CPU. What fails is passed
over, down to computing that one operation, and nothing else, on the CPU.

PyTorch's own switch for that, PYTORCH_ENABLE_MPS_FALLBACK, is left alone: it is read once when
PyTorch loads, holds for every operation, and makes a slow run look like a fast one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from mriseg.backends.context import deterministic_algorithms
from mriseg.core.ops import FORMS, NATIVE, PURE, Ops
from mriseg.errors import BackendError, reason_of

POOLING, UNPOOLING = "pooling", "un-pooling"


@dataclass(frozen=True)
class Manner:
    """How a backend computes, which is how its operations are tried."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    memory_format: torch.memory_format = torch.contiguous_format
    deterministic: bool = False


@dataclass(frozen=True)
class Probe:
    """Whether a form works somewhere, and if not, why."""

    ok: bool
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """How one operation is computed, and what was tried before.

    Attributes:
        op: `POOLING` or `UNPOOLING`.
        form: the name of the form, as in `mriseg.core.ops.FORMS`.
        place: the device that computes it.
        crosses: whether its tensors go there and back, since the network is elsewhere.
        passed_over: what failed, each as (form, place, reason), in the order of trying.
    """

    op: str
    form: str
    place: str
    crosses: bool = False
    passed_over: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class OpsChoice:
    """What `choose` found.

    Attributes:
        ops: the pair to build a network on; its name says what goes to the CPU.
        pooling: how it pools.
        unpooling: how it un-pools.
        notes: a sentence for each form that was passed over and for each operation that crosses;
            none where the first candidate works.
    """

    ops: Ops
    pooling: Choice
    unpooling: Choice
    notes: tuple[str, ...]

    @property
    def crosses(self) -> bool:
        """Whether tensors go to the CPU and back inside the network."""
        return self.pooling.crosses or self.unpooling.crosses


_ON_CPU = "on the CPU"

# Which of the two operations goes to the CPU, the least traffic first. Un-pooling before pooling:
# it is what devices lack, and pooling takes the larger tensor.
_CROSSINGS = ((), (UNPOOLING,), (POOLING,), (POOLING, UNPOOLING))


@lru_cache(maxsize=64)
def choose(manner: Manner, forms: tuple[Ops, ...] = FORMS) -> OpsChoice:
    """The first pair of operations that works in this manner.

    Every form is tried on the device before any operation goes to the CPU; then un-pooling goes
    alone, then pooling alone, then both. An operation is tried once and on its own, so the reason
    given is its own. The answer is kept for the process: a device does not change.

    Args:
        manner: how the backend computes.
        forms: in order of preference; those of one pooling function share its code. In a
            deterministic manner `NATIVE` is left out: PyTorch calls its kernel non-deterministic.

    Raises:
        BackendError: none works, not even on the CPU; the message gives each one's reason.
    """
    trials = _Trials(manner)
    for candidate in _candidates(manner, forms):
        pooling = trials.pooling(candidate)
        if pooling.reason:
            continue
        unpooling = trials.unpooling(candidate)
        if not unpooling.reason:
            return _chosen(candidate, pooling, unpooling, trials)
    raise BackendError(
        f"no form of max un-pooling works on {manner.device}: "
        f"{'; '.join(failure.sentence for failure in trials.failed())}. "
        f"Use --backend cpu, or another version of PyTorch than {torch.__version__}"
    )


def probe(ops: Ops, manner: Manner) -> Probe:
    """Try both operations of ``ops`` in this manner, pooling first."""
    reason = _try_pooling(ops, ops, manner) or _try_unpooling(ops, ops, manner)
    return Probe(not reason, reason)


def round_trip(ops: Ops, crossing: Sequence[str] = (POOLING, UNPOOLING)) -> Ops:
    """``ops`` with one or both computed on the CPU, for tensors that are elsewhere and come back.

    Moving a tensor is differentiable, so gradients make the same trip. Where both are computed
    on the CPU the code stays there, where its un-pooling will want it.

    Args:
        ops: the form.
        crossing: `POOLING`, `UNPOOLING` or both.
    """

    def pool(x: Tensor) -> tuple[Tensor, Tensor]:
        values, code = ops.pool(x.to("cpu"))
        return values.to(x.device), code if UNPOOLING in crossing else code.to(x.device)

    def unpool(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
        return ops.unpool(values.to("cpu"), code.to("cpu"), size).to(values.device)

    return Ops(
        _name(ops, crossing),
        pool if POOLING in crossing else ops.pool,
        unpool if UNPOOLING in crossing else ops.unpool,
    )


def _name(ops: Ops, crossing: Sequence[str]) -> str:
    if not crossing:
        return ops.name
    return f"{ops.name} {_ON_CPU}" if len(crossing) == 2 else f"{ops.name}, {crossing[0]} {_ON_CPU}"


def in_a_line(error: Exception) -> str:
    """What an error says, for a sentence: PyTorch's messages go on for pages."""
    line = textwrap.shorten(reason_of(error), 200, placeholder=" ...")
    return f"{type(error).__name__}: {line}"


class _Candidate(NamedTuple):
    """A form, and which of its operations are computed on the CPU."""

    form: Ops
    crossing: tuple[str, ...]

    @property
    def ops(self) -> Ops:
        return round_trip(self.form, self.crossing) if self.crossing else self.form


def _candidates(manner: Manner, forms: Sequence[Ops]) -> Iterator[_Candidate]:
    crossings = _CROSSINGS if manner.device.type != "cpu" else _CROSSINGS[:1]
    for crossing in crossings:
        for form in forms:
            if not (manner.deterministic and form is NATIVE):
                yield _Candidate(form, crossing)


class _Trial(NamedTuple):
    """An operation tried in one form and one place; no reason is a success."""

    op: str
    form: str
    place: str
    reason: str

    @property
    def sentence(self) -> str:
        return f"{self.form} {self.op} does not work on {self.place} ({self.reason})"


class _Trials:
    """Tries each operation once, whatever number of pairs it is part of."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._made: dict[tuple[Callable[..., object], bool], _Trial] = {}

    def pooling(self, candidate: _Candidate) -> _Trial:
        return self._tried(POOLING, candidate, candidate.form.pool)

    def unpooling(self, candidate: _Candidate) -> _Trial:
        return self._tried(UNPOOLING, candidate, candidate.form.unpool)

    def failed(self, op: str = "") -> list[_Trial]:
        """Those that failed, in the order of trying; of one operation, if it is given."""
        return [trial for trial in self._made.values() if trial.reason and op in ("", trial.op)]

    def _tried(self, op: str, candidate: _Candidate, function: Callable[..., object]) -> _Trial:
        crosses = op in candidate.crossing
        if (function, crosses) not in self._made:
            attempt = _try_pooling if op == POOLING else _try_unpooling
            reason = attempt(candidate.ops, candidate.form, self._manner)
            place = "cpu" if crosses else str(self._manner.device)
            name = _form_of(function) or candidate.form.name
            self._made[function, crosses] = _Trial(op, name, place, reason)
        return self._made[function, crosses]


def _form_of(function: Callable[..., object]) -> str:
    """The first form that has this function: scattering pools as the native form does."""
    return next((form.name for form in FORMS if function in (form.pool, form.unpool)), "")


def _chosen(
    candidate: _Candidate, pooling: _Trial, unpooling: _Trial, trials: _Trials
) -> OpsChoice:
    choices = [
        Choice(
            trial.op,
            trial.form,
            trial.place,
            crosses=trial.op in candidate.crossing,
            passed_over=tuple((t.form, t.place, t.reason) for t in trials.failed(trial.op)),
        )
        for trial in (pooling, unpooling)
    ]
    notes: list[str] = []
    for choice in choices:
        used = f"{choice.form} {_ON_CPU}" if choice.crosses else choice.form
        notes += [f"{t.sentence}; {used} is used instead" for t in trials.failed(choice.op)]
        if choice.crosses:
            notes.append(f"the tensors of every {choice.op} go to the CPU and back, which is slow")
    return OpsChoice(candidate.ops, choices[0], choices[1], tuple(notes))


# What they are tried on: an odd size, ties, and windows that are all zero, as after a ReLU. All
# numbers, gradients too, are small and whole, which bfloat16 and float16 hold exactly.
_SIZE = (7, 9)


def _image() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-4, 5, (2, 3, *_SIZE), generator=generator).clamp(min=0).float()


def _try_pooling(ops: Ops, form: Ops, manner: Manner) -> str:
    """What is wrong with the pooling of ``ops``; nothing if it is right.

    Its code must be that of ``form`` on the CPU, or their un-pooling could not be exchanged.
    """
    values, _, gradient = _pooled(PURE, _image())

    def expected() -> tuple[Tensor, ...]:
        return values, form.pool(_image())[1], gradient

    def found() -> tuple[Tensor, ...]:
        return _pooled(ops, _there(_image(), manner))

    return _difference(("pooled values", "codes", "gradients"), expected, found, manner)


def _try_unpooling(ops: Ops, form: Ops, manner: Manner) -> str:
    """What is wrong with the un-pooling of ``ops``; nothing if it is right.

    The code comes from the pooling of ``form`` on the CPU, so that the device's has no part in it.
    """
    values, code = PURE.pool(_image())

    def expected() -> tuple[Tensor, ...]:
        return _unpooled(PURE, values, code)

    def found() -> tuple[Tensor, ...]:
        code = form.pool(_image())[1].to(manner.device)
        return _unpooled(ops, _there(values, manner), code)

    return _difference(("un-pooled values", "gradients"), expected, found, manner)


def _pooled(ops: Ops, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values, code and gradient."""
    with torch.enable_grad():
        x = image.detach().requires_grad_()
        values, code = ops.pool(x)
        return values.detach(), code, _gradient(values, x)


def _unpooled(ops: Ops, values: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """The plane and the gradient."""
    with torch.enable_grad():
        x = values.detach().requires_grad_()
        # Twice, for a kernel that would find the old values where it should put these.
        plane = ops.unpool(x * 2, code, _SIZE)
        return plane.detach(), _gradient(plane, x)


def _there(tensor: Tensor, manner: Manner) -> Tensor:
    return tensor.to(manner.device, manner.dtype, memory_format=manner.memory_format)


def _gradient(output: Tensor, x: Tensor) -> Tensor:
    """Of a sum that weighs neighbours differently, so that none can be taken for another."""
    numbers = torch.arange(output.numel()) % 13 - 5
    weights = numbers.view(output.shape).to(output.device, output.dtype)
    (gradient,) = torch.autograd.grad(output, x, weights)
    return gradient


def _difference(
    names: Sequence[str],
    expected: Callable[[], Sequence[Tensor]],
    found: Callable[[], Sequence[Tensor]],
    manner: Manner,
) -> str:
    """Which of the results differs, or why there is none; nothing if all are equal."""
    determined = deterministic_algorithms() if manner.deterministic else nullcontext()
    try:
        with determined:
            there = [tensor.to("cpu", torch.float32) for tensor in found()]
    # Whatever a kernel throws, the answer is the same: not this one.
    except Exception as error:
        return in_a_line(error)
    for name, ours, theirs in zip(names, expected(), there, strict=True):
        if not torch.equal(ours.float(), theirs):
            return f"its {name} differ from the CPU's"
    return ""

"""A device that this machine does not have: it computes on the CPU, and PyTorch cannot tell.

A tensor of it is a type of its own around a CPU tensor, on PyTorch's device for third parties
(PrivateUse1). Every operation passes `DeviceTensor.__torch_dispatch__`, which refuses those that
the device is set to lack, corrupts the results of those that it is set to get wrong, and counts
what crosses. So the paths for Apple's GPUs, and for any device with holes, run for real on machines
without one.

Importing this module registers the device, which must be before the first backward of the
process: tests of it run in a process of their own (``test_fake_device.py``). It needs
``_setup_privateuseone_for_python_backend``, which is private to PyTorch and not in older releases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from mriseg.backends.assemble import assemble
from mriseg.backends.base import Backend, dtype_of
from mriseg.backends.fallback import Manner, choose
from mriseg.backends.verbs import verbs_of

_setup_privateuseone_for_python_backend("fake")

DEVICE = torch.device("fake:0")

# What Apple's GPUs cannot do, or do wrongly; see `mriseg.backends.mps`. Nor is there memory that
# could be pinned for this device, which PyTorch handles.
LIKE_MPS = frozenset({"float64", "channels_last", "non_blocking", "ceil_mode", "loading in place"})

M = TypeVar("M", bound=nn.Module)
aten = torch.ops.aten


class Crossing(NamedTuple):
    """A tensor that went to the device ("in") or came from it ("out")."""

    way: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    by: str
    """The method of the backend that moved it; empty where that was none."""


@dataclass
class Fake:
    """What the device is like, and what it saw.

    Attributes:
        lacks: operations it has no kernel for, as in "max_unpool2d".
        wrong: operation -> what becomes of its results.
        refuses: of `LIKE_MPS`, what it answers with an error.
        crossings: every tensor that went in or out.
        ran: how often each operation ran.
        convolved: the shapes [b, c, h, w] that convolutions were given.
        waits: how often it was waited for.
    """

    lacks: set[str] = field(default_factory=set)
    wrong: dict[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    crossings: list[Crossing] = field(default_factory=list)
    ran: dict[str, int] = field(default_factory=dict)
    convolved: set[tuple[int, ...]] = field(default_factory=set)
    waits: int = 0
    _by: str = ""
    _late: Exception | None = None

    def refuse(self, error: Exception) -> None:
        """Raise ``error``; in a backward, at the device's next operation after it.

        An error must not leave a kernel in a backward: where kernels are Python, PyTorch ends the
        process. Real devices that compute while the program goes on tell of errors late, too.
        """
        if torch._C._current_graph_task_id() < 0:
            raise error
        self._late = self._late or error

    def complain(self) -> None:
        """Raise what went wrong in a backward that is over."""
        if self._late is not None and torch._C._current_graph_task_id() < 0:
            error, self._late = self._late, None
            raise error

    @contextmanager
    def moving(self, by: str) -> Iterator[None]:
        """Crossings in here are by the backend's method of this name."""
        before, self._by = self._by, by
        try:
            yield
        finally:
            self._by = before

    def forget(self) -> None:
        """What it saw."""
        self._late = None
        self.crossings.clear()
        self.ran.clear()
        self.convolved.clear()
        self.waits = 0

    def wait(self) -> None:
        """The device's own way to be waited for."""
        self.waits += 1

    def cross(self, way: str, tensor: Tensor, *, non_blocking: bool) -> None:
        if non_blocking and "non_blocking" in self.refuses:
            self.refuse(RuntimeError("a copy that does not block may read what is not there yet"))
        self.crossings.append(Crossing(way, tuple(tensor.shape), tensor.dtype, self._by))

    def check(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Refuse what a real device would."""
        if name in self.lacks:
            self.refuse(
                NotImplementedError(
                    f"The operator 'aten::{name}' is not currently implemented for the FAKE "
                    f"device. If you want this op to be added, please open an issue."
                )
            )
        # A scalar on the CPU is treated as a number, as on real devices.
        strangers = [t for t in tree_leaves([args, kwargs]) if type(t) is Tensor and t.ndim]
        if strangers:
            self.refuse(
                RuntimeError(
                    f"Expected all tensors to be on the same device, but aten::{name} got one of "
                    f"shape {tuple(strangers[0].shape)} on cpu and others on fake:0"
                )
            )
        if name == "max_pool2d_with_indices" and "ceil_mode" in self.refuses and any(args[5:6]):
            self.refuse(RuntimeError("ceil_mode is wrong on this device"))
        self.ran[name] = self.ran.get(name, 0) + 1
        if name == "convolution":
            self.convolved.add(tuple(args[0].shape))

    def admit(self, inner: Tensor) -> None:
        """Refuse tensors that the device cannot hold."""
        if inner.dtype == torch.float64 and "float64" in self.refuses:
            self.refuse(TypeError("Cannot convert a FAKE Tensor to float64: there is no such type"))
        last = inner.ndim == 4 and inner.is_contiguous(memory_format=torch.channels_last)
        if "channels_last" in self.refuses and last and not inner.is_contiguous():
            self.refuse(RuntimeError("channels_last gives wrong gradients on this device"))


FAKE = Fake()


@contextmanager
def device(
    *lacks: str,
    wrong: dict[str, Callable[[Tensor], Tensor]] | None = None,
    refuses: frozenset[str] = frozenset(),
) -> Iterator[Fake]:
    """A device with these holes; operations are chosen afresh."""
    FAKE.lacks, FAKE.wrong, FAKE.refuses = set(lacks), wrong or {}, refuses
    FAKE.forget()
    choose.cache_clear()
    try:
        yield FAKE
    finally:
        FAKE.lacks, FAKE.wrong, FAKE.refuses = set(), {}, frozenset()
        choose.cache_clear()


class DeviceTensor(Tensor):
    """A tensor on the device.

    Attributes:
        inner: its values, on the CPU.
        empty: whether nothing was written to it yet.
    """

    inner: Tensor
    empty: bool

    @staticmethod
    def __new__(cls, inner: Tensor, *, empty: bool = False) -> DeviceTensor:
        FAKE.admit(inner)
        tensor = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=DEVICE,
        )
        tensor.inner, tensor.empty = inner, empty
        return tensor

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"DeviceTensor({self.inner})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        FAKE.complain()
        kwargs = dict(kwargs or {})
        # Without a gradient, PyTorch passes a convolution whole; with one, in its parts.
        if func._can_decompose():
            return func.decompose(*args, **kwargs)
        if func is aten.copy_.default:
            return _copy(*args, **kwargs)
        if func is aten._local_scalar_dense.default:
            FAKE.cross("out", args[0], non_blocking=False)
            return func(args[0].inner)
        name = func._schema.name.removeprefix("aten::")
        FAKE.check(name, args, kwargs)
        goes_out = False
        if kwargs.get("device") is not None:
            goes_out = torch.device(kwargs["device"]).type == "cpu"
            kwargs["device"] = torch.device("cpu")
        if func is aten._to_copy.default and goes_out:
            FAKE.cross("out", args[0], non_blocking=kwargs.get("non_blocking", False))
        # If an operation returns one of its arguments, the outer tensor must be the same, too.
        given: dict[int, DeviceTensor] = {}

        def unwrap(tensor: DeviceTensor) -> Tensor:
            given[id(tensor.inner)] = tensor
            return tensor.inner

        inner_args, inner_kwargs = tree_map_only(DeviceTensor, unwrap, (list(args), kwargs))
        for tensor in given.values():
            tensor.empty = False
        result = func(*inner_args, **inner_kwargs)
        if name in FAKE.wrong:
            result = tree_map_only(Tensor, FAKE.wrong[name], result)
        if goes_out:
            return result

        def wrap(tensor: Tensor) -> Tensor:
            return given[id(tensor)] if id(tensor) in given else DeviceTensor(tensor)

        return tree_map_only(Tensor, wrap, result)


def _copy(into: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """Every copy between existing tensors, and the last step of moving one to the device."""
    ours, theirs = isinstance(into, DeviceTensor), isinstance(source, DeviceTensor)
    if ours != theirs:
        FAKE.cross("in" if ours else "out", source, non_blocking=non_blocking)
    if isinstance(into, DeviceTensor):
        if not theirs and not into.empty and "loading in place" in FAKE.refuses:
            FAKE.refuse(RuntimeError("values loaded into a tensor that is on the device already"))
        into.empty = False
    target = into.inner if isinstance(into, DeviceTensor) else into
    target.copy_(source.inner if isinstance(source, DeviceTensor) else source)
    return into


def _empty(size: Sequence[int], **options: Any) -> Tensor:
    shape = options.get("memory_format") or torch.contiguous_format
    inner = torch.empty(size, dtype=options.get("dtype"), memory_format=shape)
    return DeviceTensor(inner, empty=True)


def _empty_strided(size: Sequence[int], stride: Sequence[int], **options: Any) -> Tensor:
    return DeviceTensor(torch.empty_strided(size, stride, dtype=options.get("dtype")), empty=True)


def _copy_from(source: Tensor, into: Tensor, non_blocking: bool = False) -> Tensor:
    return _copy(into, source, non_blocking)


# The only kernels that are called without a tensor of the device among their arguments, or, from
# within ``torch.tensor``, past `DeviceTensor.__torch_dispatch__`.
_LIBRARY = torch.library.Library("aten", "IMPL")
_LIBRARY.impl("empty.memory_format", _empty, "PrivateUse1")
_LIBRARY.impl("empty_strided", _empty_strided, "PrivateUse1")
_LIBRARY.impl("_copy_from", _copy_from, "PrivateUse1")


class FakeBackend(Backend):
    """A backend that says which of its methods moved a tensor."""

    def place(self, tensor: Tensor) -> Tensor:
        with FAKE.moving("place"):
            return super().place(tensor)

    def collect(self, tensor: Tensor) -> Tensor:
        with FAKE.moving("collect"):
            return super().collect(tensor)

    def place_model(self, model: M) -> M:
        with FAKE.moving("place_model"):
            return super().place_model(model)


class _Spec:
    """What a package of a third party offers, for a device that mriseg does not know."""

    def probe(self) -> tuple[bool, str]:
        return True, ""

    def make(self, precision: str, deterministic: bool, reason: str) -> Backend:
        dtype = dtype_of(precision, torch.float32, ("fp32",), "the fake device")
        backend = assemble(
            "fake",
            Manner(DEVICE, dtype, torch.contiguous_format, deterministic),
            reason=reason,
            device_name="the CPU, in disguise",
            decisions=(),
            fixed_shapes=True,
            own_verbs=replace(verbs_of(DEVICE), synchronize=FAKE.wait),
        )
        return FakeBackend(**{f.name: getattr(backend, f.name) for f in fields(backend)})


BACKEND = _Spec()

"""A device of which one kernel is wrong: what the doctor must find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mriseg.backends import Backend
from mriseg.backends.base import Setting
from mriseg.engine.op_checks import CHECKS
from mriseg.recipes.doctor import Finding, examine

Wreck = Callable[[Tensor], object]


class WrongKernel(TorchDispatchMode):
    """A device of which one kernel is wrong; float64, in which the answers are made, is right."""

    def __init__(self, kernel: str, wreck: Wreck) -> None:
        super().__init__()
        self.kernel, self.wreck, self.calls = kernel, wreck, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ == self.kernel:
            # What works in place on a list gives nothing back.
            given_back = args[0] if given is None else given
            for tensor in given_back if isinstance(given_back, list | tuple) else [given_back]:
                if tensor is not None and tensor.dtype in (torch.float32, torch.bfloat16):
                    self.calls += 1
                    self.wreck(tensor)
        return given


def wrong(backend: Backend, kernel: str, wreck: Wreck) -> Backend:
    """``backend`` with a wrong kernel, while it is running."""

    @contextmanager
    def broken() -> Iterator[None]:
        mode = WrongKernel(kernel, wreck)
        with mode:
            yield
        assert mode.calls, f"{kernel} was never called: the test tries nothing"

    setting: Setting = broken
    return replace(backend, settings=(*backend.settings, setting))


def stretch(tensor: Tensor) -> None:
    """Off by half of it."""
    tensor.mul_(1.5)


def spoil(tensor: Tensor) -> None:
    """No number any more."""
    tensor.fill_(float("nan"))


def tried(backend: Backend, name: str) -> Finding:
    with backend.running():
        return examine(backend, name, CHECKS[name])

"""Assembling a backend finds its operations and says what it found."""

from __future__ import annotations

import torch

from mriseg.backends.assemble import assemble
from mriseg.backends.base import Decision
from mriseg.backends.fallback import Manner
from mriseg.backends.verbs import PROCESSOR
from mriseg.core.ops import NATIVE, SCATTER


def test_it_is_the_manner_with_the_operations_that_work() -> None:
    first = Decision("precision", "float32", "asked for")
    manner = Manner(torch.device("cpu"), torch.float32, torch.channels_last, deterministic=True)
    backend = assemble(
        "mine", manner, reason="a test", device_name="any", decisions=(first,), fixed_shapes=True
    )
    assert (backend.name, backend.reason, backend.device_name) == ("mine", "a test", "any")
    assert (backend.device, backend.dtype) == (manner.device, manner.dtype)
    assert backend.memory_format == manner.memory_format
    # PyTorch calls the native form's kernel non-deterministic.
    assert backend.ops is SCATTER is not NATIVE
    assert backend.fixed_shapes and backend.deterministic
    assert [decision.what for decision in backend.decisions] == [
        "precision",
        "pooling",
        "un-pooling",
    ]
    assert backend.decisions[1].how == "native on cpu"
    assert backend.verbs is PROCESSOR

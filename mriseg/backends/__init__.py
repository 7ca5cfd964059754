"""The only code that asks what the machine has.

Reading order: `base` (what a backend is), `fallback` (how its operations are found), `assemble`
(both together), then ``cpu``, ``cuda`` and ``mps``, a page each; ``precision``, ``verbs``,
``context``, ``machine``, ``meter`` and ``allocator`` serve these. Of several processes that train
together, ``ranks`` is what a training asks, ``launch`` how they were started, ``joined`` how they
talk, and ``parting`` how they end. A new device is a module with a
`base.Spec` in it and a line in `BACKENDS`, or an entry point of the group ``mriseg.backends`` in
another package.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch

from mriseg.backends.base import COMPILE, DTYPES, Backend, Decision, Spec, type_name
from mriseg.core.choice import Choice
from mriseg.errors import BackendError, ConfigError
from mriseg.registry import Registry

__all__ = [
    "AUTO",
    "AUTO_ORDER",
    "BACKENDS",
    "Backend",
    "Choice",
    "available",
    "describe",
    "reference_backend",
    "select",
]

BACKENDS: Registry[Spec] = Registry(
    "backend",
    {
        "cpu": "mriseg.backends.cpu:BACKEND",
        "cuda": "mriseg.backends.cuda:BACKEND",
        "mps": "mriseg.backends.mps:BACKEND",
    },
    group="mriseg.backends",
)

AUTO = "auto"
AUTO_ORDER = ("cuda", "mps", "cpu")
"""What "auto" tries, fastest first. A backend of another package is used only by its name."""


class Availability(NamedTuple):
    """Whether a backend can be used here, and if not, why."""

    name: str
    ok: bool
    why: str


def available() -> list[Availability]:
    """Every registered backend, and whether it can be used here."""
    return [Availability(name, *BACKENDS[name].probe()) for name in BACKENDS]


def select(
    name: str = AUTO,
    *,
    precision: str = AUTO,
    deterministic: bool = False,
    compile: str = AUTO,
) -> Backend:
    """The backend to compute on.

    Args:
        name: of a backend, or "auto" for the first of `AUTO_ORDER` that this machine has.
        precision: "fp32", "tf32", "bf16", "fp16", or "auto" for the backend's choice.
        deterministic: same input, same bits, at the price of speed; holds inside
            `Backend.running`.
        compile: "always", "never", or "auto" for the backend's choice, which for a device that
            compiles well is to try it in long trainings.

    Raises:
        ConfigError: there is no such backend, precision or way to compile.
        BackendError: this machine has no such device, or it cannot do what was asked.
    """
    if name.lower() == "gpu":
        raise ConfigError("the backend gpu: choose cuda (NVIDIA, AMD) or mps (Mac)")
    if precision != AUTO and precision not in DTYPES:
        raise ConfigError(f"precision = {precision!r}: expected auto, {', '.join(DTYPES)}")
    if compile not in COMPILE:
        raise ConfigError(f"compile = {compile!r}: expected {', '.join(COMPILE)}")
    backend = _compiling(_chosen(name, precision, deterministic), compile)
    return replace(backend, asked=Choice(name, precision, deterministic, compile))


def reference_backend() -> Backend:
    """What every machine has, and what an exported file is compared with: the CPU in float32.

    Tensors are contiguous, as other programs give them. Another memory format rounds differently,
    which now and then makes another of four nearly equal values the maximum; un-pooling then puts
    it elsewhere, and the difference is no longer one of rounding.
    """
    return replace(select("cpu", precision="fp32"), memory_format=torch.contiguous_format)


def _chosen(name: str, precision: str, deterministic: bool) -> Backend:
    if name == AUTO:
        return _first_available(precision, deterministic)
    spec = BACKENDS[name]
    ok, why = spec.probe()
    if not ok:
        usable = [entry.name for entry in available() if entry.ok]
        raise BackendError(
            f"there is no {name.upper()} device here ({why}); available: {', '.join(usable)}. "
            f"Use --backend {' or '.join([AUTO, *usable])}"
        )
    return spec.make(precision, deterministic, "asked for by name")


def _first_available(precision: str, deterministic: bool) -> Backend:
    passed_over: list[str] = []
    for name in AUTO_ORDER:
        ok, why = BACKENDS[name].probe()
        if ok:
            reason = " and ".join(passed_over) or f"{name.upper()} is the first that auto looks for"
            return BACKENDS[name].make(precision, deterministic, reason)
        passed_over.append(f"no {name.upper()} ({why})")
    raise BackendError(f"there is no device to compute on: {', '.join(passed_over)}")


def _compiling(backend: Backend, wanted: str) -> Backend:
    if wanted == "always" and backend.compile == "never":
        why = "--deterministic" if backend.deterministic else f"{backend.name} as it is"
        raise BackendError(f"--compile always does not go with {why}; use auto or never")
    how = backend.compile if wanted == AUTO else wanted
    reason = {
        "auto": "a training that is long enough tries it and keeps what is faster",
        "always": "asked for",
        "never": "asked for" if wanted == "never" else "it may change bits, or does not work on it",
    }[how]
    decision = Decision("torch.compile", how, reason)
    return replace(backend, compile=how, decisions=(*backend.decisions, decision))


def describe(backend: Backend) -> dict[str, Any]:
    """``backend`` as JSON types, for ``mriseg info`` and for the record of a run."""
    return {
        "name": backend.name,
        "device": str(backend.device),
        "device name": backend.device_name,
        "precision": type_name(backend.dtype),
        "memory format": type_name(backend.memory_format),
        "un-pooling": backend.ops.name,
        "deterministic": backend.deterministic,
        "torch": torch.__version__,
        "reason": backend.reason,
        "decisions": [decision._asdict() for decision in backend.decisions],
        "notes": list(backend.notes),
        **({"processes": backend.ranks.world} if backend.ranks.several else {}),
    }

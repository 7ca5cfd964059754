"""mriseg: train a SegNet on brain MRI, carry it over to the next task, and export it.

The map, from the outside in; imports point only downwards (import-linter and
``tests/test_architecture.py`` hold it)::

    cli/        thin: parse -> config -> backend -> recipe -> draw
    api         the same from Python: the names that ``import mriseg`` offers
    recipes/    one stage a file, read top to bottom; they yield events and never print
    io/         the only code that opens files: readers, the store, runs, exporters
    backends/   the only code that asks what the machine has: cpu, cuda, mps
    core/       pure: configs, volumes, sampling, augmentation, SegNet, losses, metrics
    registry    name -> "module:attribute", imported on first use
    errors      every exception raised on purpose, and its exit code
    sample/     three patients of the LGG data set, under their own licences
    models/     a trained model, likewise

``io`` and ``backends`` never meet. Importing ``mriseg`` loads nothing heavy: a public name is
imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> where it lives.
_API: dict[str, str] = {
    name: f"mriseg.api:{name}"
    for name in (
        "Backend",
        "PredictOptions",
        "Run",
        "Store",
        "TrainConfig",
        "bench",
        "compare",
        "demo",
        "doctor",
        "evaluate",
        "evaluate_masks",
        "export",
        "finish",
        "open_run",
        "open_store",
        "predict",
        "preprocess",
        "resume",
        "select",
        "share",
        "train",
        "transfer",
        "verify",
    )
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _API[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})

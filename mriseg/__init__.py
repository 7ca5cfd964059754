"""mriseg: train a SegNet on brain MRI, transfer it to the next task, and export it.

The map, from the outside in; imports point only downwards (import-linter and
``tests/test_architecture.py`` hold it)::

    cli/        thin: parse -> config -> backend -> recipe -> draw
    testing/    beside it: the suites that plug-ins inherit
    api         the same from Python: the names that ``import mriseg`` offers
    console     how events look: bars in a terminal, a display in a notebook, or lines
    recipes/    one command per file, read top to bottom; they yield events and never print
    engine/     computes on a backend; opens no file
    report/     documents for people; computes nothing
    io/         the only code that opens files: readers, the store, runs, exporters
    backends/   the only code that asks what the machine has: cpu, cuda, mps
    overview/   what reports, stores and runs show of themselves
    core/       pure: configs, volumes, sampling, augmentation, SegNet, losses, metrics
    events      what a recipe reports while it runs
    registry    name -> "module:attribute", imported on first use
    errors      every exception raised on purpose, and its exit code
    sample/     three patients of the LGG data set, under their own licences
    models/     a trained model, likewise

``io`` and ``backends`` never meet. Importing ``mriseg`` loads nothing heavy: the first public name
that is used loads `mriseg.api`, whose ``__all__`` says which there are.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

# Light, and ``except mriseg.errors.MrisegError`` must work without another import.
from mriseg import errors as errors
from mriseg import events as events

__version__ = "0.1.0"

if TYPE_CHECKING:
    # Type checkers and editors see the names themselves: a __getattr__ would answer any with Any.
    from mriseg.api import *  # noqa: F403
    from mriseg.api import __all__ as __all__
else:

    def __getattr__(name: str) -> Any:
        """Import a public name on first use (PEP 562)."""
        special = name.startswith("_") and name != "__all__"
        # A submodule that is not loaded yet is the import system's to load, without the rest.
        if special or find_spec(f"{__name__}.{name}"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        api = import_module(f"{__name__}.api")
        if name != "__all__" and name not in api.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(api, name)
        return value

    def __dir__() -> list[str]:
        # What is public, and not what this module itself has imported.
        return sorted({*__getattr__("__all__"), "__version__", "errors", "events"})

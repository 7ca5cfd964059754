"""Libraries that only some formats need: asked for where they are used, named where they lack."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mriseg.errors import BackendError


def needed(format: str, module: str, extra: str) -> Any:
    """A module that is an extra of mriseg's.

    Raises:
        BackendError: it is not installed, or does not work here.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise BackendError(
            f"{format} needs {name}, which cannot be imported here ({error}): "
            f'pip install "mriseg[{extra}]"'
        ) from None

"""The library that registers, which not everybody has installed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from mriseg.errors import ConfigError

INSTALL = 'pip install "mriseg[align]"'


def missing() -> str:
    """That the library is missing and how to get it, as a clause; or nothing."""
    if importlib.util.find_spec("SimpleITK") is not None:
        return ""
    return f"aligning scans needs SimpleITK, not installed here: {INSTALL}"


def library() -> Any:
    """SimpleITK.

    Raises:
        ConfigError: it is not installed, or does not work here.
    """
    try:
        return importlib.import_module("SimpleITK")
    except ImportError as error:
        raise ConfigError(
            f"aligning scans needs SimpleITK, which cannot be imported ({error}): {INSTALL}"
        ) from None

"""The libraries for DICOM, which not everybody has installed."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from mriseg.errors import ConfigError

INSTALL = 'pip install "mriseg[dicom]"'

_READ = ("pydicom", "dcm2niix")
_WRITE = ("pydicom", "highdicom")


def missing(*, writes: bool = False) -> str:
    """Which libraries are missing and how to get them, as a clause; or nothing.

    Args:
        writes: for writing DICOM, not for reading it.
    """
    names = _WRITE if writes else _READ
    lacking = [name for name in names if importlib.util.find_spec(name) is None]
    if not lacking:
        return ""
    what = "writing DICOM" if writes else "reading DICOM"
    return f"{what} needs {' and '.join(lacking)}, not installed here: {INSTALL}"


def library(name: str) -> ModuleType:
    """A library for DICOM.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"DICOM needs {name}, which cannot be imported: {INSTALL}") from error

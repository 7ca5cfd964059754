"""Data layouts: one module each, listed in ``READERS``; ``find`` chooses one and lists its cases."""

from __future__ import annotations

from pathlib import Path

from mriseg.errors import InputError
from mriseg.io.readers.base import SEGMENTATION, Case, Found, Loaded, Reader, ReaderOptions
from mriseg.registry import Registry

__all__ = ["READERS", "SEGMENTATION", "Case", "Found", "Loaded", "Reader", "ReaderOptions", "find"]

# In the order in which "auto" asks them: the most particular layout first.
READERS: Registry[Reader] = Registry(
    "layout",
    {
        "lgg": "mriseg.io.readers.lgg:READER",
        "nnunet": "mriseg.io.readers.nnunet:READER",
        "brats": "mriseg.io.readers.brats:READER",
    },
    group="mriseg.readers",
)

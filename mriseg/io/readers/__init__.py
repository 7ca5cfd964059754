"""Data layouts: one module each, listed in ``READERS``; ``find`` picks one and lists its cases."""

from __future__ import annotations

from pathlib import Path

from mriseg.core.modalities import SEGMENTATION
from mriseg.errors import InputError
from mriseg.io.images import is_image
from mriseg.io.readers.base import Case, Listing, RawCase, Reader, ReaderOptions
from mriseg.registry import Registry

__all__ = [
    "READERS",
    "SEGMENTATION",
    "Case",
    "Listing",
    "RawCase",
    "Reader",
    "ReaderOptions",
    "find",
]

# In the order in which "auto" tries them: the most specific layout first.
READERS: Registry[Reader] = Registry(
    "layout",
    {
        "lgg": "mriseg.io.readers.lgg:READER",
        "h5": "mriseg.io.readers.h5:READER",
        "nnunet": "mriseg.io.readers.nnunet:READER",
        "brats": "mriseg.io.readers.brats:READER",
        "flat": "mriseg.io.readers.flat:READER",
    },
    group="mriseg.readers",
)


def find(
    root: Path, layout: str = "auto", options: ReaderOptions | None = None
) -> tuple[str, Listing]:
    """The cases under a folder, and the layout they are in.

    Args:
        root: the folder, or a single image.
        layout: a name in ``READERS``, or "auto" for the first that matches the folder.
        options: what the files do not specify.

    Raises:
        InputError: there is no such folder, it is in no known layout, or it has no case.
        UnknownNameError: there is no such layout.
    """
    if not root.exists():
        raise InputError(f"there is no folder {root}")
    if root.is_file():
        if not is_image(root):
            raise InputError(f"{root} is not an image; give one, or the folder with the scans")
        layout = "flat"
    elif layout == "auto":
        layout = _recognise(root)
    return layout, READERS[layout].find(root, options or ReaderOptions())


def _recognise(root: Path) -> str:
    for name, reader in READERS.items():
        if reader.matches(root):
            return name
    expected = "\n".join(f"  {name}: {reader.summary}" for name, reader in READERS.items())
    raise InputError(
        f"{root} is in no known layout (links that lead out of it are not followed); "
        f"expected one of\n{expected}"
    )

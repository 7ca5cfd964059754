"""The sample scans that ship with the package: three patients of the LGG data set."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mriseg.errors import InputError


def sample_dir() -> Path:
    """The sample's ``kaggle_3m`` folder, with one folder per patient, for the ``lgg`` reader.

    Source, citation and terms are in the README.md and LICENSE next to it.

    Raises:
        InputError: the package was installed without its data, or is inside an archive.
    """
    folder = files("mriseg") / "sample" / "kaggle_3m"
    if not isinstance(folder, Path) or not folder.is_dir():
        raise InputError(
            f"there are no sample scans at {folder}; mriseg must be installed unpacked and with "
            f"its package data: reinstall it with pip"
        )
    return folder

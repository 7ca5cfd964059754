"""A folder of NIfTI files without labels, or a single file: the usual input of a prediction.

Names are interpreted as in nnU-Net, with one file per channel or one file per case.
"""

from __future__ import annotations

from pathlib import Path

from mriseg.errors import InputError
from mriseg.io import images as containers
from mriseg.io.readers import folders
from mriseg.io.readers.base import Listing, ReaderOptions
from mriseg.io.readers.dataset_json import read_description
from mriseg.io.readers.nnunet import build


class FlatReader:
    """Image files in one folder (``imagesTs``), or a single one."""

    name = "flat"
    summary = "NIfTI images in one folder, without labels (imagesTs/), or a single one"

    def matches(self, root: Path) -> bool:
        """Whether ``root`` is a NIfTI file or directly contains one."""
        return bool(_images(root))

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases of ``root``; a ``dataset.json`` beside the folder names the channels."""
        images = _images(root)
        if not images:
            raise InputError(f"no NIfTI file in {root}: expected {self.summary}")
        beside = root.parent if root.is_dir() else root.parent.parent
        described = read_description(beside / "dataset.json")
        named = root.name in ("imagesTs", "imagesTr")
        return build(images, {}, described, options, named=named)


READER = FlatReader()


def _images(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if containers.is_image(root) else []
    return [path for path in folders.files(root) if containers.is_image(path)]

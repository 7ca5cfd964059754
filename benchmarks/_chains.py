"""MONAI's and TorchIO's usual chain for a case: load, orient, normalise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mriseg.io.readers.base import SEGMENTATION


def monai(files: Mapping[str, Path]) -> dict[str, Any]:
    """Each file's volume [1, x, y, z]; images have mean 0 and deviation 1 where they are not 0."""
    return _monai_chain(tuple(files))({name: str(path) for name, path in files.items()})


@cache
def _monai_chain(names: tuple[str, ...]) -> Any:
    from monai.transforms import (
        Compose,
        EnsureChannelFirstd,
        LoadImaged,
        NormalizeIntensityd,
        Orientationd,
    )

    images = [name for name in names if name != SEGMENTATION]
    return Compose(
        [
            LoadImaged(names),
            EnsureChannelFirstd(names),
            Orientationd(names, axcodes="RAS", labels=None),
            NormalizeIntensityd(images, nonzero=True, channel_wise=True),
        ]
    )


def torchio(files: Mapping[str, Path]) -> dict[str, Any]:
    """Each file's volume [1, x, y, z]; images have mean 0 and deviation 1 where above 0."""
    import torchio as tio

    subject = tio.Subject(
        **{
            name: (tio.LabelMap if name == SEGMENTATION else tio.ScalarImage)(path)
            for name, path in files.items()
        }
    )
    transformed = _torchio_chain()(subject)
    return {name: transformed[name].data for name in files}


@cache
def _torchio_chain() -> Any:
    import torchio as tio

    above_zero = tio.ZNormalization(masking_method=_above_zero)
    return tio.Compose([tio.ToCanonical(), above_zero])


def _above_zero(volume: Any) -> Any:
    return volume > 0

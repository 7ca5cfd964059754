"""Masks and probability maps as NIfTI."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mriseg.io import nifti
from mriseg.io.writers.base import Output
from mriseg.io.writers.names import probability_ending, series_ending


class NiftiWriter:
    """A mask, and beside it a probability map per region, and a mask per scan of its session."""

    suffix = ".nii.gz"

    def write(self, output: Output, path: Path) -> None:
        """See `mriseg.io.writers.base.Writer.write`."""
        nifti.write(path, output.labels, output.geometry)
        stem = nifti.stem(path)
        for region, values in output.probabilities.items():
            beside = path.with_name(f"{stem}{probability_ending(region)}.nii.gz")
            nifti.write(beside, values.astype(np.float32), output.geometry)
        series = output.session.series if output.session is not None else {}
        for modality, one in series.items():
            beside = path.with_name(f"{stem}{series_ending(modality)}.nii.gz")
            nifti.write(beside, one.back(output.labels, output.geometry), one.own)


WRITER = NiftiWriter()

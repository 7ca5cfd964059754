"""Writers put a case's masks into files that other programs open.

- ``base``: what a writer is given
- ``names``: what a case's files are called
- ``nifti``: masks and probability maps as NIfTI
- ``bids``: the same as a BIDS derivative, with sidecars
- ``dicom_seg``: the same as DICOM-SEG, for a case that was read from DICOM
"""

from __future__ import annotations

from mriseg.io.writers.base import Output, Writer
from mriseg.registry import Registry

__all__ = ["WRITERS", "Output", "Writer"]

WRITERS: Registry[Writer] = Registry(
    "writer",
    {
        "nifti": "mriseg.io.writers.nifti:WRITER",
        "bids": "mriseg.io.writers.bids:WRITER",
        "dicom-seg": "mriseg.io.writers.dicom_seg:WRITER",
    },
)

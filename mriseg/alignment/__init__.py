"""Rigid registration of the scans of a session, which computes with SimpleITK and opens no file.

- ``extra``: the library
- ``frames``: a scan at a coarser resolution, as the library takes it
- ``rigid``: the registration
"""

from __future__ import annotations

from mriseg.alignment.extra import ALIGN
from mriseg.alignment.rigid import Reference, align

__all__ = ["ALIGN", "Reference", "align"]

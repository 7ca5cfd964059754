"""A case as the page shows it: on one grid in RAS, cut to what there is to see; and the way back.

The grid depends on the scan alone, so that a drawing fits it whatever the mask has become. What
lies outside of it is not drawn, and is kept as it was.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core import display, volume
from mriseg.core.display import Levels
from mriseg.core.modalities import display_modality
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions, labels_of_numbers, region_numbers
from mriseg.core.volume import sides
from mriseg.errors import InputError
from mriseg.io.nifti_embed import embedded
from mriseg.io.nifti_received import received_labels
from mriseg.report.viewer import is_flat, viewed_image

Array = NDArray[Any]

# Of a voxel's side: what single precision makes of an affine is far less.
_SAME_PLACE = 0.01
# Bytes of a file beside its voxels: a header, its extensions, and what gzip adds to noise.
_BESIDE = 2**16


class OpenedCase:
    """A prepared case and its grid.

    Args:
        case: as it was read.
        regions: of the model.
    """

    def __init__(self, case: PreparedCase, regions: Regions) -> None:
        self._case, self._regions = case, regions
        self._cut = display.shown_box([case.image])
        self._box = display.within(case.box, self._cut)
        self._affine = display.ras_affine(case.geometry, self._box)
        self._levels: dict[str, Levels] = {}
        self._lock = threading.Lock()
        self.geometry = case.geometry

    @property
    def modalities(self) -> list[str]:
        """Names, the one to show first in front."""
        first = display_modality(self._case.modalities)
        return sorted(self._case.modalities, key=lambda name: name != first)

    @property
    def in_mm(self) -> bool:
        """Whether lengths are in mm."""
        return self.geometry.unit == "mm"

    @property
    def flat(self) -> bool:
        """Whether the planes across the slices show little."""
        return is_flat(self.geometry, self._box)

    @property
    def most_bytes(self) -> int:
        """Of a drawing on this grid, packed or not."""
        return int(np.prod(self._box.shape)) * 2 + _BESIDE

    def window(self, modality: str) -> tuple[float, float]:
        """The values of a modality that are drawn black and white at first."""
        return self._levels_of(modality).window

    def image(self, modality: str) -> bytes:
        """A modality as gzipped NIfTI."""
        levels = self._levels_of(modality)
        return self._packed(levels.data, slope=levels.slope, inter=levels.inter)

    def mask(self, labels: Array | None) -> bytes:
        """A label map on the scan's own grid as gzipped NIfTI: region r is r + 1; None: empty.

        Raises:
            InputError: it is on another grid, or a label is of no region.
        """
        if labels is None:
            return self._packed(np.zeros(self._box.shape, np.uint8), labels=True)
        cut = volume.crop(volume.canonical(labels, self.geometry), self._box)
        return self._packed(region_numbers(cut, self._regions), labels=True)

    def probability(self, values: Array) -> bytes:
        """A probability map on the scan's own grid as gzipped NIfTI.

        Raises:
            InputError: it is on another grid.
        """
        levels = display.shares(volume.crop(volume.canonical(values, self.geometry), self._box))
        return self._packed(levels.data, slope=levels.slope)

    def written_back(self, content: bytes, before: Array | None) -> NDArray[np.uint8]:
        """A drawing on this grid as a label map on the scan's own.

        Args:
            content: of a NIfTI file.
            before: the label map that was drawn upon, [i, j, k] on the scan's own grid; None: none.

        Raises:
            InputError: it is not NIfTI, on another grid, or holds labels of no region.
        """
        numbers = self._drawing(content)
        whole = np.zeros(self.geometry.shape, np.uint8) if before is None else before.copy()
        view = volume.crop(volume.canonical(whole, self.geometry), self._box)
        view[...] = labels_of_numbers(numbers, self._regions)
        return whole

    def _drawing(self, content: bytes) -> NDArray[np.uint8]:
        """The numbers [z, y, x] of a drawing."""
        expected = self._box.shape[::-1]
        labels, geometry = received_labels(content, int(np.prod(expected)))
        if geometry.shape != expected:
            raise InputError(
                f"the mask has {sides(geometry.shape)} voxels; this case is drawn on "
                f"{sides(expected)}"
            )
        size = np.linalg.norm(self._affine[:3, :3], axis=0).min()
        if not np.abs(np.asarray(geometry.affine) - self._affine).max() <= _SAME_PLACE * size:
            raise InputError("the mask lies elsewhere in space than this case")
        return np.asarray(display.to_ras(labels.T))

    def _levels_of(self, modality: str) -> Levels:
        with self._lock:
            if modality not in self._levels:
                self._levels[modality] = viewed_image(self._case, modality, self._cut).levels
            return self._levels[modality]

    def _packed(self, data: Array, **header: Any) -> bytes:
        return embedded(display.to_ras(data), self._affine, in_mm=self.in_mm, **header)

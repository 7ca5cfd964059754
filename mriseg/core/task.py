"""What a network is for: which channels it reads, which regions it segments, at what size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mriseg.core.regions import Regions
from mriseg.core.volume import Spacing

if TYPE_CHECKING:
    from mriseg.core.segnet import SegNetConfig


@dataclass(frozen=True)
class Task:
    """A segmentation task, as a network was or will be trained for it.

    Attributes:
        modalities: names of the input channels, in order.
        regions: name -> label values of each output channel, in order.
        frame: height and width of a training slice, in voxels.
        spacing: size of its pixels (y, x), in mm; None: not known. Slices whose pixels differ are
            resampled for the network (`mriseg.core.resampling`).
    """

    modalities: tuple[str, ...]
    regions: Regions
    frame: tuple[int, int]
    spacing: Spacing | None = None

    def network(self, width: int) -> SegNetConfig:
        """The configuration of a network of ``width`` for this task."""
        from mriseg.core.segnet import SegNetConfig  # late: a store knows tasks and needs no torch

        return SegNetConfig(
            in_channels=len(self.modalities), classes=len(self.regions), width=width
        )

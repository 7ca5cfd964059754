"""What a writer is given, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from mriseg.core.bids_output import BidsForm
from mriseg.core.preparation import SessionRecord
from mriseg.core.volume import Geometry

Array = NDArray[Any]


@dataclass(frozen=True)
class MadeBy:
    """What made a result, for formats that state it.

    Attributes:
        model: its name.
        digest: `mriseg.io.runs.Run.digest`.
        version: of mriseg.
    """

    model: str = ""
    digest: str = ""
    version: str = ""


@dataclass(frozen=True)
class Output:
    """A case's result, on the scan's own grid.

    Attributes:
        case: its name.
        labels: [i, j, k] uint8 label map, as `mriseg.core.regions.label_map` numbers the regions.
        geometry: of the scan.
        probabilities: region -> [i, j, k] float32; empty where none are to be written.
        files: that the case was read from, for formats that need their headers.
        reference: those of them of the modality that masks are shown on.
        masks: region -> [i, j, k] 0/1, whole where regions overlap.
        colours: region -> its colour, as red, green and blue up to 255.
        made_by: what made it.
        series: modality -> the files that it was read from.
        bids: how files refer to each other in BIDS; None for other formats.
        session: how the case's scans came onto the grid, where each is to have a mask of its own.
    """

    case: str
    labels: Array
    geometry: Geometry
    probabilities: Mapping[str, Array] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    reference: tuple[Path, ...] = ()
    masks: Mapping[str, Array] = field(default_factory=dict)
    colours: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    made_by: MadeBy = MadeBy()
    series: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    bids: BidsForm | None = None
    session: SessionRecord | None = None


class Writer(Protocol):
    """Writes a case's masks in one format.

    Attributes:
        suffix: of the file that holds the mask, such as ``.nii.gz``.
    """

    suffix: str

    def write(self, output: Output, path: Path) -> None:
        """Write ``output`` to ``path``, and what belongs to it beside that.

        Raises:
            OutputError: it cannot be written; nothing half-written is left.
        """

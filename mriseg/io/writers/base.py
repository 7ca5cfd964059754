"""What a writer is given, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from mriseg.core.volume import Geometry

Array = NDArray[Any]


@dataclass(frozen=True)
class Output:
    """A case's result, on the scan's own grid.

    Attributes:
        case: its name.
        labels: [i, j, k] uint8 label map, as `mriseg.core.regions.label_map` numbers the regions.
        geometry: of the scan.
        probabilities: region -> [i, j, k] float32; empty where none are to be written.
        files: that the case was read from, for formats that need their headers.
    """

    case: str
    labels: Array
    geometry: Geometry
    probabilities: Mapping[str, Array] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


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

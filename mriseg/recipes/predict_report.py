"""What predictions gave: each case's result, and all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mriseg.core.certainty import RegionCertainty, urgency
from mriseg.io import nifti
from mriseg.io.predictions import MaskRecord
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews

_MAX_URGENT = 5


@dataclass(frozen=True)
class CasePrediction:
    """One case's result.

    Attributes:
        case: its name.
        mask: the file; labels as `mriseg.core.regions.label_map` numbers them, one region is 1.
        volumes: region -> mL (or voxels where the scan states no voxel size).
        unit: "mm" or "px".
        kept: whether it was there already, and nothing was done.
        modalities: the channels that were used.
        missing: channels that the model reads and the scan lacks.
        unused: modalities that the scan has and that were not used.
        trained_on: whether the model was trained on this scan.
        certainty: region -> how sure its mask is; empty for a mask of an earlier mriseg.
        flags: why to look at it, in plain words.
    """

    case: str
    mask: Path
    volumes: dict[str, float]
    unit: str
    kept: bool = False
    modalities: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    trained_on: bool = False
    certainty: Mapping[str, RegionCertainty] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether no voxel is segmented."""
        return not any(self.volumes.values())

    @property
    def picture(self) -> Path | None:
        """The picture beside the mask; None where none was drawn."""
        path = self.mask.with_name(f"{nifti.stem(self.mask)}.png")
        return path if path.is_file() else None


@dataclass(frozen=True, repr=False)
class PredictReport(Shown):
    """What `predict` did; also in ``report.json`` beside the masks.

    Attributes:
        results: of the cases that have a mask, made now or kept.
        skipped: (case, reason) of what was skipped.
        page: ``report.html``, to look at them.
        tables: ``volumes.csv`` and ``volumes.json``, of all masks that are there.
    """

    results: tuple[CasePrediction, ...]
    skipped: tuple[tuple[str, str], ...]
    page: Path | None = None
    tables: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path | None:
        """Where the masks are, or the folders of theirs; None where there is no mask."""
        places = [*self.tables, *(result.mask for result in self.results)]
        return places[0].parent if places else None

    @property
    def empty(self) -> tuple[str, ...]:
        """The cases whose mask is empty."""
        return tuple(result.case for result in self.results if result.empty)

    @property
    def by_urgency(self) -> tuple[CasePrediction, ...]:
        """The results, those first that need a look (`mriseg.core.certainty.urgency`)."""
        return tuple(sorted(self.results, key=lambda result: -urgency(result)))

    @property
    def urgent(self) -> tuple[str, ...]:
        """The names of the few cases to look at first; none where no mask is known to be sure."""
        count = min(_MAX_URGENT, math.ceil(len(self.results) / 3))
        known = [result for result in self.by_urgency if result.certainty or result.empty]
        return tuple(result.case for result in known[:count])

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.predicted(self)


def result_of(record: MaskRecord, target: Path, *, kept: bool) -> CasePrediction:
    """A case's result, from the record of its mask at ``target``."""
    return CasePrediction(
        case=record.case,
        mask=target,
        volumes=dict(record.volumes),
        unit=record.unit,
        kept=kept,
        modalities=record.modalities,
        missing=record.missing,
        unused=record.unused,
        trained_on=record.trained_on,
        certainty=record.certainty,
        flags=record.flags,
    )

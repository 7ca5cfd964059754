"""The tables of a folder of masks, ``volumes.csv`` and ``volumes.json``: a row per case and region.

They hold all masks that the record knows and that are still there, in the order in which they need
a look (`mriseg.core.certainty.urgency`), and are written again with each prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mriseg.core.certainty import urgency
from mriseg.core.volume import volume_unit
from mriseg.io.disk.documents import write_csv, write_json
from mriseg.io.predictions import FILE, MaskRecord, Predictions, read_predictions

CSV, JSON = "volumes.csv", "volumes.json"
EDITED = "edited since"


@dataclass(frozen=True)
class KeptMask:
    """A mask that is still there.

    Attributes:
        record: what made it.
        edited: whether its file was changed since, so that the record's numbers are no longer its.
    """

    record: MaskRecord
    edited: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Why to look at it, in plain words."""
        return (*((EDITED,) if self.edited else ()), *self.record.flags)


def kept_masks(folder: Path, known: Predictions) -> list[KeptMask]:
    """The masks of a record that are still in the folder, those first that need a look."""
    masks = [
        KeptMask(record, edited=not record.files[0].is_still(folder / name))
        for name, record in known.masks.items()
        if (folder / name).exists()
    ]
    return sorted(masks, key=lambda mask: -urgency(mask.record, edited=mask.edited))


def write_tables(record: Path) -> tuple[Path, ...]:
    """Write both tables beside a record; gives where they are, none where there is no mask.

    Args:
        record: from `mriseg.io.predictions.record_path`.

    Raises:
        OutputError: the record cannot be read, or they cannot be written.
    """
    masks = kept_masks(record.parent, read_predictions(record))
    if not masks:
        return ()
    rows = [row for mask in masks for row in _rows(mask)]
    start = record.name.removesuffix(FILE)
    csv, json = record.with_name(start + CSV), record.with_name(start + JSON)
    texts = [{key: _in_one_cell(value) for key, value in row.items()} for row in rows]
    write_csv(csv, texts, spreadsheet=True)
    write_json(json, rows)
    return csv, json


def _rows(mask: KeptMask) -> list[dict[str, Any]]:
    record = mask.record
    rows = []
    for number, (region, volume) in enumerate(record.volumes.items()):
        sure = record.certainty.get(region)
        ranged = sure is not None and sure.covers is not None
        rows.append(
            {
                "case": record.case,
                "region": region,
                "volume": volume,
                "unit": volume_unit(record.unit),
                "volume_low": sure.volume_low if sure and ranged else None,
                "volume_high": sure.volume_high if sure and ranged else None,
                "covers": sure.covers if sure else None,
                "components": sure.components if sure else None,
                "predicted_dice": sure.dice if sure else None,
                "expected_dice": sure.expected_dice if sure else None,
                "empty": volume == 0,
                "flags": mask.flags,
                "modalities": record.modalities,
                "threshold": _of_region(record.settings.get("threshold"), number),
                "model": record.model.path,
                "model_digest": record.model.digest,
                "trained_on": record.trained_on,
                "mask": record.mask,
            }
        )
    return rows


def _of_region(value: Any, number: int) -> Any:
    """A setting's value for one region, of one for each or one for all."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return value
    return value[number] if number < len(value) else None


def _in_one_cell(value: Any) -> Any:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else value

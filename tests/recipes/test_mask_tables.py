"""The tables of a folder of masks: all that are there, those first that need a look."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mriseg.core.certainty import RegionCertainty
from mriseg.errors import OutputError
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.predictions import MaskRecord, read_predictions, record_path, update_predictions
from mriseg.recipes.mask_tables import kept_masks, write_tables
from tests.pages import mask_record

SURE = {"WT": RegionCertainty(0.93, 0.9, 10.0, 15.0, 1, 0.8)}
UNSURE = {"WT": RegionCertainty(0.55, 0.9, 5.0, 31.0, 4, 0.8)}


def write(folder: Path, case: str, **changes: object) -> MaskRecord:
    path = folder / f"{case}.nii.gz"
    path.write_bytes(case.encode())
    record = mask_record(case, files=(KnownFile.of(path),), **changes)  # type: ignore[arg-type]
    update_predictions(record_path(folder), lambda now: now.with_mask(record))
    return record


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_they_come_in_the_order_of_looking(tmp_path: Path) -> None:
    write(tmp_path, "a", certainty=SURE, settings={"threshold": [0.4]})
    write(tmp_path, "b", certainty=UNSURE, flags=("without T2", "voxels of 3.0 mm"))
    write(tmp_path, "c", volume=0.0, certainty=SURE, flags=("empty mask",))
    write(tmp_path, "d", certainty=UNSURE)
    write(tmp_path, "e", certainty=UNSURE)
    write(tmp_path, "f")
    (tmp_path / "d.nii.gz").unlink()
    (tmp_path / "e.nii.gz").write_bytes(b"corrected")
    files = write_tables(record_path(tmp_path))
    assert [path.name for path in files] == ["volumes.csv", "volumes.json"]
    table = rows(files[0])
    assert [row["case"] for row in table] == ["c", "f", "b", "a", "e"]
    assert table[2]["flags"] == "without T2; voxels of 3.0 mm"
    assert table[4]["flags"] == "edited since"
    a = table[3]
    assert (a["volume"], a["unit"], a["volume_low"], a["volume_high"]) == (
        "12.5",
        "mL",
        "10.0",
        "15.0",
    )
    assert (a["predicted_dice"], a["components"], a["threshold"]) == ("0.93", "1", "0.4")
    assert (a["model"], a["model_digest"], a["modalities"]) == ("base", "ab" * 32, "T1; FLAIR")
    # Of a mask of an earlier mriseg nothing is known, and nothing is made up.
    assert {table[1][key] for key in ("predicted_dice", "volume_low", "components")} == {""}
    listed = json.loads(files[1].read_text())
    assert [row["case"] for row in listed] == [row["case"] for row in table]
    assert listed[2]["flags"] == ["without T2", "voxels of 3.0 mm"] and listed[0]["empty"] is True


def test_a_range_that_is_not_calibrated_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path, "a", certainty={"WT": RegionCertainty(None, 0.9, 10.0, 15.0, 1)})
    [row] = rows(write_tables(record_path(tmp_path))[0])
    assert row["volume_low"] == row["predicted_dice"] == "" and row["expected_dice"] == "0.9"


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    write(tmp_path, "=1+1", certainty=SURE, modalities=("-T1",))
    csv_path, json_path = write_tables(record_path(tmp_path))
    [row] = rows(csv_path)
    assert row["case"] == "'=1+1" and row["modalities"] == "'-T1"
    assert json.loads(json_path.read_text())[0]["case"] == "=1+1"


def test_a_mask_that_is_a_file_has_tables_of_its_own(tmp_path: Path) -> None:
    mask = tmp_path / "one.nii.gz"
    mask.write_bytes(b"mask")
    record = mask_record("a", mask=mask.name, files=(KnownFile.of(mask),), unit="px")
    update_predictions(record_path(mask), lambda now: now.with_mask(record))
    files = write_tables(record_path(mask))
    assert [path.name for path in files] == ["one.volumes.csv", "one.volumes.json"]
    assert rows(files[0])[0]["unit"] == "voxels"


def test_without_a_mask_there_is_no_table(tmp_path: Path) -> None:
    assert write_tables(record_path(tmp_path)) == ()
    write(tmp_path, "a")
    (tmp_path / "a.nii.gz").unlink()
    assert write_tables(record_path(tmp_path)) == ()
    assert kept_masks(tmp_path, read_predictions(record_path(tmp_path))) == []


def test_a_table_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (tmp_path / "volumes.csv").mkdir()
    with pytest.raises(OutputError, match=r"volumes\.csv"):
        write_tables(record_path(tmp_path))

"""What a cross-validation writes is read back, and damage is one message."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mriseg.core.calibration import BINS, MINOR, Calibration
from mriseg.core.certainty import CertaintyMap
from mriseg.core.pooled_calibration import Figure
from mriseg.errors import ConfigError, InputError
from mriseg.io.cross_validations import (
    CALIBRATION,
    JSON,
    CrossValidation,
    GivenCalibration,
    HeldMask,
    Predicted,
    PredictedCase,
    read_calibration,
    read_cross_validation,
    read_groups,
    read_held,
    read_predicted,
    steps_of,
    write_calibration,
    write_cross_validation,
    write_held,
    write_predicted,
)

LEVEL = Calibration(2.0, -1.0, 0.375, 0.1)
GIVEN = GivenCalibration(
    ("T1", "FLAIR"), {"WT": (1, 2)}, 16, {"loss": "bce"}, {"WT": LEVEL}, 7, ("A",), ("all", "T1")
)
DICE = Figure("", "all", "WT", "dice", 7, 8, 0, 0.75, 0.5, 0.5, 0.875)
RESULT = CrossValidation(
    store="lgg",
    source=None,
    modalities=("T1", "FLAIR"),
    regions={"WT": (1, 2)},
    width=16,
    config={"loss": "bce"},
    leaves_out=True,
    parts={"A": 3, "B": 4},
    trained={"A": 4, "B": 3},
    groups=("A", "B"),
    subsets=("all",),
    nested={"A": {"WT": LEVEL}, "B": {"WT": Calibration()}},
    figures=(DICE,),
)


def test_a_result_comes_back_and_what_is_undefined_is_null(tmp_path: Path) -> None:
    hd95 = Figure("A", "all", "WT", "hd95", 0, 0, 8, math.nan, math.nan, math.nan, math.nan)
    write_cross_validation(tmp_path, RESULT, [{"case": "a", "dice": 0.5}])
    assert read_cross_validation(tmp_path) == read_cross_validation(tmp_path / JSON) == RESULT
    write_cross_validation(tmp_path, CrossValidation(**{**vars(RESULT), "figures": (hd95,)}), [])
    assert "NaN" not in (tmp_path / JSON).read_text()
    [figure] = read_cross_validation(tmp_path).figures
    assert math.isnan(figure.mean) and figure.undefined == 8


def test_a_calibration_comes_back_from_its_folder_and_from_its_file(tmp_path: Path) -> None:
    sure = CertaintyMap(1.5, 0.1, 0.8, 0.8, None, 0.9, 7)
    whole = replace(GIVEN, certainty={"WT": sure})
    write_calibration(tmp_path, whole)
    assert read_calibration(tmp_path) == whole
    write_calibration(tmp_path, GIVEN)
    assert read_calibration(tmp_path) == read_calibration(tmp_path / CALIBRATION) == GIVEN
    with pytest.raises(InputError, match="does not exist: name the folder of a finished mriseg"):
        read_calibration(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"is not of the format mriseg-calibration, version 1"):
        (tmp_path / CALIBRATION).write_text('{"format": "mriseg-run"}')
        read_calibration(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("width", 0), ("calibrations", {"WT": {"scale": 1, "level": 2}}), ("regions", 3)],
)
def test_a_damaged_calibration_is_refused(tmp_path: Path, key: str, value: object) -> None:
    write_calibration(tmp_path, GIVEN)
    data = json.loads((tmp_path / CALIBRATION).read_text())
    (tmp_path / CALIBRATION).write_text(json.dumps({**data, key: value}))
    with pytest.raises(InputError, match=r"calibration\.json is damaged"):
        read_calibration(tmp_path)


def mask() -> HeldMask:
    logits = steps_of(np.array([[[[-np.inf, 0.25, 20.0]]]], np.float32))
    shares, unknown = np.full((1, len(MINOR)), 0.5), np.array([np.nan])
    return HeldMask(logits, np.ones((1, 2, BINS), np.int64), shares, unknown, np.array([0.75]))


def test_a_mask_comes_back(tmp_path: Path) -> None:
    write_held(tmp_path / "x.npz", mask())
    back = read_held(tmp_path / "x.npz", 1)
    assert back.logits.tolist() == [[[[-512, 8, 512]]]] and back.logits.dtype == np.int16
    assert (back.tallies == 1).all() and (back.dice_by_share == 0.5).all()
    assert np.isnan(back.agreement).all() and back.unmoved.tolist() == [0.75]
    with pytest.raises(InputError, match="its arrays have other shapes"):
        read_held(tmp_path / "x.npz", 2)
    for damage in (b"", b"PK\x03\x04", (tmp_path / "x.npz").read_bytes()[:200]):
        (tmp_path / "x.npz").write_bytes(damage)
        with pytest.raises(InputError, match=r"x\.npz is damaged .*; remove it to measure again"):
            read_held(tmp_path / "x.npz", 1)


def test_a_list_of_what_was_predicted_comes_back(tmp_path: Path) -> None:
    assert read_predicted(tmp_path) is None
    listed = Predicted(12.5, (PredictedCase("a", ("T1",), "x.npz", {"WT": 0.5}),))
    write_predicted(tmp_path, listed)
    assert read_predicted(tmp_path) == listed


def test_groups_are_read_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("\ufeffcase,site,group\na,1,DU\nb*,2, HT \n", encoding="utf-8")
    grouping = read_groups(path)
    assert grouping.pairs == (("DU", "a"), ("HT", "b*")) and grouping.exact
    for text in ("", "case,group\n", "case,group\na,\n", "name,group\na,b\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="expected a CSV file with a case and a group"):
            read_groups(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_groups(tmp_path / "none.csv")

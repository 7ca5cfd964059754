"""What info shows, typed."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import torch

from mriseg.backends import BACKENDS
from tests.cli.conftest import Type


def test_info_of_the_machine(tmp_path: Path, type_in: Type) -> None:
    result = type_in(tmp_path, "mriseg info")
    assert result.exit_code == 0, result.output
    for name in BACKENDS:
        assert re.search(rf"^ *{name} +(yes|no)", result.stdout, re.MULTILINE), name
    for word in ("chosen: ", "since", torch.__version__, "un-pooling", "threads", "cores"):
        assert word in result.stdout


def test_info_of_a_store_and_a_run(worked: Path, run: Path, type_in: Type) -> None:
    store = type_in(worked, "mriseg info out.zarr")
    assert store.exit_code == 0 and "3 of 3 patients, 3 labelled" in store.stdout
    assert "T1CE (3 cases)" in store.stdout and "WT (labels 1+2+3+4)" in store.stdout
    result = type_in(worked, f"mriseg info {run}")
    assert result.exit_code == 0 and "width 8: T1+T2+FLAIR -> WT" in result.stdout
    assert "its one epoch is done" in result.stdout


def test_info_lists_the_cases_of_a_store(worked: Path, type_in: Type) -> None:
    name = "BraTS20_Training_001"
    result = type_in(worked, "mriseg info out.zarr --csv cases.csv")
    (row,) = [line for line in result.stdout.splitlines() if line.strip().startswith(name)]
    assert re.fullmatch(rf" *{name} +{name} +T1\+T1CE\+T2\+FLAIR +36x40x12 +1x1x1 mm +\S+ *", row)
    rows = list(csv.DictReader((worked / "cases.csv").open(encoding="utf-8")))
    assert len(rows) == 3 and rows[0]["case"] == name and rows[0]["size_z"] == "12"
    assert float(rows[0]["volume_WT"]) == int(rows[0]["voxels_WT"]) / 1000
    data = json.loads(type_in(worked, "mriseg info out.zarr --json -").stdout)
    assert [case["name"] for case in data["listed"]] == [row["case"] for row in rows]


def test_info_lists_the_runs_of_a_folder(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(worked, "mriseg info runs --csv runs.csv")
    assert result.exit_code == 0, result.output
    (row,) = [line for line in result.stdout.splitlines() if run.name in line]
    assert re.search(r"0\.\d{3}", row) and " out " in row and "its one epoch is done" in row
    (line,) = csv.DictReader((worked / "runs.csv").open(encoding="utf-8"))
    assert line["name"] == run.name
    for given, what in ((f"{run} --all", "a run"), ("--csv x.csv", "this machine")):
        refused = type_in(worked, f"mriseg info {given}")
        assert refused.exit_code == 2 and f"{what} is no list" in refused.stderr


def test_info_of_base_shows_its_figures_and_terms(worked: Path, type_in: Type) -> None:
    shown = type_in(worked, "mriseg info base").stdout
    assert "0.834 [0.809, 0.856]" in shown and "CC BY-NC-SA 4.0" in shown
    assert "not validated yet" not in shown and "epochs finished" not in shown

"""Masks as BIDS has them, and what their sidecars state."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from mriseg.core.bids_labels import read_lookup
from mriseg.core.bids_output import BidsForm
from mriseg.core.orientation import geometry_of
from mriseg.io.writers import WRITERS, Output
from mriseg.io.writers.base import MadeBy

REGIONS = {"WT": (1, 2, 4), "tissue 2": (7,)}


def output(root: Path, form: BidsForm) -> Output:
    masks = {"WT": np.zeros((3, 4, 5), np.uint8), "tissue 2": np.ones((3, 4, 5), np.uint8)}
    masks["WT"][1] = 1
    t1, flair = root / "sub-1" / "t1.nii", root / "sub-1" / "flair.nii"
    return Output(
        case="c",
        labels=masks["WT"],
        geometry=geometry_of((3, 4, 5), np.diag([2.0, 2, 2, 1])),
        probabilities={"WT": masks["WT"] * np.float32(0.25)},
        files=(t1, flair),
        reference=(flair,),
        masks=masks,
        colours={"WT": (1, 2, 3), "tissue 2": (4, 5, 6)},
        made_by=MadeBy("base", "digest", "0.1"),
        series={"T1": (t1,), "FLAIR": (flair,)},
        bids=form,
    )


def test_every_file_and_its_sidecar(tmp_path: Path) -> None:
    form = BidsForm(REGIONS, "source", tmp_path.as_posix())
    path = tmp_path / "sub-1_desc-mriseg_dseg.nii.gz"
    WRITERS["bids"].write(output(tmp_path, form), path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [path.name, *form.beside("sub-1_desc-mriseg_dseg", ["WT"])]
    )
    mask = nib.load(tmp_path / "sub-1_label-tissue2_desc-mriseg_mask.nii.gz")
    assert mask.get_data_dtype() == np.uint8 and np.asarray(mask.dataobj).all()
    maps = nib.load(tmp_path / "sub-1_label-WT_desc-mriseg_probseg.nii.gz")
    assert maps.get_data_dtype() == np.float32 and np.asarray(maps.dataobj).max() == 0.25

    kinds = {}
    for name in ("label-WT_desc-mriseg_mask", "label-tissue2_desc-mriseg_mask"):
        about = json.loads((tmp_path / f"sub-1_{name}.json").read_text())
        assert about["Sources"] == [f"bids:source:sub-1/{m}.nii" for m in ("t1", "flair")]
        assert about["SpatialReference"] == "bids:source:sub-1/flair.nii"
        assert (about["Model"], about["ModelDigest"]) == ("base", "digest")
        kinds[name[6:8]] = about["Type"]
    assert kinds == {"WT": "Lesion", "ti": "ROI"}
    table = read_lookup((tmp_path / "sub-1_desc-mriseg_dseg.tsv").read_text(), "t")
    assert table == {1: ("WT", ("WT",)), 7: ("tissue 2", ("tissue 2",))}


def test_a_store_has_no_sources(tmp_path: Path) -> None:
    path = tmp_path / "sub-1_desc-mriseg_dseg.nii.gz"
    WRITERS["bids"].write(output(tmp_path, BidsForm(REGIONS)), path)
    about = json.loads((tmp_path / "sub-1_desc-mriseg_dseg.json").read_text())
    assert "Sources" not in about and about["Manual"] is False


def test_a_region_alone_has_label_1_whatever_its_labels_are(tmp_path: Path) -> None:
    path = tmp_path / "sub-1_desc-mriseg_dseg.nii.gz"
    whole = output(tmp_path, BidsForm({"WT": (4,)}))
    WRITERS["bids"].write(replace(whole, masks={"WT": whole.labels}), path)
    table = (tmp_path / "sub-1_desc-mriseg_dseg.tsv").read_text()
    assert read_lookup(table, "t") == {1: ("WT", ("WT",))}

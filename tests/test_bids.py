"""Real scans as a BIDS data set, from the folder to masks and scores."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.events import finish
from mriseg.io import readers
from mriseg.io.model_sources import locate
from mriseg.io.runs import open_run
from mriseg.recipes.evaluate_masks import evaluate_masks
from mriseg.recipes.evaluate_scans import evaluate_scans
from mriseg.recipes.predict import PredictOptions, predict
from tests import bids

SUFFIXES = {role: bids.SUFFIXES[modality] for modality, role in bids.ROLES.items()}
QUICK = PredictOptions(overlays=False, flips=False, bids=True)
TABLE = "index\tname\n1\tnecrosis\n2\tedema\n4\tenhancing tumour\n"


def as_bids(scans: Path, names: list[str], root: Path) -> dict[str, str]:
    """Copy cases into a BIDS data set with a derivative of their segmentations; case -> BIDS."""
    bids.describe(root)
    hand = root / "derivatives" / "hand"
    bids.describe(hand, DatasetType="derivative", GeneratedBy=[{"Name": "hand"}])
    named = {}
    for number, name in enumerate(names, start=1):
        (case,) = readers.find(scans / name)[1].cases
        sub = f"{number:02}"
        named[case.name] = f"sub-{sub}"
        for role, paths in case.sources.items():
            folder, end = (hand, "dseg") if role == "seg" else (root, SUFFIXES[role])
            target = bids.anat(folder, sub) / f"sub-{sub}_{end}.nii.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(paths[0], target)
    (hand / "dseg.tsv").write_text(TABLE, encoding="utf-8")
    return named


@pytest.mark.realdata
@pytest.mark.slow
def test_brats_as_bids_is_measured_as_brats(brats_dir: Path, tmp_path: Path, cpu: Backend) -> None:
    names = ["Brats17_CBICA_AXN_1"]
    root = tmp_path / "data"
    named = as_bids(brats_dir, names, root)
    assert bids.problems(root) == []
    run = open_run(locate("base"))
    plain = tmp_path / "plain"
    shutil.copytree(brats_dir / names[0], plain / names[0])
    as_brats = finish(evaluate_scans(plain, run, cpu, options=QUICK, include_seen=True))
    measured = finish(evaluate_scans(root, run, cpu, options=QUICK, include_seen=True))
    assert [score.case for score in measured.scores] == [*named.values()]
    for ours, theirs in zip(measured.scores, as_brats.scores, strict=True):
        assert (ours.region, ours.dice, ours.hd95) == (theirs.region, theirs.dice, theirs.hd95)
    # Masks in the derivative, measured as files, give the same.
    out = root / "derivatives" / "mriseg"
    finish(predict(root, out, run, cpu, QUICK))
    assert bids.problems(out) == []
    files = finish(evaluate_masks(out, root / "derivatives" / "hand", regions="WT"))
    assert [score.case for score in files.scores] == [*named.values()]
    assert np.isclose(files.scores[0].dice, measured.scores[0].dice, atol=1e-6)
    assert files.scores[0].dice > 0.8

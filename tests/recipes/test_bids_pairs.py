"""Masks of BIDS find the truths of their sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.recipes.bids_pairs import by_session
from mriseg.recipes.mask_pairs import pair_up

ANAT = "sub-1/ses-2/anat/sub-1_ses-2"


def lay_out(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")


def test_a_derivative_of_mriseg_beside_a_raw_data_set(tmp_path: Path) -> None:
    kinds = ("desc-mriseg_dseg", "label-WT_desc-mriseg_mask", "label-WT_desc-mriseg_probseg")
    lay_out(tmp_path / "out", *(f"{ANAT}_{kind}.nii.gz" for kind in kinds))
    hand = f"derivatives/hand/{ANAT}"
    brain = f"derivatives/bet/{ANAT}_desc-brain_mask.nii"
    lay_out(tmp_path / "raw", f"{ANAT}_T1w.nii", f"{hand}_label-lesion_mask.nii", brain)
    pairing = pair_up(tmp_path / "out", tmp_path / "raw")
    (pair,) = pairing.pairs.values()
    assert pair.name == "sub-1_ses-2"
    assert pair.mask.name == "sub-1_ses-2_desc-mriseg_dseg.nii.gz"
    assert pair.truth.name == "sub-1_ses-2_label-lesion_mask.nii"
    assert pairing.masks_alone == ()


def test_equal_names_are_pairs_as_ever(tmp_path: Path) -> None:
    for side in ("masks", "truths"):
        lay_out(tmp_path / side, f"{ANAT}_label-a_mask.nii", f"{ANAT}_label-b_mask.nii")
    assert len(pair_up(tmp_path / "masks", tmp_path / "truths").pairs) == 2


def test_two_of_one_session_are_refused(tmp_path: Path) -> None:
    lay_out(tmp_path / "masks", f"{ANAT}_dseg.nii")
    lay_out(tmp_path / "truths", f"{ANAT}_label-a_mask.nii", f"{ANAT}_label-b_mask.nii")
    with pytest.raises(InputError, match="two truths named sub-1_ses-2"):
        pair_up(tmp_path / "masks", tmp_path / "truths")


def test_names_of_no_bids_stay(tmp_path: Path) -> None:
    files = {"a": [tmp_path / "a.nii"], "sub-1_T1w": [tmp_path / "sub-1_T1w.nii"]}
    assert by_session(files, ()) == files

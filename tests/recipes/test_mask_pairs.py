"""Which files make a pair. Where a mask lies beside its truth is in test_evaluate_masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.recipes.mask_pairs import pair_up, read_placed
from mriseg.testing import phantoms


def lay_out(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")


@pytest.mark.parametrize(
    ("mask", "truth", "name"),
    [
        ("a.nii.gz", "a.nii", "a"),
        ("a.nii.gz", "deep/er/a_seg.nii.gz", "a"),
        ("a_pred.nii", "A/a-seg.nii.gz", "a"),
        ("a_mask.nii", "a_GT.nii.gz", "a"),
        ("P1.nii.gz", "P1/seg.nii.gz", "P1"),
        ("P1.nii.gz", "P1/W39_1998.09.19_Segm.nii", "P1"),
        ("a_flair.nii.gz", "a_flair.nii.gz", "a_flair"),
    ],
)
def test_a_pair_shares_its_name(tmp_path: Path, mask: str, truth: str, name: str) -> None:
    lay_out(tmp_path, f"masks/{mask}", f"truths/{truth}")
    (pair,) = pair_up(tmp_path / "masks", tmp_path / "truths").pairs.values()
    assert (pair.name, pair.mask, pair.truth) == (
        name,
        tmp_path / "masks" / mask,
        tmp_path / "truths" / truth,
    )


def test_what_is_left_over_is_named_and_scans_are_no_truths(tmp_path: Path) -> None:
    lay_out(tmp_path / "masks", "a.nii", "a_prob_WT.nii", "a.png", "x.nii", "y.nii", "y_pred.nii")
    lay_out(tmp_path / "truths", "a/a_seg.nii", "a/a_t1.nii", "a/a_flair.nii", "b/b_seg.nii")
    pairing = pair_up(tmp_path / "masks", tmp_path / "truths")
    assert list(pairing.pairs) == ["a"]
    assert (pairing.masks_alone, pairing.truths_alone) == (("x", "y"), ("b",))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("masks/1/a.nii", "masks/2/a.nii", "truths/a.nii"), r"masks named a: .*1/a.nii and .*2/a"),
        (("masks/a.nii", "truths/a_seg.nii", "truths/a_mask.nii"), r"truths named a: .* and .*seg"),
        (("masks/P.nii", "truths/1/P/seg.nii", "truths/2/P/seg.nii"), "two truths named P: .* and"),
        (("masks/P.nii", "truths/P/brain.nii"), r"\(P\) has the name of a truth .* \(brain\)"),
        (("masks/a.nii", "truths/b.nii"), r"no mask under .* \(a\) has the name of a .* \(b\)"),
        (("masks/a.txt", "truths/a.nii"), "holds no NIfTI file of masks"),
        (("masks/a.nii", "other/a.nii"), "truths is not a folder of truths"),
    ],
)
def test_nothing_is_paired_by_accident(tmp_path: Path, files: tuple[str, ...], said: str) -> None:
    lay_out(tmp_path, *files)
    with pytest.raises(InputError, match=said):
        pair_up(tmp_path / "masks", tmp_path / "truths")


def test_both_arrays_are_in_canonical_axes_with_the_truths_geometry(tmp_path: Path) -> None:
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[0, 1, 2] = 7
    where = {"spacing": (3, 2, 1), "origin": (9, 8, 7)}
    phantoms.write_nifti(tmp_path / "masks" / "a.nii", labels, orientation="SAR", **where)
    phantoms.write_nifti(tmp_path / "truths" / "a.nii", labels, orientation="PIL", **where)
    (pair,) = pair_up(tmp_path / "masks", tmp_path / "truths").pairs.values()
    placed = read_placed(pair)
    np.testing.assert_array_equal(placed.mask, labels)
    np.testing.assert_array_equal(placed.truth, labels)
    assert placed.geometry.spacing == (3, 2, 1) and "turned" in placed.remark


def test_truths_from_a_table(tmp_path: Path) -> None:
    for name, folder in (("a", "masks"), ("x", "elsewhere"), ("y", "elsewhere")):
        phantoms.write_nifti(tmp_path / folder / f"{name}.nii", np.ones((2, 3, 4), np.uint8))
    table = tmp_path / "cases.csv"
    table.write_text("case,T1,seg\na,elsewhere/x.nii,elsewhere/y.nii\nb,elsewhere/x.nii,\n")
    pairing = pair_up(tmp_path / "masks", table)
    assert pairing.pairs["a"].truth == tmp_path / "elsewhere" / "y.nii"
    table.write_text("case,T1,seg\na,elsewhere/x.nii,\n")
    with pytest.raises(InputError, match="names no segmentation"):
        pair_up(tmp_path / "masks", table)

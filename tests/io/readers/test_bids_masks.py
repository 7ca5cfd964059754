"""What segmentations of BIDS hold, from tables of labels and from names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.core.volume import canonical
from mriseg.errors import InputError
from mriseg.io import readers
from mriseg.io.readers import Case, Listing, ReaderOptions
from mriseg.recipes.labels import checked_labels
from mriseg.testing import phantoms
from tests import bids


def find(root: Path, options: ReaderOptions | None = None) -> Listing:
    return readers.find(root, "bids", options)[1]


def labels_of(case: Case) -> np.ndarray:
    loaded = case.load()
    assert loaded.labels is not None
    return canonical(loaded.labels, loaded.geometry)


def hand(root: Path, sub: str, name: str) -> Path:
    return bids.anat(root / "derivatives" / "hand", sub) / f"sub-{sub}_{name}.nii.gz"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    bids.write(tmp_path, derivative="")
    return tmp_path


def test_without_a_table_labels_are_those_of_brats(tmp_path: Path) -> None:
    bids.write(tmp_path)
    listing = find(tmp_path)
    assert listing.numbering == "tumour" and [*listing.regions] == ["WT", "TC", "ET"]


@pytest.mark.parametrize("mask", ["label-lesion_mask", "T1w_label-lesion_roi"])
def test_lesions_by_name(tmp_path: Path, mask: str) -> None:
    bids.write(tmp_path, mask=mask)
    assert (find(tmp_path).numbering, find(tmp_path).regions) == ("lesion", {"lesion": (1,)})


@pytest.mark.parametrize(
    "place",
    [
        "sub-01/anat/sub-01_dseg.tsv",
        "dseg.tsv",
    ],
)
def test_a_table_names_the_labels(tmp_path: Path, place: str) -> None:
    bids.write(tmp_path, [("01", "")])
    table = tmp_path / "derivatives" / "manual" / place
    table.write_text("index\tname\n1\tNCR\n2\tedema\n4\tenhancing tumour\n", encoding="utf-8")
    listing = find(tmp_path)
    assert listing.numbering == "files"
    assert listing.regions["TC"] == (1, 4) and listing.regions["edema"] == (2,)
    assert listing.notices[-1] == "labels by dseg.tsv: 1 NCR, 2 edema, 4 enhancing tumour".replace(
        "dseg.tsv", table.name
    )
    assert set(np.unique(labels_of(listing.cases[0]))) <= {0, 1, 2, 4}


def test_a_table_of_other_entities_is_not_its_own(tmp_path: Path) -> None:
    bids.write(tmp_path, [("01", "")])
    table = tmp_path / "derivatives" / "manual" / "desc-aseg_dseg.tsv"
    table.write_text("index\tname\n1\tGM\n", encoding="utf-8")
    assert find(tmp_path).numbering == "tumour"


def test_tables_that_disagree_are_refused(tmp_path: Path) -> None:
    bids.write(tmp_path)
    for sub, text in (("01", "1\ta"), ("02", "1\tb")):
        table = bids.anat(tmp_path / "derivatives" / "manual", sub) / f"sub-{sub}_dseg.tsv"
        table.write_text(f"index\tname\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError, match="label 1 is a by .* and b by"):
        find(tmp_path)
    table.unlink()
    with pytest.raises(InputError, match=r"sub-02_dseg.nii.gz has no table of its labels"):
        find(tmp_path)


class TestMasksOfOneLabelEach:
    @pytest.fixture
    def drawn(self, raw: Path) -> dict[str, np.ndarray]:
        """Two overlapping masks of the first subject, and one of the second."""
        masks = {"WT": np.zeros(bids.SHAPE, np.uint8), "ET": np.zeros(bids.SHAPE, np.uint8)}
        masks["WT"][1:4, 2:6] = 1
        masks["ET"][3:5, 4:8] = 255
        for label, mask in masks.items():
            phantoms.write_nifti(hand(raw, "01", f"label-{label}_mask"), mask)
        phantoms.write_nifti(hand(raw, "02", "label-WT_mask"), masks["WT"])
        return masks

    def test_they_are_joined_where_they_overlap(
        self, raw: Path, drawn: dict[str, np.ndarray]
    ) -> None:
        listing = find(raw)
        case = listing.cases[0]
        assert [path.name for path in case.sources["seg"]] == [
            "sub-01_label-ET_mask.nii.gz",
            "sub-01_label-WT_mask.nii.gz",
        ]
        assert listing.regions == {"WT": (1, 3), "ET": (2, 3)}
        labels = labels_of(case)
        for label, values in listing.regions.items():
            assert np.array_equal(np.isin(labels, values), drawn[label] > 0)
        assert case.load().values.keys() == {1, 2, 3}

    def test_one_that_is_lacking_is_not_taken_as_empty(
        self, raw: Path, drawn: dict[str, np.ndarray]
    ) -> None:
        listing = find(raw)
        loaded = listing.cases[1].load()
        assert loaded.regions == ("WT",)
        wanted = {"WT": listing.regions["WT"]}
        assert checked_labels(loaded, wanted, own_labels=False) is loaded
        for own_labels in (False, True):
            with pytest.raises(InputError, match="do not tell ET: it has no mask of ET"):
                checked_labels(loaded, dict(listing.regions), own_labels=own_labels)

    def test_numbers_mean_nothing_then(self, raw: Path, drawn: dict[str, np.ndarray]) -> None:
        with pytest.raises(InputError, match="give regions by these names"):
            find(raw, ReaderOptions(own_labels=True))

    def test_a_damaged_one_is_named(self, raw: Path, drawn: dict[str, np.ndarray]) -> None:
        hand(raw, "01", "label-ET_mask").write_bytes(b"")
        with pytest.raises(InputError, match="label-ET_mask"):
            find(raw).cases[0].load()


def test_a_mask_of_one_label_alone(raw: Path) -> None:
    phantoms.write_nifti(hand(raw, "01", "label-WT_mask"), np.full(bids.SHAPE, 255, np.uint8))
    listing = find(raw)
    assert listing.regions == {"WT": (1,)} and listing.labels == {1: "WT"}
    assert [*np.unique(labels_of(listing.cases[0]))] == [1]
    assert [case.labelled for case in listing.cases] == [True, False]
    assert listing.cases[1].load().labels is None


def test_maps_and_masks_together_are_refused(raw: Path) -> None:
    bids.image(hand(raw, "01", "dseg"))
    bids.image(hand(raw, "02", "label-WT_mask"))
    with pytest.raises(InputError, match="holds several labels and .* one"):
        find(raw)


def test_labels_and_none_together_are_refused(raw: Path) -> None:
    bids.image(hand(raw, "01", "mask"))
    bids.image(hand(raw, "02", "label-WT_mask"))
    with pytest.raises(InputError, match=r"some masks name a label \(WT\) and others"):
        find(raw)

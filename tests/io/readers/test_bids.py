"""BIDS: which files are a session, which segmentation is its own, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriseg.core.volume import canonical
from mriseg.errors import ConfigError, InputError
from mriseg.io import readers
from mriseg.io.readers import Listing, ReaderOptions
from mriseg.io.readers.bids import READER, has_masks
from mriseg.testing import ReaderContract, Truth, phantoms
from tests import bids

NO_MASKS = ReaderOptions(segmentations=False)


def find(root: Path, options: ReaderOptions | None = None) -> Listing:
    layout, listing = readers.find(root, "auto", options)
    assert layout == "bids"
    return listing


def reasons(listing: Listing) -> dict[str, str]:
    return {path.name: why for path, why in listing.unused.items()}


class TestRawAndDerivative(ReaderContract):
    reader = READER

    def write(self, root: Path) -> Truth:
        return bids.write(root, [("01", "1"), ("01", "2"), ("02", "")], modalities=[*bids.SUFFIXES])


@pytest.mark.slow
class TestLabelsOfAFolder(ReaderContract):
    reader = READER

    def write(self, root: Path) -> Truth:
        truth = bids.write(root, derivative="x", mask="desc-x_dseg")
        folder = root / "derivatives" / "y"
        for number, (case, (_, labels)) in enumerate(truth.items()):
            path = bids.anat(folder, f"0{number + 1}") / f"{case}_desc-x_dseg.nii.gz"
            phantoms.write_nifti(path, np.zeros_like(labels))
        self.options = ReaderOptions(labels=root / "derivatives" / "x")
        return truth


def test_sessions_are_visits_of_one_patient(tmp_path: Path) -> None:
    bids.write(tmp_path, [("01", "1"), ("01", "2"), ("02", "")])
    cases = find(tmp_path).cases
    assert [(case.name, case.patient, case.visit) for case in cases] == [
        ("sub-01_ses-1", "sub-01", "ses-1"),
        ("sub-01_ses-2", "sub-01", "ses-2"),
        ("sub-02", "sub-02", ""),
    ]


@pytest.mark.parametrize("part", ["sub-01", "sub-01/ses-1", "sub-01/ses-1/anat"])
def test_a_part_of_a_data_set(tmp_path: Path, part: str) -> None:
    bids.write(tmp_path, [("01", "1")])
    listing = find(tmp_path / part)
    assert [case.name for case in listing.cases] == ["sub-01_ses-1"]


def test_raw_data_beside_derivatives(tmp_path: Path) -> None:
    bids.write(tmp_path / "rawdata", derivative="")
    bids.write(tmp_path, modalities=())
    assert [case.labelled for case in find(tmp_path).cases] == [True, True]


def test_contrast_is_by_ce_or_named(tmp_path: Path) -> None:
    for name in ("ce-gd_T1w", "FLAIR"):
        bids.image(bids.anat(tmp_path, "1") / f"sub-1_{name}.nii.gz")
    for name in ("acq-postgd_T1w", "ce-none_T1w"):
        bids.image(bids.anat(tmp_path, "2") / f"sub-2_{name}.nii.gz")
    listing = find(tmp_path)
    assert [case.modalities for case in listing.cases] == [("T1CE", "FLAIR"), ("T1", "T1CE")]
    assert listing.notices == (
        "sub-2_acq-postgd_T1w was taken as T1CE, by its acq-postgd; it has no ce-",
    )


def test_two_runs_are_refused_with_a_row_for_each(tmp_path: Path) -> None:
    for name in ("run-1_T1w", "run-2_T1w", "run-2_FLAIR"):
        bids.image(bids.anat(tmp_path, "1") / f"sub-1_{name}.nii.gz")
    listing = find(tmp_path)
    assert listing.cases == ()
    (name, why), *_ = listing.skipped
    assert name == "sub-1" and "2 files may be its T1 (sub-1_run-1_T1w.nii.gz" in why
    assert "case sub-1_2, T1 sub-1/anat/sub-1_run-2_T1w.nii.gz" in why
    first, second = listing.proposals["sub-1"]
    assert [Path(p).name for p in second.files.values()] == [
        "sub-1_run-2_T1w.nii.gz",
        "sub-1_run-2_FLAIR.nii.gz",
    ]
    assert Path(first.files["T1"]).name == "sub-1_run-1_T1w.nii.gz"
    assert set(reasons(listing).values()) == {"its case sub-1 was refused"}


def test_what_is_not_anatomy_is_named(tmp_path: Path) -> None:
    bids.write(tmp_path)
    strange = {
        "sub-01/func/sub-01_task-rest_bold.nii.gz": "in func/, not in anat/",
        "sub-01/anat/sub-01_PDw.nii.gz": "the suffix PDw, which is none of T1w, T2w and FLAIR",
        "sub-01/anat/sub-02_T2w.nii.gz": "its name and its folder sub-01 are of two (sub-)",
        "sub-01/anat/t1.nii.gz": "its name begins with no sub-, as names of BIDS do",
        "sub-01/anat/sub-01_part-phase_T1w.nii.gz": "a part of a signal (part-phase)",
        "sub-01/anat/sub-01_defacemask.nii.gz": "a mask of the face (defacemask)",
        "sourcedata/sub-01/anat/sub-01_T1w.nii": (
            "in sourcedata/, which holds what the data set was made of"
        ),
        "code/sub-01_T1w.nii.gz": "in no folder of a subject (sub-)",
        "derivatives/p/sub-01/anat/sub-01_desc-p_T1w.nii.gz": (
            "an image under derivatives/, and its session has raw ones; give that folder itself to "
            "use it"
        ),
        "derivatives/p/sub-01/anat/sub-01_desc-brain_mask.nii.gz": (
            "a mask of the brain or head, not of a lesion"
        ),
        "derivatives/p/sub-01/anat/sub-01_label-GM_probseg.nii.gz": ("a probability map (probseg)"),
        "derivatives/manual/sub-09/anat/sub-09_dseg.nii.gz": (
            "a segmentation of a session without images"
        ),
    }
    for path in strange:
        bids.image(tmp_path / path)
    listing = find(tmp_path)
    assert len(listing.cases) == 2
    relative = {p.relative_to(tmp_path).as_posix(): why for p, why in listing.unused.items()}
    assert relative == strange


def test_images_of_a_derivative_alone(tmp_path: Path) -> None:
    bids.write(tmp_path)
    for name in ("desc-brain_T1w", "desc-brain_FLAIR", "label-lesion_mask"):
        bids.image(bids.anat(tmp_path / "derivatives/manual", "03") / f"sub-03_{name}.nii.gz")
    (tmp_path / "derivatives/manual/sub-03/anat/sub-03_label-lesion_mask.nii.gz").unlink()
    listing = find(tmp_path)
    assert [case.modalities for case in listing.cases][2] == ("T1", "FLAIR")
    bids.image(bids.anat(tmp_path / "derivatives/other", "03") / "sub-03_desc-brain_T2w.nii.gz")
    (skipped,) = find(tmp_path).skipped
    assert skipped[0] == "sub-03" and "2 derivatives (manual, other) and none is raw" in skipped[1]


class TestWhichSegmentation:
    def test_of_several_derivatives_one_must_be_named(self, tmp_path: Path) -> None:
        bids.write(tmp_path, derivative="one")
        bids.write(tmp_path, derivative="two")
        with pytest.raises(
            InputError, match=r"2 places \(derivatives/one, derivatives/two\).*--la"
        ):
            find(tmp_path)
        listing = find(tmp_path, ReaderOptions(labels=tmp_path / "derivatives" / "two"))
        assert all("two" in str(case.sources["seg"][0]) for case in listing.cases)
        assert sum("outside of" in why for why in listing.unused.values()) == 2
        assert all(case.labelled for case in find(tmp_path, NO_MASKS).cases) is False

    def test_a_folder_elsewhere(self, tmp_path: Path) -> None:
        bids.write(tmp_path / "raw", derivative="")
        bids.write(tmp_path / "masks", modalities=(), derivative="hand")
        folder = tmp_path / "masks" / "derivatives" / "hand"
        bids.image(bids.anat(folder, "01") / "sub-01_label-GM_probseg.nii.gz")
        listing = find(tmp_path / "raw", ReaderOptions(labels=folder))
        assert [case.labelled for case in listing.cases] == [True, True]
        assert "a probability map (probseg)" in listing.unused.values()
        assert "segmentations are read from derivatives/hand: of 2 of 2" in listing.notices[0]

    def test_a_folder_of_others(self, tmp_path: Path) -> None:
        bids.write(tmp_path / "raw", derivative="")
        bids.write(tmp_path / "masks", [("77", "")], modalities=(), derivative="hand")
        with pytest.raises(InputError, match="no segmentation in .* is of a session here"):
            find(tmp_path / "raw", ReaderOptions(labels=tmp_path / "masks" / "derivatives/hand"))

    def test_a_flat_folder_goes_by_names_as_elsewhere(self, tmp_path: Path) -> None:
        truth = bids.write(tmp_path / "raw", derivative="")
        folder = tmp_path / "flat"
        phantoms.write_nifti(folder / "sub-01_dseg.nii.gz", truth["sub-01"][1])
        assert not has_masks(folder)
        listing = find(tmp_path / "raw", ReaderOptions(labels=folder))
        assert [case.labelled for case in listing.cases] == [True, False]

    def test_what_mriseg_predicted_is_no_truth(self, tmp_path: Path) -> None:
        bids.write(tmp_path, derivative="mriseg")
        folder = tmp_path / "derivatives" / "mriseg"
        bids.describe(folder, DatasetType="derivative", GeneratedBy=[{"Name": "mriseg"}])
        listing = find(tmp_path)
        assert [case.labelled for case in listing.cases] == [False, False]
        assert {why[:22] for why in listing.unused.values()} == {"a prediction of mriseg"}
        assert all(c.labelled for c in find(tmp_path, ReaderOptions(labels=folder)).cases)
        # And it does not stand in the way of what a person drew.
        bids.write(tmp_path, derivative="hand")
        assert all("hand" in str(case.sources["seg"][0]) for case in find(tmp_path).cases)

    def test_one_in_another_space_is_not_taken(self, tmp_path: Path) -> None:
        bids.write(tmp_path, [("01", "")], mask="space-MNI152_dseg")
        listing = find(tmp_path)
        assert not listing.cases[0].labelled
        assert reasons(listing)["sub-01_space-MNI152_dseg.nii.gz"] == (
            "a segmentation in the space MNI152, where its images are not"
        )

    def test_one_on_an_image_of_the_subject_is(self, tmp_path: Path) -> None:
        bids.write(tmp_path, [("01", "")], mask="space-FLAIR_dseg")
        assert find(tmp_path).cases[0].labelled

    def test_two_raters_are_refused(self, tmp_path: Path) -> None:
        bids.write(tmp_path, [("01", "")], mask="desc-ann_dseg")
        bids.write(tmp_path, [("01", "")], mask="desc-bert_dseg")
        listing = find(tmp_path)
        assert listing.cases == ()
        assert "2 segmentations may be its own (sub-01_desc-ann_dseg" in listing.skipped[0][1]
        rows = listing.proposals["sub-01"]
        assert [Path(row.files["seg"]).name for row in rows] == [
            "sub-01_desc-ann_dseg.nii.gz",
            "sub-01_desc-bert_dseg.nii.gz",
        ]

    def test_a_packed_copy_is_no_second_one(self, tmp_path: Path) -> None:
        bids.write(tmp_path, [("01", "")])
        packed = bids.anat(tmp_path, "01") / "sub-01_T1w.nii.gz"
        nib.save(nib.load(packed), packed.with_suffix(""))
        listing = find(tmp_path)
        assert listing.cases[0].sources["T1"][0].name == "sub-01_T1w.nii"
        assert reasons(listing)["sub-01_T1w.nii.gz"] == "the same as sub-01_T1w.nii, packed"
        assert "exists both packed and unpacked" in listing.cases[0].load().notices[0]


def test_a_link_without_content_is_named(tmp_path: Path) -> None:
    bids.write(tmp_path)
    path = bids.anat(tmp_path, "01") / "sub-01_T1w.nii.gz"
    path.unlink()
    path.symlink_to("../../.git/annex/objects/x")
    listing = find(tmp_path)
    assert [case.name for case in listing.cases] == ["sub-02"]
    assert "broken link (not fetched" in listing.skipped[0][1]


def test_participants_without_images_are_named(tmp_path: Path) -> None:
    bids.write(tmp_path)
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tage\nsub-01\t3\nsub-02\t4\nsub-07\t5\n", encoding="utf-8")
    assert find(tmp_path).notices[-1] == (
        "1 participant of participants.tsv without an image that can be used: sub-07"
    )
    table.write_bytes(b"\xff\xfe")
    assert find(tmp_path).notices[-1] == "participants.tsv cannot be read; it is not needed"


def test_channels_are_refused(tmp_path: Path) -> None:
    bids.write(tmp_path)
    with pytest.raises(ConfigError, match="layout bids needs no names"):
        find(tmp_path, ReaderOptions(channels=("T1",)))


def test_a_declared_data_set_is_no_mixture(tmp_path: Path) -> None:
    """BIDS keeps what it was made of in sourcedata/, where auto would see a layout of its own."""
    bids.write(tmp_path)
    phantoms.write_nnunet(tmp_path / "imagesTr" / "..", 2)
    assert len(find(tmp_path).cases) == 2
    (tmp_path / "dataset_description.json").write_text(json.dumps({}), encoding="utf-8")
    with pytest.raises(InputError, match="holds data sets of several layouts"):
        readers.find(tmp_path)


def test_labels_are_on_the_images_grid(tmp_path: Path) -> None:
    truth = bids.write(tmp_path)
    loaded = find(tmp_path).cases[0].load()
    assert loaded.labels is not None
    assert np.array_equal(canonical(loaded.labels, loaded.geometry), truth["sub-01"][1])

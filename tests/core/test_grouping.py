"""Which files are a case's: folders as people and publishers arrange them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.grouping import Grouping, group_files
from mriseg.core.scan_files import NamedFile

OUTER = ("somewhere", "data")


def named(path: str) -> NamedFile:
    pure = PurePosixPath(path)
    stem = pure.name.removesuffix(".gz").removesuffix(".nii")
    return NamedFile(pure, pure.parts[:-1], stem, pure.suffix == ".gz")


def group(*paths: str, outer: Sequence[str] = OUTER, masks: bool = True) -> Grouping:
    return group_files([named(path) for path in paths], outer, masks=masks)


def cases(grouping: Grouping) -> dict[str, str]:
    """Case -> its roles, in order."""
    return {g.name.case: " ".join(g.files) for g in grouping.groups if not g.problem}


def problems(grouping: Grouping) -> dict[str, str]:
    return {g.name.case: g.problem for g in grouping.groups if g.problem}


class TestPublished:
    """As published: who points mriseg at such a folder has it read, or is told why not."""

    def test_ucsf_pdgm(self) -> None:
        x = "UCSF-PDGM-0004_nifti/UCSF-PDGM-0004"
        grouping = group(
            *(f"{x}_{name}.nii.gz" for name in ("T1", "T1_bias", "T1c", "T1c_bias", "T2", "FLAIR")),
            *(f"{x}_{name}.nii.gz" for name in ("FLAIR_bias", "ADC", "SWI", "DTI_eddy_FA")),
            *(f"{x}_{name}_segmentation.nii.gz" for name in ("tumor", "brain")),
        )
        assert cases(grouping) == {"UCSF-PDGM-0004_nifti": "T1 T1CE T2 FLAIR seg"}
        (only,) = grouping.groups
        assert only.files["seg"].name == "UCSF-PDGM-0004_tumor_segmentation.nii.gz"
        assert only.files["FLAIR"].name == "UCSF-PDGM-0004_FLAIR.nii.gz"
        assert len(grouping.unused) == 7

    def test_upenn_gbm(self) -> None:
        x = "UPENN-GBM-00001_11"
        names = ("T1", "T1GD", "T2", "FLAIR")
        grouping = group(
            *(f"images_structural/{x}/{x}_{name}.nii.gz" for name in names),
            *(f"images_structural_unstripped/{x}/{x}_{name}_unstripped.nii.gz" for name in names),
            f"images_segm/{x}_segm.nii.gz",
            f"automated_segm/{x}_automated_approx_segm.nii.gz",
        )
        assert cases(grouping) == {x: "T1 T1CE T2 FLAIR seg"}
        assert grouping.groups[0].name.patient == "UPENN-GBM-00001"
        assert grouping.groups[0].files["seg"].parts[0] == "images_segm"

    def test_rhuh_gbm(self) -> None:
        grouping = group(
            *(
                f"RHUH-0001/{visit}/RHUH-0001_{visit}_{name}.nii.gz"
                for visit in (0, 1)
                for name in ("t1", "t1ce", "flair", "adc", "segmentations")
            )
        )
        assert cases(grouping) == {
            "RHUH-0001__0": "T1 T1CE FLAIR seg",
            "RHUH-0001__1": "T1 T1CE FLAIR seg",
        }
        assert {g.name.patient for g in grouping.groups} == {"RHUH-0001"}
        assert [g.name.visit for g in grouping.groups] == ["0", "1"]

    def test_lumiere(self) -> None:
        x = "Patient-001/week-000"
        grouping = group(
            *(f"{x}/{name}.nii.gz" for name in ("T1", "CT1", "T2", "FLAIR")),
            f"{x}/HD-GLIO-AUTO-segmentation/native/segmentation_CT1_origspace.nii.gz",
        )
        assert cases(grouping) == {"Patient-001__week-000": "T1 T1CE T2 FLAIR seg"}

    def test_lumiere_with_two_candidates(self) -> None:
        x = "Patient-001/week-000"
        grouping = group(
            f"{x}/FLAIR.nii.gz",
            f"{x}/HD-GLIO-AUTO-segmentation/native/segmentation_CT1_origspace.nii.gz",
            f"{x}/DeepBraTumIA-segmentation/native/segmentation/ct1_seg_mask.nii.gz",
        )
        assert "2 files may be its seg" in problems(grouping)["Patient-001__week-000"]
        # A prediction reads no segmentation, so nothing is in doubt.
        assert cases(group(f"{x}/FLAIR.nii.gz", masks=False)) == {"Patient-001__week-000": "FLAIR"}

    @pytest.mark.parametrize("challenge", ["GLI", "MET", "SSA", "PED", "MEN"])
    def test_brats_since_2023(self, challenge: str) -> None:
        x = f"BraTS-{challenge}-00001-000"
        names = ("t1n", "t1c", "t2w", "t2f", "seg")
        grouping = group(*(f"{x}/{x}-{name}.nii.gz" for name in names))
        assert cases(grouping) == {x: "T1 T1CE T2 FLAIR seg"}
        assert grouping.groups[0].name.patient == f"BraTS-{challenge}-00001"

    def test_brats_men_rt(self) -> None:
        x = "BraTS-MEN-RT-0001-1"
        assert cases(group(f"{x}/{x}_t1c.nii.gz", f"{x}/{x}_gtv.nii.gz")) == {x: "T1CE seg"}

    def test_brats_2015(self) -> None:
        x = "HGG/brats_tcia_pat105_0001/VSD.Brain"
        stems = ("XX.O.MR_Flair.54", "XX.O.MR_T1.55", "XX.O.MR_T1c.56", "XX.O.MR_T2.57")
        grouping = group(
            *(f"{x}.{stem}/VSD.Brain.{stem}.nii" for stem in stems),
            f"{x}_3more.XX.XX.OT.58/VSD.Brain_3more.XX.XX.OT.58.nii",
        )
        assert cases(grouping) == {"brats_tcia_pat105_0001": "T1 T1CE T2 FLAIR seg"}

    def test_wmh(self) -> None:
        grouping = group(
            *(
                f"Utrecht/0/{folder}/{name}.nii.gz"
                for folder in ("orig", "pre")
                for name in ("T1", "FLAIR", "3DT1")
            ),
            "Utrecht/0/wmh.nii.gz",
        )
        assert list(cases(grouping).values()) == ["T1 FLAIR seg"]
        (only,) = grouping.groups
        assert only.files["T1"] == PurePosixPath("Utrecht/0/pre/T1.nii.gz")
        assert only.name.patient == "Utrecht__0"

    def test_isles(self) -> None:
        x = "sub-strokecase0001/ses-0001"
        stem = "sub-strokecase0001_ses-0001"
        grouping = group(
            f"{x}/anat/{stem}_FLAIR.nii.gz",
            f"{x}/dwi/{stem}_dwi.nii.gz",
            f"derivatives/{x}/{stem}_msk.nii.gz",
        )
        assert cases(grouping) == {stem: "FLAIR seg"}

    def test_atlas(self) -> None:
        x = "R001/sub-r001s001/ses-1/anat/sub-r001s001_ses-1"
        grouping = group(
            f"{x}_space-MNI152NLin2009aSym_T1w.nii.gz",
            f"{x}_space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask.nii.gz",
        )
        assert cases(grouping) == {"sub-r001s001_ses-1": "T1 seg"}

    def test_bids_of_several_visits(self) -> None:
        grouping = group(
            *(
                f"sub-01/ses-{ses}/anat/sub-01_ses-{ses}_{suffix}.nii.gz"
                for ses in (1, 2)
                for suffix in ("T1w", "ce-gadolinium_T1w", "FLAIR")
            ),
            "derivatives/prep/sub-01/ses-1/anat/sub-01_ses-1_space-MNI_T1w.nii.gz",
        )
        assert cases(grouping) == {"sub-01_ses-1": "T1 T1CE FLAIR", "sub-01_ses-2": "T1 T1CE FLAIR"}
        assert {g.name.patient for g in grouping.groups} == {"sub-01"}
        assert "under derivatives/" in next(iter(grouping.unused.values()))

    def test_two_bids_data_sets(self) -> None:
        names = cases(group("a/sub-01/anat/sub-01_T1w.nii", "b/sub-01/anat/sub-01_T1w.nii"))
        assert len(names) == 2


class TestArrangements:
    def test_a_folder_for_each_series(self) -> None:
        grouping = group(
            "PAT0/T1/T1.nii.gz",
            "PAT0/FLAIR/image.nii.gz",
            "PAT0/seg/seg.nii.gz",
            "PAT1/T1/T1.nii.gz",
        )
        assert cases(grouping) == {"PAT0": "T1 FLAIR seg", "PAT1": "T1"}

    def test_a_folder_for_each_kind(self) -> None:
        paths = [f"{kind}/pat{n}.nii.gz" for kind in ("T1", "FLAIR", "labels") for n in (1, 2)]
        assert cases(group(*paths)) == {"pat1": "T1 FLAIR seg", "pat2": "T1 FLAIR seg"}

    @pytest.mark.parametrize(
        "mask",
        [
            "labels/pat1.nii.gz",
            "labels/pat1_seg.nii.gz",
            "masks/pat1/seg.nii.gz",
            "images/pat1_seg.nii.gz",
            "pat1_mask.nii.gz",
        ],
    )
    def test_segmentations_elsewhere(self, mask: str) -> None:
        grouping = group("images/pat1/pat1_t1.nii.gz", "images/pat10/pat10_t1.nii.gz", mask)
        assert cases(grouping) == {"pat1": "T1 seg", "pat10": "T1"}

    def test_a_folder_of_brain_masks(self) -> None:
        grouping = group("images/pat1/pat1_t1.nii.gz", "brain_masks/pat1.nii.gz")
        assert cases(grouping) == {"pat1": "T1"}
        assert "brain" in next(iter(grouping.unused.values()))

    def test_several_subjects_in_one_folder(self) -> None:
        paths = [
            f"all/{who}_{what}.nii.gz" for who in ("p1", "p2") for what in ("t1", "flair", "seg")
        ]
        assert cases(group(*paths)) == {"p1": "T1 FLAIR seg", "p2": "T1 FLAIR seg"}

    def test_two_subjects_that_may_be_one_case(self) -> None:
        grouping = group("anna_t1.nii.gz", "bert_flair.nii.gz", "bert_seg.nii.gz")
        assert "2 subjects (anna, bert)" in problems(grouping)["data"]
        rows = {row.name.case: list(row.files) for row in grouping.groups[0].rows}
        # By subjects, or all as one case: a person decides.
        assert rows == {
            "anna": ["T1"],
            "bert": ["FLAIR", "seg"],
            "data": ["T1", "FLAIR", "seg"],
        }

    def test_a_segmentation_of_somebody_else(self) -> None:
        assert problems(group("scans/anna_t1.nii.gz", "scans/bert_seg.nii.gz"))
        # BraTS2020's case 355: the folder is the images' own.
        grouping = group(
            "BraTS20_Training_355/BraTS20_Training_355_t1.nii",
            "BraTS20_Training_355/W39_1998.09.19_Segm.nii",
        )
        assert cases(grouping) == {"BraTS20_Training_355": "T1 seg"}
        assert "names another subject" in grouping.groups[0].notices[0]

    def test_two_candidates(self) -> None:
        grouping = group("a/a_T1.nii.gz", "a/a_T1_N4.nii.gz", "a/a_FLAIR.nii.gz")
        assert problems(grouping) == {
            "a": "2 files may be its T1 (a_T1.nii.gz, a_T1_N4.nii.gz); expected one, with each "
            "case in its own folder"
        }
        assert [row.files["T1"].name for row in grouping.groups[0].rows] == [
            "a_T1.nii.gz",
            "a_T1_N4.nii.gz",
        ]

    def test_names_do_not_depend_on_neighbours(self) -> None:
        one = group("sub1/anat/T1.nii.gz")
        both = group("sub1/anat/T1.nii.gz", "sub2/anat/T1.nii.gz")
        assert {*cases(one)} < {*cases(both)} == {"sub1", "sub2"}

    def test_visits_in_names(self) -> None:
        paths = [
            f"all/anna_{when}_{what}.nii.gz" for when in ("pre", "post") for what in ("t1", "t2")
        ]
        grouping = group(*paths)
        assert {g.name.patient for g in grouping.groups} == {"anna"}
        assert {g.name.visit for g in grouping.groups} == {"pre", "post"}


_PART = st.sampled_from(
    [
        "pat1",
        "pat2",
        "T1",
        "seg",
        "labels",
        "anat",
        "sub-01",
        "ses-1",
        "0",
        "derivatives",
        "brain_mask",
    ]
)
_STEM = st.builds(
    lambda who, what: f"{who}_{what}".strip("_"),
    st.sampled_from(["", "pat1", "pat2", "sub-01_ses-1", "x"]),
    st.sampled_from(
        ["T1", "t1ce", "FLAIR", "seg", "brain_mask", "T1_bias", "ADC", "mask_FLAIR", "1"]
    ),
)
_PATHS = st.lists(
    st.builds(
        lambda parts, stem: "/".join([*parts, f"{stem}.nii.gz"]), st.lists(_PART, max_size=3), _STEM
    ),
    min_size=1,
    max_size=12,
    unique=True,
)


@given(_PATHS, st.booleans())
def test_every_file_is_accounted_for(paths: list[str], masks: bool) -> None:
    grouping = group(*paths, masks=masks)
    used = [path for g in grouping.groups if not g.problem for path in g.files.values()]
    assert len(used) == len(set(used)), "a file is in two cases"
    assert {*used}.isdisjoint(grouping.unused)
    assert {*used, *grouping.unused} == {PurePosixPath(path) for path in paths}
    names = [g.name.case for g in grouping.groups]
    assert len(names) == len(set(names))
    assert all(any(role != "seg" for role in g.files) for g in grouping.groups)


@given(_PATHS)
def test_the_order_of_files_decides_nothing(paths: list[str]) -> None:
    assert group(*paths) == group(*sorted(paths))

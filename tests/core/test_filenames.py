"""What names say: as people and public data sets write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.filenames import BRAIN_MASK, common_words, entities, read_name, words_of
from mriseg.core.modalities import MODALITIES


@pytest.mark.parametrize(
    ("stem", "role", "subject"),
    [
        ("BraTS20_Training_001_t1ce", "T1CE", "BraTS20_Training_001"),
        ("BraTS-GLI-00000-000-t2W", "T2", "BraTS-GLI-00000-000"),
        ("W39_1998.09.19_Segm", "seg", "W39_1998.09.19"),
        ("T1POST_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI", "T1CE", ""),
        ("GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI", "seg", ""),
        ("VSD.Brain.XX.O.MR_Flair.54512", "FLAIR", ""),
        ("VSD.Brain_3more.XX.O.OT.54517", "seg", ""),
        ("sub-01_t1_brain", "T1", "sub-01"),
        ("my_scan_FLAIR_AX", "FLAIR", "my_scan"),
        ("A_seg", "seg", "A"),
        # Registered to another: it is what it was.
        ("T1_registered_to_FLAIR", "T1", ""),
        ("pat1_T1_to_FLAIR", "T1", "pat1"),
        ("pat1_T1toFLAIR", "T1", "pat1"),
        ("FLAIR_in_T1_space", "FLAIR", ""),
        ("t2_space_flair", "FLAIR", ""),
        # A segmentation, whatever it was drawn on.
        ("pat0_lesion_mask_FLAIR", "seg", "pat0"),
        ("FLAIR_lesion", "seg", ""),
        ("brain_tumor_mask", "seg", ""),
        ("brain_001_seg", "seg", "brain_001"),
        ("UCSF-PDGM-0005_tumor_segmentation", "seg", "UCSF-PDGM-0005"),
        ("UPENN-GBM-00001_11_automated_approx_segm", "seg", "UPENN-GBM-00001_11"),
        ("RHUH-0001_0_segmentations", "seg", "RHUH-0001_0"),
        ("BraTS-MEN-RT-0001-1_gtv", "seg", "BraTS-MEN-RT-0001-1"),
        (
            "TCGA-02-0003_1997.06.08_GlistrBoost_ManuallyCorrected",
            "seg",
            "TCGA-02-0003_1997.06.08",
        ),
        ("wmh", "seg", ""),
        # BIDS.
        ("sub-01_T1w", "T1", "sub-01"),
        ("sub-01_ce-gadolinium_T1w", "T1CE", "sub-01"),
        ("sub-01_ce-none_T1w", "T1", "sub-01_ce-none"),
        ("t2_tirm_tra_dark-fluid", "FLAIR", ""),
        ("sub-01_space-T1w_FLAIR", "FLAIR", "sub-01_space-T1w"),
        ("sub-L001_ses-1_T1w_label-lesion_roi", "seg", "sub-L001_ses-1"),
        ("sub-1_ses-1_space-MNI_label-L_desc-T1lesion_mask", "seg", "sub-1_ses-1_space-MNI"),
        ("sub-strokecase0001_ses-0001_msk", "seg", "sub-strokecase0001_ses-0001"),
        # Contrast, and what is not.
        ("CT1", "T1CE", ""),
        ("UPENN-GBM-00001_11_T1GD", "T1CE", "UPENN-GBM-00001_11"),
        ("T1_post_contrast", "T1CE", ""),
        ("T1_N4_gd", "T1CE", ""),
        ("pat1_gd_T1", "T1CE", "pat1"),
        ("p1_post_contrast_T1", "T1CE", "p1"),
        ("CE-T1", "T1CE", ""),
        ("T1_pre_contrast", "T1", ""),
        ("T1_non_contrast", "T1", ""),
        ("T1_post_op", "T1", ""),
        ("4_T1_AX_POST", "T1CE", "4"),
        ("SAG_T1_MPRAGE_POST_GAD", "T1CE", ""),
        ("pat1_post_T1", "T1", "pat1_post"),
    ],
)
def test_a_role(stem: str, role: str, subject: str) -> None:
    reading = read_name(stem)
    assert (reading.role, reading.subject) == (role, subject)


@pytest.mark.parametrize(
    ("stem", "reason"),
    [
        ("brats_2013_pat0002_1_brainmask", BRAIN_MASK),
        ("sub_brain_mask", BRAIN_MASK),
        ("T1_bet_mask", BRAIN_MASK),
        ("UCSF-PDGM-0005_brain_parenchyma_segmentation", BRAIN_MASK),
        ("sub-01_desc-brain_mask", BRAIN_MASK),
        ("UCSF-PDGM-0005_DTI_eddy_FA", "another sequence (dti)"),
        ("t2_star", "another sequence (t2star)"),
        ("x_prob_WT", "a probability map (prob)"),
        ("T1_map", "a map or a part of a signal (t1map)"),
        ("T2_STIR", "another sequence (stir)"),
        ("t1_tirm_dark-fluid", "its name holds both FLAIR and T1"),
        ("lesion_FLAIR", "its name holds both lesion and FLAIR"),
        ("T1_T2", "its name holds both T1 and T2"),
        ("hippocampus_001", "its name states neither a modality"),
        ("", "its name states neither a modality"),
    ],
)
def test_no_role(stem: str, reason: str) -> None:
    reading = read_name(stem)
    assert reading.role is None
    assert reading.reason.startswith(reason)


@pytest.mark.parametrize("name", ["T1_bias", "T1_unstripped", "3DT1", "x_automated_seg"])
def test_copies_that_published_sets_hold(name: str) -> None:
    assert read_name(name).copy
    assert not read_name("x_GlistrBoost_ManuallyCorrected").copy


def test_what_all_files_share_decides_nothing() -> None:
    common = common_words(["FLAIR_study_01_t1", "FLAIR_study_01_t2"])
    assert "flair" in common
    assert read_name("FLAIR_study_01_t1").role is None
    assert read_name("FLAIR_study_01_t1", common).role == "T1"
    # All files of a skull-stripped case hold "brain"; its brain mask is a brain mask all the same.
    assert read_name("sub1_brain_mask", frozenset({"sub1", "brain"})).reason == BRAIN_MASK


def test_entities() -> None:
    assert entities("sub-01_ses-2_T1w") == {"sub": "01", "ses": "2"}
    assert entities("BraTS-GLI-00000-000-t1n") == {}


_PIECES = ["pat1", "01", "T1", "FLAIR", "N4", "reg", "ax", "2019", "x"]


@given(st.lists(st.sampled_from(_PIECES), max_size=3), st.sampled_from(["brain", "head", "skull"]))
def test_a_mask_of_the_brain_is_never_a_lesion(before: list[str], organ: str) -> None:
    assert read_name("_".join([*before, organ, "mask"])).role != "seg"


@given(st.text())
def test_any_name_is_read(name: str) -> None:
    reading = read_name(name, common_words([name, name[:5]]))
    assert reading.role in {*MODALITIES, "seg", None}
    assert bool(reading.reason) == (reading.role is None)
    assert name.startswith(reading.subject)
    assert all(word == word.lower() or not word.isascii() for word in words_of(name))

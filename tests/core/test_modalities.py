from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.modalities import (
    MODALITIES,
    canonical_modality,
    display_modality,
    modalities_among,
    role,
    split_role,
)
from mriseg.errors import ConfigError


@pytest.mark.parametrize(
    ("names", "canonical"),
    [
        ("t1 T1 t1n T1w t1W T1-weighted", "T1"),
        ("t1ce T1CE t1c t1gd T1GD t1_gd T1post T1POST t1wce t1-ce t1Gd", "T1CE"),
        ("t2 t2w t2W T2w", "T2"),
        ("flair FLAIR Flair t2f T2F t2flair t2_flair T2-FLAIR", "FLAIR"),
    ],
)
def test_names_of_the_public_sets(names: str, canonical: str) -> None:
    for name in names.split():
        assert canonical_modality(name) == canonical, name
        assert role(f"BraTS20_Training_001_{name}") == canonical, name
        assert role(f"BraTS-GLI-00000-000-{name}") == canonical, name


@pytest.mark.parametrize("name", ["ADC", "CT", "swi", "channel0", "image"])
def test_an_unknown_modality_is_kept_as_written(name: str) -> None:
    assert canonical_modality(f" {name} ") == name


@given(st.sampled_from(MODALITIES))
def test_canonical_names_stay(name: str) -> None:
    assert canonical_modality(name) == name


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("W39_1998.09.19_Segm", ("seg", "W39_1998.09.19")),
        ("BraTS20_Training_001_t1ce", ("T1CE", "BraTS20_Training_001")),
        ("BraTS-GLI-00000-000-t2W", ("T2", "BraTS-GLI-00000-000")),
        ("T1POST_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI", ("T1CE", "")),
        ("GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI", ("seg", "")),
        ("VSD.Brain.XX.O.MR_Flair.54512", ("FLAIR", "VSD.Brain.XX.O")),
        ("VSD.Brain_3more.XX.O.OT.54517", ("seg", "VSD.Brain_3more.XX.O")),
        ("sub-01_T1w", ("T1", "sub-01")),
        ("T1_registered_to_FLAIR", ("FLAIR", "T1_registered_to")),
        ("sub-01_t1_brain", (None, "")),
        ("brats_2013_pat0002_1_brainmask", (None, "brats_2013_pat0002_1")),
        ("sub_brain_mask", (None, "sub")),
        ("hippocampus_001", (None, "")),
        ("seg", ("seg", "")),
        ("", (None, "")),
    ],
)
def test_a_files_role(stem: str, expected: tuple[str | None, str]) -> None:
    assert split_role(stem) == expected


@given(st.text())
def test_any_name_has_a_role_and_a_modality(name: str) -> None:
    assert role(name) in {*MODALITIES, "seg", None}
    assert canonical_modality(name) in {*MODALITIES, name.strip()}


@pytest.mark.parametrize(
    ("modalities", "shown"), [(("T1", "FLAIR"), "FLAIR"), (("T2", "T1"), "T2"), (["ADC"], "ADC")]
)
def test_masks_are_shown_on_flair_or_else_on_the_first(
    modalities: Sequence[str], shown: str
) -> None:
    assert display_modality(modalities) == shown


@given(st.lists(st.sampled_from(["T1", "T1CE", "T2", "FLAIR", "ADC"]), min_size=1))
def test_names_that_are_known_are_taken_once_each(names: list[str]) -> None:
    known = (*MODALITIES, "ADC")
    assert modalities_among(names, known, "the model reads") == tuple(dict.fromkeys(names))
    written = [f" {name.lower()} " for name in names]
    assert modalities_among(written, known, "the model reads") == tuple(dict.fromkeys(names))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["T1", "FLAIRE"], r"reads no modality FLAIRE; it reads T1, FLAIR: .*mean FLAIR\?"),
        (["t1c"], r"reads no modality T1CE; .*did you mean T1\?"),
        (["PET"], r"reads no modality PET; it reads T1, FLAIR: choose .* --modalities$"),
        ([], "no modality is named"),
    ],
)
def test_a_name_that_is_not_known_is_an_error_with_a_suggestion(
    names: list[str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        modalities_among(names, ("T1", "FLAIR"), "the model reads")


def test_names_that_differ_in_case_alone_are_told_apart() -> None:
    assert modalities_among(["adc"], ("adc", "ADC"), "the store has") == ("adc",)

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


@pytest.mark.parametrize("name", ["ADC", "CT", "swi", "channel0", "image"])
def test_an_unknown_modality_is_kept_as_written(name: str) -> None:
    assert canonical_modality(f" {name} ") == name


@given(st.sampled_from(MODALITIES))
def test_canonical_names_stay(name: str) -> None:
    assert canonical_modality(name) == name


@given(st.text())
def test_any_name_is_a_modality(name: str) -> None:
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

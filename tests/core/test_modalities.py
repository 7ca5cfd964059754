from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.modalities import (
    MODALITIES,
    canonical_modality,
    display_modality,
)


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

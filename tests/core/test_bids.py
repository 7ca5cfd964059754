"""Names of BIDS: read, and made of names that are none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.bids import (
    content_of,
    entities_by_case,
    folder_of,
    label_value,
    label_values,
    read_bids,
    shared,
    spelled,
)
from mriseg.core.filenames import BRAIN_MASK
from mriseg.errors import InputError


def role(stem: str) -> str:
    name = read_bids(stem)
    assert name is not None
    return content_of(name, stem).role


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("sub-01_T1w", "T1"),
        ("sub-01_acq-FLAIR_T1w", "T1"),
        ("sub-01_ses-2_ce-gd_T1w", "T1CE"),
        ("sub-01_ce-none_T1w", "T1"),
        ("sub-01_rec-norm_T2w", "T2"),
        ("sub-01_acq-ce_FLAIR", "FLAIR"),
        ("sub-01_acq-postgd_T1w", "T1CE"),
        ("sub-01_acq-mprage_T1w", "T1"),
        ("sub-01_space-MNI_desc-brain_T1w", "T1"),
        ("sub-01_T1w_label-lesion_roi", "seg"),
        ("sub-01_label-WT_desc-x_mask", "seg"),
        ("sub-01_dseg", "seg"),
        ("sub-01_desc-brain_mask", ""),
        ("sub-01_desc-aseg_dseg", ""),
        ("sub-01_label-GM_probseg", ""),
        ("sub-01_PDw", ""),
        ("sub-01_part-imag_T1w", ""),
        ("sub-01", ""),
    ],
)
def test_the_suffix_says_what_a_file_is(stem: str, expected: str) -> None:
    assert role(stem) == expected


def test_why_a_file_is_not_used() -> None:
    name = read_bids("sub-01_desc-brain_mask")
    assert name is not None
    assert content_of(name, "sub-01_desc-brain_mask").reason == BRAIN_MASK
    assert read_bids("pat1_T1w") is None


VALUES = st.text("abcXYZ012", min_size=1, max_size=6)


@given(st.dictionaries(st.sampled_from(["ses", "acq", "run", "space", "desc"]), VALUES), VALUES)
def test_a_name_is_read_as_it_was_spelled(known: dict[str, str], sub: str) -> None:
    whole = {**known, "sub": sub}
    text = spelled(whole, "T1w")
    name = read_bids(text)
    assert name is not None
    assert (dict(name.entities), name.suffix) == (whole, "T1w")
    assert text.startswith(f"sub-{sub}_")
    assert name.session == (sub, known.get("ses", ""))
    assert folder_of(whole)[-1] == "anat"


def test_a_mask_shares_what_all_its_images_share() -> None:
    stems = ["sub-1_ses-2_acq-ax_run-1_T1w", "sub-1_ses-2_acq-ax_run-2_FLAIR"]
    names = [name for stem in stems if (name := read_bids(stem)) is not None]
    assert shared(names) == {"sub": "1", "ses": "2", "acq": "ax"}
    one = [name for name in [read_bids("sub-1_ce-gd_space-MNI_desc-p_T1w")] if name is not None]
    assert shared(one) == {"sub": "1", "space": "MNI"}


class TestNamesThatAreNotOfBids:
    def test_letters_and_digits_are_kept(self) -> None:
        named = entities_by_case(
            {
                "Brats17_TCIA_105_1": ("TCIA_105", "1"),
                "p 1__pre-op": ("p 1", "pre-op"),
                "p2": ("p2", ""),
                "IXI3_b": ("IXI3", ""),
                "sub-01_ses-2": ("sub-01", "ses-2"),
            }
        )
        assert named == {
            "Brats17_TCIA_105_1": {"sub": "TCIA105", "ses": "1"},
            "p 1__pre-op": {"sub": "p1", "ses": "preop"},
            "p2": {"sub": "p2"},
            "IXI3_b": {"sub": "IXI3", "ses": "b"},
            "sub-01_ses-2": {"sub": "01", "ses": "2"},
        }

    def test_patients_of_one_name_are_refused(self) -> None:
        with pytest.raises(InputError, match=r"'P-1' and 'p_1' would share the name P1"):
            entities_by_case({"a": ("P-1", ""), "b": ("p_1", "")})

    def test_visits_of_one_name_are_refused(self) -> None:
        with pytest.raises(InputError, match="of P1, the visit"):
            entities_by_case({"a": ("P1", "1.1"), "b": ("P1", "11")})

    def test_two_cases_of_one_visit_are_refused(self) -> None:
        with pytest.raises(InputError, match="the cases a and b are of one patient and one visit"):
            entities_by_case({"a": ("P1", ""), "b": ("P1", "")})

    def test_a_name_without_a_letter_is_refused(self) -> None:
        with pytest.raises(InputError, match="no letter or digit of ASCII"):
            label_values(["é-é"], "the patient")

    @given(st.lists(st.tuples(st.text(min_size=1), st.text()), unique=True, max_size=5))
    def test_names_are_told_apart_or_refused(self, whose: list[tuple[str, str]]) -> None:
        cases = {f"case{number}": pair for number, pair in enumerate(whose)}
        try:
            named = entities_by_case(cases)
        except InputError:
            return
        assert named.keys() == cases.keys()
        texts = [spelled(known, "dseg").casefold() for known in named.values()]
        assert len(set(texts)) == len(texts)
        assert all(re.fullmatch(r"[A-Za-z0-9]+", v) for k in named.values() for v in k.values())

    def test_the_key_of_a_name_is_none_of_its_value(self) -> None:
        assert [label_value(text) for text in ("sub-01", "ses-1", "sub-", "a b-c")] == [
            "01",
            "1",
            "sub",
            "abc",
        ]

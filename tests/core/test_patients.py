"""Whose scan a case is, by the names of public sets and by folder levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.patients import CaseName, name_case, patient_of


@pytest.mark.parametrize(
    ("name", "patient", "visit"),
    [
        ("BraTS-GLI-00000-000", "BraTS-GLI-00000", "000"),
        ("BraTS-GLI-00000-101", "BraTS-GLI-00000", "101"),
        ("BraTS-MEN-RT-0001-1", "BraTS-MEN-RT-0001", "1"),
        ("Brats17_TCIA_105_1", "TCIA_105", "1"),
        ("BraTS19_TCIA08_105_1", "TCIA_105", "1"),
        ("brats_tcia_pat105_0001", "TCIA_105", "0001"),
        ("Brats17_CBICA_AXN_1", "CBICA_AXN", "1"),
        ("Brats18_2013_10_1", "2013_10", "1"),
        ("brats_2013_pat0002_1", "brats_2013_pat0002", "1"),
        ("BraTS20_Training_010", "BraTS20_Training_010", ""),
        ("BraTS2021_00495", "BraTS2021_00495", ""),
        ("patient07", "patient07", ""),
        ("hippocampus_001", "hippocampus_001", ""),
        ("UPENN-GBM-00001_21", "UPENN-GBM-00001", "21"),
        ("UCSF-PDGM-0138_FU016d_nifti", "UCSF-PDGM-0138", "FU016d"),
        ("UCSF-PDGM-0004_nifti", "UCSF-PDGM-0004", ""),
        ("RHUH-0001_2", "RHUH-0001", "2"),
        ("TCGA_CS_4941_19960909", "TCGA_CS_4941", "19960909"),
        ("TCGA-02-0003_1997.06.08", "TCGA-02-0003", "1997.06.08"),
        ("anna_visit2", "anna", "visit2"),
        ("anna_2019-01-02", "anna", "2019-01-02"),
        ("anna_post", "anna", "post"),
        ("P01_S2", "P01", "S2"),
        ("OAS1_0001_MR2", "OAS1_0001", "MR2"),
        ("study_s1", "study_s1", ""),
    ],
)
def test_names(name: str, patient: str, visit: str) -> None:
    assert patient_of(name) == (patient, visit)


@pytest.mark.parametrize(
    ("levels", "subject", "inside", "expected"),
    [
        ("data RHUH-0001 0", "RHUH-0001_0", 2, CaseName("RHUH-0001__0", "RHUH-0001", "0")),
        # The same case, where the patient's own folder is given.
        ("data RHUH-0001 0", "RHUH-0001_0", 1, CaseName("RHUH-0001__0", "RHUH-0001", "0")),
        ("data anna baseline", "", 2, CaseName("anna__baseline", "anna", "baseline")),
        ("lumiere Patient-001 week-000-1", "", 2, None),
        # A site's patients, which another site numbers alike.
        ("wmh Utrecht 0", "", 2, CaseName("Utrecht__0", "Utrecht__0")),
        ("wmh Utrecht 0 pre", "", 3, CaseName("Utrecht__0__pre", "Utrecht__0", "pre")),
        ("x data 0", "", 1, CaseName("0", "0")),
        ("in P1 MR", "P1", 1, CaseName("P1", "P1")),
        ("data sub1 anat", "", 2, CaseName("sub1", "sub1")),
        ("data BraTS20_Training_010_slice_2", "BraTS20_Training_010", 1, None),
        ("data pat1", "brain", 1, CaseName("pat1", "pat1")),
    ],
)
def test_folder_levels(levels: str, subject: str, inside: int, expected: CaseName | None) -> None:
    name = name_case(levels.split(), subject, inside)
    if expected is not None:
        assert name == expected
    else:
        assert name.patient in {"Patient-001", "BraTS20_Training_010"}


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.text(), st.integers(1, 4))
def test_any_folder_names_a_case(levels: list[str], subject: str, inside: int) -> None:
    name = name_case(levels, subject, min(inside, len(levels)))
    assert name.case
    assert name.patient


@given(
    st.lists(
        st.sampled_from(["0", "1", "baseline", "week-2", "2019-01-02"]), min_size=2, max_size=4
    )
)
def test_visits_of_one_numbered_patient_share_it(visits: list[str]) -> None:
    names = [name_case(("data", "pat07", visit), "", 2) for visit in visits]
    assert {name.patient for name in names} == {"pat07"}
    assert len({name.case for name in names}) == len(set(visits))

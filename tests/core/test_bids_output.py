"""Names of masks in BIDS, their addresses, and which sessions are wanted."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from mriseg.core.bids_output import (
    BidsForm,
    Sessions,
    ToName,
    description,
    is_ours,
    link_for,
    places_by_case,
    refuse_foreign,
)
from mriseg.errors import InputError, OutputError

STEM = "sub-1_ses-2_desc-mriseg_dseg"


def test_the_files_beside_a_label_map() -> None:
    form = BidsForm({"WT": (1, 2), "T C": (1,)})
    assert form.beside(STEM, ["WT"]) == [
        f"{STEM}.json",
        f"{STEM}.tsv",
        "sub-1_ses-2_label-WT_desc-mriseg_mask.nii.gz",
        "sub-1_ses-2_label-WT_desc-mriseg_mask.json",
        "sub-1_ses-2_label-TC_desc-mriseg_mask.nii.gz",
        "sub-1_ses-2_label-TC_desc-mriseg_mask.json",
        "sub-1_ses-2_label-WT_desc-mriseg_probseg.nii.gz",
        "sub-1_ses-2_label-WT_desc-mriseg_probseg.json",
    ]


def test_regions_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="the region 'T-C' and 'TC' would share the name TC"):
        BidsForm({"T-C": (1,), "TC": (2,)}).beside(STEM, [])


def test_addresses_of_sources() -> None:
    form = BidsForm({}, "source", "/data")
    one = [PurePosixPath("/data/sub-1/anat/sub-1_T1w.nii.gz")]
    series = [PurePosixPath(f"/data/p/dicom/{n}.dcm") for n in range(3)]
    assert form.uris(one) == ("bids:source:sub-1/anat/sub-1_T1w.nii.gz",)
    assert form.uris(series) == ("bids:source:p/dicom",)
    assert BidsForm({}).uris(one) == ()


def test_names_of_bids_are_kept() -> None:
    places = places_by_case(
        {
            "a": ToName("sub-1", "ses-2", ("sub-1_ses-2_T1w", "sub-1_ses-2_acq-x_FLAIR")),
            "b": ToName("sub-1", "", ("sub-1_run-1_T1w", "sub-1_run-1_FLAIR")),
            "c": ToName("sub-2", "", ("sub-2_T1w", "FLAIR")),
        }
    )
    assert places == {
        "a": (("sub-1", "ses-2", "anat"), "sub-1_ses-2_desc-mriseg_dseg"),
        "b": (("sub-1", "anat"), "sub-1_run-1_desc-mriseg_dseg"),
        "c": (("sub-2", "anat"), "sub-2_desc-mriseg_dseg"),
    }


def test_two_masks_of_one_name_are_refused() -> None:
    one, other = ToName("sub-1", "", ("sub-1_T1w",)), ToName("1", "", ())
    with pytest.raises(InputError, match="the masks of a and b would both be called sub-1_desc"):
        places_by_case({"a": one, "b": other})


def test_each_data_set_has_a_link_of_its_own() -> None:
    assert link_for("../a", {}) == "source"
    known = {"source": "../a", "source2": "../b"}
    assert [link_for(where, known) for where in ("../a", "../b", "../c")] == [
        "source",
        "source2",
        "source3",
    ]


def test_a_description_names_what_it_is_of() -> None:
    links = {"source": "../a", "source2": "../b"}
    written = description(links, "0.1", "1.11.0", {"source2": "doi:10/x"})
    assert written["SourceDatasets"] == [{"URL": "../a"}, {"DOI": "doi:10/x"}]
    assert written["DatasetLinks"] == links and is_ours(written)
    assert "DatasetLinks" not in description({}, "0.1", "1.11.0", {})


def test_data_sets_of_others_are_refused() -> None:
    refuse_foreign("o", {}, has_images=False)
    refuse_foreign("o", description({}, "1", "1", {}), has_images=True)
    for known, has_images in (({}, True), ({"Name": "raw"}, False)):
        with pytest.raises(OutputError, match="such as o/derivatives/mriseg"):
            refuse_foreign("o", known, has_images=has_images)


class TestSessions:
    CASES = ("sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1", "sub-03")

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (Sessions(), [*CASES]),
            (Sessions(("01", "sub-03")), ["sub-01_ses-1", "sub-01_ses-2", "sub-03"]),
            (Sessions((), ("ses-1",)), ["sub-01_ses-1", "sub-02_ses-1"]),
            (Sessions(("01",), ("2",)), ["sub-01_ses-2"]),
        ],
    )
    def test_those_that_are_wanted(self, wanted: Sessions, expected: list[str]) -> None:
        assert wanted.among(self.CASES) == expected

    def test_those_that_are_not_there(self) -> None:
        with pytest.raises(InputError, match="no sub-09; there is sub-01, sub-02, sub-03"):
            Sessions(("01", "09")).among(self.CASES)
        with pytest.raises(InputError, match="no ses-7; there is ses-1, ses-2"):
            Sessions((), ("7",)).among(self.CASES)
        with pytest.raises(InputError, match="no session is of these participants"):
            Sessions(("02",), ("2",)).among(self.CASES)
        with pytest.raises(InputError, match="none that is named by ses-"):
            Sessions((), ("1",)).among(["sub-1"])

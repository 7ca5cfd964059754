"""Cases and options as readers return and take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import ConfigError
from mriseg.io.readers.base import Case, RawCase, ReaderOptions, none_usable
from tests.io.images.written import metaimage


def never() -> RawCase:
    raise AssertionError("nothing may be loaded")


def test_a_case_lists_its_modalities_and_files_without_loading_them() -> None:
    slices = (Path("a_1.tif"), Path("a_2.tif"))
    case = Case("a", "p", {"T1": slices, "FLAIR": slices, "seg": (Path("m.tif"),)}, never)
    assert case.modalities == ("T1", "FLAIR")
    assert case.labelled
    # A file that holds two modalities counts once.
    assert case.files == (*slices, Path("m.tif"))


def test_an_image_in_two_files_counts_with_both(tmp_path: Path) -> None:
    path = metaimage(tmp_path / "a.mhd", "ElementDataFile = a.raw", voxels=b"")
    (tmp_path / "a.raw").write_bytes(bytes(48))
    case = Case("a", "p", {"T1": (path,), "FLAIR": (Path("b.nii"),)}, never)
    assert case.files == (path, tmp_path / "a.raw", Path("b.nii"))


def test_a_case_without_a_segmentation() -> None:
    case = Case("a", "p", {"T1": (Path("a.nii"),)}, never)
    assert not case.labelled
    assert case.modalities == ("T1",)


def test_cases_are_equal_however_they_are_loaded() -> None:
    sources = {"T1": (Path("a.nii"),)}
    assert Case("a", "p", sources, never) == Case("a", "p", sources, lambda: never())
    assert Case("a", "p", sources, never) != Case("a", "q", sources, never)


def test_channel_names_are_refused_where_they_would_be_ignored() -> None:
    ReaderOptions().refuse_channels("lgg", "they are fixed")
    with pytest.raises(ConfigError, match=r"\(T1, T2\).* layout lgg .*they are fixed; leave"):
        ReaderOptions(("T1", "T2")).refuse_channels("lgg", "they are fixed")


def test_long_lists_of_unusable_cases_are_cut_short() -> None:
    error = str(none_usable("scans", {f"case{i}": "why" for i in range(8)}))
    assert "scans could be used (8 cases): case0: why" in error and "and 3 more" in error
    assert "(1 case): a: why" in str(none_usable("scans", {"a": "why"}))

"""The sample scans that ship with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io import readers, sample


def test_the_sample_is_three_labelled_patients_of_the_lgg_layout() -> None:
    layout, listing = readers.find(sample.sample_dir())
    assert layout == "lgg"
    assert len({case.patient for case in listing.cases}) == len(listing.cases) == 3
    assert all(case.labelled for case in listing.cases)
    assert not listing.skipped


def test_its_terms_are_next_to_it() -> None:
    assert {"README.md", "LICENSE"} <= {p.name for p in sample.sample_dir().parent.iterdir()}


def test_an_installation_without_it_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "files", lambda _: tmp_path)
    with pytest.raises(InputError, match="no sample scans at .*reinstall it with pip"):
        sample.sample_dir()

"""A folder with nothing but images, or a single image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io import readers
from mriseg.io.readers import ReaderOptions
from mriseg.testing.phantoms import write_nifti


@pytest.fixture
def volume(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 999, (5, 7, 6)).astype(np.int16)


def test_a_folder_of_images(tmp_path: Path, volume: np.ndarray) -> None:
    for name in ("b", "a"):
        write_nifti(tmp_path / f"{name}.nii.gz", volume)
    layout, listing = readers.find(tmp_path)
    assert layout == "flat"
    assert [case.name for case in listing.cases] == ["a", "b"]
    assert not any(case.labelled for case in listing.cases)
    loaded = listing.cases[0].load()
    assert list(loaded.images) == ["image"]
    np.testing.assert_array_equal(loaded.images["image"].T, volume)


def test_one_file_per_channel_is_named_by_the_surrounding_data_set(
    tmp_path: Path, volume: np.ndarray
) -> None:
    described = {"channel_names": {"0": "T1", "1": "T2-FLAIR"}, "labels": {"background": 0}}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    for channel in range(2):
        write_nifti(tmp_path / "imagesTs" / f"case_{channel:04d}.nii.gz", volume + channel)
    layout, listing = readers.find(tmp_path / "imagesTs")
    assert layout == "flat"
    assert [case.name for case in listing.cases] == ["case"]
    assert listing.cases[0].modalities == ("T1", "FLAIR")


def test_a_single_file(tmp_path: Path, volume: np.ndarray) -> None:
    path = write_nifti(tmp_path / "scan.nii", volume)
    layout, listing = readers.find(path, "auto", ReaderOptions(("t1",)))
    assert (layout, listing.cases[0].name, listing.cases[0].modalities) == ("flat", "scan", ("T1",))


def test_a_case_folder_is_not_mistaken_for_it(tmp_path: Path, volume: np.ndarray) -> None:
    for name in ("t1", "flair"):
        write_nifti(tmp_path / "case" / f"case_{name}.nii.gz", volume)
    assert readers.find(tmp_path / "case")[0] == "brats"


def test_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no NIfTI file in"):
        readers.find(tmp_path, "flat")

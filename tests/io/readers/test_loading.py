"""Files of one case: onto the grid of its first image, with errors that name the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from mriseg.core.orientation import geometry_of
from mriseg.core.volume import canonical
from mriseg.errors import CaseError, InputError
from mriseg.io.readers.loading import errors_of, load_files, onto_grid, with_labels
from mriseg.testing.phantoms import write_nifti
from tests.io.images.written import by_itk, by_nibabel

SHAPE = (3, 5, 4)


def volume(seed: int, dtype: Any = np.int16) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 5, SHAPE).astype(dtype)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The segmentation first: the grid is the first image's all the same."""
    return {
        "seg": write_nifti(tmp_path / "s.nii", volume(0, np.uint8), orientation="RAS"),
        "T1": write_nifti(tmp_path / "t1.nii", volume(1)),
        "T2": write_nifti(tmp_path / "t2.nii.gz", volume(2), orientation="PIR"),
    }


def test_all_files_of_a_case_are_on_the_first_images_grid(files: dict[str, Path]) -> None:
    loaded = load_files("a", files)
    assert list(loaded.images) == ["T1", "T2"]
    assert loaded.labels is not None and loaded.labels.dtype == np.uint8
    for seed, array in ((0, loaded.labels), (1, loaded.images["T1"]), (2, loaded.images["T2"])):
        np.testing.assert_array_equal(canonical(array, loaded.geometry), volume(seed))
    reoriented = [notice for notice in loaded.notices if "it was reoriented" in notice]
    assert [notice.split(" differ")[0] for notice in reoriented] == [
        "the axes of t2.nii.gz",
        "the axes of the segmentation s.nii",
    ]


def test_a_case_without_a_segmentation(files: dict[str, Path]) -> None:
    del files["seg"]
    assert load_files("a", files).labels is None


def test_a_segmentation_alone_is_not_a_case(files: dict[str, Path]) -> None:
    with pytest.raises(CaseError, match="case a: it has no image"):
        load_files("a", {"seg": files["seg"]})


@pytest.mark.parametrize("name", ["T1", "T2", "seg"])
def test_an_unusable_file_becomes_the_cases_error(files: dict[str, Path], name: str) -> None:
    files[name].write_bytes(b"")
    with pytest.raises(CaseError, match=f"case a: {files[name].name} is .*it is empty") as caught:
        load_files("a", files)
    assert caught.value.case == "a"


def test_labels_are_whole_numbers(files: dict[str, Path], tmp_path: Path) -> None:
    loaded = load_files("a", {"T1": files["T1"]})
    path = write_nifti(tmp_path / "half.nii", np.full(SHAPE, 0.5, np.float32))
    with pytest.raises(CaseError, match="labels are whole numbers"):
        with_labels("a", loaded, path)


def test_another_error_is_passed_on() -> None:
    with pytest.raises(CaseError, match="case b: other"), errors_of("a"):
        raise CaseError("b", "other")
    with pytest.raises(ZeroDivisionError), errors_of("a"):
        raise ZeroDivisionError


@pytest.mark.parametrize(("shift", "notices"), [(0.0, 0), (0.009, 0), (0.02, 1)])
def test_headers_may_round_and_larger_differences_are_reported(shift: float, notices: int) -> None:
    affine = np.eye(4)
    grid = geometry_of((4, 5, 3), affine)
    affine[0, 3] = shift
    array = np.zeros((4, 5, 3))
    same, reported = onto_grid(array, geometry_of((4, 5, 3), affine), grid, "x")
    assert same is array
    assert len(reported) == notices


def test_another_shape_is_refused() -> None:
    grid, own = geometry_of((4, 5, 3), np.eye(4)), geometry_of((4, 5, 2), np.eye(4))
    with pytest.raises(InputError, match="^x has the shape 4 x 5 x 2, but .* has 4 x 5 x 3"):
        onto_grid(np.zeros((4, 5, 2)), own, grid, "x")


def test_voxels_that_are_no_numbers_are_noticed(tmp_path: Path) -> None:
    image, labels = volume(1, np.float32), volume(0, np.float32)
    image[0], labels[1] = np.nan, np.inf
    files = {
        "T1": write_nifti(tmp_path / "t1.nii", image),
        "seg": write_nifti(tmp_path / "s.nii", labels),
    }
    loaded = load_files("a", files)
    assert [notice.split(" of ")[0] for notice in loaded.notices] == [
        f"t1.nii holds {image[0].size} voxels",
        f"s.nii holds {labels[1].size} voxels",
    ]
    assert loaded.labels is not None
    np.testing.assert_array_equal(canonical(loaded.images["T1"], loaded.geometry)[1:], image[1:])
    np.testing.assert_array_equal(canonical(loaded.labels, loaded.geometry)[0], labels[0])
    assert not canonical(loaded.images["T1"], loaded.geometry)[0].any()
    assert not canonical(loaded.labels, loaded.geometry)[1].any()


def test_each_file_of_a_case_may_be_in_a_container_of_its_own(tmp_path: Path) -> None:
    plain = {
        name: write_nifti(tmp_path / f"{name}.nii", volume(seed, np.int16))
        for seed, name in enumerate(("seg", "T1", "T2", "FLAIR"))
    }
    endings = {"seg": ".hdr", "T1": ".mgz", "T2": ".nrrd", "FLAIR": ".mhd"}
    files = {}
    for name, path in plain.items():
        image = nib.load(path)
        by = by_itk if endings[name] in (".nrrd", ".mhd") else by_nibabel
        files[name] = by(
            tmp_path / f"{name}{endings[name]}", np.asarray(image.dataobj), image.affine
        )
    loaded, expected = load_files("a", files), load_files("a", plain)
    assert loaded.notices == ()
    assert loaded.labels is not None and expected.labels is not None
    np.testing.assert_array_equal(loaded.labels, expected.labels)
    np.testing.assert_allclose(loaded.geometry.affine, expected.geometry.affine)
    for name, array in expected.images.items():
        np.testing.assert_array_equal(loaded.images[name], array)

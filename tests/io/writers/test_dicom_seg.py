"""DICOM-SEG on the series of the scan: right way round for three readers, and valid."""

from __future__ import annotations

import gzip
import itertools
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray
from scipy.spatial import KDTree

from mriseg.errors import InputError
from mriseg.io.dicom.conversion import read_series
from mriseg.io.images import Image
from mriseg.io.writers import WRITERS
from mriseg.io.writers.base import MadeBy, Output
from mriseg.io.writers.dicom_seg import refusal
from tests.io.dicom.series import write_series
from tests.io.dicom.test_conversion import (
    MIRRORED,
    NIBABEL,
    PERMUTED,
    affine_for,
    oblique,
    voxels,
)

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MADE_BY = MadeBy("base", "a1" * 32, "0.1.0")

Array = NDArray[np.generic]


def masks(shape: tuple[int, ...], seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Nested regions that no turn or reflection leaves as they are."""
    whole = np.random.default_rng(seed).random(shape)
    return {name: (whole > t).astype(np.uint8) for name, t in (("WT", 0.5), ("ET", 0.8))}


def written(
    tmp_path: Path,
    affine: Array,
    *,
    probabilities: bool = False,
    names: tuple[str, ...] = ("WT", "ET"),
) -> tuple[Path, Image, dict[str, NDArray[np.uint8]]]:
    paths = write_series(tmp_path / "series", voxels((4, 5, 6)), affine, "AX FLAIR", seed=1)
    image = read_series(paths)
    regions = {n: m for n, m in masks(image.array.shape).items() if n in names}
    output = Output(
        case="anna",
        labels=np.zeros(image.array.shape, np.uint8),
        geometry=image.geometry,
        probabilities={n: 0.75 * m for n, m in regions.items() if probabilities},
        reference=tuple(paths),
        masks=regions,
        colours={"WT": (230, 159, 0)},
        made_by=MADE_BY,
    )
    path = tmp_path / "anna.seg.dcm"
    WRITERS["dicom-seg"].write(output, path)
    return path, image, regions


def in_world(array: Array, affine: Array) -> set[tuple[float, ...]]:
    """Where the voxels of a mask lie, in RAS, to a hundredth of a mm."""
    index = np.argwhere(array)
    world = index @ np.asarray(affine)[:3, :3].T + np.asarray(affine)[:3, 3]
    return {tuple(row) for row in (np.round(world, 2) + 0.0).tolist()}


def by_hand(path: Path, segment: int) -> set[tuple[float, ...]]:
    """The same of a segment, from the pixels and places of its frames, by pydicom alone."""
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    direction = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    places: set[tuple[float, ...]] = set()
    for frame, pixels in zip(data.PerFrameFunctionalGroupsSequence, data.pixel_array, strict=True):
        # Of one segment alone, all frames share it.
        group = frame if "SegmentIdentificationSequence" in frame else shared
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber != segment:
            continue
        origin = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        for row, column in np.argwhere(pixels):
            at = origin + direction[:3] * column * columns + direction[3:] * row * rows
            places.add(tuple((np.round(at * (-1, -1, 1), 2) + 0.0).tolist()))
    return places


def by_highdicom(path: Path, segment: int) -> set[tuple[float, ...]]:
    volume = highdicom.seg.segread(path).get_volume(segment_numbers=[segment])
    return in_world(volume.array[..., 0], _LPS @ volume.affine)


def by_itk(path: Path) -> set[tuple[float, ...]]:
    """Of the only segment; ITK puts several into one volume."""
    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return in_world(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), _LPS @ affine)


@pytest.mark.parametrize(
    "orientations",
    [
        # An axial, a coronal and a sagittal one, each read from another side; and all 48.
        [((0, 1, 2), (1, 1, 1)), ((0, 2, 1), (-1, 1, -1)), ((1, 2, 0), (1, -1, -1))],
        pytest.param(list(itertools.product(PERMUTED, MIRRORED)), marks=pytest.mark.slow),
    ],
    ids=["three", "all"],
)
def test_every_orientation_is_the_right_way_round(
    tmp_path: Path, orientations: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> None:
    for number, (order, signs) in enumerate(orientations):
        folder = tmp_path / str(number)
        path, image, regions = written(folder, affine_for(order, signs))
        for segment, mask in enumerate(regions.values(), start=1):
            truth = in_world(mask, image.geometry.affine)
            assert by_hand(path, segment) == truth
            assert by_highdicom(path, segment) == truth


@pytest.mark.parametrize("seed", range(2))
def test_oblique_series_too_for_three_readers(tmp_path: Path, seed: int) -> None:
    path, image, regions = written(tmp_path, oblique(seed), names=("WT",))
    truth = in_world(regions["WT"], image.geometry.affine)
    assert near(by_hand(path, 1), truth)
    assert near(by_highdicom(path, 1), truth)
    assert near(by_itk(path), truth)


def near(one: set[tuple[float, ...]], other: set[tuple[float, ...]]) -> bool:
    """Whether two sets of places are the same within a few hundredths of a mm."""
    a, b = np.array(sorted(one)), np.array(sorted(other))
    return len(a) == len(b) and KDTree(a).query(b)[0].max() < 0.05 > KDTree(b).query(a)[0].max()


def valid(path: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian's dicom3tools) is not installed")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def test_objects_are_valid(tmp_path: Path) -> None:
    path, _, _ = written(tmp_path, oblique(1), probabilities=True)
    assert valid(path) == []
    assert valid(tmp_path / "anna.fractional.dcm") == []


def test_regions_keep_their_overlap_names_and_codes(tmp_path: Path) -> None:
    path, image, regions = written(tmp_path, oblique(1))
    data = pydicom.dcmread(path)
    assert data.SegmentationType == "BINARY"
    kinds = [
        (
            segment.SegmentLabel,
            segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning,
            segment.SegmentAlgorithmType,
        )
        for segment in data.SegmentSequence
    ]
    assert kinds == [
        ("WT", "Neoplasm", "AUTOMATIC"),
        ("ET", "Enhancing Lesion", "AUTOMATIC"),
    ]
    assert (regions["WT"] & regions["ET"]).any()
    algorithm = data.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmVersion == "0.1.0"
    assert MADE_BY.digest in algorithm.AlgorithmParameters
    assert "not for clinical use" in data.SeriesDescription
    source = pydicom.dcmread(next((tmp_path / "series").iterdir()))
    assert data.SeriesNumber == source.SeriesNumber + 9000
    assert data.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert data[keyword].value == source[keyword].value


def test_probabilities_are_fractional(tmp_path: Path) -> None:
    _, image, regions = written(tmp_path, oblique(2), probabilities=True)
    path = tmp_path / "anna.fractional.dcm"
    data = pydicom.dcmread(path)
    assert (data.SegmentationType, data.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    for segment, mask in enumerate(regions.values(), start=1):
        assert near(by_hand(path, segment), in_world(mask, image.geometry.affine))
    assert data.pixel_array.max() == round(0.75 * 255)


def test_the_same_mask_is_the_same_instance_and_another_is_not(tmp_path: Path) -> None:
    first, _, _ = written(tmp_path / "a", oblique(1))
    again, _, _ = written(tmp_path / "b", oblique(1))
    other, _, _ = written(tmp_path / "c", oblique(1), names=("WT",))
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in (first, again, other)]
    assert uids[0] == uids[1] != uids[2]


def test_an_empty_mask_is_written(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", voxels(), oblique(1), "T2")
    image = read_series(paths)
    empty = np.zeros(image.array.shape, np.uint8)
    output = Output(
        "anna",
        empty,
        image.geometry,
        {"WT": empty.astype(np.float32)},
        reference=tuple(paths),
        masks={"WT": empty},
        made_by=MADE_BY,
    )
    WRITERS["dicom-seg"].write(output, tmp_path / "x.seg.dcm")
    assert not pydicom.dcmread(tmp_path / "x.seg.dcm").pixel_array.any()
    assert valid(tmp_path / "x.seg.dcm") == valid(tmp_path / "x.fractional.dcm") == []


def test_a_file_of_many_frames_is_a_source_too(tmp_path: Path) -> None:
    path = tmp_path / "philips.dcm"
    path.write_bytes(gzip.decompress((NIBABEL / "philips_mprage.dcm.gz").read_bytes()))
    image = read_series([path])
    mask = np.zeros(image.array.shape, np.uint8)
    mask[10:13, 20, 30:35] = 1
    output = Output("p", mask, image.geometry, reference=(path,), masks={"WT": mask})
    WRITERS["dicom-seg"].write(output, tmp_path / "p.seg.dcm")
    truth = in_world(mask, image.geometry.affine)
    assert near(by_hand(tmp_path / "p.seg.dcm", 1), truth)


def test_a_mosaic_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mosaic.dcm"
    path.write_bytes(gzip.decompress((NIBABEL / "siemens_dwi_0.dcm.gz").read_bytes()))
    image = read_series([path])
    mask = np.zeros(image.array.shape, np.uint8)
    output = Output("p", mask, image.geometry, reference=(path,), masks={"WT": mask})
    with pytest.raises(InputError, match="mosaic, to which DICOM-SEG cannot refer"):
        WRITERS["dicom-seg"].write(output, tmp_path / "p.seg.dcm")
    assert not (tmp_path / "p.seg.dcm").exists()


def test_masks_of_another_grid_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", voxels(), oblique(1), "T2")
    elsewhere = read_series(write_series(tmp_path / "t", voxels(), oblique(2), "T2"))
    mask = np.ones(elsewhere.array.shape, np.uint8)
    output = Output("p", mask, elsewhere.geometry, reference=tuple(paths), masks={"WT": mask})
    with pytest.raises(InputError, match="do not lie where the slices"):
        WRITERS["dicom-seg"].write(output, tmp_path / "p.seg.dcm")


def test_scans_that_are_not_dicom_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"x")
    assert "was not read from DICOM" in refusal({"T1": (tmp_path / "a.nii.gz",)})
    assert "was not read from DICOM" in refusal({})
    paths = write_series(tmp_path / "s", voxels(), oblique(1), "T2")
    assert refusal({"T2": paths}) == ""

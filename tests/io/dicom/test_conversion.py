"""Volumes written as DICOM and read back, with a second reader as a judge; and every fault."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom.uid import RLELossless
from scipy.spatial.transform import Rotation

from mriseg.core.orientation import geometry_of
from mriseg.errors import InputError
from mriseg.io import images, readers
from mriseg.io.dicom import conversion
from mriseg.io.dicom.conversion import read_series
from mriseg.io.images import Image
from mriseg.io.sample import sample_dir
from tests.io.dicom.series import write_series

PERMUTED = list(itertools.permutations(range(3)))
MIRRORED = list(itertools.product((1, -1), repeat=3))
SPACING = (1.5, 0.75, 3.0)
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine_for(order: tuple[int, ...], signs: tuple[int, ...]) -> NDArray[np.float64]:
    affine = np.zeros((4, 4))
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[axis, column] = sign * SPACING[column]
    affine[:, 3] = (11.5, -23.25, 42, 1)
    return affine


def oblique(seed: int) -> NDArray[np.float64]:
    affine = np.eye(4)
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    affine[:3, :3] = turn * SPACING
    affine[:3, 3] = (11.5, -23.25, 42)
    return affine


def voxels(shape: tuple[int, int, int] = (7, 9, 11)) -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)


def at_places(image: Image, array: NDArray[np.uint16], affine: NDArray[np.float64]) -> None:
    """Every voxel of ``array`` is in ``image`` at the same place in the world."""
    own = np.asarray(image.geometry.affine)
    index = np.indices(array.shape).reshape(3, -1)
    world = affine[:3, :3] @ index + affine[:3, 3:]
    back = np.linalg.inv(own)[:3]
    reached = back[:, :3] @ world + back[:, 3:]
    assert np.abs(reached - np.rint(reached)).max() < 1e-3
    i, j, k = np.rint(reached).astype(int)
    np.testing.assert_array_equal(image.array[i, j, k], array.reshape(-1))
    assert image.array.shape[0] * image.array.shape[1] * image.array.shape[2] == array.size


def by_itk(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The series [i, j, k] and its RAS affine, as SimpleITK reads it."""
    reader = SimpleITK.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), _LPS @ affine


@pytest.mark.parametrize("order", PERMUTED)
def test_every_orientation_comes_back_to_the_bit(tmp_path: Path, order: tuple[int, ...]) -> None:
    array = voxels()
    for number, signs in enumerate(MIRRORED):
        affine, folder = affine_for(order, signs), tmp_path / str(number)
        image = read_series(write_series(folder, array, affine, "T2", seed=number))
        at_places(image, array, affine)
        # These numbers are exact in float32, and so is the affine: the same up to reversed axes.
        turn = np.linalg.inv(affine) @ np.asarray(image.geometry.affine)
        assert np.array_equal(turn[:3, :3], np.rint(turn[:3, :3]))
        assert image.notices == ()


@pytest.mark.parametrize("seed", range(4))
def test_oblique_series_agree_with_a_second_reader(tmp_path: Path, seed: int) -> None:
    array, affine = voxels(), oblique(seed)
    image = read_series(write_series(tmp_path, array, affine, "T2", seed=seed))
    at_places(image, array, affine)
    values, theirs = by_itk(tmp_path)
    at_places(image, values.astype(np.uint16), theirs)


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    array, affine = voxels(), affine_for((0, 1, 2), (1, 1, 1))
    scale = {"RescaleSlope": "2", "RescaleIntercept": "-5", "RescaleType": "US"}
    image = read_series(write_series(tmp_path, array, affine, "T2", seed=3, **scale))
    values, theirs = by_itk(tmp_path)
    assert values.min() < 0
    own = Image(image.array, image.geometry, ())
    at_places(own, values, theirs)


def test_compressed_files_are_read(tmp_path: Path) -> None:
    array, affine = voxels(), oblique(1)
    paths = write_series(tmp_path, array, affine, "T2")
    for path in paths:
        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)
    at_places(read_series(paths), array, affine)
    content = paths[4].read_bytes()
    paths[4].write_bytes(content[:-40])
    with pytest.raises(InputError, match=f"{paths[4].name} is cut off within its compressed"):
        read_series(paths)


def edited(path: Path, **elements: object) -> None:
    data = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    data.save_as(path)


def _missing(paths: list[Path]) -> list[Path]:
    return [*paths[:4], *paths[5:]]


def _doubled(paths: list[Path]) -> list[Path]:
    copy = paths[3].with_name("copy")
    copy.write_bytes(paths[3].read_bytes())
    return [*paths, copy]


def _tilted(paths: list[Path]) -> list[Path]:
    for number, path in enumerate(paths):
        x, y, z = pydicom.dcmread(path).ImagePositionPatient
        edited(path, ImagePositionPatient=[x, y + 0.5 * number, z])
    return paths


def _slopes(paths: list[Path]) -> list[Path]:
    edited(paths[5], RescaleSlope="2", RescaleIntercept="0")
    return paths


def _cut_off(paths: list[Path]) -> list[Path]:
    paths[2].write_bytes(paths[2].read_bytes()[:-30])
    return paths


def _another_series(paths: list[Path]) -> list[Path]:
    edited(paths[2], SeriesInstanceUID="1.2.3")
    return paths


def _another_echo(paths: list[Path]) -> list[Path]:
    edited(paths[2], EchoTime="80")
    return paths


def _no_place(paths: list[Path]) -> list[Path]:
    data = pydicom.dcmread(paths[2])
    del data.ImagePositionPatient
    data.save_as(paths[2])
    return paths


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_missing, "a slice is missing between IM0003 and IM0005: they are 6 mm apart, others 3"),
        (_doubled, "(IM0003 and copy|copy and IM0003) are the same slice twice"),
        (_tilted, "tilted by 9.46 degrees"),
        (_slopes, "IM0000 and IM0005 have values of different scales"),
        (_cut_off, "IM0002 is cut off: its pixels take 126 bytes"),
        (_another_series, "IM0002 is of another series than IM0000"),
        (_another_echo, "IM0002 is of another series than IM0000"),
        (_no_place, "IM0002 does not state where it lies"),
    ],
)
def test_every_fault_is_named_before_a_converter_runs(
    tmp_path: Path,
    damage: Callable[[list[Path]], list[Path]],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = damage(write_series(tmp_path, voxels(), affine_for((0, 1, 2), (1, 1, 1)), "T2"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a converter ran")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(InputError, match=said):
        read_series(paths)


def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "problem_of", lambda headers: "")


def test_what_the_converter_doubts_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the checks of the headers to miss it, dcm2niix writes a file, and it is not taken."""
    unchecked(monkeypatch)
    paths = write_series(tmp_path, voxels(), affine_for((0, 1, 2), (1, 1, 1)), "T2")
    with pytest.raises(InputError, match="dcm2niix refuses or doubts it.*nterslice"):
        read_series(_missing(paths))


def test_what_the_converter_places_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing of a tilt; its volume then does not lie where the headers say."""
    unchecked(monkeypatch)
    paths = _tilted(write_series(tmp_path, voxels(), affine_for((0, 1, 2), (1, 1, 1)), "T2"))
    with pytest.raises(InputError, match="dcm2niix"):
        read_series(paths)


def test_a_converter_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_series(tmp_path, voxels(), affine_for((0, 1, 2), (1, 1, 1)), "T2")
    monkeypatch.setattr(conversion, "_TIMEOUT", 0.0001)
    with pytest.raises(InputError, match="did not end within"):
        read_series(paths)


def test_nothing_is_left_behind_and_no_settings_of_the_users_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    (home / ".dcm2nii.ini").write_text("isGZ=1\nisFlipY=0\nfilename=%n_%i\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    array, affine = voxels(), oblique(2)
    paths = write_series(tmp_path / "s", array, affine, "T2")
    before = (home / ".dcm2nii.ini").read_text()
    at_places(read_series(paths), array, affine)
    assert not [*temporary.iterdir()]
    assert (home / ".dcm2nii.ini").read_text() == before
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == sorted(p.name for p in paths)


def test_no_header_but_geometry_is_in_what_is_read(tmp_path: Path) -> None:
    paths = write_series(tmp_path, voxels(), oblique(2), "T2 of Jane Doe", patient="SECRET1")
    image = read_series(paths)
    assert not any(word in repr(image) for word in ("SECRET1", "Doe", "Jane", "T2"))


def as_series(tmp_path: Path, image: Image, name: str) -> None:
    """A scan written as DICOM comes back voxel for voxel, for two readers."""
    turned = np.ascontiguousarray(image.array).astype(np.uint16)
    np.testing.assert_array_equal(turned, image.array)
    affine = np.asarray(image.geometry.affine)
    paths = write_series(tmp_path / name, turned, affine, "T2", seed=len(name))
    again = read_series(paths)
    at_places(again, turned, affine)
    values, theirs = by_itk(tmp_path / name)
    at_places(again, values.astype(np.uint16), theirs)


def test_the_sample_comes_back(tmp_path: Path) -> None:
    case = readers.find(sample_dir(), "lgg")[1].cases[0]
    loaded = case.load()
    # Its slices state no place: any will do, and this one is oblique.
    geometry = geometry_of(loaded.geometry.shape, oblique(5))
    as_series(tmp_path, Image(loaded.images["FLAIR"], geometry, ()), "sample")


@pytest.mark.slow
@pytest.mark.realdata
def test_real_scans_come_back(tmp_path: Path, brats_dir: Path) -> None:
    for path in sorted(brats_dir.glob("*/*"))[::4]:
        image = images.read(path)
        if image.array.min() >= 0 and np.array_equal(image.array, np.rint(image.array)):
            as_series(tmp_path, image, path.parent.name + path.name)


NIBABEL = Path(nib.__file__).parent / "nicom" / "tests" / "data"
PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize(
    ("path", "shape", "spacing"),
    [
        (NIBABEL / "siemens_dwi_0.dcm.gz", (128, 128, 48), (1.796875, 1.796875, 3)),  # a mosaic
        (NIBABEL / "philips_mprage.dcm.gz", (176, 256, 256), (1, 1, 1)),  # many frames in a file
        (NIBABEL / "decimal_rescale.dcm", (128, 96, 1), (1.125, 1.125, 5)),
        *(
            (PYDICOM / f"MR_small{kind}.dcm", (64, 64, 1), (0.3125, 0.3125, 0.8))
            for kind in (
                *("", "_RLE", "_bigendian", "_expb", "_implicit", "_jp2klossless"),
                *("_jpeg_ls_lossless", "_padded"),
            )
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_real_files_are_read(
    path: Path, shape: tuple[int, ...], spacing: tuple[float, ...], tmp_path: Path
) -> None:
    if path.suffix == ".gz":
        unpacked = tmp_path / path.stem
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
        path = unpacked
    image = read_series([path])
    assert sorted(image.array.shape) == sorted(shape)
    assert sorted(image.geometry.own_spacing) == pytest.approx(sorted(spacing), abs=1e-3)
    if "MR_small" in path.name and "RLE" not in path.name:
        # All encodings hold the same pixels.
        plain = pydicom.dcmread(PYDICOM / "MR_small.dcm").pixel_array
        np.testing.assert_array_equal(image.array[:, ::-1, 0], plain.T)


def test_real_files_without_a_place_or_cut_off_are_refused() -> None:
    more = importlib.util.find_spec("data_store")
    assert more is not None and more.origin, "pydicom-data is not installed"
    (enhanced,) = Path(more.origin).parent.rglob("emri_small.dcm")
    with pytest.raises(InputError, match="does not state where it lies"):
        read_series([enhanced])
    with pytest.raises(InputError, match="MR_truncated.dcm is cut off: its pixels take 8192"):
        read_series([PYDICOM / "MR_truncated.dcm"])

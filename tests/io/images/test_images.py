from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mriseg.core.volume import Geometry
from mriseg.errors import InputError
from mriseg.io import images
from tests import strategies
from tests.io.images import written

Array = NDArray[Any]
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
REALS = ("float32", "float64")
ONE_FILE = tuple(suffix for suffix in images.SUFFIXES if suffix not in (".hdr.gz", ".mgh.gz"))


def noise(*shape: int, dtype: Any = np.int16) -> Array:
    return np.random.default_rng(1).integers(0, 100, size=shape).astype(dtype)


def write(path: Path, array: Array, affine: Any = None) -> Path:
    """In the container that its ending names."""
    affine = np.eye(4) if affine is None else np.asarray(affine)
    by = written.by_itk if path.suffix in (".mha", ".mhd", ".nrrd", ".nhdr") else written.by_nibabel
    return by(path, array, affine)


class TestEqualResults:
    """Every container gives the voxels and the places that ITK sees."""

    @settings(max_examples=25)
    @given(strategies.scans(), st.sampled_from([*DTYPES, *REALS]), st.booleans())
    def test_what_itk_writes(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        scan: tuple[Array, Geometry],
        dtype: str,
        packed: bool,
    ) -> None:
        folder = tmp_path_factory.mktemp("itk")
        array, grid = scan
        array = np.abs(array).clip(0, 127).astype(dtype)
        for suffix in written.ITK:
            path = written.by_itk(
                folder / f"x{suffix}", array, np.asarray(grid.affine), packed=packed
            )
            self.equal(path, array, grid)
            shutil.rmtree(folder)
            folder.mkdir()

    @settings(max_examples=25)
    @given(strategies.scans(), st.sampled_from(written.MGH_TYPES))
    def test_what_nibabel_writes(
        self, tmp_path_factory: pytest.TempPathFactory, scan: tuple[Array, Geometry], dtype: str
    ) -> None:
        folder = tmp_path_factory.mktemp("nibabel")
        array, grid = scan
        array = np.abs(array).clip(0, 127).astype(dtype)
        for suffix in written.NIBABEL:
            path = written.by_nibabel(folder / f"x{suffix}", array, np.asarray(grid.affine))
            self.equal(path, array, grid, itk=not suffix.startswith(".mg"))

    def equal(self, path: Path, array: Array, grid: Geometry, itk: bool = True) -> None:
        voxels, geometry, notices = images.read(path)
        np.testing.assert_array_equal(voxels, array.astype(voxels.dtype))
        assert voxels.dtype == ("float32" if array.dtype.kind == "f" else array.dtype)
        assert (geometry.shape, geometry.ndim, geometry.unit) == (grid.shape, 3, "mm")
        assert not notices
        np.testing.assert_allclose(geometry.affine, grid.affine, atol=1e-3)
        header = images.header(path)
        assert (header.shape, header.geometry) == (array.shape, geometry)
        assert header.dtype.newbyteorder("=") == array.dtype
        if itk:
            ends = np.array([(0, 0, 0), np.array(array.shape) - 1], dtype=float)
            affine = np.asarray(geometry.affine)
            seen = ends @ affine[:3, :3].T + affine[:3, 3]
            np.testing.assert_allclose(seen, written.positions(path, ends), atol=1e-4)

    @pytest.mark.parametrize("unit", ["meter", "mm", "micron", "unknown"])
    @pytest.mark.parametrize("codes", [(1, 0), (0, 1), (2, 1)])
    def test_units_of_nifti(self, tmp_path: Path, unit: str, codes: tuple[int, int]) -> None:
        image = nib.Nifti1Image(noise(3, 4, 5), np.diag([2.0, 3, 4, 1]))
        affine = np.array([[0, -2, 0, 5], [3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1.0]])
        image.set_qform(affine, codes[0])
        image.set_sform(affine, codes[1])
        image.header.set_xyzt_units(unit)
        nib.save(image, tmp_path / "x.nii")
        ends = np.array([(0, 0, 0), (2.0, 3, 4)])
        affine = np.asarray(images.read(tmp_path / "x.nii").geometry.affine)
        np.testing.assert_allclose(
            ends @ affine[:3, :3].T + affine[:3, 3],
            written.positions(tmp_path / "x.nii", ends),
            rtol=1e-5,
        )

    @pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd"])
    def test_a_slice_and_several_volumes(self, tmp_path: Path, suffix: str) -> None:
        plane = SimpleITK.GetImageFromArray(noise(5, 4))
        plane.SetSpacing((2, 3))
        plane.SetOrigin((5, 6))
        SimpleITK.WriteImage(plane, str(tmp_path / f"x{suffix}"))
        array, geometry, _ = images.read(tmp_path / f"x{suffix}")
        np.testing.assert_array_equal(array[..., 0].T, noise(5, 4))
        assert (geometry.ndim, geometry.shape) == (2, (4, 5, 1))
        expected = [[-2, 0, 0, -5], [0, -3, 0, -6], [0, 0, 1, 0], [0, 0, 0, 1]]
        np.testing.assert_allclose(geometry.affine, expected)

        several = SimpleITK.GetImageFromArray(noise(2, 5, 4, 3), isVector=False)
        SimpleITK.WriteImage(several, str(tmp_path / f"y{suffix}"))
        arrays, _, _ = images.read_channels(tmp_path / f"y{suffix}")
        np.testing.assert_array_equal(np.stack(arrays), noise(2, 5, 4, 3).transpose(0, 3, 2, 1))
        assert images.shape(tmp_path / f"y{suffix}") == (3, 4, 5, 2)
        with pytest.raises(InputError, match="holds 2 volumes in one file"):
            images.read(tmp_path / f"y{suffix}")

    def test_several_volumes_of_freesurfer(self, tmp_path: Path) -> None:
        nib.save(nib.MGHImage(noise(3, 4, 5, 2), np.eye(4)), tmp_path / "x.mgz")
        arrays, _, _ = images.read_channels(tmp_path / "x.mgz")
        np.testing.assert_array_equal(np.stack(arrays, -1), noise(3, 4, 5, 2))
        assert len(images.read_channels(write(tmp_path / "y.mgz", noise(3, 4, 5))).arrays) == 1


class TestNames:
    def test_endings(self) -> None:
        for suffix in images.SUFFIXES:
            for name in (f"a.b{suffix}", f"a.b{suffix.upper()}"):
                assert images.is_image(Path(name))
                assert images.stem(Path(name)) == "a.b"
        for name in ("x.img", "x.raw", "x.zraw", "x.dcm", "x.gz", "x", "nii"):
            assert not images.is_image(Path(name))
            assert images.stem(Path(name)) == name

    def test_another_ending_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"^x.img is not named as an image .*\.nii\.gz"):
            images.read(tmp_path / "x.img")

    @pytest.mark.parametrize(
        ("suffix", "other"), [(".hdr", ".img"), (".mhd", ".raw"), (".nhdr", ".raw")]
    )
    def test_both_files_of_an_image_in_two(self, tmp_path: Path, suffix: str, other: str) -> None:
        path = write(tmp_path / f"x{suffix}", noise(3, 4, 5))
        assert images.files_of(path) == (path, tmp_path / f"x{other}")
        assert images.header(path).files == images.files_of(path)
        (tmp_path / f"x{other}").unlink()
        assert images.files_of(path) == (path,)
        assert images.files_of(tmp_path / "y.mhd") == (tmp_path / "y.mhd",)

    def test_one_file_is_not_opened(self, tmp_path: Path) -> None:
        assert images.files_of(tmp_path / "x.nii.gz") == (tmp_path / "x.nii.gz",)


@pytest.mark.parametrize("suffix", ONE_FILE)
class TestEveryContainer:
    def test_gzip_is_seen_in_the_content(self, tmp_path: Path, suffix: str) -> None:
        path = write(tmp_path / f"x{suffix}", noise(3, 4, 5))
        if suffix in (".mha", ".nrrd", ".mhd", ".nhdr"):
            # Their headers say how they are packed.
            path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            with pytest.raises(InputError, match=f"^x{suffix} is not a"):
                images.read(path)
            return
        content = path.read_bytes()
        plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        for stored in (plain, gzip.compress(plain, mtime=0)):
            path.write_bytes(stored)
            np.testing.assert_array_equal(images.read(path).array, noise(3, 4, 5))

    def test_a_file_that_was_cut(self, tmp_path: Path, suffix: str) -> None:
        path = write(tmp_path / f"x{suffix}", noise(20, 20, 20))
        data = images.files_of(path)[-1]
        os.truncate(data, int(data.stat().st_size * 0.6))
        with pytest.raises(InputError, match=f"^{data.name} is truncated"):
            images.read(path)

    @pytest.mark.parametrize(
        "content", [b"", b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1\n"]
    )
    def test_another_file_of_that_name(self, tmp_path: Path, suffix: str, content: bytes) -> None:
        path = tmp_path / f"x{suffix}"
        path.write_bytes(content)
        for ask in (images.read, images.read_channels, images.header, images.shape):
            with pytest.raises(InputError, match=rf"^x{suffix} is not a [\w-]+") as caught:
                ask(path)
            assert "\n" not in str(caught.value)

    def test_no_file(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(InputError, match=f"^x{suffix} cannot be read: No such file"):
            images.read(tmp_path / f"x{suffix}")

    def test_more_voxels_than_the_limit(self, tmp_path: Path, suffix: str) -> None:
        path = write(tmp_path / f"x{suffix}", noise(3, 3, 3))
        with pytest.raises(InputError, match=f"^x{suffix} claims 3 x 3 x 3 voxels; at most 26"):
            images.read(path, max_voxels=26)

    @settings(max_examples=50)
    @given(data=st.data())
    def test_any_header(
        self, tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
    ) -> None:
        """A file with a few bytes changed gives an array or an InputError, nothing else."""
        path = write(tmp_path_factory.mktemp("header") / f"x{suffix}", noise(4, 5, 6))
        content = bytearray(path.read_bytes())
        places = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
        for place, value in data.draw(st.lists(places, min_size=1, max_size=6)):
            content[place] = value
        path.write_bytes(content)
        try:
            array, geometry, _ = images.read(path)
        except InputError as error:
            assert str(error).startswith("x.")
            return
        assert array.shape == geometry.shape


@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz", ".mha", ".nrrd"])
class TestVoxelsThatAreNoNumbers:
    def test_they_are_background(self, tmp_path: Path, suffix: str) -> None:
        array = noise(10, 10, 10, dtype=np.float32) + 1
        array[:5], array[7, 7, 7] = np.nan, -np.inf
        image = images.read(write(tmp_path / f"x{suffix}", array))
        (notice,) = image.notices
        assert notice == f"x{suffix} holds 501 voxels of NaN or infinity; taken as background"
        assert np.array_equal(image.array == 0, ~np.isfinite(array))
        assert images.read_channels(tmp_path / f"x{suffix}").notices == image.notices

    def test_an_image_without_a_brain(self, tmp_path: Path, suffix: str) -> None:
        array = np.full((10, 10, 10), np.nan, dtype=np.float32)
        for count in (0, 4):
            array.ravel()[:count] = 1
            with pytest.raises(InputError, match=f"^x{suffix} holds {1000 - count} voxels that"):
                images.read(write(tmp_path / f"x{suffix}", array))
        array.ravel()[:5] = 1
        assert images.read(write(tmp_path / f"x{suffix}", array)).notices

    def test_a_small_lesion_in_nothing(self, tmp_path: Path, suffix: str) -> None:
        array = np.full((10, 10, 10), np.nan, dtype=np.float32)
        with pytest.raises(InputError, match="holds 1000 voxels that are NaN"):
            images.read_labels(write(tmp_path / f"x{suffix}", array))
        array[4, 4, 4] = 2
        labels, _, notices = images.read_labels(write(tmp_path / f"x{suffix}", array))
        assert (labels.dtype, labels.sum(), labels[4, 4, 4]) == (np.uint8, 2, 2)
        assert "999 voxels of NaN" in notices[0]


def test_labels_are_whole_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mha", np.full((2, 3, 4), 0.5, np.float32))
    with pytest.raises(InputError, match="labels are whole numbers"):
        images.read_labels(path)


def test_a_header_that_claims_more_than_its_file_can_hold(tmp_path: Path) -> None:
    path = written.metaimage(tmp_path / "x.mha", shape="400 300 200")
    with pytest.raises(InputError, match="cannot hold them"):
        images.header(path)
    assert images.shape(path) == (400, 300, 200)

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Geometry, canonical, uncanonical
from mriseg.errors import InputError, OutputError
from mriseg.io import nifti
from tests import strategies

Array = NDArray[Any]


def save(path: Path, array: Array, affine: Any = None, **header: Any) -> Path:
    """Write with nibabel, and then set header fields as they are, right or wrong."""
    image = nib.Nifti1Image(array, np.eye(4) if affine is None else affine)
    content = bytearray(image.to_bytes())
    raw = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in header.items():
        raw[name] = value
    content[:348] = raw.binaryblock
    path.write_bytes(
        gzip.compress(bytes(content), mtime=0) if path.suffix == ".gz" else bytes(content)
    )
    return path


def noise(*shape: int, dtype: Any = np.int16) -> Array:
    return np.random.default_rng(1).integers(0, 100, size=shape).astype(dtype)


class TestRead:
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize(
        "dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, ">i2", ">f4"]
    )
    def test_an_unscaled_type_is_kept(self, tmp_path: Path, suffix: str, dtype: Any) -> None:
        array = noise(3, 4, 5, dtype=dtype)
        voxels, geometry = nifti.read(save(tmp_path / f"x{suffix}", array))
        assert voxels.dtype == np.dtype(dtype).newbyteorder("=")
        assert geometry.shape == (3, 4, 5)
        np.testing.assert_array_equal(voxels, array)

    def test_float64_becomes_float32(self, tmp_path: Path) -> None:
        voxels, _ = nifti.read(save(tmp_path / "x.nii", noise(2, 3, 4, dtype=np.float64) / 3))
        assert voxels.dtype == np.float32

    def test_scaling_is_applied_and_keeps_the_background_at_0(self, tmp_path: Path) -> None:
        array = np.array([[[-32768, 0, 32767]]], dtype=np.int16)
        path = save(tmp_path / "x.nii", array, scl_slope=2 / 65535, scl_inter=32768 * 2 / 65535)
        voxels, _ = nifti.read(path)
        assert voxels.dtype == np.float32
        np.testing.assert_allclose(voxels.ravel(), [0, 1, 2], atol=1e-4)
        expected = nib.load(path).get_fdata()
        np.testing.assert_allclose(voxels, expected, rtol=1e-6, atol=1e-12)

    def test_big_endian_and_nifti_2(self, tmp_path: Path) -> None:
        array = noise(3, 4, 5)
        header = nib.Nifti1Header(endianness=">")
        nib.save(nib.Nifti1Image(array, np.eye(4), header), tmp_path / "big.nii")
        nib.save(nib.Nifti2Image(array, np.eye(4)), tmp_path / "two.nii.gz")
        for name in ("big.nii", "two.nii.gz"):
            np.testing.assert_array_equal(nifti.read(tmp_path / name)[0], array)

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("length", [2**18 - 192, 2**18, 2**19 + 64])
    def test_files_of_more_than_one_piece(self, tmp_path: Path, suffix: str, length: int) -> None:
        array = noise(length // 64, 8, 8, dtype=np.uint8)
        np.testing.assert_array_equal(nifti.read(save(tmp_path / f"x{suffix}", array))[0], array)

    def test_header_extensions_are_skipped(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(noise(3, 4, 5), np.eye(4))
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))
        nib.save(image, tmp_path / "x.nii.gz")
        np.testing.assert_array_equal(nifti.read(tmp_path / "x.nii.gz")[0], noise(3, 4, 5))

    def test_a_slice_gets_a_third_axis(self, tmp_path: Path) -> None:
        affine = np.diag([-1.0, -1, 1, 1])
        voxels, geometry = nifti.read(save(tmp_path / "x.nii", noise(4, 5), affine))
        assert voxels.shape == geometry.shape == (4, 5, 1)
        assert geometry.ndim == 2
        assert geometry.canonical_shape == (1, 5, 4)

    @pytest.mark.parametrize("orientation", strategies.ORIENTATIONS, ids=lambda o: o.codes)
    def test_a_slice_of_any_plane_stays_one_slice(
        self, tmp_path: Path, orientation: strategies.Orientation
    ) -> None:
        _, geometry = nifti.read(save(tmp_path / "x.nii", noise(4, 5), orientation.affine()))
        assert geometry.canonical_shape in {(1, 5, 4), (1, 4, 5)}
        # Row 0 is the most superior or, in an axial slice, the most anterior.
        row = geometry.axes[1]
        runs_up = orientation.signs[row] > 0
        assert geometry.flips[1] == runs_up
        if 2 in orientation.world[:2]:
            assert orientation.world[row] == 2

    def test_a_slice_without_a_third_voxel_size(self, tmp_path: Path) -> None:
        path = save(
            tmp_path / "x.nii",
            noise(4, 5),
            np.diag([-2.0, -3, 1, 1]),
            srow_z=[0, 0, 0, 0],
            sform_code=1,
        )
        _, geometry = nifti.read(path)
        assert geometry.spacing == (1, 3, 2)

    def test_trailing_axes_of_one_are_dropped(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.nii", noise(3, 4, 5)[..., None, None])
        assert nifti.read(path)[0].shape == (3, 4, 5)

    def test_channels(self, tmp_path: Path) -> None:
        array = noise(3, 4, 5, 2)
        path = save(tmp_path / "x.nii.gz", array)
        channels, geometry = nifti.read_channels(path)
        assert geometry.shape == (3, 4, 5)
        assert nifti.shape(path) == (3, 4, 5, 2)
        np.testing.assert_array_equal(np.stack(channels, -1), array)
        with pytest.raises(InputError, match=r"^x\.nii\.gz holds 2 volumes"):
            nifti.read(path)
        assert len(nifti.read_channels(save(tmp_path / "y.nii", noise(3, 4, 5)))[0]) == 1

    def test_the_content_decides_whether_it_is_gzipped(self, tmp_path: Path) -> None:
        packed = save(tmp_path / "x.nii.gz", noise(3, 4, 5)).read_bytes()
        plain = save(tmp_path / "x.nii", noise(3, 4, 5)).read_bytes()
        (tmp_path / "x.nii").write_bytes(packed)
        (tmp_path / "x.nii.gz").write_bytes(plain)
        for name in ("x.nii", "x.nii.gz"):
            np.testing.assert_array_equal(nifti.read(tmp_path / name)[0], noise(3, 4, 5))

    @pytest.mark.parametrize(("unit", "factor"), [(0, 1), (1, 1e3), (2, 1), (3, 1e-3), (7, 1)])
    def test_lengths_are_in_mm(self, tmp_path: Path, unit: int, factor: float) -> None:
        # 8: times are in seconds.
        path = save(
            tmp_path / "x.nii", noise(2, 3, 4), np.diag([2.0, 3, 4, 1]), xyzt_units=8 + unit
        )
        _, geometry = nifti.read(path)
        np.testing.assert_allclose(geometry.affine, np.diag([2, 3, 4, 1 / factor]) * factor)


class TestRefuses:
    """Each fault has one message that begins with the file's name."""

    def refused(self, path: Path, why: str, **options: Any) -> None:
        with pytest.raises(InputError, match=why) as caught:
            nifti.read(path, **options)
        assert str(caught.value).startswith(path.name)
        assert "\n" not in str(caught.value)

    def test_a_web_page(self, tmp_path: Path) -> None:
        path = tmp_path / "x.nii.gz"
        path.write_bytes(b"<!DOCTYPE html><html>")
        self.refused(path, r"not a NIfTI file \(it starts with '<!DOCTYPE': a web page\?\)")
        path.rename(tmp_path / "x.nii")
        self.refused(tmp_path / "x.nii", "not a NIfTI file .*a web page")

    def test_a_pointer_to_a_file_that_was_not_fetched(self, tmp_path: Path) -> None:
        path = tmp_path / "x.nii.gz"
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        self.refused(path, "Git LFS")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_an_empty_file(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"x{suffix}"
        path.write_bytes(b"")
        self.refused(path, "it is empty")

    def test_another_suffix(self, tmp_path: Path) -> None:
        (tmp_path / "x.mha").write_bytes(b"ObjectType = Image")
        self.refused(tmp_path / "x.mha", "not named")

    def test_no_file(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "x.nii", "No such file")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("left", [0.2, 0.6, 0.99])
    def test_a_truncated_file(self, tmp_path: Path, suffix: str, left: float) -> None:
        path = save(tmp_path / f"x{suffix}", noise(20, 20, 20))
        os.truncate(path, int(path.stat().st_size * left))
        self.refused(path, "truncated")

    def test_a_gzip_that_lacks_only_its_checksum(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.nii.gz", noise(20, 20, 20))
        os.truncate(path, path.stat().st_size - 4)
        self.refused(path, "truncated")

    def test_a_gzip_with_a_wrong_checksum(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.nii.gz", noise(20, 20, 20))
        content = bytearray(path.read_bytes())
        content[-6] ^= 1
        path.write_bytes(content)
        self.refused(path, "damaged gzip")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_voxels_that_are_no_numbers(self, tmp_path: Path, value: float) -> None:
        array = noise(3, 4, 5, dtype=np.float32)
        array[1, 2, 3] = value
        self.refused(save(tmp_path / "x.nii", array), "holds 1 voxels that are NaN or infinite")

    def test_numbers_too_large_for_float32(self, tmp_path: Path) -> None:
        self.refused(save(tmp_path / "x.nii", np.full((2, 2, 2), 1e300)), "infinite")

    @pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
    def test_voxels_of_another_kind(self, tmp_path: Path, dtype: Any) -> None:
        self.refused(save(tmp_path / "x.nii", np.zeros((2, 2, 2), dtype)), "expected integers")

    def test_an_unknown_type(self, tmp_path: Path) -> None:
        self.refused(save(tmp_path / "x.nii", noise(2, 2, 2), datatype=999), "damaged NIfTI header")

    @pytest.mark.parametrize("length", [0, -3])
    def test_no_voxels(self, tmp_path: Path, length: int) -> None:
        path = save(tmp_path / "x.nii", noise(2, 2, 2), dim=[3, 2, length, 2, 1, 1, 1, 1])
        self.refused(path, "no voxels")

    @pytest.mark.parametrize("axes", [0, 1, 9, -1])
    def test_an_odd_number_of_axes(self, tmp_path: Path, axes: int) -> None:
        path = save(tmp_path / "x.nii", noise(2, 2, 2), dim=[axes, 2, 2, 2, 1, 1, 1, 1])
        self.refused(path, "axes|damaged|no voxels")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_more_voxels_than_the_file_can_hold(self, tmp_path: Path, suffix: str) -> None:
        dim = [3, 800, 800, 800, 1, 1, 1, 1]
        path = save(tmp_path / f"x{suffix}", noise(2, 2, 2), dim=dim)
        self.refused(path, "cannot hold them")

    def test_more_voxels_than_the_limit(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.nii", noise(2, 2, 2), dim=[4, 32767, 32767, 32767, 9, 1, 1, 1])
        self.refused(path, "at most 536870912")
        self.refused(save(tmp_path / "y.nii", noise(3, 3, 3)), "at most 26", max_voxels=26)

    @pytest.mark.parametrize("offset", [np.nan, np.inf, -1.0, 1e30])
    def test_an_odd_offset(self, tmp_path: Path, offset: float) -> None:
        self.refused(save(tmp_path / "x.nii", noise(2, 2, 2), vox_offset=offset), "start at|hold")

    def test_an_infinite_slope(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.nii", noise(2, 2, 2), scl_slope=1, scl_inter=np.inf)
        self.refused(path, "damaged NIfTI header")

    def test_a_header_of_a_pair(self, tmp_path: Path) -> None:
        self.refused(save(tmp_path / "x.nii", noise(2, 2, 2), magic=b"ni1"), ".hdr/.img pair")

    @pytest.mark.parametrize(
        ("row", "why"),
        [
            ([0, 0, 0, 0], "a size of 0"),
            ([np.nan, 0, 0, 0], "not finite"),
            ([np.inf, 0, 0, 0], "not finite"),
            ([1e30, 0, 0, 0], r"a size of 1e\+30"),
        ],
    )
    def test_an_unusable_affine(self, tmp_path: Path, row: list[float], why: str) -> None:
        path = save(tmp_path / "x.nii", noise(2, 2, 2), sform_code=1, srow_x=row)
        self.refused(path, why)

    def test_a_singular_affine(self, tmp_path: Path) -> None:
        rows = {"srow_x": [1, 1, 0, 0], "srow_y": [1, 1, 0, 0]}
        path = save(tmp_path / "x.nii", noise(2, 2, 2), sform_code=1, **rows)
        self.refused(path, "singular")

    def test_a_voxel_size_of_0(self, tmp_path: Path) -> None:
        path = save(
            tmp_path / "x.nii",
            noise(2, 2, 2),
            sform_code=0,
            qform_code=1,
            pixdim=[1, 1, 0, 1, 1, 1, 1, 1],
        )
        self.refused(path, "a size of 1 x 0 x 1")

    @given(st.binary(max_size=600), st.sampled_from([".nii", ".nii.gz"]))
    def test_any_bytes(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
    ) -> None:
        path = tmp_path_factory.mktemp("bytes") / f"x{suffix}"
        path.write_bytes(content)
        with pytest.raises(InputError, match="^x.nii"):
            nifti.read(path)

    @given(st.data())
    def test_any_header(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """A header with a few bytes changed gives an array or an InputError, nothing else."""
        folder = tmp_path_factory.mktemp("header")
        path = save(folder / "x.nii", noise(4, 5, 6))
        content = bytearray(path.read_bytes())
        places = st.tuples(st.integers(0, 351), st.integers(0, 255))
        for place, value in data.draw(st.lists(places, min_size=1, max_size=6)):
            content[place] = value
        path.write_bytes(content)
        try:
            array, geometry = nifti.read(path)
        except InputError:
            return
        assert array.shape == geometry.shape


class TestWrite:
    @given(strategies.geometries(), st.sampled_from([".nii", ".nii.gz"]), st.data())
    def test_what_is_written_is_read(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        geometry: Geometry,
        suffix: str,
        data: st.DataObject,
    ) -> None:
        path = tmp_path_factory.mktemp("write") / f"x{suffix}"
        mask = data.draw(strategies.label_maps(geometry.shape))
        nifti.write(path, mask, geometry)
        voxels, grid = nifti.read(path)
        assert voxels.dtype == np.uint8
        np.testing.assert_array_equal(voxels, mask)
        assert (grid.shape, grid.axes, grid.flips) == (
            geometry.shape,
            geometry.axes,
            geometry.flips,
        )
        np.testing.assert_allclose(grid.affine, geometry.affine, rtol=1e-6, atol=1e-4)
        # Programs that prefer the qform must get the same affine.
        np.testing.assert_allclose(nib.load(path).get_qform(), geometry.affine, atol=1e-2)
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]

    def test_a_shear_is_kept_in_the_sform_alone(self, tmp_path: Path) -> None:
        affine = np.eye(4)
        affine[0, 1] = 0.3
        nifti.write(tmp_path / "x.nii", noise(2, 3, 4), geometry_of((2, 3, 4), affine))
        image = nib.load(tmp_path / "x.nii")
        assert image.get_qform(coded=True)[1] == 0
        np.testing.assert_allclose(image.affine, affine, atol=1e-6)

    def test_types(self, tmp_path: Path) -> None:
        geometry = geometry_of((2, 3, 4), np.eye(4))
        for given_type, written in ((bool, "u1"), (np.int64, "u1"), (float, "f4")):
            nifti.write(tmp_path / "x.nii", noise(2, 3, 4).astype(given_type), geometry)
            assert nib.load(tmp_path / "x.nii").get_data_dtype() == np.dtype(written)

    def test_a_slice_is_written_as_a_slice(self, tmp_path: Path) -> None:
        array, geometry = nifti.read(save(tmp_path / "x.nii", noise(4, 5)))
        nifti.write(tmp_path / "y.nii.gz", array, geometry)
        assert nib.load(tmp_path / "y.nii.gz").shape == (4, 5)
        again, grid = nifti.read(tmp_path / "y.nii.gz")
        assert grid == geometry
        np.testing.assert_array_equal(again, array)

    def test_equal_input_gives_equal_bytes(self, tmp_path: Path) -> None:
        geometry = geometry_of((2, 3, 4), np.eye(4))
        for name in ("x.nii.gz", "y.nii.gz"):
            nifti.write(tmp_path / name, noise(2, 3, 4), geometry)
        content = (tmp_path / "x.nii.gz").read_bytes()
        assert content == (tmp_path / "y.nii.gz").read_bytes()
        # Neither a time nor a name in gzip's own header.
        assert struct.unpack("<I", content[4:8]) == (0,)
        assert content[3] == 0

    def test_no_text_is_written_to_the_header(self, tmp_path: Path) -> None:
        nifti.write(tmp_path / "x.nii", noise(2, 3, 4), geometry_of((2, 3, 4), np.eye(4)))
        header = nib.load(tmp_path / "x.nii").header
        for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
            assert not bytes(header[name]).strip(b"\0"), name
        assert not header.extensions

    def test_pixels_claim_no_unit(self, tmp_path: Path) -> None:
        geometry = geometry_of((2, 3, 4), np.eye(4), unit="px")
        nifti.write(tmp_path / "x.nii", noise(2, 3, 4), geometry)
        assert nib.load(tmp_path / "x.nii").header.get_xyzt_units()[0] == "unknown"

    def test_a_length_beyond_16_bits(self, tmp_path: Path) -> None:
        shape = (40_000, 1, 1)
        nifti.write(tmp_path / "x.nii", noise(*shape), geometry_of(shape, np.eye(4)))
        assert nifti.read(tmp_path / "x.nii")[0].shape == shape

    def test_refusals(self, tmp_path: Path) -> None:
        geometry = geometry_of((2, 3, 4), np.eye(4))
        with pytest.raises(InputError, match="not on a grid"):
            nifti.write(tmp_path / "x.nii", noise(4, 3, 2), geometry)
        with pytest.raises(InputError, match="does not fit"):
            nifti.write(tmp_path / "x.nii", noise(2, 3, 4) + 300, geometry)
        with pytest.raises(OutputError, match="name it"):
            nifti.write(tmp_path / "x.png", noise(2, 3, 4), geometry)
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="cannot be written"):
            nifti.write(tmp_path / "file" / "x.nii", noise(2, 3, 4), geometry)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


class TestIntegerLabels:
    def test_scaled_labels_are_rounded(self) -> None:
        given_labels = np.array([0, 1.00392163, 1.99215698, 3.9999999990, 4.00000024])
        labels = nifti.integer_labels(given_labels)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, [0, 1, 2, 4, 4])

    @given(hnp.arrays(np.uint8, strategies.shapes()), st.floats(-0.049, 0.049))
    def test_any_label_comes_back(self, labels: NDArray[np.uint8], off: float) -> None:
        np.testing.assert_array_equal(nifti.integer_labels(labels + np.float64(off)), labels)
        np.testing.assert_array_equal(nifti.integer_labels(labels.astype(np.int32)), labels)

    @pytest.mark.parametrize("value", [0.5, 1.06, -1.0, 256.0, np.nan, np.inf, 1e30])
    def test_what_is_no_label_is_refused(self, value: float) -> None:
        with pytest.raises(InputError, match="segmentation"):
            nifti.integer_labels(np.array([0.0, value, 1.0]))
        if np.isfinite(value) and value == int(value) and abs(value) < 1e9:
            with pytest.raises(InputError, match="segmentation"):
                nifti.integer_labels(np.array([int(value)]))


@pytest.mark.realdata
class TestRealFiles:
    def test_arrays_equal_nibabels(self, data_dir: Path) -> None:
        sets = ("brats/Brats17_TCIA_639_1", "ms-lesions/patient07", "oddities/scaled-labels")
        paths = [path for name in sets for path in (data_dir / name).rglob("*.nii*")]
        paths += sorted((data_dir / "hippocampus" / "images").iterdir())[:20]
        assert len(paths) > 80
        for path in paths:
            array, geometry = nifti.read(path)
            image = nib.load(path)
            expected = np.asanyarray(image.dataobj).reshape(geometry.shape)
            np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-4, err_msg=path.name)
            np.testing.assert_array_equal(geometry.affine, image.affine)
            assert geometry.ndim == image.ndim

    def test_a_scan_that_fills_int16_stays_int16(self, brats_dir: Path) -> None:
        folder = brats_dir / "Brats17_TCIA_639_1"
        array, _ = nifti.read(folder / "Brats17_TCIA_639_1_t1.nii.gz")
        assert array.dtype == np.int16
        assert array.max() == 32767

    def test_a_mask_goes_back_onto_the_scan(self, ms_dir: Path, tmp_path: Path) -> None:
        (path,) = (ms_dir / "patient07").glob("GOLD*")
        labels, geometry = nifti.read(path)
        nifti.write(
            tmp_path / "x.nii.gz", uncanonical(canonical(labels, geometry), geometry), geometry
        )
        written = nib.load(tmp_path / "x.nii.gz")
        np.testing.assert_array_equal(np.asanyarray(written.dataobj), labels)
        np.testing.assert_allclose(written.affine, nib.load(path).affine, atol=1e-6)

    def test_a_web_page_named_as_a_scan(self, oddities_dir: Path) -> None:
        path = oddities_dir / "html-as-nifti" / "BRATS_001" / "BRATS_001_flair.nii.gz"
        with pytest.raises(InputError, match="a web page?"):
            nifti.read(path)

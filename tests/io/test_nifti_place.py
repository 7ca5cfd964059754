"""A mask's header is its scan's, as nibabel and SimpleITK see them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import mriseg
from mriseg.core.orientation import geometry_of
from mriseg.core.spatial_header import SpatialHeader
from mriseg.core.volume import Geometry
from mriseg.io import nifti
from mriseg.io.disk.schemas import as_json, checked
from mriseg.testing import phantoms
from tests import strategies

Array = NDArray[Any]

FIELDS = (
    *("sform_code", "qform_code", "srow_x", "srow_y", "srow_z"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
)


@dataclass(frozen=True)
class Filed:
    """How a scan is filed: its two affines, their codes, the unit, and the version of NIfTI."""

    sform: Any
    qform: Any
    sform_code: int
    qform_code: int
    unit: int = 2
    version: int = 1
    ndim: int = 3

    def write(self, path: Path, array: Array) -> Path:
        """Both affines are in the header, whatever the codes say of them."""
        if self.ndim == 2:
            array = array[..., 0]
        kind = nib.Nifti2Image if self.version == 2 else nib.Nifti1Image
        image = kind(array, None)
        header = image.header
        header.set_qform(np.asarray(self.qform), 1)
        header.set_sform(np.asarray(self.sform), 1)
        header["sform_code"], header["qform_code"] = self.sform_code, self.qform_code
        header["xyzt_units"] = self.unit | 8  # seconds, which say nothing of a mask
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header.binaryblock + bytes(4) + array.tobytes(order="F"))
        raw = bytearray(path.read_bytes())
        header["vox_offset"] = header.sizeof_hdr + 4
        raw[: header.sizeof_hdr] = header.binaryblock
        path.write_bytes(raw)
        return path


@st.composite
def filings(draw: st.DrawFn) -> Filed:
    """Every orientation, oblique and sheared; the qform is the sform, shifted or another."""
    sform = np.array(draw(strategies.oriented_affines())[1])
    qform = sform.copy()
    way = draw(st.sampled_from(("equal", "shifted", "other", "sheared")))
    if way == "shifted":
        qform[:3, 3] += draw(st.tuples(*[st.floats(-40, 40, width=32)] * 3))
    elif way == "other":
        qform = np.array(draw(strategies.oriented_affines())[1])
    elif way == "sheared":
        sform[:3, 1] += draw(st.floats(-0.4, 0.4)) * sform[:3, 0]
    return Filed(
        sform,
        qform,
        draw(st.integers(0, 5)),
        draw(st.integers(0, 5)),
        draw(st.sampled_from((0, 1, 2, 3))),
        draw(st.sampled_from((1, 2))),
        draw(st.sampled_from((2, 3))),
    )


def stored(geometry: Geometry) -> Geometry:
    """As it comes back from a store."""
    return checked(Geometry, json.loads(json.dumps(as_json(geometry))))


def check_header(mask: Any, scan: Any) -> None:
    """All that places voxels is equal, bit for bit, by nibabel."""
    for field in FIELDS:
        np.testing.assert_array_equal(mask.header[field], scan.header[field], err_msg=field)
    np.testing.assert_array_equal(mask.header["pixdim"][:4], scan.header["pixdim"][:4])
    assert mask.header.get_xyzt_units() == (scan.header.get_xyzt_units()[0], "unknown")
    np.testing.assert_array_equal(mask.affine, scan.affine)
    assert mask.shape == scan.shape and type(mask) is type(scan)


def places(path: Path) -> Any:
    """Where SimpleITK places the corners of a file; whether for its shear, where it refuses it."""
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        return "orthonormal" in str(error)
    ends = np.ndindex(*[2] * image.GetDimension())
    size = np.array(image.GetSize())
    corners = [(np.array(end) * (size - 1)).tolist() for end in ends]
    return [image.TransformIndexToPhysicalPoint(corner) for corner in corners]


EYE = np.eye(4)
SHIFTED = np.array([[-1.0, 0, 0, 20], [0, -1, 0, -10], [0, 0, 3, 5], [0, 0, 0, 1]])


@settings(max_examples=60)
@given(filings())
@example(Filed(EYE, SHIFTED, 2, 1))
@example(Filed(EYE, SHIFTED, 0, 1))
@example(Filed(SHIFTED, SHIFTED, 0, 0))
@example(Filed(SHIFTED * 1000, SHIFTED * 1000, 1, 1, unit=3))
def test_a_mask_lies_where_its_scan_lies_for_every_program(
    tmp_path_factory: pytest.TempPathFactory, filed: Filed
) -> None:
    folder = tmp_path_factory.mktemp("place")
    scan = filed.write(folder / "scan.nii", np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    array, geometry = nifti.read(scan)
    mask = folder / "mask.nii.gz"
    nifti.write(mask, array > 30, stored(geometry))
    check_header(nib.load(mask), nib.load(scan))
    assert places(mask) == places(scan)
    np.testing.assert_array_equal(np.asarray(nib.load(mask).dataobj).ravel(), array.ravel() > 30)


def test_every_pair_of_codes_and_every_unit(tmp_path: Path) -> None:
    for number in range(6 * 6):
        sform_code, qform_code, unit = number % 6, number // 6, number % 4
        filed = Filed(SHIFTED + np.eye(4, k=3), SHIFTED, sform_code, qform_code, unit)
        scan = filed.write(tmp_path / "scan.nii", np.zeros((2, 3, 4), dtype=np.uint8))
        nifti.write(tmp_path / "mask.nii", *nifti.read(scan))
        check_header(nib.load(tmp_path / "mask.nii"), nib.load(scan))


def test_what_is_not_a_number_says_nothing(tmp_path: Path) -> None:
    """A file from a stranger: its sform is used, and the rest never reaches a store or a mask."""
    array = np.zeros((2, 3, 4), dtype=np.uint8)
    path = Filed(SHIFTED, SHIFTED, 32000, 1).write(tmp_path / "scan.nii", array)
    header = nib.Nifti1Header(path.read_bytes()[:348], check=False)
    header["quatern_b"], header["qoffset_x"] = np.nan, np.inf
    header["pixdim"][2] = np.nan
    path.write_bytes(header.binaryblock + path.read_bytes()[348:])
    _, geometry = nifti.read(path)
    assert geometry.header is not None
    assert (geometry.header.qform_code, geometry.header.sform_code) == (0, 32000)
    assert geometry.header.pixdim == (header["pixdim"][0], 1, 1, 3)
    nifti.write(tmp_path / "mask.nii", array, stored(geometry))
    mask = nib.Nifti1Header((tmp_path / "mask.nii").read_bytes()[:348], check=False)
    np.testing.assert_array_equal(mask.get_sform(), SHIFTED)
    assert np.isfinite([float(mask[f"quatern_{axis}"]) for axis in "bcd"]).all()
    assert (int(mask["sform_code"]), int(mask["qform_code"])) == (32000, 0)


def test_codes_beyond_16_bits_still_count(tmp_path: Path) -> None:
    array = np.zeros((2, 3, 4), dtype=np.uint8)
    scan = Filed(SHIFTED, EYE, 2**16, -(2**20), version=2).write(tmp_path / "scan.nii", array)
    _, geometry = nifti.read(scan)
    assert geometry.header is not None
    assert (geometry.header.sform_code, geometry.header.qform_code) == (2**15 - 1, -(2**15))
    nifti.write(tmp_path / "mask.nii", array, geometry)
    # nibabel takes such codes for 0, SimpleITK does not: of the mask as of the scan.
    check_header(nib.load(tmp_path / "mask.nii"), nib.load(scan))
    assert places(tmp_path / "mask.nii") == places(scan)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 3},
        {"sform_code": 2**15},
        {"qform_code": 0.5},
        {"unit": 8},
        {"pixdim": [1, 1, 1]},
        {"quaternion": [0, 0, float("nan")]},
        {"offset": [0, 0, "x"]},
        {"sform": [[1, 0, 0, 0]] * 4},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_store_with_another_header_is_refused(change: dict[str, Any]) -> None:
    good = {
        "version": 1,
        "sform": EYE[:3].tolist(),
        "sform_code": 1,
        "quaternion": [0, 0, 0],
        "offset": [0, 0, 0],
        "qform_code": 0,
        "pixdim": [1, 1, 1, 1],
        "unit": 2,
    }
    assert as_json(checked(SpatialHeader, good)) == good
    with pytest.raises(ValueError, match=f"^{next(iter(change))}"):
        checked(SpatialHeader, good | change)


def test_a_scan_of_another_format_gives_both_forms(tmp_path: Path) -> None:
    """Without a header to repeat: the scanner's world, in mm."""
    affine = np.array(strategies.ORIENTATIONS[5].affine((1, 2, 3), (4, 5, 6)))
    nifti.write(tmp_path / "x.nii", np.ones((2, 3, 4)), geometry_of((2, 3, 4), affine))
    image = nib.load(tmp_path / "x.nii")
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(image.get_qform(), affine, atol=1e-5)
    np.testing.assert_allclose(image.affine, affine)
    assert image.header.get_xyzt_units() == ("mm", "unknown")
    np.testing.assert_allclose(image.header.get_zooms(), (1, 2, 3))


def test_predict_repeats_the_headers_of_scans(tmp_path: Path) -> None:
    """The whole way, for a qform that lies elsewhere, no form at all, and micrometres."""
    images, _ = phantoms.head(np.random.default_rng(3), (6, 40, 36), modalities=("flair",))
    array = np.ascontiguousarray(images["flair"].T)
    kinds = {
        "shifted": Filed(SHIFTED - np.eye(4, k=3) * 20, SHIFTED, 2, 1),
        "none": Filed(SHIFTED, SHIFTED, 0, 0),
        "micron": Filed(SHIFTED @ np.diag([1e3, 1e3, 1e3, 1]), SHIFTED, 1, 0, unit=3),
    }
    scans = {
        name: filed.write(tmp_path / "scans" / name / f"{name}_flair.nii", array)
        for name, filed in kinds.items()
    }
    options = mriseg.PredictOptions(
        overlays=False, flips=False, adapt=False, refine=False, allow_missing=True
    )
    report = mriseg.predict(tmp_path / "scans", tmp_path / "masks", "base", options)
    assert len(report.results) == len(kinds)
    for name, scan in scans.items():
        mask = tmp_path / "masks" / f"{name}.nii.gz"
        check_header(nib.load(mask), nib.load(scan))
        assert places(mask) == places(scan)


@pytest.mark.realdata
def test_masks_of_real_scans_repeat_their_headers(data_dir: Path, tmp_path: Path) -> None:
    paths = [
        path
        for name in ("brats/Brats17_TCIA_639_1", "ms-lesions/patient07", "hippocampus/images")
        for path in sorted((data_dir / name).rglob("*.nii*"))[:6]
    ]
    assert len(paths) > 10
    for path in paths:
        _, geometry = nifti.read(path)
        nifti.write(tmp_path / "x.nii", np.zeros(geometry.shape), stored(geometry))
        check_header(nib.load(tmp_path / "x.nii"), nib.load(path))
        assert places(tmp_path / "x.nii") == places(path)

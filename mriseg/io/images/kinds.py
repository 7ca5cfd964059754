"""What a file is that is not an image here, and what to do with it: from its first few bytes.

For an account of the files of a folder that are not used: it must be cheap, and never fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mriseg.io.disk.untrusted import open_regular

# Bytes of a file that are looked at. "DICM" is at 128.
_LOOKED_AT = 512

_CONVERT = "convert it to NIfTI"
_DICOM = "DICOM, which the layout dicom reads: name it with --layout dicom"
_NAMED_DICOM = "named as DICOM, which its content is not"

# Bytes at a place -> what the file is.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", _DICOM),
    (0, b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with git lfs pull"),
    (0, b"# === DATA DESCRIPTION FILE ===", f"the header of PAR/REC (Philips): {_CONVERT}"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF8", "a picture (GIF)"),
    (0, b"BM", "a picture (BMP)"),
    (0, b"CDF\x01", f"MINC 1: {_CONVERT}, as with mnc2nii"),
    (0, b"PK\x03\x04", "a zip archive: unpack it"),
    (0, b"BZh", "packed with bzip2: unpack it"),
    (0, b"\xfd7zXZ", "packed with xz: unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (257, b"ustar", "a tar archive: unpack it"),
)
# What an ending says where the content says nothing.
_ENDINGS: dict[str, str] = {
    ".tar.gz": "a tar archive: unpack it",
    ".tgz": "a tar archive: unpack it",
    ".dcm": _NAMED_DICOM,
    ".ima": _NAMED_DICOM,
    ".mnc": f"MINC: {_CONVERT}, as with mnc2nii",
    ".par": f"the header of PAR/REC (Philips): {_CONVERT}, as with dcm2niix",
    ".rec": f"the voxels of PAR/REC (Philips): {_CONVERT}, as with dcm2niix",
    ".head": f"the header of AFNI's HEAD/BRIK: {_CONVERT}, as with 3dAFNItoNIFTI",
    ".brik": f"the voxels of AFNI's HEAD/BRIK: {_CONVERT}, as with 3dAFNItoNIFTI",
    ".brik.gz": f"the voxels of AFNI's HEAD/BRIK: {_CONVERT}, as with 3dAFNItoNIFTI",
    ".v": f"ECAT: {_CONVERT}",
    ".gipl": f"GIPL: {_CONVERT}",
    ".mif": f"MRtrix's container: {_CONVERT}, as with mrconvert",
    ".mif.gz": f"MRtrix's container: {_CONVERT}, as with mrconvert",
    ".mih": f"MRtrix's container: {_CONVERT}, as with mrconvert",
    ".npy": f"a NumPy array without voxel size or orientation: {_CONVERT}",
    ".npz": f"NumPy arrays without voxel size or orientation: {_CONVERT}",
    ".mat": f"MATLAB's container, without voxel size or orientation: {_CONVERT}",
    ".h5": f"HDF5: {_CONVERT}; only BraTS 2020's slices (volume_1_slice_0.h5) are read",
    ".hdf5": f"HDF5: {_CONVERT}; only BraTS 2020's slices (volume_1_slice_0.h5) are read",
    ".tif": "a picture (TIFF); only slices of LGG (PATIENT_1.tif) are read",
    ".tiff": "a picture (TIFF); only slices of LGG (PATIENT_1.tif) are read",
    ".png": "a picture (PNG)",
    ".jpg": "a picture (JPEG)",
    ".jpeg": "a picture (JPEG)",
    ".bmp": "a picture (BMP)",
    ".gii": "a surface (GIFTI)",
    ".gii.gz": "a surface (GIFTI)",
    ".zip": "a zip archive: unpack it",
    ".bz2": "packed with bzip2: unpack it",
    ".xz": "packed with xz: unpack it",
    ".zst": "packed with zstd: unpack it",
}
# Endings of files that hold the voxels of an image, and the endings of their headers.
_HALVES: dict[str, tuple[str, ...]] = {
    ".img.gz": (".hdr", ".hdr.gz"),
    ".img": (".hdr", ".hdr.gz"),
    ".zraw": (".mhd",),
    ".raw.gz": (".nhdr",),
    ".raw": (".mhd", ".nhdr"),
}


def kind_of(path: Path) -> str | None:
    """What kind of image-like file this is, and what to do with it, as the end of a sentence.

    Args:
        path: any path. A file that is named as an image here (`mriseg.io.images.is_image`) is
            only looked into.

    Returns:
        Such as "a web page", or "DICOM: convert the series first, as with ..."; None where
        neither its content nor its name is like an image's. Never raises: a file that cannot be
        read is judged by its name.
    """
    name = path.name.lower()
    if name == "dicomdir":
        return "DICOMDIR, an index of the DICOM files beside it, which are read without it"
    return _by_content(_start(path), name) or _half(path, name) or _by_name(name)


def _start(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_LOOKED_AT)
    except (OSError, ValueError):
        return b""


def _by_content(start: bytes, name: str) -> str | None:
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        # Pages are no surprise where they are called pages.
        return None if name.endswith((".html", ".htm")) else "a web page: download the file again"
    for place, signature, what in _SIGNATURES:
        if start[place : place + len(signature)] == signature:
            return what
    # MINC 2 is HDF5 inside, as are other things.
    if start.startswith(b"\x89HDF") and name.endswith(".mnc"):
        return f"MINC 2: {_CONVERT}, as with mnc2nii"
    return None


def _half(path: Path, name: str) -> str | None:
    ending = _longest(name, _HALVES)
    if ending is None:
        return None
    stem = path.name[: -len(ending)]
    for header in _HALVES[ending]:
        if _exists(path.with_name(stem + header)):
            return f"the voxels of {stem}{header}, which is the file to give"
    missing = " or ".join(stem + header for header in _HALVES[ending])
    return f"voxels without their header ({missing})"


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _by_name(name: str) -> str | None:
    ending = _longest(name, _ENDINGS)
    return None if ending is None else _ENDINGS[ending]


def _longest(name: str, endings: Iterable[str]) -> str | None:
    """The longest ending that a name has."""
    return max((ending for ending in endings if name.endswith(ending)), key=len, default=None)

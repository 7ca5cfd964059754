"""NIfTI files in and out: an array in the file's own axes, and where it lies in space.

nibabel reads the header; the voxels are then taken in one pass, so that a header which promises
more than its file can hold is refused before any memory is asked for, and so that a truncated
gzip is noticed even when only its checksum is cut off. gzip is zlib-ng's: unpacking is most of what
reading a scan costs, and it unpacks four times as fast. Format: https://nifti.nimh.nih.gov.
"""

# nibabel and zlib-ng are typed in part only.
# mypy: untyped-calls-exclude="nibabel,zlib_ng"
from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import nibabel as nib
import numpy as np
from nibabel.orientations import io_orientation
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray
from zlib_ng import gzip_ng, zlib_ng

from mriseg.core.volume import Geometry, Unit, sides
from mriseg.errors import InputError, OutputError, reason_of
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.schemas import MAX_VOXELS
from mriseg.io.disk.untrusted import open_regular

Array = NDArray[Any]

SUFFIXES = (".nii", ".nii.gz")

# The larger of the two header sizes (NIfTI-2); NIfTI-1 has 348 bytes and always 4 after them.
_HEADER_BYTES = 540
# No deflate stream unpacks to more than this times its size (zlib's technical details).
_MAX_DEFLATE_RATIO = 1032
# Voxel sizes beyond these, in mm, are damage: microscopes and telescopes lie between them.
_LEAST_SIZE, _GREATEST_SIZE = 1e-6, 1e6
# Bytes that are read at a time.
_PIECE = 2**18
# Voxels that are scaled at a time.
_BLOCK = 2**20
# Bytes before the voxels: what is noted there (extensions) is kilobytes.
_MAX_OFFSET = 2**26
# A label further than this from a whole number was not rounded: it was interpolated.
_LABEL_TOLERANCE = 0.05

# NIfTI's codes of the world that an affine leads to; 0 and whatever else tell nothing.
_SPACES = range(1, 6)


@dataclass(frozen=True)
class _Header:
    """What of a NIfTI header is needed to read the voxels after it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    affine: NDArray[np.float64]
    space: int | None


def is_nifti(path: Path) -> bool:
    """Whether ``path`` is named as a NIfTI file, in any case."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """The file's name without ``.nii`` or ``.nii.gz``."""
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read(path: Path, max_voxels: int = MAX_VOXELS) -> tuple[Array, Geometry]:
    """Read a volume or a single slice.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file, NIfTI-1 or NIfTI-2.
        max_voxels: refuse a file whose header claims more, before taking memory.

    Returns:
        The array [i, j, k] in the file's own axes, with ``scl_slope`` and ``scl_inter`` applied;
        an unscaled integer type is kept, everything else is float32. A 2-D
        file gets a third axis of length 1; trailing axes of length 1 are dropped.

    Raises:
        InputError: what is wrong with the file, in one sentence that begins with its name.
    """
    array, geometry = _read(path, max_voxels)
    if array.ndim != 3:
        raise InputError(
            f"{path.name} holds {math.prod(array.shape[3:])} volumes in one file; expected one"
        )
    return array, geometry


def read_channels(path: Path, max_voxels: int = MAX_VOXELS) -> tuple[list[Array], Geometry]:
    """Read a file of one or more volumes on one grid: channels along the fourth axis.

    As `read`, but gives a list with the array [i, j, k] of each channel.
    """
    array, geometry = _read(path, max_voxels)
    if array.ndim > 4:
        raise InputError(f"{path.name} has {array.ndim} axes; expected at most 4")
    if array.ndim == 3:
        return [array], geometry
    return [array[..., index] for index in range(array.shape[3])], geometry


def shape(path: Path) -> tuple[int, ...]:
    """The array's shape as its header states it, at least 3 axes; reads no voxel."""
    with _opened(path) as file:
        header = _header(path, file.read(_HEADER_BYTES))
    return _squeezed(header.shape)


def geometry(
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    unit: Unit = "mm",
    ndim: int = 3,
    space: int | None = None,
) -> Geometry:
    """The geometry of an array in RAS+ world coordinates, oblique ones by the nearest axes.

    A single slice (``ndim`` 2) is canonical with its third axis first, whatever that axis is in
    the body, so that it stays one slice; rows then run downwards as far as its plane allows.

    Args:
        shape: the array's, 3 numbers.
        affine: 4x4, voxel indices to world coordinates (x to the right, y to the front, z up).
        unit: of the world coordinates.
        ndim: how many axes the source file has.
        space: NIfTI's code of the world, if it is known.

    Raises:
        InputError: the affine is singular or not finite.
    """
    fault = _affine_fault(affine)
    if fault:
        raise InputError(f"the affine {fault}")
    # One row per source axis: which world axis it runs along, and whether with it or against it.
    orientation = io_orientation(affine)
    along = {int(world): axis for axis, (world, _) in enumerate(orientation)}
    order = [along[2], along[1], along[0]]
    upward = [bool(sign > 0) for _, sign in orientation]
    if ndim == 2:
        order = [2, *(axis for axis in order if axis != 2)]
        flips = (False, upward[order[1]], upward[order[2]])
    else:
        flips = (not upward[order[0]], upward[order[1]], upward[order[2]])
    rows = tuple(tuple(float(value) for value in row) for row in affine)
    return Geometry(
        shape=shape,
        affine=cast("tuple[tuple[float, float, float, float], ...]", rows),
        axes=(order[0], order[1], order[2]),
        flips=flips,
        unit=unit,
        ndim=ndim,
        space=space,
    )


def integer_labels(array: Array) -> NDArray[np.uint8]:
    """Labels as uint8, undoing what a float type or ``scl_slope`` did to them.

    Args:
        array: labels of any numeric type, such as 3.9999999990 or 1.00392163.

    Raises:
        InputError: a value is not within 0.05 of a whole number from 0 to 255.
    """
    with np.errstate(invalid="ignore"):
        exact = array.astype(np.uint8, copy=False)
    # Nearly always they are whole, and two passes tell; what is not (NaN too) is looked at closely.
    if np.array_equal(exact, array):
        return exact
    rounded = array
    if array.dtype.kind == "f":
        rounded = np.rint(array)
        with np.errstate(invalid="ignore"):
            off = ~(np.abs(array - rounded) <= _LABEL_TOLERANCE)  # So written, NaN is off too.
        if off.any():
            raise InputError(
                f"the segmentation holds {array[off].flat[0]:g}, which is no label (a whole number)"
            )
    low, high = rounded.min(), rounded.max()
    if low < 0 or high > 255:
        raise InputError(f"the segmentation's labels run from {low:g} to {high:g}, not in 0 to 255")
    return cast("NDArray[np.uint8]", rounded.astype(np.uint8))


def write(path: Path, array: Array, geometry: Geometry) -> None:
    """Write a mask or a map onto a scan's own grid, whole or not at all.

    Equal input gives equal bytes, and nothing but the array and the grid is written: no names,
    no dates, no description.

    Args:
        path: ends in ``.nii`` or ``.nii.gz``; its folder is made.
        array: of ``geometry.shape``, in the source's axes; integers and booleans are written as
            uint8, floats as float32.
        geometry: the grid; a 2-D source gets a 2-D file.

    Raises:
        InputError: the array is not on that grid, or holds integers beyond 0 to 255.
        OutputError: the file cannot be written.
    """
    if not is_nifti(path):
        raise OutputError(f"{path.name} would be written as NIfTI: name it .nii or .nii.gz")
    if array.shape != geometry.shape:
        raise InputError(f"an array of shape {array.shape} is not on a grid of {geometry.shape}")
    if array.dtype.kind == "f":
        data: Array = array.astype(np.float32)
    elif array.size and (array.min() < 0 or array.max() > 255):
        raise InputError(f"a mask of {array.min()} to {array.max()} does not fit 0 to 255")
    else:
        data = array.astype(np.uint8)
    if geometry.ndim == 2:
        data = data[..., 0]

    # NIfTI-1 states lengths in 16 bits.
    kind: Any = nib.Nifti1Image if max(data.shape) < 2**15 else nib.Nifti2Image
    affine = np.asarray(geometry.affine)
    image = kind(data, affine)
    in_mm = geometry.unit == "mm"
    # What the scan says; else 1, scanner coordinates, or 2, some other space, which is all that
    # can be said without a size.
    code = geometry.space or (1 if in_mm else 2)
    image.header.set_xyzt_units("mm" if in_mm else "unknown")
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    # A quaternion cannot hold a shear: then only the sform says where the voxels are.
    if not np.allclose(image.get_qform(), affine, atol=1e-3):
        image.set_qform(None, 0)
    content = image.to_bytes()
    if path.name.lower().endswith(".gz"):
        content = gzip_ng.compress(content, compresslevel=6, mtime=0)
    with replacing(path) as part:
        part.write_bytes(content)


def _read(path: Path, max_voxels: int) -> tuple[Array, Geometry]:
    with _opened(path) as file:
        start = file.read(_HEADER_BYTES)
        header = _header(path, start)
        count = math.prod(header.shape)
        size = count * header.dtype.itemsize
        if count > max_voxels:
            raise InputError(
                f"{path.name} claims {sides(header.shape)} voxels; at most {max_voxels} are read"
            )
        _check_capacity(path, header, size)
        buffer = np.empty(size, dtype=np.uint8)
        # What was read beyond the offset already belongs to the voxels.
        head = start[header.offset :][:size]
        buffer[: len(head)] = np.frombuffer(head, dtype=np.uint8)
        if header.offset > len(start):
            _skip(file, header.offset - len(start))
        filled = len(head) + _fill(file, buffer.data[len(head) :])
        # At the end of the file gzip compares its checksum: a flipped bit or a cut shows here.
        file.read(1)
    if filled < size:
        raise InputError(
            f"{path.name} is truncated: its header promises {size} bytes of voxels, "
            f"it holds {filled}"
        )

    array = buffer.view(header.dtype).reshape(header.shape, order="F")
    array = _scaled(array, header.slope, header.inter)
    _check_finite(path, array)
    full = _squeezed(header.shape)
    grid = geometry(
        (full[0], full[1], full[2]),
        header.affine,
        ndim=2 if _is_slice(header.shape) else 3,
        space=header.space,
    )
    return array.reshape(full, order="F"), grid


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's unpacked bytes; whatever fails while they are read becomes an InputError."""
    name = path.name
    if not is_nifti(path):
        raise InputError(f"{name} is not named .nii or .nii.gz")
    try:
        with open_regular(path) as raw:
            if not name.lower().endswith(".gz"):
                yield raw
                return
            start = raw.read(64)
            raw.seek(0)
            if not start.startswith(b"\x1f\x8b"):
                raise InputError(f"{name} is named .nii.gz but is not a gzip file{_seems(start)}")
            with gzip_ng.open(raw, "rb") as file:
                yield cast("IO[bytes]", file)
    except EOFError as error:
        raise InputError(f"{name} is truncated: its gzip stream ends early") from error
    except (gzip_ng.BadGzipFile, zlib_ng.error) as error:  # type: ignore[misc]  # A class.
        raise InputError(f"{name} is a damaged gzip file ({error})") from error
    except OSError as error:
        raise InputError(f"{name} cannot be read: {reason_of(error)}") from error


def _seems(start: bytes) -> str:
    """What a file that is no image may be instead, from its first bytes."""
    if not start:
        return " (it is empty)"
    shown = start[:9].decode("ascii", "backslashreplace")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return f" (it starts with {shown!r}: a web page?)"
    if start.startswith(b"version "):
        return f" (it starts with {shown!r}: a pointer of Git LFS, whose file was not fetched?)"
    return f" (it starts with {shown!r})"


def _header(path: Path, block: bytes) -> _Header:
    name = path.name
    if nib.Nifti2Header.may_contain_header(block):
        kind: type[nib.Nifti1Header] = nib.Nifti2Header
    elif nib.Nifti1Header.may_contain_header(block):
        kind = nib.Nifti1Header
    else:
        raise InputError(f"{name} is not a NIfTI file{_seems(block)}")
    size = kind.template_dtype.itemsize
    try:
        # Not checked by nibabel: its check prints warnings and mends in silence.
        header = kind(block[:size], check=False)
        if not bytes(header["magic"]).startswith(b"n+"):
            raise InputError(f"{name} is half of a .hdr/.img pair; convert it to a single .nii")
        dims = int(header["dim"][0])
        shape = tuple(int(length) for length in header.get_data_shape())
        if not 2 <= dims <= 7 or len(shape) != dims:
            raise InputError(f"{name} claims {dims} axes; expected 2 to 4")
        if min(shape) < 1:
            raise InputError(f"{name} has no voxels: its header states {sides(shape)}")
        dtype = header.get_data_dtype()
        if dtype.kind not in "iuf":
            held = "complex numbers" if dtype.kind == "c" else "colours or raw bytes"
            raise InputError(f"{name} holds {held}; expected integers or real numbers")
        slope, inter = header.get_slope_inter()
        with np.errstate(all="ignore"):
            affine = np.array(header.get_best_affine(), dtype=np.float64)
        # The code of the affine that nibabel takes for the best.
        code = int(header["sform_code"]) or int(header["qform_code"])
        offset = float(header["vox_offset"])
    except (HeaderDataError, KeyError, ValueError) as error:
        raise InputError(f"{name} has a damaged NIfTI header ({error})") from error
    if not 0 <= offset <= _MAX_OFFSET:
        raise InputError(f"{name} has a damaged NIfTI header (its voxels start at {offset:g})")
    if _is_slice(shape) and not affine[:3, 2].any():
        # Writers of single slices often leave the third voxel size at 0.
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        length = float(np.linalg.norm(normal))
        affine[:3, 2] = normal / length if length > 0 else 0
    fault = _affine_fault(affine)
    if fault:
        raise InputError(f"{name} has an affine that {fault}")
    return _Header(
        shape=shape,
        dtype=dtype,
        offset=max(int(offset), size + 4),
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        affine=affine,
        space=code if code in _SPACES else None,
    )


def _affine_fault(affine: NDArray[np.float64]) -> str:
    """What makes an affine unusable, or nothing."""
    if not np.isfinite(affine).all():
        return "is not finite"
    with np.errstate(over="ignore"):
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not _LEAST_SIZE < sizes.min() <= sizes.max() < _GREATEST_SIZE:
        return f"gives voxels a size of {' x '.join(f'{size:g}' for size in sizes)}"
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-6:
        return "is singular (two of its axes are parallel)"
    return ""


def _check_capacity(path: Path, header: _Header, size: int) -> None:
    packed = path.stat().st_size
    ratio = _MAX_DEFLATE_RATIO if path.name.lower().endswith(".gz") else 1
    if header.offset + size > packed * ratio:
        raise InputError(
            f"{path.name} is truncated or damaged: its header promises {sides(header.shape)} "
            f"voxels ({size} bytes), and a file of {packed} bytes cannot hold them"
        )


def _skip(file: IO[bytes], count: int) -> None:
    """Move on by ``count`` bytes in pieces: extensions are skipped, never held."""
    while count > 0 and (piece := file.read(min(count, 2**20))):
        count -= len(piece)


def _fill(file: IO[bytes], buffer: memoryview) -> int:
    """Read until ``buffer`` is full or the file ends; how many bytes that gave.

    In pieces that stay in the processor's cache: a gzip file's ``readinto`` is a ``read`` of it all
    and then a copy.
    """
    filled = 0
    while piece := file.read(min(_PIECE, len(buffer) - filled)):
        buffer[filled : filled + len(piece)] = piece
        filled += len(piece)
    return filled


def _scaled(array: Array, slope: float, inter: float) -> Array:
    """``array * slope + inter``: integers that need no scaling keep their type, in native order."""
    plain = slope == 1.0 and inter == 0.0
    if plain and array.dtype.kind in "iu":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        if plain:
            return array.astype(np.float32, copy=False)
        # In float64, where the offset and the scale cancel: the background of a scaled scan is 0;
        # and by blocks, since all of it would be several times the scan.
        flat = array.reshape(-1, order="F")
        scaled = np.empty(flat.shape, dtype=np.float32)
        for start in range(0, len(flat), _BLOCK):
            block = flat[start : start + _BLOCK].astype(np.float64)
            block *= slope
            block += inter
            scaled[start : start + _BLOCK] = block
        return scaled.reshape(array.shape, order="F")


def _check_finite(path: Path, array: Array) -> None:
    # The least and the greatest carry any NaN or infinity, and need no array of flags.
    if array.dtype.kind == "f" and not np.isfinite([array.min(), array.max()]).all():
        count = int(np.count_nonzero(~np.isfinite(array)))
        raise InputError(f"{path.name} holds {count} voxels that are NaN or infinite")


def _is_slice(shape: tuple[int, ...]) -> bool:
    """Whether a header's shape is that of a 2-D file."""
    return len(shape) == 2


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` with a third axis, and without axes of length 1 after it."""
    full = list(shape) + [1] * (3 - len(shape))
    while len(full) > 3 and full[-1] == 1:
        full.pop()
    return tuple(full)

"""From a scan to what a stripper's network wants, and from its answer to a mask of that scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.core.volume import Geometry, canonical, sides, uncanonical
from mriseg.errors import InputError

# A head is 150 to 250 mm along each axis. A stack of few thick slices is less, a crop still less.
_MIN_SIDE = 8
_MIN_EXTENT = 60.0
# A brain is 1000 to 1700 mL; this is a tenth of a child's.
_MIN_SHARE = 1e-3


def upright(image: NDArray[Any], geometry: Geometry) -> NDArray[np.float32]:
    """A whole scan as [x, y, z] float32, to the right, the front and the top (RAS+), contiguous.

    Args:
        image: [i, j, k] raw intensities, in the source's own axes.
        geometry: of ``image``.

    Raises:
        InputError: that cannot be the scan of a head: a slice, a crop, not finite, or constant.
    """
    turned = canonical(image, geometry).transpose(2, 1, 0)[::-1, ::-1]
    shape = sides(image.shape)
    if geometry.ndim < 3 or min(image.shape) < _MIN_SIDE:
        raise InputError(
            f"a brain cannot be distinguished from the rest of a head in {shape} voxels: expected "
            f"a volume of at least {_MIN_SIDE} along each axis"
        )
    extent = [n * size for n, size in zip(image.shape, geometry.own_spacing, strict=True)]
    if geometry.unit == "mm" and min(extent) < _MIN_EXTENT:
        raise InputError(
            f"a scan of {' x '.join(f'{length:.0f}' for length in extent)} mm holds no head: "
            f"expected at least {_MIN_EXTENT:.0f} mm along each axis"
        )
    with np.errstate(over="ignore"):
        scan = np.ascontiguousarray(turned, dtype=np.float32)
    if not np.isfinite(scan).all():
        raise InputError("the scan has values that are not finite (NaN, or beyond float32)")
    low, high = float(scan.min()), float(scan.max())
    if low == high:
        raise InputError(f"all voxels of the scan are {low:g}, so no brain is visible in it")
    return scan


def as_given(mask: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """The inverse of `upright`, of a mask: [x, y, z] RAS+ back to the source's own [i, j, k].

    Its largest connected part is kept, and holes within that are filled: what the brain encloses
    is brain.

    Args:
        mask: [x, y, z].
        geometry: of the source.

    Raises:
        InputError: hardly anything is left.
    """
    parts, n = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=2)[1:]
    if n == 0 or sizes.max() < _MIN_SHARE * mask.size:
        raise no_brain()
    filled = ndimage.binary_fill_holes(parts == sizes.argmax() + 1)
    return np.ascontiguousarray(uncanonical(filled[::-1, ::-1].transpose(2, 1, 0), geometry))


def no_brain() -> InputError:
    """What is said of a scan in which a network segments nothing."""
    return InputError(
        "no brain is visible in the scan: it may be another part of the body, or damaged"
    )

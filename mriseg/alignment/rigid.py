"""Rigid registration by mutual information, with the same result each time.

Mattes's form of it (Mattes et al. 2003, IEEE Trans. Med. Imaging 22, 120-128), since a T1 and a
FLAIR have no intensity in common; at three resolutions, from where the headers place the scans. The
search is Powell's (1964), along lines and without gradients: it came twice as near as gradient
descent, at three times the time (docs/results.md). One thread and seeds that are given: sums of
several threads differ in their last digits, and a search goes another way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.alignment.extra import ALIGN
from mriseg.alignment.frames import Frame, as_image, frame, in_ras, without_air
from mriseg.core.preparation import Alignment
from mriseg.core.regridding import STILL, labels_regridded
from mriseg.core.volume import Affine, Geometry

Array = NDArray[Any]

# mm, the coarsest first.
_SIZES = (4.0, 2.0, 1.0)
_BINS = 50
# Of the voxels near the head, at each size; and how many there are to be at least.
_SAMPLED, _LEAST = (0.5, 0.2, 0.02), 20_000
_SEED = 22
_ROUNDS, _STEPS = 20, 40
_RADIUS = 60.0
# mm that the rim of a brain moves in the first step at each size, and in the last; and nats.
_FIRST_STEP, _LAST_STEP, _LAST_GAIN = (4.0, 1.0, 0.25), 0.01, 1e-5
# A head that lies still in a scanner does neither.
_MOST_TURNED, _MOST_SHIFTED = math.radians(40), 60.0
# mm, on average over the head: registration itself is no more exact, and to interpolate blurs.
_STILL_SHIFT = 0.25
# Nats; what is less is chance.
_BETTER = 1e-4


class Reference:
    """The scan that others are registered to, prepared once.

    Args:
        array: [i, j, k] raw intensities.
        grid: where it lies, in mm.
    """

    def __init__(self, array: Array, grid: Geometry) -> None:
        self.frames = [frame(array, grid, size) for size in _SIZES]
        self.images = [as_image(without_air(f.array), f.geometry) for f in self.frames]
        around, coarse = self.frames[0].around.astype(np.uint8), self.frames[0].geometry
        self.masks = [
            as_image(labels_regridded(around, coarse, f.geometry), f.geometry) for f in self.frames
        ]
        self.head = _places(self.frames[0])


def align(reference: Reference, array: Array, own: Geometry) -> Alignment:
    """Register a scan to the reference.

    Args:
        reference: what it is registered to.
        array: [i, j, k] raw intensities of ``own.shape``.
        own: where its header places it, in mm.

    Returns:
        The motion; not used where it is no better than none, nearly none, or further than a head
        moves in a scanner.

    Raises:
        ConfigError: SimpleITK is not installed.
    """
    sitk = ALIGN.library()
    motion = sitk.Euler3DTransform()
    # Turned about the middle of the head, so that a turn hardly shifts it.
    motion.SetCenter((reference.head.mean(axis=0) * (-1, -1, 1)).tolist())
    still, moving = sitk.Euler3DTransform(motion), None
    try:
        for level, size in enumerate(_SIZES):
            coarse = frame(array, own, size)
            moving = as_image(without_air(coarse.array), coarse.geometry)
            _improve(sitk, reference, moving, level, motion)
        before, after = (_information(sitk, reference, moving, each) for each in (still, motion))
    except RuntimeError as error:
        # As where the two hardly overlap.
        return Alignment(STILL, 0.0, 0.0, 0.0, used=False, remark=_failed(error))
    matrix = in_ras(_matrix(motion))
    shift = float(np.linalg.norm(_moved(reference.head, matrix) - reference.head, axis=1).mean())
    remark = _doubt(before, after, shift, matrix)
    return Alignment(_rows(matrix), before, after, shift, used=not remark, remark=remark)


def _improve(sitk: Any, reference: Reference, moving: Any, level: int, motion: Any) -> None:
    """Search from ``motion``, which is changed, at one resolution."""
    method = _method(sitk, reference, level)
    count = reference.frames[level].array.size
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, max(_SAMPLED[level], _LEAST / count)), _SEED)
    # A turn by one radian moves the rim of a brain by about so many mm.
    method.SetOptimizerScales([_RADIUS] * 3 + [1.0] * 3)
    method.SetOptimizerAsPowell(
        numberOfIterations=_ROUNDS,
        maximumLineIterations=_STEPS,
        stepLength=_FIRST_STEP[level],
        stepTolerance=_LAST_STEP,
        valueTolerance=_LAST_GAIN,
    )
    method.SetInitialTransform(motion, inPlace=True)
    method.Execute(reference.images[level], moving)


def _information(sitk: Any, reference: Reference, moving: Any, motion: Any) -> float:
    """Mutual information over all voxels near the head, at the middle resolution."""
    method = _method(sitk, reference, 1)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInitialTransform(motion)
    return -float(method.MetricEvaluate(reference.images[1], moving))


def _method(sitk: Any, reference: Reference, level: int) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=_BINS)
    method.SetMetricFixedMask(reference.masks[level])
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _doubt(before: float, after: float, shift: float, matrix: NDArray[np.float64]) -> str:
    """Why a motion is not to be used; or nothing."""
    if shift < _STILL_SHIFT:
        return f"it lies within {shift:.2f} mm of its reference already"
    if not after > before + _BETTER:
        return f"moved, it fits no better (mutual information {before:.3f}, moved {after:.3f})"
    turned = math.acos(min(1.0, max(-1.0, (np.trace(matrix[:3, :3]) - 1) / 2)))
    if turned > _MOST_TURNED or shift > _MOST_SHIFTED:
        return (
            f"it would be turned by {math.degrees(turned):.0f} degrees and shifted by {shift:.0f} "
            f"mm, further than a head moves in a scanner"
        )
    return ""


def _failed(error: RuntimeError) -> str:
    last = str(error).strip().splitlines()[-1].rpartition("ERROR: ")[2]
    return f"registration failed ({last[:120].strip()})"


def _places(coarse: Frame) -> NDArray[np.float64]:
    """World coordinates [n, 3] in mm of the voxels of the head."""
    affine = np.asarray(coarse.geometry.affine)
    return _moved(np.argwhere(coarse.head), affine)


def _moved(places: Array, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(places @ matrix[:3, :3].T + matrix[:3, 3])


def _matrix(motion: Any) -> NDArray[np.float64]:
    """The 4x4 matrix of a SimpleITK transform, from the reference's world to the scan's."""
    turn = np.array(motion.GetMatrix()).reshape(3, 3)
    centre = np.array(motion.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = np.array(motion.GetTranslation()) + centre - turn @ centre
    return matrix


def _rows(matrix: NDArray[np.float64]) -> Affine:
    return tuple(tuple(float(value) for value in row) for row in matrix)

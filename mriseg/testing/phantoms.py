"""Synthetic heads, and folders of them as the public data sets lay them out.

Files are written with nibabel and pillow alone, so that what mriseg reads in a test was never
written by mriseg. All arrays here are in canonical axes [z, y, x]: z to the superior, y to the
posterior, x to the left end, which is NIfTI's LPS with the axes in reverse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel import orientations
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Array = NDArray[Any]
Shape = tuple[int, int, int]

MODALITIES = ("t1", "t1ce", "t2", "flair")
SMALL: Shape = (24, 48, 40)

# Intensities of (brain, ventricle, necrosis 1, oedema 2, enhancing 4), after how the tissues look
# in each sequence.
_TISSUES = {
    "t1": (600, 300, 350, 480, 550),
    "t1ce": (620, 320, 380, 500, 1100),
    "t2": (500, 1000, 900, 850, 700),
    "flair": (450, 150, 550, 950, 800),
}
_SKULL = 700

_NAMES = {
    "2020": {m: m for m in MODALITIES},
    "2023": {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"},
    "mixed": {"t1": "T1", "t1ce": "T1GD", "t2": "t2W", "flair": "Flair"},
}


def _ellipsoid(shape: Shape, centre: Sequence[float], radii: Sequence[float]) -> Array:
    """The voxels within an ellipsoid; centre and radii as shares of the shape."""
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    terms = [
        ((axis - c * (n - 1)) / max(r * n, 1e-6)) ** 2
        for axis, n, c, r in zip(grid, shape, centre, radii, strict=True)
    ]
    return np.asarray(terms[0] + terms[1] + terms[2] <= 1)


def head(
    rng: np.random.Generator,
    shape: Shape = SMALL,
    *,
    tumour: bool = True,
    modalities: Sequence[str] = MODALITIES,
    stripped: bool = True,
) -> tuple[dict[str, Array], Array]:
    """A head as several sequences see it.

    An ellipsoid brain with ventricles; a tumour of nested blobs (necrosis in an enhancing rim in
    oedema); folds of the brain's own, the same in all; a smooth bias field and noise, other ones in
    each sequence.

    Args:
        rng: where all chance comes from.
        shape: (z, y, x).
        tumour: whether there is one.
        modalities: names of sequences; one that is not BraTS's looks like T1.
        stripped: zero outside the brain; or else a skull, and noise in the air.

    Returns:
        name -> float32 [z, y, x], at least 0, and BraTS's labels 0, 1, 2, 4 as uint8 [z, y, x].
    """
    brain = _ellipsoid(shape, (0.5, 0.5, 0.5), (0.42, 0.4, 0.38))
    # What tells one brain from another is drawn from a stream of its own.
    own = rng.spawn(1)[0]
    ventricle = np.zeros(shape, dtype=bool)
    rise, back, gap = own.uniform((0.45, 0.43, 0.05), (0.59, 0.57, 0.1))
    for side in (0.5 - gap, 0.5 + gap):
        ventricle |= _ellipsoid(shape, (rise, back, side), (0.12, 0.14, 0.04))
    folds = ndimage.gaussian_filter(own.normal(size=shape), 1.5)
    folds = 1 + 0.08 * folds / folds.std()

    labels = np.zeros(shape, dtype=np.uint8)
    if tumour:
        centre = (rng.uniform(0.4, 0.6), rng.uniform(0.35, 0.65), rng.choice([0.32, 0.68]))
        radius = rng.uniform(0.15, 0.2)
        for label, scale in ((2, 1.0), (4, 0.65), (1, 0.35)):
            labels[_ellipsoid(shape, centre, [radius * scale] * 3) & brain] = label

    tissue = np.zeros(shape, dtype=np.int64)
    tissue[brain] = 1
    tissue[ventricle & brain] = 2
    for label, index in ((1, 3), (2, 4), (4, 5)):
        tissue[labels == label] = index

    images = {}
    for name in modalities:
        values = np.array([0, *_TISSUES.get(name, _TISSUES["t1"])], dtype=np.float32)
        image = (values[tissue] * folds).astype(np.float32)
        if not stripped:
            shell = _ellipsoid(shape, (0.5, 0.5, 0.5), (0.48, 0.47, 0.45)) & ~brain
            image[shell] = _SKULL
        coarse = rng.normal(size=[max(2, n // 12) for n in shape])
        zoom = [n / c for n, c in zip(shape, coarse.shape, strict=True)]
        bias = 1 + 0.1 * ndimage.zoom(coarse, zoom, order=1, grid_mode=True, mode="nearest")
        image = np.clip(image * bias + rng.normal(scale=20, size=shape), 0, None)
        images[name] = np.where(brain, image + 1, 0 if stripped else image).astype(np.float32)
    return images, labels


def write_nifti(
    path: Path,
    array: Array,
    *,
    spacing: Sequence[float] = (1, 1, 1),
    orientation: str = "LPS",
    origin: Sequence[float] = (0, 0, 0),
    dtype: Any = None,
) -> Path:
    """Write ``array`` [z, y, x] as a NIfTI file whose axes run as ``orientation`` says.

    Args:
        path: ends in ``.nii`` or ``.nii.gz``; its folder is made.
        array: [z, y, x] in canonical axes.
        spacing: voxel size in mm along (z, y, x).
        orientation: NIfTI's three letters; the file's arrays are turned and flipped to it.
        origin: world coordinates in mm (R, A, S) of the voxel that is [0, 0, 0] of ``array``.
        dtype: of the file; by default the array's own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    affine[:3, 3] = origin
    image = nib.Nifti1Image(np.ascontiguousarray(array.T), affine, dtype=dtype or array.dtype)
    turn = orientations.ornt_transform(
        orientations.io_orientation(affine), orientations.axcodes2ornt(tuple(orientation))
    )
    nib.save(image.as_reoriented(turn), path)
    return path


def write_brats_case(
    folder: Path,
    images: Mapping[str, Array],
    labels: Array | None,
    *,
    names: str = "2020",
    gz: bool = True,
    orientation: str = "LPS",
    origin: Sequence[float] = (0, 0, 0),
    spacing: Sequence[float] = (1, 1, 1),
    dtype: Any = np.int16,
    seg_dtype: Any = np.uint8,
) -> Path:
    """One BraTS case in ``folder``, whose name is the case's.

    ``names`` is "2020" (``_t1ce``), "2023" (``-t1c``, enhancing tumour 3) or "mixed" (``_T1GD``).
    """
    suffix = ".nii.gz" if gz else ".nii"
    separator = "-" if names == "2023" else "_"
    where: dict[str, Any] = {"orientation": orientation, "origin": origin, "spacing": spacing}
    for modality, image in images.items():
        written = _NAMES[names].get(modality, modality)
        path = folder / f"{folder.name}{separator}{written}{suffix}"
        write_nifti(path, np.rint(image), dtype=dtype, **where)
    if labels is not None:
        if names == "2023":
            labels = np.where(labels == 4, 3, labels)
        path = folder / f"{folder.name}{separator}seg{suffix}"
        write_nifti(path, labels.astype(seg_dtype), **where)
    return folder


def write_brats(
    root: Path,
    n: int = 2,
    *,
    seed: int = 0,
    shape: Shape = SMALL,
    modalities: Sequence[str] = MODALITIES,
    labelled: bool = True,
    tumour: bool = True,
    names: str = "2020",
    **options: Any,
) -> list[Path]:
    """``n`` BraTS cases under ``root``; see `write_brats_case` for the options.

    Returns:
        The cases' folders, sorted.
    """
    pattern = "BraTS-GLI-{:05d}-000" if names == "2023" else "BraTS20_Training_{:03d}"
    folders = []
    for index in range(n):
        rng = np.random.default_rng([seed, index])
        images, labels = head(rng, shape, tumour=tumour, modalities=modalities)
        folder = root / pattern.format(index + 1)
        write_brats_case(folder, images, labels if labelled else None, names=names, **options)
        folders.append(folder)
    return folders


def write_lgg(
    root: Path,
    n: int = 2,
    *,
    seed: int = 0,
    shape: Shape = (12, 64, 64),
    missing: Mapping[int, Sequence[str]] | None = None,
    tumour: bool = True,
) -> list[Path]:
    """``n`` patients as in the LGG data's ``kaggle_3m``: one TIFF per slice and one for its mask.

    Args:
        root: the folder that becomes ``kaggle_3m``.
        n: how many patients.
        seed: of the heads.
        shape: (slices, height, width); the real ones are about (25, 256, 256).
        missing: patient's index -> sequences ("t1", "t1ce") that it lacks; FLAIR is put in their
            place, as the publishers did.
        tumour: whether there is one.

    Returns:
        The patients' folders, sorted.
    """
    folders = []
    for index in range(n):
        rng = np.random.default_rng([seed, index])
        images, labels = head(rng, shape, tumour=tumour, stripped=False)
        for name in (missing or {}).get(index, ()):
            images[name] = images["flair"]
        stack = np.stack([images[name] for name in ("t1", "flair", "t1ce")], axis=-1)
        pixels = np.clip(stack / 5, 0, 255).astype(np.uint8)
        mask = np.where(labels > 0, 255, 0).astype(np.uint8)
        folder = root / f"TCGA_XX_{index + 1:04d}_{19990101 + index}"
        folder.mkdir(parents=True)
        for z in range(shape[0]):
            for name, plane in (("", pixels[z]), ("_mask", mask[z])):
                path = folder / f"{folder.name}_{z + 1}{name}.tif"
                Image.fromarray(plane).save(path, compression="tiff_adobe_deflate")
        folders.append(folder)
    return folders


def write_nnunet(
    root: Path,
    n: int = 3,
    *,
    seed: int = 0,
    shape: Shape = SMALL,
    modalities: Sequence[str] = ("t1",),
    style: str = "nnunet",
    spacing: Sequence[float] = (1, 1, 1),
    orientation: str = "LPS",
    labelled: bool = True,
) -> list[Path]:
    """``n`` cases in nnU-Net's or the Medical Segmentation Decathlon's layout.

    The labels are 1 (tumour core) and 2 (oedema).

    Args:
        root: the folder that becomes the data set.
        n: how many cases.
        seed: of the heads.
        shape: (z, y, x).
        modalities: the channels, in order.
        style: "nnunet" (one file per channel, ``case_0000.nii.gz``), "msd" (one file, 4-D if
            there is more than one channel, and the older ``dataset.json``) or "plain" (``images/``
            and ``labels/`` with files as in "msd", and no ``dataset.json``).
        spacing: voxel size in mm along (z, y, x).
        orientation: NIfTI's three letters; "msd" with several channels is always LPS.
        labelled: whether to write the labels.

    Returns:
        The cases' label files (which exist only if ``labelled``), sorted.
    """
    images_dir, labels_dir = ("imagesTr", "labelsTr") if style != "plain" else ("images", "labels")
    where: dict[str, Any] = {"spacing": spacing, "orientation": orientation}
    written = []
    for index in range(n):
        rng = np.random.default_rng([seed, index])
        images, brats = head(rng, shape, modalities=modalities)
        labels = np.select([brats == 2, brats > 0], [2, 1], 0).astype(np.uint8)
        case = f"phantom_{index + 1:03d}"
        channels = [np.rint(images[name]).astype(np.int16) for name in modalities]
        if style == "nnunet":
            for channel, image in enumerate(channels):
                write_nifti(root / images_dir / f"{case}_{channel:04d}.nii.gz", image, **where)
        elif len(channels) == 1:
            write_nifti(root / images_dir / f"{case}.nii.gz", channels[0], **where)
        else:
            affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
            path = root / images_dir / f"{case}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            stacked = np.stack([image.T for image in channels], axis=-1)
            nib.save(nib.Nifti1Image(stacked, affine), path)
        path = root / labels_dir / f"{case}.nii.gz"
        if labelled:
            write_nifti(path, labels, **where)
        written.append(path)
    if style != "plain":
        (root / "dataset.json").write_text(json.dumps(_dataset_json(style, modalities, written)))
    return written


def _dataset_json(style: str, modalities: Sequence[str], cases: Sequence[Path]) -> dict[str, Any]:
    """What ``dataset.json`` says: nnU-Net v2's form, or the Decathlon's."""
    channels = {str(index): name.upper() for index, name in enumerate(modalities)}
    if style == "nnunet":
        return {
            "channel_names": channels,
            "labels": {"background": 0, "core": 1, "oedema": 2},
            "numTraining": len(cases),
            "file_ending": ".nii.gz",
        }
    return {
        "name": "phantoms",
        "modality": channels,
        "labels": {"0": "background", "1": "core", "2": "oedema"},
        "numTraining": len(cases),
        "training": [
            {"image": f"./imagesTr/{path.name}", "label": f"./labelsTr/{path.name}"}
            for path in cases
        ],
        "test": [],
    }

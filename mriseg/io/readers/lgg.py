"""The LGG data set of Buda et al. (2019, doi:10.1016/j.compbiomed.2019.05.002): TIFF slices.

A patient's folder holds ``PATIENT_N.tif``, whose three colours are T1, FLAIR and contrast-enhanced
T1, and ``PATIENT_N_mask.tif``, the FLAIR abnormality. The files state no voxel size, so lengths are
in pixels. Where a patient lacked a sequence, the publishers replaced it by FLAIR; such a copy would
teach a network that T1 looks like FLAIR, so it counts as missing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mriseg.core.modalities import SEGMENTATION
from mriseg.core.patients import patient_of
from mriseg.core.tumour_labels import label_counts
from mriseg.core.volume import Geometry
from mriseg.errors import CaseError, InputError
from mriseg.io.disk.untrusted import open_regular
from mriseg.io.readers import folders, slices
from mriseg.io.readers.base import Case, Listing, RawCase, ReaderOptions

CHANNELS = ("T1", "FLAIR", "T1CE")

_SLICE = re.compile(r"(?P<case>.+)_(?P<number>\d{1,6})(?P<mask>_mask)?\.tiff?", re.IGNORECASE)
# Two sequences with at least this share of equal voxels are one: real ones agree in at most half.
_COPY_SHARE = 0.999


@dataclass
class _Slices:
    """The files of one case, by slice number."""

    images: dict[int, Path] = field(default_factory=dict)
    masks: dict[int, Path] = field(default_factory=dict)


class LggReader:
    """Folders of numbered TIFF slices and their masks, at any depth."""

    name = "lgg"
    summary = (
        "one folder per patient with TIFF slices and masks (PATIENT_1.tif, PATIENT_1_mask.tif)"
    )

    def matches(self, root: Path) -> bool:
        """Whether any folder under ``root`` contains a numbered TIFF slice."""
        return any(_slices(files) for _, _, files in folders.walk(root))

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases under ``root``, whose three channels are always the same.

        Raises:
            InputError: there is no case.
            ConfigError: ``options.channels`` is given, which this layout does not need.
        """
        options.refuse_channels(self.name, "its channels are always T1, FLAIR and T1CE")
        cases: dict[str, Case] = {}
        skipped = []
        for folder, _, files in folders.walk(root):
            for name, stack in _slices(files).items():
                if name in cases:
                    # Kaggle's archive contains all patients twice, one level apart.
                    copy = folders.text(str(folder.relative_to(root)))
                    skipped.append((name, f"it exists a second time, in {copy}"))
                elif not stack.images:
                    skipped.append((name, "it has masks but no images"))
                else:
                    cases[name] = _case(name, stack)
        if not cases:
            raise InputError(f"no case in {root}: expected {self.summary}, at any depth")
        ordered = tuple(cases[name] for name in sorted(cases))
        return Listing(ordered, {"WT": (1,)}, {1: "FLAIR abnormality"}, tuple(skipped))


READER = LggReader()


def _slices(files: Iterable[Path]) -> Mapping[str, _Slices]:
    cases: dict[str, _Slices] = {}
    for path in files:
        if match := _SLICE.fullmatch(path.name):
            stack = cases.setdefault(folders.text(match["case"]), _Slices())
            kind = stack.masks if match["mask"] else stack.images
            kind[int(match["number"])] = path
    return cases


def _case(name: str, files: _Slices) -> Case:
    images = slices.ordered(files.images)
    sources = dict.fromkeys(CHANNELS, images)
    if files.masks:
        sources[SEGMENTATION] = slices.ordered(files.masks)
    patient, visit = patient_of(name)
    return Case(name, patient, sources, partial(_load, name, files), visit)


def _load(name: str, files: _Slices) -> RawCase:
    _check_numbers(name, files)
    colours = _stack(name, slices.ordered(files.images), "RGB")
    labels = None
    if files.masks:
        mask = _stack(name, slices.ordered(files.masks), "L")
        if mask.shape != colours.shape[:3]:
            raise CaseError(
                name,
                f"its masks are {mask.shape[1]} x {mask.shape[2]} pixels, "
                f"its images {colours.shape[1]} x {colours.shape[2]}",
            )
        if not np.isin(mask, (0, 1, 255)).all():
            raise CaseError(name, "its masks have values other than 0 and 255")
        labels = (mask > 0).astype(np.uint8)

    images = {channel: colours[..., index] for index, channel in enumerate(CHANNELS)}
    notices = []
    for channel in ("T1", "T1CE"):
        if (images[channel] == images["FLAIR"]).mean() >= _COPY_SHARE:
            del images[channel]
            notices.append(f"its {channel} is a copy of FLAIR, so it counts as missing")
    # Slices are stored from inferior to superior, rows from anterior to posterior, columns from
    # right to left: canonical already, as far as files without a header show.
    z, y, x = colours.shape[:3]
    identity = (
        (1.0, 0.0, 0.0, 0.0),
        (0.0, 1.0, 0.0, 0.0),
        (0.0, 0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    )
    grid = Geometry((z, y, x), identity, axes=(0, 1, 2), flips=(False, False, False), unit="px")
    values = {} if labels is None else label_counts(labels)
    return RawCase(images, labels, grid, tuple(notices), values)


def _check_numbers(name: str, files: _Slices) -> None:
    numbers = set(files.images)
    slices.check_numbers(name, numbers)
    if files.masks and set(files.masks) != numbers:
        differing = slices.listed(set(files.masks) ^ numbers)
        raise CaseError(name, f"its slices {differing} have an image or a mask, not both")


def _stack(name: str, paths: tuple[Path, ...], mode: str) -> NDArray[np.uint8]:
    """Slices as one array [z, y, x], in mode RGB with a last axis of 3 colours."""
    planes: list[NDArray[np.uint8]] = []
    for path in paths:
        plane = _plane(name, path, mode)
        if plane.shape[0] * plane.shape[1] * len(paths) > slices.MAX_PIXELS:
            raise CaseError(
                name,
                f"it has {len(paths)} slices of {plane.shape[0]} x {plane.shape[1]} pixels, more "
                f"than any scan of a head",
            )
        if planes and plane.shape != planes[0].shape:
            raise CaseError(name, f"{path.name} differs in size from {paths[0].name}")
        planes.append(plane)
    return np.stack(planes)


def _plane(name: str, path: Path, mode: str) -> NDArray[np.uint8]:
    try:
        # Pillow warns about unusual tags; only the pixels matter here.
        with (
            warnings.catch_warnings(action="ignore"),
            open_regular(path) as file,
            Image.open(file, formats=("TIFF",)) as image,
        ):
            if max(image.size) > slices.MAX_SIDE:
                raise CaseError(
                    name, f"{path.name} claims {image.size[0]} x {image.size[1]} pixels"
                )
            if image.mode != mode:
                expected = "three 8-bit colours" if mode == "RGB" else "8-bit grey"
                raise CaseError(name, f"{path.name} is {image.mode}; expected {expected}")
            return np.asarray(image)
    except CaseError:
        raise
    # Pillow passes on any error of its decoders, such as struct.error and KeyError.
    except Exception as error:
        raise CaseError(name, f"{path.name} cannot be read as TIFF ({error})") from error

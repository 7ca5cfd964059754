"""BraTS 2020 as Kaggle has it: one HDF5 file per slice (``volume_1_slice_0.h5``).

Each holds ``image`` [240, 240, 4], z-scored, and ``mask`` [240, 240, 3], one plane each for
necrosis with non-enhancing tumour, oedema and enhancing tumour. The files state neither the order
of the four modalities nor a voxel size or an orientation. Their planes are those of BraTS's NIfTI
files, so that rows run from the patient's right to left, columns from front to back, and slices
upwards; lengths are in pixels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.modalities import SEGMENTATION, canonical_modality
from mriseg.core.tumour_labels import TUMOUR_LABELS, TUMOUR_REGIONS, label_counts
from mriseg.core.volume import Geometry, sides
from mriseg.core.wording import counted
from mriseg.errors import CaseError, ConfigError, InputError, first_line
from mriseg.io.disk.untrusted import open_regular
from mriseg.io.readers import folders, slices
from mriseg.io.readers.base import Case, Listing, RawCase, ReaderOptions

if TYPE_CHECKING:
    import h5py

Array = NDArray[Any]

_SLICE = re.compile(r"(?P<case>volume_\d{1,6})_slice_(?P<number>\d{1,6})\.(?:h5|hdf5)", re.I)
# Of one slice: 1024 x 1024 pixels of 16 channels. In the data set there are 230,400.
_MAX_VALUES = 2**24
# The label of each plane of a mask, as in BraTS 2020.
_LABELS = (1, 2, 4)
_IDENTITY = (
    (1.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (0.0, 0.0, 1.0, 0.0),
    (0.0, 0.0, 0.0, 1.0),
)


class H5Reader:
    """Numbered slices of BraTS 2020, each in an HDF5 file, at any depth."""

    name = "h5"
    summary = (
        "BraTS 2020's slices as HDF5 files (volume_1_slice_0.h5); needs the channels' names, as in "
        "--channels T1,T1CE,T2,FLAIR"
    )

    def matches(self, root: Path) -> bool:
        """Whether any folder under ``root`` contains a numbered HDF5 slice."""
        return any(_slices(files) for _, _, files in folders.walk(root))

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases under ``root``: all slices of one volume in one folder.

        Raises:
            InputError: there is no case.
            ConfigError: ``options.channels`` is not given, or not what the files can hold.
        """
        cases: dict[str, Case] = {}
        skipped = []
        channels: tuple[str, ...] = ()
        for folder, _, files in folders.walk(root):
            for name, numbered in _slices(files).items():
                if name in cases:
                    copy = folders.text(str(folder.relative_to(root)))
                    skipped.append((name, f"it exists a second time, in {copy}"))
                    continue
                channels = channels or _channels(options, slices.ordered(numbered)[0])
                cases[name] = _case(name, numbered, channels)
        if not cases:
            raise InputError(f"no case in {root}: expected {self.summary}, at any depth")
        notice = (
            "the files state no orientation; their rows and columns are taken to be those of "
            "BraTS's NIfTI files"
        )
        ordered = tuple(cases[name] for name in sorted(cases))
        return Listing(ordered, TUMOUR_REGIONS, TUMOUR_LABELS, tuple(skipped), (notice,))


READER = H5Reader()


def _slices(files: Iterable[Path]) -> Mapping[str, dict[int, Path]]:
    cases: dict[str, dict[int, Path]] = {}
    for path in files:
        if match := _SLICE.fullmatch(path.name):
            cases.setdefault(match["case"].lower(), {})[int(match["number"])] = path
    return cases


def _channels(options: ReaderOptions, first: Path) -> tuple[str, ...]:
    """The channels' names, which must be given; their number is compared with one file's."""
    if options.channels is None:
        raise ConfigError(
            f"slices such as {first.name} do not say which of their channels is which, and sources "
            f"disagree about it; look at one and name them in order, as in "
            f"--channels T1,T1CE,T2,FLAIR"
        )
    names = tuple(canonical_modality(name) for name in options.channels)
    if len(set(names)) < len(names) or SEGMENTATION in names:
        raise ConfigError(
            f"the channels given must be distinct names of modalities, not {', '.join(names)}"
        )
    try:
        image, _ = _read(first)
    except InputError:
        return names  # Reported when the case is loaded.
    if image.shape[2] != len(names):
        raise ConfigError(
            f"{counted(len(names), 'channel')} were named ({', '.join(names)}), but the files have "
            f"{image.shape[2]}"
        )
    return names


def _case(name: str, numbered: Mapping[int, Path], channels: tuple[str, ...]) -> Case:
    paths = slices.ordered(numbered)
    sources = dict.fromkeys(channels, paths)
    # Whether there are masks shows in the first file; _load holds the others to it.
    try:
        labelled = _read(paths[0])[1] is not None
    except InputError:
        labelled = True
    if labelled:
        sources[SEGMENTATION] = paths
    return Case(name, name, sources, partial(_load, name, dict(numbered), channels, labelled))


def _load(
    name: str, numbered: Mapping[int, Path], channels: tuple[str, ...], labelled: bool
) -> RawCase:
    slices.check_numbers(name, numbered, first=0)
    planes: list[Array] = []
    masks: list[Array] = []
    paths = slices.ordered(numbered)
    for path in paths:
        try:
            image, mask = _read(path)
        except InputError as error:
            raise CaseError(name, str(error)) from error
        _check_plane(name, path, image, mask, planes[0] if planes else image)
        if image.shape[2] != len(channels):
            raise CaseError(
                name, f"{path.name} has {image.shape[2]} channels; expected {len(channels)}"
            )
        if (mask is not None) is not labelled:
            raise CaseError(name, f"{path.name} and {paths[0].name}: only one of them has a mask")
        if image.size * len(paths) > slices.MAX_PIXELS:
            raise CaseError(name, f"its {len(paths)} slices are more than any scan of a head")
        planes.append(image)
        if mask is not None:
            masks.append(mask)
    # [i, j, k] of each channel, k upwards.
    volumes = np.stack(planes, axis=2)
    notices = _cleaned(volumes, channels)
    images = {channel: volumes[..., index] for index, channel in enumerate(channels)}
    labels = _labels(name, np.stack(masks, axis=2)) if labelled else None
    shape = (volumes.shape[0], volumes.shape[1], volumes.shape[2])
    grid = Geometry(shape, _IDENTITY, axes=(2, 1, 0), flips=(False, False, False), unit="px")
    values = {} if labels is None else label_counts(labels)
    return RawCase(images, labels, grid, notices, values)


def _check_plane(name: str, path: Path, image: Array, mask: Array | None, first: Array) -> None:
    if image.shape != first.shape:
        raise CaseError(
            name, f"{path.name} is {sides(image.shape)}; other slices are {sides(first.shape)}"
        )
    if mask is None:
        return
    if mask.shape != (*image.shape[:2], len(_LABELS)):
        raise CaseError(
            name,
            f"{path.name} has masks of {sides(mask.shape)}; expected "
            f"{sides((*image.shape[:2], len(_LABELS)))}",
        )
    if not np.isin(mask, (0, 1, 255)).all():
        raise CaseError(name, f"{path.name} has masks with values other than 0 and 1")


def _labels(name: str, masks: Array) -> NDArray[np.uint8]:
    """One label per voxel from masks [i, j, k, plane]."""
    inside = masks > 0
    overlapping = int(np.count_nonzero(inside.sum(axis=-1) > 1))
    if overlapping:
        raise CaseError(
            name,
            f"its masks overlap in {counted(overlapping, 'voxel')}; expected one each for "
            f"necrosis, oedema and enhancing tumour, not regions within one another",
        )
    # Each voxel is in one plane at most, so that the sum is its label.
    return np.asarray(inside @ np.array(_LABELS, dtype=np.uint8), dtype=np.uint8)


def _cleaned(volumes: Array, channels: tuple[str, ...]) -> tuple[str, ...]:
    """Make the background of volumes [i, j, k, channel] 0, in place; what was done, in words."""
    notices = []
    count = int(np.count_nonzero(~np.isfinite(volumes)))
    if count:
        np.nan_to_num(volumes, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        notices.append(f"{counted(count, 'voxel')} of NaN or infinity; taken as background")
    # A set background has one value in all corners of a slice; z-scores were perhaps taken in
    # each slice on its own.
    corners = volumes[:: max(1, len(volumes) - 1), :: max(1, volumes.shape[1] - 1)]
    background = corners[0, 0].copy()
    background[(corners != background).any(axis=(0, 1))] = 0
    volumes -= background
    shifted = [name for name, values in zip(channels, background.T, strict=True) if values.any()]
    if shifted:
        notices.append(
            f"the background of {', '.join(shifted)} was not 0, as after z-scoring; each slice was "
            f"shifted so that it is"
        )
    return tuple(notices)


def _read(path: Path) -> tuple[NDArray[np.float32], Array | None]:
    """The image [i, j, channel] of a slice, and its masks [i, j, plane] if it has any.

    Raises:
        InputError: what is wrong with the file, in one sentence that begins with its name.
    """
    import h5py

    name = path.name
    try:
        with open_regular(path) as raw, h5py.File(raw, "r") as file:
            image = _dataset(name, file, "image", "fiu")
            if image is None:
                raise InputError(f"{name} holds no dataset 'image'")
            mask = _dataset(name, file, "mask", "iub")
    except InputError:
        raise
    # HDF5 passes on any error of its library, such as RuntimeError, KeyError and OSError.
    except Exception as error:
        raise InputError(f"{name} cannot be read as HDF5 ({first_line(error)})") from error
    with np.errstate(over="ignore", invalid="ignore"):
        return image.astype(np.float32), mask


def _dataset(name: str, file: h5py.File, key: str, kinds: str) -> Array | None:
    """A dataset [i, j, n] of numbers, all of which lies in the file itself; None if there is none.

    Its header may claim anything, and HDF5 would read other files on its behalf.
    """
    import h5py

    link = file.get(key, getlink=True)
    if link is None:
        return None
    dataset = file[key] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise InputError(f"{name} holds '{key}' in another place; expected a dataset of its own")
    shape, dtype = dataset.shape, dataset.dtype
    if dtype.kind not in kinds or len(shape or ()) != 3:
        raise InputError(f"{name} holds '{key}' as {dtype} of {shape}; expected numbers of 3 axes")
    if min(shape) < 1 or max(shape) > slices.MAX_SIDE or math.prod(shape) > _MAX_VALUES:
        raise InputError(f"{name} claims {sides(shape)} values for '{key}'")
    return np.asarray(dataset[()])

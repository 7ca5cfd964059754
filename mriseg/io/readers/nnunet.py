"""The layouts of nnU-Net and of the Medical Segmentation Decathlon, from which it derives.

``imagesTr/`` and ``labelsTr/`` with ``dataset.json``, or plain ``images/`` and ``labels/``; a label
is named like its case. nnU-Net has one file per channel (``case_0000.nii.gz``); the Decathlon has
one file per case, 4-D if there are several channels. ``imagesTs`` has no labels and is not read.
Formats: nnU-Net's documentation/dataset_format.md, versions 1 and 2; arXiv 1902.09063.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from mriseg.core.drafts import Row
from mriseg.core.modalities import SEGMENTATION, canonical_modality
from mriseg.core.patients import CaseName, patient_of
from mriseg.errors import CaseError, ConfigError, InputError
from mriseg.io import images as containers
from mriseg.io.disk.untrusted import is_regular
from mriseg.io.readers import folders
from mriseg.io.readers.base import Case, Listing, RawCase, ReaderOptions
from mriseg.io.readers.dataset_json import FOREGROUND, Description, read_description
from mriseg.io.readers.loading import errors_of, load_files, with_labels

_FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"))
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
# Without a dataset.json, label files of at most this size in total are read for their values.
_CHEAP_BYTES = 2**25
_ALL_VALUES = tuple(range(1, 256))
# More numbers than that are hardly channels.
_MOST_CHANNELS = 6


class NnunetReader:
    """A folder of images and one of labels, with or without a ``dataset.json``."""

    name = "nnunet"
    summary = "imagesTr/ and labelsTr/ with dataset.json, or images/ and labels/ (NIfTI)"

    def matches(self, root: Path) -> bool:
        """Whether ``root``, or the only such folder in it, has images and labels in this layout."""
        return _locate(root) is not None

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases of ``root``; ``options.channels`` overrides the names in ``dataset.json``.

        Regions are "foreground" (all labels except 0) and each label or region that
        ``dataset.json`` names. Without it they are "label1" and so on for the values in the label
        files: all files are read if they are small, else only the first, and "foreground" is then
        every value from 1 to 255.
        """
        located = _locate(root)
        if located is None:
            raise InputError(f"no case in {root}: expected {self.summary}")
        base, images_folder, labels_folder = located
        images = [path for path in folders.files(base / images_folder) if containers.is_image(path)]
        if not images:
            raise InputError(f"no NIfTI file in {base / images_folder}: expected {self.summary}")
        described = read_description(base / "dataset.json")
        labels = _labels(base / labels_folder) if options.segmentations else {}
        return build(images, labels, described, options, named=images_folder == "imagesTr")


READER = NnunetReader()


def build(
    images: list[Path],
    labels: Mapping[str, Path],
    described: Description,
    options: ReaderOptions,
    *,
    named: bool,
) -> Listing:
    """The cases from image files and the labels of the same names; see `NnunetReader.find`.

    Args:
        images: the files.
        labels: case -> its segmentation.
        described: the content of ``dataset.json``.
        options: what the user said.
        named: whether the folder's name says that files are numbered by channel, as imagesTr does.
    """
    by_channel = _by_channel(images, labels)
    files = _grouped(images, by_channel)
    if by_channel and not (labels or named or described.channels):
        doubt = _channels_or_patients(files, options)
        if doubt is not None:
            return doubt
        by_channel = not _is_one_name(options, files)
        files = _grouped(images, by_channel)
    count = _count(files, by_channel)
    channels, notices = _channels(options, described, count)
    cases = [
        _case(name, paths, labels.get(name), channels, by_channel)
        for name, paths in sorted(files.items())
    ]
    skipped = [(name, "it has a label but no image") for name in sorted({*labels} - {*files})]
    for case in cases:
        broken = [path for path in case.files if not is_regular(path)]
        if broken:
            skipped.append((case.name, f"{broken[0].name} is a broken link (not fetched yet?)"))
    names = {name for name, _ in skipped}
    cases = [case for case in cases if case.name not in names]
    if described.labels is None:
        regions, labelled = regions_from_files([*labels.values()])
    else:
        regions, labelled = _regions(described.labels)
    return Listing(tuple(cases), regions, labelled, tuple(skipped), notices)


def _locate(root: Path) -> tuple[Path, str, str] | None:
    """The folder of the data set, and the names of its folders of images and labels.

    The Decathlon's archives unpack to ``Task04_Hippocampus/imagesTr``: ``root`` may also be a
    folder that contains exactly one data set.
    """
    base, subfolders, _ = next(folders.walk(root))
    layout = _layout(base)
    if layout is not None:
        return (base, *layout)
    inside = [(path, *inner) for path in subfolders if (inner := _layout(path)) is not None]
    return inside[0] if len(inside) == 1 else None


def _layout(folder: Path) -> tuple[str, str] | None:
    for images, labels in _FOLDERS:
        # "imagesTr" alone identifies the layout, "images" alone does not.
        needed = (images,) if images == "imagesTr" else (images, labels)
        paths = [folder / name for name in needed]
        if all(path.is_dir() for path in paths):
            return images, labels
    return None


def _labels(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return _by_stem(path for path in folders.files(folder) if containers.is_image(path))


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    return {folders.text(containers.stem(path)): path for path in paths}


def _by_channel(images: list[Path], labels: Mapping[str, Path]) -> bool:
    """Whether there is one file per channel: all names end in four digits, which labels lack.

    ``case_2019.nii.gz`` with a label of the same name is a case, not a channel.
    """
    stems = [folders.text(containers.stem(path)) for path in images]
    matches = [match for stem in stems if (match := _CHANNEL.fullmatch(stem))]
    if len(matches) < len(stems):
        return False
    if labels:
        return any(match["case"] in labels for match in matches)
    return any(match["channel"] == "0000" for match in matches)


def _channels_or_patients(
    files: Mapping[str, Mapping[int, Path]], options: ReaderOptions
) -> Listing | None:
    """The refusal where numbers at the end of names may be channels or patients, or nothing.

    Several cases of the same few numbers are channels; ``pat_0000`` to ``pat_0002`` may be three
    patients.
    """
    sets = {tuple(sorted(channels)) for channels in files.values()}
    most = max(map(len, sets))
    named = len(options.channels or ())
    if most == 1 or named == most or named == 1:
        return None
    if len(files) > 1 and len(sets) == 1 and most <= _MOST_CHANNELS:
        return None
    skipped, proposals = [], {}
    for case, channels in files.items():
        paths = [path for _, path in sorted(channels.items())]
        stems = [folders.text(containers.stem(path)) for path in paths]
        skipped.append(
            (
                case,
                f"{', '.join(stems[:3])}{', ...' if len(stems) > 3 else ''} may be channels of one "
                f"case or cases of one channel: name the channels with --channels (as many as "
                f"there are, or the only one), or write a table of cases",
            )
        )
        rows = [
            Row(CaseName(stem, *patient_of(stem)), {"image": path})
            for stem, path in zip(stems, paths, strict=True)
        ]
        proposals[case] = tuple(rows)
    return Listing((), {FOREGROUND: (1,)}, {}, tuple(skipped), proposals=proposals)


def _is_one_name(options: ReaderOptions, files: Mapping[str, Mapping[int, Path]]) -> bool:
    """Whether one channel was named and there are several numbers: they are of cases, then."""
    return len(options.channels or ()) == 1 and max(map(len, files.values())) > 1


def _grouped(images: list[Path], by_channel: bool) -> dict[str, dict[int, Path]]:
    """Case -> channel number -> file; channel 0 if one file holds all channels."""
    cases: dict[str, dict[int, Path]] = {}
    for stem, path in _by_stem(images).items():
        match = _CHANNEL.fullmatch(stem) if by_channel else None
        if match:
            cases.setdefault(match["case"], {})[int(match["channel"])] = path
        else:
            cases[stem] = {0: path}
    return cases


def _count(files: Mapping[str, Mapping[int, Path]], by_channel: bool) -> int:
    """The number of channels, from the names, or from the first header that can be read."""
    if by_channel:
        return 1 + max(max(channels) for channels in files.values())
    for channels in files.values():
        try:
            shape = containers.shape(channels[0])
        except InputError:
            continue  # Reported when the case is loaded.
        return shape[3] if len(shape) > 3 else 1
    return 1


def _channels(
    options: ReaderOptions, described: Description, count: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The channels' names, and a notice if they had to be invented."""
    if options.channels is not None:
        names = tuple(canonical_modality(name) for name in options.channels)
        if len(names) != count:
            raise ConfigError(
                f"{len(names)} channels were named ({', '.join(names)}), but the files have {count}"
            )
        origin = "the channels given"
    elif described.channels is not None:
        names = tuple(canonical_modality(name) for name in described.channels)
        origin = "the channels in dataset.json"
    else:
        names = ("image",) if count == 1 else tuple(f"channel{index}" for index in range(count))
        return names, (
            f"nothing names the channels; they are called {', '.join(names)} "
            f"(name them in order with --channels, so that modalities are recognised)",
        )
    if len(set(names)) < len(names) or SEGMENTATION in names:
        raise ConfigError(f"{origin} must be distinct names of modalities, not {', '.join(names)}")
    return names, ()


def _case(
    name: str,
    files: Mapping[int, Path],
    label: Path | None,
    channels: tuple[str, ...],
    by_channel: bool,
) -> Case:
    if by_channel:
        sources = {_name(channels, index): (path,) for index, path in sorted(files.items())}
    else:
        sources = dict.fromkeys(channels, (files[0],))
    if label is not None:
        sources[SEGMENTATION] = (label,)
    load = _load_by_channel if by_channel else _load_whole
    return Case(
        name, patient_of(name)[0], sources, partial(load, name, sources), patient_of(name)[1]
    )


def _name(channels: tuple[str, ...], index: int) -> str:
    return channels[index] if index < len(channels) else f"channel{index}"


def _load_by_channel(name: str, sources: Mapping[str, tuple[Path, ...]]) -> RawCase:
    return load_files(name, {key: path for key, (path,) in sources.items()})


def _load_whole(name: str, sources: Mapping[str, tuple[Path, ...]]) -> RawCase:
    with errors_of(name):
        channels = [key for key in sources if key != SEGMENTATION]
        (path,) = sources[channels[0]]
        arrays, grid, notices = containers.read_channels(path)
        if len(arrays) != len(channels):
            raise CaseError(
                name,
                f"{path.name} has {len(arrays)} channels; "
                f"expected {len(channels)} ({', '.join(channels)})",
            )
    loaded = RawCase(dict(zip(channels, arrays, strict=True)), None, grid, notices)
    if SEGMENTATION in sources:
        (path,) = sources[SEGMENTATION]
        loaded = with_labels(name, loaded, path)
    return loaded


def _regions(
    labels: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, tuple[int, ...]], dict[int, str]]:
    values = tuple(sorted({value for united in labels.values() for value in united}))
    names = {united[0]: name for name, united in labels.items() if len(united) == 1}
    return {FOREGROUND: values, **labels}, names


def regions_from_files(
    paths: list[Path],
) -> tuple[dict[str, tuple[int, ...]], dict[int, str]]:
    """Regions from the values in the label files; see `NnunetReader.find`."""
    cheap = sum(path.stat().st_size for path in paths) <= _CHEAP_BYTES
    values: set[int] = set()
    for path in paths:
        try:
            values.update(np.unique(containers.read_labels(path).array).tolist())
        except InputError:
            continue  # Reported when the case is loaded.
        if values and not cheap:
            break
    known = sorted(values - {0})
    regions, names = _regions({f"label{value}": (value,) for value in known})
    if not (cheap and known):
        regions[FOREGROUND] = _ALL_VALUES
    return regions, names

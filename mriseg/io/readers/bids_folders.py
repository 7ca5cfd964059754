"""The folders of a BIDS data set: whether one is, what is in it, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

from mriseg.core.bids import DESCRIPTION, content_of, read_bids
from mriseg.core.bids_output import is_ours
from mriseg.core.modalities import MODALITIES
from mriseg.core.scan_files import NamedFile
from mriseg.io import images as containers
from mriseg.io.disk.untrusted import parse_json, read_text
from mriseg.io.readers import folders

_ANATOMY = "anat"
# From a subject's folder: ses-, anat.
_MOST_LEVELS = 2


def is_bids(root: Path) -> bool:
    """Whether there is a subject's folder with an image in ``anat/`` that BIDS names.

    Args:
        root: a data set, the folder around ``rawdata/`` or ``derivatives/``, a subject or a
            session.
    """
    return root.is_dir() and any(_images_by_name(root))


def description_of(folder: Path) -> Mapping[str, object]:
    """The ``dataset_description.json`` in a folder; empty where none can be read."""
    try:
        data = parse_json(read_text(folder / DESCRIPTION))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, Mapping) else {}


def is_made_by_mriseg(folder: Path) -> bool:
    """Whether a folder's ``dataset_description.json`` says that mriseg generated it."""
    return is_ours(description_of(folder))


def is_declared(root: Path) -> bool:
    """Whether a folder says itself that it is a BIDS data set."""
    return "BIDSVersion" in description_of(root)


def above(root: Path) -> tuple[str, ...]:
    """The folders of a data set that lead to ``root``, and it, where it is of a subject."""
    names = [folders.text(part) for part in root.resolve().parts[-3:]]
    own = list(names)
    if own[-1:] == [_ANATOMY]:
        own.pop()
    if own[-1:] and own[-1].startswith("ses-"):
        own.pop()
    inside = bool(own) and own[-1].startswith("sub-")
    return tuple(names[len(own) - 1 :]) if inside else ()


def named_files(
    root: Path, levels: tuple[str, ...], left_out: MutableMapping[Path, str]
) -> Iterator[NamedFile]:
    """Every image file under ``root``, and every link that should lead to one.

    Args:
        root: the folder.
        levels: from `above`, which the folders of the files begin with.
        left_out: as in `mriseg.io.readers.folders.walk`.
    """
    for folder, _, files in folders.walk(root, left_out):
        for path in filter(containers.is_image, files):
            yield _named(root, folder, path, levels)
    for path in left_out:
        if containers.is_image(path) and path.is_symlink() and not path.exists():
            yield _named(root, path.parent, path, levels)


def _named(root: Path, folder: Path, path: Path, levels: tuple[str, ...]) -> NamedFile:
    parts = tuple(folders.text(part) for part in folder.relative_to(root).parts)
    packed = path.name.lower().endswith(".gz")
    return NamedFile(path, (*levels, *parts), folders.text(containers.stem(path)), packed)


def _images_by_name(root: Path) -> Iterator[Path]:
    """The images in ``anat/`` of a subject's folder whose names are of BIDS."""
    for folder in _anatomical(root):
        for path in folders.files(folder):
            stem = folders.text(containers.stem(path))
            name = read_bids(stem) if containers.is_image(path) else None
            if name is not None and content_of(name, stem).role in MODALITIES:
                yield path


def _anatomical(root: Path) -> Iterator[Path]:
    """The folders ``anat/`` that a data set, a subject or a session has."""
    levels = above(root)
    if levels:
        yield from _below(root, _MOST_LEVELS + 1 - len(levels))
        return
    pipelines = root / "derivatives"
    derivatives = _subfolders(pipelines) if pipelines.is_dir() else []
    for base in (root, root / "rawdata", *derivatives):
        if not base.is_dir():
            continue
        for subject in _subfolders(base):
            if subject.name.startswith("sub-"):
                yield from _below(subject, _MOST_LEVELS)


def _below(folder: Path, levels: int) -> Iterator[Path]:
    if folder.name == _ANATOMY:
        yield folder
        return
    for inner in _subfolders(folder) if levels > 0 else ():
        if inner.name == _ANATOMY or inner.name.startswith("ses-"):
            yield from _below(inner, levels - 1)


def _subfolders(folder: Path) -> list[Path]:
    return next(folders.walk(folder))[1]

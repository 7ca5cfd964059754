"""Data layouts: one module each, listed in ``READERS``; ``find`` picks one and lists its cases.

`bids`, `lgg`, `h5`, `nnunet`, `brats`, `dicom`, `flat`, `table`
    the layouts; `bids_folders`, `bids_masks`: parts of it.
`base`
    what a reader returns.
`folders`, `account`
    a folder walked through its links; and every file of it that is in no case.
`loading`, `inspection`
    a case read; and looked into, without its images' voxels.
`label_folder`, `slices`, `dataset_json`
    segmentations from elsewhere; cases of numbered slices; what nnU-Net's ``dataset.json`` states.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mriseg.core.modalities import SEGMENTATION
from mriseg.core.wording import counted
from mriseg.errors import InputError
from mriseg.io.dicom.headers import is_dicom
from mriseg.io.images import is_image, kind_of
from mriseg.io.readers import folders
from mriseg.io.readers.account import accounted, data_sets, what_else, with_rows
from mriseg.io.readers.base import Case, Listing, RawCase, Reader, ReaderOptions
from mriseg.io.readers.bids import has_masks
from mriseg.io.readers.bids_folders import is_declared
from mriseg.io.readers.label_folder import with_label_files, with_label_folder
from mriseg.registry import Registry

__all__ = [
    "READERS",
    "SEGMENTATION",
    "Case",
    "Listing",
    "RawCase",
    "Reader",
    "ReaderOptions",
    "find",
]

# In the order in which "auto" tries them: the most specific layout first.
READERS: Registry[Reader] = Registry(
    "layout",
    {
        "bids": "mriseg.io.readers.bids:READER",
        "lgg": "mriseg.io.readers.lgg:READER",
        "h5": "mriseg.io.readers.h5:READER",
        "nnunet": "mriseg.io.readers.nnunet:READER",
        "brats": "mriseg.io.readers.brats:READER",
        "dicom": "mriseg.io.readers.dicom:READER",
        "flat": "mriseg.io.readers.flat:READER",
        "table": "mriseg.io.readers.table:READER",
    },
    group="mriseg.readers",
)


def find(
    root: Path, layout: str = "auto", options: ReaderOptions | None = None
) -> tuple[str, Listing]:
    """The cases under a folder, the layout they are in, and an account of every other file.

    Args:
        root: the folder, a single image, or a table of cases.
        layout: a name in ``READERS``, or "auto" for the only one that matches.
        options: what the files do not specify.

    Raises:
        InputError: there is no such folder, it is in no known layout, it holds data sets of
            several, or it has no case.
        UnknownNameError: there is no such layout.
    """
    options = options or ReaderOptions()
    if not root.exists():
        raise InputError(f"there is no folder {root}")
    if layout != "auto":
        listing = READERS[layout].find(root, options)
    elif root.is_file():
        layout = _of_file(root)
        listing = READERS[layout].find(root, options)
    else:
        layout, listing = _recognised(root, options)
    if isinstance(options.labels, Path):
        # Those that BIDS names, its own reader has matched.
        if layout != "bids" or not has_masks(options.labels):
            listing = with_label_folder(listing, options.labels)
    elif options.labels is not None:
        listing = with_label_files(listing, options.labels)
    return layout, with_rows(accounted(listing, root, layout), root)


def _of_file(path: Path) -> str:
    if READERS["table"].matches(path):
        return "table"
    if is_image(path):
        return "flat"
    if is_dicom(path):
        return "dicom"
    kind = kind_of(path)
    raise InputError(
        f"{path} is not an image{f' but {kind}' if kind else ''}; give one, the folder with the "
        f"scans, or a table of cases"
    )


def _recognised(root: Path, options: ReaderOptions) -> tuple[str, Listing]:
    """The layout of a folder, and its cases.

    A folder of several data sets is refused, since which of them is meant would be a guess.
    """
    names = [name for name, reader in READERS.items() if reader.matches(root)]
    if "bids" in names and is_declared(root):
        # What is in such a folder and not of BIDS, as sourcedata/, is not of the data set.
        names = names[: names.index("bids") + 1]
    # Any folder with images in it is flat.
    specific = [name for name in names if name != "flat"] or names
    if specific == ["dicom"] and "flat" in names:
        # But none of these images is a part of the DICOM beside them.
        specific = ["dicom", "flat"]
    if not specific:
        _refuse_several(root)
        expected = "\n".join(f"  {name}: {reader.summary}" for name, reader in READERS.items())
        raise InputError(
            f"{root} is in no known layout{what_else(root)}; expected one of\n{expected}"
        )
    if len(specific) == 1:
        return specific[0], READERS[specific[0]].find(root, options)
    # Channels may be named for one of them, which the others would refuse.
    unnamed = replace(options, channels=None)
    listings = {name: READERS[name].find(root, unnamed) for name in specific}
    first, *others = specific
    if any(_disjoint(listings[first], listings[name]) for name in others):
        places = data_sets(root, listings)
        listed = "; ".join(
            f"{place} (layout {name}, {counted(number, 'case')})"
            for name, (place, number) in places.items()
        )
        raise InputError(
            f"{root} holds data sets of several layouts: {listed}; give the folder of one, or name "
            f"its layout with --layout"
        )
    # Of layouts that see the same files, the one that makes use of most; the first, if alike.
    best = max(specific, key=lambda name: len(_used(listings[name])))
    if options.channels is None:
        return best, listings[best]
    return best, READERS[best].find(root, options)


def _refuse_several(root: Path) -> None:
    """Refuse a folder of several data sets of nnU-Net, none of which lies in ``root`` itself.

    Raises:
        InputError: it is one.
    """
    _, subfolders, _ = next(folders.walk(root))
    inside = [path.name for path in subfolders if READERS["nnunet"].matches(path)]
    if len(inside) > 1:
        listed = ", ".join(map(folders.text, inside[:5])) + (", ..." if len(inside) > 5 else "")
        raise InputError(f"{root} holds {len(inside)} data sets: {listed}; give the folder of one")


def _used(listing: Listing) -> set[Path]:
    return {path for case in listing.cases for path in case.files}


def _disjoint(one: Listing, other: Listing) -> bool:
    """Whether two layouts see different files, and both see some."""
    return bool(_used(one)) and bool(_used(other)) and _used(one).isdisjoint(_used(other))

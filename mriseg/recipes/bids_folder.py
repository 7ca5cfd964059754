"""A folder of masks as a BIDS derivative: where each mask goes, and what describes the folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from mriseg import __version__
from mriseg.core.bids import DESCRIPTION, VERSION, label_values
from mriseg.core.bids_output import (
    IMAGE,
    BidsForm,
    ToName,
    description,
    link_for,
    places_by_case,
    refuse_foreign,
)
from mriseg.core.regions import Regions
from mriseg.errors import ConfigError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io import images, nifti
from mriseg.io.disk.documents import first_bytes, write_json, write_text
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.predictions import FILE
from mriseg.io.readers import folders
from mriseg.io.readers.bids_folders import above, description_of, is_bids
from mriseg.recipes.masking import PredictOptions
from mriseg.recipes.sources import Source

IGNORE = ".bidsignore"

# What of a folder of masks is no part of BIDS.
_OURS = "# written by mriseg predict: what is of no format of BIDS"
_NOT_OF_BIDS = (FILE, "report.html", "report_files", "volumes.*", "labels-*", "*_dseg.png")


class BidsFolder(NamedTuple):
    """A derivative that is to be written.

    Attributes:
        out: its folder.
        form: how its files refer to each other and to their sources.
        places: case -> the file of its label map.
        links: name of a data set -> where it is, of all that there are masks of.
        dois: name of a data set -> its DOI.
    """

    out: Path
    form: BidsForm
    places: Mapping[str, Path]
    links: Mapping[str, str]
    dois: Mapping[str, str]

    def described(self) -> Recipe[None]:
        """Write ``dataset_description.json`` and what a validator ignores.

        Raises:
            OutputError: they cannot be written.
        """
        path, ignore = self.out / DESCRIPTION, self.out / IGNORE
        content = description(self.links, __version__, VERSION, self.dois)
        if description_of(self.out) != content:
            write_json(path, content)
            yield Wrote(path, "description")
        before = first_bytes(ignore, len(_OURS))
        if before is None or before == _OURS.encode():
            write_text(ignore, "\n".join([_OURS, *_NOT_OF_BIDS, ""]))
        else:
            yield Notice(f"{ignore} is there already, and mriseg did not write it: left as it is")


def bids_folder(
    source: Location,
    out: Path,
    listed: Mapping[str, Source],
    regions: Regions,
    options: PredictOptions,
) -> BidsFolder | None:
    """What a prediction writes as BIDS; None where that is not asked for.

    Args:
        source: of the scans.
        out: the folder of the masks.
        listed: all cases of the source, whichever are predicted now, so that a mask has one name.
        regions: of the model.
        options: what is asked for.

    Raises:
        ConfigError: ``out`` is a file, or DICOM-SEG or masks of every series are asked for too.
        InputError: two cases, or two regions, would share a name.
        OutputError: ``out`` is a data set of something else.
    """
    if not options.bids:
        return None
    if nifti.is_nifti(out):
        raise ConfigError(f"--bids writes a folder, and {out} is one file; name a folder")
    if options.dicom_seg:
        raise ConfigError("--dicom-seg is of no format of BIDS; leave out it or --bids")
    if options.every_series:
        raise ConfigError("--every-series has no names in BIDS here; leave out it or --bids")
    label_values([*regions], "the region")
    known = description_of(out)
    refuse_foreign(str(out), known, has_images=is_bids(out))
    placed = places_by_case({name: _to_name(item) for name, item in listed.items()})
    places = {name: out.joinpath(*levels, stem + IMAGE) for name, (levels, stem) in placed.items()}
    before = known.get("DatasetLinks")
    links = {str(k): str(v) for k, v in before.items()} if isinstance(before, Mapping) else {}
    if what_is(source) is Kind.STORE:
        return BidsFolder(out, BidsForm(regions), places, links, _dois(out, links))
    root = _root(source.path, [path for item in listed.values() for path in item.images])
    where = Path(os.path.relpath(root, out.absolute())).as_posix()
    link = link_for(where, links)
    links[link] = where
    form = BidsForm(regions, link, root.as_posix())
    return BidsFolder(out, form, places, links, _dois(out, links))


def _to_name(item: Source) -> ToName:
    stems = tuple(folders.text(images.stem(path)) for path in item.images if images.is_image(path))
    return ToName(item.patient, item.visit, stems if len(stems) == len(item.images) else ())


def _root(source: Path, files: Iterable[Path]) -> Path:
    """The folder that sources are named from: of the data set, or around all of them."""
    if source.is_dir():
        levels = above(source)
        return source.absolute().parents[len(levels) - 1] if levels else source.absolute()
    around = [str(path.absolute().parent) for path in files] or [str(source.absolute().parent)]
    return Path(os.path.commonpath(around))


def _dois(out: Path, links: Mapping[str, str]) -> dict[str, str]:
    stated = {name: description_of(out / where).get("DatasetDOI") for name, where in links.items()}
    return {name: doi for name, doi in stated.items() if isinstance(doi, str) and doi}

"""What masks of mriseg are called in BIDS, and which of a data set's sessions are wanted.

sub-01/ses-2/anat/sub-01_ses-2_desc-mriseg_dseg.nii.gz            all regions, a label each
sub-01/ses-2/anat/sub-01_ses-2_label-WT_desc-mriseg_mask.nii.gz   one region, whole
..._label-WT_desc-mriseg_probseg.nii.gz                           its probabilities
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mriseg.core.bids import (
    BidsName,
    entities_by_case,
    folder_of,
    label_values,
    read_bids,
    shared,
    spelled,
)
from mriseg.errors import InputError, OutputError

IMAGE, SIDECAR, TABLE = ".nii.gz", ".json", ".tsv"
MAP, MASK, PROBABILITIES = "dseg", "mask", "probseg"

_DESC = {"desc": "mriseg"}


@dataclass(frozen=True)
class BidsForm:
    """How masks refer to each other and to their sources.

    Attributes:
        regions: region -> label values, of the model.
        link: name of the data set of the scans, for BIDS URIs; empty where there is none.
        root: the folder that it is, absolute.
    """

    regions: Mapping[str, tuple[int, ...]]
    link: str = ""
    root: str = ""

    def beside(self, stem: str, maps: Sequence[str]) -> list[str]:
        """The files that a label map has beside it.

        Args:
            stem: its name without the ending.
            maps: the regions of which there are probabilities.
        """
        names = [stem + SIDECAR, stem + TABLE]
        for suffix, regions in ((MASK, [*self.regions]), (PROBABILITIES, maps)):
            for region in regions:
                own = self.of_region(stem, region, suffix)
                names += [own + IMAGE, own + SIDECAR]
        return names

    def of_region(self, stem: str, region: str, suffix: str) -> str:
        """The stem of the file of one region."""
        name = read_bids(stem)
        assert name is not None, "masks in BIDS have names of it"
        label = label_values([*self.regions], "the region")[region]
        return spelled({**name.entities, "label": label}, suffix)

    def uris(self, files: Iterable[PurePath]) -> tuple[str, ...]:
        """Files of the source, absolute, as BIDS URIs; a series of many files by its folder."""
        files = list(files)
        if not self.link:
            return ()
        places = [file if len(files) == 1 else file.parent for file in files]
        relative = [posixpath.relpath(place.as_posix(), self.root) for place in places]
        return tuple(dict.fromkeys(f"bids:{self.link}:{place}" for place in relative))


@dataclass(frozen=True)
class ToName:
    """A case that a mask is to be named after.

    Attributes:
        patient: whose it is.
        visit: which of the patient's; may be empty.
        stems: names of its images, without endings; none of a case in a store.
    """

    patient: str
    visit: str
    stems: tuple[str, ...] = ()


def places_by_case(cases: Mapping[str, ToName]) -> dict[str, tuple[tuple[str, ...], str]]:
    """Case -> the folders and the stem of its label map.

    A case that BIDS named keeps its entities, and those that all of its images share. The others
    are named by patient and visit, as in `mriseg.core.bids.entities_by_case`.

    Raises:
        InputError: two would share a name.
    """
    known = {name: entities for name, case in cases.items() if (entities := _own_entities(case))}
    others = {n: (case.patient, case.visit) for n, case in cases.items() if n not in known}
    known |= entities_by_case(others)
    places = {
        name: (folder_of(entities), spelled({**entities, **_DESC}, MAP))
        for name, entities in known.items()
    }
    taken: dict[str, str] = {}
    for name, (_, stem) in places.items():
        other = taken.setdefault(stem.casefold(), name)
        if other != name:
            raise InputError(
                f"the masks of {other} and {name} would both be called {stem}; give one of them "
                f"another patient or visit in a table of cases"
            )
    return places


def _own_entities(case: ToName) -> dict[str, str]:
    """The entities that all images of a case name; none where they are not of BIDS."""
    names: list[BidsName] = []
    for stem in case.stems:
        name = read_bids(stem)
        if name is None or (names and name.session != names[0].session):
            return {}
        names.append(name)
    return shared(names) if names else {}


def link_for(target: str, known: Mapping[str, str]) -> str:
    """The name of a data set among those that masks are linked to: ``source``, ``source2``.

    Args:
        target: where it is, as ``DatasetLinks`` states it.
        known: the links that there are.
    """
    name, number = "source", 1
    while known.get(name, target) != target:
        number += 1
        name = f"source{number}"
    return name


def description(
    links: Mapping[str, str], version: str, standard: str, dois: Mapping[str, str]
) -> dict[str, object]:
    """The content of ``dataset_description.json``.

    Args:
        links: name -> where the data set is, relative to the masks.
        version: of mriseg.
        standard: version of BIDS.
        dois: link -> DOI of that data set, where it states one.
    """
    sources = [
        {"DOI": dois[name]} if name in dois else {"URL": where} for name, where in links.items()
    ]
    return {
        "Name": "Segmentations by mriseg",
        "BIDSVersion": standard,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "mriseg",
                "Version": version,
                "Description": "Masks predicted by a SegNet; not for clinical use.",
            }
        ],
        **({"SourceDatasets": sources, "DatasetLinks": dict(links)} if links else {}),
    }


@dataclass(frozen=True)
class Sessions:
    """Some sessions of a BIDS data set, by the values of ``sub`` and ``ses``.

    Attributes:
        participants: values of ``sub``, with or without the key; none: all.
        sessions: values of ``ses``, likewise.
    """

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()

    def among(self, cases: Sequence[str]) -> list[str]:
        """The cases that are wanted.

        Args:
            cases: names as the layout ``bids`` gives them, ``sub-01_ses-2``.

        Raises:
            InputError: a participant, or a session, is not there; or no case is left.
        """
        read = {case: name for case in cases if (name := read_bids(f"{case}_x")) is not None}
        wanted = [{v.removeprefix("sub-") for v in self.participants}]
        wanted.append({v.removeprefix("ses-") for v in self.sessions})
        for number, (key, values) in enumerate(zip(("sub", "ses"), wanted, strict=True)):
            present = {name.session[number] for name in read.values()} - {""}
            if lacking := sorted(values - present):
                known = _spelled(key, sorted(present)) or f"none that is named by {key}-"
                raise InputError(f"there is no {_spelled(key, lacking)}; there is {known}")
        chosen = [
            case
            for case, name in read.items()
            if all(not v or s in v for v, s in zip(wanted, name.session, strict=True))
        ]
        if not chosen:
            raise InputError("no session is of these participants and these sessions")
        return chosen


def _spelled(key: str, values: Iterable[str]) -> str:
    return ", ".join(f"{key}-{value}" for value in values)


def is_ours(known: Mapping[str, object]) -> bool:
    """Whether a ``dataset_description.json`` says that mriseg generated the data set."""
    makers = known.get("GeneratedBy")
    return isinstance(makers, list) and any(
        isinstance(item, Mapping) and item.get("Name") == "mriseg" for item in makers
    )


def refuse_foreign(folder: str, known: Mapping[str, object], *, has_images: bool) -> None:
    """Refuse to write masks into a data set of something else.

    Args:
        folder: to write into, for the message.
        known: its ``dataset_description.json``; empty where there is none.
        has_images: whether it holds scans.

    Raises:
        OutputError: it is one.
    """
    if not is_ours(known) and (known or has_images):
        raise OutputError(
            f"{folder} is a BIDS data set that mriseg did not make; name a folder of its own for "
            f"the masks, such as {posixpath.join(folder, 'derivatives', 'mriseg')}"
        )

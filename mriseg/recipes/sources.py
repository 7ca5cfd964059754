"""The cases to predict: listed from files or from a store, read one at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mriseg.core.bids_output import Sessions
from mriseg.core.fingerprint import Fingerprint, fingerprint
from mriseg.core.parts import Part
from mriseg.core.patients import patient_of
from mriseg.core.preparation import UNPREPARED, Preparation
from mriseg.core.prepare import PreparedCase
from mriseg.core.sampling import CaseEntry
from mriseg.errors import CaseError, InputError, StoreError, reason_of
from mriseg.events import Partly, completed
from mriseg.io import readers
from mriseg.io.disk.known_files import KnownFile, same_files
from mriseg.io.disk.schemas import as_json
from mriseg.io.finding import Kind, what_is
from mriseg.io.images import is_image
from mriseg.io.location import Location
from mriseg.io.readers import ReaderOptions, folders
from mriseg.io.readers.account import short_account
from mriseg.io.store import CaseAttributes, Store, open_store
from mriseg.recipes.sessions import prepared
from mriseg.recipes.single_file import channel_of, taken_as

Loader = Callable[[], Partly[tuple[PreparedCase, list[str]]]]
"""Reads a case; it, and what was accepted although it is odd."""


@dataclass(frozen=True)
class Source:
    """A case that is listed and not read.

    Attributes:
        loading: reads it, and yields what is being done.
        modalities: as far as they are known; None where only reading tells.
        files: that it is read from.
        images: those of them that shape a prediction, which a segmentation does not.
        series: modality -> the files of it alone.
        stored: of a case in a store: its image and its geometry there, by which it is known again.
        patient: whose scan it is.
        visit: which of the patient's visits; empty where nothing says so.
        content: of a case in a store: `mriseg.core.prepare.content_digest`.
        fingerprint: of a case in a store: `mriseg.core.fingerprint.fingerprint`.
    """

    loading: Loader
    modalities: tuple[str, ...] | None = None
    files: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    series: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    stored: tuple[KnownFile, ...] = ()
    patient: str = ""
    visit: str = ""
    content: str = ""
    fingerprint: Fingerprint = ()

    def load(self) -> tuple[PreparedCase, list[str]]:
        """Read it; and what was accepted although it is odd."""
        return completed(self.loading())

    def scan(self) -> tuple[KnownFile, ...]:
        """What it is known by: its image files, as they are now, or what the store says of it.

        Raises:
            InputError: a file cannot be read.
        """
        try:
            return self.stored or tuple(map(KnownFile.of, self.images))
        except OSError as error:
            raise InputError(f"it cannot be read: {reason_of(error)}") from None

    def is_of(self, scan: Sequence[KnownFile]) -> bool:
        """Whether `scan` gave this for it, and nothing has changed since."""
        if self.stored:
            return [(f.name, f.sha256) for f in scan] == [(f.name, f.sha256) for f in self.stored]
        return same_files(scan, self.images)

    def entry(self, name: str, case: PreparedCase) -> CaseEntry:
        """What tells whether a model was trained on it.

        Args:
            name: of the case.
            case: it, as it was read, with all of its modalities.
        """
        _, z, y, x = case.image.shape
        return CaseEntry(
            name=name,
            patient=self.patient,
            shape=(z, y, x),
            modalities=case.modalities,
            foreground=np.zeros((z, 0), dtype=np.int64),
            labelled=False,
            content=self.content,
            fingerprint=self.fingerprint or fingerprint(case),
        )


class Listed(NamedTuple):
    """The cases of a source, and an account of the rest.

    Attributes:
        cases: by name.
        notices: what was assumed about all of them, and which files are in none.
        unused: image-like file -> why it is in no case.
    """

    cases: dict[str, Source]
    notices: tuple[str, ...] = ()
    unused: Mapping[str, str] = MappingProxyType({})


def list_sources(
    source: str | Path | Location,
    layout: str,
    channels: Sequence[str] | None,
    preparation: Preparation = UNPREPARED,
) -> Listed:
    """Each case by its name, what was assumed about all of them, and what is in none.

    Args:
        source: a case's folder, a folder of cases, a file, a table of cases, or a store, which may
            be given by URL.
        layout: of the files, as in `mriseg.recipes.preprocess.preprocess`.
        channels: names of the channels, for layouts whose files do not name them.
        preparation: what is done to scans from files; those in a store are prepared already.

    Raises:
        InputError: there is no case.
    """
    source = Location.of(source)
    if what_is(source) is Kind.STORE:
        ReaderOptions(tuple(channels) if channels else None).refuse_channels(
            "store", "it tells them itself"
        )
        store = open_store(source)
        listed = Listed({name: _of_store(store, case) for name, case in store.cases().items()})
    else:
        listed = _listed(source.path, layout, channels, preparation)
    if not listed.cases:
        raise InputError(f"{source} holds no case")
    return listed


def _listed(
    path: Path, layout: str, channels: Sequence[str] | None, preparation: Preparation
) -> Listed:
    """The cases of files; their segmentations are not read."""
    named = channel_of(path) if is_image(path) and path.is_file() and not channels else None
    names = (named,) if named is not None else tuple(channels) if channels else None
    _, listing = readers.find(path, layout, ReaderOptions(names, segmentations=False))
    cases = {name: Source(partial(_fail, name, why)) for name, why in listing.skipped}
    cases |= {case.name: _of_files(case, preparation) for case in listing.cases}
    notices = [*listing.notices, *short_account(listing.unused, path)]
    if named is not None:
        notices.append(taken_as(path, named))
    unused = {folders.text(str(file)): why for file, why in listing.unused.items()}
    return Listed(dict(sorted(cases.items())), tuple(notices), unused)


def choose(
    source: Path | Location,
    listed: Mapping[str, Source],
    wanted: Sequence[str] | Part | Sessions | None,
) -> dict[str, Source]:
    """The cases that are wanted: by name, one part of them, by sessions of BIDS, or all.

    Raises:
        InputError: one is not listed, or none is named.
    """
    if wanted is None:
        return dict(listed)
    if isinstance(wanted, Part | Sessions):
        return {name: listed[name] for name in wanted.among([*listed])}
    if not wanted:
        raise InputError("no case is named; leave --cases out for all of them")
    lacking = [name for name in wanted if name not in listed]
    if lacking:
        raise InputError(f"{source} holds no case {', '.join(lacking)}; it has {', '.join(listed)}")
    return {name: listed[name] for name in wanted}


def _of_store(store: Store, case: CaseAttributes) -> Source:
    image = [file for file in case.files if file.name.startswith("image/")]
    known = [KnownFile(file.name, file.size, 0, file.sha256) for file in image]
    # The same voxels may come to lie elsewhere, where a header was mended.
    place = json.dumps([as_json(case.geometry), as_json(case.box)], sort_keys=True).encode()
    known.append(KnownFile("geometry", len(place), 0, hashlib.sha256(place).hexdigest()))
    return Source(
        partial(_stored, store, case.name),
        case.modalities,
        stored=tuple(known),
        patient=case.patient,
        visit=patient_of(case.name)[1],
        content=case.content,
        fingerprint=tuple(sorted(case.fingerprint.items())),
    )


def _of_files(case: readers.Case, preparation: Preparation) -> Source:
    return Source(
        partial(_load, case, preparation),
        case.modalities,
        case.files,
        images=case.images,
        series={name: case.sources[name] for name in case.modalities},
        patient=case.patient,
        visit=case.visit,
    )


def _stored(store: Store, name: str) -> Partly[tuple[PreparedCase, list[str]]]:
    yield 0.0
    try:
        return store.read_case(name), []
    except StoreError as error:
        raise CaseError(name, str(error)) from None


def _load(case: readers.Case, preparation: Preparation) -> Partly[tuple[PreparedCase, list[str]]]:
    yield 0.0
    # The segmentation, if there is one, must not shape what a prediction sees.
    raw = replace(case.load(), labels=None)
    try:
        ready, together = yield from prepared(raw, preparation)
        return ready, list(together.notices)
    except InputError as error:
        raise CaseError(case.name, str(error)) from None


def _fail(name: str, reason: str) -> Partly[tuple[PreparedCase, list[str]]]:
    yield 0.0
    raise CaseError(name, reason)

"""The cases to predict: listed from files or from a store, read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mriseg.core.prepare import PreparedCase, prepare
from mriseg.errors import CaseError, InputError, StoreError
from mriseg.io import readers
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.readers import ReaderOptions
from mriseg.io.store import Store, open_store

Loader = Callable[[], tuple[PreparedCase, list[str]]]
"""Reads a case; it, and what was accepted although it is odd."""


@dataclass(frozen=True)
class Source:
    """A case that is listed and not read.

    Attributes:
        load: reads it.
        modalities: as far as they are known; None where only reading tells.
        files: that it is read from.
    """

    load: Loader
    modalities: tuple[str, ...] | None = None
    files: tuple[Path, ...] = ()


def list_sources(
    source: str | Path | Location, layout: str, channels: Sequence[str] | None
) -> tuple[dict[str, Source], tuple[str, ...]]:
    """Each case by its name, and what was assumed about all of them.

    Args:
        source: a case's folder, a folder of cases, a file, or a store, which may be given by URL.
        layout: of the files, as in `mriseg.recipes.preprocess.preprocess`.
        channels: names of the channels, for layouts whose files do not name them.

    Raises:
        InputError: there is no case.
    """
    options = ReaderOptions(tuple(channels) if channels else None)
    source = Location.of(source)
    if what_is(source) is Kind.STORE:
        options.refuse_channels("store", "it tells them itself")
        store = open_store(source)
        cases = {
            name: Source(partial(_stored, store, name), case.modalities)
            for name, case in store.cases().items()
        }
        notices: tuple[str, ...] = ()
    else:
        _, listing = readers.find(source.path, layout, options)
        cases = {name: Source(partial(_fail, name, why)) for name, why in listing.skipped}
        cases |= {
            case.name: Source(partial(_load, case), case.modalities, case.files)
            for case in listing.cases
        }
        cases, notices = dict(sorted(cases.items())), listing.notices
    if not cases:
        raise InputError(f"{source} holds no case")
    return cases, notices


def choose(
    source: Path | Location, listed: Mapping[str, Source], names: Sequence[str] | None
) -> dict[str, Source]:
    """The named cases, or all.

    Raises:
        InputError: one is not listed, or none is named.
    """
    if names is None:
        return dict(listed)
    if not names:
        raise InputError("no case is named; leave --cases out for all of them")
    lacking = [name for name in names if name not in listed]
    if lacking:
        raise InputError(f"{source} holds no case {', '.join(lacking)}; it has {', '.join(listed)}")
    return {name: listed[name] for name in names}


def _stored(store: Store, name: str) -> tuple[PreparedCase, list[str]]:
    try:
        return store.read_case(name), []
    except StoreError as error:
        raise CaseError(name, str(error)) from None


def _load(case: readers.Case) -> tuple[PreparedCase, list[str]]:
    # The segmentation, if there is one, must not shape what a prediction sees.
    raw = case.load()
    try:
        return prepare(raw.images, None, raw.geometry), list(raw.notices)
    except InputError as error:
        raise CaseError(case.name, str(error)) from None


def _fail(name: str, reason: str) -> tuple[PreparedCase, list[str]]:
    raise CaseError(name, reason)

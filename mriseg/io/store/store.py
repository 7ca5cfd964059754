"""The zarr store that `preprocess` writes and `train` reads.

One zarr v3 group; a group per case under ``cases/``, with ``image`` [z, m, y, x] float16 and
``label`` [z, y, x] uint8. A chunk is one slice (all its modalities, since they are read together)
and a shard is one case (so a case is two files, not hundreds). What is known of a case without
reading it is in its group's attributes (`mriseg.io.store.attributes`); `mriseg.io.store.writer`
writes them last, and a case without them does not exist.

A chunk ends in a CRC-32C, which each read checks; a case's attributes hold the SHA-256 of its
files and their own digest, which opening the store checks. `mriseg.recipes.verify` checks them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.fingerprint import fingerprint
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import region_masks
from mriseg.core.sampling import VolumeIndex
from mriseg.core.task import Task
from mriseg.core.volume import Geometry, Pad, SliceRef, round_up
from mriseg.errors import OutputError, StoreError, reason_of
from mriseg.io.location import Location
from mriseg.io.store import writer
from mriseg.io.store.attributes import (
    CASES,
    FORMAT_VERSION,
    CaseAttributes,
    Source,
    StoreSpec,
    case_in,
    key_of,
)
from mriseg.io.store.case_arrays import CaseArrays
from mriseg.io.store.catalogue import Catalogue, read_catalogue, read_whole_index
from mriseg.io.store.index import INDEX, Index, retire, update
from mriseg.io.store.listing import spec_overview
from mriseg.io.store.trees import tree_at
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview


@dataclass(frozen=True)
class Batch:
    """Slices as a network takes them.

    Attributes:
        image: [b, m, h, w] float32, or float16 where it was asked for.
        target: [b, r, h, w] uint8 of 0 and 1.
    """

    image: NDArray[np.float32 | np.float16]
    target: NDArray[np.uint8]


class Store(Shown):
    """An open store; made by `create` or `open_store`. Cheap to pickle, safe to read in threads.

    Its length is the number of its cases, iterating gives names, ``store[name]`` is `read_case`.
    """

    def __init__(self, location: str, spec: StoreSpec, version: int = FORMAT_VERSION) -> None:
        self.location = location
        self.spec = spec
        self.version = version
        # Absolute, since tensorstore takes no other path, and arrays are opened late.
        self._where = Location.of(location).absolute
        self._tree = tree_at(self._where)
        self._index = Index({}, {})
        self._catalogue: Catalogue | None = None
        self._attributes: dict[str, CaseAttributes] = {}
        self._arrays = CaseArrays(self._where, self.location, self._tree, self._case)

    def __reduce__(self) -> tuple[Any, ...]:
        # What is open belongs to the process that opened it.
        return Store, (self.location, self.spec, self.version)

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine, and not at a URL."""
        return self._where.is_local

    @property
    def name(self) -> str:
        """The store's name: the last part of its location, without ``.zarr``."""
        return self._where.name.removesuffix(".zarr")

    @property
    def absolute(self) -> Store:
        """The same store for a process in another folder."""
        return Store(str(self._where), self.spec)

    def __len__(self) -> int:
        return len(self.cases())

    def __bool__(self) -> bool:
        return True  # an empty store is still a store

    def __iter__(self) -> Iterator[str]:
        return iter(self.cases())

    def __getitem__(self, name: str) -> PreparedCase:
        return self.read_case(name)

    def __repr__(self) -> str:
        # Nothing is read, since debuggers call it at any time.
        return f"<Store {self.location}>"

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`; raises StoreError."""
        return spec_overview(self.location, self.spec, self.cases())

    def append(
        self,
        name: str,
        case: PreparedCase,
        *,
        patient: str,
        content: str,
        sources: Sequence[Source] = (),
        notices: Sequence[str] = (),
    ) -> None:
        """Write a case: its arrays first, then, in one step, the attributes that make it appear.

        A case of that name that exists already, in full or in part, is replaced.

        Args:
            name: of the case.
            case: its arrays and the way back.
            patient: whose scan it is.
            content: `mriseg.core.prepare.content_digest` of its raw images.
            sources: the files that it was read from.
            notices: what was accepted although it is unusual.

        Raises:
            OutputError: the store cannot be written; the case does not exist then.
        """
        attributes = CaseAttributes(
            name=name,
            patient=patient,
            content=content,
            fingerprint=dict(fingerprint(case)),
            modalities=case.modalities,
            labelled=case.labels is not None,
            geometry=case.geometry,
            box=case.box,
            normalisation=case.normalisation,
            foreground=writer.counts(case, self.spec.regions).tolist(),
            sources=tuple(sources),
            notices=tuple(notices),
            files=(),
            session=case.session if case.session is not None and case.session.matters else None,
            head=case.head,
        )
        self._retire([name])
        writer.write_case(self._where, case, attributes)
        self._arrays.forget()
        self._attributes.pop(name, None)
        self._catalogue = None

    def _retire(self, names: Iterable[str]) -> None:
        """Before cases are replaced, their rows of the index no longer hold."""
        if self.version > 1:
            with _writing(self.location):
                retire(self._tree, self._where, map(key_of, names))

    def write_report(self, content: bytes) -> None:
        """Write ``report.json`` beside the cases of a store at a URL. Raises OutputError."""
        with _writing(self.location):
            self._tree.write("report.json", content)

    def sweep(self) -> None:
        """Remove what a process that was killed left; see `mriseg.io.store.writer.sweep`."""
        writer.sweep(self._where)

    def cases(self) -> Catalogue:
        """Attributes of every case that is complete, by name, sorted.

        Raises:
            StoreError: they cannot be read, or those of a case are damaged.
        """
        index = Index({}, {})
        if self.version > 1:
            index = read_whole_index(self._tree, self.location, self._index)
        self._index = index
        self._catalogue = read_catalogue(
            self._tree, self.location, len(self.spec.regions), self._index
        )
        self._attributes = {}
        return self._catalogue

    def remarks(self) -> list[str]:
        """What a user should know of the index, as it was when cases were last listed."""
        return [
            f"{self.location}: {INDEX}/{name} {what}; the cases that it lists are read one by one. "
            f"The next mriseg preprocess into this store writes it again"
            for name, what in self._index.damaged.items()
        ]

    def update_index(self) -> None:
        """Add the cases that the index lacks; only for the process that holds the lock.

        Raises:
            OutputError: it cannot be written.
            StoreError: a case's attributes are damaged.
        """
        if self.version > 1:
            with _writing(self.location):
                update(self._tree, self._where, len(self.spec.regions))

    def stored(self, name: str) -> CaseAttributes | None:
        """The attributes of one case, as they are now; None where it is not complete.

        Raises:
            StoreError: they cannot be read, or are damaged.
        """
        key = key_of(name)
        try:
            document = self._tree.read_each([f"{CASES}/{key}/zarr.json"])[0]
            return None if document is None else case_in(document, len(self.spec.regions))
        except (OSError, ValueError) as error:
            place = f"{self.location}: {CASES}/{key}/zarr.json"
            raise StoreError(f"{place} cannot be read ({reason_of(error)})") from None

    def sizes(self) -> dict[str, int]:
        """Every file of every case at a URL -> bytes, by its name below ``cases``.

        A thousand come at once. Of a local store, none: there to ask for each is as fast.

        Raises:
            StoreError: they cannot be listed.
        """
        try:
            return {} if self._where.is_local else self._tree.sizes(CASES)
        except OSError as error:
            raise StoreError(f"{self.location} cannot be read: {reason_of(error)}") from error

    def has_files_of(self, case: CaseAttributes, sizes: Mapping[str, int] | None = None) -> bool:
        """Whether all files of a case exist, in the size that they were written with.

        Args:
            case: which.
            sizes: what `sizes` gave; what it lacks is asked for.
        """
        folder, known = key_of(case.name), sizes or {}
        return all(
            known.get(f"{folder}/{file.name}") == file.size
            or self._tree.size(f"{CASES}/{folder}/{file.name}") == file.size
            for file in case.files
        )

    def index(self) -> VolumeIndex:
        """What the sampler needs: cases, modalities and per-slice foreground counts."""
        return self.cases().volume_index(self.spec.regions)

    def geometry(self, name: str) -> Geometry:
        """Where a case's source lies in space."""
        return self._case(name).geometry

    def read_case(self, name: str) -> PreparedCase:
        """A whole case, as `mriseg.core.prepare.prepare` gave it, its image in float16.

        Raises:
            StoreError: it is not in the store, or its chunks cannot be read.
        """
        case = self._case(name)
        image, labels = self._arrays.wait(name, self._arrays.ask(name, slice(None)))
        return PreparedCase(
            image=image.transpose(1, 0, 2, 3),
            modalities=case.modalities,
            labels=labels,
            geometry=case.geometry,
            box=case.box,
            normalisation=case.normalisation,
            session=case.session,
            head=case.head,
        )

    def read(
        self,
        refs: Sequence[SliceRef],
        task: Task,
        *,
        dtype: type[np.float16 | np.float32] = np.float32,
    ) -> Batch:
        """Slices by reference, each centred in the task's frame; a missing modality reads 0.

        Args:
            refs: which slices.
            task: the channels and the regions, in order, and the frame.
            dtype: of the image. It is float16 in the store, and is copied as such in a third of
                the time that float32 takes: for callers that convert it on their device.

        Raises:
            StoreError: a case is not in the store, or its chunks cannot be read.
        """
        frame = task.frame
        image = np.zeros((len(refs), len(task.modalities), *frame), dtype=dtype)
        target = np.zeros((len(refs), len(task.regions), *frame), dtype=np.uint8)
        self._arrays.open_at_once({ref.case for ref in refs})
        # All is asked for before anything is waited for, so that reads run side by side.
        asked = [self._arrays.ask(ref.case, ref.slice) for ref in refs]
        for i, (ref, waiting) in enumerate(zip(refs, asked, strict=True)):
            stored, label = self._arrays.wait(ref.case, waiting)
            channels = self._case(ref.case).modalities
            source, place = Pad.to(stored.shape[-2:], frame).windows(stored.shape[-2:])
            for channel, name in enumerate(task.modalities):
                if name in channels:
                    image[i, channel][place] = stored[channels.index(name)][source]
            if label is not None:
                target[(i, ..., *place)] = region_masks(label[source], task.regions)
        return Batch(image, target)

    def _case(self, name: str) -> CaseAttributes:
        if (known := self._attributes.get(name)) is not None:
            return known
        cases = self._catalogue
        if cases is None or name not in cases:
            cases = self.cases()
        if name not in cases:
            raise StoreError(f"{self.location} holds no case {name!r}")
        # The long lists are not needed to read; of thousands of cases they would fill memory.
        case = replace(cases[name], fingerprint={}, foreground=[], sources=())
        if self._where.is_local:
            case = replace(case, files=())
        self._attributes[name] = case
        return case


def frame_for(shapes: Iterable[tuple[int, int, int]], multiple: int = 32) -> tuple[int, int]:
    """The smallest frame (h, w) of whole multiples that holds every slice of these cases."""
    height, width = multiple, multiple
    for _, h, w in shapes:
        height, width = max(height, h), max(width, w)
    return round_up(height, multiple), round_up(width, multiple)


@contextmanager
def _writing(location: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{location} cannot be written: {reason_of(error)}") from error

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

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.fingerprint import fingerprint
from mriseg.core.modalities import MODALITIES
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import region_masks
from mriseg.core.sampling import CaseEntry, VolumeIndex
from mriseg.core.task import Task
from mriseg.core.volume import Geometry, Pad, SliceRef, round_up
from mriseg.errors import StoreError, reason_of
from mriseg.io.disk.untrusted import parse_json
from mriseg.io.location import Location
from mriseg.io.store import writer
from mriseg.io.store.arrays import Reader, Reading, open_array
from mriseg.io.store.attributes import (
    CASES,
    CaseAttributes,
    Source,
    StoreSpec,
    case_in,
    documents,
    key_of,
    shard_name,
)
from mriseg.io.store.listing import spec_overview
from mriseg.io.store.remedies import remedy, removal
from mriseg.io.store.storage import Tree
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview

# Arrays that are kept open, two per case. To open one again costs less than to read a slice of it.
_OPEN_ARRAYS = 256
# Characters of a library's message, which may quote all of a file.
_QUOTED = 500
# Voxels per byte of a shard: lz4 makes one of 255 zeros at most.
_MAX_RATIO = 256


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

    def __init__(self, location: str, spec: StoreSpec) -> None:
        self.location = location
        self.spec = spec
        # Absolute, since tensorstore takes no other path, and arrays are opened late.
        self._where = Location.of(location).absolute
        self._tree = Tree(self._where)
        self._attributes: dict[str, CaseAttributes] = {}
        self._array = lru_cache(_OPEN_ARRAYS)(self._open)

    def __reduce__(self) -> tuple[Any, ...]:
        # What is open belongs to the process that opened it.
        return Store, (self.location, self.spec)

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
        )
        writer.write_case(self._where, case, attributes)
        self._array.cache_clear()
        self._attributes.pop(name, None)

    def sweep(self) -> None:
        """Remove what a process that was killed left; see `mriseg.io.store.writer.sweep`."""
        writer.sweep(self._where)

    def cases(self) -> dict[str, CaseAttributes]:
        """Attributes of every case that is complete, by name, sorted.

        Raises:
            StoreError: they cannot be read, or those of a case are damaged.
        """
        cases = {}
        for key, document in documents(str(self._where)):
            try:
                case = case_in(document, len(self.spec.regions))
            except ValueError as error:
                raise StoreError(
                    f"{self.location}: {CASES}/{key}/zarr.json is damaged ({error}); "
                    f"{removal(self.location, key)}"
                ) from None
            if case is not None:
                cases[case.name] = case
        cases = dict(sorted(cases.items()))
        # The long lists are not needed to read; of thousands of cases they would fill memory.
        self._attributes = {
            name: replace(case, fingerprint={}, foreground=[], sources=(), files=())
            for name, case in cases.items()
        }
        return cases

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

    def has_files_of(self, case: CaseAttributes) -> bool:
        """Whether all files of a case exist, in the size that they were written with."""
        folder = f"{CASES}/{key_of(case.name)}"
        return all(self._tree.size(f"{folder}/{file.name}") == file.size for file in case.files)

    def index(self) -> VolumeIndex:
        """What the sampler needs: cases, modalities and per-slice foreground counts."""
        cases = self.cases().values()
        entries = tuple(
            CaseEntry(
                name=case.name,
                patient=case.patient,
                shape=case.box.shape,
                modalities=case.modalities,
                foreground=np.asarray(case.foreground, dtype=np.int64).reshape(
                    case.box.shape[0], len(self.spec.regions)
                ),
                labelled=case.labelled,
                content=case.content,
                fingerprint=tuple(sorted(case.fingerprint.items())),
            )
            for case in cases
        )
        named = dict.fromkeys(name for case in cases for name in case.modalities)
        # The usual ones first, in the usual order.
        modalities = [name for name in MODALITIES if name in named]
        modalities += [name for name in named if name not in MODALITIES]
        return VolumeIndex(entries, tuple(modalities), dict(self.spec.regions))

    def geometry(self, name: str) -> Geometry:
        """Where a case's source lies in space."""
        return self._case(name).geometry

    def read_case(self, name: str) -> PreparedCase:
        """A whole case, as `mriseg.core.prepare.prepare` gave it, its image in float16.

        Raises:
            StoreError: it is not in the store, or its chunks cannot be read.
        """
        case = self._case(name)
        image, labels = self._wait(name, self._ask(name, slice(None)))
        return PreparedCase(
            image=image.transpose(1, 0, 2, 3),
            modalities=case.modalities,
            labels=labels,
            geometry=case.geometry,
            box=case.box,
            normalisation=case.normalisation,
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
        # All is asked for before anything is waited for, so that reads run side by side.
        asked = [self._ask(ref.case, ref.slice) for ref in refs]
        for i, (ref, waiting) in enumerate(zip(refs, asked, strict=True)):
            stored, label = self._wait(ref.case, waiting)
            channels = self._case(ref.case).modalities
            source, place = Pad.to(stored.shape[-2:], frame).windows(stored.shape[-2:])
            for channel, name in enumerate(task.modalities):
                if name in channels:
                    image[i, channel][place] = stored[channels.index(name)][source]
            if label is not None:
                target[(i, ..., *place)] = region_masks(label[source], task.regions)
        return Batch(image, target)

    def _case(self, name: str) -> CaseAttributes:
        if name not in self._attributes:
            self.cases()
        if name not in self._attributes:
            raise StoreError(f"{self.location} holds no case {name!r}")
        return self._attributes[name]

    def _ask(self, name: str, which: int | slice) -> tuple[Reading, ...]:
        """Begin to read some slices of a case, and their labels if it has any."""
        kinds = self._case(name).kinds
        with self._errors_of(name):
            return tuple(self._array(name, kind)(which) for kind in kinds)

    def _open(self, name: str, kind: str) -> Reader:
        path = f"{CASES}/{key_of(name)}/{kind}"
        self._check_array(path, kind, self._case(name))
        return open_array(self._where, path)

    def _check_array(self, path: str, kind: str, case: CaseAttributes) -> None:
        """Make sure that an array is as large as its case, and its shard not much smaller."""
        z, y, x = case.box.shape
        shape = [z, len(case.modalities), y, x] if kind == "image" else [z, y, x]
        file = f"{kind}/{shard_name(kind)}"
        size = self._tree.size(f"{path}/{shard_name(kind)}")
        if size is None:
            raise FileNotFoundError(f"{file} is missing")
        array = parse_json(self._tree.read(f"{path}/zarr.json"))
        if not isinstance(array, dict) or array.get("shape") != shape:
            raise ValueError(f"{kind} does not have the shape {shape}")
        if math.prod(shape) > _MAX_RATIO * size:
            raise ValueError(f"{file} is too small to hold what it should")

    def _wait(
        self, name: str, asked: tuple[Reading, ...]
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """What `_ask` asked for."""
        with self._errors_of(name):
            image, *labels = [reading() for reading in asked]
        return image, labels[0] if labels else None

    @contextmanager
    def _errors_of(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            raise StoreError(
                f"{self.location}: case {name} cannot be read ({str(error)[:_QUOTED]}); "
                f"{remedy(self._tree, self.location, key_of(name))}"
            ) from error


def frame_for(shapes: Iterable[tuple[int, int, int]], multiple: int = 32) -> tuple[int, int]:
    """The smallest frame (h, w) of whole multiples that holds every slice of these cases."""
    height, width = multiple, multiple
    for _, h, w in shapes:
        height, width = max(height, h), max(width, w)
    return round_up(height, multiple), round_up(width, multiple)

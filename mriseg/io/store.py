"""The zarr store that `preprocess` writes and `train` reads.

One zarr v3 group; a group a case under ``cases/``, with ``image`` [z, m, y, x] float16 and
``label`` [z, y, x] uint8. A chunk is one slice (all its modalities, since they are read together)
and a shard is one case (so a case is two files, not hundreds). What is known of a case without
reading it is in its group's attributes, and these are written last, in one atomic step: a case
without them is not there. Nothing is shared between cases, so several processes may append.

The format is described in ``docs/formats.md``; ``FORMAT_VERSION`` changes when it does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec
from zarr.errors import NodeNotFoundError

from mriseg.core.fingerprint import fingerprint
from mriseg.core.intensity import Normalisation
from mriseg.core.prepare import Prepared
from mriseg.core.regions import Regions, region_masks
from mriseg.core.sampling import CaseEntry, VolumeIndex
from mriseg.core.volume import Box, Geometry, Pad, SliceRef, round_up
from mriseg.errors import OutputError, StoreError
from mriseg.io.arrays import Reading, is_local, open_array

FORMAT = "mriseg-store"
FORMAT_VERSION = 1
_CASES = "cases"
_KEY = "mriseg"
# File systems take names of 255 bytes.
_LONGEST_KEY = 200
_LONG = frozenset({"foreground", "sources", "fingerprint"})
# Arrays that are kept open, two a case. To open one again costs less than to read a slice of it.
_OPEN_ARRAYS = 256


@dataclass(frozen=True)
class StoreSpec:
    """What holds for all cases of a store.

    Attributes:
        regions: name -> label values; the default target comes first.
        labels: label value -> name, where known.
        layout: the reader that found the cases.
    """

    regions: Regions
    labels: Mapping[int, str] = field(default_factory=dict)
    layout: str = ""

    def to_json(self) -> dict[str, Any]:
        """This specification as JSON types."""
        return {
            # A list, since its order is that of the channels and JSON objects promise none.
            "regions": [[name, list(values)] for name, values in self.regions.items()],
            "labels": {str(value): name for value, name in self.labels.items()},
            "layout": self.layout,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoreSpec:
        """The inverse of `to_json`."""
        return cls(
            regions={name: tuple(values) for name, values in data["regions"]},
            labels={int(value): name for value, name in data["labels"].items()},
            layout=data["layout"],
        )


@dataclass(frozen=True)
class Batch:
    """Slices as a network takes them.

    Attributes:
        image: [b, m, h, w] float32, or float16 where it was asked for.
        target: [b, r, h, w] uint8 of 0 and 1.
    """

    image: NDArray[np.float32 | np.float16]
    target: NDArray[np.uint8]


class Store:
    """An open store; made by `create` or `open_store`. Cheap to pickle, safe to read in threads."""

    def __init__(self, location: str, spec: StoreSpec) -> None:
        self.location = location
        self.spec = spec
        self._attributes: dict[str, dict[str, Any]] = {}
        self._array = lru_cache(_OPEN_ARRAYS)(partial(open_array, location))

    def __reduce__(self) -> tuple[Any, ...]:
        # What is open belongs to the process that opened it.
        return Store, (self.location, self.spec)

    @property
    def name(self) -> str:
        """The store's name: the last part of its location, without ``.zarr``."""
        return self.location.rstrip("/").rpartition("/")[2].removesuffix(".zarr")

    # Writing

    def append(
        self,
        name: str,
        case: Prepared,
        *,
        patient: str,
        content: str,
        sources: Sequence[Mapping[str, Any]] = (),
        notices: Sequence[str] = (),
    ) -> None:
        """Write a case: its arrays first, then, in one step, the attributes that make it appear.

        A case of that name that is there already, or half there, is replaced.

        Args:
            name: of the case.
            case: its arrays and the way back.
            patient: whose scan it is.
            content: `mriseg.core.prepare.content_digest` of its raw images.
            sources: name, size in bytes, time of change and SHA-256 of each file it was read from.
            notices: what was accepted although it is odd.

        Raises:
            OutputError: the store cannot be written; the case is not there then.
        """
        attributes = {
            "name": name,
            "patient": patient,
            "content": content,
            "fingerprint": dict(fingerprint(case)),
            "modalities": list(case.modalities),
            "labelled": case.labels is not None,
            "geometry": case.geometry.to_json(),
            "box": case.box.to_json(),
            "normalisation": case.normalisation.to_json(),
            "foreground": _counts(case, self.spec.regions).tolist(),
            "sources": [dict(source) for source in sources],
            "notices": list(notices),
        }
        try:
            self._write_case(name, case, attributes)
        except OSError as error:
            raise OutputError(
                f"{self.location} cannot be written: {error.strerror or error}"
            ) from error
        self._array.cache_clear()
        self._attributes.pop(name, None)

    def _write_case(self, name: str, case: Prepared, attributes: dict[str, Any]) -> None:
        group = zarr.open_group(self.location, mode="r+")
        path = f"{_CASES}/{_quoted(name)}"
        if path in group:
            del group[path]
        folder = group.create_group(path)
        image = np.ascontiguousarray(case.image.transpose(1, 0, 2, 3), dtype=np.float16)
        _write(folder, "image", image, ("z", "modality", "y", "x"), "shuffle")
        if case.labels is not None:
            labels = np.ascontiguousarray(case.labels, dtype=np.uint8)
            _write(folder, "label", labels, ("z", "y", "x"), "bitshuffle")
        folder.update_attributes({_KEY: attributes})

    def take_fingerprint(self, name: str) -> None:
        """Give a case of an older store its fingerprint, from the voxels that are there.

        Raises:
            StoreError: they cannot be read.
            OutputError: the store cannot be written.
        """
        found = fingerprint(self.read_case(name))
        folder = zarr.open_group(self.location, mode="r+")[f"{_CASES}/{_quoted(name)}"]
        attributes = {**cast(dict[str, Any], folder.attrs[_KEY]), "fingerprint": dict(found)}
        try:
            folder.update_attributes({_KEY: attributes})
        except OSError as error:
            raise OutputError(
                f"{self.location} cannot be written: {error.strerror or error}"
            ) from error

    # Reading

    def cases(self) -> dict[str, dict[str, Any]]:
        """Attributes of every case that is whole, by name, sorted."""
        group = zarr.open_group(self.location, mode="r")
        found = {}
        if _CASES in group:
            for _, folder in group[_CASES].groups():  # type: ignore[union-attr]
                attributes = dict(folder.attrs).get(_KEY)
                if isinstance(attributes, dict):
                    found[str(attributes["name"])] = attributes
        found = dict(sorted(found.items()))
        # The long lists are not needed to read; of thousands of cases they would fill memory.
        self._attributes = {
            name: {key: value for key, value in data.items() if key not in _LONG}
            for name, data in found.items()
        }
        return found

    def index(self) -> VolumeIndex:
        """What the sampler needs: cases, modalities and per-slice foreground counts."""
        entries, union = [], dict.fromkeys(("T1", "T1CE", "T2", "FLAIR"), False)
        for name, data in self.cases().items():
            box = Box.from_json(data["box"])
            for modality in data["modalities"]:
                union[modality] = True
            entries.append(
                CaseEntry(
                    name=name,
                    patient=data["patient"],
                    shape=box.shape,
                    modalities=tuple(data["modalities"]),
                    foreground=np.asarray(data["foreground"], dtype=np.int64).reshape(
                        box.shape[0], len(self.spec.regions)
                    ),
                    labelled=data["labelled"],
                    content=data["content"],
                    # Stores of before there were fingerprints have none.
                    fingerprint=tuple(sorted(data.get("fingerprint", {}).items())),
                )
            )
        modalities = tuple(name for name, there in union.items() if there)
        return VolumeIndex(tuple(entries), modalities, dict(self.spec.regions))

    def geometry(self, name: str) -> Geometry:
        """Where a case's source lies in space."""
        return Geometry.from_json(self._case(name)["geometry"])

    def read_case(self, name: str) -> Prepared:
        """A whole case, as `mriseg.core.prepare.prepare` gave it, its image in float16.

        Raises:
            StoreError: it is not in the store, or its chunks cannot be read.
        """
        data = self._case(name)
        image, labels = self._wait(name, self._ask(name, slice(None)))
        return Prepared(
            image=image.transpose(1, 0, 2, 3),
            modalities=tuple(data["modalities"]),
            labels=labels,
            geometry=Geometry.from_json(data["geometry"]),
            box=Box.from_json(data["box"]),
            normalisation=Normalisation.from_json(data["normalisation"]),
        )

    def read(
        self,
        refs: Sequence[SliceRef],
        *,
        modalities: Sequence[str],
        regions: Regions,
        frame: tuple[int, int],
        dtype: type[np.float16 | np.float32] = np.float32,
    ) -> Batch:
        """Slices by reference, each centred in ``frame`` (h, w); a missing modality reads 0.

        Args:
            refs: which slices.
            modalities: the channels, in order.
            regions: what to mark, in order.
            frame: height and width.
            dtype: of the image. It is float16 in the store, and is copied as such in a third of
                the time that float32 takes: for callers that convert it on their device.

        Raises:
            StoreError: a case is not in the store, or its chunks cannot be read.
        """
        image = np.zeros((len(refs), len(modalities), *frame), dtype=dtype)
        target = np.zeros((len(refs), len(regions), *frame), dtype=np.uint8)
        # All is asked for before anything is waited for, so that reads run side by side.
        asked = [self._ask(ref.case, ref.slice) for ref in refs]
        for i, (ref, waiting) in enumerate(zip(refs, asked, strict=True)):
            stored, label = self._wait(ref.case, waiting)
            there = self._case(ref.case)["modalities"]
            source, place = Pad.to(stored.shape[-2:], frame).windows(stored.shape[-2:])
            for channel, name in enumerate(modalities):
                if name in there:
                    image[i, channel][place] = stored[there.index(name)][source]
            if label is not None:
                target[(i, ..., *place)] = region_masks(label[source], regions)
        return Batch(image, target)

    def _case(self, name: str) -> dict[str, Any]:
        if name not in self._attributes:
            self.cases()
        if name not in self._attributes:
            raise StoreError(f"{self.location} holds no case {name!r}")
        return self._attributes[name]

    def _ask(self, name: str, which: int | slice) -> tuple[Reading, ...]:
        """Begin to read some slices of a case, and their labels if it has any."""
        kinds = ("image", "label") if self._case(name)["labelled"] else ("image",)
        with self._errors_of(name):
            return tuple(self._array(f"{_CASES}/{_quoted(name)}/{k}")(which) for k in kinds)

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
                f"{self.location}: case {name} cannot be read ({error}); "
                f"preprocess it again into a new store"
            ) from error


def create(location: str | Path, spec: StoreSpec) -> Store:
    """A store at ``location``: a new one, or the one that is there if it has the same regions.

    Cases of several layouts may share a store. Its layout and names of labels are the first's.

    Raises:
        OutputError: something else is there, or a store of other regions.
    """
    text = str(location)
    path = Path(text)
    if is_local(text) and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        try:
            store = open_store(text)
        except StoreError as error:
            raise OutputError(f"{error}. Choose another name, or remove it first") from None
        if list(store.spec.regions.items()) != list(spec.regions.items()):
            raise OutputError(
                f"{text} was made for other regions ({_told(store.spec)}; now {_told(spec)}). "
                f"Ask for its own with --regions, choose another name, or remove it"
            )
        return store
    try:
        zarr.create_group(
            text,
            attributes={_KEY: {"format": FORMAT, "version": FORMAT_VERSION, **spec.to_json()}},
        )
    except OSError as error:
        raise OutputError(f"{text} cannot be written: {error.strerror or error}") from None
    return Store(text, spec)


def open_store(location: str | Path) -> Store:
    """Open a store for reading (or appending).

    Raises:
        StoreError: there is none, or its format is newer than this version reads.
    """
    text = str(location)
    if is_local(text) and not Path(text).exists():
        raise StoreError(f"{text} does not exist; make a store with: mriseg preprocess SRC {text}")
    try:
        root = dict(zarr.open_group(text, mode="r").attrs).get(_KEY)
    except (NodeNotFoundError, OSError, ValueError, TypeError, AttributeError, KeyError):
        root = None
    if not isinstance(root, dict) or root.get("format") != FORMAT:
        raise StoreError(
            f"{text} is not an mriseg store; make one with: mriseg preprocess SRC OUT.zarr"
        )
    if root.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{text} has store format {root.get('version')}, and this mriseg reads "
            f"{FORMAT_VERSION}; preprocess it again, or install a newer mriseg"
        )
    try:
        return Store(text, StoreSpec.from_json(root))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{text}/zarr.json is damaged ({error!r}); preprocess again") from None


def frame_for(shapes: Iterable[tuple[int, int, int]], multiple: int = 32) -> tuple[int, int]:
    """The smallest frame (h, w) of whole multiples that holds every slice of these cases."""
    height, width = multiple, multiple
    for _, h, w in shapes:
        height, width = max(height, h), max(width, w)
    return round_up(height, multiple), round_up(width, multiple)


def _counts(case: Prepared, regions: Regions) -> NDArray[np.int64]:
    """Voxels of each region in each slice, [z, r]; zeros without a segmentation."""
    if case.labels is None:
        return np.zeros((case.image.shape[1], len(regions)), dtype=np.int64)
    # Each label is counted once, and regions are sums of labels.
    by_label = np.stack([np.bincount(piece.ravel(), minlength=256) for piece in case.labels])
    return np.stack([by_label[:, values].sum(axis=1) for values in regions.values()], axis=1)


def _write(
    folder: Any,
    name: str,
    array: NDArray[Any],
    dimensions: tuple[str, ...],
    shuffle: Literal["shuffle", "bitshuffle"],
) -> None:
    folder.create_array(
        name,
        data=array,
        chunks=(1, *array.shape[1:]),
        shards=array.shape,
        # lz4 costs a read next to nothing. Images shrink most, and are read fastest, with like
        # bytes side by side; label maps, which nearly vanish, with like bits.
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle=shuffle),
        dimension_names=dimensions,
        # To look for slices of nothing but noughts costs more than to write the few there are.
        config={"write_empty_chunks": True},
    )


def _quoted(name: str) -> str:
    # A case's name may hold anything that a folder's may; a key in a store may not.
    key = quote(name, safe=" ,+=()[]@")
    if key.startswith("."):
        key = f"%2E{key[1:]}"  # neither hidden nor the folder above
    if len(key) > _LONGEST_KEY:
        key = f"{key[:_LONGEST_KEY]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return key


def _told(spec: StoreSpec) -> str:
    regions = ", ".join(f"{n}={'+'.join(map(str, v))}" for n, v in spec.regions.items())
    return f"{spec.layout}: {regions}"

"""The zarr store that `preprocess` writes and `train` reads.

One zarr v3 group; a group a case under ``cases/``, with ``image`` [z, m, y, x] float16 and
``label`` [z, y, x] uint8. A chunk is one slice (all its modalities, since they are read together)
and a shard is one case (so a case is two files, not hundreds). What is known of a case without
reading it is in its group's attributes, and these are written last, in one atomic step: a case
without them is not there. Nothing is shared between cases, so several processes may append.

A chunk ends in a CRC-32C, which each read checks; a case's attributes hold the SHA-256 of its
files and their own digest, which opening the store checks. `mriseg.recipes.verify` checks them all.

The format is described in ``docs/formats.md``; ``FORMAT_VERSION`` changes when it does.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from mriseg.core.config import MULTIPLE
from mriseg.core.fingerprint import fingerprint
from mriseg.core.intensity import Normalisation
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions, join_labels, region_masks
from mriseg.core.sampling import CaseEntry, VolumeIndex
from mriseg.core.volume import Box, Geometry, Pad, SliceRef, round_up
from mriseg.errors import OutputError, StoreError
from mriseg.io.disk.atomic import fsync_tree, is_free
from mriseg.io.disk.checksums import BLANK, as_written, digest_of
from mriseg.io.disk.schemas import CaseForm, Labels, checked
from mriseg.io.disk.untrusted import parse_json
from mriseg.io.disk.versions import reading
from mriseg.io.store.arrays import Reader, Reading, is_local, open_array, or_lost
from mriseg.io.store.storage import Tree

FORMAT = "mriseg-store"
FORMAT_VERSION = 1
CASES = "cases"
_KEY = "mriseg"
_AXES = {"image": ("z", "modality", "y", "x"), "label": ("z", "y", "x")}
_ARRAYS = tuple(f"{kind}/" for kind in _AXES)
# What zarr names a file on its way.
_PIECE = re.compile(r".+\.[0-9a-f]{32}\.partial")
# File systems take names of 255 bytes.
_LONGEST_KEY = 200
_LONG = frozenset({"foreground", "sources", "fingerprint", "files"})
# Arrays that are kept open, two a case. To open one again costs less than to read a slice of it.
_OPEN_ARRAYS = 256
# Characters of a library's message, which may quote all of a file.
_QUOTED = 500
# Voxels to a byte of a shard: lz4 makes one of 255 noughts at most.
_MAX_RATIO = 256


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


VERSIONS: Mapping[int, Callable[[Mapping[str, Any]], StoreSpec]] = {1: StoreSpec.from_json}
"""How a store of each version is read. Keys that a version gained since are asked for as such."""


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
        self.tree = Tree(location)
        self._attributes: dict[str, dict[str, Any]] = {}
        self._array = lru_cache(_OPEN_ARRAYS)(self._open)

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
        case: PreparedCase,
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
            "complete": True,
        }
        try:
            self._write_case(name, case, attributes)
            self._check_there(name)
        except OSError as error:
            self._check_there(name)
            raise OutputError(
                f"{self.location} cannot be written: {error.strerror or error}"
            ) from error
        self._array.cache_clear()
        self._attributes.pop(name, None)

    def _check_there(self, name: str) -> None:
        """A store that went away in the middle is not to be made anew, as zarr makes folders."""
        if not is_local(self.location):
            return
        root = Path(self.location)
        try:
            # A group without mriseg's attributes is zarr's, which makes a folder's parents too.
            if attributes_in((root / "zarr.json").read_bytes()) is not None:
                return
        except FileNotFoundError:
            pass
        except (OSError, ValueError):  # there, though it cannot be read
            return
        shutil.rmtree(root / CASES / key_of(name), ignore_errors=True)
        with suppress(OSError):  # another process may just be finding the same
            for folder in (root / CASES, root):
                if {path.name for path in folder.iterdir()} <= {"zarr.json"}:
                    shutil.rmtree(folder)
        raise OutputError(f"{self.location} cannot be written: it is gone")

    def _write_case(self, name: str, case: PreparedCase, attributes: dict[str, Any]) -> None:
        group = zarr.open_group(self.location, mode="r+")
        path = f"{CASES}/{key_of(name)}"
        if path in group:
            del group[path]
        folder = group.create_group(path)
        image = np.ascontiguousarray(case.image.transpose(1, 0, 2, 3), dtype=np.float16)
        _write(folder, "image", image, "shuffle")
        if case.labels is not None:
            labels = np.ascontiguousarray(case.labels, dtype=np.uint8)
            _write(folder, "label", labels, "bitshuffle")
        self._finish(folder, path, attributes)

    def _finish(self, folder: Any, path: str, attributes: Mapping[str, Any]) -> None:
        """Take the checksums of what was written, and write the attributes: the last step."""
        if is_local(self.location):
            # Before the attributes, which are what makes the case appear, after a power cut too.
            fsync_tree(Path(self.location, path))
        files = self.tree.identities(path)
        files = [file for file in files if file["name"].startswith(_ARRAYS)]
        folder.update_attributes(_sealed({**attributes, "files": files}))

    def renew(self, name: str, attributes: Mapping[str, Any]) -> bool:
        """Give a case of an older store what it lacks: its fingerprint, and checksums.

        Both are of what lies there now, so it is read first, and its labels are counted again.

        Args:
            name: of the case.
            attributes: what `cases` says of it.

        Returns:
            Whether the case is whole, as far as its files' sizes tell; else it is to be written
            again.

        Raises:
            OutputError: the store cannot be written.
        """
        path = f"{CASES}/{key_of(name)}"
        if "files" in attributes and "fingerprint" in attributes:
            return all(
                self.tree.size(f"{path}/{file['name']}") == file["size"]
                for file in attributes["files"]
            )
        try:
            case = self.read_case(name)
        except StoreError:
            return False
        if _counts(case, self.spec.regions).tolist() != attributes["foreground"]:
            return False
        attributes = {**attributes, "fingerprint": dict(fingerprint(case))}
        try:
            self._finish(zarr.open_group(self.location, mode="r+")[path], path, attributes)
        except OSError as error:
            raise OutputError(
                f"{self.location} cannot be written: {error.strerror or error}"
            ) from error
        return True

    def sweep(self) -> None:
        """Remove what a process that was killed left: cases that are half there, pieces of files.

        Only for the process that holds the lock (`mriseg.io.disk.locks.locked`). Does nothing to a
        store at a URL.

        Raises:
            StoreError: it cannot be read.
        """
        if not is_local(self.location):
            return
        found = dict(documents(self.location))
        root = Path(self.location)
        for folder in (root, root / CASES, *(root / CASES / key for key in found)):
            for path in folder.glob("*.partial"):
                if _PIECE.fullmatch(path.name):
                    path.unlink(missing_ok=True)
        for key, document in found.items():
            with suppress(ValueError, AttributeError):
                # None at all, and not damaged ones: then it was begun and not ended.
                if parse_json(document).get("attributes") == {}:
                    shutil.rmtree(root / CASES / key, ignore_errors=True)

    # Reading

    def cases(self) -> dict[str, dict[str, Any]]:
        """Attributes of every case that is whole, by name, sorted.

        Raises:
            StoreError: they cannot be read, or those of a case are damaged.
        """
        found = {}
        for key, document in documents(self.location):
            if as_written(io.BytesIO(document)) is False:
                raise StoreError(f"{self._place(key)}/zarr.json is damaged; {self._remedy(key)}")
            try:
                attributes = attributes_in(document)
                if attributes is not None:
                    case = checked(CaseForm, attributes)
                    case.check(len(self.spec.regions))
                    found[case.name] = case.model_dump(exclude_unset=True)
            except ValueError as error:
                raise StoreError(
                    f"{self._place(key)}/zarr.json is damaged ({error}); {self._remedy(key)}"
                ) from None
        found = dict(sorted(found.items()))
        # The long lists are not needed to read; of thousands of cases they would fill memory.
        self._attributes = {
            name: {key: value for key, value in data.items() if key not in _LONG}
            | {"marked": any(map(any, data["foreground"]))}
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

    def read_case(self, name: str) -> PreparedCase:
        """A whole case, as `mriseg.core.prepare.prepare` gave it, its image in float16.

        Raises:
            StoreError: it is not in the store, or its chunks cannot be read.
        """
        data = self._case(name)
        image, labels = self._wait(name, self._ask(name, slice(None)))
        return PreparedCase(
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
            return tuple(self._array(name, kind)(which) for kind in kinds)

    def _open(self, name: str, kind: str) -> Reader:
        data = self._case(name)
        path = f"{CASES}/{key_of(name)}/{kind}"
        # Of older stores, label maps of nothing but 0 were not written.
        complete, expected = data.get("complete", False), kind == "image" or data["marked"]
        file = f"{kind}/{shard_name(kind)}"
        shard = f"{CASES}/{key_of(name)}/{file}"
        written = complete or expected
        if written and self.tree.size(shard) is None:
            raise FileNotFoundError(f"{file} is missing")
        self._check_array(path, kind, data)
        reader = open_array(self.location, path, complete=complete)
        tells = complete and is_local(self.location)  # that it was lost, by itself
        if tells or not written:
            return reader
        return or_lost(reader, partial(self.tree.is_there, shard), file)

    def _check_array(self, path: str, kind: str, data: Mapping[str, Any]) -> None:
        """See to it that an array is as large as its case, and its shard not much smaller."""
        z, y, x = Box.from_json(data["box"]).shape
        shape = [z, len(data["modalities"]), y, x] if kind == "image" else [z, y, x]
        array = parse_json(self.tree.read(f"{path}/zarr.json"))
        if not isinstance(array, dict) or array.get("shape") != shape:
            raise ValueError(f"{kind} has not the shape {shape}")
        size = self.tree.size(f"{path}/{shard_name(kind)}")
        if size is not None and math.prod(shape) > _MAX_RATIO * size:
            raise ValueError(f"{kind}/{shard_name(kind)} is too small to hold what it should")

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
                f"{self._remedy(key_of(name))}"
            ) from error

    def _place(self, key: str) -> str:
        return f"{self.location.rstrip('/')}/{CASES}/{key}"

    def _remedy(self, key: str) -> str:
        return (
            f"remove the folder {self._place(key)} and start the same mriseg preprocess again: it "
            f"writes the cases that are not there"
        )


def create(location: str | Path, spec: StoreSpec) -> Store:
    """A store at ``location``: a new one, or the one that is there if it has the same regions.

    Cases of several layouts may share a store. Its layout and names of labels are the first's.

    Raises:
        OutputError: something else is there, or a store of other regions.
    """
    text = str(location)
    path = Path(text)
    if is_local(text) and not is_free(path):
        try:
            store = open_store(text)
        except StoreError as error:
            raise OutputError(f"{error}. Choose another name, or remove it first") from None
        if list(store.spec.regions.items()) != list(spec.regions.items()):
            raise OutputError(
                f"{text} was made for other regions ({_told(store.spec)}; now {_told(spec)}). "
                f"Ask for its own with --regions, choose another name, or remove it"
            )
        _renew_root(text)
        return store
    try:
        about = {"format": FORMAT, "version": FORMAT_VERSION, **spec.to_json()}
        zarr.create_group(text, attributes=_sealed(about))
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
        document = Tree(text).read("zarr.json")
        root = attributes_in(document)
    except (OSError, ValueError, ImportError, RecursionError):
        root = None
    if root is None or root.get("format") != FORMAT:
        raise StoreError(
            f"{text} is not an mriseg store; make one with: mriseg preprocess SRC OUT.zarr"
        )
    read = reading(
        VERSIONS,
        root.get("version"),
        what=f"{text} has store format",
        remedy=f"make it anew with: mriseg preprocess SRC {text}",
        error=StoreError,
    )
    if as_written(io.BytesIO(document)) is False:
        raise StoreError(
            f"{text}/zarr.json is damaged: it is not what was written; restore it from a copy, or "
            f"preprocess again"
        )
    try:
        spec = checked(StoreSpec, read(root))
        for labels in spec.regions.values():
            checked(Labels, labels)
        return Store(text, spec)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{text}/zarr.json is damaged ({error!r}); preprocess again") from None


def _renew_root(location: str) -> None:
    """Give an older store the digest of what holds for all cases."""
    document = Tree(location).read("zarr.json")
    about = attributes_in(document)
    if about is not None and as_written(io.BytesIO(document)) is None:
        try:
            zarr.open_group(location, mode="r+").update_attributes(_sealed(about))
        except OSError as error:
            raise OutputError(f"{location} cannot be written: {error.strerror or error}") from error


def documents(location: str) -> list[tuple[str, bytes]]:
    """The ``zarr.json`` of each case's folder that has one, by the folder's name.

    Raises:
        StoreError: they cannot be read.
    """
    tree = Tree(location)
    try:
        keys = tree.folders(CASES)
        texts = tree.read_each([f"{CASES}/{key}/zarr.json" for key in keys])
    except OSError as error:
        raise StoreError(f"{location} cannot be read: {error.strerror or error}") from error
    return [(key, text) for key, text in zip(keys, texts, strict=True) if text is not None]


def attributes_in(document: bytes) -> dict[str, Any] | None:
    """What a group's ``zarr.json`` holds of mriseg's; None where it is no such group.

    Raises:
        ValueError: it is no JSON.
    """
    data = parse_json(document)
    if not isinstance(data, dict) or data.get("node_type") != "group":
        return None
    attributes = data.get("attributes")
    found = attributes.get(_KEY) if isinstance(attributes, dict) else None
    return found if isinstance(found, dict) else None


def shard_name(kind: str) -> str:
    """Where the one shard of a case's array lies in the array's folder."""
    return "/".join(("c", *"0" * len(_AXES[kind])))


def _sealed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a group, with the digest of the ``zarr.json`` that zarr makes of them."""
    blank = {"digest": BLANK, **{k: v for k, v in attributes.items() if k != "digest"}}
    memory: dict[str, Any] = {}
    zarr.create_group(memory, attributes={_KEY: blank})
    return {_KEY: {**blank, "digest": digest_of(memory["zarr.json"].to_bytes())}}


def frame_for(shapes: Iterable[tuple[int, int, int]], multiple: int = MULTIPLE) -> tuple[int, int]:
    """The smallest frame (h, w) of whole multiples that holds every slice of these cases."""
    height, width = multiple, multiple
    for _, h, w in shapes:
        height, width = max(height, h), max(width, w)
    return round_up(height, multiple), round_up(width, multiple)


def _counts(case: PreparedCase, regions: Regions) -> NDArray[np.int64]:
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
    shuffle: Literal["shuffle", "bitshuffle"],
) -> None:
    folder.create_array(
        name,
        data=array,
        chunks=(1, *array.shape[1:]),
        shards=array.shape,
        # lz4 costs a read next to nothing. Images shrink most, and are read fastest, with like
        # bytes side by side; label maps, which nearly vanish, with like bits.
        # lz4 notices few flipped bits, the CRC all; it costs a read a twentieth.
        compressors=[BloscCodec(cname="lz4", clevel=5, shuffle=shuffle), Crc32cCodec()],
        dimension_names=_AXES[name],
        # To look for slices of nothing but noughts costs more than to write the few there are.
        config={"write_empty_chunks": True},
    )


def key_of(name: str) -> str:
    """The name of a case's folder in a store."""
    # A case's name may hold anything that a folder's may; a key in a store may not.
    key = quote(name, safe=" ,+=()[]@")
    if key.startswith("."):
        key = f"%2E{key[1:]}"  # neither hidden nor the folder above
    if len(key) > _LONGEST_KEY:
        key = f"{key[:_LONGEST_KEY]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return key


def _told(spec: StoreSpec) -> str:
    regions = ", ".join(f"{n}={join_labels(v)}" for n, v in spec.regions.items())
    return f"{spec.layout}: {regions}"

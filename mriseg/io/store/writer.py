"""Writing into a store: its root, its cases, and what a process that was killed left.

A case's attributes are written last, in one atomic step, so a case without them does not exist.
Nothing is shared between cases, so several processes may write at once.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions
from mriseg.errors import OutputError, StoreError, reason_of
from mriseg.io.disk.atomic import contents, fsync_tree, is_free
from mriseg.io.disk.schemas import as_json
from mriseg.io.disk.untrusted import parse_json
from mriseg.io.location import Location
from mriseg.io.store.attributes import (
    AXES,
    CASES,
    FORMAT,
    FORMAT_VERSION,
    CaseAttributes,
    StoredFile,
    StoreSpec,
    attributes_in,
    documents,
    key_of,
    sealed,
)
from mriseg.io.store.storage import Tree, as_os_errors
from mriseg.io.store.trees import tree_at

# Bytes of a group's zarr.json without attributes, and room for other versions of zarr.
_EMPTY = 1024
# What zarr names a file on its way.
_PIECE = re.compile(r".+\.[0-9a-f]{32}\.partial")


def write_root(where: Location, spec: StoreSpec) -> None:
    """Make an empty store.

    Raises:
        OutputError: it cannot be written.
    """
    about = {"format": FORMAT, "version": FORMAT_VERSION, **as_json(spec)}
    with _output_errors(where):
        if where.is_local:
            zarr.create_group(str(where), attributes=sealed(about))
            return
        memory: dict[str, Any] = {}
        zarr.create_group(memory, attributes=sealed(about)).create_group(CASES)
        for name in (f"{CASES}/zarr.json", "zarr.json"):
            if not tree_at(where).create(name, memory[name].to_bytes()):
                raise FileExistsError(f"another process has just begun a store there ({name})")


def write_case(where: Location, case: PreparedCase, attributes: CaseAttributes) -> None:
    """Write a case's arrays, and then the attributes that make it appear.

    A case of that name that exists already, in full or in part, is replaced.

    Args:
        where: the store.
        case: its arrays.
        attributes: all that the store says of it but its files.

    Raises:
        OutputError: the store cannot be written; the case does not exist then.
    """
    path = f"{CASES}/{key_of(attributes.name)}"
    try:
        with _output_errors(where):
            _write(where, path, case, attributes)
    except OutputError:
        _check_there(where, path)
        raise
    _check_there(where, path)


def counts(case: PreparedCase, regions: Regions) -> NDArray[np.int64]:
    """Voxels of each region in each slice, [z, r]; zeros without a segmentation."""
    if case.labels is None:
        return np.zeros((case.image.shape[1], len(regions)), dtype=np.int64)
    # Each label is counted once, and regions are sums of labels.
    by_label = np.stack([np.bincount(piece.ravel(), minlength=256) for piece in case.labels])
    return np.stack([by_label[:, values].sum(axis=1) for values in regions.values()], axis=1)


def sweep(where: Location) -> None:
    """Remove what a process that was killed left: cases that were begun, pieces of files.

    Only for the process that holds the lock (`mriseg.io.disk.locks.locked`). Does nothing to a
    store at a URL.

    Raises:
        StoreError: it cannot be read.
    """
    if not where.is_local:
        return
    root = where.path
    keys = tree_at(where).folders(CASES)
    for folder in (root, root / CASES, *(root / CASES / key for key in keys)):
        for path in folder.glob("*.partial"):
            if _PIECE.fullmatch(path.name):
                path.unlink(missing_ok=True)
    for key in keys:
        document = root / CASES / key / "zarr.json"
        with suppress(OSError, ValueError, AttributeError):
            # None at all, and not damaged ones: then it was begun and not finished.
            if document.stat().st_size <= _EMPTY and (
                parse_json(document.read_bytes()).get("attributes") == {}
            ):
                shutil.rmtree(root / CASES / key, ignore_errors=True)


@contextmanager
def kept_if_filled(where: Location) -> Iterator[None]:
    """A new store that nothing was written into is gone when the block ends, however it ends.

    Only for the process that holds the lock. Does nothing to a store at a URL.
    """
    new = where.is_local and is_free(where.path)
    try:
        yield
    finally:
        if new and where.path.is_dir() and not _has_cases(where):
            for path in contents(where.path):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _has_cases(where: Location) -> bool:
    try:
        return any(attributes_in(document) for _, document in documents(str(where)))
    except (StoreError, ValueError):  # what cannot be read may be one
        return True


@contextmanager
def _output_errors(where: Location) -> Iterator[None]:
    try:
        with as_os_errors(where):
            yield
    except OSError as error:
        raise OutputError(f"{where} cannot be written: {reason_of(error)}") from error


def _write(where: Location, path: str, case: PreparedCase, attributes: CaseAttributes) -> None:
    if not where.is_local:
        _write_at_url(where, path, case, attributes)
        return
    group = zarr.open_group(str(where), mode="r+")
    if path in group:
        del group[path]
    folder = group.create_group(path)
    _write_arrays(folder, case)
    # Before the attributes, which are what makes the case appear, after a power cut too.
    fsync_tree(where.path / path)
    said = as_json(attributes) | {"files": _files_of(tree_at(where), path)}
    folder.update_attributes(sealed(said))


def _write_at_url(
    where: Location, path: str, case: PreparedCase, attributes: CaseAttributes
) -> None:
    """Made in memory, so that its checksums are of what was sent, and then sent file by file."""
    tree = tree_at(where)
    memory: dict[str, Any] = {}
    folder = zarr.create_group(memory)
    _write_arrays(folder, case)
    files = {
        name: content.to_bytes()
        for name, content in sorted(memory.items())
        if name.startswith(tuple(f"{kind}/" for kind in AXES))
    }
    listed = [
        as_json(StoredFile(name, len(content), sha256(content).hexdigest()))
        for name, content in files.items()
    ]
    folder.update_attributes(sealed(as_json(attributes) | {"files": listed}))
    # Without its attributes a case that is replaced does not exist.
    document = f"{path}/zarr.json"
    if tree.size(document) is not None:
        tree.remove(document)
    for name, content in files.items():
        tree.write(f"{path}/{name}", content)
    tree.write(document, memory["zarr.json"].to_bytes())


def _write_arrays(folder: Any, case: PreparedCase) -> None:
    image = np.ascontiguousarray(case.image.transpose(1, 0, 2, 3), dtype=np.float16)
    _write_array(folder, "image", image, "shuffle")
    if case.labels is not None:
        labels = np.ascontiguousarray(case.labels, dtype=np.uint8)
        _write_array(folder, "label", labels, "bitshuffle")


def _files_of(tree: Tree, path: str) -> list[dict[str, Any]]:
    """Name, size and SHA-256 of every file of a case's arrays."""
    files = []
    for name in tree.files(path):
        if name.startswith(tuple(f"{kind}/" for kind in AXES)):
            file = f"{path}/{name}"
            files.append(as_json(StoredFile(name, tree.size(file) or 0, tree.sha256(file))))
    return files


def _write_array(
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
        dimension_names=AXES[name],
        # To look for slices of nothing but zeros costs more than to write the few there are.
        config={"write_empty_chunks": True},
    )


def _check_there(where: Location, path: str) -> None:
    """A store that went away in the middle is not made again, although zarr makes folders."""
    if not where.is_local:
        return
    root = where.path
    try:
        # A group without mriseg's attributes is zarr's, which makes a folder's parents too.
        if attributes_in((root / "zarr.json").read_bytes()) is not None:
            return
    except FileNotFoundError:
        pass
    except (OSError, ValueError):  # it exists, though it cannot be read
        return
    shutil.rmtree(root / path, ignore_errors=True)
    with suppress(OSError):  # another process may be finding the same at this moment
        for folder in (root / CASES, root):
            if {entry.name for entry in folder.iterdir()} <= {"zarr.json"}:
                shutil.rmtree(folder)
    raise OutputError(f"{where} cannot be written: it is gone")

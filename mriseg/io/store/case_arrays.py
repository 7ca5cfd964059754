"""The arrays of a store's cases, opened when they are first read, some of them kept open."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from mriseg.errors import StoreError
from mriseg.io.disk.untrusted import parse_json
from mriseg.io.location import Location
from mriseg.io.store.arrays import Reader, Reading, open_array
from mriseg.io.store.attributes import CASES, CaseAttributes, key_of, shard_name
from mriseg.io.store.remedies import remedy
from mriseg.io.store.storage import Tree

# Arrays that are kept open, two per case. To open one again costs less than to read a slice of it.
_OPEN_ARRAYS = 256
# At a URL to open one takes a request, and what is open holds no file.
_OPEN_FAR = 8192
# Characters of a library's message, which may quote all of a file.
_QUOTED = 500
# Voxels per byte of a shard: lz4 makes one of 255 zeros at most.
_MAX_RATIO = 256


class CaseArrays:
    """Reads slices of cases; safe in threads."""

    def __init__(
        self, where: Location, location: str, tree: Tree, case: Callable[[str], CaseAttributes]
    ) -> None:
        """Nothing is read yet.

        Args:
            where: the store.
            location: the same, as messages name it.
            tree: its files.
            case: gives a case's attributes by its name.
        """
        self._where, self._location, self._tree, self._case = where, location, tree, case
        most = _OPEN_ARRAYS if where.is_local else _OPEN_FAR
        self._array = lru_cache(most)(self._open)
        self._opened: set[str] = set()

    def forget(self) -> None:
        """Keep nothing open: a case was written again."""
        self._array.cache_clear()
        self._opened.clear()

    def ask(self, name: str, which: int | slice) -> tuple[Reading, ...]:
        """Begin to read some slices of a case, and their labels if it has any."""
        kinds = self._case(name).kinds
        with self._errors_of(name):
            return tuple(self._array(name, kind)(which) for kind in kinds)

    def open_at_once(self, names: Iterable[str]) -> None:
        """Open the arrays of some cases at a URL side by side, since each takes a request.

        Raises:
            StoreError: a case is not in the store, or its arrays cannot be opened.
        """
        if self._where.is_local:
            return

        def open_one(name: str, kind: str) -> None:
            with self._errors_of(name):
                self._array(name, kind)

        new = sorted(set(names) - self._opened)
        asked = [(name, kind) for name in new for kind in self._case(name).kinds]
        if asked:
            with ThreadPoolExecutor(len(asked), thread_name_prefix="mriseg-open") as pool:
                list(pool.map(open_one, *zip(*asked, strict=True)))
            self._opened.update(new)

    def _open(self, name: str, kind: str) -> Reader:
        path = f"{CASES}/{key_of(name)}/{kind}"
        return open_array(self._where, path, self._checked(path, kind, self._case(name)))

    def _checked(self, path: str, kind: str, case: CaseAttributes) -> dict[str, Any]:
        """What an array's ``zarr.json`` says.

        It has to be as large as its case, and its shard not much smaller.
        """
        z, y, x = case.box.shape
        shape = [z, len(case.modalities), y, x] if kind == "image" else [z, y, x]
        file = f"{kind}/{shard_name(kind)}"
        sizes = {one.name: one.size for one in case.files}
        # At a URL each question takes a while, and a shard of another size cannot be read there.
        size = sizes[file] if file in sizes else self._tree.size(f"{path}/{shard_name(kind)}")
        if size is None:
            raise FileNotFoundError(f"{file} is missing")
        array = parse_json(self._tree.read_surely(f"{path}/zarr.json"))
        if not isinstance(array, dict) or array.get("shape") != shape:
            raise ValueError(f"{kind} does not have the shape {shape}")
        if math.prod(shape) > _MAX_RATIO * size:
            raise ValueError(f"{file} is too small to hold what it should")
        return array

    def wait(
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
                f"{self._location}: case {name} cannot be read ({str(error)[:_QUOTED]}); "
                f"{remedy(self._tree, self._location, key_of(name))}"
            ) from error

"""Plain values as bytes and back, exactly, for other processes of the same program.

Not by pickle: what is unpacked cannot run code. Values are those of JSON, tuples,
NumPy's arrays of numbers, and dataclasses of the kinds that the reader expects.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

_LENGTH = 8  # bytes that say how long the JSON is


def pack(value: Any) -> bytes:
    """``value`` as bytes.

    Raises:
        TypeError: it, or something in it, is none of what this module packs.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps(_plain(value, arrays)).encode()
    parts = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return b"".join([len(text).to_bytes(_LENGTH, "big"), text, *parts])


def unpack(data: bytes, kinds: Sequence[type] = ()) -> Any:
    """The value that `pack` made ``data`` of.

    Args:
        data: the bytes.
        kinds: of dataclasses that may be in it.

    Raises:
        ValueError: it is not what `pack` makes, or holds another kind.
    """
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    return _Reader(data[end:], kinds).value(json.loads(data[_LENGTH:end]))


def _plain(value: Any, arrays: list[np.ndarray]) -> Any:
    """JSON's numbers, texts and nulls as they are; anything else as [what it is, ...]."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        arrays.append(value)
        return ["array", value.dtype.str, list(value.shape)]
    if isinstance(value, np.number | np.bool_):
        return value.item()
    if type(value) in (list, tuple):
        return [type(value).__name__, *(_plain(item, arrays) for item in value)]
    if type(value) is dict:
        return ["dict", *([_plain(k, arrays), _plain(v, arrays)] for k, v in value.items())]
    if is_dataclass(value) and not isinstance(value, type):
        items = (_plain(getattr(value, field.name), arrays) for field in fields(value))
        return ["kind", type(value).__name__, *items]
    raise TypeError(f"a {type(value).__name__} cannot be handed to another process")


class _Reader:
    def __init__(self, data: bytes, kinds: Sequence[type]) -> None:
        self._data, self._kinds = data, {kind.__name__: kind for kind in kinds}

    def value(self, plain: Any) -> Any:
        if not isinstance(plain, list):
            return plain
        what, *rest = plain
        if what == "array":
            return self._array(*rest)
        if what == "dict":
            return {self.value(key): self.value(item) for key, item in rest}
        if what in ("list", "tuple"):
            items = [self.value(item) for item in rest]
            return items if what == "list" else tuple(items)
        name, *items = rest
        if what != "kind" or name not in self._kinds:
            raise ValueError(f"a {name} was sent, which is not expected")
        kind: Any = self._kinds[name]
        names = [field.name for field in fields(kind)]
        return kind(**dict(zip(names, map(self.value, items), strict=True)))

    def _array(self, kind: str, shape: Sequence[int]) -> np.ndarray:
        dtype = np.dtype(kind)
        if dtype.kind not in "biuf":
            raise ValueError(f"an array of {kind} was sent, which is not of numbers")
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        own, self._data = self._data[:size], self._data[size:]
        # A copy, since what views bytes cannot be written to.
        return np.frombuffer(own, dtype).reshape(shape).copy()

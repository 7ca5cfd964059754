"""Values that are large or bound to a process: sent by how they are made, not as they are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# What a worker keeps of earlier items: a model, its backend, and those of another command.
_MOST = 4
_KEPT: OrderedDict[Hashable, Any] = OrderedDict()


class Lazy(Generic[T]):
    """A model, a backend: made at first use, once where it is and once in each worker.

    Args:
        key: by which a worker knows it again among what it made for earlier items.
        make: makes it; can be pickled.
        value: it, where this process has it already.
    """

    def __init__(self, key: Hashable, make: Callable[[], T], value: T | None = None) -> None:
        self._key, self._make, self._value = key, make, value
        self._is_sent = False

    def __call__(self) -> T:
        """It."""
        if self._value is None:
            self._value = _kept(self._key, self._make) if self._is_sent else self._make()
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        return _sent, (self._key, self._make)


def _sent(key: Hashable, make: Callable[[], T]) -> Lazy[T]:
    lazy: Lazy[T] = Lazy(key, make)
    lazy._is_sent = True
    return lazy


def _kept(key: Hashable, make: Callable[[], T]) -> T:
    if key not in _KEPT:
        while len(_KEPT) >= _MOST:
            _KEPT.popitem(last=False)
        _KEPT[key] = make()
    _KEPT.move_to_end(key)
    value: T = _KEPT[key]
    return value

"""Names that users type, and where the code behind them is.

A registry maps a name to ``"module:attribute"`` and imports it on first use, so that listing the
names imports nothing. It is a read-only mapping; ``register`` refuses to overwrite silently, and
the error for an unknown name lists the known ones.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from mriseg.errors import ConfigError, UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from a name to an object that is imported on first use.

    Args:
        kind: what the objects are, in the singular, for messages ("backend", "reader").
        targets: name -> ``"package.module:attribute"``.
        group: an entry-point group through which other packages may add names; entry points are
            read when a name is looked up or the registry is listed, never on import.
    """

    def __init__(self, kind: str, targets: Mapping[str, str], group: str | None = None) -> None:
        self.kind = kind
        self._targets: dict[str, str] = dict(targets)
        self._group = group

    def register(self, name: str, target: str, *, replace: bool = False) -> None:
        """Add ``name``. Raises ConfigError if it exists and ``replace`` is false."""
        if name in self._targets and not replace:
            raise ConfigError(
                f"the {self.kind} {name!r} is already registered, as {self._targets[name]}; "
                f"choose another name, or pass replace=True to replace it"
            )
        if ":" not in target:
            raise ConfigError(f"a {self.kind} is registered as 'module:attribute', not {target!r}")
        self._targets[name] = target

    def _all(self) -> dict[str, str]:
        if self._group is None:
            return self._targets
        # Names that ship with mriseg take precedence over those of an installed package: a plug-in
        # can add, and a program can replace with ``register``, but installing a package changes
        # nothing.
        plugins = {point.name: point.value for point in entry_points(group=self._group)}
        return plugins | self._targets

    def __getitem__(self, name: str) -> T:
        targets = self._all()
        if name not in targets:
            close = difflib.get_close_matches(str(name), targets, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UnknownNameError(
                f"there is no {self.kind} {name!r}; known: {', '.join(sorted(targets))}.{hint}"
            )
        module, _, attribute = targets[name].partition(":")
        target: Any = import_module(module)
        for part in attribute.split("."):
            target = getattr(target, part)
        return cast(T, target)

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"<registry of {self.kind}s: {', '.join(self)}>"

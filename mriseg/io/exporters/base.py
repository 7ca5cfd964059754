"""What an exporter does: write a deployed network as a file, and load it as its users would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from mriseg.core.deploy import Deployed

Predict = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class LoadedExport:
    """A file as another program sees it.

    Attributes:
        predict: ``(image, mean, std, foreground or None) -> probabilities``, float32 on the CPU,
            with the shapes of `mriseg.core.deploy.Deployed.forward`.
        metadata: what the file says about itself.
    """

    predict: Predict
    metadata: dict[str, Any]


@dataclass(frozen=True)
class ExportInspection:
    """A file as it lies there, read as data.

    Attributes:
        metadata: what the file says about itself; empty where that cannot be read.
        whole: whether it is what was written, by its own digest; None where it carries none.
        faults: what is wrong with it, a sentence each, the part that it is wrong with first.
    """

    metadata: dict[str, Any]
    whole: bool | None
    faults: tuple[str, ...] = ()


class Exporter(Protocol):
    """An export format. An object with this shape is registered in ``EXPORTERS``."""

    name: str
    suffix: str
    summary: str

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        """Write ``network`` and ``metadata``.

        Args:
            network: on the CPU, in float32.
            metadata: JSON types; the same as ``network.metadata()``, for a format that has a place
                of its own for it.
            path: a temporary file, which whoever calls renames: an exporter need not clean up.
        """
        ...

    def load(self, path: Path) -> LoadedExport:
        """Load what `export` wrote by the format's own means, without code of mriseg's network.

        Raises:
            ExportError: it cannot be loaded.
        """
        ...

    def inspect(self, path: Path) -> ExportInspection:
        """Check a file, whoever gave it, without running anything that is in it.

        Raises:
            OSError: it cannot be read.
        """
        ...

"""What an exporter does: write a deployed network as a file, and load it as its users would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

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
        runtime: what computes ``predict``, as a report names it, such as "onnxruntime 1.32.0".
        predict_scan: for a format whose files take whole scans: ``[m, z, y, x]`` of raw
            intensities, 0 outside the brain, -> probabilities [r, z, y, x]; else None.
    """

    predict: Predict
    metadata: dict[str, Any]
    runtime: str = ""
    predict_scan: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class ExportInspection:
    """A file, read as data.

    Attributes:
        metadata: what the file says about itself; empty where that cannot be read.
        whole: whether it is what was written, by its own digest; None where it carries none.
        faults: what is wrong with it: one sentence per fault, which begins with the part.
    """

    metadata: dict[str, Any]
    whole: bool | None
    faults: tuple[str, ...] = ()


class Exporter(Protocol):
    """An export format. An object with this shape is registered in ``EXPORTERS``.

    Attributes:
        name: in ``EXPORTERS``.
        suffix: the end of its files' names, with the dot.
        summary: what the format is, for people.
        sizes: "any": a file takes any number of slices of any size; "frame": one slice at a time,
            as large as the training's frame.
    """

    name: str
    suffix: str
    summary: str
    sizes: Literal["any", "frame"]

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        """Write ``network`` and ``metadata``.

        Args:
            network: on the CPU, in float32. A format without exceptions takes
                ``network.unchecked``, which is arithmetic alone.
            metadata: JSON types; the same as ``network.metadata()``, for a format that has a place
                of its own for it.
            path: a temporary file, which the caller renames: an exporter need not clean up.
        """
        ...

    def load(self, path: Path) -> LoadedExport:
        """Load what `export` wrote by the format's own means, without code of mriseg's network.

        Raises:
            ExportError: it cannot be loaded.
        """
        ...

    def matches(self, path: Path) -> bool:
        """Whether a file of any name looks like one of this format; it is not run, only looked at.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def inspect(self, path: Path) -> ExportInspection:
        """Check a file, which may come from a stranger, without running anything that is in it.

        Raises:
            OSError: it cannot be read.
        """
        ...

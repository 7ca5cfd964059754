"""Export formats: one module each, listed in ``EXPORTERS``."""

from __future__ import annotations

from pathlib import Path

from mriseg.io.exporters.base import Exporter, ExportInspection, LoadedExport
from mriseg.registry import Registry

__all__ = ["EXPORTERS", "LoadedExport", "Exporter", "ExportInspection", "exporter_of"]

EXPORTERS: Registry[Exporter] = Registry(
    "export format",
    {"torchscript": "mriseg.io.exporters.torchscript:EXPORTER"},
    group="mriseg.exporters",
)


def exporter_of(path: Path) -> Exporter | None:
    """The format of a file: by the longest suffix that its name ends in, or else by its content.

    Raises:
        OSError: it cannot be read.
    """
    formats = [EXPORTERS[name] for name in EXPORTERS]
    named = [format for format in formats if path.name.endswith(format.suffix)]
    if named:
        return max(named, key=lambda format: len(format.suffix))
    return next((format for format in formats if format.matches(path)), None)
